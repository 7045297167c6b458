"""Profiles on S3. The server is moto's: the SFTP-and-S3 server of the other tests answers range requests with the wrong status."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from activation import activate
from aws_server import aws_server
from xdm_profiles import profile, write_profiles

KEYS = {"SOURCE_KEY": "key", "SOURCE_SECRET": "a-secret-of-the-source"}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    rows = [
        profile(email=f"{name}@example.com", segments={"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}) for name in ("ann", "bo")
    ]
    folder = write_profiles(tmp_path / "rows", rows, files=2)
    with aws_server("profiles") as server:
        for number, file in enumerate(sorted(folder.glob("*.parquet"))):
            server.client.upload_file(str(file), "profiles", f"daily/day={number}/part.parquet")
        yield server.endpoint_url


@pytest.mark.parametrize("path", ["s3://profiles/daily", "s3://profiles/daily/*/*.parquet"])
def test_profiles_are_read_from_s3_with_the_named_credentials(endpoint: str, path: str, tmp_path: Path) -> None:
    keys = ["source.access_key_id_env=SOURCE_KEY", "source.secret_access_key_env=SOURCE_SECRET", f"source.endpoint_url={endpoint}"]
    places = [f"source.path={path}", *keys, "source.region=us-east-1"]
    job = activate(tmp_path, *places, "audience.segments=[a]", "file.name=members", run_id="s3", **KEYS).succeeded()
    lines = (tmp_path / "out" / "members.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["email", "ann@example.com", "bo@example.com"]
    assert job.record("s3")["profiles"] == 2
    assert KEYS["SOURCE_SECRET"] not in job.stdout + job.stderr


def test_names_that_hive_and_spark_write_for_odd_values_are_read_in_a_bucket(tmp_path: Path) -> None:
    """`hour=10%3A00` is the name of a folder, and not the address of `hour=10:00`; of one's own store no region need be said."""
    segments = {"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}
    with aws_server("profiles") as server:
        for number, name in enumerate(("ann", "bo", "cy")):
            file = next(write_profiles(tmp_path / name, [profile(email=f"{name}@example.com", segments=segments)]).glob("*.parquet"))
            server.client.upload_file(str(file), "profiles", f"daily/hour=1{number}%3A00/50% of {name}.parquet")
        server.client.put_object(Bucket="profiles", Key="lists/opt%20out.csv", Body=b"email\ncy@example.com\n")
        keys = ["source.access_key_id_env=SOURCE_KEY", "source.secret_access_key_env=SOURCE_SECRET"]
        places = ["source.path=s3://profiles/daily", *keys, f"source.endpoint_url={server.endpoint_url}"]
        lists = "+suppression.lists.left={path: 's3://profiles/lists', column: email, form: plain}"
        job = activate(tmp_path, *places, lists, "audience.segments=[a]", "file.name=members", run_id="s3", **KEYS).succeeded()
    lines = (tmp_path / "out" / "members.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["email", "ann@example.com", "bo@example.com"]
    assert job.record("s3")["audiences"][0]["counts"]["excluded"] == {"suppressed_left": 1}
