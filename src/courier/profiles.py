"""Step read: find the Parquet files, assert their schema by their footers, open them as a DataFrame of profiles.

One row is one profile. Everything that can be known without reading a value is known before an engine starts.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from courier import xdm
from courier.buckets import open_bucket
from courier.config import SourceConfig
from courier.engine import Engine, source_errors
from courier.errors import ConfigError, SourceError
from courier.home import expanded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FOOTERS_AT_ONCE = 16
SOURCE, LIST = "The source", "The suppression list"
CSV = (".csv", ".csv.gz")


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
    filesystem, prefix, path = _filesystem(source)
    files = _list(filesystem, path, source.path)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(lambda file: _footer(filesystem, file), files))
    first = footers[0][0]
    others = {file: schema for file, (schema, _) in zip(files, footers, strict=True) if not schema.equals(first)}
    return ProfileSource([prefix + file for file in files], first, sum(rows for _, rows in footers), others)


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
    filesystem, prefix, rest = _filesystem(replace(source, path=path))
    files = _list(filesystem, rest, f"{where}.path: {path}", (".parquet", *CSV), LIST)

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


def _filesystem(source: SourceConfig) -> tuple[pafs.FileSystem, str, str]:
    """The filesystem of the source, the prefix that engines want before a path, and the path without it."""
    scheme, separator, rest = source.path.partition("://")
    if not separator:
        return pafs.LocalFileSystem(), "", str(expanded(source.path, "source.path").absolute())
    if scheme not in ("s3", "s3a"):
        raise ConfigError("source.path has a scheme that is not known", found=f"{scheme}://", expected="a local path or s3://bucket/path")
    try:
        return open_bucket(source), f"{scheme}://", rest
    except OSError as exc:
        raise SourceError("The source's S3 cannot be used", where=source.path, found=str(exc)[:300]) from exc


def _list(filesystem: pafs.FileSystem, path: str, shown: str, endings: tuple[str, ...] = (".parquet",), what: str = SOURCE) -> list[str]:
    """All files with these endings, sorted; names that begin with `_` or `.` are not data, by Spark's convention."""
    root, pattern = path, None
    try:
        info = filesystem.get_file_info(root)
        if info.type == pafs.FileType.NotFound and any(character in path for character in "*?["):
            pattern = path
            while any(character in root for character in "*?["):
                root = str(PurePosixPath(root).parent)
            info = filesystem.get_file_info(root)
        if info.type == pafs.FileType.NotFound:
            fix = "check source.path; `make profiles` writes a sample" if what == SOURCE else "check the path of the list"
            raise SourceError(f"{what} does not exist", where=shown, fix=fix)
        if info.type == pafs.FileType.File:
            return _assert_plain([root])
        entries = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
    except OSError as exc:
        raise SourceError(f"{what} cannot be listed", where=shown, found=str(exc)[:300]) from exc
    files = sorted(entry.path for entry in entries if entry.type == pafs.FileType.File and _is_data(entry.path, root, endings))
    if pattern:
        depth = pattern.count("/")
        files = [file for file in files if file.count("/") == depth and fnmatch.fnmatchcase(file, pattern)]
    if not files:
        kinds = "Parquet files" if what == SOURCE else "Parquet or CSV files"
        raise SourceError(f"{what} has no {kinds}", where=shown, expected=f"files that end in {', '.join(endings)}")
    return _assert_plain(files)


def _assert_plain(files: list[str]) -> list[str]:
    for file in files:
        if any(character in file for character in "*?[]{}"):
            raise SourceError(
                "A file of the source has a name that engines take for a pattern", where=file, expected="a path without * ? [ ] { }"
            )
    return files


def _is_data(path: str, root: str, endings: tuple[str, ...]) -> bool:
    parts = PurePosixPath(path).relative_to(root).parts
    return path.endswith(endings) and not any(part.startswith(("_", ".")) for part in parts)


def _footer(filesystem: pafs.FileSystem, file: str, what: str = SOURCE) -> tuple[pa.Schema, int]:
    try:
        with filesystem.open_input_file(file) as stream:
            parquet = pq.ParquetFile(stream)
            return parquet.schema_arrow, parquet.metadata.num_rows
    except (OSError, pa.ArrowException) as exc:
        raise SourceError(f"A file of {what[0].lower()}{what[1:]} is no readable Parquet file", where=file, found=str(exc)[:200]) from exc


def read(engine: Engine, source: ProfileSource) -> DataFrame:
    """Open the inspected files, and no others, as profiles."""
    with source_errors("opening the profiles"):
        return engine.session.read.parquet(*[engine.path(file) for file in source.files])
