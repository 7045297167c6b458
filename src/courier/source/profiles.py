"""Step read: find the Parquet files, assert their schema by their footers, open them as a DataFrame of profiles.

One row is one profile. Everything that can be known without reading a value is known before an engine starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from courier import xdm
from courier.config import SourceConfig
from courier.engine import Engine, source_errors
from courier.errors import MissingPathError, SourceError
from courier.source import listing
from courier.source.listing import LIST, SOURCE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

FOOTERS_AT_ONCE = 16
CSV = (".csv", ".csv.gz")
#: What Spark reads unsigned numbers as.
SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}


@dataclass(frozen=True)
class ProfileSource:
    """The files of the source, as their footers describe them. `profiles` is the number of rows of all files; `others` are
    the files whose schema is not that of the first.
    """

    files: list[str]
    schema: pa.Schema
    profiles: int
    others: dict[str, pa.Schema]


def inspect(source: SourceConfig) -> ProfileSource:
    """List the files and read their footers. Raises SourceError for a missing or empty source and an unreadable file."""
    filesystem, prefix, path = listing.opened(source)
    files = listing.listed(filesystem, path, source.path if prefix else path)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(lambda file: _footer(filesystem, file), files))
    first = footers[0][0]
    others = {file: schema for file, (schema, _) in zip(files, footers, strict=True) if not schema.equals(first)}
    return ProfileSource([prefix + file for file in files], first, sum(rows for _, rows in footers), others)


@contextmanager
def told_of_others(source: ProfileSource) -> Iterator[None]:
    """Paths are looked up in the first file, the oldest one often. Where others have what it has not, the error says so."""
    try:
        yield
    except MissingPathError as error:
        having = [file for file, schema in source.others.items() if xdm.exists(error.path, schema)]
        if xdm.exists(error.path, source.schema) or not having:
            raise
        raise SourceError(
            f"A file of the source has no '{error.path}', which others have",
            where=source.files[0],
            found=f"it is in {having[0]}",
            fix="write that file with the column, null where nothing is known, or leave it out of source.path",
        ) from error


def assert_alike(source: ProfileSource, paths: Iterable[str]) -> None:
    """Raise SourceError unless every file has all of these XDM paths, and with the same types."""
    for path in paths:
        kind = xdm.resolve(path, source.schema, "source")[1]
        for file, schema in source.others.items():
            found = xdm.resolve(path, schema, file)[1]
            if found != kind:
                raise SourceError(
                    f"Files of the source disagree about the type of '{path}'", where=file, found=_shown(found), expected=_shown(kind)
                )


def assert_mergeable(source: ProfileSource) -> None:
    """Raise SourceError for a column, whatever it is for, that has another type in another file: Sail reads no such files together."""
    for file, schema in source.others.items():
        differing = next(_differing(pa.struct(list(source.schema)), pa.struct(list(schema))), None)
        if differing:
            name, expected, found = differing
            raise SourceError(
                f"Files of the source disagree about the type of '{name}'",
                where=file,
                found=_shown(found),
                expected=_shown(expected),
                fix="write the files alike, or engine=spark",
            )


def _differing(one: pa.DataType, other: pa.DataType, name: str = "") -> Iterator[tuple[str, pa.DataType, pa.DataType]]:
    """What both have, and not alike: its path and both types. Fields of structs have no order, those inside of maps have."""
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        for field in one:
            if other.get_field_index(field.name) >= 0:
                yield from _differing(field.type, other.field(field.name).type, f"{name}.{field.name}".lstrip("."))
    elif xdm.is_array(one) and one.id == other.id:
        yield from _differing(one.value_type, other.value_type, f"{name}[]")
    elif one != other and not any(pa.types.is_null(kind) for kind in (one, other)):
        yield name, one, other


def _shown(kind: pa.DataType) -> str:
    """A type; of a map what is in it, in which files differ."""
    while pa.types.is_map(kind):
        kind = kind.item_type
    return str(kind)


def list_columns(
    path: str, source: SourceConfig, where: str, csv_columns: Callable[[Callable[[], pa.NativeFile]], list[str]]
) -> dict[str, dict[str, pa.DataType]]:
    """The files of a list beside the source (Parquet, or CSV with a header; read with the source's keys), and the columns of each.
    The columns of CSV are texts, in their order; `csv_columns` is given what opens the file.
    """
    filesystem, prefix, rest = listing.opened(replace(source, path=path))
    files = listing.listed(filesystem, rest, f"{where}.path: {path}", (".parquet", *CSV), LIST)

    def columns(file: str) -> dict[str, pa.DataType]:
        if not file.endswith(CSV):
            schema = _footer(filesystem, file, LIST)[0]
            return dict(zip(schema.names, schema.types, strict=True))
        try:
            return dict.fromkeys(csv_columns(lambda: filesystem.open_input_stream(file)), pa.string())
        except (OSError, pa.ArrowException, ValueError) as exc:
            raise SourceError(f"{LIST} cannot be read", where=f"{where}: {file}", found=str(exc)[:200]) from exc

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        return {prefix + file: found for file, found in zip(files, pool.map(columns, files), strict=True)}


def _footer(filesystem: pafs.FileSystem, file: str, what: str = SOURCE) -> tuple[pa.Schema, int]:
    try:
        with filesystem.open_input_file(file) as stream:
            parquet = pq.ParquetFile(stream)
            return parquet.schema_arrow, parquet.metadata.num_rows
    except (OSError, pa.ArrowException) as exc:
        of_what, found = f"{what[0].lower()}{what[1:]}", str(exc)[:200]
        fix = "write it again, whole and as Parquet: no other format is read" if what == SOURCE else "write it again, whole"
        raise SourceError(f"A file of {of_what} is no readable Parquet file", where=file, found=found, fix=fix) from exc


def read(engine: Engine, source: ProfileSource) -> DataFrame:
    """Open the inspected files, and no others, as profiles."""
    with source_errors("opening the profiles"):
        reader = engine.session.read
        if engine.one_machine and any(_in_other_units(kind) for kind in source.schema.types):
            reader = reader.schema(_in_microseconds(source.schema))
        return reader.parquet(*[engine.path(file) for file in source.files])


def _in_other_units(kind: pa.DataType) -> bool:
    """Whether a timestamp inside of it is in milliseconds or nanoseconds, which Sail reads only where it is told of microseconds."""
    if pa.types.is_timestamp(kind):
        return bool(kind.unit != "us")
    return any(_in_other_units(kind.field(number).type) for number in range(kind.num_fields))


def _in_microseconds(schema: pa.Schema) -> StructType:
    """The columns as Spark has them."""
    from pyspark.sql.pandas.types import from_arrow_type  # noqa: PLC0415  an engine is loaded only by the steps that need one
    from pyspark.sql.types import StructType  # noqa: PLC0415

    columns = StructType()
    for column in _readable(pa.struct(list(schema))) or []:
        columns = columns.add(column.name, from_arrow_type(column.type, prefer_timestamp_ntz=True))
    return columns


def _readable(kind: pa.DataType) -> pa.DataType | None:
    """A type without the fields that no column can be made of, of which Sail reads none under a schema; None where nothing is left."""
    if pa.types.is_struct(kind):
        fields = [(field.name, inside) for field in kind if (inside := _readable(field.type))]
        return pa.struct(fields) if fields else None
    if xdm.is_array(kind):
        inside = _readable(kind.value_type)
        return pa.list_(inside) if inside else None
    if pa.types.is_map(kind):
        inside = _readable(kind.item_type)
        return pa.map_(kind.key_type, inside) if inside else None
    return SIGNED.get(kind, kind) if xdm.is_scalar(kind) else None
