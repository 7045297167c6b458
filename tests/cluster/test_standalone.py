"""deploy/submit-standalone.sh to a Spark cluster in client mode, from a folder that holds the deployable and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from clusters import Submitted, kill
from sites import Site
from slow_proxy import SlowProxy, slow_proxy
from targets import s3_client

#: A file of 80 kB takes some seconds at this rate.
BYTES_PER_SECOND = 20_000
AT_ONCE = 1e9


def without_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith("manifest-")}


@pytest.fixture
def slow(site: Site) -> Iterator[SlowProxy]:
    with slow_proxy(site.server.port, AT_ONCE) as proxy:
        yield proxy


def logging_to(folder: Path) -> dict[str, str]:
    return {"spark__eventLog__enabled": "true", "spark__eventLog__compress": "false", "spark__eventLog__dir": f"file://{folder}"}


def uploading(site: Site, run: Submitted) -> None:
    """Return when some of a file is there that nobody sees."""
    give_up = time.monotonic() + 600
    while not any(name.startswith(".courier-") for name in site.delivered()):
        assert run.process.poll() is None, run.text
        assert time.monotonic() < give_up, run.text
        time.sleep(0.02)


def test_the_same_bytes_as_on_one_machine_over_sftp_and_to_s3(site: Site, local_files: dict[str, bytes], tmp_path: Path) -> None:
    expected = local_files
    before = {path.name for path in site.folder.iterdir()}
    events = tmp_path / "events"
    events.mkdir()
    run = site.submit(*site.arguments("to-sftp", *site.to_sftp()), **logging_to(events))
    assert run.code() == 0, run.text
    assert without_manifest(site.delivered()) == expected
    left = {path.name for path in site.folder.iterdir()} - before  # no outputs/, no spark-warehouse/, no state/
    assert all(name.startswith("environment-") for name in left), left  # the driver's, unpacked by the first that submits
    logged = "".join(path.read_text(errors="replace") for path in events.rglob("*") if path.is_file())
    assert '"spark.app.name":"audience-courier"' in logged  # what is looked through is an event log
    assert [name for name, value in site.values().items() if value in logged + run.text] == []

    prefix = f"exports/{site.inbox.name}"
    own = tmp_path / "conf" / "activation"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\ndefaults: [demo]\nfile: {name: members}\n")
    arguments = [each.replace("activation=demo", "activation=mine") for each in site.arguments("to-s3", *site.to_s3(prefix))]
    run = site.submit("--config-dir", str(tmp_path / "conf"), *(each for each in arguments if each != "file.name=members"))
    assert run.code() == 0, run.text
    objects = {path.name: path.read_bytes() for path in (site.s3.folder / prefix).rglob("*") if path.is_file()}
    assert without_manifest(objects) == expected
    assert "Uploads" not in s3_client(site.s3).list_multipart_uploads(Bucket=site.s3.bucket)
    record = site.record("to-s3")
    assert (record["status"], record["engine"], record["activation"]) == ("published", "spark", "mine")


def test_an_executor_that_is_killed_while_it_uploads_leaves_one_copy_of_each_file(
    site: Site, slow: SlowProxy, local_files: dict[str, bytes]
) -> None:
    slow.bytes_per_second = BYTES_PER_SECOND
    run = site.submit(*site.arguments("killed", *site.to_sftp(slow.port)))
    uploading(site, run)
    shown = b"".join(command_lines())
    assert [name for name, value in site.values().items() if value.encode() in shown] == []
    begun = set(site.delivered())
    for executor in site.cluster.executors():
        kill(executor)
    slow.bytes_per_second = AT_ONCE
    assert run.code() == 0, run.text
    assert begun  # there was something to leave behind
    assert without_manifest(site.delivered()) == local_files
    assert "manifest-sftp_password-killed.json" in site.delivered()


def test_a_driver_that_is_killed_while_executors_upload_is_started_again_and_leaves_one_copy_of_each_file(
    site: Site, slow: SlowProxy, local_files: dict[str, bytes]
) -> None:
    slow.bytes_per_second = BYTES_PER_SECOND
    arguments = site.arguments("again", *site.to_sftp(slow.port))
    run = site.submit(*arguments)
    uploading(site, run)
    os.killpg(run.process.pid, signal.SIGKILL)  # spark-submit and the driver below it; executors have other ancestors
    slow.bytes_per_second = AT_ONCE
    run = site.submit(*arguments)
    assert run.code() == 0, run.text
    assert "they were not computed again" in run.text
    assert without_manifest(site.delivered()) == local_files


def test_speculative_attempts_leave_one_copy_of_each_file(
    site: Site, slow: SlowProxy, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    slow.bytes_per_second = BYTES_PER_SECOND
    events = tmp_path / "events"
    events.mkdir()
    eager = {
        "spark__speculation": "true",
        "spark__speculation__interval": "100ms",
        "spark__speculation__task__duration__threshold": "1s",
        **logging_to(events),
    }
    run = site.submit(*site.arguments("speculation", "destination.connections=2", *site.to_sftp(slow.port)), **eager)
    assert run.code() == 0, run.text
    logged = "".join(path.read_text(errors="replace") for path in events.rglob("*") if path.is_file())
    assert '"Speculative":true' in logged  # Spark did run second attempts
    assert without_manifest(site.delivered()) == local_files


def test_the_cap_on_connections_holds_over_all_executors_and_a_task_that_crashes_is_done_again(
    site: Site, slow: SlowProxy, local_files: dict[str, bytes]
) -> None:
    slow.bytes_per_second = BYTES_PER_SECOND
    run = site.submit(*site.arguments("cap", "destination.connections=2", *site.to_sftp(slow.port)))
    uploading(site, run)
    for executor in site.cluster.executors():
        for pid in servers._descendants(executor):
            for python in servers._descendants(pid):  # below the daemon: one process a task
                kill(python)
    slow.bytes_per_second = 10 * BYTES_PER_SECOND
    assert run.code() == 0, run.text
    assert without_manifest(site.delivered()) == local_files
    assert slow.most == 2  # there were four cores, and two workers


def test_a_preflight_on_a_cluster_shows_what_would_be_sent_and_leaves_nothing(site: Site, local_files: dict[str, bytes]) -> None:
    run = site.submit(*site.arguments("tried", *site.to_sftp()), JOB="preflight.py")
    assert run.code() == 0, run.text
    for name, content in local_files.items():
        rows = content.count(b"\n") - 1
        assert f"  {name}: {rows:,} rows" in run.text
    assert "Ready: the activation can run" in run.text
    assert site.delivered() == {}
    assert site.stored() == []


def test_a_preflight_on_a_cluster_of_what_is_held_and_of_its_release(site: Site, local_files: dict[str, bytes]) -> None:
    held = site.arguments("held", *site.to_sftp(), "guard.max_rows=10")
    run = site.submit(*held, JOB="preflight.py")
    assert run.code() == 3, run.text
    assert "held: it has " in run.text
    assert site.stored() == []
    run = site.submit(*held)
    assert run.code() == 3, run.text
    before = site.stored()
    run = site.submit(*site.arguments("tried", *site.to_sftp(), "release=held"), JOB="preflight.py")
    assert run.code() == 0, run.text
    assert all(f"  {name}: " in run.text for name in local_files)
    assert site.stored() == before
    assert site.delivered() == {}


def test_what_only_the_driver_sees_is_refused(site: Site, profiles: Path) -> None:
    arguments = [each for each in site.arguments("local", *site.to_sftp()) if not each.startswith("state")]
    run = site.submit(*arguments, f"source.path={profiles}")
    assert run.code() == 2, run.text
    assert "The executors do not see the driver's disk" in run.text
    assert f"source.path {profiles}; state.path state (state=local)" in run.text
    assert site.delivered() == {}


def command_lines() -> Iterator[bytes]:
    """Of all processes here, but for this one's own."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue
