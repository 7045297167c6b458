"""What a preflight shows and refuses, as its run would; and that nothing is left of it, whatever fails."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from activation import JOBS, Job, activate, command, run_job
from aws_server import AwsServer, aws_server
from faulty_proxy import Answer, FaultyProxy, LoseAnswer, faulty_proxy
from recording_server import RecordingServer, recorded_target
from targets import Target
from xdm_profiles import profile, write_profiles

BOTH = "audience.segments=[{id: seg-a, name: spring}, {id: seg-b, name: autumn}]"
SPRING, AUTUMN = "demo_spring_20261101_000000.csv", "demo_autumn_20261101_000000.csv"
MANY = "guard.max_rows=2"
DENIED = Answer(403, "AccessDenied")
KEYS = {"STATE_KEY": "key", "STATE_SECRET": "secret"}


def member(email: str, segment: str) -> dict[str, Any]:
    return profile(email=email, segments={"ups": {segment: ("realized", "2026-01-01T00:00:00Z", None)}})


def rows(a: str, b: str) -> list[dict[str, Any]]:
    """A profile for each letter: members of seg-a, and of seg-b."""
    return [member(f"{letter}@x.org", segment) for segment, letters in (("seg-a", a), ("seg-b", b)) for letter in letters]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two members of the one audience, three of the other."""
    write_profiles(tmp_path / "profiles", rows("ab", "cde"))
    return tmp_path


def preflight(folder: Path, *overrides: str, run_id: str = "run-1", **environment: str) -> Job:
    return run_job("preflight.py", folder, BOTH, *overrides, run_id=run_id, **environment)


def stored(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that the state store holds, and when each file was last written."""
    files = (path for path in (folder / "state").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def bucket_state(url: str) -> list[str]:
    login = ["state.access_key_id_env=STATE_KEY", "state.secret_access_key_env=STATE_SECRET", "state.region=us-east-1"]
    return ["state=s3", "state.path=s3://the-state/crm", f"state.endpoint_url='{url}'", *login]


@pytest.fixture
def aws() -> Iterator[AwsServer]:
    with aws_server("the-state") as server:
        yield server


def objects(server: AwsServer) -> dict[str, str]:
    """Key → ETag of all that the bucket holds."""
    return {each["Key"]: each["ETag"] for each in server.client.list_objects_v2(Bucket="the-state").get("Contents", [])}


# A run that is released


def test_a_release_is_shown_as_it_would_be_published(folder: Path) -> None:
    assert activate(folder, BOTH, MANY).code == 3
    (folder / "out" / SPRING).unlink()  # the platform has taken it
    write_profiles(folder / "profiles", rows("xyz", "wxyz"))
    before = stored(folder)
    job = run_job("preflight.py", folder, BOTH, "release=run-1", "as_of=null", run_id="run-2").succeeded()
    assert f"  {AUTUMN}: 3 rows" in job.stdout
    assert "    x@x.xxx,,xxxx,xxx,,,,\n" in job.stdout
    assert "audience autumn" in job.stdout
    assert "    exported                               3\n" in job.stdout
    assert "audience spring: published before" in job.stdout
    assert SPRING not in job.stdout
    assert "manifest-local-run-2.json" in job.stdout
    assert stored(folder) == before
    assert sorted(job.delivered()) == ["manifest-local-run-1.json"]


def test_a_release_of_changes_shows_the_changes(folder: Path) -> None:
    asked = ["export=incremental", "file.name='{segment_name}-{as_of}'"]
    activate(folder, BOTH, *asked).succeeded()
    write_profiles(folder / "profiles", rows("ab", "defg"))
    later = "2026-11-02T00:00:00Z"
    assert activate(folder, BOTH, *asked, "guard.max_rows=3", run_id="run-2", as_of=later).code == 3
    before = stored(folder)
    job = run_job("preflight.py", folder, BOTH, *asked, "release=run-2", run_id="run-3", as_of=later).succeeded()
    assert "  autumn-20261102T000000Z.csv: 3 rows" in job.stdout
    assert stored(folder) == before


def test_a_release_out_of_a_bucket_is_shown_and_stays_as_it_is(folder: Path, aws: AwsServer) -> None:
    state = bucket_state(aws.endpoint_url)
    assert activate(folder, BOTH, MANY, *state, **KEYS).code == 3
    before = objects(aws)
    job = preflight(folder, "release=run-1", *state, run_id="run-2", **KEYS).succeeded()
    assert f"  {AUTUMN}: 3 rows" in job.stdout
    assert objects(aws) == before


ONE_EACH = "file.name='{run_id}-{segment_id}'"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A held run (run-0) that run-2 has released, and another held one."""
    folder = tmp_path_factory.mktemp("past")
    write_profiles(folder / "profiles", rows("ab", "cde"))
    assert activate(folder, BOTH, "guard.max_rows=1", ONE_EACH, run_id="run-0").code == 3
    activate(folder, BOTH, "release=run-0", ONE_EACH, run_id="run-2").succeeded()
    assert activate(folder, BOTH, "guard.max_rows=1", ONE_EACH).code == 3
    return folder


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["release=run-9"], "There is no run of this activation to release"),
        (["release=run-1", "file.delimiter=';'"], "A held run is released with the configuration that it had"),
        (["release=run-1", "as_of=2026-12-01T00:00:00Z"], "A held run is released as of its own time"),
        (["release=run-2"], "This run holds nothing back"),
        (["release=run-0"], "This run has been released already"),
        (["run_id=run-0"], "This run was held, and has been released since"),
    ],
)
def test_a_release_that_the_run_refuses_is_refused_alike(past: Path, overrides: list[str], words: str) -> None:
    tried = preflight(past, ONE_EACH, *overrides, run_id="run-3")
    job = activate(past, BOTH, ONE_EACH, *overrides, run_id="run-3")
    assert (tried.code, job.code) == (2, 2), tried.stdout
    assert words in tried.stderr
    assert tried.said() == job.said()
    assert "Ready" not in tried.stdout


def test_a_run_that_has_published_is_told_with_the_exit_code_of_its_next_start(folder: Path) -> None:
    activate(folder, BOTH).succeeded()
    job = preflight(folder).succeeded()
    assert "run run-1 has published its files already" in job.stdout
    assert "Ready" not in job.stdout
    assert activate(folder, BOTH, MANY, ONE_EACH, run_id="run-2").code == 3
    held = preflight(folder, MANY, ONE_EACH, run_id="run-2")
    assert held.code == activate(folder, BOTH, MANY, ONE_EACH, run_id="run-2").code == 3
    assert "the other audiences were delivered" in held.stderr


def test_a_run_that_was_publishing_when_it_ended_is_told(folder: Path) -> None:
    activate(folder, BOTH).succeeded()
    record = folder / "state" / "runs" / "run-1" / "record.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "failed"}))  # as a kill before the last write leaves it
    job = preflight(folder).succeeded()
    assert "an earlier start of run run-1 was publishing when it ended" in job.stdout
    assert "Ready" not in job.stdout
    activate(folder, BOTH).succeeded()


# Audiences that are held


def test_an_audience_that_would_be_held_is_named_with_the_reason_and_the_exit_code_of_the_run(folder: Path) -> None:
    job = preflight(folder, MANY)
    assert job.code == activate(folder, BOTH, MANY).code == 3
    assert "    exported                               2\n" in job.stdout
    assert "    exported                               3\n    held: it has 3 rows (guard.max_rows=2)\n" in job.stdout
    assert f"  {SPRING}: 2 rows" in job.stdout
    assert AUTUMN not in job.stdout
    assert "a probe file could be written" in job.stdout
    assert "Ready" not in job.stdout
    (paragraph,) = job.said()
    assert "1 of 2 audiences would be held back" in paragraph
    assert "segment seg-b (autumn): it has 3 rows (guard.max_rows=2)" in paragraph
    assert "delivered" not in paragraph  # as the run would say it
    assert "release=run-1" not in paragraph  # there is nothing that could be released


def test_where_all_is_held_each_audience_is_told(folder: Path) -> None:
    job = preflight(folder, MANY, "audience.all_or_nothing=true")
    assert job.code == 3
    assert "    exported                               2\n    held: another audience is held (audience.all_or_nothing)\n" in job.stdout
    assert "held: it has 3 rows (guard.max_rows=2)\n" in job.stdout
    assert "release=run-1" not in job.stderr
    assert ".csv" not in job.stdout


def test_a_held_audience_beside_one_that_has_nothing_to_send(folder: Path) -> None:
    write_profiles(folder / "profiles", rows("", "cde"))
    job = preflight(folder, MANY, "file.on_empty=skip")
    assert job.code == activate(folder, BOTH, MANY, "file.on_empty=skip").code == 3
    assert "held: it has 3 rows" in job.stdout
    assert "manifest" not in job.stdout


def test_nothing_to_send_is_said_and_no_manifest_is_promised(folder: Path) -> None:
    job = run_job("preflight.py", folder, "audience.segments=[no-such]", "file.on_empty=skip").succeeded()
    assert "nothing would be sent" in job.stdout
    assert "manifest" not in job.stdout


# What is known is told, whatever fails after it


def test_a_destination_that_refuses_hides_nothing_that_is_known(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / AUTUMN).write_bytes(b"older")
    job = preflight(folder)
    assert job.code == 5
    assert f"A file '{AUTUMN}' exists already" in job.stderr
    for known in ("columns: email", "audience spring (", f"  {SPRING}: 2 rows", "    x@x.xxx,,xxxx,xxx,,,,\n", "manifest-local"):
        assert known in job.stdout
    assert "Ready" not in job.stdout


def test_lines_are_printed_as_they_come(folder: Path, recorder: RecordingServer) -> None:
    recorder.stall = {"rename"}
    arguments = command(BOTH, "checks=none", *recorded_target(recorder, operation_timeout_seconds=5, attempts=1).overrides())
    process = subprocess.Popen([sys.executable, str(JOBS / "preflight.py"), *arguments], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any(line.startswith(f"  {AUTUMN}: 3 rows") for line in process.stdout)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


# The state store


@contextlib.contextmanager
def behind_a_proxy(aws: AwsServer) -> Iterator[tuple[FaultyProxy, list[str]]]:
    with faulty_proxy(aws.endpoint_url) as proxy:
        yield proxy, bucket_state(proxy.url)


@pytest.mark.parametrize(("method", "operation"), [("PUT", "PutObject"), ("DELETE", "DeleteObject")])
def test_a_state_store_that_takes_nothing_or_gives_nothing_back_is_refused(
    folder: Path, aws: AwsServer, method: str, operation: str
) -> None:
    with behind_a_proxy(aws) as (proxy, state):
        proxy.add(method, "/the-state/", DENIED, times=100)
        job = preflight(folder, *state, **KEYS)
    assert job.code == 2, job.stdout
    (paragraph,) = job.said()
    assert "The state store cannot be used" in paragraph
    assert f"AccessDenied from {operation}" in paragraph
    left = sorted(objects(aws))
    assert left == ([] if method == "PUT" else ["crm/preflight-run-1/probe"])
    assert ("remove what was left there: s3://the-state/crm/preflight-run-1" in paragraph) == (method == "DELETE")


def test_nothing_stays_in_the_state_store(folder: Path, aws: AwsServer) -> None:
    with behind_a_proxy(aws) as (proxy, state):
        preflight(folder, *state, **KEYS).succeeded()
        assert proxy.count("PUT", "/the-state/") > 0
    assert objects(aws) == {}
    preflight(folder).succeeded()
    assert stored(folder).keys() <= {"state/.guard"}
    assert [path.name for path in (folder / "state").iterdir() if path.is_dir()] == []


# The destination


def left(recorder: RecordingServer) -> list[str]:
    return sorted(path.name for path in recorder.folder.iterdir())


HIDDEN, SEEN = ".courier-run-1-.courier-probe-run-1.part", ".courier-probe-run-1"


@pytest.mark.parametrize("operations", [["rename", "posix_rename"], ["write"]], ids=["rename", "write"])
def test_what_a_server_refuses_leaves_nothing_there(folder: Path, recorder: RecordingServer, operations: list[str]) -> None:
    recorder.refuse = dict.fromkeys(operations, asyncssh.SFTPPermissionDenied)
    job = preflight(folder, *recorded_target(recorder).overrides())
    assert (job.code, "permission denied" in job.stderr) == (5, True)
    assert "left there" not in job.stderr
    assert left(recorder) == []


@pytest.mark.parametrize(("others", "name"), [([], SEEN), (["rename", "posix_rename"], HIDDEN)], ids=["seen", "hidden"])
def test_what_cannot_be_removed_is_named_and_does_not_become_more(
    folder: Path, recorder: RecordingServer, others: list[str], name: str
) -> None:
    destination = recorded_target(recorder).overrides()
    recorder.refuse = dict.fromkeys(["remove", *others], asyncssh.SFTPPermissionDenied)
    for _ in range(2):
        job = preflight(folder, *destination)
        assert (job.code, "permission denied" in job.stderr) == (5, True)
        assert f"left there: sftp://127.0.0.1:{recorder.port}/{name}" in job.stderr
        assert left(recorder) == [name]
    recorder.refuse = {}
    preflight(folder, *destination).succeeded()
    assert left(recorder) == []


@pytest.mark.parametrize("conflict", ["fail", "replace"])
def test_a_probe_whose_renaming_was_not_answered_is_not_taken_for_another_file(
    folder: Path, recorder: RecordingServer, conflict: str
) -> None:
    recorder.lose_answer = {"rename" if conflict == "fail" else "posix_rename"}
    job = preflight(folder, *recorded_target(recorder, on_conflict=conflict).overrides()).succeeded(quiet=False)
    assert recorder.lose_answer == set()
    assert "a probe file could be written, renamed and removed" in job.stdout
    assert left(recorder) == []


def test_a_file_under_its_final_name_at_once_is_tried_out_too(folder: Path, recorder: RecordingServer) -> None:
    job = preflight(folder, *recorded_target(recorder, publish="direct").overrides()).succeeded()
    assert "a probe file could be written and removed" in job.stdout
    assert left(recorder) == []
    assert not recorder.renames


def test_a_folder_that_cannot_be_listed_is_a_warning(folder: Path, recorder: RecordingServer) -> None:
    """Nothing but a run that follows a killed one lists it."""
    recorder.refuse = {"list": asyncssh.SFTPPermissionDenied}
    job = preflight(folder, *recorded_target(recorder).overrides()).succeeded()
    assert "warning: what a killed run leaves cannot be found" in job.stdout
    assert "Ready" in job.stdout


@pytest.fixture
def bucket(make_target: Callable[[str], Target]) -> Iterator[tuple[Target, FaultyProxy]]:
    target = make_target("s3")
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:  # type: ignore[attr-defined]
        yield target.with_config(endpoint_url=proxy.url), proxy


@pytest.mark.parametrize(
    ("step", "operation"),
    [(("PUT", "partNumber=1"), "UploadPart"), (("GET", "uploadId="), "ListParts")],
    ids=["part", "parts"],
)
def test_an_upload_that_is_refused_half_way_is_aborted(
    folder: Path, bucket: tuple[Target, FaultyProxy], step: tuple[str, str], operation: str
) -> None:
    target, proxy = bucket
    proxy.add(*step, DENIED, times=100)
    job = preflight(folder, *target.overrides())
    assert (job.code, f"S3 refused {operation}" in job.stderr) == (5, True)
    assert proxy.count("DELETE", "uploadId=") == 1
    assert target.leftovers() == []


def test_an_upload_whose_begin_was_not_answered_is_found_and_aborted(folder: Path, bucket: tuple[Target, FaultyProxy]) -> None:
    target, proxy = bucket
    proxy.add("POST", "?uploads", LoseAnswer())
    preflight(folder, *target.overrides()).succeeded(quiet=False)
    assert proxy.unused() == 0
    assert target.leftovers() == []


def test_an_upload_that_cannot_be_aborted_is_named(folder: Path, bucket: tuple[Target, FaultyProxy]) -> None:
    target, proxy = bucket
    proxy.add("DELETE", "uploadId=", DENIED, times=100)
    job = preflight(folder, *target.overrides())
    assert (job.code, "S3 refused AbortMultipartUpload" in job.stderr) == (5, True)
    assert f"left there: an unfinished upload of s3://audiences/{target.config.folder}/.courier-probe-run-1" in job.stderr


def test_uploads_that_cannot_be_listed_are_a_warning_but_where_executors_deliver(folder: Path, bucket: tuple[Target, FaultyProxy]) -> None:
    target, proxy = bucket
    proxy.add("GET", "?uploads", DENIED, times=100)
    job = preflight(folder, *target.overrides()).succeeded()
    assert "warning: what a killed run leaves cannot be found" in job.stdout
    assert "s3:ListBucketMultipartUploads" in job.stdout
    job = preflight(folder, "engine=spark", "engine.delivery=executors", *target.overrides())
    assert (job.code, "s3:ListBucketMultipartUploads" in job.stderr) == (5, True)
    assert target.leftovers() == []


# The rights on S3 that the reference names


RIGHTS = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text().partition('<a id="s3-rights"></a>')[2]


def documented_rights() -> list[dict[str, object]]:
    """The table as a policy for buckets of these names. moto knows a call by its name, where IAM asks for `s3:ListBucket`."""
    statements: list[dict[str, object]] = []
    for name, *cells in re.findall(r"^\| the (source|state|destination) \| (.*?) \| (.*?) \|$", RIGHTS, flags=re.MULTILINE):
        for cell, resource in zip(cells, (name, f"{name}/*"), strict=True):
            actions = [*re.findall(r"s3:\w+", cell), *(["s3:HeadBucket"] if resource == name else [])]
            statements.append({"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{resource}"})
    assert len(statements) == 6
    return statements


def test_the_rights_on_s3_that_the_reference_names_suffice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As moto judges them, in this process."""
    import boto3
    from moto import settings

    with aws_server("source") as server:
        for bucket in ("state", "destination"):
            server.client.create_bucket(Bucket=bucket)
        for file in (folder / "profiles").iterdir():
            server.client.upload_file(str(file), "source", f"profiles/{file.name}")
        login: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        iam = boto3.client("iam", endpoint_url=server.endpoint_url, **login)
        iam.create_user(UserName="courier")
        policy = {"Version": "2012-10-17", "Statement": documented_rights()}
        iam.put_user_policy(UserName="courier", PolicyName="documented", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="courier")["AccessKey"]
        keys = {"STATE_KEY": key["AccessKeyId"], "STATE_SECRET": key["SecretAccessKey"]}
        places = [
            "source.path=s3://source/profiles",
            "state=s3",
            "state.path=s3://state/crm",
            "destination=s3",
            "destination.bucket=destination",
        ]
        for group in ("source", "state", "destination"):
            places += [f"{group}.access_key_id_env=STATE_KEY", f"{group}.secret_access_key_env=STATE_SECRET"]
            places += [f"{group}.endpoint_url='{server.endpoint_url}'", f"{group}.region=us-east-1"]
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        tried = preflight(folder, *places, **keys).succeeded()
        assert "warning: what a killed run leaves" not in tried.stdout
        activate(folder, BOTH, *places, **keys).succeeded()
        fewer = {**policy, "Statement": documented_rights()[:-1]}  # so that moto is seen to judge
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        iam.put_user_policy(UserName="courier", PolicyName="documented", PolicyDocument=json.dumps(fewer))
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        assert preflight(folder, *places, run_id="run-2", **keys).code == 5
