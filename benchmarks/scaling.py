"""How an export's time grows, and what plan and publication cost for thousands of files.

    python benchmarks/scaling.py [rows] [cores] [executors] [files] [--profiles 100000 1000000 5000000] [--files 10000]

    rows       whole exports to a folder on Sail, one for each number of profiles: seconds, seconds of each step, peak memory
    cores      the same with the largest number of profiles, on 1 core and on all, on both engines
    executors  the same on Spark with a cluster of processes on this machine, of 1 and of 2 executors with a core each
    files      plan and delivery of so many tiny files: to a folder, and to OpenSSH with 20 ms of delay. What is left is what
               each file costs whatever its size; also the bytes of the journal and the peak memory

One run of each after one to warm up; the figures of docs/scaling.md are from here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processes import timed

from courier import plan
from courier.compose import load
from courier.config import LocalConfig, SftpKeyConfig
from courier.rows.counts import Slice
from courier.synthetic import SEGMENTS, write_profiles

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
ROWS_IN_FILE = 100_000
DELAY_SECONDS = 0.02


def export(work: Path, engine: str, cores: int, *overrides: str) -> tuple[float, float, dict[str, float]]:
    """Seconds, peak MiB of the largest process, and seconds of each step, of one run on so many cores."""
    shutil.rmtree(work / "state", ignore_errors=True)
    command = [
        sys.executable,
        str(ROOT / "jobs" / "activate.py"),
        "activation=demo",
        f"engine={engine}",
        f"source.path={work / 'profiles'}",
        "run_id=one",
    ]
    command += [f"audience.segments=[{next(iter(SEGMENTS))}]", f"destination.path={work / 'out'}", f"state.path={work / 'state'}"]
    command += ["destination.on_conflict=replace", "as_of=2026-11-01T00:00:00Z", *overrides]
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])  # which the process inherits
    seconds, peak = timed(command, work)
    os.sched_setaffinity(0, all_cores)
    record = json.loads((work / "state/runs/one/record.json").read_text())
    return seconds, peak, record["seconds"]


def tell_export(title: str, work: Path, engine: str, cores: int, *overrides: str) -> None:
    export(work, engine, cores, *overrides)
    seconds, peak, steps = export(work, engine, cores, *overrides)
    told = ", ".join(f"{name} {found:.1f}" for name, found in steps.items())
    print(f"  {title}: {seconds:6.2f} s, peak {peak:5.0f} MiB ({told})", flush=True)


def rows(options: argparse.Namespace) -> None:
    for profiles in options.profiles:
        with folder() as work:
            write_profiles(work / "profiles", profiles)
            tell_export(f"{profiles:>11,} profiles, Sail", work, "sail", os.cpu_count() or 1)


def cores(options: argparse.Namespace) -> None:
    with folder() as work:
        write_profiles(work / "profiles", max(options.profiles))
        for engine in ("sail", "spark"):
            for count in sorted({1, os.cpu_count() or 1}):
                tell_export(f"{max(options.profiles):,} profiles, {engine}, {count} core{'s' if count > 1 else ''}", work, engine, count)


def executors(options: argparse.Namespace) -> None:
    with folder() as work:
        write_profiles(work / "profiles", max(options.profiles))
        for count in (1, 2):
            master = f"engine.master='local-cluster[{count},1,2048]'"
            title = f"{max(options.profiles):,} profiles, spark, {count} executor{'s' if count > 1 else ''}"
            tell_export(title, work, "spark", os.cpu_count() or 1, master, "+engine.settings={spark.executor.memory:2g}")


def files(options: argparse.Namespace) -> None:
    from delay_proxy import delay_proxy
    from servers import openssh_server

    with folder() as work:
        config = load(["activation=demo", f"audience.segments=[{next(iter(SEGMENTS))}]", f"source.path={work}"], now=datetime.now(UTC))
        cuts = [Slice(number * ROWS_IN_FILE, ROWS_IN_FILE) for number in range(options.files)]
        started = time.monotonic()
        names = [file.name for file in plan.planned_files(config, 0, [cuts])]
        print(f"  plan of {len(names):,} files: {time.monotonic() - started:.2f} s", flush=True)
        send(f"{len(names):,} files to a folder", LocalConfig(kind="local", name="local", path=str(work / "out")), work, names)
        with openssh_server() as server, delay_proxy(server.port, DELAY_SECONDS) as far_server:
            login: dict[str, Any] = {
                "host": server.host,
                "port": far_server.port,
                "username": server.username,
                "key_file": str(server.keys["ed25519"]),
            }
            far = SftpKeyConfig(
                kind="sftp_key",
                name="far",
                path=server.remote_inbox,
                host_key_fingerprint=server.host_key_fingerprint,
                connections=8,
                **login,
            )
            send(f"{len(names):,} files to OpenSSH, {DELAY_SECONDS * 1000:.0f} ms away, 8 connections", far, work, names)


def send(title: str, destination: LocalConfig | SftpKeyConfig, work: Path, names: list[str]) -> None:
    from deliveries import Sender
    from targets import Target

    (work / "out").mkdir(exist_ok=True)
    state = work / f"state-{destination.kind}"
    sender = Sender(Target(destination, work / "out"), state, names=names, closing=["manifest.json"])
    started = time.monotonic()
    sender.send(lambda name: iter([name.encode()]))
    seconds = time.monotonic() - started
    journal = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each, kept = seconds / len(names) * 1000, journal / len(names)
    print(f"  {title}: {seconds:.1f} s, {each:.1f} ms a file; {kept:.0f} bytes of state a file; peak {peak:.0f} MiB", flush=True)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="courier-scaling-") as name:
        yield Path(name)


def main() -> None:
    scenarios = {"rows": rows, "cores": cores, "executors": executors, "files": files}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(scenarios))
    parser.add_argument("--profiles", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    for name in options.scenarios or scenarios:
        print(name, flush=True)
        scenarios[name](options)


if __name__ == "__main__":
    main()
