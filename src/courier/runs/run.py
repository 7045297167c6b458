"""A run as it goes, and what has happened to each of its audiences."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from courier.checks import CheckResult
from courier.config import RunConfig
from courier.errors import CourierError
from courier.rows.counts import Counts
from courier.state import Store

#: The status of what an earlier run, or an earlier start of this one, has sent.
PUBLISHED_BEFORE = "published before"


@dataclass(frozen=True)
class DeliveredFile:
    """A file that is published: where, and proof of its content. `confirmed` is False where the platform had taken it
    before it could be seen there. `notes`: column → what was changed in its values, or found → rows.
    """

    uri: str
    rows: int
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str
    confirmed: bool
    notes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class AudienceRecord:
    """What happened to one audience."""

    segment_id: str
    segment_name: str
    namespace: str
    counts: Counts | None = None
    status: str = "failed"  # published | published before | empty | held | failed
    held: str | None = None  # why
    baseline: str | None = None  # the run that an incremental export was compared with; None: everything was sent
    last: str | None = None  # the run that had been published last, in full exports, too
    checks: list[CheckResult] = field(default_factory=list)
    files: list[DeliveredFile] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """The segment as people know it: its id, and its name where it has one of its own."""
        return self.segment_id if self.segment_name == self.segment_id else f"{self.segment_id} ({self.segment_name})"

    @property
    def left_out(self) -> bool:
        """This run sends no file of it."""
        return self.held is not None or self.status == PUBLISHED_BEFORE


@dataclass
class Run:
    """A run as it goes: filled step by step, so that a failed run's record says how far it came."""

    config: RunConfig
    store: Store
    started_at: datetime
    earlier: Store | None = None  # where earlier runs are looked up, if that is not `store`
    status: str = "failed"
    profiles: int | None = None
    audiences: list[AudienceRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)  # of the columns, once the engine has typed them
    consent: dict[str, str] = field(default_factory=dict)
    shape: str = ""  # of everything that shapes the rows; a held run is released under the same only
    rejects: str | None = None  # where the rejected rows are listed
    manifest: str | None = None
    triggers: list[str] = field(default_factory=list)
    artefacts: list[str] = field(default_factory=list)  # in the state store; and names of those beside the files
    error: CourierError | None = None
    finished_at: datetime | None = None
    held_before: bool = False  # by an earlier start: its record can be released until its rows are computed anew

    @property
    def history(self) -> Store:
        """The store that knows the earlier runs of the activation."""
        return self.earlier or self.store

    @property
    def snapshot_key(self) -> str:
        """Where in the state store the rows are that this run sends."""
        return f"runs/{self.config.snapshot_run_id}/snapshot"

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long a step takes, also where it raises."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - started


def noted(run: Run) -> list[str]:
    """What was changed in values while they were written, or found: a line for each column and kind, over all files."""
    rows: Counter[tuple[str, str]] = Counter()
    for file in (file for audience in run.audiences for file in audience.files):
        rows.update({(column, what): count for column, kinds in file.notes.items() for what, count in kinds.items()})
    order = {column: number for number, column in enumerate(run.columns)}
    return [
        f"column '{column}': {what.replace('_', ' ')} in {count:,} rows"
        for (column, what), count in sorted(rows.items(), key=lambda entry: (order[entry[0][0]], entry[0][1]))
    ]
