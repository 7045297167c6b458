"""A faulty world, one row at a time: what a whole delivery does when a server, a network or a disk fails on purpose.

Each is tried again where that can help, and gone on with rather than started over; else nothing is visible, and the error
names the cause.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import boto3
import pytest
from deliveries import MANIFEST, NAMES, TRIGGER, Sender, content
from faulty_proxy import Answer, Fault, FaultyProxy, Lie, LoseAnswer, Silence, faulty_proxy
from recording_server import PASSWORD, USERNAME, RecordingServer, recorded_target
from servers import S3Server, SftpServer, can_mount, small_disk
from targets import RUN_ID, Target, sftp_key_target

from courier.config import LocalConfig, S3Config
from courier.delivery.progress import Silence as Quiet
from courier.destinations import Connection, connections, open_destination
from courier.destinations.connections import Connections
from courier.errors import TerminalError, TransientError

MIB = 1024 * 1024
LARGE = random.Random(2).randbytes(20 * MIB)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE_SECONDS", 0.2)


@pytest.fixture
def recorded(recorder: RecordingServer, tmp_path: Path) -> Sender:
    """Over one connection, unless a test wants more."""
    return Sender(recorded_target(recorder, connections=1), tmp_path / "state")


def changed(sender: Sender, **changes: object) -> Sender:
    return replace(sender, target=sender.target.with_config(**changes))


@dataclass
class After(Quiet):
    """Something that happens right after the first file has been staged, or has become visible."""

    step: str
    happens: Callable[[], object]

    def staged(self, name: str, size: int) -> None:
        if (self.step, name) == ("staged", NAMES[0]):
            self.happens()

    def published(self, name: str) -> None:
        if (self.step, name) == ("published", NAMES[0]):
            self.happens()


def after_first(happens: Callable[[], object]) -> Callable[[str], Iterator[bytes]]:
    """Files of which the first is staged when this happens; once."""
    due = [happens]

    def render(name: str) -> Iterator[bytes]:
        if name == NAMES[1] and due:
            due.pop()()
        yield content(name)

    return render


# The connection


def test_a_connection_that_drops_in_the_middle_of_a_file_goes_on_from_there(recorder: RecordingServer, recorded: Sender) -> None:
    recorder.cut_at_byte = 17 * MIB
    sender = replace(recorded, names=["a.csv"], closing=[])
    sender.send(lambda _: (LARGE[start : start + MIB] for start in range(0, len(LARGE), MIB)))
    assert sender.target.everything() == {"a.csv": LARGE}
    assert recorder.written < 1.2 * len(LARGE)
    assert len(recorder.logins) == 2


@pytest.mark.parametrize("many", [1, 3])
def test_a_server_that_is_restarted_is_waited_for(recorder: RecordingServer, recorded: Sender, many: int) -> None:
    sender = changed(recorded, connections=many, attempts=4)
    sender.send(after_first(lambda: recorder.restart(0.3)))
    sender.assert_delivered()


@pytest.mark.parametrize("many", [1, 4])
def test_a_server_that_is_restarted_before_anything_is_published_is_waited_for(
    recorder: RecordingServer, recorded: Sender, many: int
) -> None:
    sender = changed(recorded, connections=many, attempts=3)
    sender.send(before_publishing=lambda: recorder.restart(0.1))
    sender.assert_delivered()


def test_after_a_restart_connections_that_lay_idle_cost_no_attempts(recorder: RecordingServer, recorded: Sender) -> None:
    config = changed(recorded, connections=3, attempts=2).target.config
    pool = Connections(open_destination(config, RUN_ID), config)
    with pool.one(), pool.one(), pool.one():
        assert recorder.open_now == 3
    recorder.restart(0)
    assert pool.retrying(lambda connection: connection.size("a.csv")) is None
    pool.close()
    assert recorder.all_closed()


def test_a_restart_is_not_taken_for_a_server_that_bears_fewer_connections(recorder: RecordingServer, recorded: Sender) -> None:
    """While it is down it refuses new connections, and those that are open are dead and do not know it yet."""
    config = changed(recorded, connections=2, attempts=4).target.config
    pool = Connections(open_destination(config, RUN_ID), config)

    both = threading.Barrier(2, timeout=10)

    def work() -> None:
        def attempt(connection: Connection) -> None:
            connection.size("a.csv")
            both.wait()

        pool.retrying(attempt)

    with ThreadPoolExecutor(1) as second:
        with pytest.raises(TransientError), pool.one() as connection:  # noqa: PT012  only the last line is to raise
            recorder.restart(0.1)
            waiting = second.submit(work)
            time.sleep(0.05)
            connection.size("a.csv")
        work()
        waiting.result(10)
    pool.close()


def test_more_threads_than_connections_share_them(recorder: RecordingServer, recorded: Sender) -> None:
    config = changed(recorded, connections=2).target.config
    pool = Connections(open_destination(config, RUN_ID), config)

    def slow(connection: Connection) -> None:
        connection.size("a.csv")
        time.sleep(0.05)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: pool.retrying(slow), range(12)))
    assert (recorder.most_open, recorder.connections) == (2, 2)
    pool.close()


def test_a_server_that_comes_back_with_another_key_gets_no_password(recorder: RecordingServer, recorded: Sender) -> None:
    recorder.change_key()
    with pytest.raises(TerminalError, match=r"key is not the pinned one.*[Cc]ould not be taken back.*a\.csv"):
        recorded.send(after_first(lambda: recorder.restart(0)))
    assert recorder.logins == [(USERNAME, PASSWORD)]
    assert recorded.target.visible() == {}


@pytest.mark.parametrize("answer", ["hangs up", "says that the password is wrong"])
def test_a_server_that_bears_fewer_connections_gets_no_more(recorder: RecordingServer, recorded: Sender, answer: str) -> None:
    """At one attempt: lowering the number is not trying again."""
    if answer == "hangs up":
        recorder.most = 2
    else:
        recorder.most_logins = 2
    names = [f"a_{part}.csv" for part in range(1, 13)]
    sender = replace(changed(recorded, connections=6, attempts=1), names=names)

    def slow(name: str) -> Iterator[bytes]:
        time.sleep(0.05)
        yield content(name)

    sender.send(slow)
    sender.assert_delivered()
    if answer == "hangs up":
        assert (recorder.most_open, len(recorder.logins)) == (2, 2)
    assert 1 <= recorder.refused <= 4


def test_a_connection_that_lies_idle_does_not_keep_a_run_from_being_taken_back(recorder: RecordingServer, recorded: Sender) -> None:
    def failing(name: str) -> Iterator[bytes]:
        """When the other one is staged."""
        yield content(name)
        if name == NAMES[0]:
            while not any(done.startswith("stat") and NAMES[1] in done for done in recorder.operations):
                time.sleep(0.02)
            time.sleep(0.2)
            recorder.most = 1
            raise TerminalError("The file cannot be rendered")

    with pytest.raises(TerminalError, match="cannot be rendered"):
        replace(changed(recorded, connections=2), names=NAMES[:2]).send(failing)
    assert recorded.target.everything() == {}


@pytest.mark.parametrize("operation", ["open", "write", "close", "stat", "rename"])
def test_a_server_that_stops_answering_is_given_up_in_time(recorder: RecordingServer, recorded: Sender, operation: str) -> None:
    """At publishing the run is left to its next start, which finishes it."""
    sender = changed(recorded, operation_timeout_seconds=0.5, attempts=2)
    alone = (lambda: recorder.stall.add("rename")) if operation == "rename" else (lambda: None)
    with pytest.raises(TransientError, match=r"no answer within 0\.5 seconds|was not sent"):
        sender.send(after_first(lambda: operation != "rename" and recorder.stall.add(operation)), alone)
    assert sender.target.visible() == {}
    recorder.stall.clear()
    sender.send()
    sender.assert_delivered()


# Answers that are lost


@pytest.mark.parametrize("takes", [False, True], ids=["the file stays", "the platform takes it"])
@pytest.mark.parametrize("fault", ["lose_answer", "mute"])
def test_a_renaming_that_is_done_and_not_answered_is_not_done_again(
    recorder: RecordingServer, recorded: Sender, fault: str, takes: bool
) -> None:
    recorder.takes = takes
    sender = changed(recorded, operation_timeout_seconds=0.5)
    journal = sender.send(before_publishing=lambda: getattr(recorder, fault).add("rename"))
    everything = [*NAMES, MANIFEST, TRIGGER]
    assert [name for name, _ in recorder.renames] == everything
    assert getattr(recorder, fault) == set()
    assert journal.states[0].confirmed is not takes
    if takes:
        assert recorder.taken == everything
        assert sender.target.everything() == {}
    else:
        sender.assert_delivered()


@pytest.mark.parametrize("many", [0, 40], ids=["few files", "many files"])
@pytest.mark.parametrize("conflict", ["fail", "replace"])
def test_a_renaming_that_is_done_and_refused_all_the_same_is_done(
    recorder: RecordingServer, recorded: Sender, conflict: str, many: int
) -> None:
    """As by a server that renames, and then may not change the file's rights."""
    recorder.refuse_when_done = {"rename", "posix_rename"}
    sender = replace(changed(recorded, on_conflict=conflict), names=[*NAMES, *(f"b_{number:02d}.csv" for number in range(many))])
    sender.send()
    sender.assert_delivered()


@pytest.mark.parametrize("takes", [False, True], ids=["the files stay", "the platform takes them"])
@pytest.mark.parametrize("fault", ["lose_answer", "mute"])
def test_many_renamings_of_which_answers_are_lost_are_not_done_again(
    recorder: RecordingServer, recorded: Sender, fault: str, takes: bool
) -> None:
    recorder.takes = takes
    names = [f"a_{part}.csv" for part in range(1, 71)]
    sender = replace(changed(recorded, operation_timeout_seconds=0.5, on_conflict="replace", connections=2), names=names)
    journal = sender.send(before_publishing=lambda: getattr(recorder, fault).add("posix_rename"))
    assert sorted(name for name, _ in recorder.renames[:-2]) == sorted(names)
    assert [name for name, _ in recorder.renames[-2:]] == [MANIFEST, TRIGGER]
    assert getattr(recorder, fault) == set()
    assert all(state.delivered for state in journal.states)
    assert any(not state.confirmed for state in journal.states) is takes
    if takes:
        assert sorted(recorder.taken) == sorted([*names, MANIFEST, TRIGGER])
        assert sender.target.everything() == {}
    else:
        sender.assert_delivered()


def test_one_of_many_files_that_cannot_be_published_takes_all_with_it(openssh: SftpServer, tmp_path: Path) -> None:
    target = sftp_key_target(openssh, "ed25519")
    sender = Sender(target, tmp_path / "state", names=[f"a_{part}.csv" for part in range(1, 71)])
    with pytest.raises(TerminalError, match=r"'a_20\.csv' exists already"):
        sender.send(before_publishing=lambda: target.put("a_20.csv", b"somebody else's"))
    assert target.everything() == {"a_20.csv": b"somebody else's"}


def test_one_of_many_files_that_is_there_already_is_told_before_anything_is_sent(openssh: SftpServer, tmp_path: Path) -> None:
    target = sftp_key_target(openssh, "ed25519")
    target.put("a_66.csv", b"somebody else's")

    def unwanted(name: str) -> Iterator[bytes]:
        raise AssertionError(f"{name} was rendered for nothing")

    with pytest.raises(TerminalError, match=r"'a_66\.csv' exists already"):
        Sender(target, tmp_path / "state", names=[f"a_{part}.csv" for part in range(1, 71)]).send(unwanted)
    assert target.everything() == {"a_66.csv": b"somebody else's"}


def test_files_that_are_moved_away_at_once_are_delivered(recorder: RecordingServer, recorded: Sender) -> None:
    recorder.takes = True
    journal = recorded.send()
    assert recorder.taken == [*NAMES, MANIFEST, TRIGGER]
    assert all(state.delivered for state in journal.states)
    assert recorded.phase() == "published"


# What arrived is not what was sent


@pytest.mark.parametrize("error", [-1, 1])
def test_a_server_that_tells_a_wrong_size_is_believed(recorder: RecordingServer, recorded: Sender, error: int) -> None:
    """Nothing is published, whether it has lost something or cannot count."""
    recorder.size_error = error
    with pytest.raises(TerminalError, match=r"'a\.csv' did not arrive whole.*Found: \d+ bytes\. Expected: 24 bytes"):
        recorded.send()
    recorded.assert_nothing()


def test_a_file_that_loses_its_end_on_its_way_to_the_disk_is_noticed(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    sender = Sender(make_target("local").with_config(connections=1), tmp_path / "state")

    def cut(name: str) -> Iterator[bytes]:
        yield content(name)
        os.truncate(next(sender.target.folder.glob(f".*-{name}.part")), 3)

    with pytest.raises(TerminalError, match=r"did not arrive whole.*Found: 3 bytes"):
        sender.send(cut)
    sender.assert_nothing()


# No room, no right


class FullDisk(asyncssh.SFTPError):
    """As servers say it that use later versions' codes in version 3; asyncssh's own would fall back to `failure`."""

    CODE = 14

    def __init__(self, reason: str) -> None:
        super().__init__(asyncssh.FX_FAILURE, reason)

    def encode(self, version: int) -> bytes:
        return self.CODE.to_bytes(4, "big") + super().encode(version)[4:]


class QuotaUsedUp(FullDisk):
    CODE = 15


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (FullDisk, "its disk is full"),
        (QuotaUsedUp, "the quota is used up"),
        (asyncssh.SFTPQuotaExceeded, "failure (a full disk or a quota is a usual cause)"),
    ],
)
def test_a_full_disk_or_quota_is_named_and_not_tried_again(
    recorder: RecordingServer, recorded: Sender, refusal: type[asyncssh.SFTPError], words: str
) -> None:
    recorder.refuse, recorder.refuse_from_byte = {"write": refusal}, len(content("a.csv"))  # so that the first is staged
    with pytest.raises(TerminalError) as raised:
        recorded.send()
    assert words in str(raised.value)
    assert recorder.operations.count("open .courier-run-1-a_2.csv.part") == 1
    recorded.assert_nothing()


def test_the_right_to_write_is_lost_after_the_first_file(openssh: SftpServer, tmp_path: Path) -> None:
    target = sftp_key_target(openssh, "ed25519").with_config(connections=1)
    sender = Sender(target, tmp_path / "state")
    with pytest.raises(TerminalError, match=r"permission denied.*[Cc]ould not be taken back, and will be by the next run: a\.csv"):
        sender.send(after_first(lambda: target.folder.chmod(0o555)))
    assert target.visible() == {}
    target.folder.chmod(0o755)
    sender.send()
    sender.assert_delivered()


def test_the_right_to_rename_is_lost_after_the_first_file(openssh: SftpServer, tmp_path: Path) -> None:
    """So the first cannot be taken back now; the next start takes it back, and delivers all."""
    target = sftp_key_target(openssh, "ed25519").with_config(connections=1)
    sender = Sender(target, tmp_path / "state")
    with pytest.raises(TerminalError, match=r"permission denied.*[Cc]ould not be taken back"):
        sender.send(progress=After("published", lambda: target.folder.chmod(0o555)))
    assert sorted(target.visible()) == ["a.csv"]
    target.folder.chmod(0o755)
    sender.send()
    sender.assert_delivered()


@pytest.mark.parametrize("step", ["staged", "published"])
def test_a_local_folder_that_cannot_be_written_any_more_after_the_first_file(tmp_path: Path, step: str) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    with small_disk(tmp_path / "out") as folder:

        def lock(how: str = "ro") -> None:
            subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)

        target = Target(LocalConfig(kind="local", path=str(folder), connections=1), folder)
        sender = Sender(target, tmp_path / "state")
        with pytest.raises(TerminalError, match=r"Read-only file system.*[Cc]ould not be taken back"):
            sender.send(progress=After(step, lock))
        assert sorted(target.visible()) == ([] if step == "staged" else ["a.csv"])
        lock("rw")
        sender.send()
        sender.assert_delivered()


def test_a_server_that_refuses_the_last_renaming_gives_the_older_file_its_name_back(recorder: RecordingServer, recorded: Sender) -> None:
    """The older file was moved aside by then."""
    recorder.refuse = {"posix_rename": asyncssh.SFTPOpUnsupported}
    recorder.refuse_renaming_to = "a.csv"
    recorded.target.put("a.csv", b"older")
    with pytest.raises(TerminalError, match="cannot be renamed"):
        changed(recorded, on_conflict="replace").send()
    assert recorded.target.everything() == {"a.csv": b"older"}


# S3


@pytest.fixture
def bucket(make_target: Callable[[str], Target], tmp_path: Path) -> Iterator[tuple[Sender, FaultyProxy]]:
    target = make_target("s3")
    assert isinstance(target.config, S3Config)
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        behind = target.with_config(endpoint_url=proxy.url, connections=1, timeout_seconds=1)
        yield Sender(behind, tmp_path / "state"), proxy


BEGIN, PART, LOOK, COMPLETE = ("POST", "?uploads"), ("PUT", "partNumber=1"), ("GET", "uploadId="), ("POST", "uploadId=")


@pytest.mark.parametrize("step", [BEGIN, PART, LOOK, COMPLETE], ids=["begin", "part", "look", "complete"])
@pytest.mark.parametrize(
    "fault",
    [Answer(503, "SlowDown"), Answer(500, "InternalError"), LoseAnswer(), Silence()],
    ids=["slow down", "500", "answer lost", "silence"],
)
def test_s3_fails_at_any_step_and_every_file_arrives_once(bucket: tuple[Sender, FaultyProxy], step: tuple[str, str], fault: Fault) -> None:
    sender, proxy = bucket
    proxy.add(*step, fault)
    sender.send()
    assert proxy.unused() == 0
    done = isinstance(fault, LoseAnswer | Silence)
    if step == COMPLETE:  # one more try, but not where it was done
        assert proxy.count(*COMPLETE) == 5 + (not done)
    sender.assert_delivered()


def test_a_platform_that_takes_a_file_whose_completion_was_not_answered(bucket: tuple[Sender, FaultyProxy]) -> None:
    sender, proxy = bucket
    proxy.add(*COMPLETE, LoseAnswer(then=(sender.target.folder / "a.csv").unlink))
    journal = sender.send()
    assert [state.confirmed for state in journal.states[:3]] == [False, True, True]
    assert proxy.count(*COMPLETE) == 5
    assert sorted(sender.target.visible()) == sorted([*NAMES[1:], MANIFEST, TRIGGER])


@pytest.mark.parametrize("on_conflict", ["fail", "replace"])
def test_a_completion_that_is_done_late_is_neither_a_conflict_nor_taken_back(
    bucket: tuple[Sender, FaultyProxy], rclone_s3: S3Server, on_conflict: str
) -> None:
    sender, proxy = bucket
    sender = changed(sender, on_conflict=on_conflict)
    client = boto3.client(
        "s3",
        endpoint_url=rclone_s3.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=rclone_s3.access_key,
        aws_secret_access_key=rclone_s3.secret_key,
    )

    def complete(answer: bytes) -> bytes:
        """The store does what it was asked for while it is being looked at."""
        key = f"{sender.target.config.folder.strip('/')}/a.csv"
        upload = {"Bucket": rclone_s3.bucket, "Key": key, "UploadId": re.findall(rb"<UploadId>(.*)</UploadId>", answer)[0].decode()}
        parts: list[Any] = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in client.list_parts(**upload)["Parts"]]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        return answer

    def late() -> None:
        proxy.add("POST", "a.csv?uploadId=", Answer(503, "SlowDown"))
        proxy.add("GET", "a.csv?", Lie(complete))

    sender.send(before_publishing=late)
    assert proxy.unused() == 0
    sender.assert_delivered()


def test_a_store_that_stays_slow_is_given_up_and_nothing_is_visible(bucket: tuple[Sender, FaultyProxy]) -> None:
    sender, proxy = bucket
    proxy.add(*BEGIN, Answer(503, "SlowDown"), times=100)
    with pytest.raises(TransientError, match="SlowDown"):
        changed(sender, attempts=3).send()
    assert proxy.count(*BEGIN) == 3
    sender.assert_nothing()
