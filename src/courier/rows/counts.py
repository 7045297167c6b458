"""What became of an audience's members, in numbers that reconcile, and where in the snapshot the rows of each file are.

Pure functions over the outcomes of a snapshot; no engine, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from courier.errors import CourierError
from courier.rows.changes import Changes
from courier.rows.outcomes import DEDUPLICATED, EXCLUDED, EXPORTED, LEFT, LEFT_REJECTED
from courier.rows.rules import REJECTED
from courier.rows.snapshot import occurrences

#: What is read of a snapshot to count it.
COUNTED = ["outcome", "change", "noted"]


@dataclass(frozen=True)
class Slice:
    """`rows` exported rows, found from row `first_row` of the audience's snapshot on (which counts all outcomes).

    `change`: only those of this kind; all where it is None.
    """

    first_row: int
    rows: int
    change: str | None = None


@dataclass(frozen=True)
class Counts:
    """What became of an audience's members: members + exited = exported + unchanged + deduplicated + rejected + all excluded.

    `exited`: members of the last published run that are none any more (incremental exports). `rejected_by` and `noted`:
    rows by row rule, of which those that are noted are sent nonetheless.
    """

    members: int
    excluded: dict[str, int]
    deduplicated: int
    rejected: int
    exported: int
    unchanged: int = 0
    added: int = 0
    changed: int = 0
    exited: int = 0
    rejected_by: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The rows that a full file has."""
        return self.exported + self.unchanged - self.exited


def of_changes(full: Counts, changes: Changes, sent: Counts) -> Counts:
    """The counts of an incremental export, from those of the whole audience and of the rows to send."""
    exported = changes.added + changes.changed + changes.removed
    return replace(
        full,
        exported=exported,
        unchanged=full.exported - changes.added - changes.changed,
        added=changes.added,
        changed=changes.changed,
        exited=changes.removed,
        noted=sent.noted,
    )


def slices(batches: Iterable[pa.RecordBatch], max_rows: int, changes: tuple[str | None, ...] = (None,)) -> tuple[Counts, list[list[Slice]]]:
    """Count the outcomes of one audience and cut its exported rows into slices of at most `max_rows`, for each of `changes`."""
    outcomes: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    cutters = [_Cutter(max_rows, change) for change in changes]
    row = 0
    for batch in batches:
        outcome, change = batch.column("outcome"), batch.column("change")
        outcomes.update(occurrences(outcome))
        exported = pc.equal(outcome, EXPORTED)
        if batch.column("noted").null_count < len(batch):
            for rules, number in occurrences(batch.column("noted").filter(exported)).items():
                noted.update(dict.fromkeys(rules.split(",") if rules else (), number))
        for cutter in cutters:
            cutter.take(exported if cutter.change is None else pc.and_(exported, pc.equal(change, cutter.change)), row)
        row += len(batch)
    return _counts(outcomes, noted), [cutter.end() for cutter in cutters]


class _Cutter:
    """Cuts the rows of one set of files."""

    def __init__(self, max_rows: int, change: str | None) -> None:
        self.change, self._max = change, max_rows
        self._cuts: list[Slice] = []
        self._first_row = self._in_slice = 0

    def take(self, mask: pa.Array, row: int) -> None:
        """The next batch, which begins at `row` of the snapshot."""
        positions = pc.indices_nonzero(mask)
        taken = 0
        while len(positions) - taken >= self._max - self._in_slice:
            taken += self._max - self._in_slice
            self._cuts.append(Slice(self._first_row, self._max, self.change))
            self._first_row, self._in_slice = row + positions[taken - 1].as_py() + 1, 0
        self._in_slice += len(positions) - taken

    def end(self) -> list[Slice]:
        if self._in_slice:
            self._cuts.append(Slice(self._first_row, self._in_slice, self.change))
        return self._cuts


def _counts(outcomes: Counter[str], noted: Counter[str]) -> Counts:
    def by_reason(prefix: str) -> dict[str, int]:
        return {outcome.removeprefix(prefix): n for outcome, n in sorted(outcomes.items()) if outcome.startswith(prefix)}

    excluded, rejected_by = by_reason(EXCLUDED), by_reason(REJECTED)
    counts = Counts(
        members=sum(outcomes.values()) - outcomes[LEFT] - outcomes[LEFT_REJECTED],
        excluded=excluded,
        deduplicated=outcomes[DEDUPLICATED],
        rejected=sum(rejected_by.values()),
        exported=outcomes[EXPORTED],
        added=outcomes[EXPORTED],
        rejected_by=rejected_by,
        noted=dict(sorted(noted.items())),
    )
    if counts.members != counts.exported + counts.deduplicated + counts.rejected + sum(excluded.values()):
        raise CourierError("The counts of the snapshot do not reconcile", found=str(dict(outcomes)))
    return counts
