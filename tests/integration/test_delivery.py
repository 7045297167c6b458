"""Several files on a live server: all of them and then the manifest, or none and nothing left over."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from recording_server import PASSWORD, USERNAME, RecordingServer, recording_server
from servers import SftpServer, can_mount, small_disk
from targets import PASSWORD_ENV, RUN_ID, Target, sftp_key_target

from courier.config import (
    AudienceConfig,
    ChecksConfig,
    ColumnConfig,
    EngineConfig,
    FileConfig,
    LocalConfig,
    MappingConfig,
    RunConfig,
    SftpPasswordConfig,
    SourceConfig,
    StateConfig,
)
from courier.delivery import DeliveredFile, deliver
from courier.destinations import open_destination
from courier.errors import DeliveryError, TerminalError, TransientError
from courier.plan import PlannedFile, Slice

Render = Callable[[PlannedFile], Iterable[bytes]]
MakeTarget = Callable[[str], Target]

FILES = [PlannedFile(name, 0, part, 3, Slice(0, 2)) for part, name in enumerate(["a.csv", "a_2.csv", "a_3.csv"], start=1)]
MANIFEST = "manifest-{}-run-1.json"
FOUR = ["local", "s3", "sftp_password_rclone", "sftp_key_ed25519"]


@pytest.fixture(params=FOUR)
def one_of_four(request: pytest.FixtureRequest, make_target: MakeTarget) -> Target:
    """One of each transport; the kinds of keys and passwords make no difference here."""
    return make_target(request.param)


def content(file: PlannedFile) -> bytes:
    return f"email\n{file.part}@example.com\n".encode() * file.part


def rendered(file: PlannedFile) -> Iterator[bytes]:
    yield content(file)


def run_config(target: Target) -> RunConfig:
    return RunConfig(
        activation="spring",
        engine=EngineConfig(),
        source=SourceConfig(path="unused"),
        audience=AudienceConfig(segments=["seg-a"]),
        mapping=MappingConfig({"email": ColumnConfig("personalEmail.address")}),
        checks=ChecksConfig(),
        file=FileConfig(),
        destination=target.config,
        state=StateConfig(),
        run_id=RUN_ID,
        as_of=datetime(2026, 11, 1, tzinfo=UTC),
    )


def send(target: Target, render: Render = rendered, files: list[PlannedFile] = FILES) -> list[DeliveredFile]:
    return deliver(run_config(target), open_destination(target.config, RUN_ID), files, ["email"], render)


def test_all_files_and_a_manifest_that_proves_them(one_of_four: Target) -> None:
    sent = send(one_of_four)
    there = one_of_four.everything()
    name = MANIFEST.format(one_of_four.config.name)
    assert {key: there[key] for key in there if key != name} == {file.name: content(file) for file in FILES}
    assert json.loads(there[name]) == {
        "flowRunId": "run-1",
        "scheduledTime": "2026-11-01T00:00:00Z",
        "exportResults": [
            {
                "sinkPath": one_of_four.config.path,
                "name": file.name,
                "size": len(content(file)),
                "rows": 2,
                "sha256": hashlib.sha256(content(file)).hexdigest(),
                "segmentId": "seg-a",
                "columns": ["email"],
                "mode": "full",
                "part": file.part,
                "parts": 3,
            }
            for file in FILES
        ],
    }
    assert [(file.planned, file.bytes, file.sha256) for file in sent] == [
        (file, len(content(file)), hashlib.sha256(content(file)).hexdigest()) for file in FILES
    ]
    assert one_of_four.uploads() == []


def test_a_file_that_cannot_be_rendered_takes_all_with_it(one_of_four: Target) -> None:
    def failing(file: PlannedFile) -> Iterator[bytes]:
        yield content(file)
        if file.part == 2:
            raise OverflowError("the renderer failed")

    with pytest.raises(OverflowError):
        send(one_of_four, failing)
    assert one_of_four.everything() == {}
    assert one_of_four.uploads() == []


def test_a_failure_stops_the_other_files_and_is_the_one_that_is_told(one_of_four: Target) -> None:
    """The first file would never end by itself."""
    started = threading.Event()

    def endless(file: PlannedFile) -> Iterator[bytes]:
        if file.part == 1:
            while True:
                started.set()
                yield b"x" * 1000
        assert started.wait(60)
        raise TerminalError("The second file failed")

    with pytest.raises(TerminalError, match="The second file failed"):
        send(one_of_four, endless, FILES[:2])
    assert one_of_four.everything() == {}
    assert one_of_four.uploads() == []


def test_a_file_that_is_there_already_is_told_before_anything_is_sent(one_of_four: Target) -> None:
    one_of_four.put("a_3.csv", b"somebody else's")

    def unwanted(file: PlannedFile) -> Iterator[bytes]:
        raise AssertionError(f"{file.name} was rendered for nothing")

    with pytest.raises(TerminalError, match=r"'a_3\.csv' exists already"):
        send(one_of_four, unwanted)
    assert one_of_four.everything() == {"a_3.csv": b"somebody else's"}


def test_a_file_that_appears_meanwhile_takes_back_what_is_published(one_of_four: Target) -> None:
    def slow(file: PlannedFile) -> Iterator[bytes]:
        yield content(file)
        if file.part == 3:
            one_of_four.put("a_2.csv", b"somebody else's")

    with pytest.raises(TerminalError, match=r"'a_2\.csv' exists already"):
        send(one_of_four, slow)
    assert one_of_four.everything() == {"a_2.csv": b"somebody else's"}
    assert one_of_four.uploads() == []


def test_files_of_an_earlier_run_are_replaced_when_asked(one_of_four: Target) -> None:
    for file in FILES:
        one_of_four.put(file.name, b"of an earlier run, and longer than the file that takes its place" * 3)
    target = one_of_four.with_config(on_conflict="replace")
    send(target)
    assert {name: text for name, text in target.everything().items() if name.endswith(".csv")} == {
        file.name: content(file) for file in FILES
    }
    assert target.leftovers() == []


def test_what_replaced_something_and_cannot_be_taken_back_is_named(make_target: MakeTarget) -> None:
    """The second file cannot replace a folder, when the first has already replaced a file."""
    target = make_target("local").with_config(on_conflict="replace")
    target.put("a.csv", b"older")
    (target.folder / "a_2.csv").mkdir()
    with pytest.raises(DeliveryError) as raised:
        send(target)
    assert "should be looked at: a.csv" in str(raised.value)
    assert sorted(path.name for path in target.folder.iterdir()) == ["a.csv", "a_2.csv"]


def test_a_full_disk_leaves_none_of_several_files(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    with small_disk(tmp_path / "out") as folder:
        target = Target(LocalConfig(kind="local", path=str(folder)), folder)
        with pytest.raises(TerminalError) as raised:
            send(target, lambda file: [b"x" * 500_000] * file.part)
        assert "No space left on device" in str(raised.value)
        assert "free some space" in str(raised.value)
        assert target.everything() == {}


def test_a_full_disk_at_the_server_leaves_none_of_several_files(openssh: SftpServer) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    target = sftp_key_target(openssh, "ed25519")
    with small_disk(target.folder):
        with pytest.raises(TerminalError, match="cannot be written"):
            send(target, lambda file: [b"x" * 500_000] * file.part)
        assert target.everything() == {}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    target = Target(LocalConfig(kind="local", path=str(tmp_path / "out")), tmp_path / "out")
    with pytest.raises(TerminalError) as raised:
        send(target)
    assert str(tmp_path / "out") in str(raised.value)


def test_the_manifest_of_local_files_comes_last(make_target: MakeTarget) -> None:
    target = make_target("local")
    send(target)
    changed = {path.name: path.stat().st_ctime_ns for path in target.folder.iterdir()}
    assert changed["manifest-local-run-1.json"] == max(changed.values())


# Against a server that remembers


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    with recording_server(tmp_path / "served") as server:
        yield server


def recorded(server: RecordingServer, connections: int = 4) -> Target:
    config = SftpPasswordConfig(
        kind="sftp_password",
        host="127.0.0.1",
        port=server.port,
        username=USERNAME,
        password_env=PASSWORD_ENV,
        path="/",
        host_key_fingerprint=server.fingerprint,
        connections=connections,
        connect_timeout_seconds=5,
    )
    return Target(config, server.folder)


def test_files_become_visible_after_the_last_is_sent_and_the_manifest_at_the_end(recorder: RecordingServer) -> None:
    send(recorded(recorder))
    manifest = MANIFEST.format("sftp_password")
    assert recorder.renames == [
        ("a.csv", []),
        ("a_2.csv", ["a.csv"]),
        ("a_3.csv", ["a.csv", "a_2.csv"]),
        (manifest, ["a.csv", "a_2.csv", "a_3.csv"]),
    ]
    assert recorder.all_closed()


@pytest.mark.parametrize("connections", [1, 2])
def test_no_more_connections_than_configured(recorder: RecordingServer, connections: int) -> None:
    files = [PlannedFile(f"a_{part}.csv", 0, part, 9, Slice(0, 1)) for part in range(1, 10)]
    send(recorded(recorder, connections), files=files)
    assert recorder.most_open <= connections
    assert recorder.connections == recorder.most_open  # each is used for many files
    assert len(recorder.visible()) == 10


def test_a_dropped_connection_is_tried_again(recorder: RecordingServer) -> None:
    recorder.drop = 2
    send(recorded(recorder))
    assert len(recorder.visible()) == 4


def test_a_server_that_drops_every_connection_is_given_up(recorder: RecordingServer) -> None:
    recorder.drop = 1_000
    with pytest.raises(TransientError):
        send(recorded(recorder))
    assert recorder.connections == 3
    assert recorder.logins == []


def test_a_connection_that_is_lost_while_a_file_is_sent_is_replaced(recorder: RecordingServer) -> None:
    tries: list[str] = []

    def interrupted(file: PlannedFile) -> Iterator[bytes]:
        tries.append(file.name)
        yield content(file)
        if tries.count("a_2.csv") == 1 and file.part == 2:
            raise TransientError("The connection was lost")

    target = recorded(recorder)
    send(target, interrupted)
    assert sorted(tries) == ["a.csv", "a_2.csv", "a_2.csv", "a_3.csv"]
    assert {name: text for name, text in target.everything().items() if name.endswith(".csv")} == {
        file.name: content(file) for file in FILES
    }
    assert target.leftovers() == []


def test_a_wrong_password_is_not_tried_again(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    with pytest.raises(TerminalError, match="refused the login"):
        send(recorded(recorder))
    assert recorder.logins == [(USERNAME, "wr0ng-pa55word")]


def test_what_cannot_be_taken_back_for_want_of_a_connection_is_named(recorder: RecordingServer) -> None:
    target = recorded(recorder, connections=1)

    class NoMoreLogins(list[tuple[str, list[str]]]):
        """From the first rename on."""

        def append(self, _: tuple[str, list[str]]) -> None:
            recorder.drop = 1_000

    def last(file: PlannedFile) -> Iterator[bytes]:
        yield content(file)
        if file.part == 3:
            target.put("a_2.csv", b"somebody else's")

    recorder.renames = NoMoreLogins()
    with pytest.raises(TerminalError, match=r"'a_2\.csv' exists already") as raised:
        send(target, last)
    assert recorder.visible() == ["a.csv", "a_2.csv"]
    assert "should be looked at: a.csv, " in str(raised.value)
