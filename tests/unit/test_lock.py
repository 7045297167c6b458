"""One run of an activation at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, cast

import pytest

from courier.config import StateConfig
from courier.errors import BusyError, TransientError
from courier.state import Store, open_store
from courier.state.lock import Lock, locked

KEY = "locks/demo.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(StateConfig(path=str(tmp_path / "state")))


def take(store: Store, run_id: str, lease_seconds: float = 60) -> Lock:
    lock = Lock(store, KEY, run_id, lease_seconds)
    lock.take()
    return lock


def change(store: Store, **changes: object) -> None:
    """As if the owner were another one."""
    store.write(KEY, json.dumps({**json.loads(store.read(KEY) or b""), **changes}).encode())


def test_a_second_run_is_refused_and_told_by_whom(store: Store) -> None:
    take(store, "first")
    with pytest.raises(BusyError) as raised:
        take(store, "second")
    assert raised.value.exit_code == 5
    assert f"run first, process {os.getpid()}" in str(raised.value)


def test_after_the_release_the_next_may_run(store: Store) -> None:
    take(store, "first").release()
    take(store, "second").assert_held()


def test_a_release_takes_away_no_lock_that_was_taken_over_a_moment_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read, second = take(store, "first"), store.read, list[Lock]()

    def read_and_fall_asleep(key: str) -> bytes | None:
        found = read(key)
        monkeypatch.setattr(store, "read", read)
        change(store, expires_at=time.time() - 1)
        second.append(take(store, "second"))
        return found

    monkeypatch.setattr(store, "read", read_and_fall_asleep)
    first.release()
    second[0].assert_held()
    with pytest.raises(BusyError, match="run second"):
        take(store, "third")


def test_a_lease_that_has_ended_is_taken_over_and_its_owner_knows(store: Store) -> None:
    first = take(store, "first", lease_seconds=0.01)
    time.sleep(0.02)
    second = take(store, "second")
    second.assert_held()
    with pytest.raises(BusyError, match="has lost its lock"):
        first.assert_held()
    first.renew()
    with pytest.raises(BusyError, match="has lost its lock"):
        first.assert_held()
    first.release()  # which is not its own any more
    second.assert_held()


def test_a_lease_that_has_ended_and_that_nobody_took_over_begins_anew_before_anything_is_done(store: Store) -> None:
    first = take(store, "first", lease_seconds=60)
    change(store, expires_at=time.time() - 1)  # as after a long sleep
    first._live_until = time.time() - 1
    first.assert_live()
    with pytest.raises(BusyError, match="run first"):
        take(store, "second")


def test_while_its_lease_lasts_the_store_need_not_be_asked(store: Store) -> None:
    """Also where it does not answer: nobody can have taken the lock over by then."""

    class Silent:
        def __getattr__(self, name: str) -> NoReturn:
            raise TransientError(f"{name}: no answer")

    first = take(store, "first", lease_seconds=60)
    first._store = cast("Store", Silent())
    first.assert_live()
    first._live_until = time.time() - 1
    with pytest.raises(TransientError, match="no answer"):
        first.assert_live()


def test_a_lock_on_another_machine_holds_until_its_lease_ends(store: Store) -> None:
    take(store, "first")
    change(store, machine="elsewhere/1/2", process="1/1")
    with pytest.raises(BusyError, match="on elsewhere"):
        take(store, "second")


@pytest.mark.parametrize("collected", [True, False], ids=["gone", "ended and not yet collected"])
def test_a_killed_owner_of_this_machine_is_succeeded_at_once(store: Store, tmp_path: Path, *, collected: bool) -> None:
    program = (
        "import os, signal; from courier.config import StateConfig; from courier.state import open_store; from courier.state.lock import Lock;"
        f"Lock(open_store(StateConfig(path={str(tmp_path / 'state')!r})), {KEY!r}, 'killed', 600).take(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        if collected:
            process.wait(30)
        give_up, stat = time.monotonic() + 30, Path(f"/proc/{process.pid}/stat")
        while not store.read(KEY) or (stat.exists() and " Z " not in stat.read_text()):
            assert time.monotonic() < give_up
            time.sleep(0.02)
        assert json.loads(store.read(KEY) or b"")["run_id"] == "killed"
        take(store, "next").assert_held()
    finally:
        process.wait(20)


def test_a_lock_that_nobody_can_read_is_taken_over(store: Store) -> None:
    store.write(KEY, b"{]")
    take(store, "first").assert_held()


def test_of_many_at_once_one_gets_it(store: Store) -> None:
    results: list[str] = []
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        barrier.wait()
        try:
            take(store, f"run-{number}")
            results.append("taken")
        except BusyError:
            results.append("refused")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused"] * 7 + ["taken"]


def test_the_lease_is_renewed_while_the_run_lives(store: Store) -> None:
    def eventually(condition: Callable[[], bool]) -> bool:
        give_up = time.monotonic() + 10
        while not condition() and time.monotonic() < give_up:
            time.sleep(0.02)
        return condition()

    with locked(store, "demo", "first", lease_seconds=0.3) as lock:
        first = json.loads(store.read(KEY) or b"")["expires_at"]
        assert eventually(lambda: json.loads(store.read(KEY) or b"")["expires_at"] > first + 0.3)
        lock.assert_held()
    assert json.loads(store.read(KEY) or b"")["expires_at"] == 0
