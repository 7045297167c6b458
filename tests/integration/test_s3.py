"""What a user reads when S3 is not as configured, and where credentials come from."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from targets import ACCESS_KEY_ENV, RUN_ID, SECRET_KEY_ENV, Target

from courier.config import S3Config
from courier.destinations import open_destination
from courier.errors import ConfigError, CourierError, DeliveryError, TerminalError, TransientError

MakeTarget = Callable[[str], Target]


@pytest.fixture
def target(make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch) -> Target:
    """With nothing of the credentials of whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return make_target("s3")


def refused(target: Target) -> CourierError:
    """The error of a connection that stages a file; the secret is not in it, nor in what caused it."""
    with pytest.raises(DeliveryError) as raised:
        target.connect().stage("audience.csv", [b"x"])
    shown, error = [], raised.value
    assert "\n" not in str(error)
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__
    assert not any(target.secrets[SECRET_KEY_ENV] in text for text in shown)
    return error


def test_a_missing_bucket(target: Target) -> None:
    error = refused(target.with_config(bucket="no-such-bucket"))
    assert isinstance(error, TerminalError)
    assert "s3://no-such-bucket" in str(error)
    assert "check destination.bucket" in str(error)


def test_a_wrong_secret_key(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_KEY_ENV, "wr0ng-s3cret")
    error = refused(target)
    assert isinstance(error, TerminalError)
    assert "s3://audiences" in str(error)
    assert "SignatureDoesNotMatch" in str(error)
    assert "wr0ng-s3cret" not in str(error) + repr(vars(error))


def test_an_unknown_access_key(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCESS_KEY_ENV, "AKSTRANGER")
    error = refused(target)
    assert isinstance(error, TerminalError)
    assert "s3://audiences" in str(error)
    assert "check the access key" in str(error)


def test_an_endpoint_that_is_down(target: Target) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        error = refused(target.with_config(endpoint_url=f"http://127.0.0.1:{probe.getsockname()[1]}"))
    assert isinstance(error, TransientError)
    assert "cannot be reached" in str(error)
    assert "destination.endpoint_url" in str(error)


def test_an_endpoint_that_is_no_url(target: Target) -> None:
    with pytest.raises(CourierError) as raised:
        target.with_config(endpoint_url="127.0.0.1:9000").connect()
    assert "127.0.0.1:9000" in str(raised.value)


def test_no_credentials_at_all(target: Target) -> None:
    error = refused(target.with_config(access_key_id_env=None, secret_access_key_env=None))
    assert isinstance(error, TerminalError)
    assert "There are no AWS credentials" in str(error)


def test_unset_variables_are_told_before_anything_else(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_KEY_ENV)
    with pytest.raises(ConfigError, match=SECRET_KEY_ENV):
        open_destination(target.config, RUN_ID)


def test_the_default_chain_finds_the_usual_variables(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", target.secrets[ACCESS_KEY_ENV])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", target.secrets[SECRET_KEY_ENV])
    target = target.with_config(access_key_id_env=None, secret_access_key_env=None)
    connection = target.connect()
    connection.publish(connection.stage("audience.csv", [b"x"]), replace=False)
    assert target.everything() == {"audience.csv": b"x"}


@pytest.mark.parametrize(("addressing", "region"), [("path", None), ("path", "eu-central-1"), ("auto", "us-east-1")])
def test_path_style_and_any_region(target: Target, addressing: str, region: str | None) -> None:
    target = target.with_config(addressing=addressing, region=region)
    connection = target.connect()
    connection.publish(connection.stage("audience.csv", [b"x"]), replace=False)
    assert target.everything() == {"audience.csv": b"x"}


@pytest.mark.parametrize("path", ["/{}/", "{}/", "/{}"])
def test_slashes_around_the_folder_make_no_difference(target: Target, path: str) -> None:
    target = target.with_config(path=path.format(target.config.path))
    connection = target.connect()
    uri = connection.publish(connection.stage("audience.csv", [b"x"]), replace=False)
    assert target.everything() == {"audience.csv": b"x"}
    assert "//" not in uri.removeprefix("s3://")


def test_a_bucket_without_a_folder(target: Target) -> None:
    assert isinstance(target.config, S3Config)
    name = target.config.path.replace("/", "-") + ".csv"
    connection = target.with_config(path="").connect()
    assert connection.publish(connection.stage(name, [b"x"]), replace=False) == f"s3://audiences/{name}"
    assert (target.folder.parents[1] / name).read_bytes() == b"x"
    connection.remove(name)
    assert connection.exists(name) is False
