"""Step stage: rows → the snapshot, Parquet in the state store. What is checked is what is sent.

Layout: `runs/<run_id>/snapshot/audience=<ordinal>/*.parquet`. Read in the order of their names, an audience's files hold
its rows in the order of `outcomes.with_outcomes`, each with its outcome; only rows with the outcome `exported` are sent.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from courier.engine import Engine, source_errors
from courier.engine.settings import ROW_GROUP_BYTES
from courier.errors import ConfigError, CourierError, SourceError
from courier.mapping import Mapping
from courier.state.place import Place, StoredFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROWS_PER_BATCH = 65_536
#: Writers may cut what a footer tells of texts that are as long as this.
CUT_BYTES = 64
#: From 1970 on and back: the calendar of what writes the files ends with the year 262,142.
MOST_DAYS = 250_000 * 366


@dataclass(frozen=True)
class AudienceSnapshot:
    """The rows of one audience. `files` in order; none when the audience is empty."""

    ordinal: int
    files: Sequence[Path | StoredFile]

    def row_counts(self) -> list[int]:
        """Rows of each file, from the footers."""
        return [int(pq.read_metadata(_opened(file)).num_rows) for file in self.files]

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream `columns` of all rows.

        Peak memory: one row group (at most `ROWS_PER_ROW_GROUP` rows on Sail, about `ROW_GROUP_BYTES` on Spark).
        """
        for file in self.files:
            with pq.ParquetFile(_opened(file), pre_buffer=isinstance(file, StoredFile)) as parquet:
                yield from parquet.iter_batches(ROWS_PER_BATCH, columns=columns)

    def frames(self, columns: list[str], first_row: int = 0) -> Iterator[pl.DataFrame]:
        """Stream `columns` of the rows from `first_row` on; row groups before it are not read. Peak memory as of `batches`.

        Polars reads the files of a disk itself, in a third of the time that it takes to convert what Arrow has read.
        """
        for file in self.files:
            with pq.ParquetFile(_opened(file), pre_buffer=isinstance(file, StoredFile)) as parquet:
                end = 0
                for group in range(parquet.num_row_groups):
                    start, end = end, end + parquet.metadata.row_group(group).num_rows
                    if first_row >= end:
                        continue
                    if isinstance(file, StoredFile):
                        rows = pl.DataFrame(parquet.read_row_group(group, columns=columns))
                    else:
                        scan = pl.scan_parquet(file, glob=False, hive_partitioning=False).select(columns)
                        rows = scan.slice(start, end - start).collect()
                    yield from rows.slice(max(first_row - start, 0)).iter_slices(ROWS_PER_BATCH)
            first_row = max(first_row - end, 0)


def stage(rows: DataFrame, place: Place, audiences: int, engine: Engine, sorted_by: str | None = None) -> list[AudienceSnapshot]:
    """Compute the rows and write them. What an earlier start left on a disk is replaced; a bucket's folder must be empty.

    Raises CourierError where a file's values of `sorted_by` come before those of the file before it: engines spread rows by
    plans of their own making, and a file that is out of order would go unnoticed. Raises ConfigError where the engine wrote
    other rows than are found here, because its disk is another one.
    """
    if place.state is None:
        shutil.rmtree(place.path, ignore_errors=True)
    with source_errors("reading the profiles and writing the snapshot"):
        rows, count = _counted(rows, engine, place)
        writer = rows.write.partitionBy("audience").option("compression", "snappy").option("parquet.block.size", str(ROW_GROUP_BYTES))
        writer.parquet(engine.path(place.url))
        written = count()
    if place.state is None:
        for path in filter(Path.exists, (Path(place.path), *Path(place.path).rglob("*"))):  # engines write with modes of their own
            path.chmod(0o700 if path.is_dir() else 0o600)
    staged = reopen(place, audiences)
    if written is not None and (found := sum(sum(audience.row_counts()) for audience in staged)) != written:
        raise ConfigError(
            "The engine has written the snapshot to another disk than this machine's",
            where=place.url,
            found=f"{found:,} of {written:,} rows",
            fix="set state=s3, or a state.path on a disk that all machines share",
        )
    if sorted_by is not None:
        for audience in staged:
            _assert_in_order(audience.files, sorted_by)
    return staged


def _counted(rows: DataFrame, engine: Engine, place: Place) -> tuple[DataFrame, Callable[[], int | None]]:
    """The rows, and how to learn how many the engine has written of them, by its own word; None where it works in this process."""
    if engine.kind == "sail":
        return rows, lambda: None
    from pyspark.sql import Observation  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  see above

    if engine.kind == "spark":
        observed = Observation("staged")
        return rows.observe(observed, F.count(F.lit(1)).alias("rows")), lambda: int(observed.get["rows"])
    kinds = rows.schema  # not every server of Spark Connect can observe; each sees what it has written
    return rows, lambda: engine.session.read.schema(kinds).parquet(engine.path(place.url)).count()


def _assert_in_order(files: Sequence[Path | StoredFile], name: str) -> None:
    """By the least and the greatest values that the footers tell. Groups that tell none, or long ones, which may be cut, are
    passed over.
    """
    greatest = None
    for file in files:
        footer = pq.read_metadata(_opened(file))
        column = footer.schema.names.index(name)
        groups = [footer.row_group(group).column(column).statistics for group in range(footer.num_row_groups)]
        for statistics in groups:
            if statistics is None or not statistics.has_min_max:
                continue
            least, most = (value.encode() if isinstance(value, str) else value for value in (statistics.min, statistics.max))
            if isinstance(least, bytes) and max(len(least), len(most)) >= CUT_BYTES:
                greatest = None
                continue
            if greatest is not None and least < greatest:
                raise CourierError("The engine did not keep the rows in order", where=file.name)
            greatest = most


def assert_dates(snapshots: Sequence[AudienceSnapshot], mapping: Mapping) -> None:
    """Raise SourceError for a date or a time that cannot be written, such as one of the year 300,000: mistaken units make such ones.

    By what the footers tell of all rows, those that are not sent among them.
    """
    units = {column.engine_name: _per_day(column.kind) for column in mapping.columns if column.kind is not None}
    dated = {column.engine_name: column for column in mapping.columns if units.get(column.engine_name)}
    for file in (file for snapshot in snapshots if dated for file in snapshot.files):
        footer = pq.read_metadata(_opened(file))
        for number, name in enumerate(footer.schema.names):
            if name not in dated:
                continue
            groups = [footer.row_group(group).column(number).statistics for group in range(footer.num_row_groups)]
            found = [abs(raw) for each in groups if each and each.has_min_max for raw in (each.min_raw, each.max_raw)]
            if any(raw > MOST_DAYS * units[name] for raw in found):
                raise SourceError(
                    f"The column '{dated[name].name}' has a date that is out of range",
                    where=dated[name].source,
                    expected=f"years up to {MOST_DAYS // 366:,}",
                    fix="mend the profiles (mistaken units make such dates), or leave such values out by an expression",
                )


def _per_day(kind: pa.DataType) -> int:
    """What stands for a day in the Parquet files of a snapshot; 0 for what is no date."""
    return 1 if pa.types.is_date(kind) else 86_400_000_000 if pa.types.is_timestamp(kind) else 0


def reopen(place: Place, audiences: int) -> list[AudienceSnapshot]:
    """The snapshot that an earlier start of the run has written."""
    return [AudienceSnapshot(ordinal, place.below(f"audience={ordinal}").files()) for ordinal in range(audiences)]


def _opened(file: Path | StoredFile) -> Any:
    return file.open() if isinstance(file, StoredFile) else file


def occurrences(values: pa.Array) -> dict[str, int]:
    """How often each value of a batch's column is there, without null."""
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(values).to_pylist() if entry["values"] is not None}


def exported_rows(engine: Engine, snapshot: AudienceSnapshot, mapping: Mapping) -> DataFrame:
    """The rows that will be sent, as the engine sees them, for the checks. Without leavers, which go as they are."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    names = [column.engine_name for column in mapping.columns]
    if not snapshot.files:
        from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415  see above

        # Spark has no unsigned types; a schema without rows is not taken from an Arrow table.
        kinds = [pa.int64() if pa.types.is_unsigned_integer(column.kind) else column.kind for column in mapping.columns]
        return engine.session.createDataFrame([], from_arrow_schema(pa.schema(list(zip(names, kinds, strict=True)))))
    staged = engine.session.read.parquet(*[_url(file, engine) for file in snapshot.files])
    return staged.where((F.col("outcome") == "exported") & (F.col("change") != "removed")).select(*names)


def _url(file: Path | StoredFile, engine: Engine) -> str:
    return engine.path(file.url) if isinstance(file, StoredFile) else f"file://{file.absolute()}"
