"""Values of different types, made one type: what is compared, and what a value is taken of."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from courier.sql.parts import DOUBLE, INT, LONG, NUMBERS, TEXT, Part, RefusedError, families
from courier.xdm import VAGUE

ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?Z?)?")


def mixed(values: Sequence[Part]) -> RefusedError:
    names = list(dict.fromkeys(value.family for value in values if value.family not in ("null", "unknown")))
    return RefusedError(f"values of different types ({' and '.join(names)})", "cast(… as …), so that all are of one type")


def exact(value: Part) -> Part:
    """Engines compute fractions of 32 bits as such, or as doubles; so they become the double of their digits."""
    if value.kind is not None and pa.types.is_floating(value.kind) and value.kind != DOUBLE:
        return Part(f"cast(cast({value.sql} as string) as double)", DOUBLE)
    return value


def double(value: Part) -> Part:
    """By way of text, since engines make doubles of decimals each in its own way."""
    if value.family in ("double", "null", "unknown", "struct"):
        return value
    if value.number is not None:
        return Part(f"cast('{value.number}' as double)", DOUBLE)
    return Part(f"cast(cast({value.sql} as string) as double)" if value.family == "decimal" else f"cast({value.sql} as double)", DOUBLE)


def small(value: Part) -> Part:
    return value if value.kind != LONG else Part(f"try_cast({value.sql} as int)", INT)


def compared(values: list[Part]) -> list[Part]:
    known = families(values)
    if known <= NUMBERS:
        return [double(value) for value in values] if "double" in known else values
    moments = known - {"text"}
    if moments in ({"date"}, {"timestamp"}) and all(ISO.fullmatch(each.text or "") for each in values if each.family == "text"):
        return values
    if len(known) > 1:
        raise mixed(values)
    return values


def alike(values: list[Part]) -> list[Part]:
    """Values of which one is taken: of one type, since Sail takes the first one's for all."""
    known = families(values)
    if known <= NUMBERS and "double" in known:
        return [double(value) for value in values]
    if known == {"whole number"}:
        if len({str(value.kind) for value in values if value.family != "null"}) == 1:
            return values
        return [value if value.family == "null" else Part(f"cast({value.sql} as bigint)", LONG) for value in values]
    if known and known <= {"whole number", "decimal"}:
        return _decimals(values)
    if len(known) > 1:
        raise mixed(values)
    return values


def _decimals(values: list[Part]) -> list[Part]:
    known = {value.kind for value in values if value.kind is not None and value.family == "decimal"}
    if len({str(value.kind) for value in values if value.family != "null"}) == 1 and (VAGUE not in known or len(values) == 1):
        return values
    if VAGUE in known:
        raise RefusedError("decimals of different digits", "cast(… as decimal(18,2)) around each")
    scale = max(kind.scale for kind in known)
    whole = [len(each.number.lstrip("-")) if each.number else 20 for each in values if each.family == "whole number"]
    wanted = pa.decimal128(min(38, max([kind.precision - kind.scale for kind in known] + whole) + scale), scale)
    written = f"decimal({wanted.precision},{wanted.scale})"
    return [each if each.family == "null" else Part(f"cast({each.sql} as {written})", wanted) for each in values]


def as_text(value: Part) -> Part:
    """Of what has one text. Left to themselves, some functions of Sail take no number, and a timestamp each engine writes in its own way."""
    assert_text(value)
    if value.family not in ("whole number", "decimal", "boolean", "date", "timestamp"):
        return value
    return Part(f"cast({value.sql} as string)", TEXT)


def assert_text(value: Part) -> None:
    inner = value.kind.value_type if value.family == "array" and value.kind is not None else value.kind
    if Part("", inner).family == "double":
        raise RefusedError("the text of a double, which engines write each in its own way", "cast(… as decimal(18,2)) around it")
