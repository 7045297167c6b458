"""Counts that reconcile, and the slices of each file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from courier.errors import CourierError
from courier.rows.changes import Changes
from courier.rows.counts import COUNTED, Counts, Slice, of_changes, slices
from courier.rows.footers import without_values
from courier.rows.snapshot import AudienceSnapshot

E, D, X, Y = "exported", "deduplicated", "excluded: missing_email", "excluded: missing_phone"
Row = tuple[str, str | None, str | None]


def batch(*rows: str | Row) -> pa.RecordBatch:
    """Rows by their outcome alone, or by outcome, change and failed rules."""
    whole = [(row, "added", None) if isinstance(row, str) else row for row in rows]
    arrays = [pa.array([row[n] for row in whole], pa.string()) for n in range(3)]
    return pa.RecordBatch.from_arrays(arrays, names=COUNTED)


def test_slices_split_exactly_at_the_limit_and_count_every_outcome() -> None:
    counts, (cuts,) = slices([batch(E, E, D, E), batch(X, E, E, Y, X)], max_rows=2)
    assert counts == Counts(members=9, excluded={"missing_email": 2, "missing_phone": 1}, deduplicated=1, rejected=0, exported=5, added=5)
    assert cuts == [Slice(0, 2), Slice(2, 2), Slice(6, 1)]


def test_rows_that_fill_the_last_file_make_no_empty_file_after_it() -> None:
    assert slices([batch(E, E, E, E)], max_rows=2)[1] == [[Slice(0, 2), Slice(2, 2)]]


def test_an_audience_without_members_has_no_slices() -> None:
    assert slices([], max_rows=2) == (Counts(0, {}, 0, 0, 0), [[]])


def test_an_audience_whose_members_are_all_left_out_has_no_slices() -> None:
    assert slices([batch(X, D)], max_rows=2) == (Counts(2, {"missing_email": 1}, 1, 0, 0), [[]])


def test_changes_are_counted_and_cut_apart_and_leavers_are_no_members() -> None:
    rows = [batch((E, "added", None), (E, "removed", None)), batch((E, "changed", None), (E, "added", None))]
    sent, cuts = slices(rows, 10, ("added", "changed", "removed"))
    whole, _ = slices([batch(E, E, E, E, D, X, "left")], 10)
    counts = of_changes(whole, Changes(AudienceSnapshot(0, []), added=2, changed=1, removed=1), sent)
    assert (counts.members, counts.exported, counts.unchanged, counts.added, counts.changed, counts.exited) == (6, 4, 1, 2, 1, 1)
    assert counts.size == 4  # what a full file would have
    assert cuts == [[Slice(0, 2, "added")], [Slice(0, 1, "changed")], [Slice(0, 1, "removed")]]


def test_rejects_are_counted_by_rule_and_rules_that_let_rows_pass_beside_them() -> None:
    counts, _ = slices([batch(("rejected: phone", "added", None), (E, "added", "short,odd"), (E, "added", "odd"), (X, "added", "odd"))], 10)
    assert (counts.rejected, counts.rejected_by, counts.noted) == (1, {"phone": 1}, {"odd": 2, "short": 1})


def test_an_outcome_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(CourierError, match="do not reconcile"):
        slices([batch("lost")], 10)


@given(batches=st.lists(st.lists(st.sampled_from([E, E, E, D, X, Y]), max_size=12), max_size=6), max_rows=st.integers(1, 9))
def test_slices_hold_exactly_the_exported_rows_in_order(batches: list[list[str]], max_rows: int) -> None:
    rows = [outcome for outcomes in batches for outcome in outcomes]
    exported = [number for number, outcome in enumerate(rows) if outcome == E]
    counts, (cuts,) = slices([batch(*outcomes) for outcomes in batches], max_rows)
    read = [[number for number in exported if number >= cut.first_row][: cut.rows] for cut in cuts]
    assert [number for part in read for number in part] == exported
    assert (
        [len(part) for part in read]
        == [cut.rows for cut in cuts]
        == [len(exported[n : n + max_rows]) for n in range(0, len(exported), max_rows)]
    )
    excluded = {outcome.removeprefix("excluded: "): rows.count(outcome) for outcome in (X, Y) if outcome in rows}
    assert counts == Counts(len(rows), excluded, rows.count(D), 0, len(exported), added=len(exported))


# Columns without a value


def snapshot(folder: Path, *files: dict[str, list[str | None]], **options: Any) -> AudienceSnapshot:
    """Row groups have two rows."""
    paths = [folder / f"{number}.parquet" for number in range(len(files))]
    for path, columns in zip(paths, files, strict=True):
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        pq.write_table(table, path, row_group_size=2, **options)
    return AudienceSnapshot(0, paths)


def test_a_column_is_without_values_where_it_is_null_in_every_row_of_every_file(tmp_path: Path) -> None:
    one = {"full": ["a", "b", "c"], "last": [None, None, "c"], "second": [None] * 3, "none": [None] * 3, "blank": ["", None, None]}
    two = {"full": ["d"], "last": [None], "second": ["d"], "none": [None], "blank": [None]}
    assert without_values(snapshot(tmp_path, one, two).footers) == {"none"}
    assert without_values(snapshot(tmp_path, one).footers) == {"second", "none"}


def test_nothing_is_said_of_columns_of_which_footers_tell_nothing_and_of_no_rows(tmp_path: Path) -> None:
    assert without_values(snapshot(tmp_path, {"none": [None]}, write_statistics=False).footers) == set()
    assert without_values([]) == set()
