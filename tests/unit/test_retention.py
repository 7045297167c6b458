"""Which snapshots and records of past runs go."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from courier.config import StateConfig
from courier.errors import ConfigError
from courier.runs.baseline import protected_runs
from courier.runs.retention import PastRun, expired
from courier.state import Store, open_store

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
UNLIMITED = {"keep_snapshots": None, "keep_snapshots_days": None, "keep_records": None, "keep_records_days": None}


def run(day: int, status: str = "published", *, snapshot: bool = True) -> PastRun:
    """A run at noon of a day in November."""
    return PastRun(f"run-{day:02d}", datetime(2026, 11, day, 12, tzinfo=UTC), status, snapshot, holds=status == "held")


def gone(past: list[PastRun], *kept: str, **limits: int) -> tuple[list[str], list[str]]:
    snapshots, records = expired(past, set(kept), StateConfig(**{**UNLIMITED, **limits}), NOW)
    return [each.run_id for each in snapshots], [each.run_id for each in records]


def test_without_limits_nothing_goes() -> None:
    assert gone([run(day) for day in range(1, 31)]) == ([], [])


def test_the_newest_published_snapshots_stay_and_the_others_go_oldest_first() -> None:
    assert gone([run(3), run(1), run(4), run(2)], keep_snapshots=2) == (["run-01", "run-02"], [])


def test_a_failed_run_counts_for_nothing_and_goes_with_the_published_ones_around_it() -> None:
    past = [run(1, "failed"), run(2), run(3, "failed"), run(4), run(5, "failed")]
    assert gone(past, keep_snapshots=1) == (["run-01", "run-02", "run-03"], [])


def test_a_snapshot_goes_when_it_is_older_than_the_days_and_not_at_the_end_of_the_last() -> None:
    assert gone([run(19), run(20), run(21)], keep_snapshots_days=10) == (["run-19"], [])


@pytest.mark.parametrize(("count", "days", "left"), [(1, 30, 1), (30, 1, 2), (2, 2, 2), (3, 3, 3)])
def test_beyond_either_limit_is_beyond(count: int, days: int, left: int) -> None:
    snapshots, _ = gone([run(day) for day in range(26, 31)], keep_snapshots=count, keep_snapshots_days=days)
    assert len(snapshots) == 5 - left


def test_any_number_of_days_is_a_limit() -> None:
    assert gone([run(1)], keep_snapshots_days=10**12, keep_records_days=10**12) == ([], [])


def test_a_held_run_goes_by_its_age_alone() -> None:
    past = [run(1, "held"), run(25, "held"), run(26), run(27), run(28)]
    assert gone(past, keep_snapshots=1, keep_snapshots_days=10, keep_records=1) == ([], ["run-01", "run-26", "run-27"])


def test_a_run_goes_as_a_whole_when_as_many_of_any_kind_are_newer() -> None:
    past = [run(1, snapshot=False), run(2, "failed", snapshot=False), run(3, "held", snapshot=False), run(4, "empty", snapshot=False)]
    assert gone(past, keep_records=3) == ([], ["run-01"])


def test_a_record_stays_as_long_as_its_snapshot() -> None:
    past = [run(1, snapshot=False), run(2), run(3)]
    assert gone(past, keep_records=1, keep_records_days=1) == ([], ["run-01"])
    assert gone(past, keep_records=1, keep_snapshots=1) == ([], ["run-01", "run-02"])


def test_what_is_kept_stays_and_counts() -> None:
    past = [run(1), run(2), run(3), run(4)]
    assert gone(past, "run-01", "run-03", keep_snapshots=1, keep_snapshots_days=1, keep_records=1, keep_records_days=1) == (
        [],
        ["run-02", "run-04"],
    )


# What an activation compares with


@pytest.fixture
def store(tmp_path: object) -> Store:
    return open_store(StateConfig(path=f"{tmp_path}/state"))


def test_before_anything_was_published_nothing_is_protected(store: Store) -> None:
    assert protected_runs(store, "demo") == set()


def test_the_last_published_run_and_those_of_audiences_are_protected(store: Store) -> None:
    store.write("activations/other/published.json", b'{"run_id": "theirs"}')
    store.write("activations/demo/published.json", b'{"run_id": "run-9", "sink": "local:/out", "files": {}}')
    assert protected_runs(store, "demo") == {"run-9"}
    audiences = {f"ups/{run_id}": {"run_id": run_id, "ordinal": 0, "size": 1, "shape": ""} for run_id in ("run-2", "run-5")}
    store.write("activations/demo/published.json", json.dumps({"run_id": "run-9", "audiences": audiences}).encode())
    assert protected_runs(store, "demo") == {"run-9", "run-2", "run-5"}


@pytest.mark.parametrize(
    "content", [b"", b"{]", b"[]", b"{}", b'{"run_id": "run-9", "audiences": [1]}', b'{"run_id": "run-9", "audiences": {"a": {}}}']
)
def test_where_it_cannot_be_told_what_is_protected_that_is_an_error(store: Store, content: bytes) -> None:
    store.write("activations/demo/published.json", content)
    with pytest.raises(ConfigError, match="What was published last cannot be read"):
        protected_runs(store, "demo")


@pytest.mark.parametrize("key", ["keep_snapshots", "keep_snapshots_days", "keep_records", "keep_records_days"])
def test_a_limit_below_one_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"state.{key} is too small. Found: 0. Expected: at least 1"):
        StateConfig(**{key: 0})
