"""A secret by a variable, a file, or AWS Secrets Manager; nothing of it in a message."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from aws_server import aws_server

from courier.errors import ConfigError
from courier.secrets import referred

SECRET = "hunter2 is no password"


@dataclass
class Login:
    GROUP: ClassVar[str] = "destination"

    password_env: str | None = None
    password_file: str | None = None
    password_secret: str | None = None


@pytest.fixture(scope="module")
def manager() -> Iterator[str]:
    """A Secrets Manager with a text, a JSON object and an empty object; the ARN of the first."""
    with aws_server("unused") as server, pytest.MonkeyPatch.context() as patched:
        for name, value in {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": server.endpoint_url,
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            patched.setenv(name, value)
        client = boto3.client("secretsmanager")
        arn = str(client.create_secret(Name="prod/crm", SecretString=SECRET)["ARN"])
        client.create_secret(Name="prod/json", SecretString=json.dumps({"password": SECRET, "port": 22}))
        yield arn


def test_a_file_wins_over_the_variable_and_loses_its_line_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "another")
    (tmp_path / "password").write_text(f"{SECRET}\n")
    assert referred(Login("PASSWORD", str(tmp_path / "password")), "password") == SECRET
    assert referred(Login("PASSWORD"), "password") == "another"
    assert referred(Login(), "password") is None


def test_a_managed_secret_is_fetched_by_name_arn_or_key(manager: str) -> None:
    found = [referred(Login(password_secret=name), "password") for name in ("prod/crm", manager, "prod/json#password")]
    assert found == [SECRET] * 3


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (Login(password_file="/nowhere/password"), "Where: destination.password_file /nowhere/password."),
        (Login(password_file=SECRET), "Where: destination.password_file. Found: No such file or directory."),
        (Login(password_env="Hunter2secret"), "Where: destination.password_env. Found: a name that is not shown"),
        (Login(password_env="SFTP_PASSWD"), "Where: destination.password_env. Found: SFTP_PASSWD. What to do: export SFTP_PASSWD=…"),
        (
            Login(password_secret="prod/none"),
            "Where: destination.password_secret prod/none in AWS Secrets Manager. Found: ResourceNotFoundException",
        ),
        (Login(password_secret="Hunter2secret"), "Where: destination.password_secret in AWS Secrets Manager."),
        (Login(password_secret="prod/crm#password"), "no JSON object"),
        (Login(password_secret="prod/json#missing"), "empty or no text"),
        (Login(password_secret="prod/json#port"), "empty or no text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_secret_that_is_not_there_is_told_without_what_is(manager: str, login: Login, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        referred(login, "password")
    assert message in str(refused.value)
    assert SECRET not in str(refused.value) + repr(refused.value.__cause__)
    assert "Hunter2secret" not in str(refused.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        referred(Login(password_file=str(tmp_path / "password")), "password")


@pytest.mark.parametrize(("tool", "found"), [("/no/tool", "/no/tool: No such file or directory"), ("/bin/echo no JSON", "JSONDecodeError")])
def test_credentials_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, found: str) -> None:
    (tmp_path / "config").write_text(f"[profile uploader]\ncredential_process = {tool}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "uploader", "AWS_DEFAULT_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"Where: destination.password_secret prod/crm in AWS Secrets Manager. Found: {found}"):
        referred(Login(password_secret="prod/crm"), "password")
