"""What reads the files of each platform in tests: written anew from the documentation, sharing no code with what writes them.

Each loader gives rows as dictionaries, and raises Refused for what the platform's documentation says is not taken.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

Row = dict[str, str]


class Refused(Exception):  # noqa: N818  it is what the platform says
    """The platform does not take this file, or this row of it."""


def adobe_campaign(content: bytes) -> list[Row]:
    """Data loading (file): tab as separator, no string delimiter, the header first. Sizes of fields are documented of Standard only."""
    lines = content.decode("utf-8").split("\n")
    if lines.pop() != "":
        raise Refused("the last line has no end")
    header = lines[0].split("\t")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise Refused(f"line {number} has {len(fields)} fields")
        if any(sign in line for sign in '"\r'):
            raise Refused(f"line {number} has what a string delimiter or a line end could be")
        rows.append(dict(zip(header, fields, strict=True)))
    _unique(rows, "email")
    return rows


def salesforce_marketing_cloud(content: bytes, definition: dict[str, object]) -> list[Row]:
    """An import into a data extension: double quotes as text qualifier, columns inferred from the headings, types and keys of its fields."""
    table = _doubled_quotes(content.decode("utf-8"))
    fields = {field["Name"]: field for field in definition["Fields"]}  # type: ignore[attr-defined]
    if set(table[0]) != set(fields):
        raise Refused(f"columns that are no fields, or fields without a column: {set(table[0]) ^ set(fields)}")
    rows = [dict(zip(table[0], line, strict=True)) for line in table[1:]]
    _lengths(rows, {name: int(field["MaxLength"]) for name, field in fields.items() if "MaxLength" in field})
    for row in rows:
        for name, field in fields.items():
            value = row[name]
            if field["IsRequired"] and not value:
                raise Refused(f"{name} is required")
            if field["FieldType"] == "EmailAddress" and not _is_address(value):
                raise Refused(f"{name} is no address")
            if field["FieldType"] == "Phone" and value.startswith("+"):
                raise Refused(f"{name} begins with a plus")
    _unique(rows, next(name for name, field in fields.items() if field["IsPrimaryKey"]))
    return rows


def _doubled_quotes(text: str) -> list[list[str]]:
    """Sign by sign: a qualifier opens a field, two inside of it are one, and after the closing one a field ends."""
    table: list[list[str]] = []
    row: list[str] = []
    at = 0
    while at < len(text):
        value = ""
        if text[at] == '"':
            at += 1
            while text[at] != '"' or text[at : at + 2] == '""':
                value += text[at]
                at += 2 if text[at] == '"' else 1
            at += 1
        else:
            while text[at] not in ",\n":
                if text[at] == '"':
                    raise Refused("a qualifier inside of a bare value")
                value += text[at]
                at += 1
        row.append(value)
        if text[at] not in ",\n":
            raise Refused("text after a closing qualifier")
        if text[at] == "\n":
            table.append(row)
            row = []
        at += 1
    if row or any(len(line) != len(table[0]) for line in table):
        raise Refused("rows of different lengths")
    return table


def _is_address(value: str) -> bool:
    """One @, at most 100 characters before it and 254 in all, two or more in the top-level domain, no blanks, one byte each."""
    local, _, domain = value.partition("@")
    plain = value.isascii() and value.isprintable() and " " not in value and value.count("@") == 1
    return plain and 0 < len(local) <= 100 and len(value) <= 254 and "." in domain and len(domain.rpartition(".")[2]) >= 2


def oracle_eloqua(content: bytes, *, match: str = "EmailAddress") -> list[Row]:
    """A scheduled import: RFC 4180 with comma, pipe or semicolon and never tab; a header; contact text of at most 100 characters;
    dates without milliseconds; the match field unique, and without a no-break space.
    """
    text = content.decode("utf-8")
    first = text.partition("\n")[0]
    delimiters = [sign for sign in ",|;" if sign in first]
    if len(delimiters) != 1 or "\t" in first:
        raise Refused("no delimiter that is known")
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiters[0], strict=True))
    if any(len(line) != len(table[0]) for line in table):
        raise Refused("rows of different lengths")
    rows = [dict(zip(table[0], line, strict=True)) for line in table[1:]]
    _lengths(rows, dict.fromkeys(table[0], 100))
    for row in rows:
        if "\u00a0" in row["EmailAddress"] or not row["EmailAddress"]:
            raise Refused("an address that cannot be used")
        if any(re.search(r"\d\d:\d\d:\d\d\.\d", value) for value in row.values()):
            raise Refused("a time with milliseconds")
    _unique(rows, match)
    return rows


def oracle_responsys(content: bytes, *, match: str = "EMAIL_ADDRESS_") -> list[Row]:
    """A Connect job: comma, double quotes around every value, names of fields as the system takes them, I or O as permission."""
    table = []
    for line in content.decode("utf-8").splitlines(keepends=True):
        fields = re.fullmatch(r'((?:"(?:[^"]|"")*"|)(?:,(?:"(?:[^"]|"")*"|))*)\n', line)
        if fields is None:
            raise Refused("a value without quotes, or a line end inside of one")
        found = re.findall(r'(?:^|,)(?:"((?:[^"]|"")*)"|(?=,|$))', fields[1])
        table.append([value.replace('""', '"') for value in found])
    header = table[0]
    for name in header:
        custom = not name.endswith("_") or name in SYSTEM
        if not (re.fullmatch(r"[A-Za-z][A-Za-z0-9$#_]{0,29}", name) and custom and name.lower() not in RESERVED):
            raise Refused(f"{name} is no name of a field")
    rows = [dict(zip(header, line, strict=True)) for line in table[1:]]
    _lengths(rows, {"EMAIL_ADDRESS_": 500, "MOBILE_NUMBER_": 50, "CITY_": 50, "STATE_": 50, "POSTAL_CODE_": 25, "CUSTOMER_ID_": 255})
    if any(row.get("EMAIL_PERMISSION_STATUS_", "") not in ("I", "O", "") for row in rows):
        raise Refused("a permission that is neither I nor O")
    _unique(rows, match)
    return rows


SYSTEM = {"EMAIL_ADDRESS_", "EMAIL_PERMISSION_STATUS_", "MOBILE_NUMBER_", "CITY_", "STATE_", "POSTAL_CODE_", "CUSTOMER_ID_"}
RESERVED = {"date", "start", "user", "number", "level", *"aegkmptu"}


def _lengths(rows: list[Row], most: dict[str, int]) -> None:
    for name, length in most.items():
        if any(len(row[name]) > length for row in rows if name in row):
            raise Refused(f"{name} has more than {length} characters")


def _unique(rows: list[Row], key: str) -> None:
    values = [row[key] for row in rows]
    if "" in values or len(set(values)) < len(values):
        raise Refused(f"{key} is empty, or not unique")


LOADERS: dict[str, Callable[..., list[Row]]] = {
    "adobe_campaign": adobe_campaign,
    "salesforce_marketing_cloud": salesforce_marketing_cloud,
    "oracle_eloqua": oracle_eloqua,
    "oracle_responsys": oracle_responsys,
}
