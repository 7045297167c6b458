"""What a run leaves: exit codes, files, counts that reconcile, the record and the manifest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from activation import JOBS, LOG_LINE, activate, command
from recording_server import PASSWORD, USERNAME, recording_server
from xdm_profiles import profile, write_profiles

from courier import pipeline
from courier.compose import load

SEGMENTS = "audience.segments=[{id: seg-a, name: spring sale}]"
HEADER = b"email,phone,first_name,last_name,city,state,postal_code,birthday\n"


def member(email: str | None, segment: str = "seg-a", since: str = "2026-01-01T00:00:00Z", **columns: Any) -> dict[str, Any]:
    return profile(email=email, segments={"ups": {segment: ("realized", since, None)}}, **columns)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three members, one of them twice; one without an address, one with a blank one, one who has left."""
    rows = [
        member("b@example.com", first_name="Older"),
        member("a@example.com"),
        member("b@example.com", since="2026-05-01T00:00:00Z", first_name="Newer"),
        member(None),
        member("  "),
        profile(email="d@example.com", segments={"ups": {"seg-a": ("exited", "2026-01-01T00:00:00Z", None)}}),
        profile(email="e@example.com", segments={"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", "2026-10-31T23:59:59Z")}}),
        member("c@example.com", "seg-b"),
    ]
    write_profiles(tmp_path / "profiles", rows, files=2)
    return tmp_path


LINES = b"a@example.com,,Jane,Doe,,,,\nb@example.com,,Newer,Doe,,,,\n"
NAME = "demo_spring sale_20261101_000000.csv"
#: Nobody has values for these columns.
EMPTY = {
    "phone": "mobilePhone.number",
    "city": "homeAddress.city",
    "state": "homeAddress.stateProvince",
    "postal_code": "homeAddress.postalCode",
    "birthday": "person.birthDayAndMonth",
}


def test_record_and_manifest_of_a_published_run(folder: Path) -> None:
    job = activate(folder, SEGMENTS).succeeded()
    sha256 = hashlib.sha256(HEADER + LINES).hexdigest()
    assert job.files() == {NAME: HEADER + LINES}
    record = job.record()
    started, finished = record.pop("started_at"), record.pop("finished_at")
    assert started < finished
    assert all(
        re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.[0-9]{6}Z", moment) for moment in (started, finished)
    )  # runs may be shorter than a second
    for key in ("seconds", "shape"):
        assert record.pop(key)
    assert record == {
        "run_id": "run-1",
        "activation": "demo",
        "status": "published",
        "engine": "sail",
        "as_of": "2026-11-01T00:00:00Z",
        "released": None,
        "consent": {"rule": "email", "unknown": "exclude"},
        "profiles": 8,
        "columns": ["email", "phone", "first_name", "last_name", "city", "state", "postal_code", "birthday"],
        "types": dict.fromkeys(record["columns"], "string"),
        "audiences": [
            {
                "segment_id": "seg-a",
                "segment_name": "spring sale",
                "namespace": "ups",
                "status": "published",
                "held": None,
                "mode": "full",
                "baseline": None,
                "last": None,
                "counts": {
                    "members": 5,
                    "excluded": {"missing_email": 2},
                    "deduplicated": 1,
                    "rejected": 0,
                    "exported": 2,
                    "unchanged": 0,
                    "added": 2,
                    "changed": 0,
                    "exited": 0,
                    "rejected_by": {},
                    "noted": {},
                },
                "files": [
                    {
                        "uri": (folder / "out" / NAME).as_uri(),
                        "rows": 2,
                        "bytes": len(HEADER + LINES),
                        "sha256": sha256,
                        "plain_bytes": len(HEADER + LINES),
                        "plain_sha256": sha256,
                        "confirmed": True,
                        "notes": {},
                    }
                ],
            }
        ],
        "checks": [],
        "rejects": None,
        "manifest": "manifest-local-run-1.json",
        "triggers": [],
        "warnings": [f"column '{name}' is empty in all 2 rows; check its source {path}" for name, path in EMPTY.items()],
        "error": None,
    }
    assert json.loads(job.delivered()["manifest-local-run-1.json"]) == {
        "flowRunId": "run-1",
        "scheduledTime": "2026-11-01T00:00:00Z",
        "exportResults": [
            {
                "sinkPath": "out",
                "name": NAME,
                "size": len(HEADER + LINES),
                "rows": 2,
                "sha256": sha256,
                "plainSize": len(HEADER + LINES),
                "plainSha256": sha256,
                "segmentId": "seg-a",
                "columns": record["columns"],
                "mode": "full",
                "change": None,
                "part": 1,
                "parts": 1,
            }
        ],
    }
    assert sha256 in job.stdout


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_the_state_is_private_whatever_the_umask(folder: Path, engine: str) -> None:
    before = os.umask(0o022)
    try:
        activate(folder, SEGMENTS, f"engine={engine}").succeeded(quiet=False)
    finally:
        os.umask(before)
    found = [folder / "state", *(folder / "state").rglob("*")]
    assert {path.suffix for path in found} >= {".json", ".parquet"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}


def test_the_same_run_id_sends_nothing_again(folder: Path) -> None:
    first = activate(folder, SEGMENTS).succeeded()
    record = (folder / "state" / "runs" / "run-1" / "record.json").read_bytes()
    (folder / "out" / NAME).unlink()  # the platform has taken it away
    again = activate(folder, SEGMENTS).succeeded()
    assert "nothing was done" in again.stdout
    assert again.files() == {}
    assert (folder / "state" / "runs" / "run-1" / "record.json").read_bytes() == record
    assert first.record() == again.record()


def test_the_same_run_elsewhere_gives_the_same_files(folder: Path) -> None:
    activate(folder, SEGMENTS).succeeded()
    activate(folder, SEGMENTS, "state.path=other", "destination.path=elsewhere").succeeded()
    here, there = ({path.name: path.read_bytes() for path in (folder / name).iterdir()} for name in ("out", "elsewhere"))
    assert set(here) == {NAME, "manifest-local-run-1.json"}
    assert there[NAME] == here[NAME]
    assert there["manifest-local-run-1.json"].replace(b'"elsewhere"', b'"out"') == here["manifest-local-run-1.json"]


def test_a_file_that_is_there_already_is_not_replaced(folder: Path) -> None:
    first = activate(folder, SEGMENTS).succeeded()
    second = activate(folder, SEGMENTS, run_id="run-2")
    assert second.code == 5
    assert "exists already" in second.stderr
    assert second.delivered() == first.delivered()
    assert second.record("run-2")["status"] == "failed"
    assert second.record("run-2")["audiences"][0]["counts"]["exported"] == 2
    third = activate(folder, SEGMENTS, "destination.on_conflict=replace", run_id="run-2").succeeded()
    assert third.record("run-2")["status"] == "published"


def test_several_segments_are_one_file_each_and_an_unknown_one_is_a_warning(folder: Path) -> None:
    job = activate(folder, "audience.segments=[seg-b, {id: seg-a, name: spring sale}, no-such]").succeeded()
    assert job.files() == {
        "demo_seg-b_20261101_000000.csv": HEADER + b"c@example.com,,Jane,Doe,,,,\n",
        NAME: HEADER + LINES,
        "demo_no-such_20261101_000000.csv": HEADER,
    }
    record = job.record()
    assert [audience["counts"]["exported"] for audience in record["audiences"]] == [1, 2, 0]
    (warning,) = (text for text in record["warnings"] if not text.startswith("column"))
    assert "no-such" in warning
    assert "warning: " in job.stdout


def test_long_audiences_are_split_with_a_header_each(tmp_path: Path) -> None:
    write_profiles(tmp_path / "profiles", [member(f"{letter}@example.com") for letter in "ebdca"])
    job = activate(tmp_path, SEGMENTS, "file.max_rows=2", "file.name=members").succeeded()
    line = b"%s@example.com,,Jane,Doe,,,,\n"
    assert job.files() == {
        "members.csv": HEADER + line % b"a" + line % b"b",
        "members_2.csv": HEADER + line % b"c" + line % b"d",
        "members_3.csv": HEADER + line % b"e",
    }
    listed = json.loads(job.delivered()["manifest-local-run-1.json"])["exportResults"]
    assert [(entry["name"], entry["rows"], entry["part"], entry["parts"]) for entry in listed] == [
        ("members.csv", 2, 1, 3),
        ("members_2.csv", 2, 2, 3),
        ("members_3.csv", 1, 3, 3),
    ]


def test_an_empty_audience_can_be_skipped(folder: Path) -> None:
    job = activate(folder, "audience.segments=[no-such]", "file.on_empty=skip").succeeded()
    assert job.delivered() == {}
    assert job.record()["status"] == "empty"


def test_an_empty_audience_can_hold_the_run(folder: Path) -> None:
    job = activate(folder, "audience.segments=[seg-b, no-such]", "file.on_empty=fail", "audience.all_or_nothing=true")
    job.refused(3, "no-such", "empty")
    record = job.record()
    assert (record["status"], record["error"]["exit_code"]) == ("held", 3)
    assert [audience["counts"]["exported"] for audience in record["audiences"]] == [1, 0]
    assert [audience["status"] for audience in record["audiences"]] == ["held", "held"]


def test_failed_checks_hold_the_files_back_and_show_no_value(tmp_path: Path) -> None:
    write_profiles(tmp_path / "profiles", [member("a@example.com"), member("no-address-at-all"), member("also none@example.com")])
    job = activate(tmp_path, SEGMENTS, "checks=email")
    job.refused(3, "The audience is held back", "seg-a", "email_shape", "on email", "2 rows")
    assert "no-address-at-all" not in job.stderr
    text = (tmp_path / "state" / "runs" / "run-1" / "record.json").read_text()
    assert "no-address-at-all" not in text
    record = json.loads(text)
    assert (record["status"], record["manifest"], record["error"]["type"]) == ("held", None, "HeldError")
    assert record["audiences"][0]["counts"]["exported"] == 3
    assert [check["name"] for check in record["checks"] if not check["success"]] == ["email_shape"]


def test_a_failed_run_can_be_started_again(folder: Path) -> None:
    (folder / "out").write_text("in the way")
    job = activate(folder, SEGMENTS)
    assert (job.code, job.record()["status"]) == (5, "failed")
    assert job.record()["error"]["type"] == "TerminalError"
    (folder / "out").unlink()
    assert activate(folder, SEGMENTS).succeeded().files() == {NAME: HEADER + LINES}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_a_run_that_is_stopped_while_it_sends_shows_nothing(folder: Path, stop: signal.Signals) -> None:
    with recording_server(folder / "served") as server:
        server.stall_writes = True
        destination = [
            "destination=sftp_password",
            "destination.host=127.0.0.1",
            f"destination.port={server.port}",
            f"destination.username={USERNAME}",
            "destination.path=/",
            f"destination.host_key_fingerprint='{server.fingerprint}'",
            "destination.operation_timeout_seconds=1",
        ]
        process = subprocess.Popen(
            [sys.executable, str(JOBS / "activate.py"), *command(SEGMENTS, "checks=none", *destination)],
            cwd=folder,
            env={**os.environ, "SFTP_PASSWORD": PASSWORD},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.writing.wait(60)
            process.send_signal(stop)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130
        assert len([line for line in stderr.splitlines() if not LOG_LINE.match(line)]) == 1, stderr
        assert "Stopped" in stderr
        assert stderr.count("Trying again") <= 1, stderr  # a stop ends the attempts
        assert server.visible() == []
        record = json.loads((folder / "state" / "runs" / "run-1" / "record.json").read_text())
        assert record["status"] == "failed"
        assert "stopped" in record["error"]["message"]
        server.stall_writes = False


def test_small_files_of_a_run_are_cut_from_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them read the whole row group that it is a part of."""
    write_profiles(tmp_path / "profiles", [member(f"{number}@example.com") for number in range(10, 40)])
    monkeypatch.chdir(tmp_path)
    reads, read = [], pl.scan_parquet
    monkeypatch.setattr(pl, "scan_parquet", lambda *given, **named: reads.append(1) or read(*given, **named))
    run = pipeline.activate(load(command(SEGMENTS, "checks=none", "file.max_rows=2"), now=datetime.now(UTC)))
    assert [len(audience.files) for audience in run.audiences] == [15]
    assert b"".join(path.read_bytes().removeprefix(HEADER) for path in (tmp_path / "out").glob("demo_*")).count(b"@example.com") == 30
    assert len(reads) == 1
