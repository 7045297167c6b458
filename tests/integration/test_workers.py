"""One attempt of an executor at one file, without Spark: places of its own, and nothing left where nobody waits for it any more."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from targets import RUN_ID, Target

from courier.compose import load
from courier.config import EngineConfig, SourceConfig, StateConfig
from courier.delivery import attempt, cluster
from courier.delivery.journal import Journal
from courier.destinations import Connection, Staged
from courier.destinations.base import Keep
from courier.engine import open_engine
from courier.errors import CourierError, TerminalError, TransientError
from courier.mapping import MappedColumn, Mapping
from courier.plan import PlannedFile
from courier.rows.counts import Slice
from courier.rows.snapshot import AudienceSnapshot
from courier.state import Store, open_store

KINDS = ["local", "s3", "sftp_key_ed25519"]
NAME, ROWS = "members.csv", 20_000
VALUE = "x" * 50
CONTENT = b"a\n" + f"{VALUE}\n".encode() * ROWS
Send = Callable[[Connection, Staged, Iterable[bytes], Keep], Staged]


@dataclass(frozen=True)
class Work:
    """A task, and the delivery that it is of."""

    target: Target
    store: Store
    task: attempt.Task

    @property
    def marker(self) -> str:
        """What is there for as long as the run goes on."""
        return Journal.marker(self.task.config.activation, RUN_ID)

    def unfinished(self) -> list[Staged]:
        """What the driver finds."""
        connection = self.target.connect()
        try:
            return connection.unfinished([NAME], self.task.started_at)
        finally:
            connection.close()


@pytest.fixture(params=KINDS)
def work(request: pytest.FixtureRequest, make_target: Callable[[str], Target], tmp_path: Path) -> Work:
    target = make_target(request.param)
    state = StateConfig(path=str(tmp_path / "state"))
    config = load(["activation=demo", f"run_id={RUN_ID}"], now=datetime.now(UTC))
    task = attempt.Task(
        replace(config, destination=target.config, state=state),
        snapshot(tmp_path / "rows.parquet", ROWS),
        PlannedFile(NAME, 0, 1, 1, Slice(0, ROWS)),
        Mapping([MappedColumn("a", "c0", "x", pa.string(), False)], []),
        datetime.now(UTC),
    )
    made = Work(target, open_store(state), task)
    made.store.write(made.marker, b"")
    return made


def snapshot(file: Path, rows: int) -> AudienceSnapshot:
    pq.write_table(pa.table({"c0": [VALUE] * rows, "outcome": ["exported"] * rows}), file)
    return AudienceSnapshot(0, [file])


def instead(work: Work, monkeypatch: pytest.MonkeyPatch, send: Callable[[Send], Send]) -> None:
    """Break into sending, which `send` is given as it is."""
    kind = type(work.target.connect())
    monkeypatch.setattr(kind, "send", send(kind.send))


def test_attempts_have_places_of_their_own_that_the_driver_finds(work: Work) -> None:
    sent = [attempt.stage(work.task, of) for of in ("11111111", "22222222")]
    assert [each.plain_bytes for each in sent] == [len(CONTENT)] * 2
    assert len({each.staged.place for each in sent}) == 2
    assert {each.place for each in work.unfinished()} == {each.staged.place for each in sent}
    assert work.target.visible() == {}
    connection = work.target.connect()
    assert connection.publish(sent[0].staged, replace=False)
    assert work.target.visible() == {NAME: CONTENT}
    connection.discard(sent[1].staged)
    connection.close()
    assert work.target.leftovers() == []


@pytest.mark.parametrize("work", ["local", "sftp_key_ed25519"], indirect=True)  # rclone lists no uploads where there was never one
def test_an_attempt_that_begins_after_its_run_has_ended_sends_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.store.delete(work.marker)

    def never(_: Send) -> Send:
        def send(connection: Connection, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
            raise AssertionError

        return send

    instead(work, monkeypatch, never)
    with pytest.raises(TerminalError, match="the run has ended"):
        attempt.stage(work.task, "11111111")
    assert work.target.leftovers() == []


def test_an_attempt_whose_run_ends_while_it_sends_takes_its_file_away(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(original: Send) -> Send:
        def send(connection: Connection, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
            sent = original(connection, begun, chunks, keep)
            assert work.target.leftovers() != []
            work.store.delete(work.marker)
            return sent

        return send

    instead(work, monkeypatch, ended)
    with pytest.raises(TerminalError, match="the run has ended"):
        attempt.stage(work.task, "11111111")
    assert work.target.everything() == {}
    assert work.target.leftovers() == []


@pytest.mark.parametrize("work", ["sftp_key_ed25519"], indirect=True)  # the others tell of their first bytes later
def test_an_attempt_asks_before_the_end_whether_its_run_goes_on(work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    passed, rows = list[int](), 20 * ROWS
    more = replace(work.task, snapshot=snapshot(tmp_path / "more.parquet", rows), file=replace(work.task.file, slice=Slice(0, rows)))

    def ended(original: Send) -> Send:
        def send(connection: Connection, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
            work.store.delete(work.marker)
            return original(connection, begun, counted(chunks), keep)

        return send

    def counted(chunks: Iterable[bytes]) -> Iterable[bytes]:
        for chunk in chunks:
            passed.append(len(chunk))
            yield chunk

    monkeypatch.setattr(attempt, "ASKED_BYTES", 1_000_000)
    instead(work, monkeypatch, ended)
    with pytest.raises(TerminalError, match="the run has ended"):
        attempt.stage(more, "11111111")
    assert 0 < sum(passed) < rows * len(VALUE)
    assert work.target.leftovers() == []


def test_an_attempt_that_fails_takes_its_file_away(work: Work) -> None:
    more = replace(work.task.file, slice=Slice(0, ROWS + 1))
    with pytest.raises(CourierError, match="fewer rows than were planned"):
        attempt.stage(replace(work.task, file=more), "11111111")
    assert work.target.leftovers() == []


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_attempt_that_loses_its_connection_leaves_one_file(
    work: Work, monkeypatch: pytest.MonkeyPatch, short_pauses: None, *, repeatable: bool
) -> None:
    begun_at: list[int] = []

    def interrupted(original: Send) -> Send:
        def send(connection: Connection, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
            begun_at.append(begun.size)
            if len(begun_at) > 1:
                return original(connection, begun, chunks, keep)
            keep(original(connection, begun, chunks, keep))
            raise TransientError("The connection was lost")

        return send

    monkeypatch.setattr(attempt.Task, "repeatable", repeatable)
    instead(work, monkeypatch, interrupted)
    sent = attempt.stage(work.task, "11111111")
    assert begun_at[0] == 0
    assert len(begun_at) == 2
    if not repeatable:  # its bytes would be others
        assert begun_at[1] == 0
    assert [each.place for each in work.unfinished()] == [sent.staged.place]
    connection = work.target.connect()
    assert connection.publish(sent.staged, replace=False)
    connection.close()
    assert work.target.visible() == {NAME: CONTENT}
    assert work.target.leftovers() == []


@pytest.mark.parametrize("work", ["local"], indirect=True)
def test_what_an_executor_meets_tells_on_which_machine(work: Work) -> None:
    work.store.delete(work.marker)
    (found,) = attempt.staged(iter([work.task]))
    assert isinstance(found, TerminalError)
    again = pickle.loads(pickle.dumps(found))  # as it comes to the driver
    assert str(again) == str(found)
    assert str(found).startswith(f"On an executor ({socket.gethostname()}): '{NAME}' ")


@pytest.mark.parametrize("work", ["local"], indirect=True)
def test_a_job_that_begins_a_moment_after_the_end_is_cancelled_too(work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its rows are in a pipe into which nobody writes, so it would never end."""
    os.mkfifo(tmp_path / "endless.parquet")
    task = replace(work.task, snapshot=AudienceSnapshot(0, [tmp_path / "endless.parquet"]))
    submitted = cluster._on_an_executor
    with open_engine(EngineConfig(kind="spark", master="local[1]"), SourceConfig(str(tmp_path))) as engine:
        executors = cluster.Executors(engine, [task])
        ending = threading.Thread(target=executors.end)

        def late(*arguments: Any) -> Any:
            ending.start()
            while not executors._ended:
                time.sleep(0.01)
            return submitted(*arguments)

        monkeypatch.setattr(cluster, "_on_an_executor", late)
        with pytest.raises(TerminalError, match="cancelled"):
            executors.stage(0)
        ending.join()
        with pytest.raises(TransientError, match="was not sent"):
            executors.stage(0)
