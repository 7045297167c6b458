"""Values of profiles as they may be shown: the shape of a text without its letters and digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


def masked_lines(lines: Iterable[str], *, header: bool) -> Iterator[str]:
    """The first lines of a file; of those below its header only the shape."""
    for number, line in enumerate(lines):
        yield line if header and number == 0 else masked(line)


def masked(text: str) -> str:
    """Every letter becomes x, and every digit 9."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))
