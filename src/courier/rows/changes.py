"""Incremental exports: what has changed between the snapshot of the last published run and that of this one.

Both are sorted by the key, so they are merged as two streams: no engine, no join of whole audiences, and the same changes
whichever engine made them. A snapshot always holds the whole audience, which is what the next run compares with; the rows
to send are written beside it, and so is what was sent last of rows that differ from that and are not sent: whoever leaves
later does so as the platform knows them.

Peak memory: that of `merging.ranges`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from courier.config import ExportConfig
from courier.mapping import STATUS, Mapping
from courier.rows.merging import Stream, ranges
from courier.rows.outcomes import ADDED, CHANGED, EXPORTED, IDENTITIES, LEFT_REJECTED, REMOVED
from courier.rows.rules import REJECTED
from courier.rows.snapshot import AudienceSnapshot, occurrences
from courier.state.place import Place


@dataclass(frozen=True)
class Changes:
    """The rows to send of one audience, in the order of the key, and how many of each kind there are."""

    snapshot: AudienceSnapshot
    added: int
    changed: int
    removed: int


class _Output:
    """Rows on their way to a file, which is replaced. Where there are none, there is no file."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        table = rows.to_arrow()
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer:
            self._writer.close()
            self._path.chmod(0o600)


@dataclass(frozen=True)
class Compared:
    """What a run compares with: the snapshot of the last published one, and what was sent of rows that differ there."""

    snapshot: AudienceSnapshot
    sent: AudienceSnapshot


def compared(snapshot: AudienceSnapshot, folder: Path) -> Compared:
    """With what `find` has put into the folder of the snapshot. Runs that send everything put nothing there."""
    path = _sent(rows_path(folder, snapshot.ordinal))
    return Compared(snapshot, AudienceSnapshot(snapshot.ordinal, [path] if path.exists() else []))


def rows_path(folder: Path, ordinal: int) -> Path:
    """Where in the folder of a snapshot the rows to send of an audience are."""
    return folder / "changes" / f"{ordinal}.parquet"


def _sent(path: Path) -> Path:
    return path.with_suffix(".sent.parquet")


def find(before: Compared, now: AudienceSnapshot, mapping: Mapping, export: ExportConfig, path: Path) -> Changes:
    """Write the rows to send to `path`, and beside it what was sent last of rows that differ and are not sent."""
    names = [*(column.engine_name for column in mapping.columns), "outcome", "change", "noted"]
    with closing(_Output(path)) as to_send, closing(_Output(_sent(path))) as sent, closing(_chunks(before, now, mapping, export)) as chunks:
        for rows, differing in chunks:
            to_send.write(rows.select(names))
            sent.write(differing)
    return counted(reopen(now.ordinal, path))


def reopen(ordinal: int, path: Path) -> AudienceSnapshot:
    """The rows to send that `find` wrote."""
    return AudienceSnapshot(ordinal, [path] if path.exists() else [])


def stored(found: Changes, place: Place) -> Changes:
    """The same rows where `find`'s file has been put into the state store: there every machine can read them."""
    snapshot = found.snapshot
    files = [file for file in place.files() if file.name == f"{snapshot.ordinal}.parquet"]
    return replace(found, snapshot=AudienceSnapshot(snapshot.ordinal, files))


def counted(snapshot: AudienceSnapshot) -> Changes:
    """What `find` had found, when it is opened again."""
    numbers = Counter[str]()
    for batch in snapshot.batches(["change"]):
        numbers.update(occurrences(batch.column(0)))
    return Changes(snapshot, numbers[ADDED], numbers[CHANGED], numbers[REMOVED])


def _chunks(
    before: Compared, now: AudienceSnapshot, mapping: Mapping, export: ExportConfig
) -> Generator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pairs of ranges with the same keys, each turned into the rows to send, and what was sent last of differing ones that are not."""
    keys, names = list(mapping.compared), [column.engine_name for column in mapping.columns]
    columns = [*dict.fromkeys([*keys, *names]), IDENTITIES, "outcome"]
    statuses = {column.engine_name for column in mapping.columns if column.source == STATUS}  # which a full export may not have
    shown = [name for name in dict.fromkeys([*keys, *names]) if name not in statuses]
    sent = Stream(before.sent, keys, shown, pl.lit(value=True))
    old = Stream(before.snapshot, keys, [name for name in columns if name not in statuses], pl.col("outcome") == EXPORTED)
    new = Stream(now, keys, [*columns, "noted"], pl.lit(value=True))
    with closing(ranges(old, new, sent)) as together:
        for was, here, told in together:
            found = _compared(_as_sent(was, told, keys), here, mapping, export, shown)
            if found is not None:
                yield found


def _as_sent(old: pl.DataFrame | None, sent: pl.DataFrame | None, keys: list[str]) -> pl.DataFrame | None:
    """The rows of the last run with the values that were sent of them."""
    if old is None or sent is None or sent.is_empty():
        return old
    both = old.join(sent.with_columns(sent=pl.lit(value=True)), on=keys, how="left", suffix="_sent", coalesce=True, maintain_order="left")
    values = [name for name in sent.columns if name not in keys]
    chosen = (pl.when(pl.col("sent")).then(pl.col(f"{name}_sent")).otherwise(pl.col(name)).alias(name) for name in values)
    return both.with_columns(chosen).select(old.columns)


def _compared(
    old: pl.DataFrame | None, new: pl.DataFrame | None, mapping: Mapping, export: ExportConfig, shown: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The rows to send of one range of keys, and what was sent last of those that differ (in `shown`) and are not sent."""
    keys = list(mapping.compared)
    parts, differing = [], pl.DataFrame()
    exported = new.filter(pl.col("outcome") == EXPORTED) if new is not None else None
    if exported is not None and old is None:
        parts.append(exported.with_columns(change=pl.lit(ADDED)))
    elif exported is not None and old is not None:
        both = exported.join(old, on=keys, how="left", suffix="_old", coalesce=True, maintain_order="left")
        change = pl.when(pl.col("outcome_old").is_null()).then(pl.lit(ADDED)).when(_differs(mapping, export)).then(pl.lit(CHANGED))
        both = both.with_columns(change=change)
        parts.append(both.filter(pl.col("change").is_not_null()).select([*exported.columns, "change"]))
        values = [name for name in shown if name not in keys]
        other = pl.any_horizontal(pl.lit(value=False), *(pl.col(name).ne_missing(pl.col(f"{name}_old")) for name in values))
        unsent = both.filter(pl.col("change").is_null() & other)
        differing = unsent.select(*keys, *(pl.col(f"{name}_old").alias(name) for name in values))
    if old is not None:
        left = old if exported is None else old.join(exported, on=keys, how="anti", maintain_order="left")
        others = new.filter(pl.col("outcome") != EXPORTED).unique(keys, keep="first", maintain_order=True) if new is not None else None
        parts.append(_leavers(left, others, mapping))
    if not parts:
        return None
    together = pl.concat(parts, how="diagonal_relaxed")
    return together.with_columns(outcome=pl.lit(EXPORTED)).sort(keys, maintain_order=True), differing


def _differs(mapping: Mapping, export: ExportConfig) -> pl.Expr:
    compared = (
        [column.engine_name for column in mapping.columns if not column.of_membership and column.engine_name not in mapping.compared]
        if "attributes" in export.triggers
        else []
    )
    compared += [IDENTITIES] if "identity" in export.triggers else []
    return reduce(
        lambda left, right: left | right, [pl.col(name).ne_missing(pl.col(f"{name}_old")) for name in compared], pl.lit(value=False)
    )


def _leavers(left: pl.DataFrame, others: pl.DataFrame | None, mapping: Mapping) -> pl.DataFrame:
    """Rows of the last run that are exported no more: shown as the source has them now, as far as it has them and no rule
    rejects them; else as they were. The key stays as the platform knows it, and the status says that they have left.
    """
    keys, names = list(mapping.compared), [column.engine_name for column in mapping.columns]
    status = [pl.lit("exited").alias(column.engine_name) for column in mapping.columns if column.source == STATUS]
    marks = [pl.lit(REMOVED).alias("change"), pl.lit(None, pl.String).alias("noted")]
    if others is not None:
        both = left.join(others, on=keys, how="left", suffix="_new", coalesce=True, maintain_order="left")
        outcome = pl.col("outcome_new")
        newer = outcome.is_not_null() & ~outcome.str.starts_with(REJECTED) & (outcome != LEFT_REJECTED)
        kept = {column.engine_name for column in mapping.key}
        left = both.with_columns(
            pl.when(newer).then(pl.col(f"{name}_new")).otherwise(pl.col(name)).alias(name)
            for name in names
            if name not in kept and name in left.columns
        ).select(left.columns)
    return left.with_columns(*status, *marks)
