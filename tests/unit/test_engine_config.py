"""What an engine may be given."""

from __future__ import annotations

import os
import socket

import pytest
from pyspark.errors import PySparkException
from pyspark.sql.connect.client import DefaultChannelBuilder

from courier.buckets import open_bucket
from courier.config import EngineConfig, SourceConfig, StateConfig
from courier.engine import connect, open_engine, source_errors
from courier.engine.base import Engine
from courier.engine.settings import sail_settings
from courier.engine.spark import s3a_settings
from courier.errors import ConfigError, SourceError


@pytest.mark.parametrize(("text", "size"), [("2g", 2 << 30), ("512m", 512 << 20), ("3G", 3 << 30)])
def test_memory_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert EngineConfig(driver_memory=text).driver_memory_bytes == size


@pytest.mark.parametrize("text", ["2", "2x", "", "0g", "-1g", "1.5g", "2 g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.driver_memory is no size"):
        EngineConfig(driver_memory=text)


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_there_is_not_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.remote has no port that can be\. Found: {port}"):
        EngineConfig(kind="connect", remote=f"sc://localhost:{port}/;use_ssl=true")


@pytest.mark.parametrize("token", ["ends-in-base64==", "with;use_ssl=true", "50%25", "plain"])
def test_a_token_may_have_any_signs_and_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("TOKEN", token)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = EngineConfig(kind="connect", remote=f"sc://127.0.0.1:{silent.getsockname()[1]}", token_env="TOKEN")
        monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.5)
        with pytest.raises(ConfigError, match="The engine cannot be reached") as refusal, open_engine(config, SourceConfig("profiles")):
            pass
    assert token not in str(refusal.value)
    address = connect.with_token("sc://localhost:15002/;use_ssl=true", token)
    assert DefaultChannelBuilder(address).token == token


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_each_bucket_has_the_settings_of_whom_it_belongs_to(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("KEY", "id of the source")
    monkeypatch.setenv("SECRET", "secret of the source")
    monkeypatch.setenv("TOKEN", "token of the source")
    keys = {"access_key_id_env": "KEY", "secret_access_key_env": "SECRET", "session_token_env": "TOKEN"}
    source = SourceConfig(f"{scheme}://profiles/daily", "eu-north-1", **keys)
    state = StateConfig(kind="s3", path="s3://state/courier", endpoint_url="https://store.example.com")
    settings = s3a_settings(source, state, [f"{scheme}://lists/optouts.csv", "lists/local.csv"])
    assert {key.removeprefix("spark.hadoop.fs.s3a.bucket."): value for key, value in settings.items()} == {
        **{
            f"{bucket}.{name}": value
            for bucket in ("profiles", "lists")
            for name, value in {
                "endpoint.region": "eu-north-1",
                "access.key": "id of the source",
                "secret.key": "secret of the source",
                "session.token": "token of the source",
            }.items()
        },
        "state.endpoint": "https://store.example.com",
        "state.endpoint.region": "us-east-1",  # as the driver signs there
        "state.path.style.access": "true",
    }


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("Unable to copy data to file: No space left on device (os error 28)", "free some space where the state store is"),
        (
            "Csv error: incorrect number of fields for line 100002, expected 2 got 1",
            "a line of a suppression list in CSV has more or fewer",
        ),
        (
            'No such file or directory (os error 2) at path "/nowhere/.tmphJXos7"',
            "what sorts spill goes to the temporary folder: set TMPDIR",
        ),
        ("Unable to copy data to file: File too large (os error 27)", r"raise the limit for the size of one file \(ulimit -f\)"),
    ],
)
def test_what_an_engine_says_is_told_with_what_helps(said: str, fix: str) -> None:
    with pytest.raises(SourceError, match=f"What to do: {fix}"), source_errors("writing"):
        raise PySparkException(said)


class PanicException(BaseException):
    """What a panic of Rust is in Python."""


def test_sail_that_may_start_no_thread_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a limit of processes or of memory. It was a fault of the tool (exit code 1)."""

    def panics(*_: object) -> None:
        raise PanicException("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)")

    monkeypatch.setattr("pysail.spark.SparkConnectServer", panics)
    with (
        pytest.raises(ConfigError, match=r"Sail cannot be started\. Found: OS can't spawn .* What to do: let it have more threads"),
        open_engine(EngineConfig(), SourceConfig("profiles")),
    ):
        pass


@pytest.mark.parametrize(
    ("config", "region"),
    [
        (SourceConfig("s3://profiles/daily"), "eu-north-1"),
        (SourceConfig("s3://profiles/daily", "eu-west-1"), "eu-west-1"),
        (SourceConfig("s3://profiles/daily", endpoint_url="https://store.example.com"), "us-east-1"),
    ],
    ids=["AWS's own variable", "as configured", "a store of one's own"],
)
def test_the_region_of_a_bucket(monkeypatch: pytest.MonkeyPatch, config: SourceConfig, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert open_bucket(config).region == region


@pytest.mark.parametrize(
    ("kind", "path", "wanted"),
    [
        ("sail", "s3://profiles/hour=10%3A00/a b.parquet", "s3://profiles/hour=10%253A00/a b.parquet"),
        ("sail", "/data/hour=10%3A00/a.parquet", "/data/hour=10%3A00/a.parquet"),
        ("spark", "s3://profiles/hour=10%3A00/a.parquet", "s3a://profiles/hour=10%3A00/a.parquet"),
        ("spark", "/data/hour=10%3A00/a b.parquet", "file:///data/hour=10%3A00/a b.parquet"),
        ("connect", "s3://profiles/50%/a.parquet", "s3a://profiles/50%/a.parquet"),
    ],
)
def test_a_path_means_the_same_file_to_every_engine(kind: str, path: str, wanted: str) -> None:
    assert Engine(None, kind, one_machine=True).path(path) == wanted


def test_a_path_that_may_mean_two_files_to_a_server_of_spark_connect_is_refused() -> None:
    with pytest.raises(SourceError, match="read differently"):
        Engine(None, "connect", one_machine=True).path("s3://profiles/hour=10%3A00/a.parquet")


@pytest.mark.parametrize(
    ("row_bytes", "at_once", "in_group"),
    [(0, 32_768, 131_072), (300, 32_768, 131_072), (16_384, 1024, 8192), (512 << 20, 1, 1)],
    ids=["not known", "narrow", "of hundreds of columns", "of very long texts"],
)
def test_sail_takes_fewer_rows_at_once_where_they_are_wide(
    monkeypatch: pytest.MonkeyPatch, row_bytes: int, at_once: int, in_group: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    settings = sail_settings(2 << 30, row_bytes)
    assert settings["SAIL_EXECUTION__BATCH_SIZE"] == str(at_once)
    assert settings["SAIL_PARQUET__MAX_ROW_GROUP_SIZE"] == str(in_group)
