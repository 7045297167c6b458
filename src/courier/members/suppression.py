"""Addresses that get nothing: lists of emails or of hashes of them. They are joined, never collected; Sail holds one side of a join in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import reduce
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from courier import expressions, xdm
from courier.config import ColumnConfig, MappingConfig, SourceConfig, SuppressionConfig, SuppressionListConfig
from courier.engine import Engine, source_errors
from courier.errors import SourceError, nearest
from courier.mapping import IDENTITY, MARK, assert_fanned_out
from courier.members.consent import ADDRESS
from courier.source import kinds, profiles

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

VALUE = "suppression_value"
#: A path, also inside an expression, and the last names of those of addresses.
PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:\d+|'[^']*')\])+")
ADDRESSES = frozenset({"address", "email", "emailaddress", "email_address"})
LISTS = "suppression lists"
#: What an address, a telephone number or a digest has, and hardly the name of a column.
ENTRY = re.compile(r"@|(\d.*){4}")
Steps = list[str | int]
#: Read at once where a file is searched.
BLOCK = 2**20
#: The files of each list, by its name: in groups of those that engines read alike, since they take the first file's header for all.
Files = dict[str, list[list[str]]]


def inspect(config: SuppressionConfig, source: SourceConfig, schema: pa.Schema, fan_out: str | None = None) -> Files:
    """The files of each list. Raises SourceError where a list has no files, or one of them not its column."""
    if config.lists and config.source == IDENTITY:
        assert_fanned_out(fan_out, "suppression.source")
    elif config.lists:
        kind = xdm.resolve(config.source, schema, "suppression.source")[1]
        if not xdm.is_text(kind):
            raise SourceError(
                "What is looked up in suppression lists must be text", where=f"suppression.source: {config.source}", found=str(kind)
            )
    files: Files = {}
    for name, each in config.lists.items():
        where = f"suppression.lists.{name}"
        groups: dict[tuple[Any, ...], list[str]] = {}
        for file, columns in profiles.list_columns(each.path, source, where, _csv_columns).items():
            if each.column not in columns:
                raise _without_column(each.column, columns, f"{where}: {file}")
            _assert_entries(each, columns[each.column], f"{where}: {file}")
            # CSV is read by the order of the columns; and engines read no two packings together.
            shape = tuple(columns) if file.endswith(profiles.CSV) else (str(columns[each.column]),)
            groups.setdefault((PurePosixPath(file).suffix, *shape), []).append(file)
        files[name] = list(groups.values())
    return files


def _without_column(column: str, columns: Collection[str], where: str) -> SourceError:
    what = "A suppression list has not its column"
    if any(ENTRY.search(name) for name in columns):  # a file without a header: somebody stands there
        fix = f"begin the file with the names of its columns: {column}"
        return SourceError(what, where=where, found="a first line that looks like an entry, and is not shown", expected=column, fix=fix)
    return SourceError(what, where=where, found=column, fix=nearest(column, columns))


def _assert_entries(each: SuppressionListConfig, written: pa.DataType, where: str) -> None:
    """Raise SourceError for a column whose values are compared as other texts than they are meant, so that it would suppress nobody:
    an array, say, or digests in bytes.
    """
    kind = kinds.plain_type(written)
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    of_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    if not (xdm.is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind) or (of_bytes and each.form == "plain")):
        raise SourceError(
            "A suppression list has a column that is no text",
            where=where,
            found=f"'{each.column}' of type {kind}",
            expected="addresses, or digests in hexadecimal digits, as text",
        )


def needed_paths(config: SuppressionConfig) -> list[str]:
    return [config.source] if config.lists and config.source != IDENTITY else []


def warnings(config: SuppressionConfig, mapping: MappingConfig, asked: Collection[str]) -> list[str]:
    """Columns of addresses that nobody is looked up by. `asked`: the paths whose values consents.idSpecific is asked for."""
    looked_up = {LISTS: config.source} if config.lists else {}
    looked_up |= dict.fromkeys(["consents.idSpecific"] if ADDRESS in asked else [], ADDRESS)
    found = []
    for name, column in mapping.columns.items():
        for shown in _addresses(column):
            others: dict[str, list[str]] = {}
            for what, path in looked_up.items():
                if shown != xdm.parse(path):
                    others.setdefault(path, []).append(what)
            found += [_not_looked_up(name, shown, whats, path) for path, whats in others.items()]
    return found


def _not_looked_up(name: str, shown: Steps, whats: list[str], path: str) -> str:
    what = "addresses of identityMap" if shown[0] == "identityMap" else ".".join(map(str, shown))
    fix = f"; mapping.fan_out={shown[1]} with the source {IDENTITY} looks at each" if shown[0] == "identityMap" else ""
    if LISTS in whats and not fix:
        fix = f"; suppression.source={what} looks at it"
    return (
        f"Column '{name}' shows {what}, and {' and '.join(whats)} look at {path}: an address that is sent may be one that must not be{fix}"
    )


def _addresses(column: ColumnConfig) -> list[Steps]:
    """The paths of the addresses that a column shows, as far as names tell. Of the primary identity or of all there is no path."""
    if column.identity:
        shown: list[Steps] = [["identityMap", column.identity, 0, "id"] if column.take == "first" else ["identityMap", column.identity]]
    else:
        shown = [xdm.parse(path) for path in PATH.findall(column.source or column.expression)]
    return [steps for steps in shown if _is_address(steps)]


def _is_address(steps: Steps) -> bool:
    if steps[0] == "identityMap":
        return len(steps) > 1 and str(steps[1]).casefold().startswith("email")
    return any("email" in str(step).casefold() for step in steps) and str(steps[-1]).casefold() in ADDRESSES


def _csv_columns(opened: Callable[[], pa.NativeFile]) -> list[str]:
    """The columns of a CSV file. Raises ValueError where one of its values goes on in another line."""
    with opened() as stream, pacsv.open_csv(stream) as reader:
        names = [str(name) for name in reader.schema.names]
    with opened() as stream:
        quoted = any(b'"' in block for block in iter(lambda: stream.read(BLOCK), b""))
    if quoted:  # what has no quotes has none that is left open
        with (
            opened() as stream,
            pacsv.open_csv(stream, convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()))) as reader,
        ):
            if any(pc.any(pc.match_substring(column, "\n")).as_py() for batch in reader for column in batch.columns):
                raise ValueError("a value goes on in another line, or a quote is not closed: whoever stands there would be left out")
    return names


def value(config: SuppressionConfig, schema: pa.Schema) -> list[Column]:
    """What is looked up, of a profile; nothing where there are no lists, or the identity of the row is all."""
    if not needed_paths(config):
        return []
    steps, _ = xdm.resolve(config.source, schema, "suppression.source")
    found = expressions.value(str(xdm.parse(config.source)[0]), steps[1:])
    return [expressions.normalized(found).alias(VALUE)]


def marked(members: DataFrame, config: SuppressionConfig, files: Files, engine: Engine, *, fan_out: bool = False) -> DataFrame:
    """Add `suppressed`: the name of the first list that has the member, or null. No row is added or lost.

    With `fan_out` the identity of the row is looked up as well: it is what is sent.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    hashes = {"plain": lambda text: text, "sha256": lambda text: F.sha2(text, 256), "md5": F.md5}
    if not files:
        return unmarked(members)
    values = [F.col(VALUE)] if needed_paths(config) else []
    values += [expressions.normalized(F.col("identity"))] if fan_out else []
    reasons, marks = [], []
    for number, (name, each) in enumerate(config.lists.items()):
        for place, value in enumerate(values):
            wanted = f"suppression_{number}_{place}"
            entries = _entries(each, files[name], engine).withColumnRenamed("entry", wanted).withColumn(f"{wanted}_found", F.lit(True))
            keyed = members.withColumn(f"{wanted}_key", hashes[each.form](value))
            # The list on the left: Sail holds that side in memory where it knows nothing of sizes.
            members = entries.join(keyed, F.col(f"{wanted}_key") == F.col(wanted), "right").drop(wanted, f"{wanted}_key")
            marks.append(f"{wanted}_found")
            reasons.append(F.when(F.col(marks[-1]), F.lit(name)))
    return members.withColumn(MARK, F.coalesce(*reasons)).drop(*marks)


def unmarked(members: DataFrame) -> DataFrame:
    """The same columns, with nobody on a list: for what needs no more than their types."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return members.withColumn(MARK, F.lit(None).cast("string"))


def _entries(each: SuppressionListConfig, groups: list[list[str]], engine: Engine) -> DataFrame:
    """The distinct entries of one list: a join with them keeps the number of members."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    entry = expressions.normalized(F.col("`" + each.column.replace("`", "``") + "`").cast("string")).alias("entry")

    def read(files: list[str]) -> DataFrame:
        paths = [engine.path(file) for file in files]
        of_csv = files[0].endswith(profiles.CSV)
        return (engine.session.read.csv(paths, header=True) if of_csv else engine.session.read.parquet(*paths)).select(entry)

    with source_errors("opening a suppression list"):
        return reduce(lambda some, more: some.unionByName(more), map(read, groups)).where("entry <> ''").distinct()
