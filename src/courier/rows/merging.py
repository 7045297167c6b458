"""Snapshots that are sorted by one key, read side by side: range after range of the key, without holding any of them whole.

Peak memory: some batches of each (`snapshot.ROWS_PER_BATCH` rows), which are read ahead in a thread, whatever the sizes of the
snapshots are: the one that is ahead waits for the other.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeAlias

import polars as pl

from courier.prefetch import prefetched
from courier.rows.snapshot import AudienceSnapshot

Range: TypeAlias = tuple[pl.DataFrame | None, pl.DataFrame | None, pl.DataFrame | None]


class Stream:
    """A snapshot's rows whose key is not null, in the order of the key."""

    def __init__(self, snapshot: AudienceSnapshot, keys: list[str], columns: list[str], wanted: pl.Expr) -> None:
        wanted = wanted & pl.all_horizontal(pl.col(name).is_not_null() for name in keys)
        self._rows = prefetched(rows.filter(wanted) for rows in snapshot.frames(columns))
        self._keys = keys
        self.buffer: pl.DataFrame | None = None
        self.ended = False

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._rows.close()

    def load(self) -> None:
        """Append a batch to the buffer, if there is one more."""
        rows = next(self._rows, None)
        if rows is None:
            self.ended = True
            return
        self.buffer = rows if self.buffer is None else pl.concat([self.buffer, rows])

    def reach(self, bound: tuple[Any, ...] | None) -> None:
        """Load all rows below `bound`; all that there are where it is None."""
        while not self.ended and (bound is None or (last := self.last()) is None or last < bound):
            self.load()

    def last(self) -> tuple[Any, ...] | None:
        """The key up to which all rows are here but for its own; None where all are, or none is."""
        if self.ended or self.buffer is None or self.buffer.is_empty():
            return None
        return self.buffer.select(self._ordered(self.buffer)).row(-1)

    def take(self, below: tuple[Any, ...] | None) -> pl.DataFrame | None:
        """The rows before a key leave the buffer; all of them where it is None."""
        if self.buffer is None or below is None:
            taken, self.buffer = self.buffer, None
            return taken
        smaller, equal = pl.lit(value=False), pl.lit(value=True)
        for key, bound in zip(self._ordered(self.buffer), below, strict=True):
            smaller = smaller | (equal & (key < bound))
            equal = equal & (key == bound)
        taken, self.buffer = self.buffer.filter(smaller), self.buffer.filter(~smaller)
        return taken

    def _ordered(self, rows: pl.DataFrame) -> list[pl.Expr]:
        """The key, in values that Python has too: its own dates and times end with the year 9999."""
        kinds = [rows.schema[name] for name in self._keys]
        number = {pl.Date: lambda key: key.to_physical(), pl.Datetime: lambda key: key.dt.timestamp("us")}
        return [number.get(kind.base_type(), lambda key: key)(pl.col(name)) for name, kind in zip(self._keys, kinds, strict=True)]


def ranges(old: Stream, new: Stream, sent: Stream) -> Generator[Range]:
    """All rows, in ranges that hold the same keys of each. `sent` has some of the keys of `old`. The streams are closed at the end."""
    bound: tuple[Any, ...] | None = None
    with closing(old), closing(new), closing(sent):
        while not (old.ended and new.ended):
            for stream in (old, new):
                last = stream.last()
                if last is None or bound is None or not last > bound:  # what is ahead is not read on into memory
                    stream.load()
            reached = [stream.last() for stream in (old, new) if not stream.ended]
            if None in reached:
                continue
            bound = min((each for each in reached if each is not None), default=None)
            sent.reach(bound)
            yield old.take(bound), new.take(bound), sent.take(bound)
