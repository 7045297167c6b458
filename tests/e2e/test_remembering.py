"""What a run has published is never forgotten, and what it has not is never believed: runs killed at the worst moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from activation import AS_OF, command
from crm import ADDED, AFTER, BEFORE, CHANGED, CHANGES, CRM, REMOVED, crm_folder, lines, member, run, single
from xdm_profiles import write_profiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return crm_folder(tmp_path)


KILL = """
import os, signal, sys
from courier.runs import baseline
from courier import cli, runs
from courier.delivery import journal
from courier.destinations import local
original = {owner}.{name}
def killed(*arguments, **named):
    if {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    original(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
{owner}.{name} = killed
sys.exit(cli.run_activation(sys.argv[1:]))
"""
MOMENTS = {"before it is remembered": ("baseline", "remember", True), "after": ("baseline", "remember", False)}
STAGED = ("journal.Journal", "enter", True)
DECIDED = ("journal.Journal", "enter", False)


TAKEN = ("local.LocalConnection", "publish", False)
REFUSED = """
import os, sys
from courier import cli
from courier.destinations.local import LocalConnection
from courier.errors import TerminalError
publish = LocalConnection.publish
def refused(self, staged, **named):
    if staged.name.startswith("manifest"):
        os.remove("out/spring.csv")
        raise TerminalError("The disk is full")
    return publish(self, staged, **named)
LocalConnection.publish = refused
sys.exit(cli.run_activation(sys.argv[1:]))
"""


def killed(folder: Path, number: int, moment: tuple[str, str, bool], rows: list[dict[str, Any]], *overrides: str) -> dict[str, bytes]:
    """A run that ends at that moment, and what the platform has got of it."""
    write_profiles(folder / "profiles", rows)
    for path in (folder / "out").glob("*.csv"):
        path.unlink()
    owner, name, before = moment
    program = KILL.format(owner=owner, name=name, before=before)
    arguments = command(*CRM, *overrides, "checks=none", run_id=f"run-{number}", as_of=AS_OF)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, env={**os.environ}, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return {path.name: path.read_bytes() for path in (folder / "out").glob("*.csv")}


@pytest.mark.parametrize("moment", MOMENTS)
def test_another_run_knows_what_a_run_had_published_that_was_killed(folder: Path, moment: str) -> None:
    run(folder, 1).succeeded()
    assert killed(folder, 2, MOMENTS[moment], AFTER) == CHANGES
    third = run(folder, 3, rows=AFTER[1:]).succeeded()
    assert third.files() == single(b"a@x.org,Jane,exited")
    assert third.record("run-3")["audiences"][0]["baseline"] == "run-2"
    assert "Run run-2 had published its files when it ended" in third.stdout
    record = third.record("run-2")
    assert (record["status"], record["audiences"][0]["status"], record["error"]) == ("published", "published", None)
    assert [file["rows"] for file in record["audiences"][0]["files"]] == [5]
    assert run(folder, 2).succeeded().files() == {}  # and nothing goes back to what it was
    assert run(folder, 4, rows=AFTER[1:]).succeeded().files() == single()


SILENT = """
import sys
from courier import cli
from courier.errors import TransientError
from courier.runs import baseline
original = baseline.remember
def silent(*arguments, run_id, **named):
    if run_id == "run-2":
        raise TransientError("The state store does not answer now")
    original(*arguments, run_id=run_id, **named)
baseline.remember = silent
sys.exit(cli.run_activation(sys.argv[1:]))
"""


def test_until_it_is_remembered_no_other_run_sends_anything(folder: Path) -> None:
    """Its changes would be from the rows before that run: whoever came with that run and has left since would stay at the platform."""
    run(folder, 1).succeeded()
    assert killed(folder, 2, MOMENTS["before it is remembered"], AFTER) == CHANGES
    write_profiles(folder / "profiles", AFTER[:-1])
    (folder / "out" / "spring.csv").unlink()
    third = subprocess.run(
        [sys.executable, "-c", SILENT, *command(*CRM, "checks=none", run_id="run-3", as_of=AS_OF)],
        cwd=folder,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (third.returncode, [*(folder / "out").glob("*.csv")]) == (5, [])
    assert "The state store does not answer now" in third.stderr
    assert run(folder, 4).succeeded().files() == single(b"f@x.org,Jane,exited")


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_same_run_id_knows_it_too_and_sends_nothing_again(folder: Path, moment: str) -> None:
    run(folder, 1).succeeded()
    killed(folder, 2, MOMENTS[moment], AFTER)
    again = run(folder, 2).succeeded()
    assert again.files() == {}
    assert again.record("run-2")["status"] == "published"
    assert [file["rows"] for file in again.record("run-2")["audiences"][0]["files"]] == [5]
    assert run(folder, 3, rows=AFTER[1:]).succeeded().files() == single(b"a@x.org,Jane,exited")


@pytest.mark.parametrize("moment", [MOMENTS["before it is remembered"], ("runs", "mark_released", True)], ids=["marked", "not marked"])
def test_a_release_that_was_killed_when_it_had_published_is_one(folder: Path, moment: tuple[str, str, bool]) -> None:
    """It is remembered before the run that was held is started again, which would replace the rows that were sent."""
    asked = ["export=full"]
    assert run(folder, 1, *asked, "guard.max_rows=1").code == 3
    assert killed(folder, 2, moment, BEFORE, "export=full", "release=run-1").keys() == {"spring.csv"}
    again = run(folder, 1, *asked)
    assert (again.code, again.files()) == (2, {})
    assert "has been released since" in again.stderr
    assert run(folder, 3, *asked, "release=run-1").code == 2


def test_a_release_that_was_killed_is_not_gone_on_with_after_a_newer_run(folder: Path) -> None:
    asked = ["export=full"]
    assert run(folder, 1, *asked, "guard.max_rows=1").code == 3
    assert killed(folder, 2, STAGED, BEFORE, "export=full", "release=run-1") == {}
    run(folder, 3, *asked).succeeded()
    again = run(folder, 2, *asked, "release=run-1")
    assert (again.code, again.files()) == (2, {})
    assert "A newer run of a held audience has been published since" in again.stderr


def test_staged_changes_are_computed_anew_after_another_run_has_published(folder: Path) -> None:
    run(folder, 1).succeeded()
    assert killed(folder, 2, STAGED, AFTER) == {}
    assert run(folder, 3, rows=AFTER[1:]).succeeded().files() == {
        "spring.csv": lines(b"a@x.org,Jane,exited", CHANGED + b",realized", *(row + b",exited" for row in REMOVED), ADDED + b",realized")
    }
    assert run(folder, 2, rows=AFTER).succeeded().files() == single(b"a@x.org,Jane,realized")


def test_staged_changes_are_sent_by_the_next_start_of_the_same_run(folder: Path) -> None:
    run(folder, 1).succeeded()
    killed(folder, 2, STAGED, AFTER)
    again = run(folder, 2, rows=BEFORE).succeeded()
    assert again.files() == CHANGES
    assert "they were not computed again" in again.stdout


@pytest.mark.parametrize("asked", [["export=full"], ["export.reset=true"]], ids=["full", "reset"])
def test_a_killed_run_sends_no_older_rows_after_another_one(folder: Path, asked: list[str]) -> None:
    """`d` has withdrawn consent meanwhile, as the other run had seen."""
    assert killed(folder, 1, STAGED, BEFORE, *asked) == {}
    sent = run(folder, 2, *asked, rows=AFTER).succeeded().files()
    assert b"d@x.org" not in sent["spring.csv"]
    again = run(folder, 1, *asked, rows=AFTER).succeeded()
    assert again.files() == sent
    assert "they were not computed again" not in again.stdout


def test_a_release_is_finished_also_where_an_older_run_was_released_since_its_own_was_held(folder: Path) -> None:
    asked = ["export=full"]
    assert [run(folder, number, *asked, "guard.max_rows=1").code for number in (1, 2)] == [3, 3]
    run(folder, 3, *asked, "release=run-1").succeeded()
    killed(folder, 4, DECIDED, BEFORE, *asked, "release=run-2")
    again = run(folder, 4, *asked, "release=run-2").succeeded()
    assert again.files() == {"spring.csv": lines(*(b"%c@x.org,Jane" % letter for letter in b"abcde"), header=b"email,name")}
    assert "this one finished it" in again.stdout


def test_rows_that_a_later_start_has_replaced_are_not_taken_for_those_of_an_earlier_one(folder: Path) -> None:
    """As many of them as before, which no check of the third start would have seen."""
    assert killed(folder, 1, STAGED, [member("a@x.org", "Ann")]) == {}
    assert run(folder, 1, "guard.min_rows=9", rows=[member("a@x.org", "Bea")]).code == 3
    third = run(folder, 1, rows=[member("a@x.org", "Cid")]).succeeded()
    assert third.files() == single(b"a@x.org,Cid,realized")
    assert "they were not computed again" not in third.stdout


@pytest.mark.parametrize("ended", ["killed", "failed"])
@pytest.mark.parametrize("again", [False, True], ids=["another run", "the same run"])
def test_what_the_platform_took_of_a_run_that_did_not_end_is_what_it_has(folder: Path, ended: str, again: bool) -> None:
    """`f` was added by it, and has left since."""
    run(folder, 1).succeeded()
    if ended == "killed":
        assert killed(folder, 2, TAKEN, AFTER) == CHANGES
    else:
        write_profiles(folder / "profiles", AFTER)
        (folder / "out" / "spring.csv").unlink()
        arguments = command(*CRM, "checks=none", run_id="run-2", as_of=AS_OF)
        done = subprocess.run([sys.executable, "-c", REFUSED, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, "Delivered and not taken back: spring.csv" in done.stderr) == (5, True), done.stderr
    if again:
        assert run(folder, 2).succeeded().files() == {}
    third = run(folder, 3, rows=AFTER[:-1]).succeeded()
    assert third.files() == single(b"f@x.org,Jane,exited")
    assert third.record("run-3")["audiences"][0]["baseline"] == "run-2"
    assert ("the platform has all of ups/seg-a, which is remembered" in third.stdout) == (not again)
    late = run(folder, 2)
    assert (late.code, late.files()) == (0 if again else 2, {})
    assert run(folder, 4).succeeded().files() == single()


def test_a_release_tells_what_it_has_taken_back_of_another_run(folder: Path) -> None:
    killed(folder, 1, STAGED, BEFORE)
    assert run(folder, 2, "guard.max_rows=1", "destination.path=nowhere/else").code == 3
    killed(folder, 3, STAGED, BEFORE, "guard.min_rows=0", "release=run-2")
    released = run(folder, 4, "release=run-2").succeeded()
    assert "Run run-3 ended before its delivery was settled" in released.stdout
