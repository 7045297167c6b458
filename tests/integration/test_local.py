"""A folder: what a kill leaves between two steps, and what is kept of a large file."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from deliveries import Sender
from targets import RUN_ID, Target, ignore, local_target

from courier.config import LocalConfig
from courier.destinations import Connection, Staged, local
from courier.errors import TerminalError, TransientError

HIDDEN = f".courier-{RUN_ID}-audience.csv.part"


def sending(folder: Path, **settings: Any) -> Sender:
    return Sender(Target(LocalConfig(kind="local", path=str(folder / "out"), **settings), folder / "out"), folder / "state")


def stage(connection: Connection, content: bytes = b"mine") -> Staged:
    return connection.send(connection.begin("audience.csv"), [content], ignore)


@pytest.mark.parametrize("replace", [False, True])
def test_a_kill_between_the_two_names_is_finished_and_is_no_conflict(tmp_path: Path, replace: bool) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    staged = stage(connection)
    os.link(target.folder / HIDDEN, target.folder / "audience.csv")  # as far as the killed process came
    assert connection.is_staged(staged)
    assert connection.publish(staged, replace=replace) is True
    assert target.everything() == {"audience.csv": b"mine"}
    assert connection.is_staged(staged) is False


def test_what_is_visible_already_is_never_written_to(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    staged = stage(connection)
    os.link(target.folder / HIDDEN, target.folder / "audience.csv")
    assert connection.resumable(staged) == 0
    assert stage(connection, b"other").size == 5
    assert target.visible() == {"audience.csv": b"mine"}


def test_a_link_that_leads_nowhere_is_a_file_that_exists(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    (target.folder / "audience.csv").symlink_to("nowhere")
    assert connection.size("audience.csv") is not None
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        connection.publish(stage(connection), replace=False)


def test_a_link_in_the_place_of_the_hidden_file_is_not_written_through(tmp_path: Path) -> None:
    target = local_target(tmp_path / "shared")
    connection = target.connect()
    (tmp_path / "ours").write_bytes(b"ours")
    begun = connection.begin("audience.csv")
    (target.folder / HIDDEN).unlink()
    (target.folder / HIDDEN).symlink_to(tmp_path / "ours")
    with pytest.raises(TerminalError, match="cannot be written"):
        connection.send(begun, [b"mine"], ignore)
    assert (tmp_path / "ours").read_bytes() == b"ours"


def test_a_link_to_the_hidden_file_is_somebody_elses(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    staged = stage(connection)
    (target.folder / "audience.csv").symlink_to(HIDDEN)
    with pytest.raises(TerminalError, match="exists already"):
        connection.publish(staged, replace=False)
    assert connection.is_staged(staged)


def test_where_there_are_no_links_a_file_is_renamed_and_still_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = local_target(tmp_path)
    connection = target.connect()
    assert connection.publish(stage(connection), replace=False) is False
    with pytest.raises(TerminalError, match="exists already"):
        connection.publish(stage(connection, b"other"), replace=False)
    assert target.visible() == {"audience.csv": b"mine"}


def test_a_large_file_is_kept_in_steps_and_what_came_after_the_last_is_written_again(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    kept: list[Staged] = []
    block = os.urandom(1024) * 1024

    def failing() -> object:
        yield from [block] * 150
        raise OverflowError

    with pytest.raises(OverflowError):
        connection.send(connection.begin("audience.csv"), failing(), kept.append)
    assert [staged.size >> 20 for staged in kept] == [64, 128]
    assert (target.folder / HIDDEN).stat().st_size == 150 << 20
    assert connection.resumable(kept[-1]) == 128 << 20
    staged = connection.send(kept[-1], [b"the end"], ignore)
    assert staged.size == (128 << 20) + 7
    assert (target.folder / HIDDEN).read_bytes() == block * 128 + b"the end"


def test_a_file_that_lost_something_is_started_over(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    staged = stage(connection, b"0123456789")
    os.truncate(target.folder / HIDDEN, 9)
    assert connection.resumable(staged) == 0
    assert connection.is_staged(staged) is False


def test_an_error_of_the_renderer_is_not_blamed_on_the_folder(tmp_path: Path) -> None:
    def unreadable() -> object:
        yield b"x"
        raise FileNotFoundError("the snapshot is gone")

    connection = local_target(tmp_path).connect()
    with pytest.raises(FileNotFoundError, match="the snapshot is gone"):
        connection.send(connection.begin("audience.csv"), unreadable(), ignore)


@pytest.mark.parametrize("failing", ["listing is forbidden", "folders cannot be synced"])
@pytest.mark.parametrize("on_conflict", ["fail", "replace"])
def test_a_folder_that_cannot_be_synced_is_published_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: str, on_conflict: str
) -> None:
    """As in a folder that may only be written to, and on disks of other machines. What is visible by then is no failure."""
    forbidden = failing == "listing is forbidden"
    fail_for_folders(monkeypatch, "open" if forbidden else "fsync", errno.EACCES if forbidden else errno.EINVAL, tmp_path / "out")
    sender = sending(tmp_path, on_conflict=on_conflict)
    sender.send()
    sender.assert_delivered()
    assert "Trying again" not in caplog.text


def test_a_folder_that_fails_to_sync_once_is_asked_again_and_what_is_visible_stays_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for_folders(monkeypatch, "fsync", errno.EIO, tmp_path / "out", times=1)
    monkeypatch.setattr("courier.destinations.connections.FIRST_PAUSE_SECONDS", 0.01)
    sender = sending(tmp_path)
    sender.send()
    sender.assert_delivered()


def test_a_hidden_name_that_cannot_be_taken_away_leaves_nothing_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has both names by then, and is visible: no refusal, but a publication for the next start to finish."""

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == f".courier-{RUN_ID}-a.csv.part" and path.exists() and path.stat().st_nlink == 2:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    unlink = Path.unlink
    sender = sending(tmp_path, attempts=2)
    with monkeypatch.context() as patched:
        patched.setattr("courier.destinations.connections.FIRST_PAUSE_SECONDS", 0.01)
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(TransientError, match="it publishes the rest"):
            sender.send()
    sender.send()
    sender.assert_delivered()


def fail_for_folders(monkeypatch: pytest.MonkeyPatch, call: str, code: int, root: Path, times: int = 1000) -> None:
    """What the system says of folders from `root` downwards, so many times."""
    real, left = getattr(os, call), times

    def failing(what: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        path = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else Path(what)
        if left and path.is_relative_to(root) and path.is_dir():
            left -= 1
            raise OSError(code, os.strerror(code))
        return real(what, *arguments, **named)

    monkeypatch.setattr(os, call, failing)


def test_the_cause_is_told_also_where_closing_the_file_fails_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on network disks, which say again at the end that they are full."""

    class Full(FileIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            wanted = not self.closed
            super().close()
            if wanted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    connection = local_target(tmp_path).connect()
    begun = connection.begin("audience.csv")
    monkeypatch.setattr(local, "open", lambda path, mode, **_: Full(path, mode.replace("b", "")), raising=False)
    with pytest.raises(TerminalError, match=r"No space left.*free some space"):
        connection.send(begun, [b"mine"], ignore)
    with pytest.raises(TerminalError, match=r"No space left.*free some space"):
        connection.send(begun, [], ignore)


def test_files_are_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    connection = target.connect()
    before = os.umask(0o027)
    try:
        connection.publish(stage(connection), replace=False)
    finally:
        os.umask(before)
    assert (target.folder / "audience.csv").stat().st_mode & 0o777 == 0o640
