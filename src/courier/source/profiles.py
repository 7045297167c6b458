"""Step read: find the Parquet files, assert their schema by their footers, open them as a DataFrame of profiles.

One row is one profile. Everything that can be known without reading a value is known before an engine starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from courier import xdm
from courier.config import SourceConfig
from courier.engine import Engine, source_errors
from courier.errors import MissingPathError, SourceError
from courier.source import kinds, listing
from courier.source.listing import LIST, SOURCE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FOOTERS_AT_ONCE = 16
#: What an engine keeps of each value beside its text.
VALUE_BYTES = 16
CSV = (".csv", ".csv.gz")
#: A line that has not the columns of the header, which is quoted: somebody stands there.
ROW = re.compile(r"(?<=columns, got )(\d+):.*", re.DOTALL)


@dataclass(frozen=True)
class ProfileSource:
    """The files of the source, as their footers describe them. `profiles` is the number of rows of all files; `others` are
    the files whose schema is not that of the first, in plain types as well; `written` is the first file's as its writer has called
    it, and `others_written` that of the files where it is another. `largest`: the footer of the file with the most bytes.
    """

    files: list[str]
    schema: pa.Schema
    profiles: int
    others: dict[str, pa.Schema]
    written: pa.Schema
    others_written: dict[str, pa.Schema]
    int96: bool
    largest: pq.FileMetaData

    def row_bytes(self, read: Iterable[str], columns: int) -> int:
        """About what a row of so many columns takes in memory while it is computed, where these parts of a profile are read: by what
        the largest file has, as it is encoded before compression.
        """
        footer, below = self.largest, tuple(f"{part}." for part in read)
        leaves = [number for number in range(footer.num_columns) if f"{footer.schema.column(number).path}.".startswith(below)]
        groups = map(footer.row_group, range(footer.num_row_groups))
        size = sum(int(group.column(number).total_uncompressed_size) for group in groups for number in leaves)
        return size // max(1, int(footer.num_rows)) + VALUE_BYTES * columns


class Footer(NamedTuple):
    """What a file's footer tells. `int96`: whether a timestamp of it is one."""

    schema: pa.Schema
    int96: bool
    metadata: pq.FileMetaData


def inspect(source: SourceConfig) -> ProfileSource:
    """List the files and read their footers. Raises SourceError for a missing or empty source and an unreadable file."""
    filesystem, prefix, path = listing.opened(source)
    files = listing.listed(filesystem, path, source.path if prefix else path)
    schemas, profiles, int96, largest, most = list[pa.Schema](), 0, False, None, -1
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        for footer in pool.map(lambda file: _footer(filesystem, file), files):  # what thousands of them have would fill the memory
            schemas.append(footer.schema)
            profiles, int96 = profiles + footer.metadata.num_rows, int96 or footer.int96
            if (size := _size(footer.metadata)) > most:
                largest, most = footer.metadata, size
    written = schemas[0]
    others_written = {file: schema for file, schema in zip(files, schemas, strict=True) if not schema.equals(written)}
    first = kinds.plain(written)
    others = {file: plain for file, schema in others_written.items() if not (plain := kinds.plain(schema)).equals(first)}
    return ProfileSource([prefix + file for file in files], first, profiles, others, written, others_written, int96, largest)


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
                    f"Files of the source disagree about the type of '{path}'",
                    where=file,
                    found=kinds.shown(found),
                    expected=kinds.shown(kind),
                )


def assert_read_by_spark(source: ProfileSource, paths: Iterable[str]) -> None:
    """Raise SourceError where one of these paths is a timestamp that Spark does not read."""
    for path in paths:
        if kinds.in_nanoseconds(xdm.resolve(path, source.schema, "source")[1]):
            raise SourceError(
                f"'{path}' is in nanoseconds, which Spark does not read",
                where=source.files[0],
                fix="write timestamps in microseconds, or engine=sail",
            )


def assert_read_by_sail(source: ProfileSource, paths: Iterable[str]) -> None:
    """Raise SourceError for a column, whatever it is for, that has another type in another file: Sail reads no such files together;
    and for one of these paths whose writer has called it what Sail has not.
    """
    first = source.written
    for file, schema in source.others_written.items():
        differing = next(kinds.differing(pa.struct(list(first)), pa.struct(list(schema))), None)
        if differing:
            name, expected, found = differing
            raise SourceError(
                f"Files of the source disagree about the type of '{name}'",
                where=file,
                found=kinds.shown(found),
                expected=kinds.shown(expected),
                fix="write the files alike, or engine=spark",
            )
    for path in paths:
        kind = xdm.resolve(path, first, "source")[1]
        if kinds.in_words(kind):
            raise SourceError(
                f"'{path}' is of a type that Sail does not read",
                where=source.files[0],
                found=kinds.shown(kind),
                expected=kinds.shown(xdm.resolve(path, source.schema, "source")[1]),
                fix="write it so (a category as text), or engine=spark",
            )


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
            schema = _footer(filesystem, file, LIST).schema
            return dict(zip(schema.names, schema.types, strict=True))
        try:
            return dict.fromkeys(csv_columns(lambda: filesystem.open_input_stream(file)), pa.string())
        except (OSError, pa.ArrowException, ValueError) as exc:
            found = ROW.sub(r"\1", str(exc))[:200]
            raise SourceError(f"{LIST} cannot be read", where=f"{where}: {file}", found=found) from exc

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        return {prefix + file: found for file, found in zip(files, pool.map(columns, files), strict=True)}


def _footer(filesystem: pafs.FileSystem, file: str, what: str = SOURCE) -> Footer:
    with _readable(file, what), filesystem.open_input_file(file) as stream:
        # As int96 is read by engines: dates such as 9999-12-31 are no nanoseconds.
        parquet = pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")
        leaves = (parquet.schema.column(number) for number in range(len(parquet.schema)))
        int96 = any(leaf.physical_type == "INT96" for leaf in leaves)
        return Footer(parquet.schema_arrow, int96, parquet.metadata)


def _size(footer: pq.FileMetaData) -> int:
    return sum(int(footer.row_group(number).total_byte_size) for number in range(footer.num_row_groups))


@contextmanager
def _readable(file: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as exc:
        of_what, found = f"{what[0].lower()}{what[1:]}", str(exc)[:200]
        if isinstance(exc, PermissionError) or "ACCESS_DENIED" in found:  # of a disk, of S3
            raise SourceError(f"A file of {of_what} may not be read", where=file, found=found, fix="give this user the right to") from exc
        fix = "write it again, whole and as Parquet: no other format is read" if what == SOURCE else "write it again, whole"
        raise SourceError(f"A file of {of_what} is no readable Parquet file", where=file, found=found, fix=fix) from exc


def read(engine: Engine, source: ProfileSource) -> DataFrame:
    """Open the inspected files, and no others, as profiles."""
    with source_errors("opening the profiles"):
        reader = engine.session.read
        if engine.one_machine and (source.int96 or any(map(kinds.in_other_times, source.written.types))):
            reader = reader.schema(kinds.told(source.written, nanoseconds=True))
        elif not engine.one_machine and not source.int96 and any(map(kinds.is_strange, source.schema.types)):
            # With int96 it is not told: what is told would be without a zone, which Spark takes for another type.
            reader = reader.schema(kinds.told(source.schema, nanoseconds=False))
        return reader.parquet(*[engine.path(file) for file in source.files])
