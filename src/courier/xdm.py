"""XDM paths: `person.name.firstName`, `loyalty.loyaltyID[0]`, `identityMap.Email[0].id`, `identityMap['Phone_E.164'][0].id`.

A path is parsed, then walked through the schema of the source, which says whether a step is a field of a struct, a key
of a map or an index of an array. So a wrong path is found before any work, and the message names the nearest right one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from courier.errors import ConfigError, MissingPathError, SourceError, nearest

STEP = re.compile(r"""(?P<name>[^.\[\]'"]+) | \[(?P<index>\d+)\] | \[(?P<quote>['"])(?P<key>.+?)(?P=quote)\]""", re.VERBOSE)

#: The most that a decimal has in engines.
DIGITS = 38
#: A decimal of which engines know different numbers of digits: what an expression gives. No file can have its scale.
VAGUE = pa.decimal256(76, -1)


@dataclass(frozen=True)
class Field:
    """A field of a struct, or a column of the source."""

    name: str


@dataclass(frozen=True)
class Key:
    """A key of a map; a profile may or may not have it."""

    name: str


@dataclass(frozen=True)
class Index:
    """A place in an array, from 0; a profile's array may be shorter."""

    number: int


Step = Field | Key | Index


def parse(path: str) -> list[str | int]:
    """Split a path into names and indices. Raises ConfigError for a path that is none."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        if steps and path[position] == ".":
            position += 1
            if path[position : position + 1] == "[":
                raise _no_path(path)
        match = STEP.match(path, position)
        if match is None or (steps and match["name"] and path[position - 1] != "."):
            raise _no_path(path)
        steps.append(int(match["index"]) if match["index"] is not None else match["key"] or match["name"])
        position = match.end()
    if not steps or isinstance(steps[0], int) or path.endswith("."):
        raise _no_path(path)
    return steps


def _no_path(path: str) -> ConfigError:
    return ConfigError(
        "A source is no XDM path",
        found=repr(path),
        expected="such as person.name.firstName, loyalty.loyaltyID[0] or identityMap['Email'][0].id",
    )


def resolve(path: str, schema: pa.Schema, where: str) -> tuple[list[Step], pa.DataType]:
    """Walk `path` through `schema`: the typed steps, and the type at its end. Raises SourceError with the nearest path."""
    steps: list[Step] = []
    kind: pa.DataType = pa.struct(list(schema))
    walked = ""
    for part in parse(path):
        if pa.types.is_struct(kind):
            names = [field.name for field in kind]
            if part not in names:
                fix = nearest(_join(walked, part), [_join(walked, name) for name in names])
                raise MissingPathError(path, _join(walked, part), where=where, fix=fix)
            steps.append(Field(str(part)))
            kind = kind.field(str(part)).type
        elif pa.types.is_map(kind):
            steps.append(Key(str(part)))
            kind = kind.item_type
        elif is_array(kind) and isinstance(part, int):
            steps.append(Index(part))
            kind = kind.value_type
        elif is_array(kind):
            raise SourceError(f"'{walked}' is an array", where=f"{where}: {path}", expected=_index(walked, steps[-1], part))
        else:
            raise SourceError(f"'{walked}' has nothing inside it", where=f"{where}: {path}", found=f"type {kind}")
        walked = _join(walked, part)
    return steps, kind


def exists(path: str, schema: pa.Schema) -> bool:
    """Whether the schema has this path."""
    try:
        resolve(path, schema, "source")
    except SourceError:
        return False
    return True


def _index(walked: str, step: Step, part: str | int) -> str:
    """What goes on from an array; or stands in place of it, where a key with a dot was taken for two steps. Adobe writes `//.` there."""
    expected = f"an index, such as {walked}[0]"
    if isinstance(step, Key):
        key = f"{step.name}.{part}".replace("//.", ".")
        expected += f", or a key with a dot in brackets: {walked.removesuffix(f'.{step.name}')}['{key}']"
    return expected


def _join(walked: str, part: str | int) -> str:
    if isinstance(part, int):
        return f"{walked}[{part}]"
    return f"{walked}.{part}" if walked else part


def is_array(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_scalar(kind: pa.DataType) -> bool:
    """Whether a value of this type has one text in a file."""
    if pa.types.is_float16(kind) or (pa.types.is_decimal(kind) and kind.precision > DIGITS and kind != VAGUE):
        return False
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp)
    return is_text(kind) or any(test(kind) for test in tests)


def describe(kind: pa.DataType) -> str:
    """A type in a few words, for messages."""
    for test, word in ((pa.types.is_struct, "a struct"), (pa.types.is_map, "a map"), (is_array, "an array")):
        if test(kind):
            return word
    return str(kind)
