"""Step stage: rows → the snapshot, Parquet in the state store. What is checked is what is sent.

Layout: `runs/<run_id>/snapshot/audience=<ordinal>/*.parquet`. Read in the order of their names, an audience's files hold
its rows in the order of `outcomes.with_outcomes`, each with its outcome; only rows with the outcome `exported` are sent.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from courier.engine import Engine, source_errors
from courier.engine.settings import ROW_GROUP_BYTES
from courier.errors import ConfigError, SourceError
from courier.mapping import Mapping
from courier.rows import footers
from courier.state.place import Place, StoredFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROWS_PER_BATCH = 65_536
#: Wide rows are fewer, or some batches that become text at once were gigabytes.
BATCH_BYTES = 32 * 1024 * 1024
#: Of a file of a few rows no more is looked at; fewer at a time are slower, where many rows are not sent.
LEAST_ROWS = 1024
FOOTERS_AT_ONCE = 16
#: What Polars and Arrow say of bytes that are no text.
NO_TEXT = re.compile(r"invalid utf-?8", re.IGNORECASE)


@dataclass(frozen=True)
class AudienceSnapshot:
    """The rows of one audience. `files` in order; none when the audience is empty."""

    ordinal: int
    files: Sequence[Path | StoredFile]

    @cached_property
    def footers(self) -> list[pq.FileMetaData]:
        """Of each file; read once."""
        return [pq.read_metadata(_opened(file)) for file in self.files]

    @property
    def rows(self) -> int:
        return footers.rows(self.footers)

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream `columns` of all rows.

        Peak memory: one row group (on Sail at most `ROWS_PER_ROW_GROUP` rows, and about `WIDE_ROW_GROUP_BYTES`; on Spark
        about `ROW_GROUP_BYTES`).
        """
        for file in self.files:
            with pq.ParquetFile(_opened(file), pre_buffer=isinstance(file, StoredFile)) as parquet:
                yield from parquet.iter_batches(ROWS_PER_BATCH, columns=columns)

    def frames(
        self, columns: list[str], first_row: int = 0, about: int | None = None, shared: LastRead | None = None
    ) -> Iterator[pl.DataFrame]:
        """Stream `columns` of the rows from `first_row` on; row groups before it are not read. Peak memory as of `batches`.

        `about`: how many rows are wanted, where that is known. Where they are fewer than a row group has, it is taken from
        `shared`, and the frames are small. Polars reads the files of a disk itself, in a third of the time that it takes to
        convert what Arrow has read.
        """
        shared = shared or LastRead()
        for file in self.files:
            with pq.ParquetFile(_opened(file), pre_buffer=isinstance(file, StoredFile)) as parquet:
                end = 0
                for group in range(parquet.num_row_groups):
                    start, end = end, end + parquet.metadata.row_group(group).num_rows
                    if first_row >= end:
                        continue
                    read = partial(_read, file, parquet, group, start, columns)
                    small = about is not None and about < end - start
                    rows = shared.taken((file, group, *columns), read) if small else read()
                    fitting = min(
                        len(rows) * BATCH_BYTES // max(1, int(rows.estimated_size())),
                        ROWS_PER_BATCH if about is None else max(about, LEAST_ROWS),
                    )
                    yield from rows.slice(max(first_row - start, 0)).iter_slices(max(1, min(ROWS_PER_BATCH, fitting)))
            first_row = max(first_row - end, 0)


class LastRead:
    """The row group that was read last. Of many small files, the next one begins where the one before ends, so each group is
    read about once, however many files it goes to. Peak memory: that group.
    """

    def __init__(self) -> None:
        self._mutex, self._group, self._rows = Lock(), tuple[Any, ...](), pl.DataFrame()

    def taken(self, group: tuple[Any, ...], read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The rows of this group. Several threads that want it wait for one that reads it."""
        with self._mutex:
            if group != self._group:
                self._group, self._rows = (), pl.DataFrame()  # never two of them
                self._rows = read()
                self._group = group
            return self._rows


def _read(file: Path | StoredFile, parquet: pq.ParquetFile, group: int, start: int, columns: list[str]) -> pl.DataFrame:
    """A row group, which begins at `start` of the file. Raises SourceError for a text that is none, which Spark passes on unseen."""
    try:
        if isinstance(file, StoredFile):
            found = parquet.read_row_group(group, columns=columns)
            found.validate(full=True)  # Polars would take it unseen, too
            return pl.DataFrame(found)
        rows = int(parquet.metadata.row_group(group).num_rows)
        return pl.scan_parquet(file, glob=False, hive_partitioning=False).select(columns).slice(start, rows).collect()
    except (pa.ArrowInvalid, pl.exceptions.ComputeError) as exc:
        if not NO_TEXT.search(str(exc)):
            raise
        fix = "write the profiles again, with all texts in UTF-8"
        raise SourceError("A text of the profiles is not in UTF-8, so it cannot be written", fix=fix) from exc


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
    if place.state is not None:  # each is a journey to the bucket
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
            list(pool.map(lambda audience: audience.footers, staged))
    if written is not None and (found := sum(audience.rows for audience in staged)) != written:
        raise ConfigError(
            "The engine has written the snapshot to another disk than this machine's",
            where=place.url,
            found=f"{found:,} of {written:,} rows",
            fix="set state=s3, or a state.path on a disk that all machines share",
        )
    if sorted_by is not None:
        for audience in staged:
            footers.assert_in_order(audience.footers, sorted_by, place.below(f"audience={audience.ordinal}").url)
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
