"""The rejects of a run, for those who correct profiles: `runs/<run_id>/rejects/<ordinal>.csv` of the state store.

One line a rejected row: the key (as it is: the state store is private), the rule, the column, and the value that the rule
found fault with, masked.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from courier.mapping import MappedColumn, Mapping
from courier.masking import masked
from courier.render.dialect import DATE_FORMAT, TIMESTAMP_FORMAT
from courier.rules import REJECTED
from courier.snapshot import AudienceSnapshot


def write(snapshot: AudienceSnapshot, mapping: Mapping, columns: dict[str, MappedColumn], folder: Path) -> None:
    """Memory: one batch of the snapshot."""
    names = [column.engine_name for column in mapping.columns]
    path = folder / f"{snapshot.ordinal}.csv"
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*(column.name for column in mapping.key), "rule", "column", "value"])
        for batch in snapshot.batches([*names, "outcome"]):
            for row in batch.to_pylist():
                if not row["outcome"].startswith(REJECTED):
                    continue
                rule = row["outcome"].removeprefix(REJECTED)
                value = row[columns[rule].engine_name]
                keys = [_text(row[column.engine_name]) for column in mapping.key]
                lines.writerow([*keys, rule, columns[rule].name, masked(_text(value))])


def _text(value: Any) -> str:
    """As the file would have it, and null as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).strftime(TIMESTAMP_FORMAT)
    return value.strftime(DATE_FORMAT) if isinstance(value, date) else str(value)
