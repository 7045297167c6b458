"""Old snapshots and records are removed from each kind of state store, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courier import compose, runs
from courier.config import StateConfig
from courier.errors import BusyError, ConfigError
from courier.runs import retention
from courier.runs.retention import tidy
from courier.state import Store

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
RECORD, JOURNAL, FILE, SNAPSHOT = "record.json", "journal.json", "files/00000.json", "snapshot/audience=0/rows.parquet"
ALL = {RECORD, JOURNAL, FILE, SNAPSHOT}


def held() -> None:
    """Nobody has taken the lock over."""


def put(store: Store, run_id: str, day: int, activation: str = "demo", **changes: Any) -> None:
    """A run of a day in November, with a snapshot."""
    record = {"run_id": run_id, "activation": activation, "status": "published", "started_at": f"2026-11-{day:02d}T12:00:00Z"}
    store.write(runs.key(run_id), json.dumps({**record, **changes}).encode())
    store.write(f"runs/{run_id}/{JOURNAL}", b"{}")
    store.write(f"runs/{run_id}/{FILE}", b"{}")
    store.write(f"runs/{run_id}/{SNAPSHOT}", b"PAR1")


def now(store: Store, config: StateConfig, run_id: str = "run-30", **limits: int | None) -> runs.Run:
    """The run under way, which has just published."""
    put(store, run_id, 30, status="failed")  # as it was written at its start
    store.write("activations/demo/published.json", json.dumps({"run_id": run_id}).encode())
    given = compose.load(["activation=demo", f"run_id={run_id}"], now=NOON)
    unlimited = {"keep_snapshots": None, "keep_snapshots_days": None, "keep_records": None, "keep_records_days": None}
    config = replace(config, **{**unlimited, **limits})  # four limits
    run = runs.Run(replace(given, state=config), store, started_at=NOON, status="published")
    run.finished_at = NOON + timedelta(seconds=5)
    return run


def everything(store: Store) -> set[str]:
    return {key for folder in ("activations/", "notes/", "open/", "runs/") for key in store.keys(folder)}


def left(store: Store) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key in store.keys("runs/"):
        _, run_id, rest = key.split("/", 2)
        found.setdefault(run_id, set()).add(rest)
    return found


def test_snapshots_go_first_and_whole_runs_later(store: Store, state_config: StateConfig) -> None:
    for day in range(1, 6):
        put(store, f"run-{day}", day)
    run = now(store, state_config, keep_snapshots=3, keep_records=5)
    tidy(run, held)
    assert run.warnings == []
    without = ALL - {SNAPSHOT}
    assert left(store) == {"run-2": without, "run-3": without, "run-4": ALL, "run-5": ALL, "run-30": ALL}


def test_what_is_not_to_be_touched_is_not(store: Store, state_config: StateConfig) -> None:
    put(store, "baseline", 1)
    put(store, "unsettled", 2)
    store.write("open/demo/unsettled", b"")
    put(store, "theirs", 3, activation="other")
    put(store, "misplaced", 4)
    store.write("runs/misplaced/record.json", (store.read("runs/misplaced/record.json") or b"").replace(b"misplaced", b"another"))
    put(store, "cut", 5)
    store.write("runs/cut/record.json", b'{"run_id": "cut", "activ')
    put(store, "foreign", 5)
    store.write("runs/foreign/record.json", b'["demo"]')
    put(store, "without", 6)
    store.delete("runs/without/record.json")
    put(store, "timeless", 7, started_at="yesterday")
    store.write("runs/loose.txt", b"somebody's")
    store.write("notes/demo/todo.txt", b"somebody's")
    run = now(store, state_config, keep_snapshots=1, keep_snapshots_days=1, keep_records=1, keep_records_days=1)
    audience = {"run_id": "baseline", "ordinal": 0, "size": 1, "shape": ""}
    store.write("activations/demo/published.json", json.dumps({"run_id": "run-30", "audiences": {"ups/seg-a": audience}}).encode())
    before = everything(store)
    tidy(run, held)
    assert run.warnings == []
    assert everything(store) == before | {"activations/demo/runs.json"}


def test_a_held_run_is_kept_for_its_days(store: Store, state_config: StateConfig) -> None:
    put(store, "long-ago", 1, status="held")
    put(store, "of-late", 25, status="held")
    put(store, "since", 26)
    tidy(now(store, state_config, keep_snapshots=1, keep_snapshots_days=10, keep_records=1), held)
    assert left(store) == {"of-late": ALL, "run-30": ALL}


def test_a_run_that_has_not_published_removes_nothing(store: Store, state_config: StateConfig) -> None:
    put(store, "run-1", 1)
    run = now(store, state_config, keep_snapshots=1)
    for status in ("failed", "held", "empty", "published before"):
        run.status = status
        tidy(run, held)
    assert left(store) == {"run-1": ALL, "run-30": ALL}


def end_after(patched: pytest.MonkeyPatch, store: Store, calls: int) -> None:
    """The process is told to end when so much has been deleted."""
    done = 0

    def limited(name: str) -> None:
        original = getattr(type(store), name)

        def counting(self: Store, key: str) -> None:
            nonlocal done
            if done == calls:
                raise KeyboardInterrupt
            done += 1
            original(self, key)

        patched.setattr(type(store), name, counting)

    limited("delete")
    limited("delete_folder")


@pytest.mark.parametrize("calls", range(4))
def test_a_removal_that_is_cut_short_is_finished_by_the_next_run(
    store: Store, state_config: StateConfig, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    put(store, "run-1", 1)
    run = now(store, state_config, keep_snapshots=1, keep_records=1)
    with monkeypatch.context() as patched:
        end_after(patched, store, calls)
        tidy(run, held)
    assert run.warnings == ["Not all old snapshots and records could be removed; the next run goes on: KeyboardInterrupt"]
    assert json.loads(store.read("runs/run-30/record.json") or b"")["warnings"] == run.warnings
    assert RECORD in left(store)["run-1"]
    again = now(store, state_config, "run-31", keep_snapshots=2, keep_records=2)
    tidy(again, held)
    assert (again.warnings, left(store)) == ([], {"run-30": ALL, "run-31": ALL})
    if state_config.kind == "local":
        assert sorted(path.name for path in (Path(state_config.path) / "runs").iterdir()) == ["run-30", "run-31"]


def test_an_error_is_a_warning_in_the_record(store: Store, state_config: StateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "run-1", 1)
    run = now(store, state_config, keep_snapshots=1)

    def refused(_: str) -> None:
        raise ConfigError("The state store cannot be used", found="AccessDenied from DeleteObject")

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete_folder", refused)
        tidy(run, held)
    told = json.loads(store.read("runs/run-30/record.json") or b"")
    assert told["status"] == "published"
    told_error = "The state store cannot be used. Found: AccessDenied from DeleteObject."
    assert told["warnings"] == [f"Not all old snapshots and records could be removed; the next run goes on: {told_error}"]


def test_a_run_that_has_lost_its_lock_removes_nothing_more(store: Store, state_config: StateConfig) -> None:
    put(store, "run-1", 1)

    def lost() -> None:
        raise BusyError("This run has lost its lock")

    run = now(store, state_config, keep_snapshots=1)
    tidy(run, lost)
    assert left(store)["run-1"] == ALL
    assert "This run has lost its lock" in run.warnings[0]


def test_records_are_read_once(store: Store, state_config: StateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "run-1", 1)
    put(store, "theirs", 2, activation="other")
    tidy(now(store, state_config, keep_snapshots=1), held)
    read: list[str] = []
    original = store.read
    monkeypatch.setattr(store, "read", lambda key: read.append(key) or original(key))
    tidy(now(store, state_config, "run-31", keep_snapshots=1, keep_records=100), held)
    assert [key for key in read if key.startswith("runs/")] == ["runs/run-30/record.json"]


def test_what_is_remembered_is_looked_at_again_before_a_run_is_removed(store: Store, state_config: StateConfig) -> None:
    put(store, "run-1", 1)
    tidy(now(store, state_config, keep_snapshots=1), held)
    put(store, "run-1", 29, status="failed")  # started anew
    store.delete_folder("runs/run-1/snapshot")
    tidy(now(store, state_config, "run-31", keep_snapshots=1, keep_records_days=10), held)
    assert left(store)["run-1"] == ALL - {SNAPSHOT}
    tidy(now(store, state_config, "run-32", keep_snapshots=1, keep_records_days=10), held)
    assert left(store)["run-1"] == ALL - {SNAPSHOT}


def test_what_is_remembered_may_be_lost(store: Store, state_config: StateConfig) -> None:
    put(store, "run-1", 1)
    store.write("activations/demo/runs.json", b'{"run-1": 7')
    tidy(now(store, state_config, keep_snapshots=1), held)
    assert left(store)["run-1"] == ALL - {SNAPSHOT}


@pytest.mark.parametrize("bound", ["MOST_READS", "MOST_REMOVALS"])
def test_a_long_past_is_removed_little_by_little(
    store: Store, state_config: StateConfig, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(retention, bound, 2)
    for day in range(1, 5):
        put(store, f"run-{day}", day)
    tidy(now(store, state_config, keep_records=1, keep_snapshots=1), held)
    assert sorted(left(store)) == ["run-3", "run-30", "run-4"]
    tidy(now(store, state_config, keep_records=1, keep_snapshots=1), held)
    assert sorted(left(store)) == ["run-30"]
