"""Bytes → OpenPGP message, while they stream. No plain byte is ever on a disk.

Sequoia-PGP encrypts, in a process of its own for each file: its Python binding holds Python's lock while it works, so that
in this process nothing could feed it, and on its own it has a core to itself. What it must know goes through a pipe, never
on a command line nor into an environment.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from importlib.resources import files
from typing import IO

from courier.errors import ConfigError, CourierError
from courier.render.compression import LEAST_CHUNK_BYTES, at_least
from courier.render.keys import Keys

READ_BYTES = 1 << 20
#: Variables by which Python and the libraries find their files. The others, among them passwords, are not that process's business.
NEEDED = re.compile(r"(PATH|HOME|LANG|TMPDIR|VIRTUAL_ENV|__PYVENV_LAUNCHER__)\Z|PYTHON|LC_|LD_|DYLD_")


def encrypted(chunks: Generator[bytes], keys: Keys) -> Generator[bytes]:
    """Yield an OpenPGP message that holds `chunks`. Each call makes another one, since its session key is random.

    Peak memory does not depend on the size of the file. An error of `chunks` is raised here, and the message is never ended
    after one. When this generator is closed, its process and its thread have ended before `close` returns.
    """
    process = _start()
    feeder = _Feeder(process, chunks, keys)
    feeder.start()
    try:
        yield from at_least(iter(lambda: os.read(_pipe(process.stdout).fileno(), READ_BYTES), b""), LEAST_CHUNK_BYTES)
        feeder.join()
        if feeder.error is not None:
            raise feeder.error
        said = _pipe(process.stderr).read().decode(errors="replace").strip()
        if process.wait() != 0 or not feeder.fed_all:
            raise CourierError(
                "A file could not be encrypted", found=said.splitlines()[-1][:200] if said else f"exit code {process.returncode}"
            )
    finally:
        process.kill()
        feeder.join()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            _pipe(pipe).close()


def _start() -> subprocess.Popen[bytes]:
    program = files("courier.render").joinpath("sequoia.py").read_text(encoding="utf-8")
    try:
        return subprocess.Popen(  # noqa: S603  our own program; -P: nothing is imported from the current folder
            [sys.executable, "-P", "-c", program],
            env={name: value for name, value in os.environ.items() if NEEDED.match(name)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    except OSError as exc:
        raise ConfigError("Encryption needs a process of its own, which cannot be started", found=type(exc).__name__) from exc


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


class _Feeder(threading.Thread):
    """Writes the request and the plain bytes. Where they end with an error, the process is killed before it can end the message."""

    def __init__(self, process: subprocess.Popen[bytes], chunks: Generator[bytes], keys: Keys) -> None:
        super().__init__(name="encryption", daemon=True)
        self._process, self._chunks, self._keys = process, chunks, keys
        self.error: BaseException | None = None
        self.fed_all = False

    def run(self) -> None:
        try:
            with contextlib.closing(self._chunks):
                self._write(_request(self._keys))
                for chunk in self._chunks:
                    self._write(chunk)
            self.fed_all = True
        except BrokenPipeError:  # the process has ended: it says why, or has been killed
            pass
        except BaseException as error:
            self.error = error
            self._process.kill()
        finally:
            with contextlib.suppress(BrokenPipeError):
                _pipe(self._process.stdin).close()

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[_pipe(self._process.stdin).write(rest) :]


def _request(keys: Keys) -> bytes:
    """Its length in four bytes, then JSON."""

    def text(key: bytes | None) -> str | None:
        return None if key is None else base64.b64encode(key).decode()

    request = {
        "recipients": [text(recipient.key) for recipient in keys.recipients],
        "signing_key": text(keys.signing_key),
        "passphrase": keys.passphrase,
        "armour": keys.armour,
    }
    encoded = json.dumps(request).encode()
    return len(encoded).to_bytes(4, "big") + encoded
