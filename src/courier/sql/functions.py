"""The functions that an expression may call, as data.

What each takes and gives is what Spark's reference says under its name (https://spark.apache.org/docs/4.1.0/api/sql/#concat_ws);
that both engines compute it alike, as the writer writes it, is what its example in tests/engine/test_expressions.py shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import pyarrow as pa

from courier import xdm
from courier.sql.parts import DATE, INT, LONG, TEXT, TIME, TRUTH
from courier.xdm import VAGUE


class Takes(Enum):
    """What a function does with its arguments, as far as engines differ in it."""

    ANYTHING = "anything"
    LAMBDA = "an array, and a lambda over its elements"
    TEXTS = "texts: what is none is written as one, but for fractions, which each engine writes in its own way"
    TIMES = "a day or a time first, and never a text, which each engine would read in its own way"
    BRANCHES = "values of which it gives one, or an array: of one type, since Sail takes the first one's for all"


@dataclass(frozen=True)
class Function:
    """`least`, `most`: how many arguments (None: any number). `gives`: its type, or how that follows from the first argument's.

    `whole`: which arguments are whole numbers of 32 bits, and the least that each can be: engines read what is below differently.
    """

    least: int
    most: int | None
    gives: pa.DataType | Callable[[pa.DataType | None], pa.DataType | None] | None
    takes: Takes = Takes.ANYTHING
    whole: dict[int, int | None] = field(default_factory=dict)

    def kind(self, first: pa.DataType | None) -> pa.DataType | None:
        """Of what it gives; None where that is not known."""
        return self.gives(first) if callable(self.gives) else self.gives


def _same(kind: pa.DataType | None) -> pa.DataType | None:
    return kind


def _rounded(kind: pa.DataType | None) -> pa.DataType | None:
    if kind is None:
        return None
    return LONG if pa.types.is_floating(kind) else VAGUE if pa.types.is_decimal(kind) else kind


def _element(kind: pa.DataType | None) -> pa.DataType | None:
    return kind.value_type if kind is not None and xdm.is_array(kind) else None


def _found(kind: pa.DataType | None) -> pa.DataType | None:
    return kind.item_type if kind is not None and pa.types.is_map(kind) else _element(kind)


def _keys(kind: pa.DataType | None) -> pa.DataType | None:
    return pa.list_(kind.key_type) if kind is not None and pa.types.is_map(kind) else None


def _values(kind: pa.DataType | None) -> pa.DataType | None:
    return pa.list_(kind.item_type) if kind is not None and pa.types.is_map(kind) else None


def _text_or_array(kind: pa.DataType | None) -> pa.DataType | None:
    return kind if kind is not None and xdm.is_array(kind) else TEXT


TEXTS, TIMES, BRANCHES, LAMBDA = Takes.TEXTS, Takes.TIMES, Takes.BRANCHES, Takes.LAMBDA
FUNCTIONS: dict[str, Function] = {
    # numbers
    "abs": Function(1, 1, _same),
    "ceil": Function(1, 2, _rounded),
    "floor": Function(1, 2, _rounded),
    # texts
    "concat": Function(1, None, _text_or_array, TEXTS),
    "concat_ws": Function(1, None, TEXT, TEXTS),
    "crc32": Function(1, 1, LONG, TEXTS),
    "left": Function(2, 2, TEXT, TEXTS, {1: 0}),
    "length": Function(1, 1, INT, TEXTS),
    "lower": Function(1, 1, TEXT, TEXTS),
    "lpad": Function(2, 3, TEXT, TEXTS, {1: 0}),
    "ltrim": Function(1, 2, TEXT, TEXTS),
    "md5": Function(1, 1, TEXT, TEXTS),
    "regexp_extract": Function(2, 3, TEXT, TEXTS, {2: None}),
    "regexp_replace": Function(3, 3, TEXT, TEXTS),
    "replace": Function(2, 3, TEXT, TEXTS),
    "reverse": Function(1, 1, _text_or_array, TEXTS),
    "right": Function(2, 2, TEXT, TEXTS, {1: 0}),
    "rpad": Function(2, 3, TEXT, TEXTS, {1: 0}),
    "rtrim": Function(1, 2, TEXT, TEXTS),
    "sha1": Function(1, 1, TEXT, TEXTS),
    "sha2": Function(2, 2, TEXT, TEXTS, {1: None}),
    "split": Function(2, 3, pa.list_(TEXT), TEXTS, {2: None}),
    "substring": Function(2, 3, TEXT, TEXTS, {1: 1, 2: 0}),
    "translate": Function(3, 3, TEXT, TEXTS),
    "trim": Function(1, 2, TEXT, TEXTS),
    "upper": Function(1, 1, TEXT, TEXTS),
    # days and times
    "add_months": Function(2, 2, DATE, TIMES, {1: None}),
    "date_add": Function(2, 2, DATE, TIMES, {1: None}),
    "date_format": Function(2, 2, TEXT, TIMES),
    "date_sub": Function(2, 2, DATE, TIMES, {1: None}),
    "datediff": Function(2, 2, INT, TIMES),
    "day": Function(1, 1, INT, TIMES),
    "from_utc_timestamp": Function(2, 2, TIME, TIMES),
    "month": Function(1, 1, INT, TIMES),
    "to_timestamp": Function(1, 2, TIME),
    "try_to_timestamp": Function(1, 2, TIME),
    "year": Function(1, 1, INT, TIMES),
    # one of several values
    "coalesce": Function(1, None, None, BRANCHES),
    "greatest": Function(2, None, None, BRANCHES),
    "if": Function(3, 3, None, BRANCHES),
    "ifnull": Function(2, 2, None, BRANCHES),
    "least": Function(2, None, None, BRANCHES),
    "nullif": Function(2, 2, None, BRANCHES),
    "nvl": Function(2, 2, None, BRANCHES),
    # arrays and maps
    "array": Function(0, None, None, BRANCHES),
    "array_distinct": Function(1, 1, _same),
    "array_join": Function(2, 3, TEXT, TEXTS),
    "array_sort": Function(1, 2, _same, LAMBDA),
    "exists": Function(2, 2, TRUTH, LAMBDA),
    "filter": Function(2, 2, _same, LAMBDA),
    "flatten": Function(1, 1, _element),
    "get": Function(2, 2, _element, whole={1: None}),
    "map_keys": Function(1, 1, _keys),
    "map_values": Function(1, 1, _values),
    "size": Function(1, 1, INT),
    "slice": Function(3, 3, _same, whole={1: 1, 2: 0}),
    "sort_array": Function(1, 2, _same),
    "transform": Function(2, 2, None, LAMBDA),
    "try_element_at": Function(2, 2, _found),
    # written with a type: cast(… as int)
    "cast": Function(1, 1, None),
    "try_cast": Function(1, 1, None),
}
#: A value that cannot be read is null: one bad value must not fail a run, nor show itself in an error.
RENAMED = {"cast": "try_cast", "to_timestamp": "try_to_timestamp"}
#: Functions on which engines differ, and what to write instead.
INSTEAD = {
    "array_contains": "exists(ARRAY, x -> x = VALUE)",
    "arrays_zip": "transform(ARRAY, (x, i) -> …)",
    "current_date": "a run has as_of and no clock",
    "current_timestamp": "a run has as_of and no clock",
    "element_at": "get(ARRAY, INDEX) or try_element_at(MAP, KEY)",
    "first": "an index of a path (loyalty.loyaltyID[0]), or get(ARRAY, 0)",
    "initcap": "the value as it is, or upper(left(…, 1))",
    "named_struct": "json: true on a column whose source is a struct",
    "now": "a run has as_of and no clock",
    "round": "format: '0.00' for the column, or cast(… as decimal(18,2))",
    "sha256": "sha2(…, 256)",
    "sha512": "sha2(…, 512)",
    "to_date": "cast(… as date), or cast(to_timestamp(…, 'dd.MM.yyyy') as date)",
    "to_json": "json: true on a column with a source",
}
#: Functions whose second argument is a pattern of dates, and those whose is a regular expression.
PATTERNS = ("date_format", "to_timestamp", "try_to_timestamp")
REGULAR = ("regexp_extract", "regexp_replace", "split")
