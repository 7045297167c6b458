"""Layouts of times in names: yyyy-MM-dd'T'HHmmss as Java writes them, MMDDYYYY_HHMMSS as Adobe's pages do.

    yyyy YYYY   the calendar's year          HH   hour, 00 to 23
    MM          month                        mm   minute; and MM right after HH, at the end or before the seconds
    dd DD       day of the month             ss   second; and SS right after the minutes
    'text'      text as it is; two quotes ('') are one

Java's YYYY is the year that the week belongs to, and its DD the day of the year: on 31 December a file would carry the next
year's date. Adobe's own layouts have both letters and mean the calendar's, so here they do. What could be read in two ways is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from courier.errors import ConfigError

YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = "%Y", "%m", "%d", "%H", "%M", "%S"
FIELDS = {"yyyy": YEAR, "YYYY": YEAR, "MM": MONTH, "dd": DAY, "DD": DAY, "HH": HOUR, "mm": MINUTE, "ss": SECOND, "SS": SECOND}
#: Adobe's pages describe the default name so. Read by the letters it would have minutes for a month.
DESCRIBED = {"yyyymmddhhmmss": "yyyyMMddHHmmss"}
DEFAULT = "yyyyMMdd_HHmmss"

#: What is found and what is expected where months and minutes are taken for each other.
MINUTES_APART = ("mm without HH before it", "MM for the month")
MONTH_AFTER_HOUR = ("MM after HH", "mm for minutes, or the month before the hour")

PIECE = re.compile(r"''|'(?:[^']|'')+'|([^\W\d_])\1*|.", re.DOTALL)


def written(layout: str, moment: datetime) -> str:
    """The moment, in UTC, in a layout that `check` has passed."""
    utc = moment.astimezone(UTC)
    return "".join(utc.strftime(directive) if directive else text for text, directive in _read("", layout))


def check(where: str, layout: str) -> None:
    """Raise ConfigError for a layout that cannot be read, or could be read in two ways."""
    if not any(directive for _, directive in _read(where, layout)):
        raise _refused(where, layout, layout, "at least one of yyyy, MM, dd, HH, mm and ss")


def check_minutes(where: str, layout: str) -> None:
    """Raise ConfigError where months and minutes stand in each other's place. For layouts in which MM is always the month."""
    before = ""
    for field in (match[0] for match in PIECE.finditer(layout) if match[1]):
        if field == "mm" and before != "HH":
            raise _refused(where, layout, *MINUTES_APART)
        if field == "MM" and before == "HH":
            raise _refused(where, layout, *MONTH_AFTER_HOUR)
        before = field


def _read(where: str, layout: str) -> list[tuple[str, str]]:
    """Text, and in its place the directive of strftime where it is a field."""
    pieces = [match[0] for match in PIECE.finditer(DESCRIBED.get(layout, layout))]
    fields = [piece for piece in pieces if piece[0].isalpha()]
    read: list[tuple[str, str]] = []
    number, before = 0, ""
    for piece in pieces:
        if not piece[0].isalpha():
            read.append((_unquoted(where, layout, piece), ""))
            continue
        number += 1
        before = _directive(where, layout, piece, before, fields[number] if number < len(fields) else "")
        read.append((piece, before))
    return read


def _unquoted(where: str, layout: str, piece: str) -> str:
    if piece == "'":
        raise _refused(where, layout, piece, "a second quote that ends the text")
    return "'" if piece == "''" else piece.removeprefix("'").removesuffix("'").replace("''", "'")


def _directive(where: str, layout: str, field: str, before: str, after: str) -> str:
    """What a field means between its neighbours: the directive of the one before, the letters of the one after."""
    if field not in FIELDS:
        raise _refused(where, layout, field, "yyyy, MM, dd, HH, mm and ss, and all other letters in quotes: 'T'")
    if field == "MM" and before == HOUR:
        if after in ("", "ss", "SS"):
            return MINUTE
        raise _refused(where, layout, *MONTH_AFTER_HOUR)
    if field == "mm" and before != HOUR:
        raise _refused(where, layout, *MINUTES_APART)
    if field == "SS" and before != MINUTE:
        raise _refused(where, layout, "SS without the minutes before it", "ss for seconds; there are no fractions")
    return FIELDS[field]


def _refused(where: str, layout: str, found: str, expected: str) -> ConfigError:
    return ConfigError(f"The layout '{layout}' of a time cannot be used", where=where, found=found, expected=expected)
