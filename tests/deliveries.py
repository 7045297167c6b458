"""Deliveries of a few files with known contents, without profiles and engines: a journal in a state store, and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from targets import RUN_ID, Target

from courier.config import StateConfig
from courier.delivery import Alone, Delivery
from courier.delivery.journal import FileState, Header, Journal
from courier.delivery.progress import Progress
from courier.delivery.sending import FileToSend
from courier.destinations import open_destination
from courier.state import Store, open_store

NAMES = ["a.csv", "a_2.csv", "a_3.csv"]
MANIFEST, TRIGGER = "manifest.json", "a.done"
Render = Callable[[str], Iterable[bytes]]


def content(name: str) -> bytes:
    return f"email\n{name}@example.com\n".encode() * (NAMES.index(name) + 1 if name in NAMES else 1)


def rendered(name: str) -> Iterator[bytes]:
    yield content(name)


def nothing() -> None:
    """Nothing happens."""


def settle_failed(store: Store, journal: Journal) -> None:
    from courier.runs import recovery  # with all that reads Parquet, which a delivery that goes well does not load

    recovery.settle_failed(store, journal)


class Held:
    """A lock that no other run takes over. `first` is done when it is first asked: all is staged then, and nothing published."""

    lost = False

    def __init__(self, first: Callable[[], object] = nothing) -> None:
        self._first = first

    def assert_held(self) -> None:
        first, self._first = self._first, nothing
        first()

    def assert_live(self) -> None:
        """Its lease never ends."""


@dataclass(frozen=True)
class Sender:
    """What one start of a run needs. `render` and `before_publishing` are where a test breaks in."""

    target: Target
    state: Path
    names: list[str] = field(default_factory=lambda: NAMES)
    closing: list[str] = field(default_factory=lambda: [MANIFEST, TRIGGER])
    run_id: str = RUN_ID
    stale: dict[str, int] = field(default_factory=dict)
    repeatable: bool = True

    @property
    def store(self) -> Store:
        return open_store(StateConfig(path=str(self.state)))

    def journal(self) -> Journal:
        """A new one, which goes on with what an earlier start of the run left."""
        before = Journal.load(self.store, self.run_id)
        header = Header(
            run_id=self.run_id,
            activation="demo",
            started_at=before.header.started_at if before else datetime.now(UTC),
            as_of=datetime(2026, 11, 1, tzinfo=UTC),
            fingerprint="",
            sink="the target",
            destination=asdict(self.target.config),
            replace=self.target.config.on_conflict == "replace",
            names=[*self.names, *self.closing],
            planned=[{"audience": 0, "part": part, "parts": len(self.names), "rows": 1} for part in range(1, len(self.names) + 1)],
            stale=self.stale,
            epoch=before.header.epoch if before else "",
        )
        return Journal(self.store, header, before.states if before else [FileState(name) for name in header.names])

    def delivery(self, journal: Journal, lock: Alone, progress: Progress | None = None) -> Delivery:
        return Delivery(self.target.config, open_destination(self.target.config, self.run_id, journal.attempt), journal, lock, progress)

    def send(
        self,
        render: Render = rendered,
        before_publishing: Callable[[], object] = nothing,
        progress: Progress | None = None,
        lock: Alone | None = None,
    ) -> Journal:
        """Deliver, or go on with what an earlier start has begun; as the pipeline does."""
        lock = lock or Held(before_publishing)
        before = Journal.load(self.store, self.run_id)
        if before and before.header.phase == "publishing":
            try:
                self.delivery(before, lock, progress).finish()
            except BaseException:
                settle_failed(self.store, before)
                raise
            before.settle()
            return before
        if before and before.header.phase == "undoing":
            self.delivery(before, lock).undo()
            settle_failed(self.store, before)
        journal = self.journal()
        files = [FileToSend(partial(render, name), rows=1, repeatable=self.repeatable) for name in self.names]
        try:
            self.delivery(journal, lock, progress).deliver(files, lambda: [name.encode() for name in self.closing])
        except BaseException:
            settle_failed(self.store, journal)
            raise
        journal.settle()
        return journal

    def phase(self) -> str:
        journal = Journal.load(self.store, self.run_id)
        return journal.header.phase if journal else "none"

    def expected(self) -> dict[str, bytes]:
        return {name: content(name) for name in self.names} | {name: name.encode() for name in self.closing}

    def assert_delivered(self) -> None:
        """All files, whole, and nothing else; and the run is settled."""
        assert self.target.visible() == self.expected()
        assert self.target.leftovers() == []
        assert self.phase() == "published"
        assert Journal.open_runs(self.store, "demo") == []

    def assert_nothing(self) -> None:
        assert self.target.everything() == {}
        assert self.target.uploads() == []
        assert self.phase() in ("none", "failed")
        assert Journal.open_runs(self.store, "demo") == []
