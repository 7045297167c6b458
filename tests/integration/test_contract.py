"""The contract of destinations/base.py, on a live server of every kind: unseen until published, and then whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from targets import PART_BYTES, RUN_ID, Target

from courier.errors import TerminalError

CONTENT = b'email\njane@example.com\n"a ""quoted"" name, \xc3\xa9"\r\n\x00\xff\n'


def chunks() -> Iterator[bytes]:
    yield CONTENT[:10]
    yield b""
    yield CONTENT[10:]


def failing_chunks() -> Iterator[bytes]:
    """Enough for S3 to have sent two parts already."""
    yield from [b"x" * PART_BYTES] * 3
    raise OverflowError("the renderer failed")


def test_what_is_staged_is_unseen(target: Target) -> None:
    connection = target.connect()
    staged = connection.stage("audience.csv", chunks())
    assert (staged.name, staged.size) == ("audience.csv", len(CONTENT))
    assert target.visible() == {}
    assert connection.exists("audience.csv") is False
    if target.config.kind == "s3":
        assert target.everything() == {}
        assert len(target.uploads()) == 1
    else:
        assert target.everything() == {f".courier-{RUN_ID}-audience.csv.part": CONTENT}
    connection.close()


def test_what_is_published_is_there_byte_for_byte_and_nothing_else(target: Target) -> None:
    connection = target.connect()
    uri = connection.publish(connection.stage("audience.csv", chunks()), replace=False)
    assert target.everything() == {"audience.csv": CONTENT}
    assert target.uploads() == []
    assert connection.exists("audience.csv") is True
    assert uri.endswith("/audience.csv")
    assert uri.startswith({"local": "file:///", "s3": "s3://audiences/exports/"}.get(target.config.kind, "sftp://127.0.0.1:"))
    connection.close()


def test_a_name_with_blanks_and_signs_arrives_as_it_is(target: Target) -> None:
    name = "Spring sale é + 50% #1 & 'more'.csv"
    connection = target.connect()
    connection.publish(connection.stage(name, chunks()), replace=False)
    assert target.everything() == {name: CONTENT}
    assert connection.exists(name) is True
    connection.close()


def test_what_is_discarded_is_gone(target: Target) -> None:
    connection = target.connect()
    connection.discard(connection.stage("audience.csv", chunks()))
    assert target.everything() == {}
    assert target.uploads() == []
    connection.close()


def test_a_stage_that_fails_leaves_nothing(target: Target) -> None:
    connection = target.connect()
    with pytest.raises(OverflowError, match="the renderer failed"):
        connection.stage("audience.csv", failing_chunks())
    connection.close()
    assert target.everything() == {}
    assert target.uploads() == []


def test_an_existing_file_is_never_replaced_unasked(target: Target) -> None:
    target.put("audience.csv", b"somebody else's")
    connection = target.connect()
    staged = connection.stage("audience.csv", chunks())
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        connection.publish(staged, replace=False)
    assert target.visible() == {"audience.csv": b"somebody else's"}
    connection.discard(staged)
    assert target.everything() == {"audience.csv": b"somebody else's"}
    assert target.uploads() == []
    connection.close()


def test_an_existing_file_is_replaced_when_asked(target: Target) -> None:
    connection = target.connect()
    connection.publish(connection.stage("audience.csv", [b"older and longer than what follows it"]), replace=True)
    staged = connection.stage("audience.csv", [b"newer"])
    assert target.visible() == {"audience.csv": b"older and longer than what follows it"}
    connection.publish(staged, replace=True)
    assert target.everything() == {"audience.csv": b"newer"}
    assert target.uploads() == []
    connection.close()


def test_a_published_file_can_be_taken_back_and_twice_is_no_error(target: Target) -> None:
    target.put("another.csv", b"somebody else's")
    connection = target.connect()
    connection.publish(connection.stage("audience.csv", chunks()), replace=False)
    connection.remove("audience.csv")
    connection.remove("audience.csv")
    assert target.everything() == {"another.csv": b"somebody else's"}
    connection.close()


@pytest.mark.parametrize("content", [[], [b""]], ids=["no chunk", "an empty chunk"])
def test_an_empty_file(target: Target, content: list[bytes]) -> None:
    connection = target.connect()
    staged = connection.stage("empty.csv", content)
    assert staged.size == 0
    connection.publish(staged, replace=False)
    assert target.everything() == {"empty.csv": b""}
    connection.close()


def test_a_file_larger_than_one_part(target: Target) -> None:
    row = b"0123456789abcdefghijklmnopqrstuvwxyz" * 41 + b"\n"
    whole = b"".join(b"%09d," % number + row for number in range(8_500))
    assert len(whole) > 2 * PART_BYTES
    connection = target.connect()
    size = 1_000_003
    staged = connection.stage("large.csv", (whole[start : start + size] for start in range(0, len(whole), size)))
    assert staged.size == len(whole)
    assert target.visible() == {}
    connection.publish(staged, replace=False)
    assert target.everything() == {"large.csv": whole}
    assert target.uploads() == []
    connection.close()
