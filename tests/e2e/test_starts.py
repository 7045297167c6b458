"""Runs that are killed and started again, runs at the same time, and what a job does to a file on its way: as a user sees it."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from activation import LOG_LINE, Job, activate, command, run_job
from aws_server import aws_server
from xdm_profiles import profile, write_profiles

SEGMENTS = "audience.segments=[{id: seg-a, name: spring}]"
CONTENT = b"email,phone,first_name,last_name,city,state,postal_code,birthday\na@example.com,,Jane,Doe,,,,\nb@example.com,,Jane,Doe,,,,\n"
NAME = "demo_spring_20261101_000000.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    member = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(tmp_path / "profiles", [profile(email=f"{name}@example.com", segments=member) for name in "ab"])
    return tmp_path


HALT = """
import os, signal, sys
from courier import cli
from courier.delivery.journal import Journal
enter = Journal.enter
def halted(journal, phase):
    if phase == "publishing":
        os.kill(os.getpid(), signal.SIGSTOP)
    enter(journal, phase)
Journal.enter = halted
sys.exit(cli.run_activation(sys.argv[1:]))
"""


@contextlib.contextmanager
def halted_before_publishing(folder: Path, *overrides: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose process stops (SIGSTOP) when all is staged, right before it writes down that it publishes."""
    arguments = command(SEGMENTS, "checks=none", *overrides)
    process = subprocess.Popen([sys.executable, "-c", HALT, *arguments], cwd=folder, env={**os.environ, **environment})
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_run_is_completed_by_its_next_start_without_computing_again(folder: Path) -> None:
    with halted_before_publishing(folder) as process:
        process.kill()
        process.wait()
    record = json.loads((folder / "state" / "runs" / "run-1" / "record.json").read_text())
    assert record["status"] == "failed"
    assert "it was killed" in record["error"]["message"]
    job = activate(folder, SEGMENTS).succeeded()
    assert job.files() == {NAME: CONTENT}
    assert job.record()["status"] == "published"
    assert "select, map, stage" not in job.record()["seconds"]
    assert "An earlier start of this run" in job.stdout


def test_a_second_run_of_the_activation_is_refused_while_the_first_lives(folder: Path) -> None:
    with halted_before_publishing(folder):
        second = activate(folder, SEGMENTS, run_id="run-2")
        assert second.code == 5
        assert "Another run of this activation is under way" in second.stderr
        assert "run run-1" in second.stderr


STOP = """
import os, signal, sys
from courier import cli
from courier.destinations.local import LocalConnection
from courier.delivery.journal import Journal
moments = sys.argv.pop(1).split(",")
def stopping(original):
    def stopped(self, what, **named):
        moment = what if isinstance(what, str) else what.name
        if moments and moment.startswith(moments[0]):
            moments.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, what, **named)
    return stopped
Journal.enter, LocalConnection.publish = stopping(Journal.enter), stopping(LocalConnection.publish)
sys.exit(cli.run_activation(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        ("manifest", "What was staged is discarded; see the run's record."),
        ("manifest,failed", "not all that it had sent could be taken back: start again with run_id=run-1, or another run"),
        ("published", "all files are published; start again with run_id=run-1: it remembers them, and sends nothing twice"),
    ],
    ids=["while it publishes", "and again while it takes back", "after the last file"],
)
def test_what_a_run_says_that_is_stopped_is_true(folder: Path, moments: str, said: str) -> None:
    arguments = command(SEGMENTS, "checks=none")
    done = subprocess.run([sys.executable, "-c", STOP, moments, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if not LOG_LINE.match(line)]
    assert (done.returncode, line.startswith("Stopped before the end"), said in line) == (130, True, True), line
    assert (NAME in {path.name for path in (folder / "out").iterdir()}) == (moments == "published")
    job = activate(folder, SEGMENTS).succeeded()
    assert job.files() == {NAME: CONTENT}
    assert [name for name in job.delivered() if name.startswith(".")] == []


def test_another_run_takes_back_what_a_killed_one_left(folder: Path) -> None:
    with halted_before_publishing(folder) as process:
        process.kill()
        process.wait()
    job = activate(folder, SEGMENTS, "file.name='{run_id}'", run_id="run-2").succeeded()
    assert job.files() == {"run-2.csv": CONTENT}
    assert [name for name in job.delivered() if name.startswith(".")] == []


def test_a_run_id_of_another_activation_is_refused(folder: Path) -> None:
    activate(folder, SEGMENTS).succeeded()
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "other.yaml").write_text("# @package _global_\naudience: {segments: [seg-a]}\n")
    other = activate(folder, "--config-dir", "own", "activation=other")
    assert other.code == 2
    assert "This run_id belongs to another activation" in other.stderr


def test_a_run_id_that_was_claimed_is_refused_before_its_first_run_has_a_record(folder: Path) -> None:
    claimed = folder / "state" / "runs" / "run-1" / "activation"
    claimed.parent.mkdir(parents=True)
    claimed.write_bytes(b"other")
    activate(folder, SEGMENTS).refused(2, "This run_id belongs to another activation", "'other'")
    assert [path.name for path in claimed.parent.iterdir()] == ["activation"]


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(folder: Path) -> None:
    activate(folder, SEGMENTS).succeeded()
    path = folder / "state" / "runs" / "run-1" / "record.json"
    record = json.loads(path.read_text())
    for part in (record["audiences"][0], record["audiences"][0]["counts"], record["audiences"][0]["files"][0]):
        part["of_the_future"] = 1
    path.write_text(json.dumps(record))
    assert "has published its files already" in activate(folder, SEGMENTS).succeeded().stdout


@pytest.mark.parametrize(
    ("file", "key", "content"),
    [
        ("activations/demo/published.json", "parts", 5),
        ("activations/demo/published.json", "parts", {NAME: {}}),
        ("activations/demo/published.json", "files", {NAME: "185"}),
        ("activations/demo/published.json", "audiences", {"ups/seg-a": {"run_id": [], "ordinal": 0, "size": 2, "shape": ""}}),
    ],
)
def test_what_is_remembered_in_another_form_is_refused_before_anything_is_sent(folder: Path, file: str, key: str, content: object) -> None:
    activate(folder, SEGMENTS).succeeded()
    path = folder / "state" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: content}))
    (folder / "out" / NAME).unlink()
    job = activate(folder, SEGMENTS, run_id="run-2")
    assert (job.code, job.files()) == (2, {})
    assert "What was published last cannot be read" in job.said()[0]
    assert str(path) in job.said()[0]


@pytest.mark.parametrize(
    ("file", "key", "content"),
    [
        ("journal.json", "phase", "sent"),
        ("journal.json", "states", []),
        ("journal.json", "planned", [5]),
        ("journal.json", "destination", 5),
        ("journal.json", "record", {}),
        ("journal.json", "audiences", {"ups/seg-a": {"run_id": "run-1"}}),
        ("files.jsonl", "number", 7),
        ("files.jsonl", "staged", {"name": NAME, "size": "2", "token": {}}),
    ],
)
def test_a_journal_in_another_form_is_refused_and_nothing_is_sent_again(folder: Path, file: str, key: str, content: object) -> None:
    with halted_before_publishing(folder):
        pass
    path = folder / "state" / "runs" / "run-1" / file
    head, _, known = path.read_text().rpartition("\n")
    path.write_text(f"{head}\n{json.dumps({**json.loads(known), key: content})}")
    job = activate(folder, SEGMENTS)
    assert (job.code, [name for name in job.files() if not name.startswith(".")]) == (2, [])
    assert "The journal of an earlier start cannot be read" in job.said()[0]
    assert str(path.with_name("journal.json")) in job.said()[0]


@pytest.mark.parametrize(("key", "content"), [("audiences", 5), ("checks", [{}]), ("columns", None), ("status", ["published"])])
def test_a_record_in_another_form_is_refused_and_nothing_is_sent_again(folder: Path, key: str, content: object) -> None:
    activate(folder, SEGMENTS).succeeded()
    path = folder / "state" / "runs" / "run-1" / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: content}))
    (folder / "out" / NAME).unlink()
    job = activate(folder, SEGMENTS)
    assert (job.code, job.files()) == (2, {})
    assert "The record of an earlier run with this run_id cannot be read" in job.said()[0]


def test_a_lock_in_another_form_is_nobodys(folder: Path) -> None:
    (folder / "state" / "locks").mkdir(parents=True)
    owner = {"token": "a", "run_id": "run-0", "machine": "elsewhere", "process": "1/1", "expires_at": None}
    (folder / "state" / "locks" / "demo.json").write_text(json.dumps(owner))
    activate(folder, SEGMENTS).succeeded()


FULL = """
import errno, os, sys
from courier import cli
from courier.destinations.local import LocalConnection
from courier.state import local
publish = LocalConnection.publish
def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
def filled(connection, staged, **named):
    if staged.name.startswith(sys.argv[1]):
        local._write = full
    return publish(connection, staged, **named)
LocalConnection.publish = filled
sys.exit(cli.run_activation(sys.argv[2:]))
"""


def test_a_disk_that_is_full_when_all_is_published_hides_not_that_it_is(folder: Path) -> None:
    arguments = command(SEGMENTS, "checks=none")
    process = subprocess.run([sys.executable, "-c", FULL, "manifest", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "The state store cannot be used" in process.stderr
    assert "No space left on device" in process.stderr
    assert "all files are published; start again with run_id=run-1" in process.stderr
    assert activate(folder, SEGMENTS).succeeded().files() == {NAME: CONTENT}


REFUSED = """
import errno, os, sys
from unittest.mock import patch
from courier import cli
with patch(sys.argv[1], side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
    sys.exit(cli.run_activation(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("writer", "below"), [("courier.runs.rejects.csv.writer", "rejects"), ("pyarrow.parquet.ParquetWriter", "changes")]
)
def test_a_disk_that_is_full_while_rows_are_written_to_it_is_told(folder: Path, writer: str, below: str) -> None:
    named = [SEGMENTS, "export=incremental", "file.name='{segment_name}_{run_id}'"]
    activate(folder, *named).succeeded()
    rule = "++rules.rows={first: {column: email, regex: '^a'}}"  # who breaks it is rejected, and leaves
    arguments = command(*named, "checks=none", rule, run_id="run-2")
    process = subprocess.run([sys.executable, "-c", REFUSED, writer, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 2, process.stderr
    assert "The state store cannot be used" in process.stderr
    assert f"run-2/{below}" in process.stderr.replace("/snapshot", "")
    assert "No space left on device. What to do: free some space there." in process.stderr


def test_a_file_is_taken_back_where_it_was_sent_to_when_the_run_goes_elsewhere_now(folder: Path) -> None:
    with halted_before_publishing(folder) as process:
        process.kill()
        process.wait()
    assert [path for path in (folder / "out").iterdir() if path.name.startswith(".courier-")] != []
    job = activate(folder, SEGMENTS, "destination.path=elsewhere").succeeded()
    assert job.delivered() == {}
    assert (folder / "elsewhere" / NAME).read_bytes() == CONTENT


def test_the_earlier_start_under_another_configuration_is_not_mixed_in(folder: Path) -> None:
    with halted_before_publishing(folder) as process:
        process.kill()
        process.wait()
    job = activate(folder, SEGMENTS, "file.delimiter=';'").succeeded()
    assert job.files() == {NAME: CONTENT.replace(b",", b";")}


def test_compressed_files(folder: Path) -> None:
    zipped = activate(folder, SEGMENTS, "file.compression=gzip").succeeded().files()
    assert {name: gzip.decompress(content) for name, content in zipped.items()} == {f"{NAME}.gz": CONTENT}
    archived = activate(folder, SEGMENTS, "file.compression=zip", run_id="run-2").succeeded().files()
    with zipfile.ZipFile(io.BytesIO(archived[NAME.replace(".csv", ".zip")])) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {NAME: CONTENT}


def test_the_trigger_and_the_report(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "trigger=count").succeeded()
    assert job.files() == {NAME: CONTENT, NAME.replace(".csv", ".count"): b"2"}
    assert f"trigger: {NAME.replace('.csv', '.count')}" in job.stdout
    assert job.record()["triggers"] == [NAME.replace(".csv", ".count")]


def test_a_shorter_run_under_static_names_removes_the_parts_of_the_longer_one(folder: Path) -> None:
    static = [SEGMENTS, "file.name='{segment_name}'", "destination.on_conflict=replace"]
    (folder / "out").mkdir()
    (folder / "out" / "spring_3.csv").write_bytes(b"somebody else's")
    assert sorted(activate(folder, *static, "file.max_rows=1").succeeded().files()) == ["spring.csv", "spring_2.csv", "spring_3.csv"]
    assert activate(folder, *static, run_id="run-2").succeeded().files() == {"spring.csv": CONTENT, "spring_3.csv": b"somebody else's"}


def test_a_shorter_run_removes_the_parts_of_the_longer_one_also_where_names_tell_how_many_there_are(folder: Path) -> None:
    static = [SEGMENTS, "file.name='{segment_name}-{part}-of-{parts}'", "destination.on_conflict=replace"]
    activate(folder, *static, "file.max_rows=1").succeeded()
    (folder / "out" / "spring-2-of-2.csv").write_bytes(b"taken, and somebody else's now")
    job = activate(folder, *static, run_id="run-2").succeeded()
    assert job.files() == {"spring-1-of-1.csv": CONTENT, "spring-2-of-2.csv": b"taken, and somebody else's now"}
    assert "spring-2-of-2.csv is not the file that an earlier run left there, so it stays" in job.stdout


def test_the_trigger_of_a_part_that_is_left_over_goes_with_it(folder: Path) -> None:
    """Or the platform would be told to read a file that is no more; a part that comes again is not announced before it is there."""
    static = [SEGMENTS, "file.name='{segment_name}'", "destination.on_conflict=replace", "trigger=ready"]
    triggers = ["spring.csv.ready", "spring_2.csv.ready"]
    assert sorted(activate(folder, *static, "file.max_rows=1").succeeded().files()) == [
        "spring.csv",
        triggers[0],
        "spring_2.csv",
        triggers[1],
    ]
    second = activate(folder, *static, run_id="run-2").succeeded()
    assert second.files() == {"spring.csv": CONTENT, "spring.csv.ready": b""}
    activate(folder, *static, "file.max_rows=1", run_id="run-3").succeeded()
    (folder / "out" / triggers[1]).write_bytes(b"somebody else's")
    fourth = activate(folder, *static, "trigger=none", run_id="run-4").succeeded()
    assert fourth.files() == {"spring.csv": CONTENT, "spring.csv.ready": b"", "spring_2.csv.ready": b"somebody else's"}


def test_a_shorter_run_at_another_place_removes_nothing_there(folder: Path) -> None:
    static = [SEGMENTS, "file.name='{segment_name}'", "destination.on_conflict=replace"]
    longer = activate(folder, *static, "file.max_rows=1").succeeded().files()
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "spring_2.csv").write_bytes(longer["spring_2.csv"][::-1])
    activate(folder, *static, "destination.path=elsewhere", run_id="run-2").succeeded()
    assert (folder / "elsewhere" / "spring_2.csv").read_bytes() == longer["spring_2.csv"][::-1]
    assert (folder / "out" / "spring_2.csv").exists()


def test_files_of_an_earlier_day_are_not_taken_for_parts(folder: Path) -> None:
    dated = [SEGMENTS, "file.name='{segment_name}-{date}-{part}-of-{parts}'", "destination.on_conflict=replace"]
    activate(folder, *dated, "file.max_rows=1").succeeded()
    job = activate(folder, *dated, run_id="run-2", as_of="2026-11-02T00:00:00Z").succeeded()
    assert sorted(job.files()) == ["spring-20261101-1-of-2.csv", "spring-20261101-2-of-2.csv", "spring-20261102-1-of-1.csv"]


def test_what_is_remembered_does_not_grow_with_each_run_after_a_segment_was_dropped(folder: Path) -> None:
    """The files of the one that was dropped stay known, and of the others those of the last run alone."""
    both = SEGMENTS.replace("]", ", {id: seg-gone, name: autumn}]")
    dated = ["file.name='{segment_name}-{date}'", "trigger=ready"]
    activate(folder, both, *dated).succeeded()
    activate(folder, SEGMENTS, *dated, run_id="run-2", as_of="2026-11-02T00:00:00Z").succeeded()
    content = json.loads((folder / "state" / "activations" / "demo" / "published.json").read_text())
    days = {"autumn-20261101.csv", "spring-20261102.csv"}
    assert content["files"].keys() == content["parts"].keys() == days | {f"{name}.ready" for name in days}


def test_parts_that_an_older_version_has_remembered_are_removed(folder: Path) -> None:
    static = [SEGMENTS, "file.name='{segment_name}'", "destination.on_conflict=replace"]
    activate(folder, *static, "file.max_rows=1").succeeded()
    remembered = folder / "state" / "activations" / "demo" / "published.json"
    content = json.loads(remembered.read_text())
    del content["parts"]
    remembered.write_text(json.dumps(content))
    assert activate(folder, *static, run_id="run-2").succeeded().files() == {"spring.csv": CONTENT}


def test_the_list_of_an_audience_that_has_become_empty_stays_until_that_is_meant(folder: Path) -> None:
    """Where empty files are skipped, the platform keeps what it had; a wrong segment would else take a list away."""
    both = "audience.segments=[{id: seg-a, name: spring}, {id: seg-gone, name: autumn}]"
    asked = [both, "file.name='{segment_name}'", "destination.on_conflict=replace", "file.on_empty=skip"]
    spring, autumn = (
        profile(email="z@x.org", segments={"ups": {segment: ("realized", "2026-01-01T00:00:00Z", None)}})
        for segment in ("seg-a", "seg-gone")
    )
    write_profiles(folder / "profiles", [spring, autumn])
    assert sorted(activate(folder, *asked).succeeded().files()) == ["autumn.csv", "spring.csv"]
    write_profiles(folder / "profiles", [spring])
    assert sorted(activate(folder, *asked, run_id="run-2").succeeded().files()) == ["autumn.csv", "spring.csv"]
    assert sorted(activate(folder, *asked, "guard.min_rows=0", run_id="run-3").succeeded().files()) == ["spring.csv"]


def test_the_state_store_in_a_bucket(folder: Path) -> None:
    with aws_server("the-state") as server:
        state = ["state=s3", "state.path=s3://the-state/crm", f"state.endpoint_url='{server.endpoint_url}'", "state.region=us-east-1"]
        state += ["state.access_key_id_env=STATE_KEY", "state.secret_access_key_env=STATE_SECRET"]
        secrets = {"STATE_KEY": "key", "STATE_SECRET": "secret"}
        activate(folder, SEGMENTS, *state, **secrets).succeeded()
        record = json.loads(server.client.get_object(Bucket="the-state", Key="crm/runs/run-1/record.json")["Body"].read())
        assert record["status"] == "published"
        again = activate(folder, SEGMENTS, *state, **secrets).succeeded()
        assert "has published its files already" in again.stdout
        assert not (folder / "state").exists()
        keys = [each["Key"] for each in server.client.list_objects_v2(Bucket="the-state")["Contents"]]
        assert any(key.startswith("crm/runs/run-1/snapshot/audience=0/") for key in keys)
        assert not any("/open/" in key for key in keys)
        lock = json.loads(server.client.get_object(Bucket="the-state", Key="crm/locks/demo.json")["Body"].read())
        assert lock["expires_at"] == 0  # released


# Preflight


def preflight(folder: Path, *overrides: str) -> Job:
    return run_job("preflight.py", folder, SEGMENTS, *overrides)


def test_preflight_tells_what_would_be_sent_and_sends_nothing(folder: Path) -> None:
    job = preflight(folder, "trigger=done").succeeded()
    assert f"{NAME}: 2 rows" in job.stdout
    assert "columns: email, phone, first_name" in job.stdout
    assert "x@xxxxxxx.xxx,,xxxx,xxx,,,," in job.stdout
    assert "example.com" not in job.stdout
    assert "demo_20261101_000000.done" in job.stdout
    assert "manifest-local-run-1.json" in job.stdout
    assert "a probe file could be written, renamed and removed" in job.stdout
    assert job.delivered() == {}
    assert not (folder / "state" / "runs").exists()


def test_preflight_tells_what_the_run_would_refuse(folder: Path) -> None:
    activate(folder, SEGMENTS, run_id="run-0").succeeded()
    job = preflight(folder)
    assert (job.code, job.said()[-1].startswith(f"A file '{NAME}' exists already")) == (5, True)
    assert preflight(folder, "source.path=nowhere").code == 4
    assert preflight(folder, "file.encrypt_to=[nobody.asc]").code == 2
