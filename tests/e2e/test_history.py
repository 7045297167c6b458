"""The history of runs, and what is kept of them, as a user sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from activation import Job, activate, start_job
from aws_server import AwsServer, aws_server
from xdm_profiles import profile, write_profiles

SEGMENTS = "audience.segments=[{id: seg-a, name: spring}, {id: seg-b, name: autumn}]"
NAME = "file.name='{segment_name}_{run_id}'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """seg-a: three members, two of them with one address, and one without; seg-b: one member."""
    member = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
    rows = [profile(email=email, segments=member) for email in ("a@example.com", "a@example.com", "b@example.com", None)]
    other = {"ups": {"seg-b": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(tmp_path / "profiles", [*rows, profile(email="c@example.com", segments=other)])
    return tmp_path


def run(folder: Path, run_id: str, *overrides: str, **environment: str) -> Job:
    return activate(folder, SEGMENTS, NAME, *overrides, run_id=run_id, **environment)


def history(folder: Path, *arguments: str, **environment: str) -> Job:
    return start_job("history.py", folder, *arguments, **environment)


def rows(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in job.succeeded().stdout.splitlines()]


def snapshots(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / "state" / "runs").glob("*/snapshot"))


def test_past_runs_are_listed_newest_first(folder: Path) -> None:
    run(folder, "run-1").succeeded()
    assert run(folder, "run-2", "source.path=nowhere").code == 4
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    failed, published = rows(history(folder, "--json"))
    assert (failed["run_id"], failed["status"], failed["exported"], failed["snapshot"]) == ("run-2", "failed", None, False)
    for key in ("started_at", "seconds"):
        assert published.pop(key) is not None
    assert published == {
        "run_id": "run-1",
        "activation": "demo",
        "status": "published",
        "audiences": ["spring", "autumn"],
        "exported": 3,
        "excluded": 1,
        "deduplicated": 1,
        "rejected": 0,
        "files": 2,
        "snapshot": True,
    }
    lines = [line.split() for line in history(folder).succeeded().stdout.splitlines()]
    assert lines[0] == "run_id activation status started seconds audiences exported excluded deduplicated rejected files snapshot".split()
    assert lines[1][:3] + lines[1][4:] == ["run-2", "demo", "failed", "0", "-", "-", "-", "-", "-", "0", "-"]
    assert lines[2][:3] + lines[2][5:] == ["run-1", "demo", "published", "spring", "+1", "3", "1", "1", "0", "2", "kept"]
    assert history(folder, "--limit", "1").stdout.splitlines()[-1] == "1 more; --limit 2 lists all"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before  # nothing was written


def test_a_run_in_full(folder: Path) -> None:
    run(folder, "run-1", "trigger=done").succeeded()
    files = [file for audience in activated(folder, "run-1")["audiences"] for file in audience["files"]]
    shown = history(folder, "--run", "run-1").succeeded().stdout
    counts = ["audience spring (seg-a)", "members 4", "excluded: missing_email -1", "deduplicated -1", "rejected 0", "exported 2"]
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[lines.index(counts[0]) :][: len(counts)] == counts
    assert shown.startswith("Run run-1 of activation 'demo' on sail: published\n")
    assert [file["sha256"] in shown for file in files] == [True, True]
    assert {"profiles read 5", "manifest: manifest-local-run-1.json", "trigger: demo_20261101_000000.done"} <= set(lines)
    assert f"snapshot: {folder}/state/runs/run-1/snapshot" in shown
    assert rows(history(folder, "--run", "run-1", "--json")) == [{**activated(folder, "run-1"), "snapshot": True}]


def activated(folder: Path, run_id: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "state" / "runs" / run_id / "record.json").read_text())
    return content


def test_the_error_of_a_failed_run_is_shown(folder: Path) -> None:
    run(folder, "run-1", "source.path=nowhere")
    shown = history(folder, "--run", "run-1").succeeded().stdout
    assert f"error: The source does not exist. Where: {folder}/nowhere." in shown
    assert "(SourceError, exit code 4)" in shown


def test_a_run_that_was_killed_or_is_going_on_is_told(folder: Path) -> None:
    run(folder, "run-1").succeeded()
    record = {**activated(folder, "run-1"), "status": "failed", "finished_at": None}
    (folder / "state" / "runs" / "run-1" / "record.json").write_text(json.dumps(record))
    assert [(row["status"], row["seconds"]) for row in rows(history(folder, "--json"))] == [("unfinished", None)]


def test_the_runs_of_one_activation(folder: Path) -> None:
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "other.yaml").write_text("# @package _global_\nstate: {path: elsewhere}\n")
    own = ["--config-dir", "own", "activation=other"]
    run(folder, "run-1").succeeded()
    run(folder, "run-2", *own).succeeded()
    run(folder, "run-3", *own, "state.path=state").succeeded()
    listed = {
        name: rows(history(folder, "--json", *arguments)) for name, arguments in {"all": [], "other": [*own, "state.path=state"]}.items()
    }
    assert {name: [row["run_id"] for row in found] for name, found in listed.items()} == {"all": ["run-3", "run-1"], "other": ["run-3"]}
    assert [row["run_id"] for row in rows(history(folder, "--json", *own))] == ["run-2"]  # an activation says where its state is
    assert history(folder, "activation=demo", "--run", "run-3").code == 2


def test_records_that_cannot_be_read_are_listed_last_and_stop_nothing(folder: Path) -> None:
    run(folder, "run-1").succeeded()
    contents = {"cut": b'{"run_id": "cut", "act', "empty": b"", "list": b"[]", "bytes": b"\xff\xfe"}
    contents["foreign"] = (
        b'{"run_id": "foreign", "activation": "demo", "status": "\x1b[31mred", "started_at": "2026-11-01T00:00:00Z", "audiences": 7}'
    )
    contents["control"] = (
        contents["foreign"]
        .replace(b"foreign", b"control")
        .replace(b"\x1b", b"\\u001b")
        .replace(b"7", b'[], "finished_at": "2026-11-01T00:00:09Z"')
    )
    for name, content in contents.items():
        (folder / "state" / "runs" / name).mkdir()
        (folder / "state" / "runs" / name / "record.json").write_bytes(content)
    found = [(row["run_id"], row["status"]) for row in rows(history(folder, "--json"))]
    assert found[2:] == [(name, "unreadable") for name in ("bytes", "cut", "empty", "foreign", "list")]
    assert sorted(found[:2]) == [("control", "\x1b[31mred"), ("run-1", "published")]
    shown = history(folder).succeeded().stdout
    assert "?[31mred" in shown
    assert "\x1b" not in shown
    cut = history(folder, "--run", "cut")
    assert (cut.code, cut.said()[0].startswith("The record of this run cannot be read.")) == (2, True)
    assert history(folder, "--limit", "2").stdout.splitlines()[-1] == "5 more, 5 of them unreadable; --limit 7 lists all"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "run-7"], "There is no such run in the state store"),
        (["--run", "../../secret"], "There is no such run in the state store"),
        (["state.path=nowhere"], "There is no state store"),
        (["state.pth=nowhere"], "did you mean 'path'?"),
        (["state.path=${oc.env:NOT_THERE}"], "state.path refers to what is not there"),
        (["activation=dmo"], "did you mean 'demo'?"),
        (["--config-dir", "nowhere"], "The configuration folder does not exist"),
        (["--limit", "0"], "a number of at least 1 is needed"),
    ],
)
def test_what_is_refused(folder: Path, arguments: list[str], words: str) -> None:
    (folder / "state").mkdir(mode=0o700)
    job = history(folder, *arguments)
    assert (job.code, job.stdout) == (2, "")
    assert words in job.stderr
    assert "Traceback" not in job.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["profiles", "state"]


def test_a_store_without_runs(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)
    assert history(folder).succeeded().stdout == "No runs\n"
    assert history(folder, "--json").succeeded().stdout == ""


# What is kept


def test_old_snapshots_and_records_are_removed_when_a_run_has_published(folder: Path) -> None:
    for number in range(1, 5):
        run(folder, f"run-{number}", "state.keep_snapshots=2", "state.keep_records=3").succeeded()
    assert snapshots(folder) == ["run-3", "run-4"]
    assert [(row["run_id"], row["snapshot"]) for row in rows(history(folder, "--json"))] == [
        ("run-4", True),
        ("run-3", True),
        ("run-2", False),
    ]
    assert sorted(path.name for path in (folder / "state" / "runs").iterdir()) == ["run-2", "run-3", "run-4"]
    assert "snapshot: not in the store" in history(folder, "--run", "run-2").stdout


def test_what_cannot_be_removed_is_a_warning_and_the_run_has_published(folder: Path) -> None:
    run(folder, "run-1").succeeded()
    snapshot = folder / "state" / "runs" / "run-1" / "snapshot"
    (folder / "elsewhere").mkdir()
    (snapshot / "audience=0").rename(folder / "elsewhere" / "audience=0")
    (snapshot / "audience=1").rename(folder / "elsewhere" / "audience=1")
    snapshot.rmdir()
    snapshot.symlink_to(folder / "elsewhere")  # to a disk of its own, say
    job = run(folder, "run-2", "state.keep_snapshots=1", "state.keep_records=1").succeeded()
    assert job.record("run-2")["status"] == "published"
    assert "Not all old snapshots and records could be removed; the next run goes on: The state store cannot be used." in job.stdout
    assert sorted(path.name for path in (folder / "elsewhere").iterdir()) == ["audience=0", "audience=1"]


@pytest.fixture
def server() -> Iterator[AwsServer]:
    with aws_server("the-state") as server:
        yield server


def test_history_and_limits_of_a_store_in_a_bucket(folder: Path, server: AwsServer) -> None:
    state = ["state=s3", "state.path=s3://the-state/crm", f"state.endpoint_url='{server.endpoint_url}'", "state.region=us-east-1"]
    state += ["state.access_key_id_env=STATE_KEY", "state.secret_access_key_env=STATE_SECRET"]
    secrets = {"STATE_KEY": "key", "STATE_SECRET": "secret"}
    for number in range(1, 4):
        run(folder, f"run-{number}", *state, "state.keep_snapshots=1", "state.keep_records=2", **secrets).succeeded()
    found = rows(history(folder, "--json", *state, **secrets))
    assert [(row["run_id"], row["exported"], row["snapshot"]) for row in found] == [("run-3", 3, True), ("run-2", 3, False)]
    keys = [each["Key"] for each in server.client.list_objects_v2(Bucket="the-state")["Contents"]]
    assert {key.split("/")[2] for key in keys if key.startswith("crm/runs/")} == {"run-2", "run-3"}
    assert "snapshot: s3://the-state/crm/runs/run-3/snapshot" in history(folder, "--run", "run-3", *state, **secrets).stdout
    job = history(folder, *state, "state.path=s3://no-such/crm", **secrets)
    assert (job.code, "NoSuchBucket" in job.stderr) == (2, True)
