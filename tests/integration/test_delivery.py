"""Several files on a live server: all of them, then the manifest and the trigger, or none and nothing left over."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deliveries import MANIFEST, NAMES, TRIGGER, Held, Sender, content
from kills import Watched
from recording_server import USERNAME, RecordingServer, recorded_target
from servers import SftpServer, can_mount, small_disk
from targets import PASSWORD_ENV, Target, sftp_key_target

from courier.config import LocalConfig
from courier.delivery.journal import FileState, Journal
from courier.delivery.progress import Silence
from courier.destinations import Staged
from courier.errors import BusyError, ConfigError, DeliveryError, TerminalError, TransientError
from courier.runs import recovery
from courier.state.lock import Lock

MakeTarget = Callable[[str], Target]
FOUR = ["local", "s3", "sftp_password_rclone", "sftp_key_ed25519"]
pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture(params=FOUR)
def sender(request: pytest.FixtureRequest, make_target: MakeTarget, tmp_path: Path) -> Sender:
    """One of each transport; the kinds of keys and passwords make no difference here."""
    return Sender(make_target(request.param), tmp_path / "state")


def test_all_files_then_the_manifest_and_the_trigger(sender: Sender) -> None:
    journal = sender.send()
    sender.assert_delivered()
    for state in journal.states[:3]:
        assert state.sha256 == state.plain_sha256 == hashlib.sha256(content(state.name)).hexdigest()
        assert state.staged is not None
        assert (state.staged.size, state.plain_bytes) == (len(content(state.name)),) * 2
        assert state.uri.endswith(f"/{state.name}")
        assert (state.delivered, state.confirmed) == (True, True)


def test_a_file_that_cannot_be_rendered_takes_all_with_it(sender: Sender) -> None:
    def failing(name: str) -> Iterator[bytes]:
        yield content(name)
        if name == "a_2.csv":
            raise OverflowError("the renderer failed")

    with pytest.raises(OverflowError):
        sender.send(failing)
    sender.assert_nothing()


def test_a_failure_stops_the_other_files_and_is_the_one_that_is_told(sender: Sender) -> None:
    """The first file would never end by itself."""
    started = threading.Event()

    def endless(name: str) -> Iterator[bytes]:
        if name == "a.csv":
            while True:
                started.set()
                yield b"x" * 1000
        assert started.wait(60)
        raise TerminalError("The second file failed")

    with pytest.raises(TerminalError, match="The second file failed"):
        sender.send(endless)
    sender.assert_nothing()


def test_a_file_that_is_there_already_is_told_before_anything_is_sent(sender: Sender) -> None:
    sender.target.put("a_3.csv", b"somebody else's")

    def unwanted(name: str) -> Iterator[bytes]:
        raise AssertionError(f"{name} was rendered for nothing")

    with pytest.raises(TerminalError, match=r"'a_3\.csv' exists already"):
        sender.send(unwanted)
    assert sender.target.everything() == {"a_3.csv": b"somebody else's"}


def test_a_file_that_appears_meanwhile_takes_back_what_is_published(sender: Sender) -> None:
    with pytest.raises(TerminalError, match=r"'a_2\.csv' exists already"):
        sender.send(before_publishing=lambda: sender.target.put("a_2.csv", b"somebody else's"))
    assert sender.target.everything() == {"a_2.csv": b"somebody else's"}
    assert sender.target.uploads() == []
    assert sender.phase() == "failed"


def test_files_of_the_same_size_as_ours_that_appear_meanwhile_are_not_taken_for_ours(sender: Sender) -> None:
    """Another activation delivers files of the same names: the first conflict ends the run before it has come to the others."""
    sender = replace(sender, target=sender.target.with_config(connections=1))
    others = {name: b"x" * len(content(name)) for name in NAMES}

    def appear() -> None:
        for name, theirs in others.items():
            sender.target.put(name, theirs)

    with pytest.raises(TerminalError, match="exists already"):
        sender.send(before_publishing=appear)
    assert sender.target.everything() == others
    assert sender.target.uploads() == []
    assert sender.phase() == "failed"


class Sleeper(Lock):
    """A run that sleeps at one moment for so long that its lease ends; what then happens is `meanwhile`. Where it is not `tired`,
    a test says when.
    """

    def __init__(self, sender: Sender, meanwhile: Callable[[], object], *, tired: bool = True) -> None:
        super().__init__(sender.store, "locks/demo.json", sender.run_id, lease_seconds=0.01)
        self.take()
        self._meanwhile, self._tired = meanwhile, tired

    def sleep(self) -> None:
        with self._mutex:  # the whole process sleeps: another thread of it would begin the lease anew
            self._tired = False
            time.sleep(0.02)
            awake = Lock(self._store, self._key, "the other", lease_seconds=60)
            awake.take()
            self._meanwhile()

    def assert_held(self) -> None:
        if self._tired:
            self.sleep()
        super().assert_held()


def test_a_run_that_has_lost_its_lock_publishes_nothing_and_leaves_what_is_there(sender: Sender) -> None:
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=Sleeper(sender, lambda: None))
    assert sender.target.visible() == {}
    assert sender.phase() == "staging"  # and it is for the run that has the lock now to take it back


def test_another_start_of_the_run_that_took_over_keeps_what_it_has_delivered(sender: Sender) -> None:
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=Sleeper(sender, sender.send))
    sender.assert_delivered()


def test_nor_is_it_taken_back_where_the_sleeper_fails_for_another_reason(sender: Sender) -> None:
    lock = Sleeper(sender, sender.send)

    def failing(name: str) -> Iterator[bytes]:
        yield content(name)
        raise TerminalError("something else")

    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(failing, lock=lock)
    sender.assert_delivered()


def take_back(sender: Sender) -> None:
    """As another run of the activation does with what a dead one left."""
    config: Any = types.SimpleNamespace(activation="demo", run_id="run-2", destination=sender.target.config)
    assert "was taken back" in recovery.settle_dead_runs(sender.store, config, Held())[0]


class WhenPublished(Silence):
    def __init__(self, name: str, happens: Callable[[], object]) -> None:
        self._name, self._happens = name, happens

    def published(self, name: str) -> None:
        if name == self._name:
            self._happens()


def test_a_run_that_slept_after_its_last_file_does_not_say_that_it_is_published(sender: Sender) -> None:
    lock = Sleeper(sender, lambda: take_back(sender), tired=False)
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=lock, progress=WhenPublished(TRIGGER, lock.sleep))
    sender.assert_nothing()


def test_a_run_that_sleeps_between_two_publications_publishes_nothing_more(sender: Sender) -> None:
    """The run that took over may have looked already for what is to be taken back."""
    sender = replace(sender, target=sender.target.with_config(connections=1))
    lock = Sleeper(sender, lambda: None, tired=False)
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=lock, progress=WhenPublished("a.csv", lock.sleep))
    assert [*sender.target.visible()] == ["a.csv"]


def test_a_run_that_sleeps_before_many_are_published_at_once_publishes_none(make_target: MakeTarget, tmp_path: Path) -> None:
    sender = Sender(make_target("sftp_key_ed25519"), tmp_path / "state", names=[f"{number}.csv" for number in range(40)])
    lock = Sleeper(sender, lambda: None, tired=False)
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=AsleepAfter(lock))
    assert sender.target.visible() == {}


class AsleepAfter:
    """It falls asleep as soon as it was told that the lock is its own."""

    def __init__(self, lock: Sleeper) -> None:
        self._lock, self._asleep = lock, False

    @property
    def lost(self) -> bool:
        return self._lock.lost

    def assert_held(self) -> None:
        self._lock.assert_held()
        if not self._asleep:
            self._asleep = True
            self._lock.sleep()

    def assert_live(self) -> None:
        self._lock.assert_live()


def test_a_run_that_sleeps_before_it_removes_what_was_stale_leaves_the_newer_file(sender: Sender) -> None:
    """Of the same name, and as many bytes."""
    sender = replace(sender, stale={"old_4.csv": 4}, target=sender.target.with_config(connections=1), closing=[])
    lock = Sleeper(sender, lambda: sender.target.put("old_4.csv", b"newr"), tired=False)
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(lock=lock, progress=WhenPublished("a_3.csv", lock.sleep))
    assert sender.target.visible()["old_4.csv"] == b"newr"


def test_a_sleeper_does_not_go_on_with_what_is_written_to_directly(openssh: SftpServer, tmp_path: Path) -> None:
    sender = Sender(sftp_key_target(openssh, "ed25519").with_config(publish="direct"), tmp_path / "state", names=["a.csv"])
    lock = Sleeper(sender, lambda: sender.target.put("a.csv", b"newer"), tired=False)

    def render(name: str) -> Iterator[bytes]:
        lock.sleep()
        yield content(name)

    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(render, lock=lock)
    assert sender.target.visible() == {"a.csv": b"newer"}


def test_a_file_that_was_lost_is_not_taken_for_published_where_the_state_store_fails_at_that_moment(
    make_target: MakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused, and that could not be written down at first."""
    sender = Sender(make_target("local"), tmp_path / "state", names=["a.csv"], closing=[])
    update, due = Journal.update, [TransientError("The state store does not answer now")]

    def failing(self: Journal, number: int, **changes: Any) -> FileState:
        if changes == {"asked": False} and due:
            raise due.pop()
        return update(self, number, **changes)

    def lose() -> None:
        next(sender.target.folder.glob(".courier-*")).unlink()

    monkeypatch.setattr(Journal, "update", failing)
    with pytest.raises(TerminalError, match="No such file"):
        sender.send(before_publishing=lose)
    assert due == []
    sender.assert_nothing()


def test_a_state_store_that_fails_when_all_is_published_is_told_and_nothing_is_sent_twice(sender: Sender) -> None:
    """As on a full disk."""
    away = sender.state.with_name("away")

    def fails() -> None:
        sender.state.rename(away)
        sender.state.write_bytes(b"")

    with pytest.raises(ConfigError, match="all files are published; start again with run_id=run-1"):
        sender.send(progress=WhenPublished(TRIGGER, fails))
    assert sender.target.visible() == sender.expected()
    sender.state.unlink()
    away.rename(sender.state)
    watched = Watched()
    sender.send(watched)
    assert watched.names == []
    sender.assert_delivered()


def test_a_run_that_slept_while_it_takes_back_leaves_what_the_start_that_took_over_has_published(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = replace(sender, target=sender.target.with_config(connections=1))
    theirs = sender.target.folder / "a_2.csv"

    def meanwhile() -> None:
        theirs.unlink()
        sender.send()

    lock = Sleeper(sender, meanwhile, tired=False)
    kind, due = type(sender.target.connect()), [lock.sleep]
    original = kind.remains

    def slowly(self: Any, staged: Staged) -> bool:
        if due:
            due.pop()()
        return bool(original(self, staged))

    def render(name: str) -> Iterator[bytes]:
        if name == "a_3.csv":
            sender.target.put(theirs.name, b"somebody else's")
        yield content(name)

    monkeypatch.setattr(kind, "remains", slowly)
    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(render, lock=lock)
    sender.assert_delivered()


@pytest.mark.parametrize("kind", ["local", "s3", "sftp_key_ed25519", "sftp_password_proftpd"])
def test_what_a_sleeper_still_writes_gets_into_no_file_of_the_start_that_took_over(
    make_target: MakeTarget, tmp_path: Path, kind: str
) -> None:
    """Encrypted files are other bytes each time."""
    sender = Sender(make_target(kind), tmp_path / "state", names=["a.csv"], repeatable=False)
    lock = Sleeper(sender, sender.send)

    def render(name: str) -> Iterator[bytes]:
        yield b"old" * 200_000
        lock.sleep()
        yield b"old" * 200_000

    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(render, lock=lock)
    sender.assert_delivered()


@pytest.mark.parametrize("same", [True, False], ids=["the same run", "another run"])
def test_what_a_sleeper_begins_when_it_wakes_is_discarded_by_itself(sender: Sender, *, same: bool) -> None:
    """Whoever took over has looked for what was begun before that."""
    sender = replace(sender, target=sender.target.with_config(connections=1))
    lock = Sleeper(sender, sender.send if same else lambda: take_back(sender), tired=False)

    def render(name: str) -> Iterator[bytes]:
        if name == "a.csv":
            lock.sleep()
        yield content(name)

    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(render, lock=lock)
    if same:
        sender.assert_delivered()
    else:
        sender.assert_nothing()


def test_a_lock_that_is_lost_ends_the_sending(sender: Sender) -> None:
    lock, sent_whole = Sleeper(sender, lambda: None), list[str]()

    def slow(name: str) -> Iterator[bytes]:
        with contextlib.suppress(BusyError):
            lock.assert_held()
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            time.sleep(0.01)
            yield content(name)
        sent_whole.append(name)

    with pytest.raises(BusyError, match="lost its lock"):
        sender.send(slow, lock=lock)
    assert sent_whole == []
    assert sender.target.visible() == {}


def test_after_a_failure_the_same_run_can_start_again(sender: Sender) -> None:
    sender.target.put("a_2.csv", b"somebody else's")
    with pytest.raises(TerminalError):
        sender.send()
    (sender.target.folder / "a_2.csv").unlink()
    sender.send()
    sender.assert_delivered()


def test_files_of_an_earlier_run_are_replaced_when_asked(sender: Sender) -> None:
    for name in NAMES:
        sender.target.put(name, b"of an earlier run, and longer than the file that takes its place" * 3)
    sender = replace(sender, target=sender.target.with_config(on_conflict="replace"))
    sender.send()
    sender.assert_delivered()


def test_stale_parts_of_an_earlier_run_go_and_those_of_others_stay(sender: Sender) -> None:
    """Both names were this activation's; the second file has been changed by somebody since."""
    sender.target.put("a_4.csv", b"ours")
    sender.target.put("a_5.csv", b"changed by somebody")
    sender = replace(sender, target=sender.target.with_config(on_conflict="replace"), stale={"a_4.csv": 4, "a_5.csv": 4})
    sender.send()
    assert sender.target.visible() == sender.expected() | {"a_5.csv": b"changed by somebody"}


def test_what_replaced_something_and_cannot_be_taken_back_is_named(make_target: MakeTarget, tmp_path: Path) -> None:
    """The second file cannot replace a folder, when the first has already replaced a file."""
    target = make_target("local").with_config(on_conflict="replace", connections=1)
    target.put("a.csv", b"older")
    (target.folder / "a_2.csv").mkdir()
    with pytest.raises(DeliveryError) as raised:
        Sender(target, tmp_path / "state").send()
    assert "Delivered and not taken back: a.csv" in str(raised.value)
    assert sorted(path.name for path in target.folder.iterdir()) == ["a.csv", "a_2.csv"]
    (target.folder / "a_2.csv").rmdir()
    rendered_again: list[str] = []

    def watched(name: str) -> Iterator[bytes]:
        rendered_again.append(name)
        yield content(name)

    sender = Sender(target, tmp_path / "state")
    sender.send(watched)
    sender.assert_delivered()
    assert sorted(rendered_again) == ["a_2.csv", "a_3.csv"]


def test_a_full_disk_leaves_none_of_several_files(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    with small_disk(tmp_path / "out") as folder:
        sender = Sender(Target(LocalConfig(kind="local", path=str(folder)), folder), tmp_path / "state")
        with pytest.raises(TerminalError) as raised:
            sender.send(lambda name: [b"x" * 500_000] * len(name))
        assert "No space left on device" in str(raised.value)
        assert "free some space" in str(raised.value)
        sender.assert_nothing()


def test_a_full_disk_at_the_server_leaves_none_of_several_files(openssh: SftpServer, tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    target = sftp_key_target(openssh, "ed25519")
    with small_disk(target.folder):
        sender = Sender(target, tmp_path / "state")
        with pytest.raises(TerminalError, match="cannot be written"):
            sender.send(lambda name: [b"x" * 500_000] * len(name))
        sender.assert_nothing()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    target = Target(LocalConfig(kind="local", path=str(tmp_path / "out")), tmp_path / "out")
    with pytest.raises(TerminalError) as raised:
        Sender(target, tmp_path / "state").send()
    assert str(tmp_path / "out") in str(raised.value)


def test_the_trigger_of_local_files_comes_last_and_the_manifest_before_it(make_target: MakeTarget, tmp_path: Path) -> None:
    target = make_target("local")
    Sender(target, tmp_path / "state").send()
    changed = {path.name: path.stat().st_ctime_ns for path in target.folder.iterdir()}
    # The clock of a filesystem ticks every few milliseconds, so neighbours may be alike.
    assert max(changed[name] for name in NAMES) <= changed[MANIFEST] <= changed[TRIGGER]


# Against a server that remembers


@pytest.fixture
def recorded(recorder: RecordingServer, tmp_path: Path) -> Sender:
    return Sender(recorded_target(recorder, connect_timeout_seconds=5), tmp_path / "state")


def test_files_become_visible_after_the_last_is_sent_and_the_manifest_and_the_trigger_at_the_end(
    recorder: RecordingServer, recorded: Sender
) -> None:
    everything_staged = threading.Event()

    def seen() -> None:
        assert recorder.visible() == []
        everything_staged.set()

    recorded.send(before_publishing=seen)
    assert everything_staged.is_set()
    assert sorted(name for name, _ in recorder.renames[:3]) == NAMES
    assert [(name, sorted(before)) for name, before in recorder.renames[3:]] == [(MANIFEST, NAMES), (TRIGGER, sorted([*NAMES, MANIFEST]))]
    assert recorder.all_closed()


@pytest.mark.parametrize("connections", [1, 2])
def test_no_more_connections_than_configured(recorder: RecordingServer, recorded: Sender, connections: int) -> None:
    names = [f"a_{part}.csv" for part in range(1, 10)]
    sender = replace(recorded, names=names, target=recorded.target.with_config(connections=connections))
    sender.send()
    assert recorder.most_open <= connections
    assert recorder.connections == recorder.most_open  # each is used for many files
    sender.assert_delivered()


def test_a_dropped_connection_is_tried_again(recorder: RecordingServer, recorded: Sender) -> None:
    recorder.drop = 2
    recorded.send()
    recorded.assert_delivered()


def test_a_server_that_drops_every_connection_is_given_up(recorder: RecordingServer, recorded: Sender) -> None:
    recorder.drop = 1_000
    with pytest.raises(TransientError):
        replace(recorded, target=recorded.target.with_config(attempts=3, connections=1)).send()
    assert 3 <= recorder.connections <= 3 + 2  # the attempts, and those at taking things back
    assert recorder.logins == []


def test_a_wrong_password_is_not_tried_again(recorder: RecordingServer, recorded: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    with pytest.raises(TerminalError, match="refused the login"):
        replace(recorded, target=recorded.target.with_config(connections=1)).send()
    assert set(recorder.logins) == {(USERNAME, "wr0ng-pa55word")}
    assert len(recorder.logins) <= 2  # one, and one at taking things back


def test_a_connection_that_is_lost_while_a_file_is_sent_is_replaced(recorder: RecordingServer, recorded: Sender) -> None:
    tries: list[str] = []

    def interrupted(name: str) -> Iterator[bytes]:
        tries.append(name)
        yield content(name)
        if name == "a_2.csv" and tries.count(name) == 1:
            raise TransientError("The connection was lost")

    recorded.send(interrupted)
    assert sorted(tries) == ["a.csv", "a_2.csv", "a_2.csv", "a_3.csv"]
    recorded.assert_delivered()
