"""What SFTP servers do that the contract's test does not show: old ones, strict ones, far ones, and those that fail."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncssh
import paramiko
import pytest
from asyncssh.constants import FXP_READDIR
from delay_proxy import delay_proxy
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from recording_server import PASSWORD, USERNAME, RecordingServer, config_of, recording_server
from servers import SftpServer, openssh_server
from targets import PASSWORD_ENV, RUN_ID, Target, ignore, pieces, sftp_key_target

from courier.config import JumpConfig, SftpConfig
from courier.destinations import Connection, Destination, Staged, open_destination
from courier.destinations.sftp.connect import limited
from courier.destinations.sftp.packets import Packets, ReadAhead
from courier.destinations.sftp.proof import Proof, Proofs, holds
from courier.destinations.sftp.protocol import Session
from courier.destinations.sftp.transfer import Upload, blocks
from courier.destinations.sftp.wire import ATTRS
from courier.errors import TerminalError, TransientError

MIB = 1024 * 1024
HIDDEN = f".courier-{RUN_ID}-audience.csv.part"
#: So large that it is kept twice, and no multiple of anything.
LARGE = random.Random(1).randbytes(20 * MIB + 12_345)
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)
ALL_EXTENSIONS = asyncssh.sftp.SFTPServerHandler._extensions


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take extensions away from servers that start a session after this."""

    def take(*names: bytes) -> None:
        left = [each for each in ALL_EXTENSIONS if each[0] not in names]
        monkeypatch.setattr(asyncssh.sftp.SFTPServerHandler, "_extensions", left)

    return take


def destination(server: RecordingServer, **changes: Any) -> Destination:
    return open_destination(config_of(server, **changes), RUN_ID)


def connect(server: RecordingServer, **changes: Any) -> Connection:
    return destination(server, **changes).connect()


def stage(connection: Connection, content: bytes, name: str = "audience.csv", size: int = 1_000_003) -> Staged:
    return connection.send(connection.begin(name), pieces(content, size), ignore)


def files(server: RecordingServer) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in server.folder.iterdir()}


# Publishing


def test_a_server_without_posix_rename_replaces_in_more_than_one_step(recorder: RecordingServer, without: Callable[..., None]) -> None:
    without(b"posix-rename@openssh.com")
    (recorder.folder / "audience.csv").write_bytes(b"older")
    connection = connect(recorder)
    assert connection.publish(stage(connection, b"newer"), replace=True) is False
    assert files(recorder) == {"audience.csv": b"newer"}
    connection.close()


def test_an_older_file_gets_its_name_back_at_once(recorder: RecordingServer, without: Callable[..., None]) -> None:
    without(b"posix-rename@openssh.com")
    (recorder.folder / "audience.csv").write_bytes(b"older")
    recorder.refuse_renaming_to = "audience.csv"
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    with pytest.raises(TerminalError, match="cannot be renamed"):
        connection.publish(staged, replace=True)
    assert files(recorder)["audience.csv"] == b"older"
    assert len(files(recorder)) == 2
    connection.close()


def test_a_server_without_posix_rename_needs_one_step_where_nothing_is_replaced(
    recorder: RecordingServer, without: Callable[..., None]
) -> None:
    without(b"posix-rename@openssh.com")
    connection = connect(recorder)
    assert connection.publish(stage(connection, b"newer"), replace=True) is True
    assert files(recorder) == {"audience.csv": b"newer"}
    connection.close()


def test_a_server_that_refuses_posix_rename_may_still_rename(recorder: RecordingServer) -> None:
    recorder.refuse["posix_rename"] = asyncssh.SFTPOpUnsupported
    connection = connect(recorder)
    assert connection.publish(stage(connection, b"newer"), replace=True) is True
    assert files(recorder) == {"audience.csv": b"newer"}
    connection.close()


def test_a_server_that_refuses_a_plain_rename_may_know_the_other(recorder: RecordingServer) -> None:
    recorder.refuse["rename"] = asyncssh.SFTPFailure
    connection = connect(recorder)
    assert connection.publish(stage(connection, b"newer"), replace=False) is True
    assert files(recorder) == {"audience.csv": b"newer"}
    connection.close()


def test_a_server_that_replaces_unasked_is_not_let(recorder: RecordingServer) -> None:
    recorder.replaces = True
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    (recorder.folder / "audience.csv").write_bytes(b"somebody else's")
    with pytest.raises(TerminalError, match="exists already"):
        connection.publish(staged, replace=False)
    assert files(recorder) == {"audience.csv": b"somebody else's", HIDDEN: b"newer"}
    connection.close()


@pytest.mark.parametrize("replacing", [False, True])
def test_a_server_that_forbids_renaming_loses_nothing_and_the_way_out_is_told(recorder: RecordingServer, replacing: bool) -> None:
    recorder.refuse = {"rename": asyncssh.SFTPPermissionDenied, "posix_rename": asyncssh.SFTPPermissionDenied}
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    if replacing:
        (recorder.folder / "audience.csv").write_bytes(b"older")
    with pytest.raises(TerminalError, match=r"permission denied.*destination\.publish=direct"):
        connection.publish(staged, replace=replacing)
    assert connection.is_staged(staged)
    connection.discard(staged)
    assert files(recorder) == ({"audience.csv": b"older"} if replacing else {})
    connection.close()


@pytest.mark.parametrize("extension", [b"posix-rename@openssh.com", b"none"])
def test_a_folder_never_makes_room_for_a_file(recorder: RecordingServer, without: Callable[..., None], extension: bytes) -> None:
    without(extension)
    (recorder.folder / "audience.csv").mkdir()
    (recorder.folder / "audience.csv" / "theirs").write_bytes(b"older")
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    with pytest.raises(TerminalError, match=r"A folder has the name 'audience\.csv'.*file\.name"):
        connection.publish(staged, replace=True)
    assert (recorder.folder / "audience.csv" / "theirs").read_bytes() == b"older"
    assert connection.is_staged(staged)
    connection.discard(staged)
    assert [path.name for path in recorder.folder.iterdir()] == ["audience.csv"]
    connection.close()


@pytest.mark.parametrize("on_conflict", ["fail", "replace"])
def test_published_directly_a_folder_of_that_name_is_told_before_anything_is_written(recorder: RecordingServer, on_conflict: str) -> None:
    (recorder.folder / "audience.csv").mkdir()
    connection = connect(recorder, publish="direct", on_conflict=on_conflict)
    with pytest.raises(TerminalError, match="A folder has the name"):
        connection.begin("audience.csv")
    connection.close()


@pytest.mark.parametrize("publish", ["rename", "direct"])
def test_a_link_to_a_file_that_is_not_there_is_not_replaced_unasked(openssh: SftpServer, publish: str) -> None:
    target = sftp_key_target(openssh, "ed25519").with_config(publish=publish)
    (target.folder / "audience.csv").symlink_to("elsewhere")
    connection = target.connect()
    with pytest.raises(TerminalError, match="exists already"):
        connection.publish(stage(connection, b"newer"), replace=False)
    assert (target.folder / "audience.csv").readlink() == Path("elsewhere")
    assert target.visible() == {}
    connection.close()


def test_an_older_file_that_was_moved_aside_and_may_not_be_removed_gets_its_name_back(recorder: RecordingServer) -> None:
    (recorder.folder / "audience.csv").write_bytes(b"older")
    recorder.refuse = {"posix_rename": asyncssh.SFTPOpUnsupported, "remove": asyncssh.SFTPPermissionDenied}
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    with pytest.raises(TerminalError, match="permission denied"):
        connection.publish(staged, replace=True)
    assert files(recorder) == {"audience.csv": b"older", HIDDEN: b"newer"}
    connection.close()


def test_a_server_that_lets_nobody_remove_is_told_as_such(recorder: RecordingServer) -> None:
    recorder.refuse = {"remove": asyncssh.SFTPPermissionDenied}
    connection = connect(recorder)
    staged = stage(connection, b"newer")
    for attempt in (lambda: connection.discard(staged), lambda: connection.remove(staged.place.removeprefix("/"))):
        with pytest.raises(TerminalError, match=r"cannot be removed.*permission denied.*allow the user to remove its files"):
            attempt()
    connection.close()


def test_publishing_directly(recorder: RecordingServer) -> None:
    recorder.refuse = {"rename": asyncssh.SFTPPermissionDenied, "posix_rename": asyncssh.SFTPPermissionDenied}
    connection = connect(recorder, publish="direct")
    staged = stage(connection, LARGE)
    assert files(recorder) == {"audience.csv": LARGE}
    assert connection.is_staged(staged)
    assert connection.publish(staged, replace=False) is True
    assert connection.unfinished(["audience.csv"], EARLIER) == []  # it may be anybody's
    connection.discard(staged)
    assert connection.is_staged(staged) is False
    assert files(recorder) == {}
    connection.close()


def test_published_directly_a_file_that_has_appeared_since_the_first_look_is_not_written_over(recorder: RecordingServer) -> None:
    (recorder.folder / "audience.csv").write_bytes(b"somebody else's")
    connection = connect(recorder, publish="direct")
    with pytest.raises(TerminalError, match="exists already"):
        connection.begin("audience.csv")
    connection.close()
    replacing = connect(recorder, publish="direct", on_conflict="replace")
    replacing.publish(stage(replacing, b"newer"), replace=True)
    assert files(recorder) == {"audience.csv": b"newer"}
    replacing.close()


# Sending


def test_a_connection_that_is_cut_goes_on_where_the_server_had_answered(recorder: RecordingServer) -> None:
    kept: list[Staged] = []
    recorder.cut_at_byte = 17 * MIB
    connection = connect(recorder)
    with pytest.raises(TransientError, match="the connection was lost"):
        connection.send(connection.begin("audience.csv"), pieces(LARGE), kept.append)
    assert kept[0].size >= 8 * MIB
    assert 8 * MIB <= kept[-1].size <= 17 * MIB  # what was under way, at most 8 MiB, may have no answer
    connection.close()
    connection = connect(recorder)
    begun = kept[-1]
    assert [each.token for each in connection.unfinished(["audience.csv"], EARLIER)] == [begun.token]
    assert connection.resumable(begun) == begun.size
    staged = connection.send(begun, pieces(LARGE[begun.size :]), ignore)
    assert staged.size == len(LARGE)
    connection.publish(staged, replace=False)
    assert files(recorder) == {"audience.csv": LARGE}
    connection.close()


def test_what_is_kept_holds_no_gap(recorder: RecordingServer) -> None:
    """A disk that is full refuses some blocks and takes others after them, which count for nothing."""
    kept: list[Staged] = []
    recorder.refuse, recorder.refuse_from_byte, recorder.refuse_to_byte = {"write": asyncssh.SFTPFailure}, 10 * MIB, 11 * MIB
    connection = connect(recorder)
    with pytest.raises(TerminalError, match=r"cannot be written.*full disk"):
        connection.send(connection.begin("audience.csv"), pieces(LARGE), kept.append)
    assert 9 * MIB < kept[-1].size <= 10 * MIB
    recorder.refuse_from_byte = 100 * MIB
    assert connection.resumable(kept[-1]) == kept[-1].size  # and the connection is as good as before
    connection.publish(connection.send(kept[-1], pieces(LARGE[kept[-1].size :]), ignore), replace=False)
    assert files(recorder) == {"audience.csv": LARGE}
    connection.close()


@pytest.mark.parametrize("size", [1, 100_000, 3 * MIB])
def test_a_refusal_of_the_last_byte_is_told(recorder: RecordingServer, size: int) -> None:
    recorder.refuse, recorder.refuse_from_byte = {"write": asyncssh.SFTPFailure}, size - 1
    connection = connect(recorder)
    begun = connection.begin("audience.csv")
    with pytest.raises(TerminalError, match="cannot be written"):
        connection.send(begun, [b"x" * size], ignore)
    connection.discard(begun)
    assert files(recorder) == {}
    connection.close()


def test_a_refusal_to_close_is_told(recorder: RecordingServer) -> None:
    """Servers that hand a file on when it is whole, to a bucket say, fail as late as this."""
    recorder.refuse = {"close": asyncssh.SFTPFailure}
    connection = connect(recorder)
    with pytest.raises(TerminalError, match="cannot be written"):
        stage(connection, b"x")
    connection.close()


@pytest.mark.parametrize("early_looks", [1, 3])
def test_a_server_that_looks_before_it_has_written_all_is_asked_again(recorder: RecordingServer, early_looks: int) -> None:
    """As rclone does under load. A file's size is asked for together with its end."""
    recorder.early_looks = early_looks
    connection = connect(recorder)
    staged = stage(connection, b"whole")
    assert staged.size == 5
    assert recorder.operations.count(f"stat {HIDDEN}") == early_looks + 1
    connection.close()


def test_a_file_that_is_shorter_than_what_was_sent_is_not_published(recorder: RecordingServer) -> None:
    connection = connect(recorder)
    staged = stage(connection, b"whole")
    (recorder.folder / HIDDEN).write_bytes(b"who")
    assert connection.is_staged(staged) is False
    connection.close()


@pytest.mark.parametrize(("verify", "found"), [("size", None), ("sha256", "another SHA-256")])
def test_reading_back_finds_what_a_size_cannot(recorder: RecordingServer, verify: str, found: str | None) -> None:
    recorder.corrupts = True
    connection = connect(recorder, verify=verify)
    if found is None:
        stage(connection, LARGE)
    else:
        with pytest.raises(TerminalError, match=found):
            stage(connection, LARGE)
    connection.close()


def test_a_file_that_may_not_be_read_back_is_told(recorder: RecordingServer) -> None:
    """As where the server's umask leaves its owner no right to read."""

    def chunks() -> Iterator[bytes]:
        recorder.refuse["open"] = asyncssh.SFTPPermissionDenied
        yield b"x"

    connection = connect(recorder, verify="sha256")
    with pytest.raises(TerminalError, match=r"'audience\.csv' cannot be read back.*permission denied.*destination\.verify=size"):
        connection.send(connection.begin("audience.csv"), chunks(), ignore)
    connection.close()


def test_a_file_that_is_read_back_can_be_resumed_in_the_same_process(recorder: RecordingServer) -> None:
    kept: list[Staged] = []
    recorder.cut_at_byte = 17 * MIB
    ours = destination(recorder, verify="sha256")
    connection = ours.connect()
    begun = connection.begin("audience.csv")
    with pytest.raises(TransientError):
        connection.send(begun, pieces(LARGE), kept.append)
    another = connect(recorder, verify="sha256")
    assert another.resumable(kept[-1]) == 0  # which knows no proof of it
    another.close()
    connection = ours.connect()
    assert connection.resumable(kept[-1]) == kept[-1].size > 8 * MIB
    connection.publish(connection.send(kept[-1], pieces(LARGE[kept[-1].size :]), ignore), replace=False)
    assert files(recorder) == {"audience.csv": LARGE}
    connection.close()


@pytest.mark.parametrize("verify", ["size", "sha256"])
def test_a_server_that_tells_sizes_only_in_listings(recorder: RecordingServer, verify: str) -> None:
    recorder.sizes = "listed"
    connection = connect(recorder, verify=verify)
    staged = stage(connection, b"content")
    assert connection.is_staged(staged)
    connection.publish(staged, replace=False)
    assert connection.size("audience.csv") == 7
    assert connection.size("another.csv") is None
    connection.close()


def test_an_answer_that_ends_too_early_is_the_servers_fault(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(recorder)
    monkeypatch.setattr(Session, "answer", lambda *_: (ATTRS, b"\0\0"))
    with pytest.raises(TransientError, match="an answer of the server ends too early"):
        connection.size("audience.csv")
    connection.close()


def test_a_listing_ends_with_an_answer_that_has_no_names(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers say so instead of the protocol's end; whoever asks on may be told the same for ever."""
    handlers: Any = asyncssh.sftp.SFTPServerHandler._packet_handlers
    process, answers = handlers[FXP_READDIR], list[int]()

    async def names_then_none(handler: Any, packet: Any) -> Any:
        try:
            found, _ = await process(handler, packet)
        except asyncssh.SFTPEOFError:
            if answers.count(0) == 5:
                raise
            found = []
        answers.append(len(found))
        return found, False

    monkeypatch.setitem(handlers, FXP_READDIR, names_then_none)
    connection = connect(recorder)
    (recorder.folder / HIDDEN).write_bytes(b"left")
    (found,) = connection.unfinished(["audience.csv"], EARLIER)
    assert found.size == 4
    assert answers.count(0) == 1
    connection.close()


def test_a_server_that_tells_no_sizes(recorder: RecordingServer) -> None:
    recorder.sizes = "secret"
    connection = connect(recorder)
    with pytest.raises(TerminalError, match=r"does not tell how large.*destination\.verify=sha256"):
        stage(connection, b"content")
    connection.close()
    connection = connect(recorder, verify="sha256")
    staged = stage(connection, b"content")
    assert connection.is_staged(staged)
    connection.publish(staged, replace=False)
    assert connection.size("audience.csv") == 7
    connection.close()


def test_large_requests_only_where_the_server_says_so(recorder: RecordingServer, without: Callable[..., None]) -> None:
    connection = connect(recorder)
    stage(connection, LARGE, size=10 * MIB)
    connection.close()
    assert recorder.largest_write > 128 * 1024
    recorder.largest_write = 0
    without(b"limits@openssh.com")
    connection = connect(recorder)
    stage(connection, LARGE, size=10 * MIB)
    connection.close()
    assert recorder.largest_write == 32 * 1024


def test_a_server_that_limits_packets_alone_gets_no_larger_ones(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 64 * 1024
    taken_in = asyncssh.sftp.SFTPServerHandler.recv_packet

    async def strict(handler: Any) -> Any:
        packet = await taken_in(handler)
        if len(packet.get_remaining_payload()) > most:
            raise asyncssh.SFTPBadMessage("too large")
        return packet

    async def limits(*_: object) -> Any:
        return asyncssh.sftp.SFTPLimits(most, 0, 0, 0)

    monkeypatch.setattr(asyncssh.sftp.SFTPServerHandler, "recv_packet", strict)
    monkeypatch.setitem(asyncssh.sftp.SFTPServerHandler._packet_handlers, b"limits@openssh.com", limits)
    connection = connect(recorder, verify="sha256")
    connection.publish(stage(connection, LARGE), replace=False)
    connection.close()
    assert 32 * 1024 < recorder.largest_write < most
    assert files(recorder) == {"audience.csv": LARGE}


@pytest.mark.parametrize("size", [1, 7, 32 * 1024, 10 * MIB])
def test_chunks_of_any_size_make_blocks_of_one_size(size: int) -> None:
    content = LARGE[: 1_000 * size][: MIB + 1]
    made = list(blocks(pieces(content, size), 256 * 1024))
    assert b"".join(b"".join(block) for block, _ in made) == content
    assert all(sum(map(len, block)) == length for block, length in made)
    assert all(length == 256 * 1024 for _, length in made[:-1])
    assert list(blocks([b"", b""], 1024)) == []


def test_a_small_file_takes_two_journeys_and_publishing_one(openssh: SftpServer) -> None:
    target = sftp_key_target(openssh, "ed25519")
    with delay_proxy(openssh.port, 0.3) as far:
        connection = target.with_config(port=far.port).connect()
        before = far.journeys
        staged = stage(connection, b"x" * 100_000)
        sent = far.journeys - before
        connection.publish(staged, replace=False)
        published = far.journeys - before - sent
        connection.close()
    assert (sent, published) == (2, 1)
    assert target.everything() == {"audience.csv": b"x" * 100_000}


@pytest.mark.parametrize("replacing", [False, True])
def test_many_files_are_looked_for_and_published_in_a_journey(openssh: SftpServer, *, replacing: bool) -> None:
    target = sftp_key_target(openssh, "ed25519")
    near = target.connect()
    names = [f"audience_{number}.csv" for number in range(100)]
    staged = [stage(near, name.encode(), name) for name in names]
    target.put(names[7], b"somebody else's")
    with delay_proxy(openssh.port, 0.3) as far:
        connection = target.with_config(port=far.port).connect()
        before = far.journeys
        assert connection.existing(names) == [names[7]]
        looked = far.journeys - before
        known = connection.publish_together(staged, replace=replacing)
        published = far.journeys - before - looked
        connection.close()
    assert (looked, published) == (1, 1 if replacing else 2)  # what is refused is looked at
    assert known == {name: replacing or name != names[7] for name in names}
    assert near.is_staged(staged[7]) is not replacing
    near.close()
    assert target.visible()[names[7]] == (names[7].encode() if replacing else b"somebody else's")
    assert {name: target.visible()[name] for name in known if known[name]} == {name: name.encode() for name in known if known[name]}


def test_a_server_that_may_replace_unasked_is_asked_for_each_file(recorder: RecordingServer) -> None:
    connection = connect(recorder)
    staged = stage(connection, b"content")
    assert connection.publish_together([staged], replace=False) is None
    assert connection.is_staged(staged)
    connection.close()


def test_a_file_beyond_the_amount_after_which_keys_are_renewed(openssh: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Packets, "REKEY_BYTES", 3 * MIB)
    target = sftp_key_target(openssh, "ed25519")
    connection = target.connect()
    connection.publish(stage(connection, LARGE), replace=False)
    connection.close()
    assert target.everything() == {"audience.csv": LARGE}


@pytest.mark.parametrize("verify", ["size", "sha256"])
def test_a_far_server_that_renews_the_keys_when_a_sign_of_life_is_due(verify: str) -> None:
    """A busy connection gives none, so one is due as soon as nothing comes for a moment: when the keys are renewed."""
    with openssh_server("RekeyLimit 1M") as server, delay_proxy(server.port, 0.3) as far:
        target = sftp_key_target(server, "ed25519").with_config(port=far.port, keepalive_seconds=1, verify=verify)
        connection = target.connect()
        connection.publish(stage(connection, LARGE[: 5 * MIB]), replace=False)
        connection.close()
        assert target.everything() == {"audience.csv": LARGE[: 5 * MIB]}


class BackwardsServer:
    """A channel to a server that answers in the wrong order: each time it is asked, to its latest request."""

    def __init__(self) -> None:
        self._requests: list[int] = []
        self.answers = b""
        packets = Packets(SimpleNamespace())
        self._transport = SimpleNamespace(packetizer=packets)

    def get_transport(self) -> Any:
        return self._transport

    def settimeout(self, seconds: float) -> None: ...

    def send_ready(self) -> bool:
        return True

    def recv_ready(self) -> bool:
        return False

    def send(self, data: bytes) -> int:
        kind, number = data[4], data[5:9]
        self._requests.append(struct.unpack(">I", number)[0] if kind != 1 else 0)
        return len(data)

    def recv(self, _: int) -> bytes:
        number = self._requests.pop()
        if number == 0:
            return struct.pack(">IBI", 5, 2, 3)
        return struct.pack(">IBIIII", 17, 101, number, 0, 0, 0)


def test_only_what_is_answered_without_a_gap_counts(recorder: RecordingServer) -> None:
    channel: Any = BackwardsServer()
    session = Session(channel, lambda: None, 1)
    reached: list[int] = []
    upload = Upload(session, b"\0\0\0\1h", 0, reached.append)
    upload.write([b"x" * 32 * 1024] * 4)
    assert reached == []
    upload.give_up()
    assert reached == [32 * 1024 * number for number in (1, 2, 3, 4)]


def test_bytes_that_have_come_are_read_at_once_and_given_out_as_asked_for() -> None:
    near, far = socket.socketpair()
    with near, far:
        ahead = ReadAhead(near)
        far.sendall(b"headbody")
        assert ahead.recv(4) == b"head"
        near.setblocking(False)
        assert ahead.recv(3) == b"bod"
        far.sendall(b"next")
        assert ahead.recv(4) == b"y"
        assert ahead.recv(4) == b"next"
        with pytest.raises(BlockingIOError):
            ahead.recv(1)
        far.close()
        assert ahead.recv(1) == b""


def test_a_proof_in_segments() -> None:
    proofs = Proofs()
    first = Proof(proofs, "a", 0)
    for _ in first.watched(pieces(LARGE[: 5 * MIB], 700_000)):
        pass
    size = first.note(3 * MIB)
    assert 0 < size <= 3 * MIB
    second = Proof(proofs, "a", size)
    for _ in second.watched(pieces(LARGE[size:])):
        pass
    assert len(second.whole()) == 2
    assert holds(pieces(LARGE, 999_999), second.whole())
    for wrong in (LARGE[:-1], LARGE + b"x", b"?" + LARGE[1:], LARGE[:-1] + b"?", b""):
        assert not holds(pieces(wrong), second.whole())


# Time


@pytest.mark.parametrize("operation", ["open", "write", "close", "stat"])
def test_a_server_that_stops_answering_is_waited_for_once(recorder: RecordingServer, operation: str) -> None:
    connection = connect(recorder, operation_timeout_seconds=0.5)
    begun = connection.begin("audience.csv")
    recorder.stall.add(operation)
    with pytest.raises(TransientError, match=r"no answer within 0\.5 seconds"):
        connection.send(begun, pieces(LARGE), ignore)
    with pytest.raises(TransientError, match="the connection was lost"):
        connection.discard(begun)
    with pytest.raises(TransientError, match="the connection was lost"):
        connection.size("audience.csv")
    connection.close()
    recorder.stall.clear()
    assert recorder.all_closed()


def test_a_server_that_says_nothing_after_the_login_is_not_waited_for(recorder: RecordingServer) -> None:
    recorder.stall.add("stat")  # of the folder
    with pytest.raises(TransientError, match=r"no answer within 0\.5 seconds"):
        connect(recorder, operation_timeout_seconds=0.5)
    recorder.stall.clear()
    assert recorder.all_closed()


class Unwilling(paramiko.ServerInterface):
    """Lets everybody in, and then never says whether it has SFTP."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        return self.over.wait(20)


@pytest.mark.parametrize(("command", "found"), [("/bin/false", "the connection was lost"), ("echo hello; cat", "answers are not SFTP")])
def test_a_user_who_has_no_sftp_is_not_told_of_firewalls(command: str, found: str) -> None:
    words = f"{found}.*whether this user may use SFTP"
    with openssh_server(f"ForceCommand {command}") as server, pytest.raises(TransientError, match=words) as raised:
        sftp_key_target(server, "ed25519").connect()
    assert "firewall" not in str(raised.value)


def test_a_server_that_never_starts_the_session_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    key, unwilling = paramiko.ECDSAKey.generate(), Unwilling()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def serve() -> paramiko.Transport:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(key)
            transport.start_server(threading.Event(), unwilling)
            return transport

        serving = pool.submit(serve)
        server = RecordingServer(Path("/nowhere"), port=listener.getsockname()[1], fingerprint=key.fingerprint)
        with pytest.raises(TransientError, match=r"no answer within 0\.5 seconds"):
            connect(server, operation_timeout_seconds=0.5)
        unwilling.over.set()
        serving.result().close()


@pytest.mark.parametrize("noticed", [EOFError(), OSError("closed"), paramiko.SSHException("Channel closed.")])
def test_whichever_thread_notices_that_nothing_was_answered_in_time(noticed: Exception) -> None:
    closed = threading.Event()

    def call(*, answered: bool) -> None:
        with limited(20 if answered else 0.05, closed.set):
            assert answered or closed.wait(20)
            raise noticed

    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 seconds"):
        call(answered=False)
    with pytest.raises(type(noticed)):
        call(answered=True)


def test_a_server_that_takes_no_bytes_is_not_waited_for() -> None:
    """Below SSH, whose window is usually closed before the network's buffers are full."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.1)  # as paramiko has it
        packets = Packets(near)
        packets.stall_seconds = 0.5
        began = time.monotonic()
        with pytest.raises(EOFError):
            packets.write_all(LARGE)
        assert time.monotonic() - began >= 0.5


def test_a_server_that_takes_no_more_connections_may_take_one_later(recorder: RecordingServer) -> None:
    recorder.drop = 1
    with pytest.raises(TransientError, match=r"hung up at once.*too many connections"):
        connect(recorder)
    connect(recorder).close()


# The login


@pytest.mark.parametrize("prompts", [[("Password: ", False)], [("User: ", True), ("Password: ", False)]])
def test_a_password_where_only_questions_are_asked(recorder: RecordingServer, prompts: list[tuple[str, bool]]) -> None:
    recorder.interactive = prompts
    connection = connect(recorder)
    connection.publish(stage(connection, b"x"), replace=False)
    connection.close()
    assert recorder.logins == [(USERNAME, "|".join("" if shown else PASSWORD for _, shown in prompts))]


def test_a_wrong_password_where_only_questions_are_asked(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    recorder.interactive = [("Password: ", False)]
    with pytest.raises(TerminalError, match="wrong password") as raised:
        connect(recorder)
    assert "wr0ng" not in str(raised.value)
    assert len(recorder.logins) == 1


@pytest.mark.parametrize("interactive", [None, [("Password: ", False)]])
def test_a_password_that_has_expired_is_told_and_never_made_the_new_one(
    recorder: RecordingServer, interactive: list[tuple[str, bool]] | None
) -> None:
    recorder.expired, recorder.interactive = True, interactive
    with pytest.raises(TerminalError, match=r"wants more than the password: a new password, since this one has expired") as raised:
        connect(recorder)
    assert "for the test" not in str(raised.value)
    assert recorder.logins == [(USERNAME, PASSWORD)]


def test_a_password_is_not_given_where_another_secret_is_asked_for_beside_it(recorder: RecordingServer) -> None:
    recorder.interactive = [("Password: ", False), ("Code: ", False)]
    with pytest.raises(TerminalError, match="wants more than the password"):
        connect(recorder)
    assert recorder.logins == []


def test_a_server_that_wants_a_password_besides_the_key() -> None:
    with openssh_server("AuthenticationMethods publickey,password") as server, pytest.raises(TerminalError, match="also wants: password"):
        sftp_key_target(server, "ed25519").connect()


def test_a_server_that_hangs_up_on_a_wrong_key_is_not_asked_again() -> None:
    with openssh_server("MaxAuthTries 1") as server, pytest.raises(TerminalError, match="wrong password, key or user"):
        sftp_key_target(server, "stranger").connect()


def test_an_rsa_key_that_may_sign_in_no_way(openssh: SftpServer) -> None:
    target = sftp_key_target(openssh, "rsa")
    none = {"pubkeys": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]}
    with pytest.raises(TerminalError, match=r"destination\.disabled_algorithms"):
        target.with_config(disabled_algorithms=none).connect()


def test_a_revoked_key_gets_no_password(recorder: RecordingServer, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{recorder.port} {recorder.public_key}\n@revoked * {recorder.public_key}\n")
    with pytest.raises(TerminalError, match="revoked"):
        connect(recorder, host_key_fingerprint=None, known_hosts_file=str(known))
    assert recorder.logins == []


# Algorithms


@pytest.mark.parametrize(
    ("options", "kind", "offered"),
    [
        ({"encryption_algs": ["chacha20-poly1305@openssh.com"]}, "ciphers", "chacha20-poly1305@openssh.com"),
        ({"kex_algs": ["curve448-sha512"]}, "kex", "curve448-sha512"),
    ],
)
def test_a_server_with_which_nothing_is_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], kind: str, offered: str
) -> None:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    with recording_server(tmp_path / "served", **options) as server:
        with pytest.raises(TerminalError, match=f"offers only these {kind} algorithms: {offered}"):
            connect(server)
        assert server.logins == []


def test_disabled_algorithms_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    with recording_server(tmp_path / "served", encryption_algs=["aes128-gcm@openssh.com"]) as server:
        connect(server).close()
        with pytest.raises(TerminalError, match="offers only these ciphers"):
            connect(server, disabled_algorithms={"ciphers": ["aes128-gcm@openssh.com"]})


# The jump host


@pytest.fixture
def jump() -> Iterator[SftpServer]:
    with openssh_server("AllowTcpForwarding yes") as server:
        yield server


def jump_config(server: SftpServer, **changes: Any) -> JumpConfig:
    config = JumpConfig(
        host=server.host,
        port=server.port,
        username=server.username,
        key_file=str(server.keys["ed25519"]),
        host_key_fingerprint=server.host_key_fingerprint,
    )
    return replace(config, **changes)


def test_through_a_jump_host(recorder: RecordingServer, jump: SftpServer) -> None:
    connection = connect(recorder, jump=jump_config(jump))
    connection.publish(stage(connection, LARGE), replace=False)
    connection.close()
    assert files(recorder) == {"audience.csv": LARGE}
    assert recorder.all_closed()
    assert "127.0.0.1 port" in jump.log.read_text()


def test_an_unknown_jump_host_gets_nothing(recorder: RecordingServer, jump: SftpServer) -> None:
    wrong = jump_config(jump, host_key_fingerprint="SHA256:" + "A" * 43)
    with pytest.raises(TerminalError, match=r"not the pinned one.*jump host.*destination\.jump\.host_key_fingerprint"):
        connect(recorder, jump=wrong)
    assert recorder.connections == 0
    assert "Accepted" not in jump.log.read_text()


def test_an_unknown_server_behind_a_jump_host_gets_no_password(recorder: RecordingServer, jump: SftpServer) -> None:
    with pytest.raises(TerminalError, match="not the pinned one"):
        connect(recorder, jump=jump_config(jump), host_key_fingerprint="SHA256:" + "A" * 43)
    assert recorder.logins == []
    assert recorder.all_closed()


def test_a_jump_host_that_lets_nobody_through(recorder: RecordingServer, openssh: SftpServer) -> None:
    with pytest.raises(TerminalError, match="the server forbids it"):
        connect(recorder, jump=jump_config(openssh))


def test_a_closed_port_behind_a_jump_host(recorder: RecordingServer, jump: SftpServer) -> None:
    with pytest.raises(TransientError, match="no connection from there"):
        connect(recorder, jump=jump_config(jump), port=1)


def test_a_stalled_server_behind_a_jump_host_is_waited_for_once(recorder: RecordingServer, jump: SftpServer) -> None:
    connection = connect(recorder, jump=jump_config(jump), operation_timeout_seconds=1)
    recorder.stall_writes = True
    with pytest.raises(TransientError, match="no answer within 1 seconds"):
        stage(connection, LARGE)
    connection.close()
    recorder.stall_writes = False
    assert recorder.all_closed()


# ProFTPD


def test_proftpd_replaces_and_refuses_as_asked(make_target: Callable[[str], Target]) -> None:
    target = make_target("sftp_password_proftpd")
    assert isinstance(target.config, SftpConfig)
    connection = target.with_config(verify="sha256").connect()
    connection.publish(stage(connection, LARGE), replace=False)
    staged = stage(connection, b"newer")
    with pytest.raises(TerminalError, match="exists already"):
        connection.publish(staged, replace=False)
    assert connection.publish(staged, replace=True) is True
    assert target.everything() == {"audience.csv": b"newer"}
    connection.close()
