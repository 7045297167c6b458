"""The contract of destinations/base.py, on a live server of every kind: unseen until published, and then whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from targets import PART_BYTES, RUN_ID, Target, ignore, pieces

from courier.destinations import Connection, Staged, open_destination
from courier.errors import TerminalError, TransientError

CONTENT = b'email\njane@example.com\n"a ""quoted"" name, \xc3\xa9"\r\n\x00\xff\n'
#: More than two of S3's least parts, and no multiple of anything.
LARGE = b"".join(b"%09d," % number + b"0123456789abcdefghijklmnopqrstuvwxyz" * 41 + b"\n" for number in range(8_500))
EARLIER = datetime.now(UTC) - timedelta(hours=1)


def chunks() -> Iterator[bytes]:
    yield CONTENT[:10]
    yield b""
    yield CONTENT[10:]


def failing(content: bytes) -> Iterator[bytes]:
    """Slowly, so that something has arrived by then."""
    for piece in pieces(content):
        time.sleep(0.05)
        yield piece
    raise OverflowError("the renderer failed")


def stage(connection: Connection, name: str, content: bytes = CONTENT) -> Staged:
    return connection.send(connection.begin(name), pieces(content), ignore)


@pytest.fixture
def connection(target: Target) -> Iterator[Connection]:
    connection = target.connect()
    yield connection
    connection.close()


def test_what_is_begun_or_staged_is_unseen(target: Target, connection: Connection) -> None:
    begun = connection.begin("audience.csv")
    assert (begun.name, begun.size) == ("audience.csv", 0)
    assert target.visible() == {}
    staged = connection.send(begun, chunks(), ignore)
    assert (staged.name, staged.size) == ("audience.csv", len(CONTENT))
    assert target.visible() == {}
    assert connection.size("audience.csv") is None
    assert connection.is_staged(staged)
    assert len(target.leftovers()) == 1
    if target.config.kind != "s3":
        assert target.everything() == {f".courier-{RUN_ID}-audience.csv.part": CONTENT}


def test_what_is_published_is_there_byte_for_byte_and_nothing_else(target: Target, connection: Connection) -> None:
    assert connection.publish(stage(connection, "audience.csv"), replace=False) is True
    assert target.everything() == {"audience.csv": CONTENT}
    assert target.uploads() == []
    assert connection.size("audience.csv") == len(CONTENT)


def test_the_address_of_a_file_names_it(target: Target, connection: Connection) -> None:
    uri = connection.uri("audience.csv")
    assert uri.endswith("/audience.csv")
    assert uri.startswith({"local": "file:///", "s3": "s3://audiences/exports/"}.get(target.config.kind, "sftp://127.0.0.1:"))


def test_a_name_with_blanks_and_signs_arrives_as_it_is(target: Target, connection: Connection) -> None:
    name = "Spring sale é + 50% #1 & 'more'.csv"
    staged = stage(connection, name)
    assert [found.name for found in connection.unfinished([name], EARLIER)] == [name]
    connection.publish(staged, replace=False)
    assert target.everything() == {name: CONTENT}
    assert connection.size(name) == len(CONTENT)


def test_what_is_discarded_is_gone_and_twice_is_no_error(target: Target, connection: Connection) -> None:
    begun, staged = connection.begin("begun.csv"), stage(connection, "staged.csv")
    for _ in range(2):
        connection.discard(begun)
        connection.discard(staged)
    assert target.leftovers() == []
    assert target.everything() == {}
    assert connection.is_staged(staged) is False
    assert connection.resumable(staged) == 0


def test_a_published_file_is_staged_no_more(target: Target, connection: Connection) -> None:
    staged = stage(connection, "audience.csv")
    connection.publish(staged, replace=False)
    assert connection.is_staged(staged) is False
    connection.discard(staged)
    assert target.everything() == {"audience.csv": CONTENT}


def test_what_another_process_wrote_down_can_be_published(target: Target) -> None:
    first, second = target.connect(), target.connect()
    staged = stage(first, "audience.csv", LARGE)
    first.close()
    staged = Staged(staged.name, staged.size, dict(staged.token))
    assert second.is_staged(staged)
    second.publish(staged, replace=False)
    second.close()
    assert target.everything() == {"audience.csv": LARGE}


def test_what_was_kept_is_there_and_only_grows(target: Target, connection: Connection) -> None:
    kept: list[Staged] = []

    def keep(staged: Staged) -> None:
        assert connection.resumable(staged) == staged.size
        kept.append(staged)

    staged = connection.send(connection.begin("audience.csv"), pieces(LARGE), keep)
    sizes = [each.size for each in kept]
    assert sizes == sorted(set(sizes))
    assert all(0 < size <= len(LARGE) for size in sizes)
    assert all(each.name == "audience.csv" for each in kept)
    assert target.visible() == {}
    assert connection.is_staged(staged)
    if target.config.kind == "s3":
        assert sizes == [PART_BYTES, 2 * PART_BYTES]


def test_a_send_that_was_interrupted_goes_on_where_it_was_kept(request: pytest.FixtureRequest, target: Target) -> None:
    """Or starts over, on a server that opens a file again and then writes nothing to it."""
    kept: list[Staged] = []
    connection = target.connect()
    with pytest.raises(OverflowError, match="the renderer failed"):
        connection.send(connection.begin("audience.csv"), failing(LARGE[:-5_000]), kept.append)
    connection.close()
    assert target.visible() == {}
    connection = target.connect()
    begun = Staged(kept[-1].name, kept[-1].size, dict(kept[-1].token)) if kept else connection.begin("audience.csv")
    assert connection.resumable(begun) == begun.size
    if target.config.kind == "s3":
        assert begun.size > 0
    try:
        staged = connection.send(begun, pieces(LARGE[begun.size :]), ignore)
    except TransientError:
        assert "rclone" in request.node.name
        assert connection.resumable(begun) == 0
        staged = connection.send(connection.begin("audience.csv"), pieces(LARGE), ignore)
    assert staged.size == len(LARGE)
    connection.publish(staged, replace=False)
    connection.close()
    assert target.everything() == {"audience.csv": LARGE}
    assert target.leftovers() == []


def test_what_is_gone_cannot_be_resumed(target: Target, connection: Connection) -> None:
    kept: list[Staged] = []
    staged = connection.send(connection.begin("audience.csv"), pieces(LARGE), kept.append)
    connection.discard(staged)
    assert all(connection.resumable(each) == 0 for each in [*kept, staged])


def test_begin_may_be_repeated(target: Target, connection: Connection) -> None:
    connection.begin("audience.csv")
    staged = stage(connection, "audience.csv")
    for found in connection.unfinished(["audience.csv"], EARLIER):
        if found.token != staged.token and found.token.get("upload_id") != staged.token.get("upload_id"):
            connection.discard(found)
    connection.publish(staged, replace=False)
    assert target.everything() == {"audience.csv": CONTENT}
    assert target.leftovers() == []


def test_unfinished_finds_what_this_run_began_and_nothing_else(target: Target, connection: Connection) -> None:
    target.put("untouched.csv", b"somebody else's")
    with pytest.raises(OverflowError):
        connection.send(connection.begin("begun.csv"), failing(CONTENT), ignore)
    connection.close()
    connection = target.connect()
    stage(connection, "staged.csv")
    connection.publish(stage(connection, "published.csv"), replace=False)
    stage(connection, "not asked for.csv")
    stage(connection, "begun.csv.gz")
    names = ["begun.csv", "staged.csv", "published.csv", "untouched.csv", "never.csv"]
    if target.config.kind != "s3":  # whose uploads tell no run apart but by when they began
        other = open_destination(target.config, "run-2").connect()
        stage(other, "never.csv")
        other.close()
    found = connection.unfinished(names, EARLIER)
    assert sorted(each.name for each in found) == ["begun.csv", "staged.csv"]
    assert connection.unfinished([], EARLIER) == []
    for each in found:
        connection.discard(each)
    assert connection.unfinished(names, EARLIER) == []
    connection.close()
    assert target.visible() == {"published.csv": CONTENT, "untouched.csv": b"somebody else's"}


@pytest.mark.parametrize("name", ["audience.csv", "ä" * 125 + ".csv", "audience.20261126"], ids=["short", "long", "like an attempt"])
def test_several_attempts_at_one_file_have_places_of_their_own_and_all_are_found(target: Target, connection: Connection, name: str) -> None:
    attempts = [open_destination(target.config, RUN_ID, attempt).connect() for attempt in ("0123abcd", "4567cdef")]
    won, lost = (stage(attempt, name, content) for attempt, content in zip(attempts, (CONTENT, b"of the loser"), strict=True))
    assert won.place != lost.place
    first = stage(connection, name)
    found = connection.unfinished([name, "another.csv"], EARLIER)
    assert {(each.name, each.place) for each in found} == {(name, each.place) for each in (won, lost, first)}
    for each in found:
        if each.place != won.place:
            connection.discard(each)
    connection.publish(won, replace=False)
    for attempt in attempts:
        attempt.close()
    assert target.everything() == {name: CONTENT}
    assert target.leftovers() == []


def test_a_renderer_that_fails_leaves_nothing_visible_and_what_is_left_can_be_discarded(target: Target, connection: Connection) -> None:
    begun = connection.begin("audience.csv")
    with pytest.raises(OverflowError, match="the renderer failed"):
        connection.send(begun, failing(b"x" * 3 * PART_BYTES), ignore)
    connection.close()
    connection = target.connect()
    assert target.visible() == {}
    assert connection.is_staged(replace(begun, size=3 * PART_BYTES + 1)) is False
    connection.discard(begun)
    connection.close()
    assert target.everything() == {}
    assert target.leftovers() == []


def test_an_existing_file_is_never_replaced_unasked(target: Target, connection: Connection) -> None:
    target.put("audience.csv", b"somebody else's")
    staged = stage(connection, "audience.csv")
    assert connection.size("audience.csv") == len(b"somebody else's")
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        connection.publish(staged, replace=False)
    assert target.visible() == {"audience.csv": b"somebody else's"}
    assert connection.is_staged(staged)
    connection.discard(staged)
    assert target.everything() == {"audience.csv": b"somebody else's"}
    assert target.leftovers() == []


def test_an_existing_file_is_replaced_when_asked(target: Target, connection: Connection) -> None:
    connection.publish(stage(connection, "audience.csv", b"older and longer than what follows it"), replace=True)
    staged = stage(connection, "audience.csv", b"newer")
    assert target.visible() == {"audience.csv": b"older and longer than what follows it"}
    connection.publish(staged, replace=True)
    assert target.everything() == {"audience.csv": b"newer"}
    assert target.leftovers() == []


def test_a_published_file_can_be_taken_back_and_twice_is_no_error(target: Target, connection: Connection) -> None:
    target.put("another.csv", b"somebody else's")
    connection.publish(stage(connection, "audience.csv"), replace=False)
    connection.remove("audience.csv")
    connection.remove("audience.csv")
    assert target.everything() == {"another.csv": b"somebody else's"}


@pytest.mark.parametrize("content", [[], [b""]], ids=["no chunk", "an empty chunk"])
def test_an_empty_file(target: Target, connection: Connection, content: list[bytes]) -> None:
    staged = connection.send(connection.begin("empty.csv"), content, ignore)
    assert staged.size == 0
    assert connection.is_staged(staged)
    connection.publish(staged, replace=False)
    assert target.everything() == {"empty.csv": b""}
    assert connection.size("empty.csv") == 0


@pytest.mark.parametrize("size", [len(LARGE), 2 * PART_BYTES, 2 * PART_BYTES + 1])
def test_a_file_larger_than_one_part(target: Target, connection: Connection, size: int) -> None:
    whole = LARGE[:size]
    staged = stage(connection, "large.csv", whole)
    assert staged.size == size
    assert target.visible() == {}
    connection.publish(staged, replace=False)
    assert target.everything() == {"large.csv": whole}
    assert target.leftovers() == []


def test_hanging_up_twice_is_no_error(target: Target) -> None:
    connection = target.connect()
    connection.close()
    connection.close()
