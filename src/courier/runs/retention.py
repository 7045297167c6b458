"""The state kept tidy: snapshots, and whole runs, that are too many or too old are removed when a run has published.

A snapshot is beyond its limits when `keep_snapshots` published runs of the activation are newer, or when its run began
more than `keep_snapshots_days` ago; that of a held run, which may still be released, only by its age. A run's record goes,
with its journal and all else of it, when `keep_records` runs are newer or it began more than `keep_records_days` ago, and
its snapshot is not kept. Never touched: this run, unsettled runs, those that the activation compares with, those of other
activations, and whatever has no readable record.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from courier import runs
from courier.config import StateConfig
from courier.delivery.journal import Journal
from courier.errors import CourierError
from courier.runs import baseline
from courier.state import Store

#: Of a store with a longer past, each run reads and removes so much; the next ones go on.
MOST_READS = 500
MOST_REMOVALS = 100


@dataclass(frozen=True)
class PastRun:
    """A run of the activation. The status is known only of runs that have a snapshot; no other needs it."""

    run_id: str
    started_at: datetime
    status: str
    snapshot: bool
    holds: bool = False  # some of its audiences, which may still be released


def tidy(run: runs.Run, assert_held: Callable[[], None]) -> None:
    """Remove what is beyond the limits, after a run that has published. Whatever goes wrong is no more than a warning."""
    limits = run.config.state
    if run.status != "published" or not any(
        (limits.keep_snapshots, limits.keep_snapshots_days, limits.keep_records, limits.keep_records_days)
    ):
        return
    try:
        _tidy(run, assert_held)
    except (Exception, KeyboardInterrupt) as error:  # the files are published: nothing may make that a failure now
        found = error if isinstance(error, CourierError) else type(error).__name__
        run.warnings.append(f"Not all old snapshots and records could be removed; the next run goes on: {found}")
        with contextlib.suppress(CourierError):
            runs.save(run)


def _tidy(run: runs.Run, assert_held: Callable[[], None]) -> None:
    store, activation, run_id = run.store, run.config.activation, run.config.run_id
    stored = runs.recorded(store)
    this = PastRun(run_id, run.started_at, run.status, snapshot=True)
    kept = {run_id, *Journal.open_runs(store, activation), *baseline.protected_runs(store, activation)}
    past = [this, *_past_runs(store, activation, {each: keys for each, keys in stored.items() if each != run_id})]
    snapshots, records = expired(past, kept, run.config.state, run.finished_at or datetime.now(UTC))
    for old in snapshots[:MOST_REMOVALS]:
        assert_held()
        store.delete_folder(f"runs/{old.run_id}/snapshot")
    for old in records[:MOST_REMOVALS]:
        assert_held()
        if _is_still(store, activation, old):
            _remove(store, old, stored[old.run_id])
        else:
            store.delete(_memory_key(activation))


def expired(past: list[PastRun], kept: set[str], limits: StateConfig, now: datetime) -> tuple[list[PastRun], list[PastRun]]:
    """The runs whose snapshots go, and those of which everything goes; the oldest first. `kept` ones count, and stay."""
    snapshots: list[PastRun] = []
    records: list[PastRun] = []
    published = 0
    for newer, old in enumerate(sorted(past, key=lambda each: (each.started_at, each.run_id), reverse=True)):
        age = now - old.started_at
        many = not old.holds and _reached(published, limits.keep_snapshots)
        may_go = not old.snapshot or many or _older(age, limits.keep_snapshots_days)
        published += old.status == "published"
        if old.run_id in kept or not may_go:
            continue
        if _reached(newer, limits.keep_records) or _older(age, limits.keep_records_days):
            records.insert(0, old)
        elif old.snapshot:
            snapshots.insert(0, old)
    return snapshots, records


def _reached(number: int, limit: int | None) -> bool:
    return limit is not None and number >= limit


def _older(age: timedelta, days: int | None) -> bool:
    return days is not None and age / timedelta(days=1) > days


def _past_runs(store: Store, activation: str, stored: dict[str, list[str]]) -> list[PastRun]:
    """The activation's runs. When a run began, and that it is another activation's, is remembered and not read again."""
    known = {run_id: began for run_id, began in _remembered(store, activation).items() if run_id in stored}
    before, past, reads = dict(known), [], 0
    for run_id, keys in stored.items():
        snapshot = runs.has_snapshot(run_id, keys)
        status, holds = "", False
        if run_id not in known or (known[run_id] is not None and snapshot):
            reads += 1
            record = _record(store, run_id) if reads <= MOST_READS else None
            if record is None:
                continue
            known[run_id] = record["started_at"] if record["activation"] == activation else None
            status = record["status"]
            holds = status == "held" or any(audience.get("held") for audience in record.get("audiences", []))
        began = known[run_id]
        if began is not None:
            past.append(PastRun(run_id, runs.moment(began), status, snapshot, holds))
    if known != before:
        store.write(_memory_key(activation), json.dumps(known).encode())
    return past


def _record(store: Store, run_id: str) -> dict[str, Any] | None:
    try:
        return runs.load(store, run_id)
    except ValueError:
        return None  # whose it is cannot be told, so it is left alone


def _remembered(store: Store, activation: str) -> dict[str, str | None]:
    """Run id → when it began, None for those of other activations. Nothing is lost with it: the records are read again."""
    try:
        known = json.loads(store.read(_memory_key(activation)) or b"{}")
        return {run_id: began for run_id, began in known.items() if began is None or runs.moment(began)}
    except (ValueError, TypeError, AttributeError):
        return {}


def _memory_key(activation: str) -> str:
    return f"activations/{activation}/runs.json"


def _is_still(store: Store, activation: str, old: PastRun) -> bool:
    """What was remembered holds: the run was not started anew since."""
    record = _record(store, old.run_id)
    return record is not None and record["activation"] == activation and runs.moment(record["started_at"]) == old.started_at


def _remove(store: Store, old: PastRun, keys: list[str]) -> None:
    """The record goes last: as long as anything else is there, it says whose that is."""
    store.delete_folder(f"runs/{old.run_id}/snapshot")
    for key in keys:
        if key != runs.key(old.run_id) and not key.startswith(f"runs/{old.run_id}/snapshot/"):
            store.delete(key)
    store.delete_folder(f"runs/{old.run_id}")
