"""The rejects of a run, for those who correct profiles: `runs/<run_id>/rejects/<ordinal>.csv` of the state store.

One line a rejected row: the key (as it is: the state store is private), the rule, the column, and the value that the rule
found fault with, as the file would have it, masked; of a long value the beginning.
"""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from courier.mapping import MappedColumn, Mapping
from courier.masking import beginning, masked
from courier.render.dialect import as_text
from courier.rows.rules import REJECTED
from courier.rows.snapshot import AudienceSnapshot


def write(snapshot: AudienceSnapshot, mapping: Mapping, columns: dict[str, MappedColumn], folder: Path) -> None:
    """Memory: one batch of the snapshot."""
    shown = {column.engine_name for column in (*mapping.key, *columns.values())}
    names = [column.engine_name for column in mapping.columns if column.engine_name in shown]
    path = folder / f"{snapshot.ordinal}.csv"
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*(column.name for column in mapping.key), "rule", "column", "value"])
        for rows in snapshot.frames([*names, "outcome"]):
            rejected = rows.filter(pl.col("outcome").str.starts_with(REJECTED))
            for row in rejected.select(as_text(name, kind).alias(name) for name, kind in rejected.schema.items()).rows(named=True):
                rule = row["outcome"].removeprefix(REJECTED)
                keys = [row[column.engine_name] for column in mapping.key]
                lines.writerow([*keys, rule, columns[rule].name, masked(beginning(row[columns[rule].engine_name] or ""))])
