"""Audiences that are held back, what is delivered without them, and how they are released: as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from activation import Job, activate, run_job
from xdm_profiles import profile, write_profiles

HEADER = b"email,phone,first_name,last_name,city,state,postal_code,birthday\n"
BOTH = "audience.segments=[{id: seg-a, name: spring}, {id: seg-b, name: autumn}]"
SPRING, AUTUMN = "demo_spring_20261101_000000.csv", "demo_autumn_20261101_000000.csv"
MANY = "guard.max_rows=2"
INCREMENTAL = ["export=incremental", "file.name='{segment_name}-{as_of}'"]
LATER = "2026-11-02T00:00:00Z"


def member(email: str, segment: str, **keys: Any) -> dict[str, Any]:
    return profile(email=email, segments={"ups": {segment: ("realized", "2026-01-01T00:00:00Z", None)}}, **keys)


def rows(a: str, b: str) -> list[dict[str, Any]]:
    """A profile for each letter: members of seg-a, and of seg-b."""
    return [member(f"{letter}@x.org", segment) for segment, letters in (("seg-a", a), ("seg-b", b)) for letter in letters]


def content(letters: str) -> bytes:
    return HEADER + b"".join(f"{letter}@x.org,,Jane,Doe,,,,\n".encode() for letter in letters)


def changes(**statuses: str) -> bytes:
    lines = (f"{letter}@x.org,,Jane,Doe,,,,,{status}\n".encode() for letter, status in statuses.items())
    return HEADER.replace(b"\n", b",status\n") + b"".join(lines)


def statuses(job: Job, run_id: str = "run-1") -> list[str]:
    return [audience["status"] for audience in job.record(run_id)["audiences"]]


def held(job: Job, *words: str) -> Job:
    """It ended with exit code 3 and one paragraph with these words."""
    assert job.code == 3, job.stderr
    (paragraph,) = job.said()
    for word in words:
        assert word in paragraph
    return job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two members of the one audience, three of the other."""
    write_profiles(tmp_path / "profiles", rows("ab", "cde"))
    return tmp_path


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_one_audience_is_held_and_the_other_is_delivered(folder: Path, engine: str) -> None:
    job = activate(folder, BOTH, MANY, f"engine={engine}")
    assert job.code == 3
    assert "1 of 2 audiences is held back; the other audiences were delivered" in job.stderr
    assert "segment seg-b (autumn): it has 3 rows (guard.max_rows=2)" in job.stderr
    assert "release=run-1" in job.stderr
    assert job.files() == {SPRING: content("ab")}
    assert [entry["name"] for entry in json.loads(job.delivered()["manifest-local-run-1.json"])["exportResults"]] == [SPRING]
    record = job.record()
    assert (record["status"], statuses(job)) == ("published", ["published", "held"])
    assert [audience["held"] for audience in record["audiences"]] == [None, "it has 3 rows (guard.max_rows=2)"]
    assert (record["error"]["type"], record["error"]["exit_code"]) == ("HeldError", 3)
    assert "held: it has 3 rows" in job.stdout


def test_all_or_nothing(folder: Path) -> None:
    job = activate(folder, BOTH, MANY, "audience.all_or_nothing=true")
    job.refused(3, "1 of 2 audiences is held back; nothing was delivered", "seg-b")
    assert (job.record()["status"], statuses(job)) == ("held", ["held", "held"])
    assert "audience.all_or_nothing" in job.record()["audiences"][0]["held"]
    released = activate(folder, BOTH, MANY, "audience.all_or_nothing=true", "release=run-1", run_id="run-2").succeeded()
    assert released.files() == {SPRING: content("ab"), AUTUMN: content("cde")}


def test_all_are_held_and_nothing_is_there(folder: Path) -> None:
    job = activate(folder, BOTH, "guard.max_rows=1")
    job.refused(3, "2 of 2 audiences are held back; nothing was delivered", "seg-a", "seg-b")
    assert (job.record()["status"], statuses(job)) == ("held", ["held", "held"])


def test_a_held_audience_beside_one_that_has_nothing_to_send(folder: Path) -> None:
    write_profiles(folder / "profiles", rows("", "cde"))
    job = activate(folder, BOTH, MANY, "file.on_empty=skip")
    job.refused(3, "1 of 2 audiences is held back", "nothing to send")
    assert (job.record()["status"], statuses(job)) == ("held", ["failed", "held"])


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("file.on_empty=fail", "segment seg-a (spring): it is empty (file.on_empty=fail)"),
        ("guard.min_rows=1", "segment seg-a (spring): it has 0 rows (guard.min_rows=1)"),
    ],
)
def test_an_audience_that_is_too_small(folder: Path, override: str, reason: str) -> None:
    write_profiles(folder / "profiles", rows("", "cde"))
    assert held(activate(folder, BOTH, override), reason).files() == {AUTUMN: content("cde")}


def test_failed_checks_hold_one_audience_and_show_no_value(folder: Path) -> None:
    write_profiles(folder / "profiles", [*rows("ab", "cd"), member("no-address-at-all", "seg-b")])
    job = held(activate(folder, BOTH, "checks=email"), "segment seg-b (autumn): checks failed", "email_shape", "1 rows")
    assert job.files() == {SPRING: content("ab")}
    assert "no-address-at-all" not in job.stderr + job.stdout


def test_row_rules_hold_reject_and_list(folder: Path) -> None:
    write_profiles(folder / "profiles", [*rows("ab", "cd"), member("x@y.com", "seg-a"), member("z@y.com", "seg-b")])
    hold = "++rules.rows={org: {column: email, regex: 'org$', on_failure: hold}}"
    job = activate(folder, "audience.segments=[seg-a]", hold)
    job.refused(3, "segment seg-a: row rules failed: org by 1 rows")
    reject = hold.replace("hold}", "reject}")
    job = activate(folder, BOTH, reject, "rules.max_rejected_percent=40", run_id="run-2").succeeded()
    assert job.files() == {SPRING: content("ab"), AUTUMN: content("cd")}
    listed = folder / "state" / "runs" / "run-2" / "rejects"
    assert {path.name: path.read_text() for path in listed.iterdir()} == {
        "0.csv": "email,rule,column,value\nx@y.com,org,email,x@x.xxx\n",
        "1.csv": "email,rule,column,value\nz@y.com,org,email,x@x.xxx\n",
    }
    counts = job.record("run-2")["audiences"][0]["counts"]
    assert (counts["rejected"], counts["rejected_by"]) == (1, {"org": 1})
    many = activate(folder, BOTH, reject, "rules.max_rejected_rows=0", "file.name='{run_id}-{segment_id}'", run_id="run-3")
    held(many, "segment seg-a (spring): 1 rows were rejected (rules.max_rejected_rows=0)")


def test_rejects_of_an_earlier_start_are_not_listed_with_those_of_the_next(folder: Path) -> None:
    reject = "++rules.rows={org: {column: email, regex: 'org$'}}"
    write_profiles(folder / "profiles", [*rows("ab", "cd"), member("x@y.com", "seg-a"), member("z@y.com", "seg-b")])
    activate(folder, BOTH, reject, "guard.max_rows=1").refused(3)
    write_profiles(folder / "profiles", [*rows("ab", "cd"), member("z@y.com", "seg-b")])
    job = activate(folder, BOTH, reject).succeeded()
    assert [path.name for path in Path(job.record()["rejects"]).iterdir()] == ["1.csv"]


def test_an_audience_is_held_where_too_large_a_share_of_its_rows_is_rejected(folder: Path) -> None:
    write_profiles(folder / "profiles", [*rows("abc", ""), member("x@y.com", "seg-a")])
    asked = ["audience.segments=[{id: seg-a, name: spring}]", "++rules.rows={org: {column: email, regex: 'org$'}}"]
    job = activate(folder, *asked, "rules.max_rejected_percent=24.9")
    job.refused(3, "segment seg-a (spring): 1 of 4 rows were rejected (rules.max_rejected_percent=24.9)")
    assert (job.record()["status"], statuses(job)) == ("held", ["held"])
    assert activate(folder, *asked, "rules.max_rejected_percent=25").succeeded().files() == {SPRING: content("abc")}


def test_a_size_that_changes_too_much_is_held_but_not_at_the_first_run(folder: Path) -> None:
    asked = ["audience.segments=[seg-a]", "guard.max_change_percent=50", "file.name='{run_id}'"]
    activate(folder, *asked).succeeded()
    write_profiles(folder / "profiles", rows("abc", ""))
    activate(folder, *asked, run_id="run-2").succeeded()  # 50 % more is let through
    write_profiles(folder / "profiles", rows("abcde", ""))
    job = held(activate(folder, *asked, run_id="run-3"), "it has 5 rows, and had 3 at the last published run (guard.max_change_percent=50)")
    assert sorted(job.files()) == ["run-1.csv", "run-2.csv"]
    write_profiles(folder / "profiles", rows("a", ""))
    held(activate(folder, *asked, run_id="run-4"), "it has 1 rows, and had 3")


GONE = "segment seg-b (autumn): it has no rows, and had 3 at the last published run ("


@pytest.mark.parametrize("why", ["no membership is left", "the segment is gone", "nobody has consent"])
def test_an_audience_that_had_rows_and_has_none_is_held(folder: Path, why: str) -> None:
    """A header alone would empty the list at the platform."""
    activate(folder, BOTH).succeeded()
    gone = {
        "no membership is left": [profile(email="c@x.org", segments={"ups": {"seg-b": ("exited", "2026-01-01T00:00:00Z", None)}})],
        "the segment is gone": [],
        "nobody has consent": [member(f"{letter}@x.org", "seg-b", consent="n") for letter in "cde"],
    }[why]
    write_profiles(folder / "profiles", [*rows("ab", ""), *gone])
    asked, named = [BOTH, "destination.path=second"], "file.name='{run_id}-{segment_name}'"
    job = held(activate(folder, *asked, run_id="run-2"), GONE + "guard.min_rows=0 says that it is meant)", "release=run-2")
    assert sorted(path.name for path in (folder / "second").iterdir()) == [SPRING, "manifest-local-run-2.json"]
    assert statuses(job, "run-2") == ["published", "held"]
    held(activate(folder, *asked, named, run_id="run-3"), "seg-b (autumn)")  # until somebody decides
    assert (folder / "second" / "run-3-spring.csv").exists()
    activate(folder, *asked, "guard.min_rows=0", named, run_id="run-4").succeeded()
    assert (folder / "second" / "run-4-autumn.csv").read_bytes() == HEADER
    activate(folder, *asked, named, run_id="run-5").succeeded()  # it had none at the last run


def test_an_audience_without_rows_is_released_as_others_are(folder: Path) -> None:
    activate(folder, BOTH, "destination.path=first").succeeded()
    write_profiles(folder / "profiles", rows("ab", ""))
    held(activate(folder, BOTH, run_id="run-2"), GONE)
    job = activate(folder, BOTH, "release=run-2", run_id="run-3").succeeded()
    assert job.files() == {SPRING: content("ab"), AUTUMN: HEADER}


def test_of_an_incremental_export_nobody_is_sent_as_exited_who_may_be_one(folder: Path) -> None:
    activate(folder, BOTH, *INCREMENTAL).succeeded()
    write_profiles(folder / "profiles", rows("a", ""))
    skip = "file.on_empty=skip"  # there is something to send, whatever becomes of empty files
    job = held(
        activate(folder, BOTH, *INCREMENTAL, skip, run_id="run-2", as_of=LATER), GONE + "all would be sent as exited; guard.min_rows=0"
    )
    assert {name for name in job.files() if "20261102" in name} == {"spring-20261102T000000Z.csv"}
    third = "2026-11-03T00:00:00Z"
    meant = activate(folder, BOTH, *INCREMENTAL, "guard.min_rows=0", run_id="run-3", as_of=third).succeeded()
    assert meant.files()["autumn-20261103T000000Z.csv"] == changes(c="exited", d="exited", e="exited")


def test_where_empty_files_are_skipped_there_is_nothing_to_hold_of_a_full_export(folder: Path) -> None:
    asked = ["audience.segments=[seg-b]", "file.on_empty=skip"]
    activate(folder, *asked).succeeded()
    write_profiles(folder / "profiles", rows("ab", ""))
    job = activate(folder, *asked, "destination.path=second", run_id="run-2").succeeded()
    assert (job.record("run-2")["status"], [*(folder / "second").iterdir()]) == ("empty", [])


@pytest.mark.parametrize("wrong", ["audience.segments=[{id: seg-bb, name: autumn}]", "audience.namespace=upss"])
def test_an_empty_audience_in_the_place_of_one_that_had_rows_is_held(folder: Path, wrong: str) -> None:
    """A file of the same name would replace that of the last run with a header."""
    asked = ["audience.segments=[{id: seg-b, name: autumn}]", "file.name='{segment_name}'", "destination.on_conflict=replace"]
    activate(folder, *asked).succeeded()
    job = held(
        activate(folder, *asked, wrong, run_id="run-2"),
        "(autumn): it has no rows and was never sent, and this activation has no longer what it has sent before: ups/seg-b (guard.min_rows=0",
    )
    assert job.files() == {"autumn.csv": content("cde")}
    activate(folder, *asked, wrong, "guard.min_rows=0", run_id="run-3").succeeded()
    assert job.files() == {"autumn.csv": HEADER}


def test_an_empty_audience_beside_those_that_had_rows_is_a_warning(folder: Path) -> None:
    activate(folder, BOTH).succeeded()
    more = BOTH.replace("}]", "}, {id: no-such, name: winter}]")
    job = activate(folder, more, "destination.path=second", run_id="run-2").succeeded()
    assert (folder / "second" / "demo_winter_20261101_000000.csv").read_bytes() == HEADER
    assert "warning: No profile is a member of segment no-such (winter) in namespace ups" in job.stdout


def test_an_audience_that_was_empty_from_the_first_run_on_is_a_warning(folder: Path) -> None:
    for run_id in ("run-1", "run-2"):
        job = activate(folder, "audience.segments=[no-such]", "file.name='{run_id}'", run_id=run_id).succeeded()
        assert job.files()[f"{run_id}.csv"] == HEADER
        assert "warning: No profile is a member of segment no-such in namespace ups" in job.stdout


def test_a_held_audience_keeps_its_baseline_and_the_other_moves_on(folder: Path) -> None:
    activate(folder, BOTH, *INCREMENTAL).succeeded()
    write_profiles(folder / "profiles", rows("a", "cdef"))
    asked = [BOTH, *INCREMENTAL, "guard.max_rows=3"]
    held(activate(folder, *asked, run_id="run-2", as_of=LATER), "segment seg-b")
    write_profiles(folder / "profiles", rows("ag", "def"))
    job = activate(folder, *asked, run_id="run-3", as_of="2026-11-03T00:00:00Z").succeeded()
    assert [audience["baseline"] for audience in job.record("run-3")["audiences"]] == ["run-2", "run-1"]
    files = job.files()
    assert files["spring-20261103T000000Z.csv"] == changes(g="realized")
    assert files["autumn-20261103T000000Z.csv"] == changes(c="exited", f="realized")


# Releasing


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_what_is_held_is_released_as_it_is_under_its_own_time(folder: Path, engine: str) -> None:
    assert activate(folder, BOTH, MANY, f"engine={engine}").code == 3
    write_profiles(folder / "profiles", rows("xyz", "xyz"))
    job = run_job("activate.py", folder, BOTH, f"engine={engine}", "release=run-1", "as_of=null", run_id="run-2").succeeded(quiet=False)
    assert job.files() == {SPRING: content("ab"), AUTUMN: content("cde")}
    assert [entry["name"] for entry in json.loads(job.delivered()["manifest-local-run-2.json"])["exportResults"]] == [AUTUMN]
    record = job.record("run-2")
    assert (record["status"], record["released"], record["as_of"], record["error"]) == ("published", "run-1", "2026-11-01T00:00:00Z", None)
    assert statuses(job, "run-2") == ["published before", "published"]
    assert "select, map, stage" not in record["seconds"]


def test_a_release_is_the_baseline_of_what_follows(folder: Path) -> None:
    asked = [BOTH, *INCREMENTAL]
    held(activate(folder, *asked, MANY), "segment seg-b")
    activate(folder, *asked, "release=run-1", run_id="run-2").succeeded()
    write_profiles(folder / "profiles", rows("a", "cdf"))
    job = activate(folder, *asked, run_id="run-3", as_of=LATER).succeeded()
    assert [audience["baseline"] for audience in job.record("run-3")["audiences"]] == ["run-1", "run-1"]
    assert job.files()["spring-20261102T000000Z.csv"] == changes(b="exited")
    assert job.files()["autumn-20261102T000000Z.csv"] == changes(e="exited", f="realized")


def test_a_run_is_released_once(folder: Path) -> None:
    activate(folder, BOTH, "guard.max_rows=1")
    activate(folder, BOTH, "release=run-1", run_id="run-2").succeeded()
    twice = activate(folder, BOTH, "release=run-1", run_id="run-3")
    assert (twice.code, twice.stdout) == (2, "")
    assert "This run has been released already" in twice.stderr
    again = activate(folder, BOTH, run_id="run-1")  # its rows are what the next runs compare with
    assert again.code == 2
    assert "This run was held, and has been released since" in again.stderr
    same = activate(folder, BOTH, "release=run-1", run_id="run-2").succeeded()
    assert "nothing was done" in same.stdout


def test_a_run_is_released_once_also_after_another_one_has_published(folder: Path) -> None:
    named = [BOTH, "file.name='{run_id}-{segment_name}'"]
    activate(folder, *named, "guard.max_rows=1").refused(3)
    activate(folder, *named, "release=run-1", run_id="run-2").succeeded()
    activate(folder, *named, run_id="run-3").succeeded()
    twice = activate(folder, *named, "release=run-1", run_id="run-4")
    assert (twice.code, "This run has been released already" in twice.stderr) == (2, True)
    again = activate(folder, *named, run_id="run-1")  # whose rows would be older than those that were sent since
    assert (again.code, "This run was held, and has been released since" in again.stderr) == (2, True)
    assert sorted({name.partition("-spring")[0].partition("-autumn")[0] for name in again.files()}) == ["run-2", "run-3"]


def test_what_is_held_is_not_released_before_the_rest_of_its_run_is_delivered(folder: Path) -> None:
    """The other audience would be taken for published."""
    (folder / "out").mkdir()
    (folder / "out" / SPRING).write_bytes(b"not taken yet")
    assert activate(folder, BOTH, MANY).code == 5
    early = activate(folder, BOTH, MANY, "release=run-1", run_id="run-2")
    assert (early.code, early.files()) == (2, {SPRING: b"not taken yet"})
    assert "has not delivered what it did not hold" in early.stderr
    assert "start it again with run_id=run-1" in early.stderr
    (folder / "out" / SPRING).unlink()
    assert held(activate(folder, BOTH, MANY), "seg-b").files() == {SPRING: content("ab")}
    released = activate(folder, BOTH, MANY, "release=run-1", run_id="run-2").succeeded()
    assert released.files() == {SPRING: content("ab"), AUTUMN: content("cde")}


@pytest.mark.parametrize("as_of", [LATER, "2026-10-01T00:00:00Z"])
def test_what_is_held_is_not_released_after_a_newer_run_of_its_audience(folder: Path, as_of: str) -> None:
    """The platform would get the older rows last."""
    named = [BOTH, "file.name='{run_id}-{segment_name}'"]
    held(activate(folder, *named, MANY), "segment seg-b")
    activate(folder, *named, run_id="run-2", as_of=as_of).succeeded()
    job = activate(folder, *named, "release=run-1", run_id="run-3")
    assert job.code == 2
    assert "A newer run of a held audience has been published since" in job.stderr
    assert not any(name.startswith("run-3") for name in job.files())


def test_of_two_held_runs_the_older_is_not_released_after_the_newer(folder: Path) -> None:
    named = ["audience.segments=[seg-a]", "file.name='{run_id}'"]
    activate(folder, *named, "guard.max_rows=1").refused(3)
    activate(folder, *named, "guard.max_rows=1", run_id="run-2", as_of=LATER).refused(3)
    activate(folder, *named, "guard.max_rows=1", run_id="run-3", as_of=LATER).refused(3)
    assert sorted(activate(folder, *named, "release=run-2", run_id="run-4", as_of=LATER).succeeded().files()) == ["run-4.csv"]
    older = activate(folder, *named, "release=run-1", run_id="run-5")
    assert (older.code, "A newer run of a held audience has been published since" in older.stderr) == (2, True)
    activate(folder, *named, "release=run-3", run_id="run-6", as_of=LATER).succeeded()


def test_held_changes_are_not_released_after_another_run(folder: Path) -> None:
    asked = ["audience.segments=[seg-a]", *INCREMENTAL]
    activate(folder, *asked).succeeded()
    write_profiles(folder / "profiles", rows("abcde", ""))
    held(activate(folder, *asked, MANY, run_id="run-2", as_of=LATER), "seg-a")
    activate(folder, *asked, run_id="run-3", as_of="2026-11-03T00:00:00Z").succeeded()
    job = activate(folder, *asked, "release=run-2", run_id="run-4", as_of=LATER)
    assert job.code == 2
    assert "Another run has been published since" in job.stderr
    assert sorted(job.files()) == ["seg-a-20261101T000000Z.csv", "seg-a-20261103T000000Z.csv"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["release=run-9"], "There is no run of this activation to release"),
        (["release=run-1", "+mapping.columns.city.mandatory=true"], "A held run is released with the configuration that it had"),
        (["release=run-1", "file.delimiter=';'"], "A held run is released with the configuration that it had"),
        (["release=run-1", "as_of=2026-12-01T00:00:00Z"], "A held run is released as of its own time"),
        (["release=run-0"], "This run holds nothing back"),
        (["release=../run-1"], "release is no run id"),
    ],
)
def test_a_release_that_cannot_be_is_refused(folder: Path, overrides: list[str], words: str) -> None:
    activate(folder, BOTH, "destination.path=elsewhere", run_id="run-0").succeeded()
    activate(folder, BOTH, "guard.max_rows=1")
    activate(folder, BOTH, *overrides, run_id="run-2").refused(2, words)


def test_a_release_whose_columns_are_in_another_order_is_refused(folder: Path) -> None:
    """By the configuration, and by the names that the record has, should the other comparison miss it."""
    email, name = "email: {source: personalEmail.address}", "name: {source: person.name.firstName}"
    (folder / "own" / "mapping").mkdir(parents=True)
    asked = [BOTH, "--config-dir", "own", "mapping=small"]

    def mapping(*columns: str) -> None:
        (folder / "own" / "mapping" / "small.yaml").write_text(f"{{columns: {{{', '.join(columns)}}}, deduplication_key: [email]}}")

    mapping(email, name)
    activate(folder, *asked, "guard.max_rows=1").refused(3)
    mapping(name, email)
    activate(folder, *asked, "release=run-1", run_id="run-2").refused(2, "released with the configuration that it had")
    mapping(email, name)
    path = folder / "state" / "runs" / "run-1" / "record.json"
    record = json.loads(path.read_text())
    assert record["columns"] == ["email", "name"]
    path.write_text(json.dumps({**record, "columns": ["name", "email"]}))
    activate(folder, *asked, "release=run-1", run_id="run-3").refused(2, "has other columns")


def test_the_same_run_id_after_a_partly_held_run_says_it_again_and_sends_nothing(folder: Path) -> None:
    activate(folder, BOTH, MANY)
    record = (folder / "state" / "runs" / "run-1" / "record.json").read_bytes()
    (folder / "out" / SPRING).unlink()
    again = held(activate(folder, BOTH, MANY), "segment seg-b", "release=run-1")
    assert "nothing was done" in again.stdout
    assert again.files() == {}
    assert (folder / "state" / "runs" / "run-1" / "record.json").read_bytes() == record


def test_the_same_run_id_after_a_held_run_tries_anew(folder: Path) -> None:
    activate(folder, BOTH, "guard.max_rows=1").refused(3, "seg-a")
    write_profiles(folder / "profiles", rows("a", "c"))
    assert activate(folder, BOTH, "guard.max_rows=1").succeeded().files() == {SPRING: content("a"), AUTUMN: content("c")}


def test_a_second_start_that_fails_leaves_what_is_held_to_be_released(folder: Path) -> None:
    asked = [BOTH, "guard.max_rows=1"]
    activate(folder, *asked).refused(3, "nothing was delivered")
    activate(folder, *asked, "source.path=nowhere").refused(4)
    assert activate(folder, BOTH, "release=run-1", run_id="run-2").succeeded().files() == {SPRING: content("ab"), AUTUMN: content("cde")}


def test_a_second_start_that_computes_anew_is_recorded(folder: Path) -> None:
    activate(folder, BOTH, "guard.max_rows=1").refused(3)
    job = activate(folder, BOTH).succeeded()
    assert (job.record()["status"], statuses(job)) == ("published", ["published", "published"])
