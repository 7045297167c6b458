"""Incremental exports as a user sees them: what is in the files of each run, and what moves the baseline."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pyarrow as pa
import pytest
from activation import JOBS, Job, activate, start_job
from aws_server import aws_server
from crm import ADDED, AFTER, BACKFILL, BEFORE, CHANGED, CHANGES, CRM, REMOVED, STATUS, crm_folder, lines, member, run, single
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

from courier import compose
from courier.runs import likeness


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return crm_folder(tmp_path)


def counts(job: Job, run_id: str) -> dict[str, int]:
    found = job.record(run_id)["audiences"][0]["counts"]
    return {key: found[key] for key in ("members", "exported", "unchanged", "added", "changed", "exited")}


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_first_everything_then_what_has_changed_with_a_status_column(folder: Path, engine: str) -> None:
    on = [f"engine={engine}"]
    first = run(folder, 1, *on).succeeded(quiet=False)
    assert first.files() == BACKFILL
    assert first.record("run-1")["audiences"][0]["baseline"] is None
    second = run(folder, 2, *on, rows=AFTER).succeeded(quiet=False)
    assert second.files() == CHANGES
    assert second.record("run-2")["audiences"][0]["baseline"] == "run-1"
    assert counts(second, "run-2") == {"members": 4, "exported": 5, "unchanged": 1, "added": 1, "changed": 1, "exited": 3}
    assert second.record("run-2")["audiences"][0]["counts"]["excluded"] == {"no_consent": 1}
    assert "left since run run-1: 3" in second.stdout
    assert run(folder, 3, *on).succeeded(quiet=False).files() == single()


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_a_profile_that_loses_an_identity_to_a_newer_one_leaves_with_all_its_rows(folder: Path, engine: str) -> None:
    def known(name: str, month: int, *ids: str) -> dict[str, Any]:
        return profile(
            first_name=name, identities={"Email": [*ids]}, segments={"ups": {"seg-a": ("realized", f"2026-0{month}-01T00:00:00Z", None)}}
        )

    (folder / "own" / "mapping" / "known.yaml").write_text(
        "{columns: {email: {source: identity.id}, name: {source: person.name.firstName}}, fan_out: Email}"
    )
    asked = [f"engine={engine}", "mapping=known", "dedup=adobe"]
    before = [known("Ann", 1, "1", "2"), known("Cid", 1, "3")]
    first = run(folder, 1, *asked, rows=before).succeeded(quiet=False)
    assert first.files() == single(b"1,Ann,realized", b"2,Ann,realized", b"3,Cid,realized")
    second = run(folder, 2, *asked, rows=[*before, known("Bea", 2, "2", "4")]).succeeded(quiet=False)
    assert second.files() == single(b"1,Ann,exited", b"2,Bea,realized", b"4,Bea,realized")


def test_the_status_in_a_column_of_the_mapping_as_adobe_writes_it(folder: Path) -> None:
    run(folder, 1, STATUS).succeeded()
    files = run(folder, 2, STATUS, rows=AFTER).succeeded().files()
    assert files == {"spring.csv": CHANGES["spring.csv"].replace(b"name,status", b"name,membership")}


def test_a_file_for_each_kind_of_change(folder: Path) -> None:
    backfill = lines(*(b"%c@x.org,Jane" % letter for letter in b"abcde"), header=b"email,name")
    empty = lines(header=b"email,name")
    first = run(folder, 1, "export.layout=separate").succeeded()
    assert first.files() == {"spring_added.csv": backfill, "spring_changed.csv": empty, "spring_removed.csv": empty}
    second = run(folder, 2, "export.layout=separate", rows=AFTER).succeeded()
    assert second.files() == {
        "spring_added.csv": lines(ADDED, header=b"email,name"),
        "spring_changed.csv": lines(CHANGED, header=b"email,name"),
        "spring_removed.csv": lines(*REMOVED, header=b"email,name"),
    }
    listed = json.loads(second.delivered()["manifest-local-run-2.json"])["exportResults"]
    assert [(entry["name"], entry["change"], entry["rows"], entry["mode"]) for entry in listed] == [
        ("spring_added.csv", "added", 1, "incremental"),
        ("spring_changed.csv", "changed", 1, "incremental"),
        ("spring_removed.csv", "removed", 3, "incremental"),
    ]


def test_the_kind_of_change_in_a_name_of_ones_own_and_parts_of_it(folder: Path) -> None:
    asked = ["export.layout=separate", "file.name='{change}-{segment_name}'", "file.max_rows=2", "file.on_empty=skip"]
    assert sorted(run(folder, 1, *asked).succeeded().files()) == ["added-spring.csv", "added-spring_2.csv", "added-spring_3.csv"]
    files = run(folder, 2, *asked, rows=AFTER).succeeded().files()
    assert sorted(files) == ["added-spring.csv", "changed-spring.csv", "removed-spring.csv", "removed-spring_2.csv"]
    assert files["removed-spring_2.csv"] == lines(REMOVED[2], header=b"email,name")


def test_without_a_change_nothing_is_sent_where_empty_files_are_skipped(folder: Path) -> None:
    run(folder, 1, "file.on_empty=skip").succeeded()
    second = run(folder, 2, "file.on_empty=skip").succeeded()
    assert (second.files(), second.record("run-2")["status"]) == ({}, "empty")
    assert run(folder, 3, "file.on_empty=skip", rows=AFTER).succeeded().files() == CHANGES


def test_an_audience_without_changes_is_not_empty_but_one_without_members_is(folder: Path) -> None:
    run(folder, 1, "file.on_empty=fail").succeeded()
    second = run(folder, 2, "file.on_empty=fail").succeeded()
    assert (second.delivered(), second.record("run-2")["status"]) == ({"manifest-local-run-1.json": ANY}, "empty")
    assert "nothing was published (file.on_empty=fail)" in second.stdout
    assert run(folder, 3, "file.on_empty=fail", rows=[]).code == 3
    assert run(folder, 4, "file.on_empty=fail", rows=AFTER).succeeded().files() == CHANGES


@pytest.mark.parametrize("name", ["{segment_name}", "{segment_name}_{date}", "{segment_name}_{datetime:yyyyMMdd}"])
def test_a_file_of_one_name_that_replaces_changes_is_refused(folder: Path, name: str) -> None:
    job = run(folder, 1, f"file.name='{name}'", "destination.on_conflict=replace")
    job.refused(2, "loses the changes that the platform has not imported yet", "destination.on_conflict=fail")


def test_changes_that_the_platform_has_not_taken_stay_and_come_with_the_next_ones(folder: Path) -> None:
    run(folder, 1).succeeded()
    waiting = activate(folder, *CRM, run_id="run-2")
    assert waiting.code == 5
    assert waiting.files() == BACKFILL
    assert run(folder, 3, rows=AFTER).succeeded().files() == CHANGES


@pytest.mark.parametrize("left", [0, 1])
def test_that_nobody_is_added_or_changed_is_no_fault_of_a_check(folder: Path, left: int) -> None:
    first = run(folder, 1, "checks=email").succeeded()
    assert first.record("run-1")["checks"][0]["name"] == "has_rows"
    second = run(folder, 2, "checks=email", "checks.expectations.has_rows.severity=critical", rows=BEFORE[left:]).succeeded()
    judged = second.record("run-2")["checks"]
    assert [check["name"] for check in judged] == [check["name"] for check in first.record("run-1")["checks"][1:]]
    assert [check["name"] for check in judged if not check["success"]] == []
    third = run(folder, 3, "checks=email", rows=AFTER).succeeded()
    assert third.record("run-3")["checks"][0]["name"] == "has_rows"


def test_who_enters_and_leaves_between_two_runs_is_not_sent(folder: Path) -> None:
    run(folder, 1).succeeded()
    assert run(folder, 2, rows=[*BEFORE, member("g@x.org", status="exited")]).succeeded().files() == single()


def test_a_leaver_goes_even_without_a_mandatory_attribute_and_past_the_checks(folder: Path) -> None:
    asked = ["+mapping.columns.name.mandatory=true", "checks=email"]
    run(folder, 1, *asked).succeeded()
    rows = [member("a@x.org", None), *BEFORE[1:]]
    assert run(folder, 2, *asked, rows=rows).succeeded().files() == single(b"a@x.org,,exited")


def test_a_row_that_is_rejected_now_leaves_with_the_values_that_were_sent(folder: Path) -> None:
    rule = "++rules.rows={letters: {column: name, regex: '^[A-Za-z]*$'}}"
    run(folder, 1, rule).succeeded()
    second = run(folder, 2, rule, rows=[member("a@x.org", "12345"), *BEFORE[1:]]).succeeded()
    assert second.files() == single(b"a@x.org,Jane,exited")
    (listed,) = (folder / "state" / "runs" / "run-2" / "rejects").iterdir()
    assert listed.read_text() == "email,rule,column,value\na@x.org,letters,name,99999\n"
    assert str(listed.parent) in second.stdout


def test_a_row_that_a_rule_would_reject_leaves_the_audience_with_the_values_that_were_sent(folder: Path) -> None:
    rule = "++rules.rows={letters: {column: name, regex: '^[A-Za-z]*$'}}"
    run(folder, 1, rule).succeeded()
    second = run(folder, 2, rule, rows=[member("a@x.org", "12345", "exited"), *BEFORE[1:]]).succeeded()
    assert second.files() == single(b"a@x.org,Jane,exited")
    assert second.record("run-2")["audiences"][0]["counts"]["members"] == len(BEFORE) - 1


def test_an_expired_membership_and_a_suppressed_address_leave(folder: Path) -> None:
    rows = [member("a@x.org", until="2026-11-02T00:00:00Z"), *BEFORE[1:]]
    assert run(folder, 1, rows=rows).succeeded().files() == BACKFILL
    (folder / "stop.csv").write_text("address\nb@x.org\n")
    job = run(folder, 2, "as_of=2026-11-03T00:00:00Z", "++suppression.lists={stop: {path: stop.csv, column: address}}").succeeded()
    assert job.files() == single(b"a@x.org,Jane,exited", b"b@x.org,Jane,exited")


def test_other_values_alone_are_no_change_where_only_the_membership_triggers(folder: Path) -> None:
    membership = "export.triggers=[membership]"
    run(folder, 1, membership).succeeded()
    rows = [member("a@x.org", "Ann"), *BEFORE[1:]]
    assert run(folder, 2, membership, rows=rows).succeeded().files() == single()
    assert run(folder, 3, membership, rows=rows[1:]).succeeded().files() == single(b"a@x.org,Jane,exited")  # as it was sent
    assert run(folder, 4, membership, rows=rows).succeeded().files() == single(b"a@x.org,Ann,realized")


def test_a_leaver_has_the_key_and_the_values_that_were_sent_whatever_runs_came_between(folder: Path) -> None:
    """A difference that is no change is not sent, so the platform knows neither the newer spelling nor the newer name."""
    asked = ["export.triggers=[membership]", "dedup.normalize=true", "+mapping.columns.since.source=membership.lastQualificationTime"]
    since = b"2026-01-01T00:00:00Z"
    others = BEFORE[1:3]
    first = run(folder, 1, *asked, rows=[member("A@x.org", "Ann"), *others]).succeeded()
    assert b"A@x.org,Ann," + since + b",realized" in first.files()["spring.csv"].splitlines()
    nothing = lines(header=b"email,name,since,status")
    for number, (email, name) in enumerate([("a@x.org", "Anna"), (" A@X.org", "Anne"), ("a@X.org", "Anja")], start=2):
        assert run(folder, number, *asked, rows=[member(email, name), *others]).succeeded().files() == {"spring.csv": nothing}
    gone = run(folder, 5, *asked, rows=others).succeeded().files()
    assert gone == {"spring.csv": nothing + b"A@x.org,Ann," + since + b",exited\n"}
    assert run(folder, 6, *asked, rows=[member("a@x.org", "Ina"), *others]).succeeded().files()["spring.csv"].count(b"a@x.org,Ina") == 1
    left = run(folder, 7, *asked, rows=[member("a@X.org", "Ida", "exited"), *others]).succeeded().files()
    assert left == {"spring.csv": nothing + b"a@x.org,Ida," + since + b",exited\n"}  # the newest values, under the key that was sent


def test_other_triggers_ask_for_a_reset_since_what_they_missed_is_not_known(folder: Path) -> None:
    run(folder, 1, "export.triggers=[membership]").succeeded()
    asked = run(folder, 2, rows=[member("a@x.org", "Ann"), *BEFORE[1:]])
    assert (asked.code, "export.reset=true" in asked.stderr) == (2, True)


def test_an_identity_that_comes_or_goes_is_a_change_where_it_triggers(folder: Path) -> None:
    identity = "export.triggers=[membership, identity]"
    run(folder, 1, identity).succeeded()
    rows = [member("a@x.org", "Ann", identities={"ECID": ["1"]}), member("b@x.org", "Bea"), *BEFORE[2:]]
    assert run(folder, 2, identity, rows=rows).succeeded().files() == single(b"a@x.org,Ann,realized")
    assert run(folder, 3, identity, rows=rows).succeeded().files() == single()


def test_a_segment_may_get_another_name_and_with_another_id_or_activation_all_begins_anew(folder: Path) -> None:
    """Those whom the former one has sent get no `exited`, as docs/incremental.md says."""
    moved = [member("a@x.org"), profile(email="z@x.org", segments={"ups": {"seg-z": ("realized", "2026-01-01T00:00:00Z", None)}})]
    run(folder, 1).succeeded()
    named = run(folder, 2, "audience.segments=[{id: seg-a, name: autumn}]").succeeded()
    assert named.files() == {"autumn.csv": lines()}
    other = run(folder, 3, "audience.segments=[{id: seg-z, name: spring}]", rows=moved).succeeded()
    assert other.files() == single(b"z@x.org,Jane,realized")
    (folder / "own" / "activation" / "crm.yaml").rename(folder / "own" / "activation" / "sales.yaml")
    assert run(folder, 4, "activation=sales").succeeded().files() == single(b"a@x.org,Jane,realized")


def test_the_example_of_the_documentation_gives_what_it_shows(tmp_path: Path) -> None:
    text = (JOBS.parent / "docs" / "incremental.md").read_text()
    example = text.partition("## Try it")[2].partition("\n## ")[0]
    (activation,) = re.findall(r"```yaml\n(.*?)```", example, re.DOTALL)
    (tmp_path / "own" / "activation").mkdir(parents=True)
    (tmp_path / "own" / "activation" / "daily.yaml").write_text(activation)
    commands = re.findall(r"^\$ \.venv/bin/python jobs/(\w+\.py) (.*)$", example, re.MULTILINE)
    made, first, second = (start_job(job, tmp_path, *arguments.split()).succeeded() for job, arguments in commands)
    assert "2,000 profiles" in made.stdout
    assert "sends all 519 rows" in example
    assert first.record("day-1")["audiences"][0]["counts"]["exported"] == 519
    report, lines_of_file = re.findall(r"```text\n(.*?)```", example, re.DOTALL)
    assert report in second.stdout
    shown = "".join(line.removeprefix("    ") for line in lines_of_file.splitlines(keepends=True))
    assert second.files()["daily_spring_sale_20250602_000000.csv"].decode().startswith(shown)
    third = start_job("activate.py", tmp_path, *commands[-1][1].replace("day-2", "day-3").replace("06-02", "06-03").split()).succeeded()
    assert third.files()["daily_spring_sale_20250603_000000.csv"].count(b"\n") == 1


def test_a_reset_begins_anew_with_all_of_it(folder: Path) -> None:
    run(folder, 1).succeeded()
    reset = run(folder, 2, "export.reset=true", rows=AFTER).succeeded()
    assert reset.files() == single(b"a@x.org,Jane,realized", b"b@x.org,Bea,realized", b"f@x.org,Jane,realized")
    assert counts(reset, "run-2") == {"members": 4, "exported": 3, "unchanged": 0, "added": 3, "changed": 0, "exited": 0}
    assert run(folder, 3, rows=AFTER[1:]).succeeded().files() == single(b"a@x.org,Jane,exited")


def test_a_full_run_moves_the_baseline_too(folder: Path) -> None:
    full = run(folder, 1, "export=full").succeeded()
    assert full.files() == {"spring.csv": lines(*(b"%c@x.org,Jane" % letter for letter in b"abcde"), header=b"email,name")}
    assert run(folder, 2, rows=AFTER).succeeded().files() == CHANGES
    run(folder, 3, "export=full", rows=BEFORE).succeeded()
    assert run(folder, 4, rows=AFTER).succeeded().files() == CHANGES


def test_an_audience_that_is_added_begins_with_all_of_it_and_the_other_goes_on(folder: Path) -> None:
    def of_both(email: str) -> dict[str, Any]:
        return profile(email=email, segments={"ups": dict.fromkeys(("seg-a", "seg-b"), ("realized", "2026-01-01T00:00:00Z", None))})

    both = "audience.segments=[{id: seg-a, name: spring}, {id: seg-b, name: autumn}]"
    run(folder, 1).succeeded()
    second = run(folder, 2, both, rows=[of_both("a@x.org"), *BEFORE[1:4], of_both("f@x.org")]).succeeded()
    assert second.files() == {
        "spring.csv": lines(b"e@x.org,Jane,exited", b"f@x.org,Jane,realized"),
        "autumn.csv": lines(b"a@x.org,Jane,realized", b"f@x.org,Jane,realized"),
    }
    assert [audience["baseline"] for audience in second.record("run-2")["audiences"]] == ["run-1", None]
    third = run(folder, 3, both, rows=[member("a@x.org"), *BEFORE[1:3], of_both("f@x.org")]).succeeded()
    assert third.files() == {"spring.csv": lines(b"d@x.org,Jane,exited"), "autumn.csv": lines(b"a@x.org,Jane,exited")}
    assert [audience["baseline"] for audience in third.record("run-3")["audiences"]] == ["run-2", "run-2"]


def test_failed_and_held_runs_change_nothing(folder: Path) -> None:
    run(folder, 1).succeeded()
    held = run(folder, 2, "guard.max_rows=1", rows=AFTER)
    assert (held.code, held.files()) == (3, {})
    assert "it has 3 rows (guard.max_rows=1)" in held.stderr
    (folder / "out").rename(folder / "aside")
    (folder / "out").write_text("in the way")
    failed = activate(folder, *CRM, run_id="run-3")
    assert failed.code == 5
    (folder / "out").unlink()
    assert run(folder, 4).succeeded().files() == CHANGES
    assert run(folder, 3).succeeded().files() == single()  # what the failed start had computed is not right any more


@pytest.mark.parametrize(
    "change", ["mapping.columns.name.source=person.name.lastName", "mapping.deduplication_key=[email, name]", "dedup.normalize=true"]
)
def test_another_mapping_or_key_asks_for_a_reset(folder: Path, change: str) -> None:
    run(folder, 1).succeeded()
    refused = run(folder, 2, change)
    assert (refused.code, refused.files()) == (2, {})
    assert "The mapping, the key or the triggers are others" in refused.stderr
    assert "export.reset=true" in refused.stderr
    reset = run(folder, 2, change, "export.reset=true").succeeded()
    assert counts(reset, "run-2")["added"] == 5


REVERSED = "{columns: {name: {source: person.name.firstName}, email: {source: personalEmail.address, mandatory: true}}, deduplication_key: [email]}"


@pytest.mark.parametrize("known", ["by the shape", "by the names of the columns"])
def test_columns_in_another_order_ask_for_a_reset(folder: Path, known: str) -> None:
    """Else the names would be compared with addresses, and everybody leave."""
    run(folder, 1).succeeded()
    (folder / "own" / "mapping" / "small.yaml").write_text(REVERSED)
    if known == "by the names of the columns":  # whatever becomes of the other comparison
        remembered = folder / "state" / "activations" / "crm" / "published.json"
        content = json.loads(remembered.read_text())
        config = compose.load(["activation=crm"], now=datetime(2026, 11, 1, tzinfo=UTC), config_dir=str(folder / "own"))
        content["audiences"]["ups/seg-a"]["shape"] = likeness.of_rows(config)
        remembered.write_text(json.dumps(content))
    refused = run(folder, 2)
    assert (refused.code, refused.files()) == (2, {})
    assert "export.reset=true" in refused.stderr
    assert run(folder, 2, "export.reset=true").succeeded().files() == {
        "spring.csv": lines(*(b"Jane,%c@x.org,realized" % letter for letter in b"abcde"), header=b"name,email,status")
    }


def test_without_the_snapshot_of_the_baseline_a_reset_is_asked_for(folder: Path) -> None:
    run(folder, 1).succeeded()
    (folder / "state" / "runs" / "run-1" / "snapshot").rename(folder / "lost")
    refused = run(folder, 2)
    assert (refused.code, refused.files()) == (2, {})
    assert "The snapshot of the last published run is gone" in refused.stderr
    assert "export.reset=true" in refused.stderr


def test_the_state_in_a_bucket(folder: Path) -> None:
    with aws_server("the-state") as server:
        state = ["state=s3", "state.path=s3://the-state/crm", f"state.endpoint_url='{server.endpoint_url}'", "state.region=us-east-1"]
        state += ["state.access_key_id_env=STATE_KEY", "state.secret_access_key_env=STATE_SECRET"]
        secrets = {"STATE_KEY": "key", "STATE_SECRET": "secret"}
        assert run(folder, 1, *state, **secrets).succeeded().files() == BACKFILL
        assert run(folder, 2, *state, rows=AFTER, **secrets).succeeded().files() == CHANGES


POINTS = "++mapping.columns.points={source: loyalty.points}"
POINTS_OF = "++mapping.columns.points={expression: 'loyalty.points'}"


def with_points(folder: Path, kind: pa.DataType, *values: int | str) -> None:
    loyalty = pa.struct({"points": kind})
    schema = pa.schema([pa.field(field.name, loyalty if field.name == "loyalty" else field.type) for field in PROFILE_SCHEMA])
    rows = [{**member(f"{value}@x.org"), "loyalty": {"points": value}} for value in values]
    write_profiles(folder / "profiles", rows, schema=schema)


@pytest.mark.parametrize("column", [POINTS, POINTS_OF])
def test_another_type_of_a_column_asks_for_a_reset(folder: Path, column: str) -> None:
    with_points(folder, pa.int64(), 1, 2, 3)
    run(folder, 1, column).succeeded()
    with_points(folder, pa.string(), "1", "5")
    refused = run(folder, 2, column)
    assert (refused.code, refused.files(), "Traceback" in refused.stderr) == (2, {}, False)
    assert "The type of the column 'points' is another one than at the last published run" in refused.stderr
    assert "Found: string. Expected: int64. What to do: export.reset=true" in refused.stderr
    reset = run(folder, 2, column, "export.reset=true").succeeded()
    assert reset.files()["spring.csv"].splitlines()[1:] == [b"1@x.org,Jane,1,realized", b"5@x.org,Jane,5,realized"]
    assert run(folder, 3, column).succeeded().files()["spring.csv"].count(b"\n") == 1


@pytest.mark.parametrize("key", ["status", "membership"])
def test_the_status_as_a_part_of_the_key_is_refused(folder: Path, key: str) -> None:
    """Leavers would have another key than the row that was sent."""
    source = {"status": "membership.status", "membership": "segmentMembership.ups.seg_id.status"}[key]
    asked = [f"+mapping.columns.{key}.source={source}", f"mapping.deduplication_key=[email, {key}]"]
    run(folder, 1, *asked).refused(2, "The status cannot be a part of the key", key)
    run(folder, 1, *asked, "export=full").succeeded()


@pytest.mark.parametrize("how", ["hash: sha256", "default: none", "format: yyyy"])
def test_a_status_that_is_shown_as_something_else_is_refused(folder: Path, how: str) -> None:
    """That of leavers is written as it is."""
    asked = f"++mapping.columns.membership={{source: membership.status, {how}}}"
    run(folder, 1, asked).refused(2, "The status", how.partition(":")[0], "membership")
    run(folder, 1, asked, "export.layout=separate").refused(2, "The status", "membership")


def test_an_expression_over_the_status_is_refused(folder: Path) -> None:
    """It could not be computed for those whom the source has no more."""
    sign = "++mapping.columns.sign={expression: 'upper(membership.status)'}"
    refused = run(folder, 1, sign)
    assert refused.code == 2
    assert "An expression over the status cannot be computed for leavers" in refused.stderr
    assert run(folder, 1, sign, "export=full").code == 0
