"""Files whose names begin with folders, where a destination makes them: delivered, gone on with, taken back, as any others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deliveries import Sender, content
from targets import Target

from courier.delivery.journal import Journal
from courier.errors import TerminalError

NAMES = ["Luxury Audience/seg-a/a.csv", "Luxury Audience/seg-a/a_2.csv", "2026/11/01/b.csv", "c.csv"]
CLOSING = ["manifest.json", "Luxury Audience/seg-a/a.csv.ready"]


@pytest.fixture(params=["local", "s3"])
def sender(request: pytest.FixtureRequest, make_target: Callable[[str], Target], tmp_path: Path) -> Sender:
    return Sender(make_target(request.param), tmp_path / "state", NAMES, CLOSING)


def test_files_arrive_in_their_folders_and_nothing_else_does(sender: Sender) -> None:
    journal = sender.send()
    sender.assert_delivered()
    assert [
        state.uri.endswith(f"/{name.replace(' ', '%20')}") or state.uri.endswith(f"/{name}")
        for state, name in zip(journal.states, NAMES, strict=False)
    ] == [True] * 4


def test_what_is_not_published_is_hidden_in_the_same_folder(sender: Sender) -> None:
    connection = sender.target.connect()
    staged = connection.send(connection.begin(NAMES[0]), [b"x"], lambda _: None)
    assert sender.target.visible() == {}
    (left,) = sender.target.leftovers()
    if sender.target.config.kind == "local":
        assert left == "Luxury Audience/seg-a/.courier-run-1-a.csv.part"
    connection.publish(staged, replace=False)
    connection.close()
    assert sender.target.everything() == {NAMES[0]: b"x"}


def test_a_delivery_that_fails_is_taken_back_out_of_the_folders(sender: Sender) -> None:
    sender.target.put("Luxury Audience/seg-a/theirs.csv", b"somebody else's")

    def failing(name: str) -> Iterator[bytes]:
        yield content(name)
        if name == NAMES[2]:
            raise OverflowError("the renderer failed")

    with pytest.raises(OverflowError):
        sender.send(failing)
    assert sender.target.everything() == {"Luxury Audience/seg-a/theirs.csv": b"somebody else's"}
    assert sender.target.uploads() == []
    sender.send()
    assert sender.target.visible() == {**sender.expected(), "Luxury Audience/seg-a/theirs.csv": b"somebody else's"}


def test_a_killed_run_goes_on_in_its_folders(sender: Sender) -> None:
    """Killed as a machine is that loses its power: nothing is taken back."""
    sent: list[str] = []

    def lost(name: str) -> Iterator[bytes]:
        sent.append(name)
        yield content(name)

    journal = sender.journal()
    journal.begin()
    connection = sender.target.connect()
    staged = connection.send(connection.begin(NAMES[0]), [content(NAMES[0])], lambda _: None)
    journal.update(0, staged=staged, complete=True, uri=connection.uri(NAMES[0]))
    connection.begin(NAMES[2])  # begun, and not written down any more
    connection.close()
    sender.send(lost)
    assert sorted(sent) == sorted(NAMES[1:])
    sender.assert_delivered()


def test_a_file_of_that_name_in_that_folder_is_a_conflict_and_in_another_is_none(sender: Sender) -> None:
    sender.target.put("summer/c.csv", b"theirs")
    sender.target.put(NAMES[0], b"theirs")
    with pytest.raises(TerminalError, match=r"A file 'Luxury Audience/seg-a/a\.csv' exists already"):
        sender.send()
    assert sender.target.everything() == {"summer/c.csv": b"theirs", NAMES[0]: b"theirs"}


def test_stale_parts_are_removed_from_their_folders(sender: Sender) -> None:
    sender.target.put("spring/a_2.csv", b"old")
    sender.target.put("summer/a_2.csv", b"old")
    Sender(sender.target, sender.state, sender.names, sender.closing, stale={"spring/a_2.csv": 3}).send()
    assert sender.target.visible() == {**sender.expected(), "summer/a_2.csv": b"old"}


@pytest.mark.parametrize("kind", ["local", "s3", "sftp_password_rclone", "sftp_key_ed25519"])
def test_the_longest_name_there_is_arrives_and_is_taken_back(make_target: Callable[[str], Target], tmp_path: Path, kind: str) -> None:
    sender = Sender(make_target(kind), tmp_path / "state", ["é" * 125 + "a.csv", "é" * 125 + "b.csv"], [])

    def failing(name: str) -> Iterator[bytes]:
        yield content(name)
        if "b.csv" in name:
            raise OverflowError("the renderer failed")

    with pytest.raises(OverflowError):
        sender.send(failing)
    sender.assert_nothing()
    sender.send()
    sender.assert_delivered()


def test_folders_are_made_as_the_umask_says_and_stay(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    target = make_target("local")
    before = os.umask(0o027)
    try:
        connection = target.connect()
        begun = connection.begin("a/b/c.csv")
    finally:
        os.umask(before)
    connection.discard(begun)
    assert (target.folder / "a" / "b").stat().st_mode & 0o777 == 0o750
    assert list((target.folder / "a" / "b").iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_told(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    target = make_target("local")
    target.put("a", b"theirs")
    with pytest.raises(TerminalError, match="The local destination cannot be written") as caught:
        Sender(target, tmp_path / "state", ["a/b.csv"], []).send()
    assert f"Where: {target.folder / 'a'}." in str(caught.value)
    assert target.everything() == {"a": b"theirs"}
    assert Journal.open_runs(Sender(target, tmp_path / "state").store, "demo") == []
