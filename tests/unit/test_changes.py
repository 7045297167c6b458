"""Two snapshots and what was sent before them, merged in small batches: the same as in one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from courier.config import ExportConfig
from courier.mapping import MappedColumn, Mapping
from courier.rows import changes, merging, snapshot
from courier.rows.snapshot import AudienceSnapshot

COLUMNS = [MappedColumn(name, f"c{number}", name, pa.string()) for number, name in enumerate(["email", "name"])]
MAPPING = Mapping(COLUMNS, COLUMNS[:1])
EXPORT = ExportConfig("incremental", triggers=["membership"])


def staged(folder: Path, names: dict[int, str]) -> AudienceSnapshot:
    path = folder / "audience=0" / "part-0.parquet"
    path.parent.mkdir(parents=True)
    rows = [(f"{number:03}", name, None, "exported", "added", None) for number, name in sorted(names.items())]
    pl.DataFrame(rows, ["c0", "c1", "identities", "outcome", "change", "noted"], orient="row").cast(pl.String).write_parquet(path)
    return AudienceSnapshot(0, [path])


def sent(found: changes.Changes) -> dict[int, str]:
    rows = pl.concat([*found.snapshot.frames(["c0", "c1", "change"])] or [pl.DataFrame()])
    return {int(key): f"{change}: {name}" for key, name, change in rows.rows()}


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 1000])
def test_what_was_sent_is_carried_over_in_batches_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(snapshot, "ROWS_PER_BATCH", batch)
    days = [dict.fromkeys(range(40), "first")]
    days.append({number: "second" if number % 3 else "first" for number in range(40)})
    days.append({number: "third" for number in range(41) if number % 5})
    days.append(dict.fromkeys(range(0, 41, 2), "fourth"))
    staged_days = [staged(tmp_path / str(day), names) for day, names in enumerate(days)]
    files = []
    for day in (1, 2, 3):
        before = changes.compared(staged_days[day - 1], tmp_path / str(day - 1))
        path = changes.rows_path(tmp_path / str(day), 0)
        path.parent.mkdir()
        files.append(sent(changes.find(before, staged_days[day], MAPPING, EXPORT, path)))
    assert files[0] == {}
    assert files[1] == dict.fromkeys(range(0, 40, 5), "removed: first")
    came = dict.fromkeys(range(0, 40, 10), "added: fourth") | {40: "added: fourth"}
    assert files[2] == came | {number: "removed: first" for number in range(1, 40, 2) if number % 5}


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("us", "UTC")])
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_keys_may_be_dates_that_python_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, kind: pl.DataType) -> None:
    monkeypatch.setattr(snapshot, "ROWS_PER_BATCH", batch)
    day = 1 if kind == pl.Date else 86_400_000_000
    mapping = Mapping([MappedColumn("day", "c0", "day", pa.date32())], [MappedColumn("day", "c0", "day", pa.date32())])
    both = []
    for name, days in (("before", [-719_529, 0, 3_000_000]), ("now", [0, 2_932_897, 3_000_000])):
        path = tmp_path / name / "changes" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        keys = pl.DataFrame({"c0": [number * day for number in days]}, {"c0": pl.Int32 if day == 1 else pl.Int64}).cast(kind)
        marks = {"identities": None, "outcome": "exported", "change": "added", "noted": None}
        keys.with_columns(pl.lit(mark, pl.String).alias(column) for column, mark in marks.items()).write_parquet(path)
        both.append(AudienceSnapshot(0, [path]))
    before = changes.compared(both[0], tmp_path / "before")
    found = changes.find(before, both[1], mapping, EXPORT, changes.rows_path(tmp_path / "now", 0))
    assert (found.added, found.changed, found.removed) == (1, 0, 1)


@pytest.mark.parametrize("growing", [True, False])
def test_an_audience_of_another_size_is_read_no_further_than_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, growing: bool
) -> None:
    """Else most of the smaller one would wait in memory for the keys of the larger one."""
    monkeypatch.setattr(snapshot, "ROWS_PER_BATCH", 10)
    small = staged(tmp_path / "small", dict.fromkeys(range(0, 900, 9), "same"))
    large = staged(tmp_path / "large", dict.fromkeys(range(900), "same"))
    waiting = []
    take = merging.Stream.take

    def watched(stream: merging.Stream, below: tuple[str] | None) -> pl.DataFrame | None:
        waiting.append(0 if stream.buffer is None else len(stream.buffer))
        return take(stream, below)

    monkeypatch.setattr(merging.Stream, "take", watched)
    before, now = (small, large) if growing else (large, small)
    path = changes.rows_path(tmp_path / "large", 0)
    path.parent.mkdir()
    found = changes.find(changes.compared(before, tmp_path / "small"), now, MAPPING, EXPORT, path)
    assert (found.added, found.changed, found.removed) == ((800, 0, 0) if growing else (0, 0, 800))
    assert max(waiting) <= 2 * 10
