"""The types of profiles as engines read them.

What a writer's Arrow schema says beside a Parquet file is more than the file holds: categories are texts there. Spark reads the
file alone. Sail takes the writer at its word, has no such types, and reads files together only where these words are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

#: What Spark reads unsigned numbers as.
SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}
OTHER_LISTS = (pa.types.is_fixed_size_list, pa.types.is_list_view, pa.types.is_large_list_view)
#: What Sail has not, and what the file holds is something that it has.
WORDS = (pa.types.is_dictionary, pa.types.is_date64, pa.types.is_decimal32, pa.types.is_decimal64, *OTHER_LISTS)


def plain(schema: pa.Schema) -> pa.Schema:
    """A schema as the files themselves have it, alike for all that Spark reads alike."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema])


def plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if xdm.is_array(kind) or any(test(kind) for test in OTHER_LISTS):
        return pa.list_(plain_type(kind.value_type))
    return plain_type(kind.value_type) if pa.types.is_dictionary(kind) else _plain_value(kind)


def _plain_value(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):  # nanoseconds stay what they are, since Spark reads none
        return pa.timestamp("ns" if kind.unit == "ns" else "us", kind.tz and "UTC")
    if pa.types.is_decimal(kind) and kind.precision <= xdm.DIGITS:
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def in_other_times(kind: pa.DataType) -> bool:
    """Whether a timestamp inside of it is in milliseconds or nanoseconds, which Sail reads only where it is told of microseconds;
    or has its writer's time zone, by whose clock Sail shows it where it is not told of UTC.
    """
    return _has(kind, lambda each: pa.types.is_timestamp(each) and (each.unit != "us" or each.tz not in {None, "UTC"}))


def in_nanoseconds(kind: pa.DataType) -> bool:
    return _has(kind, lambda each: pa.types.is_timestamp(each) and each.unit == "ns")


def in_words(kind: pa.DataType) -> bool:
    """Whether Sail has not this type, or one inside of it."""
    return _has(kind, lambda each: any(test(each) for test in WORDS))


def is_strange(kind: pa.DataType) -> bool:
    """Whether Spark refuses a file that has it, read or not, unless it is told of the other columns."""

    def strange(each: pa.DataType) -> bool:
        of_parquet = isinstance(each, pa.BaseExtensionType) or pa.types.is_time(each) or pa.types.is_float16(each)
        return of_parquet or (pa.types.is_decimal(each) and each.precision > xdm.DIGITS)

    return in_nanoseconds(kind) or _has(kind, strange)


def _has(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    return test(kind) or any(_has(kind.field(number).type, test) for number in range(kind.num_fields))


def differing(one: pa.DataType, other: pa.DataType, name: str = "") -> Iterator[tuple[str, pa.DataType, pa.DataType]]:
    """What both have, and not alike: its path and both types. Fields of structs have no order, those inside of maps have."""
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        for field in one:
            if other.get_field_index(field.name) >= 0:
                yield from differing(field.type, other.field(field.name).type, f"{name}.{field.name}".lstrip("."))
    elif xdm.is_array(one) and one.id == other.id:
        yield from differing(one.value_type, other.value_type, f"{name}[]")
    elif one != other and not any(pa.types.is_null(kind) for kind in (one, other)):
        yield name, one, other


def shown(kind: pa.DataType) -> str:
    """A type; of a map what is in it, in which files differ, and whether its writer says that it has no nulls."""
    never_null = False
    while pa.types.is_map(kind):
        never_null = never_null or not kind.item_field.nullable
        kind = kind.item_type
    return f"{kind}, never null" if never_null else str(kind)


def told(schema: pa.Schema, *, nanoseconds: bool) -> StructType:
    """What an engine is told of a schema: the columns that it can read. `nanoseconds`: whether it reads those."""
    from pyspark.sql.pandas.types import from_arrow_type  # noqa: PLC0415  an engine is loaded only by the steps that need one
    from pyspark.sql.types import StructType  # noqa: PLC0415

    columns = StructType()
    for column in _readable(pa.struct(list(schema)), nanoseconds=nanoseconds) or []:
        columns = columns.add(column.name, from_arrow_type(column.type, prefer_timestamp_ntz=True))
    return columns


def _readable(kind: pa.DataType, *, nanoseconds: bool) -> pa.DataType | None:
    """A type without the fields that no column can be made of, of which engines read none under a schema; None where nothing is left."""
    if pa.types.is_struct(kind):
        fields = [(field.name, inside) for field in kind if (inside := _readable(field.type, nanoseconds=nanoseconds))]
        return pa.struct(fields) if fields else None
    if xdm.is_array(kind):
        inside = _readable(kind.value_type, nanoseconds=nanoseconds)
        return pa.list_(inside) if inside else None
    if pa.types.is_map(kind):
        inside = _readable(kind.item_type, nanoseconds=nanoseconds)
        return pa.map_(kind.key_type, inside) if inside and xdm.is_scalar(kind.key_type) else None
    if in_words(kind) or (in_nanoseconds(kind) and not nanoseconds):
        return None
    return SIGNED.get(kind, kind) if xdm.is_scalar(kind) else None
