"""Which files a path of the source means, or of a list beside it: a file, a folder or a pattern, on a disk or in a bucket."""

from __future__ import annotations

import fnmatch
from contextlib import suppress
from pathlib import PurePosixPath

import pyarrow.fs as pafs

from courier.buckets import open_bucket
from courier.config import SourceConfig
from courier.errors import ConfigError, SourceError
from courier.home import expanded

SOURCE, LIST = "The source", "The suppression list"
#: What stands in the folder of a table, whose log says which of its files count.
LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}


def opened(source: SourceConfig) -> tuple[pafs.FileSystem, str, str]:
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


def listed(filesystem: pafs.FileSystem, path: str, shown: str, endings: tuple[str, ...] = (".parquet",), what: str = SOURCE) -> list[str]:
    """All files with these endings, sorted; names that begin with `_` or `.` are not data, by Spark's convention, but for folders
    such as `_day=1`, which are. Raises SourceError where there are none, and for one beside them that may be data, too.
    """
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
        _assert_outside_of_tables(filesystem, root, what)
        if info.type == pafs.FileType.File:
            return _assert_plain([root])
        entries = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
    except OSError as exc:
        advice = "check its path, source.region, source.endpoint_url and the keys" if isinstance(filesystem, pafs.S3FileSystem) else None
        raise SourceError(f"{what} cannot be listed", where=shown, found=str(exc)[:300], fix=advice) from exc
    sizes = {entry.path: entry.size for entry in entries if entry.type == pafs.FileType.File and not _is_hidden(entry.path, root)}
    there = sorted(sizes)
    if pattern:
        depth = pattern.count("/")
        there = [file for file in there if file.count("/") == depth and fnmatch.fnmatchcase(file, pattern)]
    files = [file for file in there if file.endswith(endings)]
    _assert_no_tables([entry.path for entry in entries], files, what)
    # Empty ones stand for folders in some buckets (day=1_$folder$).
    overlooked = next((file for file in there if sizes[file] and not file.endswith(endings) and _may_be_data(file, what)), None)
    if files and overlooked:
        raise SourceError(
            f"{what} has a file that would not be read",
            where=overlooked,
            expected=f"files that end in {', '.join(endings)}",
            fix="rename it, or put _ before its name to leave it out",
        )
    if not files:
        kinds = "Parquet files" if what == SOURCE else "Parquet or CSV files"
        found = f"other files, such as {PurePosixPath(there[0]).name}" if there else "no file"
        raise SourceError(f"{what} has no {kinds}", where=shown, found=found, expected=f"files that end in {', '.join(endings)}")
    return _assert_plain(files)


def _assert_outside_of_tables(filesystem: pafs.FileSystem, root: str, what: str) -> None:
    """Raise SourceError for what is a part of a table, such as `day=2026-11-01` of it."""
    for folder in PurePosixPath(root).parents:
        for log, kind in LOGS.items() if folder.name else ():
            with suppress(OSError):  # a login may see no more of a bucket than its own folder
                if filesystem.get_file_info(str(folder / log)).type != pafs.FileType.NotFound:
                    raise _is_table(kind, str(folder), what)


def _assert_no_tables(there: list[str], files: list[str], what: str) -> None:
    """Raise SourceError for files of a table of Delta, Hudi or Iceberg. Those that it has replaced stay for a while, and with them
    people who were deleted, or had not said no yet.
    """
    for path in map(PurePosixPath, there):
        kind = LOGS.get(path.name) or LOGS.get(path.parent.name)
        table = path.parent if path.name in LOGS else path.parent.parent
        if path.parent.name == "metadata" and path.name.endswith(".metadata.json"):
            kind = "Iceberg"
        if kind and any(file.startswith(f"{table}/") for file in files):
            raise _is_table(kind, str(table), what)


def _is_table(kind: str, folder: str, what: str) -> SourceError:
    return SourceError(
        f"{what} is a table of {kind}, which keeps files with rows that it has no more",
        where=folder,
        expected="plain Parquet files, all of whose rows count",
        fix="write the rows that the table has now to a folder outside of it, and name that",
    )


def _assert_plain(files: list[str]) -> list[str]:
    for file in files:
        if any(character in file for character in "*?[]{}"):
            raise SourceError(
                "A file of the source has a name that engines take for a pattern", where=file, expected="a path without * ? [ ] { }"
            )
        if any(character < " " or character == "\x7f" for character in file):  # Sail leaves a tab out, and looks for another file
            raise SourceError("A file of the source has a control character in its name", where=repr(file), fix="rename it")
    return files


def _is_hidden(path: str, root: str) -> bool:
    *folders, name = PurePosixPath(path).relative_to(root).parts
    return name.startswith(("_", ".")) or any(part[0] == "." or (part[0] == "_" and "=" not in part) for part in folders)


def _may_be_data(path: str, what: str) -> bool:
    """Whoever is in a file that is overlooked would get nothing, or, of a suppression list, would get mail."""
    return what == LIST or PurePosixPath(path).suffix.lower() in ("", ".parquet", ".parq", ".pq")
