"""One planned file: a slice of the snapshot → chunks of bytes."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from courier.config import FileConfig
from courier.errors import ConfigError, CourierError
from courier.mapping import EXPORTED, Mapping
from courier.plan import Slice
from courier.render.dialect import Dialect
from courier.snapshot import AudienceSnapshot


def render(snapshot: AudienceSnapshot, cut: Slice, mapping: Mapping, config: FileConfig) -> Iterator[bytes]:
    """Yield the bytes of one file. Raises CourierError when the snapshot holds other rows than were planned.

    Peak memory: one row group of the snapshot and one batch of it as text, whatever the size of the file.
    """
    dialect = Dialect(config)
    yield dialect.opening(mapping.header)
    missing = cut.rows
    names = [column.engine_name for column in mapping.columns]
    for batch in snapshot.batches([*names, "outcome"], cut.first_row) if missing else ():
        rows = pl.DataFrame(batch)
        rows = rows.filter(pl.col("outcome") == EXPORTED).select(names).head(missing)
        missing -= len(rows)
        if len(rows):
            yield dialect.lines(rows)
        if not missing:
            break
    if missing:
        raise CourierError("The snapshot has fewer rows than were planned", found=f"{missing} rows are missing")


def assert_writable(config: FileConfig, mapping: Mapping) -> None:
    """Refuse a file that could not be read back: one column that shows null as nothing makes blank lines, which readers skip."""
    if len(mapping.columns) == 1 and config.null_text == "" and not mapping.columns[0].mandatory and mapping.columns[0].default is None:
        raise ConfigError(
            "A file of one column cannot show null as an empty line",
            where="file.null_text",
            fix="set file.null_text, or make the column mandatory",
        )
