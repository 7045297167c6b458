"""What a terminal or a log may be given of texts that others wrote: names, values, the words of a server."""

from __future__ import annotations

import re

#: What a terminal obeys, or what turns the order of what is read: control characters, line ends of Unicode, directions of writing.
OBEYED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """One line, of which nothing is obeyed: each such sign becomes `?`."""
    return OBEYED.sub("?", text)
