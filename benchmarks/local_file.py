"""Compare a whole run with the DuckDB script one would write by hand: same profiles, filter, deduplication, order and file.

    python benchmarks/local_file.py [--profiles 5000000] [--runs 3] [--engine sail] [--no-twice]

Each side is a whole process, timed in turn (A B A B …) after one warm-up of each; medians and the ratio of the medians
are printed, the peak memory of each (largest process), and whether the files have the same bytes. Then the same run on
twice the profiles.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from courier.synthetic import SEGMENTS, write_profiles

ROOT = Path(__file__).parents[1]
SEGMENT = next(iter(SEGMENTS))
AS_OF = "2026-11-01T00:00:00Z"

DUCKDB_SCRIPT = f"""
import duckdb, sys
connection = duckdb.connect()
connection.sql("set threads = " + sys.argv[3])
connection.sql(f\"\"\"
copy (
  select email, phone, first_name, last_name, city, state, postal_code, birthday
  from (
    select personalEmail.address as email, mobilePhone.number as phone, person.name.firstName as first_name,
           person.name.lastName as last_name, homeAddress.city as city, homeAddress.stateProvince as state,
           homeAddress.postalCode as postal_code, person.birthDayAndMonth as birthday,
           segmentMembership['ups']['{SEGMENT}'] as membership
    from '{{sys.argv[1]}}/*.parquet'
  )
  where membership.status in ('realized', 'existing')
    and (membership.validUntil is null or membership.validUntil > timestamptz '{AS_OF}')
    and trim(email) <> ''
  qualify row_number() over (partition by email order by membership.lastQualificationTime desc nulls last,
          phone, first_name, last_name, city, state, postal_code, birthday) = 1
  order by email
) to '{{sys.argv[2]}}' (header, delimiter ',')
\"\"\")
"""


def timed(command: list[str], cwd: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one process."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ours(engine: str, profiles: Path, work: Path) -> list[str]:
    return [
        *(sys.executable, str(ROOT / "jobs" / "activate.py"), f"engine={engine}", f"source.path={profiles}", f"as_of={AS_OF}"),
        *(f"destination.path={work / 'out'}", f"state.path={work / 'state'}", "destination.on_conflict=replace", "file.name=ours"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profiles", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", default="sail")
    parser.add_argument("--no-twice", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        once = work / "once"
        write_profiles(once, options.profiles)
        duckdb = [sys.executable, "-c", DUCKDB_SCRIPT, str(once), str(work / "duckdb.csv"), str(os.cpu_count())]
        figures: dict[str, list[tuple[float, float]]] = {"ours": [], "DuckDB": []}
        for number in range(options.runs + 1):
            for name, command in (("ours", ours(options.engine, once, work)), ("DuckDB", duckdb)):
                figure = timed(command, work)
                shutil.rmtree(work / "state", ignore_errors=True)
                if number:
                    figures[name].append(figure)
        medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in figures.items()}
        peaks = {name: max(peak for _, peak in runs) for name, runs in figures.items()}
        print(f"{options.profiles:,} profiles, engine {options.engine}, {os.cpu_count()} cores, {options.runs} runs each")
        for name in figures:
            print(f"  {name:<8} median {medians[name]:6.2f} s   peak {peaks[name]:6.0f} MiB")
        print(f"  ratio    {medians['ours'] / medians['DuckDB']:.2f}")
        print(f"  same bytes: {sha256(work / 'out' / 'ours.csv') == sha256(work / 'duckdb.csv')}")
        if not options.no_twice:
            shutil.rmtree(once)
            write_profiles(work / "twice", 2 * options.profiles)
            seconds, peak = timed(ours(options.engine, work / "twice", work), work)
            print(f"  twice the profiles: {seconds:.2f} s, {seconds / medians['ours']:.2f} times as long, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
