"""What the jobs print for people, of which others wrote a part: names, values, the words of a server."""

from __future__ import annotations

import os
import re
from typing import TextIO

#: What a terminal obeys, or what turns the order of what is read: control characters, line ends of Unicode, directions of writing.
OBEYED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """One line, of which nothing is obeyed: each such sign becomes `?`."""
    return OBEYED.sub("?", text)


def say(text: str, stream: TextIO | None) -> None:
    """For whoever reads. `| head` may have read enough, a disk of logs be full, a log have another encoding, or nobody listen:
    that changes nothing of what was done, nor the exit code that tells it.
    """
    if stream is None:
        return
    try:
        print(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding), file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes once more at its end
