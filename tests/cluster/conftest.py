"""What the tests on a cluster share: the jars, the packed deployable, a store of profiles on S3, and a server to deliver to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from activation import activate
from aws_server import AwsServer, aws_server
from clusters import REPOSITORY, Cluster, end, fetched_jars, s3_jars, standalone_cluster
from servers import S3Server, SftpServer, missing, openssh_server, rclone_s3_server
from sites import AS_OF, STATE_BUCKET, Site
from targets import new_inbox, s3_client

from courier.synthetic import write_profiles

PROFILES = 20_000
OUT_OF_REACH = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def jars(request: pytest.FixtureRequest) -> list[str]:
    """What may be installed here must be there; what no one here can help is a reason to skip."""
    reason = fetched_jars()
    if reason and reason.startswith("Maven is missing"):
        pytest.fail(f"{reason}, or run make cluster-test")
    if reason:
        request.config.stash[OUT_OF_REACH] = reason
        pytest.skip(reason)
    return s3_jars()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Skipped tests end well. That must not look as if something had been tested."""
    if OUT_OF_REACH in config.stash:
        terminalreporter.section("NOTHING WAS TESTED ON A CLUSTER", sep="!", red=True)
        terminalreporter.line(config.stash[OUT_OF_REACH])


@pytest.fixture(scope="session")
def dist() -> Path:
    """What `make dist` makes, made anew."""
    done = subprocess.run(
        [str(REPOSITORY / "scripts" / "dist"), sys.executable], cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return REPOSITORY / "dist"


@pytest.fixture(scope="session")
def deployed(jars: list[str], dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's folder that holds the deployable and nothing else."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "environment.tar.gz").symlink_to(dist / "environment.tar.gz")
    for part in ("jobs", "deploy"):
        shutil.copytree(dist / part, folder / part)
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("spark")) as found:
        yield found


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    assert missing() == []
    with rclone_s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    with aws_server(STATE_BUCKET) as server:
        yield server


@pytest.fixture(scope="session")
def sftp() -> Iterator[SftpServer]:
    with openssh_server() as server:
        yield server


@pytest.fixture(scope="session")
def profiles(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same profiles on this disk and, as `profiles/`, in the bucket."""
    folder = tmp_path_factory.mktemp("profiles")
    for file in write_profiles(folder, PROFILES, 7):
        s3_client(s3).upload_file(str(file), s3.bucket, f"profiles/{file.name}")
    return folder


@pytest.fixture
def site(
    jars: list[str], cluster: Cluster, deployed: Path, s3: S3Server, aws: AwsServer, sftp: SftpServer, profiles: Path, tmp_path: Path
) -> Iterator[Site]:
    secrets = {}
    for name, value in {"id": s3.access_key, "key": s3.secret_key, "password": str(sftp.password)}.items():
        secrets[name] = tmp_path / name
        secrets[name].write_text(f"{value}\n")
    inbox, remote = new_inbox(sftp)
    made = Site(cluster, deployed, s3, aws, sftp, secrets, jars, inbox, remote)
    try:
        yield made
    finally:
        for started in made.started:
            end(started)


@pytest.fixture(scope="session")
def local_files(profiles: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the same activation delivers on this machine alone, on Sail."""
    folder = tmp_path_factory.mktemp("local")
    options = ["activation=demo", f"source.path={profiles}", "file.name=members", "file.max_rows=1000"]
    return activate(folder, *options, as_of=AS_OF).succeeded().files()
