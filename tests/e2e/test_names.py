"""Names and folders as a user sets them, to the files that arrive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from activation import activate
from targets import Target
from xdm_profiles import profile, write_profiles

SEGMENTS = "audience.segments=[{id: seg-a, name: 'Luxury Audience'}, {id: seg-b, name: 'Spring/Summer: \"50%\"'}]"
HEADER = b"email\n"


def write(folder: Path, first: int, second: int) -> None:
    """So many members of the first and of the second segment."""
    since = ("realized", "2026-01-01T00:00:00Z", None)
    rows = [profile(email=f"{n}@example.com", segments={"ups": {"seg-a": since}}) for n in range(first)]
    rows += [profile(email=f"{n}@example.com", segments={"ups": {"seg-b": since}}) for n in range(second)]
    write_profiles(folder / "profiles", rows, files=1)


def only_email(*overrides: str) -> list[str]:
    left_out = [f"~mapping.columns.{name}" for name in ("phone", "first_name", "last_name", "city", "state", "postal_code", "birthday")]
    return [SEGMENTS, *left_out, *overrides]


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_folder_for_each_audience_in_adobes_spelling(tmp_path: Path, make_target: Callable[[str], Target], kind: str) -> None:
    write(tmp_path, first=3, second=1)
    target = make_target(kind)
    target = target.with_config(path=f"{target.config.path}/%SEGMENT_NAME%/%SEGMENT_ID%", name="acme")
    overrides = ["file.name='%DESTINATION_NAME%_%SEGMENT_ID%_%DATETIME(YYYYMMdd_HHmmss)%'", "destination.name=acme", "file.max_rows=2"]
    job = activate(tmp_path, *only_email(*target.overrides(), *overrides, "trigger=ready")).succeeded()
    luxury, spring = "Luxury Audience/seg-a/acme_seg-a_20261101_000000", "Spring_Summer_ _50%_/seg-b/acme_seg-b_20261101_000000"
    there = target.everything()
    manifest = there.pop("manifest-acme-run-1.json")
    assert there == {
        f"{luxury}.csv": HEADER + b"0@example.com\n1@example.com\n",
        f"{luxury}_2.csv": HEADER + b"2@example.com\n",
        f"{spring}.csv": HEADER + b"0@example.com\n",
        f"{luxury}.csv.ready": b"",
        f"{luxury}_2.csv.ready": b"",
        f"{spring}.csv.ready": b"",
    }
    assert target.uploads() == []
    fixed = target.config.folder
    listed = [(each["sinkPath"], each["name"]) for each in json.loads(manifest)["exportResults"]]
    assert listed == [
        (f"{fixed}/{folder}", f"{stem}{part}.csv")
        for folder, stem, part in ((*luxury.rsplit("/", 1), ""), (*luxury.rsplit("/", 1), "_2"), (*spring.rsplit("/", 1), ""))
    ]
    assert [audience["segment_name"] for audience in job.record()["audiences"]] == ["Luxury Audience", 'Spring/Summer: "50%"']


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_recurring_import_with_static_names_in_folders(tmp_path: Path, make_target: Callable[[str], Target], kind: str) -> None:
    """The second run has fewer parts in one folder: the part left over is removed there, and nowhere else."""
    target = make_target(kind)
    target = target.with_config(path=f"{target.config.path}/{{segment_name}}", on_conflict="replace", manifest=False)
    overrides = only_email(*target.overrides(), "file.name='audience'", "file.max_rows=2")
    write(tmp_path, first=3, second=3)
    activate(tmp_path, *overrides).succeeded()
    assert len(target.everything()) == 4
    write(tmp_path, first=1, second=3)
    activate(tmp_path, *overrides, run_id="run-2", as_of="2026-11-02T00:00:00Z").succeeded()
    assert target.everything() == {
        "Luxury Audience/audience.csv": HEADER + b"0@example.com\n",
        "Spring_Summer_ _50%_/audience.csv": HEADER + b"0@example.com\n1@example.com\n",
        "Spring_Summer_ _50%_/audience_2.csv": HEADER + b"2@example.com\n",
    }


def test_a_folder_a_day_and_padded_parts_in_an_archive_without_folders(tmp_path: Path) -> None:
    import zipfile

    write(tmp_path, first=3, second=0)
    overrides = ["file.name='{segment_id}-{part:03d}-of-{parts:03d}'", "file.max_rows=2", "file.compression=zip", "file.on_empty=skip"]
    activate(
        tmp_path, *only_email("destination.path='out/{datetime:yyyy/MM/dd}/{mode}'", *overrides), as_of="2026-12-31T23:59:59Z"
    ).succeeded()
    folder = tmp_path / "out" / "2026" / "12" / "31" / "full"
    assert sorted(path.name for path in folder.iterdir()) == ["seg-a-001-of-002.zip", "seg-a-002-of-002.zip"]
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["manifest-local-run-1.json"]
    with zipfile.ZipFile(folder / "seg-a-002-of-002.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"seg-a-002-of-002.csv": HEADER + b"2@example.com\n"}


def test_a_segments_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, first=1, second=0)
    hostile = "audience.segments=[{id: seg-a, name: ../../../etc/passwd}]"
    activate(tmp_path, *only_email("destination.path='out/{segment_name}'", "file.name='{segment_name}'")[1:], hostile).succeeded()
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {"profiles", "out", "state"}
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.csv")] == ["out/___.._.._etc_passwd/___.._.._etc_passwd.csv"]


def test_preflight_shows_the_folders_and_makes_none(tmp_path: Path) -> None:
    from activation import run_job

    write(tmp_path, first=1, second=1)
    job = run_job("preflight.py", tmp_path, *only_email("destination.path='out/{segment_id}'", "file.name=x", "trigger=ready"))
    assert job.code == 0, job.stderr
    assert "\n  seg-a/x.csv: 1 rows" in job.stdout
    assert "\n  seg-b/x.csv.ready\n" in job.stdout
    assert list((tmp_path / "out").iterdir()) == []


def test_a_macro_in_a_path_on_sftp_is_refused(tmp_path: Path) -> None:
    write(tmp_path, first=1, second=0)
    sftp = ["destination=sftp_password", "destination.host=h", "destination.username=u", "destination.path='in/%SEGMENT_NAME%'"]
    activate(tmp_path, *only_email(*sftp)).refused(2, "destination.path has a macro", "in/%SEGMENT_NAME%", "put the macro into file.name")
