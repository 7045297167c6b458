"""Characters: as patterns, and what comes near one that an encoding has not."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

#: Of what Unicode gives no way to something plainer, the most usual.
LIKE = {"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "€": "EUR", "ß": "ss"}
#: ł, ø, đ: letters with a mark that is part of them.
NOT_SEEN = ("Mn", "Me", "Cf")
MARKED_LETTER = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z]) WITH .*")


def one_of(characters: str, *, each: bool = False) -> str:
    """A pattern that matches one of these characters; with `each`, all of them one after the other."""
    escaped = "".join(f"\\x{{{ord(character):x}}}" for character in characters)
    return escaped if each else f"[{escaped}]"


def unencodable(codec: str) -> str | None:
    """A pattern that matches one character which the encoding has not; None where it has all."""
    if codec.startswith("utf"):
        return None
    points = sorted(ord(character) for character in bytes(range(256)).decode(codec, "ignore"))
    starts = [points[0], *(after for before, after in pairwise(points) if after != before + 1)]
    ends = [*(before for before, after in pairwise(points) if after != before + 1), points[-1]]
    return "[^" + "".join(f"\\x{{{start:x}}}-\\x{{{end:x}}}" for start, end in zip(starts, ends, strict=True)) + "]"


def likeness(character: str, codec: str) -> str:
    """What comes near a character in an encoding without it: its letter without marks, its compatible form, else `?`.

    Marks and invisible signs become nothing: the letter before them stays.
    """
    marked = MARKED_LETTER.fullmatch(unicodedata.name(character, ""))
    if marked:
        return marked[2].lower() if marked[1] == "SMALL" else marked[2]
    plain = LIKE.get(character) or unicodedata.normalize("NFKD", character)
    near = "".join(part for part in plain if unicodedata.category(part) not in NOT_SEEN)
    return near.encode(codec, "ignore").decode(codec) or ("?" if near else "")
