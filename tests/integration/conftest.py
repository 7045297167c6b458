"""State stores, one of each kind, each empty for its test; and deliveries to one destination of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aws_server import aws_server
from deliveries import Sender
from servers import S3Server
from targets import ACCESS_KEY_ENV, SECRET_KEY_ENV, Target

from courier.config import StateConfig
from courier.destinations import connections
from courier.state import Store, open_store


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with aws_server("the-state") as server:
        yield server.endpoint_url


@pytest.fixture(params=["local", "moto", "rclone"])
def state_config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateConfig:
    if request.param == "local":
        return StateConfig(path=str(tmp_path / "state"))
    keys = {"access_key_id_env": ACCESS_KEY_ENV, "secret_access_key_env": SECRET_KEY_ENV}
    if request.param == "rclone":
        server: S3Server = request.getfixturevalue("rclone_s3")
        endpoint, bucket, values = server.endpoint_url, server.bucket, (server.access_key, server.secret_key)
    else:
        endpoint, bucket, values = request.getfixturevalue("moto"), "the-state", ("key", "secret")
    monkeypatch.setenv(ACCESS_KEY_ENV, values[0])
    monkeypatch.setenv(SECRET_KEY_ENV, values[1])
    path = f"s3://{bucket}/state/{tmp_path.name}"
    return StateConfig(kind="s3", path=path, region="us-east-1", endpoint_url=endpoint, work_path=str(tmp_path), **keys)


@pytest.fixture
def store(state_config: StateConfig) -> Store:
    return open_store(state_config)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts."""
    monkeypatch.setattr(connections, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture(params=["local", "s3", "sftp_key_ed25519"])
def sender(request: pytest.FixtureRequest, make_target: Callable[[str], Target], tmp_path: Path) -> Sender:
    return Sender(make_target(request.param).with_config(connections=1), tmp_path / "state")
