"""Values of profiles as they may be shown: the shape of a text without its letters and digits; and what is said of them, without them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

#: From the first quote to the last, for the value that an engine quotes may have quotes and line ends of its own.
QUOTED = re.compile(r"'(?:.*'|.*)", re.DOTALL)
#: What may be a value of a row in an engine's message, where it has no quotes.
VALUES = re.compile(r"(?<=value )(?!of )\S+|(?<=value of )\S+|-?\d[\d.,]{3,}\w*")
#: By the first letter of a sign's category in Unicode.
MASKS = {"L": "x", "M": "x", "N": "9"}
#: Of a line, or of one value; it can have megabytes.
SHOWN_CHARACTERS = 1_000


def masked_lines(lines: Iterable[str], *, header: bool) -> Iterator[str]:
    """The first lines of a file, each as far as it is shown; of those below its header only the shape."""
    for number, line in enumerate(lines):
        yield beginning(line) if header and number == 0 else masked(beginning(line))


def beginning(text: str) -> str:
    """Of a long one as much as is shown."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def masked(text: str) -> str:
    """Every letter becomes x, and every digit 9; so do signs that belong to a letter, as most vowels of Hindi and Thai do."""
    return "".join(MASKS.get(unicodedata.category(sign)[0], sign) for sign in text)


def without_values(message: str) -> str:
    """The first line of what an engine or a library says of rows; empty where it says nothing."""
    return VALUES.sub("…", next(iter(QUOTED.sub("'…'", message).strip().splitlines()), ""))
