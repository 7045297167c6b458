"""What a delivery means to do and how far it has come, written down before it is done.

    staging ──→ publishing ──→ published
       │            │
       └────────→ undoing ──→ failed     (and from there to staging again, for a new start of the same run)

Objects of the state store: `runs/<run_id>/journal.json` holds the plan, the phase and, from `publishing` on, the state of
all files; it is durable before the step that it announces. `runs/<run_id>/files.jsonl` has a line for each later state of
a file, so that a delivery of many small files makes no file here for each of them; where the store cannot add to a value,
it is `runs/<run_id>/files/<n>.json`, one object a file. A crash of the machine may lose the newest of these, which then
costs an upload and no more. `open/<activation>/<run_id>` marks a delivery that is not settled.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from courier.destinations import Staged
from courier.errors import ConfigError
from courier.state import Store
from courier.stored import assert_kinds, checked

PHASES = ("staging", "publishing", "published", "undoing", "failed")
#: What is needed of each data file that was planned.
PLANNED = {"audience": int, "rows": int}


@dataclass(frozen=True)
class FileState:
    """One file at the destination. `staged.size` bytes of it are there; all of them when `complete`.

    `asked`: publishing it was asked for, and was not refused; so what is staged no more was published. `delivered`: it was
    published, and was not taken back. `confirmed`: it was seen at the destination after that; a platform may have taken it
    away before.
    """

    name: str
    uri: str = ""
    staged: Staged | None = None
    complete: bool = False
    sha256: str = ""
    plain_bytes: int = 0
    plain_sha256: str = ""
    notes: dict[str, dict[str, int]] = field(default_factory=dict)  # column → what was changed in its values, or found → rows
    asked: bool = False
    delivered: bool = False
    confirmed: bool = True
    removing: bool = False  # it was there when we set out to take it back


@dataclass(frozen=True)
class Header:
    """What was decided before the first byte was sent."""

    run_id: str
    activation: str
    started_at: datetime
    as_of: datetime
    fingerprint: str  # of everything that shapes the files
    sink: str  # where they go, for people
    destination: dict[str, Any]  # its configuration: no secrets, only the names of variables
    replace: bool
    names: list[str]  # all files: data, manifest, triggers
    planned: list[dict[str, Any]] = field(default_factory=list)  # the data files: audience, part, parts, rows
    stale: dict[str, int] = field(default_factory=dict)  # parts of an earlier run to take away, and their bytes
    record: dict[str, Any] = field(default_factory=dict)  # the run's record as it was when the delivery began
    audiences: dict[str, dict[str, Any]] = field(default_factory=dict)  # audience key → the baseline that it is once published
    phase: str = "staging"
    states: list[dict[str, Any]] = field(default_factory=list)
    epoch: str = ""  # another one with each writing of this; a later state of a file counts only in the epoch that it was written in


class Journal:
    """The journal of one run. One object serves all threads."""

    def __init__(self, store: Store, header: Header, states: list[FileState] | None = None) -> None:
        self._store, self._mutex = store, threading.Lock()
        self.header = header
        self.states = states or [FileState(name) for name in header.names]

    @property
    def attempt(self) -> str:
        """What tells the places that a start of the run gives to its files from those of the starts before it, one of which may
        only be asleep, and go on writing when it wakes. To be asked before this start has written anything; empty in the first.
        """
        return self.header.epoch[:8]

    @staticmethod
    def key(run_id: str) -> str:
        return f"runs/{run_id}/journal.json"

    @classmethod
    def load(cls, store: Store, run_id: str) -> Journal | None:
        """The journal of an earlier start of a run; None where it never came to deliver."""
        text = store.read(cls.key(run_id))
        if text is None:
            return None
        where = store.shown(cls.key(run_id))
        try:
            header = _header(json.loads(text), run_id)
            where += " or what is beside it of its files"
            return cls(store, header, _states(store, header))
        except (ValueError, TypeError, KeyError) as exc:
            raise ConfigError("The journal of an earlier start cannot be read", where=where, found=type(exc).__name__) from exc

    @classmethod
    def open_runs(cls, store: Store, activation: str) -> list[str]:
        """Runs of an activation whose deliveries are not settled."""
        prefix = f"open/{activation}/"
        return [key.removeprefix(prefix) for key in store.keys(prefix) if "/" not in key.removeprefix(prefix)]

    def begin(self) -> None:
        """Write the plan down. From here on the run is known as unsettled."""
        self._store.write(self._marker, b"")
        self._write_header(self.header.phase)

    def enter(self, phase: str) -> None:
        """Write down what comes next, and the state of all files."""
        if phase == "publishing":
            self.states = [replace(state, asked=True) for state in self.states]
        self._write_header(phase)

    def outdate(self) -> None:
        """The rows that it speaks of are about to be replaced: no later start of the run goes on with it."""
        self.header = replace(self.header, fingerprint="")
        self._write_header(self.header.phase)

    def settle(self) -> None:
        """Nothing of this delivery is open any more: what it has published is remembered, or it is taken back."""
        self._store.delete(self._marker)

    def note(self, number: int, **changes: Any) -> FileState:
        """Change what is known of one file, for this process only."""
        with self._mutex:
            state = self.states[number] = replace(self.states[number], **changes)
        return state

    def update(self, number: int, **changes: Any) -> FileState:
        """Change what is known of one file, and write it down."""
        state = self.note(number, **changes)
        line = json.dumps({"number": number, "epoch": self.header.epoch, **_plain(state)}, ensure_ascii=False).encode()
        if not self._store.append(_lines_key(self.header.run_id), line, durable=self.header.phase != "staging"):
            self._store.write(_file_key(self.header.run_id, number), line)
        return state

    def own(self) -> list[Staged]:
        """What this start has begun and the journal does not tell: once another start has taken that over, nobody else knows it."""
        there = Journal.load(self._store, self.header.run_id)
        told = {state.staged.place for state in there.states if state.staged} if there else set[str]()
        return [state.staged for state in self.states if state.staged and not state.delivered and state.staged.place not in told]

    @staticmethod
    def marker(activation: str, run_id: str) -> str:
        return f"open/{activation}/{run_id}"

    @property
    def _marker(self) -> str:
        return self.marker(self.header.activation, self.header.run_id)

    def _write_header(self, phase: str) -> None:
        """Known to this process once it is written: what the store refuses has not been announced."""
        header = replace(self.header, phase=phase, states=[_plain(state) for state in self.states], epoch=uuid.uuid4().hex)
        content = json.dumps(vars(header), default=datetime.isoformat, ensure_ascii=False).encode()
        self._store.write(self.key(header.run_id), content)
        self.header = header


def _plain(state: FileState) -> dict[str, Any]:
    """As `asdict` gives it, which takes a tenth of a millisecond: as long as writing it down."""
    return {**vars(state), "staged": vars(state.staged) if state.staged else None}


def _file_key(run_id: str, number: int) -> str:
    return f"runs/{run_id}/files/{number:05d}.json"


def _lines_key(run_id: str) -> str:
    return f"runs/{run_id}/files.jsonl"


def _header(known: Any, run_id: str) -> Header:
    """Raises ValueError, TypeError or KeyError for what is not the header of this run's journal."""
    times = {key: datetime.fromisoformat(known[key]) for key in ("started_at", "as_of")}
    header = checked(Header(**{**known, **times}))
    for part in header.planned:
        assert_kinds(part, PLANNED)
    if header.run_id != run_id or header.phase not in PHASES or [state["name"] for state in header.states] != header.names:
        raise ValueError("it is no journal of this run")
    return header


def _states(store: Store, header: Header) -> list[FileState]:
    """The newest that is known of each file: its last line or its own object, or the header where these are missing, cut by a
    crash, or older than the header.
    """
    known = dict(enumerate(header.states))
    lines = (store.read(_lines_key(header.run_id)) or b"").splitlines()
    for line in lines or (store.read(_file_key(header.run_id, number)) for number in known):
        with contextlib.suppress(ValueError):
            state = json.loads(line or b"{}")
            if state and state["epoch"] == header.epoch:
                known[state["number"]] = {key: value for key, value in state.items() if key not in ("epoch", "number")}
    return [_state(each, name) for each, name in zip(known.values(), header.names, strict=True)]


def _state(known: dict[str, Any], name: str) -> FileState:
    staged = checked(Staged(**known["staged"])) if known["staged"] else None
    if known["name"] != name or (staged and not staged.place):
        raise ValueError("it is the state of no file of this run")
    return checked(FileState(**{**known, "staged": staged}))
