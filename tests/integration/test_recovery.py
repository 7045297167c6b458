"""A start of a run that was killed, and the one after it: finished or undone, nothing lost, nothing twice, nothing left.

The killed start is a process of its own, which ends at once at the chosen point, with no handler and no clean-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deliveries import MANIFEST, NAMES, TRIGGER, Held, Sender, rendered
from kills import KILLED, Watched, end, in_a_process, killed_after, killed_before_the_intent, killed_while_sending
from targets import Target

from courier.config import RunConfig
from courier.delivery.journal import Journal
from courier.destinations import Staged
from courier.destinations.sftp.protocol import Session
from courier.errors import TerminalError, TransientError
from courier.runs import recovery

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_killed_while_sending_the_second_file_only_what_is_missing_is_sent(sender: Sender) -> None:
    killed_while_sending(sender, "a_2.csv")
    assert sender.target.visible() == {}
    watched = Watched()
    sender.send(watched)
    assert sorted(watched.names) == ["a_2.csv", "a_3.csv"]
    sender.assert_delivered()


def test_killed_when_all_is_staged_nothing_is_sent_again(sender: Sender) -> None:
    killed_before_the_intent(sender)
    assert sender.target.visible() == {}
    watched = Watched()
    sender.send(watched)
    assert watched.names == []
    sender.assert_delivered()


class Noted:
    """A file with something to tell of its values."""

    def __init__(self, name: str) -> None:
        self.name, self.notes = name, {name: {"line_ends_replaced": 1}}

    def __iter__(self) -> Iterator[bytes]:
        return rendered(self.name)


def test_what_was_noted_of_a_file_outlives_the_start_that_wrote_it(sender: Sender) -> None:
    assert in_a_process(lambda: sender.send(Noted, before_publishing=end)) == KILLED
    journal = sender.send()
    assert [state.notes for state in journal.states] == [*({name: {"line_ends_replaced": 1}} for name in NAMES), {}, {}]
    sender.assert_delivered()


@pytest.mark.parametrize("published", [1, 2, 3, 4, 5])
def test_killed_between_two_publications_the_next_start_finishes(sender: Sender, published: int) -> None:
    killed_after(sender, "publish", published)
    assert len(sender.target.visible()) == published
    watched = Watched()
    sender.send(watched)
    assert watched.names == []
    sender.assert_delivered()


@pytest.mark.parametrize(("step", "visible"), [(("publish_together", 1), 32), (("publish_together", 2), 40), (("ask_rename", 36), 32)])
def test_killed_while_many_files_are_published_together(
    make_target: Callable[[str], Target], tmp_path: Path, step: tuple[str, int], visible: int
) -> None:
    target = make_target("sftp_key_ed25519").with_config(connections=1)
    sender = Sender(target, tmp_path / "state", names=[f"a_{part}.csv" for part in range(1, 41)])
    killed_after(sender, *step, Session if step[0] == "ask_rename" else None)
    assert len(sender.target.visible()) == visible
    watched = Watched()
    sender.send(watched)
    assert watched.names == []
    sender.assert_delivered()


def test_killed_right_after_the_intent(sender: Sender) -> None:
    killed_after(sender, "enter", 1, Journal)
    assert (sender.phase(), sender.target.visible()) == ("publishing", {})
    sender.send(Watched())
    sender.assert_delivered()


@pytest.mark.parametrize("begun", [1, 2])
def test_killed_with_a_place_begun_that_is_not_written_down(sender: Sender, begun: int) -> None:
    killed_after(sender, "begin", begun)
    sender.send()
    sender.assert_delivered()


def test_the_answer_to_a_beginning_is_lost(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sender.target.connect())
    original, lost = kind.begin, list[str]()

    def begin(self: Any, name: str) -> Staged:
        begun: Staged = original(self, name)
        if not lost:
            lost.append(name)
            raise TransientError("The answer was lost")
        return begun

    monkeypatch.setattr(kind, "begin", begin)
    sender.send()
    sender.assert_delivered()


def test_a_file_that_the_platform_took_before_the_next_start_is_not_sent_again(sender: Sender) -> None:
    killed_after(sender, "publish", 2)
    (sender.target.folder / "a.csv").unlink()
    journal = sender.send()
    assert sorted(sender.target.visible()) == sorted([MANIFEST, "a_2.csv", "a_3.csv", TRIGGER])
    assert [state.confirmed for state in journal.states[:3]] == [False, True, True]
    assert sender.target.leftovers() == []


@pytest.mark.parametrize(
    ("published", "step"),
    [
        *((0, step) for step in [("discard", 1), ("discard", 2), ("update", 1), ("update", 4)]),
        *(
            (1, step)
            for step in [
                ("discard", 1),
                ("discard", 2),
                ("discard", 3),
                ("remove", 1),
                ("update", 1),
                ("update", 2),
                ("update", 3),
                ("update", 4),
            ]
        ),
    ],
)
def test_killed_while_taking_back_the_next_start_goes_on(sender: Sender, published: int, step: tuple[str, int]) -> None:
    """The run found somebody else's second file, when it had published its first or before, and was killed while it took back."""
    killed_before_the_intent(sender)

    def somebody() -> None:
        sender.target.put("a_2.csv", b"somebody else's")

    if not published:
        somebody()

    def work() -> None:
        owner = Journal if step[0] == "update" else type(sender.target.connect())
        original, calls = getattr(owner, step[0]), 0

        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            result = original(*arguments, **named)
            journal = Journal.load(sender.store, sender.run_id)
            calls += bool(journal and journal.header.phase == "undoing")
            if calls == step[1]:
                end()
            return result

        setattr(owner, step[0], counting)
        sender.send(before_publishing=somebody)

    assert in_a_process(work) == KILLED
    (sender.target.folder / "a_2.csv").unlink()
    sender.send()
    sender.assert_delivered()


def test_the_answer_to_a_publication_is_lost(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sender.target.connect())
    original, lost = kind.publish, list[str]()

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        done: bool = original(self, staged, replace=replace)
        if staged.name not in lost:
            lost.append(staged.name)
            raise TransientError("The answer was lost")
        return done

    monkeypatch.setattr(kind, "publish", publish)
    sender.send()
    assert lost == [*NAMES, MANIFEST, TRIGGER]
    sender.assert_delivered()


def test_the_answer_is_lost_and_the_platform_was_quick(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sender.target.connect())
    original, calls = kind.publish, list[str]()

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        calls.append(staged.name)
        done: bool = original(self, staged, replace=replace)
        if staged.name == "a_2.csv":
            (sender.target.folder / "a_2.csv").unlink()
            raise TransientError("The answer was lost")
        return done

    monkeypatch.setattr(kind, "publish", publish)
    journal = sender.send()
    assert calls == [*NAMES, MANIFEST, TRIGGER]
    assert [state.confirmed for state in journal.states[:3]] == [True, False, True]
    assert "a_2.csv" not in sender.target.visible()


def test_a_server_that_goes_away_while_publishing_is_left_to_the_next_start(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sender.target.connect())
    original = kind.publish

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        if staged.name == "a_2.csv":
            raise TransientError("The server is gone")
        return bool(original(self, staged, replace=replace))

    with monkeypatch.context() as patched:
        patched.setattr(kind, "publish", publish)
        with pytest.raises(TransientError) as raised:
            replace(sender, target=sender.target.with_config(attempts=2)).send()
    assert "start again with run_id=run-1" in str(raised.value)
    assert list(sender.target.visible()) == ["a.csv"]
    sender.send(Watched())
    sender.assert_delivered()


def test_what_the_platform_took_before_the_run_failed_stays_delivered_and_the_rest_follows(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(sender.target.connect())
    original = kind.publish

    def publish(self: Any, staged: Staged, *, replace: bool) -> bool:
        if staged.name == "a_3.csv":
            raise TerminalError("The right to rename was taken away")
        done: bool = original(self, staged, replace=replace)
        if staged.name == "a.csv":
            (sender.target.folder / "a.csv").unlink()
        return done

    with monkeypatch.context() as patched:
        patched.setattr(kind, "publish", publish)
        with pytest.raises(TerminalError) as raised:
            sender.send()
    assert "Delivered and not taken back: a.csv" in str(raised.value)
    assert sender.target.everything() == {}
    watched = Watched()
    sender.send(watched)
    assert sorted(watched.names) == ["a_2.csv", "a_3.csv"]
    assert sorted(sender.target.visible()) == sorted([MANIFEST, "a_2.csv", "a_3.csv", TRIGGER])


def test_an_upload_is_continued_where_it_ended(sender: Sender) -> None:
    """Most of it arrives before the connection breaks: of the parts of S3 one, of what a local disk has on it for sure one stretch."""
    sent: list[int] = []
    megabytes = 80 if sender.target.config.kind == "local" else 40
    whole = bytes(range(200)) * 5_000 * megabytes
    broken: list[int] = []

    def render(name: str) -> Iterator[bytes]:
        assert name == "a.csv"
        for start in range(0, len(whole), 1_000_000):
            yield whole[start : start + 1_000_000]
            if not broken and start >= len(whole) - 3_000_000:
                broken.append(start)
                raise TransientError("The connection was lost")

    kind = type(sender.target.connect())
    original = kind.send

    def send(self: Any, begun: Staged, chunks: Any, keep: Any) -> Staged:
        sent.append(begun.size)
        result: Staged = original(self, begun, chunks, keep)
        return result

    kind.send = send  # type: ignore[method-assign]  # put back below
    try:
        one = replace(sender, names=["a.csv"], closing=[])
        one.send(render)
    finally:
        kind.send = original  # type: ignore[method-assign]  # see above
    assert sender.target.visible() == {"a.csv": whole}
    assert sent[0] == 0
    assert sent[1] >= 5 * 1024 * 1024


# Other runs


def other_config(sender: Sender, run_id: str) -> RunConfig:
    import types

    return types.SimpleNamespace(activation="demo", run_id=run_id, destination=sender.target.config)  # type: ignore[return-value]


@pytest.mark.parametrize("published", [0, 2])
def test_the_next_run_takes_back_what_a_dead_one_left_and_nothing_else(sender: Sender, published: int) -> None:
    sender.target.put("theirs.csv", b"somebody else's")
    sender.target.put(".courier-another-run-a.csv.part", b"of a run that is not ours to judge")
    if published:
        killed_after(sender, "publish", published)
    else:
        killed_while_sending(sender, "a_2.csv")
    told = recovery.settle_dead_runs(sender.store, other_config(sender, "run-2"), Held())
    assert len(told) == 1
    assert "Run run-1 ended before its delivery was settled; what it left was taken back" in told[0]
    assert sorted(sender.target.everything()) == [".courier-another-run-a.csv.part", "theirs.csv"]
    assert sender.target.uploads() == []
    assert Journal.open_runs(sender.store, "demo") == []
    assert recovery.settle_dead_runs(sender.store, other_config(sender, "run-3"), Held()) == []


def test_what_a_dead_run_began_under_its_final_name_is_known_from_its_journal(make_target: Callable[[str], Target], tmp_path: Path) -> None:
    sender = Sender(make_target("sftp_key_ed25519").with_config(publish="direct"), tmp_path / "state")
    sender.target.put("theirs.csv", b"somebody else's")
    killed_while_sending(sender, "a.csv")
    assert "a.csv" in sender.target.visible()
    recovery.settle_dead_runs(sender.store, other_config(sender, "run-2"), Held())
    assert sorted(sender.target.everything()) == ["theirs.csv"]


def test_a_dead_run_at_a_server_that_does_not_answer_is_told_and_kept_for_later(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_sending(sender, "a_2.csv")
    kind = type(sender.target.connect())
    with monkeypatch.context() as patched:
        patched.setattr(kind, "discard", lambda *_: (_ for _ in ()).throw(TransientError("No answer")))
        told = recovery.settle_dead_runs(sender.store, other_config(sender, "run-2"), Held())
    assert "cannot be taken back now" in told[0]
    assert Journal.open_runs(sender.store, "demo") == ["run-1"]
    recovery.settle_dead_runs(sender.store, other_config(sender, "run-3"), Held())
    assert sender.target.everything() == {}
    assert sender.target.uploads() == []
