"""Real servers, one of each kind for the whole session, started when a test first asks for one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from recording_server import PASSWORD, RecordingServer, recording_server
from servers import S3Server, SftpServer, find_proftpd, missing, openssh_server, proftpd_server, rclone_s3_server, rclone_sftp_server
from targets import PASSWORD_ENV, Target, local_target, s3_target, sftp_key_target, sftp_password_target

# For every JVM of the tests, also those of jobs; what a test sets itself wins.
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark"))

# A busy machine is no failure.
settings.register_profile("courier", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("courier")

#: What a target is made of: by name, so that tests can be parametrised by it.
KINDS = [
    "local",
    "s3",
    "sftp_password_openssh",
    "sftp_password_rclone",
    "sftp_password_proftpd",
    "sftp_key_ed25519",
    "sftp_key_rsa",
    "sftp_key_ecdsa",
    "sftp_key_ed25519_passphrase",
    "sftp_key_ed25519_variable",
]


@pytest.fixture(scope="session")
def _installed() -> None:
    sentences = missing()
    if sentences:
        pytest.fail("The servers for the tests cannot be started. " + ". ".join(sentences))


@pytest.fixture(scope="session")
def openssh(_installed: None) -> Iterator[SftpServer]:
    with openssh_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_sftp(_installed: None) -> Iterator[SftpServer]:
    with rclone_sftp_server() as server:
        yield server


@pytest.fixture(scope="session")
def proftpd() -> Iterator[SftpServer]:
    reason = find_proftpd()
    if reason:
        pytest.skip(reason)
    with proftpd_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(_installed: None) -> Iterator[S3Server]:
    with rclone_s3_server() as server:
        yield server


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """A server of the test's own that misbehaves on demand."""
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    with recording_server(tmp_path / "served") as server:
        yield server


@pytest.fixture
def make_target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Target]:
    """A new, empty destination of a kind, with the variables set that hold its secrets."""

    def make(kind: str) -> Target:
        made = _made(kind, request, tmp_path)
        for name, value in made.secrets.items():
            monkeypatch.setenv(name, value)
        return made

    return make


def _made(kind: str, request: pytest.FixtureRequest, folder: Path) -> Target:
    if kind == "local":
        return local_target(folder)
    if kind == "s3":
        return s3_target(request.getfixturevalue("rclone_s3"))
    if kind == "sftp_password_rclone":
        return sftp_password_target(request.getfixturevalue("rclone_sftp"))
    if kind == "sftp_password_proftpd":
        return sftp_password_target(request.getfixturevalue("proftpd"))
    openssh: SftpServer = request.getfixturevalue("openssh")
    if kind == "sftp_password_openssh":
        if openssh.password is None:
            pytest.skip("only root can make the user whom OpenSSH knows by a password")
        return sftp_password_target(openssh)
    key = kind.removeprefix("sftp_key_")
    return sftp_key_target(openssh, key.removesuffix("_variable"), by_variable=key.endswith("_variable"))


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, make_target: Callable[[str], Target]) -> Target:
    """Every kind of destination in turn."""
    return make_target(request.param)
