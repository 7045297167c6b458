"""What the jobs print for people."""

from __future__ import annotations

import os
from typing import TextIO


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
