"""The program of the process that encrypts: request and plain bytes on standard input, OpenPGP on standard output.

`encryption.py` runs the text of this file, so it imports nothing of the package.
"""

import base64
import json
import os
import sys

import pysequoia


def main() -> None:
    request = json.loads(_read(int.from_bytes(_read(4), "big")))
    signer = None
    if request["signing_key"]:
        signer = pysequoia.Tsk.from_bytes(base64.b64decode(request["signing_key"])).signer(request["passphrase"])
    recipients = [pysequoia.Cert.from_bytes(base64.b64decode(key)) for key in request["recipients"]]
    # What is left in the pipe is the plain text. Both are opened a second time by name, since the library takes only names.
    pysequoia.encrypt_file("/dev/fd/0", "/dev/fd/1", recipients, signer, armor=request["armour"])


def _read(size: int) -> bytes:
    """Exactly so many bytes, and none beyond them, which a buffered reader would take."""
    found = b""
    while len(found) < size:
        read = os.read(0, size - len(found))
        if not read:
            sys.exit("the request ended early")
        found += read
    return found


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
