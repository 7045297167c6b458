"""What is taken for published, for taken by the platform, and for ours: a mistake here loses a file, or sends it twice."""

from __future__ import annotations

import json
import os
import shutil
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from deliveries import MANIFEST, NAMES, TRIGGER, Held, Sender, content, rendered
from faulty_proxy import Answer, faulty_proxy
from kills import KILLED, Watched, end, in_a_process, killed_after, killed_before_the_intent, killed_while_sending
from recording_server import RecordingServer, recorded_target
from servers import SftpServer
from targets import Target, local_target, sftp_key_target

from courier.delivery.journal import Journal
from courier.destinations import Staged
from courier.destinations.local import LocalConnection
from courier.destinations.sftp.connection import SftpConnection
from courier.errors import TerminalError, TransientError
from courier.runs import baseline, recovery
from courier.state.local import LocalStore

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def local(tmp_path: Path) -> Sender:
    (tmp_path / "target").mkdir()
    return Sender(local_target(tmp_path / "target").with_config(connections=1), tmp_path / "state")


def settle(sender: Sender, run_id: str = "run-9") -> list[str]:
    """As another run of the activation does, before its own work."""
    config: Any = types.SimpleNamespace(activation="demo", run_id=run_id, destination=sender.target.config)
    return recovery.settle_dead_runs(sender.store, config, Held())


def staged(sender: Sender, number: int) -> Staged:
    journal = Journal.load(sender.store, sender.run_id)
    assert journal is not None
    found = journal.states[number].staged
    assert found is not None
    return found


def lose(sender: Sender, number: int) -> None:
    """What was staged is gone, as after a clean-up at the destination."""
    connection = sender.target.connect()
    connection.discard(staged(sender, number))
    connection.close()


def test_what_was_gone_when_it_was_first_to_be_published_was_not_published(sender: Sender) -> None:
    with pytest.raises(TerminalError) as raised:
        sender.send(before_publishing=lambda: lose(sender, 1))
    assert "not taken back" not in str(raised.value)
    sender.assert_nothing()
    sender.send()
    sender.assert_delivered()


def test_a_refusal_that_the_state_store_did_not_take_at_once_is_written_down_later(
    make_target: Callable[[str], Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, append, down = Sender(make_target("s3").with_config(attempts=1), tmp_path / "state"), LocalStore.append, [True]

    def down_once(store: LocalStore, key: str, line: bytes, *, durable: bool) -> bool:
        if b'"asked": false' in line and b'"complete": true' in line and durable and down:
            down.clear()
            raise TransientError("The state store does not answer now")
        return append(store, key, line, durable=durable)

    monkeypatch.setattr(LocalStore, "append", down_once)
    with pytest.raises(TransientError, match="state store"):
        sender.send(before_publishing=lambda: lose(sender, 1))
    assert not down
    with pytest.raises(TerminalError):  # and not: taken by the platform
        sender.send()
    sender.send()
    sender.assert_delivered()


def test_the_same_among_many_files_that_are_published_together(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    names = [f"f_{number:02d}.csv" for number in range(40)]
    sender = Sender(make_target("sftp_key_ed25519"), tmp_path / "state", names=names)
    with pytest.raises(TerminalError):
        sender.send(before_publishing=lambda: lose(sender, 7))
    sender.assert_nothing()
    sender.send()
    sender.assert_delivered()


@pytest.mark.parametrize("kind", ["local", "sftp_key_ed25519"])
def test_what_was_damaged_before_it_was_published_is_not_taken_for_published(
    make_target: Callable[[str], Target], kind: str, tmp_path: Path
) -> None:
    sender = Sender(make_target(kind).with_config(connections=1), tmp_path / "state")
    killed_after(sender, "enter", 1, Journal)
    (hidden,) = [path for path in sender.target.folder.iterdir() if "a_2.csv" in path.name]
    os.truncate(hidden, 3)
    with pytest.raises(TerminalError, match=r"'a_2\.csv' was changed after it was sent"):
        sender.send()
    sender.assert_nothing()
    sender.send()
    sender.assert_delivered()


def test_an_older_file_is_not_taken_for_ours(local: Sender) -> None:
    local = replace(local, target=local.target.with_config(on_conflict="replace"))
    local.target.put("a_2.csv", b"of yesterday")
    killed_after(local, "enter", 1, Journal)
    lose(local, 1)
    journal = local.send()
    assert [state.confirmed for state in journal.states[:3]] == [True, False, True]


def test_what_the_platform_has_taken_is_not_sent_again_after_a_second_failure(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sender.target.connect())
    original, arrived = kind.publish, list[str]()

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        if staged.name == "a_3.csv":
            raise TerminalError("The right to rename was taken away")
        done: bool = original(self, staged, replace=replace)
        arrived.append(staged.name)
        (sender.target.folder / staged.name).unlink()
        return done

    def broken(name: str) -> Any:
        raise TerminalError("The disk is full")
        yield name

    with monkeypatch.context() as patched:
        patched.setattr(kind, "publish", publish)
        with pytest.raises(TerminalError):
            sender.send()
    assert arrived == ["a.csv", "a_2.csv"]
    somebody_elses = b"x" * len(content("a.csv"))
    sender.target.put("a.csv", somebody_elses)
    with pytest.raises(TerminalError, match="full"):
        sender.send(broken)
    assert sender.target.everything() == {"a.csv": somebody_elses}
    (sender.target.folder / "a.csv").unlink()
    watched = Watched()
    sender.send(watched)
    assert watched.names == ["a_3.csv"]
    assert sorted(sender.target.visible()) == sorted([MANIFEST, "a_3.csv", TRIGGER])


def test_a_journal_that_begins_anew_does_not_believe_what_an_earlier_one_wrote(local: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start is taken back; the second begins anew, as under another configuration, and loses its server."""

    def broken(name: str) -> Any:
        yield content(name)
        if name == "a_3.csv":
            raise TerminalError("The disk is full")

    with pytest.raises(TerminalError):
        local.send(broken)

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        raise TransientError("The server is gone")

    anew = replace(local, target=local.target.with_config(attempts=1))
    monkeypatch.setattr(Journal, "load", classmethod(lambda *_: None))
    with monkeypatch.context() as patched:
        patched.setattr(LocalConnection, "publish", publish)
        with pytest.raises(TransientError):
            anew.send()
    monkeypatch.undo()
    local.send()
    local.assert_delivered()


def killed_when_the_first_was_published(sender: Sender) -> None:
    killed_after(sender, "publish", 1)


def test_another_file_of_the_name_is_not_removed(sender: Sender) -> None:
    killed_when_the_first_was_published(sender)
    (sender.target.folder / "a.csv").unlink()
    sender.target.put("a.csv", b"somebody else's, and of another size")
    assert "not taken back: a.csv" in settle(sender)[0]
    assert sender.target.everything() == {"a.csv": b"somebody else's, and of another size"}


def test_the_file_of_a_later_run_is_not_removed(local: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_when_the_first_was_published(local)
    (local.target.folder / "a.csv").unlink()

    def busy(*_: Any) -> None:
        raise TransientError("The server restarts")

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnection, "remains", busy)  # so that nothing is concluded yet
        assert "cannot be taken back now" in settle(local, "run-2")[0]
    second = replace(local, run_id="run-2", closing=["manifest2.json"])
    journal = second.send()
    files = {state.name: state.staged.size for state in journal.states[:3] if state.staged}
    baseline.remember(local.store, "demo", run_id="run-2", sink="the target", files=files, audiences={})
    assert "not taken back: a.csv" in settle(local, "run-3")[0]
    assert local.target.everything() == second.expected()


def test_killed_between_its_two_names_a_file_is_taken_back(local: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        original = os.link

        def link(hidden: Any, final: Any) -> None:
            original(hidden, final)
            end()

        os.link = link  # type: ignore[assignment]  # for this process, which ends here
        local.send()

    assert in_a_process(work) == KILLED
    assert "a.csv" in local.target.visible()
    settle(local)
    local.assert_nothing()


def test_files_are_taken_back_where_they_were_sent_to(local: Sender, tmp_path: Path) -> None:
    killed_before_the_intent(local)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.csv").write_bytes(b"somebody else's")
    settle(replace(local, target=local_target(elsewhere)))
    assert local.target.everything() == {}
    assert [path.name for path in elsewhere.iterdir()] == ["a.csv"]


def test_what_took_the_place_of_older_files_is_remembered_for_the_next_run(local: Sender) -> None:
    local = replace(local, target=local.target.with_config(on_conflict="replace"))
    killed_after(local, "publish", 2)
    settle(local)
    assert sorted(local.target.visible()) == ["a.csv", "a_2.csv"]
    last = baseline.published(local.store, "demo")
    assert (last["sink"], last["files"]) == ("the target", {name: len(content(name)) for name in NAMES[:2]})


def test_what_replaced_older_files_and_stays_is_not_said_to_be_taken_by_the_platform(
    make_target: Callable[[str], Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target("sftp_key_ed25519").with_config(publish="direct", on_conflict="replace")
    sender, begin = Sender(target, tmp_path / "state"), SftpConnection.begin

    def full(connection: SftpConnection, name: str) -> Staged:
        if name == MANIFEST:
            raise TerminalError("The disk is full")
        return begin(connection, name)

    with monkeypatch.context() as patched:
        patched.setattr(SftpConnection, "begin", full)
        with pytest.raises(TerminalError, match=r"Delivered and not taken back: a\.csv"):
            sender.send()
    journal = sender.send()
    assert [state.confirmed for state in journal.states[:3]] == [True, True, True]
    sender.assert_delivered()


def test_a_later_undo_of_what_a_run_has_settled_changes_nothing(local: Sender) -> None:
    killed_when_the_first_was_published(local)
    settle(local)
    assert settle(local) == []
    assert Journal.open_runs(local.store, "demo") == []


def test_uploads_that_may_not_be_listed_are_no_reason_to_fail(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    plain = make_target("s3").with_config(connections=1)
    with faulty_proxy(str(getattr(plain.config, "endpoint_url", ""))) as proxy:
        sender = Sender(plain.with_config(endpoint_url=proxy.url), tmp_path / "state")
        killed_before_the_intent(sender)
        proxy.add("GET", "uploads", Answer(403, "AccessDenied"), times=100)
        sender.send()
        sender.assert_delivered()
        another = replace(sender, run_id="run-2", names=["b.csv"], closing=[])
        killed_before_the_intent(another)
        told = settle(another)
        assert "what it left was taken back" in told[0]
        assert "may not be looked for" in told[1]
    assert plain.uploads() == []
    assert Journal.open_runs(sender.store, "demo") == []


def test_what_may_not_be_deleted_keeps_nothing_else_from_being_taken_back(
    make_target: Callable[[str], Target], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = make_target("s3").with_config(connections=1)
    with faulty_proxy(str(getattr(plain.config, "endpoint_url", ""))) as proxy:
        sender = Sender(plain.with_config(endpoint_url=proxy.url), tmp_path / "state")
        proxy.add("POST", "a_2.csv?uploadId=", Answer(403, "AccessDenied"))
        proxy.add("DELETE", "a.csv", Answer(403, "AccessDenied"))
        with pytest.raises(TerminalError, match=r"will be by the next run: a\.csv\.$"):
            sender.send()
        assert "it needs s3:DeleteObject" in caplog.text
        assert (sorted(plain.visible()), plain.uploads(), sender.phase()) == (["a.csv"], [], "undoing")
        sender.send()
    sender.assert_delivered()


def test_an_older_file_that_may_not_be_written_to_is_not_removed(openssh: SftpServer, tmp_path: Path) -> None:
    """With `publish=direct` a file has its final name from the start, and until it is opened the older one has it."""
    target = sftp_key_target(openssh, "ed25519").with_config(connections=1, on_conflict="replace", publish="direct")
    target.put("a.csv", b"older")
    (target.folder / "a.csv").chmod(0o444)
    sender = Sender(target, tmp_path / "state")
    with pytest.raises(TerminalError, match=r"'a\.csv' cannot be written"):
        sender.send()
    assert (target.everything(), sender.phase()) == ({"a.csv": b"older"}, "failed")
    (target.folder / "a.csv").unlink()
    sender.send()
    sender.assert_delivered()


def test_a_folder_in_the_place_of_a_file_that_replaces(openssh: SftpServer, tmp_path: Path) -> None:
    """It stays where it is, and the next start has nothing to clear up."""
    target = sftp_key_target(openssh, "ed25519").with_config(connections=1, on_conflict="replace")
    target.put("a.csv/theirs", b"older")
    shutil.chown(target.folder / "a.csv", target.folder.owner(), target.folder.group())
    sender = Sender(target, tmp_path / "state")
    for _ in range(2):
        with pytest.raises(TerminalError, match=r"A folder has the name 'a\.csv'"):
            sender.send()
        assert (target.everything(), sender.phase()) == ({"a.csv/theirs": b"older"}, "failed")
    shutil.rmtree(target.folder / "a.csv")
    sender.send()
    sender.assert_delivered()


def test_a_journal_of_another_version_is_read_as_far_as_it_is_known(local: Sender) -> None:
    killed_before_the_intent(local)
    path = local.state / "runs" / "run-1" / "journal.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "destination": {**known["destination"], "of_the_future": 1}}))
    assert "what it left was taken back" in settle(local)[0]
    local.assert_nothing()


# A server that cannot rename over a file: the older one is moved aside for a moment.


@pytest.fixture
def without_posix_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = asyncssh.sftp.SFTPServerHandler
    kept = [each for each in handler._extensions if each[0] != b"posix-rename@openssh.com"]
    monkeypatch.setattr(handler, "_extensions", kept)


@pytest.mark.usefixtures("without_posix_rename")
def test_an_older_file_that_was_moved_aside_is_removed_when_the_answer_was_lost(recorder: RecordingServer, tmp_path: Path) -> None:
    sender = Sender(recorded_target(recorder, on_conflict="replace", connections=1), tmp_path / "state")
    sender.target.put("a.csv", b"the older file")
    recorder.lose_answer = {"rename"}
    sender.send()
    sender.assert_delivered()


@pytest.mark.usefixtures("without_posix_rename")
def test_an_older_file_that_was_moved_aside_gets_its_name_back(recorder: RecordingServer, tmp_path: Path) -> None:
    sender = Sender(recorded_target(recorder, on_conflict="replace", connections=1, attempts=1), tmp_path / "state")
    sender.target.put("a.csv", b"the older file")
    recorder.lose_answer = {"rename"}
    with pytest.raises(TransientError):
        sender.send()
    assert "a.csv" not in sender.target.visible()
    settle(sender)
    assert sender.target.everything() == {"a.csv": b"the older file"}


@pytest.mark.parametrize("taken", [True, False], ids=["taken by the platform", "still there"])
def test_killed_when_a_file_was_written_under_its_final_name_it_is_not_sent_again(
    make_target: Callable[[str], Target], tmp_path: Path, *, taken: bool
) -> None:
    sender = Sender(make_target("sftp_key_ed25519").with_config(publish="direct", connections=1), tmp_path / "state")
    killed_while_sending(sender, "a_2.csv")
    if taken:
        (sender.target.folder / "a.csv").unlink()
    watched = Watched()
    journal = sender.send(watched)
    assert watched.names == ["a_2.csv", "a_3.csv"]
    assert [state.confirmed for state in journal.states[:3]] == [not taken, True, True]
    assert "a.csv" not in sender.target.visible() or not taken


def test_what_the_platform_took_before_it_was_whole_is_an_error(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    sender = Sender(make_target("sftp_key_ed25519").with_config(publish="direct", connections=1), tmp_path / "state", names=["a.csv"])

    def render(name: str) -> Any:
        for _ in range(80):
            yield bytes(1_000_000)
        end()

    assert in_a_process(lambda: sender.send(render)) == KILLED
    (sender.target.folder / "a.csv").unlink()
    with pytest.raises(TerminalError, match="was taken away before it was whole"):
        sender.send()


def test_published_directly_the_trigger_comes_after_the_manifest_and_both_after_the_lock_was_asked(
    recorder: RecordingServer, tmp_path: Path
) -> None:
    sender = Sender(recorded_target(recorder, publish="direct"), tmp_path / "state")
    seen: list[dict[str, bytes]] = []
    sender.send(rendered, before_publishing=lambda: seen.append(sender.target.visible()))
    assert [sorted(each) for each in seen] == [NAMES]
    closed = [operation for operation in recorder.operations if operation.startswith(("open", "close"))]
    ends = [number for number, operation in enumerate(closed) if MANIFEST in operation or TRIGGER in operation]
    assert [closed[number] for number in ends][-1].endswith(TRIGGER)
    first_trigger = next(number for number, operation in enumerate(closed) if TRIGGER in operation)
    assert "close" in closed[first_trigger - 1]
    sender.assert_delivered()
