"""What the footers of a snapshot's files tell of its rows, without reading any."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from courier.errors import CourierError, SourceError
from courier.mapping import Mapping

#: Writers may cut what a footer tells of texts that are as long as this.
CUT_BYTES = 64
#: From 1970 on and back: the calendar of what writes the files ends with the year 262,142.
MOST_DAYS = 250_000 * 366


def rows(footers: Sequence[pq.FileMetaData]) -> int:
    return sum(int(footer.num_rows) for footer in footers)


def row_bytes(footers: Sequence[pq.FileMetaData]) -> int:
    """What the values of a row take on average, as they are encoded before compression."""
    groups = (footer.row_group(number) for footer in footers for number in range(footer.num_row_groups))
    return sum(int(group.total_byte_size) for group in groups) // max(1, rows(footers))


def assert_in_order(footers: Sequence[pq.FileMetaData], name: str, where: str) -> None:
    """Raise CourierError where a file's values come before those of the file before it.

    By the least and the greatest values that the footers tell. Groups that tell none, or long ones, which may be cut, are
    passed over.
    """
    greatest = None
    for footer in footers:
        column = footer.schema.names.index(name)
        groups = [footer.row_group(group).column(column).statistics for group in range(footer.num_row_groups)]
        for statistics in groups:
            if statistics is None or not statistics.has_min_max:
                continue
            # Python's own dates and times end with the year 9999.
            dated = statistics.logical_type.type in ("DATE", "TIMESTAMP")
            ends = (statistics.min_raw, statistics.max_raw) if dated else (statistics.min, statistics.max)
            least, most = (value.encode() if isinstance(value, str) else value for value in ends)
            if isinstance(least, bytes) and max(len(least), len(most)) >= CUT_BYTES:
                greatest = None
                continue
            if greatest is not None and least < greatest:
                raise CourierError("The engine did not keep the rows in order", where=where)
            greatest = most


def assert_dates(footers: Sequence[pq.FileMetaData], mapping: Mapping) -> None:
    """Raise SourceError for a date or a time that cannot be written, such as one of the year 300,000: mistaken units make such ones.

    By what the footers tell of all rows, those that are not sent among them.
    """
    units = {column.engine_name: _per_day(column.kind) for column in mapping.columns if column.kind is not None}
    dated = {column.engine_name: column for column in mapping.columns if units.get(column.engine_name)}
    for footer in footers if dated else ():
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


def without_values(footers: Sequence[pq.FileMetaData]) -> set[str]:
    """The columns that are null in every row, whatever its outcome. By what footers tell: no row is read, and a column of which
    a footer tells nothing is not among them.
    """
    found: set[str] | None = None
    for footer in footers:
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        empty = {name for number, name in enumerate(footer.schema.names) if all(_is_null(group.column(number)) for group in groups)}
        found = empty if found is None else found & empty
        if not found:
            break
    return found or set()


def _is_null(chunk: pq.ColumnChunkMetaData) -> bool:
    statistics = chunk.statistics
    return statistics is not None and statistics.has_null_count and statistics.null_count == chunk.num_values
