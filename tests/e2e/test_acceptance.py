"""The same profiles, everywhere and on every engine: the same bytes, and the values that went in."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyspark
import pytest
from activation import Job, activate
from targets import Target
from xdm_profiles import profile, write_profiles

SEGMENT = "8f7b1c2e-5d3a-4b6f-9a10-2c4e6f8a0b1d"
COLUMNS = ["email", "phone", "first_name", "last_name", "city", "state", "postal_code", "birthday"]
MEMBER = {"ups": {SEGMENT: ("realized", "2026-01-01T00:00:00Z", None)}}

#: In the order of the file: by address.
ROWS: list[list[str | None]] = [
    ["a@example.com", "+46701234567", 'Anna "Ann"', "O'Neil, Jr.", " leading", "trailing ", "00501", "02-29"],
    ["b@example.com", "=1+2", "line\nbreak", "carriage\rreturn", "both\r\nof them", "\u00a0no\u00a0break\u00a0", "0", None],
    ["c@example.com", "-5", "", None, "👩‍👩‍👧 Öland", "\ttab\t", "@cmd", "12-31"],
    ["d@example.com", None, None, None, None, None, None, None],
    ["e@example.com", "0046 70", "back\\slash\\", "null", "NULL", "\\N", "1e5", "01-01"],
    ["f@example.com", '"', '""', ",", "\n", "'", "  ", ";|"],
]
FILE = (
    b"email,phone,first_name,last_name,city,state,postal_code,birthday\n"
    b'a@example.com,+46701234567,"Anna ""Ann""","O\'Neil, Jr.", leading,trailing ,00501,02-29\n'
    b'b@example.com,=1+2,"line\nbreak","carriage\rreturn","both\r\nof them",\xc2\xa0no\xc2\xa0break\xc2\xa0,0,\n'
    b'c@example.com,-5,"",,\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xc3\x96land,\ttab\t,@cmd,12-31\n'
    b"d@example.com,,,,,,,\n"
    b"e@example.com,0046 70,back\\slash\\,null,NULL,\\N,1e5,01-01\n"
    b'f@example.com,"""","""""",",","\n",\',  ,;|\n'
)
SHA256 = hashlib.sha256(FILE).hexdigest()
NAME = "demo_spring_sale_20261101_000000.csv"


def write_hostile(folder: Path) -> None:
    """Dealt out over three files in another order, among profiles that are no members."""
    rows = [
        profile(
            email=email,
            phone=phone,
            first_name=first,
            last_name=last,
            city=city,
            state=state,
            postal_code=code,
            birthday=birthday,
            segments=MEMBER,
        )
        for email, phone, first, last, city, state, code, birthday in ROWS
    ]
    exited = profile(email="z@example.com", segments={"ups": {SEGMENT: ("exited", "2026-01-01T00:00:00Z", None)}})
    write_profiles(
        folder / "profiles", [rows[4], rows[1], exited, rows[5], rows[0], profile(email="y@example.com"), rows[3], rows[2]], files=3
    )


def assert_delivered(job: Job, target: Target, engine: str) -> None:
    job.succeeded(quiet=engine == "sail")
    there = target.everything()
    manifest = f"manifest-{target.config.name}-run-1.json"
    assert set(there) == {NAME, manifest}
    assert there[NAME] == FILE
    assert target.uploads() == []
    listed = json.loads(there[manifest])["exportResults"]
    assert [(entry["name"], entry["size"], entry["rows"], entry["sha256"]) for entry in listed] == [(NAME, len(FILE), 6, SHA256)]
    record = job.record()
    assert (record["status"], record["engine"], record["error"]) == ("published", engine, None)
    (audience,) = record["audiences"]
    counts = {"members": 6, "excluded": {}, "deduplicated": 0, "rejected": 0, "exported": 6}
    assert audience["counts"] == counts | {"added": 6, "changed": 0, "unchanged": 0, "exited": 0, "rejected_by": {}, "noted": {}}
    (file,) = audience["files"]
    assert (file["rows"], file["bytes"], file["sha256"]) == (6, len(FILE), SHA256)
    assert file["uri"].endswith("/" + NAME)


@pytest.mark.parametrize(
    ("kind", "engine", "checks"),
    [
        ("local", "sail", "email"),
        ("s3", "sail", "none"),
        ("sftp_password_openssh", "sail", "none"),
        ("sftp_key_ed25519_passphrase", "sail", "none"),
        ("local", "spark", "email"),
        ("sftp_password_rclone", "spark", "none"),
    ],
)
def test_one_audience_everywhere(tmp_path: Path, make_target: Callable[[str], Target], kind: str, engine: str, checks: str) -> None:
    write_hostile(tmp_path)
    target = make_target(kind)
    job = activate(tmp_path, f"engine={engine}", f"checks={checks}", *target.overrides())
    assert_delivered(job, target, engine)
    state = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    for secret in target.secrets.values():
        assert secret not in job.stdout + job.stderr
        assert secret.encode() not in state
    checked = job.record()["checks"]
    assert len(checked) == (9 if checks == "email" else 0)
    assert [check["name"] for check in checked if not check["success"]] == (["birthday_month_and_day", "phone_shape"] if checked else [])


def test_spark_submit_gives_the_same_bytes(tmp_path: Path, make_target: Callable[[str], Target]) -> None:
    write_hostile(tmp_path)
    target = make_target("local")
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    job = activate(
        tmp_path,
        "engine=spark",
        *target.overrides(),
        launcher=[str(submit), "--master", "local[2]", "--conf", "spark.ui.enabled=false"],
        PYSPARK_PYTHON=sys.executable,
    )
    assert job.code == 0, job.stderr
    assert target.everything()[NAME] == FILE


# Read back as people do


def test_python_reads_back_what_went_in() -> None:
    rows = list(csv.reader(io.StringIO(FILE.decode("utf-8"), newline=""), strict=True))
    assert rows == [COLUMNS, *[[value or "" for value in row] for row in ROWS]]


def test_pandas_reads_back_what_went_in() -> None:
    frame = pd.read_csv(io.BytesIO(FILE), dtype=str, keep_default_na=False, engine="c", lineterminator="\n")
    assert list(frame.columns) == COLUMNS
    assert frame.to_numpy().tolist() == [[value or "" for value in row] for row in ROWS]


def test_duckdb_reads_back_what_went_in_and_tells_null_from_empty(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(FILE)
    options = "header=true, all_varchar=true, auto_detect=false, delim=',', quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false"
    columns = "{" + ", ".join(f"'{column}': 'VARCHAR'" for column in COLUMNS) + "}"
    rows = duckdb.connect().execute(f"SELECT * FROM read_csv(?, {options}, columns={columns})", [str(tmp_path / NAME)]).fetchall()
    assert [list(row) for row in rows] == ROWS
