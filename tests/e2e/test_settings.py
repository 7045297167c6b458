"""A cluster whose defaults are the opposite of what this tool needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from activation import activate
from xdm_profiles import profile, write_profiles

from courier.engine.settings import SPARK_SETTINGS

OPPOSITE = {
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.legacy.timeParserPolicy": "LEGACY",
    "spark.sql.caseSensitive": "false",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "INT96",
    "spark.sql.parquet.int96RebaseModeInRead": "LEGACY",
    "spark.sql.parquet.datetimeRebaseModeInRead": "LEGACY",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "LEGACY",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "false",
    "spark.sql.parquet.binaryAsString": "true",
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.files.ignoreMissingFiles": "true",
    "spark.sql.files.maxRecordsPerFile": "1",
    "spark.sql.parser.escapedStringLiterals": "true",
    "spark.sql.variable.substitute": "true",
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.ColumnPruning",
}
PROGRAM = """
from courier.config import EngineConfig, SourceConfig
from courier.engine import open_engine
from courier.engine.settings import SPARK_SETTINGS
with open_engine(EngineConfig("spark", master="local[1]"), SourceConfig("unused")) as engine:
    print("\\n".join(f"{key}={engine.session.conf.get(key)}" for key in SPARK_SETTINGS))
    print(engine.session.conf.get("spark.sql.shuffle.partitions"))
"""


def defaults(folder: Path) -> dict[str, str]:
    folder.mkdir()
    others = {"spark.sql.shuffle.partitions": "3"}
    (folder / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in {**OPPOSITE, **others}.items()))
    return {**os.environ, "SPARK_CONF_DIR": str(folder)}


def test_every_pinned_setting_wins_over_the_clusters_and_no_other_does(tmp_path: Path) -> None:
    assert set(OPPOSITE) == set(SPARK_SETTINGS)
    assert [key for key, value in OPPOSITE.items() if value == SPARK_SETTINGS[key]] == []
    environment = defaults(tmp_path / "conf")
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*(f"{key}={value}" for key, value in SPARK_SETTINGS.items()), "3"]


def test_the_bytes_are_those_of_a_cluster_without_defaults(tmp_path: Path) -> None:
    """With a time whose day differs in Tokyo, files in the old int96 whose calendars differ, a backslash in an expression, and more
    rows than a task can write files of one row that follow each other by their names.
    """
    members = {"ups": {"a": ("realized", "2026-01-01T22:30:00Z", None)}}
    rows = [profile(email=f"{number:04d}@example.com", segments=members) for number in range(1100)]
    for file in write_profiles(tmp_path / "profiles", rows).glob("*.parquet"):
        pq.write_table(pq.read_table(file), file, use_deprecated_int96_timestamps=True)
    qualified = "+mapping.columns.qualified={source: membership.lastQualificationTime}"
    masked = r"""+mapping.columns.masked={expression: "regexp_replace(personalEmail.address, '[\\x30-\\x39]', '#')"}"""
    columns = ["audience.segments=[a]", "file.name=members", qualified, masked]
    expected = activate(tmp_path, *columns).succeeded().files()
    conf = defaults(tmp_path / "conf")["SPARK_CONF_DIR"]
    options = [*columns, "destination.path=other", "engine=spark"]
    activate(tmp_path, *options, run_id="opposite", SPARK_CONF_DIR=conf).succeeded(quiet=False)
    assert (tmp_path / "other" / "members.csv").read_bytes() == expected["members.csv"]
    assert b"2026-01-01T22:30:00" in expected["members.csv"]
    assert b",####@example.com" in expected["members.csv"]


def test_a_damaged_file_ends_the_run_where_a_cluster_would_leave_it_out(tmp_path: Path) -> None:
    """Its footer is whole, so it is found by who reads its values."""
    members = {"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}
    rows = [profile(email=f"{name}@example.com", segments=members) for name in "ab"]
    damaged = write_profiles(tmp_path / "profiles", rows, files=2) / "profiles-00001.parquet"
    content = bytearray(damaged.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = b"\xff" * (end - 4)
    damaged.write_bytes(content)
    conf = defaults(tmp_path / "conf")["SPARK_CONF_DIR"]
    job = activate(tmp_path, "audience.segments=[a]", "engine=spark", SPARK_CONF_DIR=conf)
    assert (job.code, job.delivered()) == (4, {}), job.stderr
    assert f"Where: {damaged}" in job.stderr
