"""What a start does with the journal of an earlier one: it goes on, begins anew, or is refused."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deliveries import Held

from courier.compose import load
from courier.config import RunConfig
from courier.delivery.journal import FileState, Header, Journal
from courier.destinations import Staged, open_destination
from courier.errors import BusyError, ConfigError
from courier.runs import baseline, likeness, recovery
from courier.state import Store, open_store
from courier.state.lock import Lock

NAMES = ["a.csv", "manifest.json"]


def config(folder: Path, *overrides: str) -> RunConfig:
    places = [f"state.path={folder / 'state'}", f"destination.path={folder / 'out'}", "source.path=profiles"]
    fixed = ["activation=demo", "run_id=run-1", "as_of=2026-11-01T00:00:00Z"]
    return load([*fixed, *places, *overrides], now=datetime.now(UTC))


def begun(folder: Path, phase: str, *, delivered: bool = False, last: dict[str, str] | None = None, **overrides: Any) -> Store:
    """The journal of a start that has sent one file, unseen, under the configuration that `config` gives."""
    asked = config(folder, *overrides.pop("overrides", []))
    store = open_store(asked.state)
    connection = open_destination(asked.destination, "run-1").connect()
    staged = connection.send(connection.begin("a.csv"), [b"email\n"], lambda _: None)
    if delivered:
        connection.publish(staged, replace=False)
    connection.close()
    audiences = [{"last": (last or {}).get(segment.key)} for segment in asked.audience.segments]
    header = Header(
        run_id="run-1",
        activation="demo",
        started_at=datetime.now(UTC),
        as_of=asked.as_of,
        fingerprint=likeness.of_delivery(asked),
        sink=asked.destination.address,
        destination=asdict(asked.destination),
        replace=False,
        names=NAMES,
        planned=[{"audience": 0, "part": 1, "parts": 1, "rows": 0}],
        record={"audiences": audiences},
    )
    states = [FileState("a.csv", staged=staged, complete=True, asked=delivered, delivered=delivered), FileState("manifest.json")]
    journal = Journal(store, header, states)
    journal.begin()
    if phase != "staging":
        journal.enter(phase)
    return store


def resumed(store: Store, asked: RunConfig) -> Journal | None:
    journal = Journal.load(store, "run-1")
    assert journal is not None
    return recovery.resumable(journal, asked, store, Held())


def test_who_has_lost_the_lock_remembers_nothing_of_what_it_has_published(tmp_path: Path) -> None:
    """A later run may be remembered by now, and the next one would compare with the older rows."""
    store, saved = begun(tmp_path, "published", delivered=True), list[str]()
    journal = Journal.load(store, "run-1")
    assert journal is not None
    sleeping = Lock(store, "locks/demo.json", "run-1", lease_seconds=0.01)
    sleeping.take()
    time.sleep(0.02)
    Lock(store, "locks/demo.json", "run-2", lease_seconds=60).take()
    with pytest.raises(BusyError, match="lost its lock"):
        recovery.remember_published(store, journal, sleeping, lambda: saved.append("the record"))
    assert (baseline.published(store, "demo"), saved, Journal.open_runs(store, "demo")) == ({}, [], ["run-1"])


def at(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


@pytest.mark.parametrize("phase", ["staging", "publishing", "published", "failed"])
def test_under_the_same_configuration_it_goes_on(tmp_path: Path, phase: str) -> None:
    store = begun(tmp_path, phase)
    journal = resumed(store, config(tmp_path))
    assert journal is not None
    assert journal.header.phase == phase
    assert journal.states[0].staged == Staged("a.csv", 6, {"path": str(tmp_path / "out" / ".courier-run-1-a.csv.part")})


def test_what_was_being_taken_back_is_taken_back_first(tmp_path: Path) -> None:
    journal = resumed(begun(tmp_path, "undoing"), config(tmp_path))
    assert journal is not None
    assert journal.header.phase == "failed"
    assert at(tmp_path) == []


OTHERS = [
    "file.delimiter=';'",
    "audience.segments=[another]",
    "checks=none",
    "guard.max_rows=5",
    "trigger=done",
    "as_of=2026-11-02T00:00:00Z",
    "destination.on_conflict=replace",
    "destination.manifest=false",
]


@pytest.mark.parametrize("other", OTHERS)
def test_under_another_configuration_it_begins_anew(tmp_path: Path, other: str) -> None:
    store = begun(tmp_path, "staging")
    assert resumed(store, config(tmp_path, other)) is None
    assert at(tmp_path) == []
    assert Journal.open_runs(store, "demo") == []


def test_with_another_key_under_the_same_name_it_begins_anew(tmp_path: Path) -> None:
    """Or some of the files would be for one key, and the rest for the other."""
    key, encrypting = tmp_path / "recipient.asc", f"file.encrypt_to=[{tmp_path / 'recipient.asc'}]"
    key.write_text("the key of yesterday")
    store = begun(tmp_path, "staging", overrides=[encrypting])
    assert resumed(store, config(tmp_path, encrypting)) is not None
    key.write_text("the key of today")
    assert resumed(store, config(tmp_path, encrypting)) is None
    assert at(tmp_path) == []


def test_a_run_that_was_publishing_is_finished_with_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPIENT", "the key of yesterday")
    store = begun(tmp_path, "publishing", overrides=["file.encrypt_to_env=[RECIPIENT]"])
    monkeypatch.setenv("RECIPIENT", "the key of today")
    with pytest.raises(ConfigError, match="under another configuration"):
        resumed(store, config(tmp_path, "file.encrypt_to_env=[RECIPIENT]"))
    monkeypatch.setenv("RECIPIENT", "the key of yesterday")
    assert resumed(store, config(tmp_path, "file.encrypt_to_env=[RECIPIENT]")) is not None


def test_at_another_place_it_begins_anew_and_the_old_one_is_tidied(tmp_path: Path) -> None:
    store = begun(tmp_path, "staging")
    assert resumed(store, config(tmp_path, f"destination.path={tmp_path / 'elsewhere'}")) is None
    assert at(tmp_path) == []


@pytest.mark.parametrize(("phase", "delivered"), [("publishing", False), ("failed", True)])
@pytest.mark.parametrize("other", [*OTHERS, "destination.path=elsewhere"])
def test_what_is_delivered_or_about_to_be_is_not_mixed_with_another_configuration(
    tmp_path: Path, phase: str, other: str, *, delivered: bool
) -> None:
    store = begun(tmp_path, phase, delivered=delivered)
    before = at(tmp_path)
    with pytest.raises(ConfigError, match="under another configuration"):
        resumed(store, config(tmp_path, other))
    assert at(tmp_path) == before


@pytest.mark.parametrize("asked", [["export=incremental"], ["export=incremental", "export.reset=true"], ["export=full"]])
def test_what_was_published_since_is_newer(tmp_path: Path, asked: list[str]) -> None:
    store = begun(tmp_path, "staging", overrides=asked, last={})
    assert resumed(store, config(tmp_path, *asked)) is not None
    segment = config(tmp_path, *asked).audience.segments[0].key
    entry = asdict(baseline.Baseline("run-0", 0, 1, likeness.of_rows(config(tmp_path, *asked))))
    published = {"run_id": "run-0", "sink": "x", "files": {}, "audiences": {segment: entry}}
    store.write(baseline.key("demo"), json.dumps(published).encode())
    assert resumed(store, config(tmp_path, *asked)) is None
    assert at(tmp_path) == []
