"""A server of Spark Connect: the engine is another process, whose disk may be another one."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pyspark
import pytest
from activation import activate, run_job
from servers import can_mount
from xdm_profiles import profile, write_profiles

SAIL = """
import sys
from pysail.spark import SparkConnectServer
server = SparkConnectServer(sys.argv[1], 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
"""
SEGMENTS = "audience.segments=[a]"


@contextlib.contextmanager
def sail_server(*launcher: str, address: str = "127.0.0.1") -> Iterator[str]:
    """Sail's server in a process of its own."""
    command = [*launcher, sys.executable, "-c", SAIL, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"sc://{address}:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextlib.contextmanager
def spark_server(**more: str) -> Iterator[str]:
    """Spark's own, which the pyspark package brings along. `more`: settings, with _ in place of dots."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(pyspark.__file__).parent
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    arguments = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    server = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", "local[2]", *arguments, "spark-internal"]
    with subprocess.Popen([str(home / "bin" / "spark-submit"), *server], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            give_up = time.monotonic() + 60
            while time.monotonic() < give_up:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.2)
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    members = {"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(tmp_path / "profiles", [profile(email=f"{number:03d}@example.com", segments=members) for number in range(90)])
    return tmp_path


@pytest.mark.parametrize("server", [sail_server, spark_server], ids=["sail", "spark"])
def test_a_server_that_shares_the_disk_gives_the_same_bytes(folder: Path, server: Callable[[], AbstractContextManager[str]]) -> None:
    here = [f"source.path={folder}/profiles", SEGMENTS, "checks=email"]
    expected = activate(folder, *here).succeeded().files()
    with server() as remote:
        job = activate(
            folder,
            *here,
            "engine=connect",
            f"engine.remote={remote}",
            f"state.path={folder}/state",
            "destination.path=connected",
            run_id="connected",
        )
        job.succeeded()
    (name,) = expected
    assert (folder / "connected" / name).read_bytes() == expected[name]


def test_a_server_that_wants_a_token_gets_it(folder: Path) -> None:
    token = "a-token-that-nobody-else-sees=="
    places = [f"source.path={folder}/profiles", SEGMENTS, "engine=connect", f"state.path={folder}/state"]
    with spark_server(spark_connect_authenticate_token=token) as remote:
        refused = activate(folder, *places, f"engine.remote={remote}")
        refused.refused(2, "The engine cannot be reached")
        job = activate(
            folder,
            *places,
            f"engine.remote={remote.replace('127.0.0.1', 'localhost')}",
            "engine.token_env=CONNECT_TOKEN",
            CONNECT_TOKEN=token,
        ).succeeded()
    assert token not in job.stdout + job.stderr + str(job.record())


def test_a_server_that_writes_to_another_disk_is_noticed_and_nothing_is_sent(folder: Path) -> None:
    if not can_mount():
        pytest.skip("only root where it may mount can give a server a disk of its own")
    state = folder / "state"
    state.mkdir(mode=0o700)
    with sail_server("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {state} && exec "$@"', "sh") as remote:
        job = activate(
            folder, f"source.path={folder}/profiles", SEGMENTS, "engine=connect", f"engine.remote={remote}", f"state.path={state}"
        )
    job.refused(2, "The engine has written the snapshot to another disk than this machine's", "0 of 90 rows", "state=s3")


def test_a_server_elsewhere_wants_a_bucket(folder: Path) -> None:
    with sail_server(address="127.0.0.2") as remote:  # any address but this machine's usual ones
        job = activate(folder, SEGMENTS, "engine=connect", f"engine.remote={remote}")
    job.refused(2, "The executors do not see the driver's disk", "engine.shared_disk=true")


def test_a_server_that_is_not_there_is_told_at_once(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "engine=connect", "engine.remote=sc://127.0.0.1:1")
    job.refused(2, "The engine cannot be reached. Where: engine.remote sc://127.0.0.1:1. Found: Connection refused.")


def test_a_server_that_does_not_speak_spark_connect_is_told_in_seconds(folder: Path) -> None:
    """As at another port. The client itself would try for ten minutes, and Ctrl-C not end it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = f"sc://127.0.0.1:{silent.getsockname()[1]}"
        job = activate(folder, SEGMENTS, "engine=connect", f"engine.remote={remote}")
    job.refused(2, f"The engine cannot be reached. Where: engine.remote {remote}.", "for 20 seconds", "look at the port")


def test_a_preflight_computes_where_the_server_can_write(folder: Path) -> None:
    """That is the state store's folder, and not this machine's temporary one."""
    if not can_mount():
        pytest.skip("only root where it may mount can give a server a disk of its own")
    temporary = folder / "temporary"
    temporary.mkdir()
    with sail_server("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {temporary} && exec "$@"', "sh") as remote:
        places = [f"source.path={folder}/profiles", "engine=connect", f"engine.remote={remote}", f"state.path={folder}/state"]
        job = run_job("preflight.py", folder, SEGMENTS, *places, TMPDIR=str(temporary)).succeeded()
    assert ": 90 rows" in job.stdout
    assert [path.name for path in (folder / "state").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("left", [{}, {"SPARK_REMOTE": "sc://127.0.0.1:1"}], ids=["of a session", "of a shell"])
def test_spark_is_spark_also_below_a_process_that_is_a_client(folder: Path, left: dict[str, str]) -> None:
    """As a notebook is that has Sail open, or a shell in which a server is named."""
    job = activate(folder, SEGMENTS, "engine=spark", SPARK_CONNECT_MODE_ENABLED="1", **left).succeeded(quiet=False)
    (content,) = job.files().values()
    assert content.count(b"\n") == 91
