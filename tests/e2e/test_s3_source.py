"""Profiles on S3. The server is moto's: the SFTP-and-S3 server of the other tests answers range requests with the wrong status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from xdm_profiles import profile, write_profiles

JOB = Path(__file__).parents[2] / "jobs" / "activate.py"
KEYS = {"SOURCE_KEY": "key", "SOURCE_SECRET": "a-secret-of-the-source"}


@pytest.fixture
def endpoint(tmp_path: Path) -> object:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="x", region_name="us-east-1")
    client.create_bucket(Bucket="profiles")
    rows = [
        profile(email=f"{name}@example.com", segments={"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}) for name in ("ann", "bo")
    ]
    folder = write_profiles(tmp_path / "rows", rows, files=2)
    for number, file in enumerate(sorted(folder.glob("*.parquet"))):
        client.upload_file(str(file), "profiles", f"daily/day={number}/part.parquet")
    yield url
    server.stop()


@pytest.mark.parametrize("path", ["s3://profiles/daily", "s3://profiles/daily/*/*.parquet"])
def test_profiles_are_read_from_s3_with_the_named_credentials(endpoint: str, path: str, tmp_path: Path) -> None:
    keys = ["source.access_key_id_env=SOURCE_KEY", "source.secret_access_key_env=SOURCE_SECRET", f"source.endpoint_url={endpoint}"]
    overrides = [
        f"source.path={path}",
        *keys,
        "source.region=us-east-1",
        "audience.segments=[a]",
        "checks=none",
        "run_id=s3",
        "file.name=members",
    ]
    run = subprocess.run(
        [sys.executable, str(JOB), *overrides], env={**os.environ, **KEYS}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = (tmp_path / "out" / "members.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["email", "ann@example.com", "bo@example.com"]
    assert json.loads((tmp_path / "state/runs/s3/record.json").read_text())["profiles"] == 2
    assert KEYS["SOURCE_SECRET"] not in run.stdout + run.stderr
