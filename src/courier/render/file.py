"""One planned file: a slice of the snapshot → chunks of bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl

from courier import xdm
from courier.config import FileConfig
from courier.errors import ConfigError, CourierError
from courier.mapping import EXPORTED, Mapping
from courier.plan import Slice
from courier.render.dialect import Dialect
from courier.snapshot import AudienceSnapshot

BATCHES_AT_ONCE = 3


def render(snapshot: AudienceSnapshot, cut: Slice, mapping: Mapping, config: FileConfig) -> Iterator[bytes]:
    """Yield the bytes of one file. Raises CourierError when the snapshot holds other rows than were planned.

    Batches become text in threads beside the reading of the next ones, and are yielded in their order. Peak memory: one
    row group of the snapshot and `BATCHES_AT_ONCE` batches with their text, whatever the size of the file.
    """
    dialect = Dialect(config)
    yield dialect.opening(mapping.header)
    running: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(BATCHES_AT_ONCE) as pool:
        for rows in _exported(snapshot, cut, mapping):
            running.append(pool.submit(dialect.lines, rows))
            if len(running) == BATCHES_AT_ONCE:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _exported(snapshot: AudienceSnapshot, cut: Slice, mapping: Mapping) -> Iterator[pl.DataFrame]:
    """The rows of one file, batch by batch."""
    names = [column.engine_name for column in mapping.columns]
    missing = cut.rows
    for batch in snapshot.batches([*names, "outcome"], cut.first_row) if missing else ():
        rows = pl.DataFrame(batch).filter(pl.col("outcome") == EXPORTED).select(names).head(missing)
        missing -= len(rows)
        if len(rows):
            yield rows
        if not missing:
            return
    if missing:
        raise CourierError("The snapshot has fewer rows than were planned", found=f"{missing} rows are missing")


def assert_writable(config: FileConfig, mapping: Mapping) -> None:
    """Refuse a file that could not be read back: one column that shows null or empty as nothing makes blank lines, which readers skip."""
    if len(mapping.columns) > 1 or mapping.columns[0].mandatory:
        return
    for what, text, possible in (
        ("null", config.null_text, mapping.columns[0].default is None),
        ("empty", config.empty_text, xdm.is_text(mapping.columns[0].kind)),
    ):
        if possible and text == "":
            raise ConfigError(
                f"A file of one column cannot show {what} as an empty line",
                where=f"file.{what}_text",
                fix=f"set file.{what}_text, or make the column mandatory",
            )
