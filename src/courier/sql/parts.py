"""What is known of a part of an expression: how it is written, and its type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from courier import xdm

TEXT, INT, LONG, DOUBLE, TRUTH, DATE, TIME = (
    pa.string(),
    pa.int32(),
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("us", "UTC"),
)


class RefusedError(Exception):
    """What was found in an expression that cannot be used, and what to write instead. `parse` says where."""

    def __init__(self, found: str, fix: str | None = None) -> None:
        self.found, self.fix = found, fix
        super().__init__(found)


@dataclass(frozen=True)
class Part:
    """A part of an expression: how it is written, its type (None: unknown), and its value where it is a literal. `digits` are those
    that Spark gives a computed decimal, and how many of them stand after the point.
    """

    sql: str
    kind: pa.DataType | None
    text: str | None = None
    number: str | None = None
    digits: tuple[int, int] | None = None

    @property
    def family(self) -> str:
        kind = self.kind
        if kind is None:
            return "unknown"
        for name, test in FAMILIES.items():
            if test(kind):
                return name
        return "other"

    @property
    def is_small(self) -> bool:
        """Whether it goes into 32 bits."""
        return self.kind is not None and self.kind.bit_width <= INT.bit_width and self.kind != pa.uint32()


FAMILIES: dict[str, Callable[[pa.DataType], bool]] = {
    "null": pa.types.is_null,
    "text": xdm.is_text,
    "whole number": pa.types.is_integer,
    "decimal": pa.types.is_decimal,
    "double": pa.types.is_floating,
    "boolean": pa.types.is_boolean,
    "date": pa.types.is_date,
    "timestamp": pa.types.is_timestamp,
    "array": xdm.is_array,
    "map": pa.types.is_map,
    "struct": pa.types.is_struct,
}
NUMBERS = {"whole number", "decimal", "double"}


def families(values: Sequence[Part]) -> set[str]:
    """Those that are known."""
    return {value.family for value in values} - {"null", "unknown"}


def call(name: str, given: Sequence[Part]) -> str:
    return f"{name}({', '.join(each.sql for each in given)})"


def kind_of(values: Sequence[Part]) -> pa.DataType | None:
    """The type of values that are of one type."""
    return next((value.kind for value in values if value.family != "null"), pa.null())
