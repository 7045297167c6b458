"""Compare whole exports with what a user would write instead: same profiles, filter, deduplication, order and server.

    python benchmarks/export.py [--profiles 100000 1000000 5000000] [--audiences 1] [--rounds 3] [--sides ours-sail duckdb …]

Each side is a whole process that ends with its files on an OpenSSH server on loopback, timed in turn (A B C A B C …) after
one round to warm up. Printed: median seconds, the median over the rounds of its time divided by ours on Sail in the same
round (2.0: it takes twice as long), peak memory (largest process), and whether its files have the bytes of ours.

    ours-sail, ours-spark   jobs/activate.py with its checks, order, deduplication, proof; Spark in local mode
    duckdb                  COPY with filter, deduplication and order, then OpenSSH's `sftp`
    duckdb-checks           the same with the checks in SQL
    pyspark                 the plain script: filter, deduplicate, order, df.write.csv, paramiko's `put`
    koheesio                the same DataFrame through SendCsvToSftp of koheesio

Of our own runs it also prints the seconds of each step, and what Great Expectations takes of the whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiences import twelve
from processes import timed

from courier.synthetic import SEGMENTS, write_profiles

if TYPE_CHECKING:
    from servers import SftpServer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
AS_OF = "2026-11-01T00:00:00Z"
CONTENDERS = Path(__file__).parent / "contenders"
SIDES = ("ours-sail", "duckdb", "duckdb-checks", "pyspark", "koheesio", "ours-spark")


@dataclass
class Figures:
    """Of one side, over the rounds. `steps`: seconds of each step of ours."""

    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0
    same: bool = True
    steps: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One size: profiles, the audiences taken of them, where everything goes."""

    profiles: Path
    segments: list[str]
    work: Path
    server: SftpServer

    def command(self, side: str, inbox: str) -> list[str]:
        if side.startswith("ours"):
            return self._ours(side.removeprefix("ours-"), inbox)
        server = self.server
        asked = {
            "profiles": str(self.profiles),
            "as_of": AS_OF,
            "segments": self.segments,
            "out": str(self.work / "out"),
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "key": str(server.keys["ed25519"]),
            "known_hosts": str(server.known_hosts),
            "inbox": inbox,
            "checks": side == "duckdb-checks",
            "koheesio": side == "koheesio",
        }
        script = "duckdb_sftp.py" if side.startswith("duckdb") else "pyspark_sftp.py"
        python = str(Path(os.environ["KOHEESIO_PYTHON"]).absolute()) if side == "koheesio" else sys.executable
        return [python, str(CONTENDERS / script), json.dumps(asked)]

    def _ours(self, engine: str, inbox: str) -> list[str]:
        server = self.server
        segments = ",".join(f"{{id: '{segment}', name: '{number}'}}" for number, segment in enumerate(self.segments))
        return [
            *(
                sys.executable,
                str(ROOT / "jobs" / "activate.py"),
                "activation=demo",
                f"engine={engine}",
                f"source.path={self.profiles}",
                f"as_of={AS_OF}",
            ),
            *(f"audience.segments=[{segments}]", "consent=off", "file.name='{segment_name}'", f"state.path={self.work / 'state'}"),
            *("destination=sftp_key", f"destination.host={server.host}", f"destination.port={server.port}", f"destination.path={inbox}"),
            *(f"destination.username={server.username}", f"destination.key_file={server.keys['ed25519']}"),
            *(f"destination.known_hosts_file={server.known_hosts}", "run_id=benchmark"),
        ]


def hashes(folder: Path, count: int) -> list[str]:
    found = []
    for number in range(count):
        with (folder / f"{number}.csv").open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found


def compare(case: Case, sides: list[str], rounds: int) -> dict[str, Figures]:
    from targets import new_inbox

    figures = {side: Figures() for side in sides}
    for number in range(rounds + 1):
        expected: list[str] = []
        for side in sides:
            for name in ("out", "state"):
                shutil.rmtree(case.work / name, ignore_errors=True)
                (case.work / name).mkdir()
            folder, inbox = new_inbox(case.server)
            seconds, peak = timed(case.command(side, inbox), case.work)
            found = hashes(folder, len(case.segments))
            expected = expected or found
            mine = figures[side]
            mine.peak_mib, mine.same = max(mine.peak_mib, peak), mine.same and found == expected
            if number:
                mine.seconds.append(seconds)
                if side.startswith("ours"):
                    mine.steps.append(json.loads((case.work / "state/runs/benchmark/record.json").read_text())["seconds"])
            for file in folder.iterdir():
                os.truncate(file, 0)
    return figures


def tell(figures: dict[str, Figures]) -> None:
    reference = next(iter(figures.values())).seconds
    print(f"| {'side':<14} | seconds | × first | (least – most) | peak MiB | same bytes |\n|{'--|' * 6}")
    for side, mine in figures.items():
        ratios = sorted(one / other for one, other in zip(mine.seconds, reference, strict=True))
        middle, spread = statistics.median(ratios), f"{ratios[0]:.2f} – {ratios[-1]:.2f}"
        shown = f"{statistics.median(mine.seconds):7.2f} | {middle:7.2f} | {spread:>14} | {mine.peak_mib:8.0f} | {'yes' if mine.same else 'no':<10}"
        print(f"| {side:<14} | {shown} |")
    for side, mine in figures.items():
        if mine.steps:
            steps = {name: statistics.median(steps[name] for steps in mine.steps) for name in mine.steps[0]}
            whole = statistics.median(mine.seconds)
            rest = whole - sum(steps.values())
            told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items())
            print(f"\n{side}: {told}, start and end {rest:.1f} s; checks are {steps.get('check', 0) / whole:.0%} of the whole")
    print(flush=True)


def main() -> None:
    from servers import openssh_server

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--audiences", type=int, nargs="+", default=[1], choices=(1, 12))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    options = parser.parse_args()
    sides = [side for side in options.sides if side != "koheesio" or os.environ.get("KOHEESIO_PYTHON")]
    if sides != options.sides:
        print("koheesio is left out: KOHEESIO_PYTHON is not set (make bench sets it)\n")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="courier-export-") as name, ExitStack() as opened:
        work = Path(name)
        server = opened.enter_context(openssh_server())
        if server.password is None and "koheesio" in sides:
            print("koheesio is left out: it logs in by password only, and only root can make a user with one\n")
            sides.remove("koheesio")
        for profiles in options.profiles:
            source = work / "profiles"
            write_profiles(source, profiles)
            for audiences in options.audiences:
                segments = [next(iter(SEGMENTS))]
                if audiences > 1:
                    source, segments = twelve(work / "profiles", work)
                print(f"### {profiles:,} profiles, {audiences} audience{'s' if audiences > 1 else ''}\n")
                tell(compare(Case(source, segments, work, server), sides, options.rounds))
            for folder in ("profiles", "twelve"):
                shutil.rmtree(work / folder, ignore_errors=True)


if __name__ == "__main__":
    main()
