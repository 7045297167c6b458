"""What one scan for many audiences, an incremental run, and consent with suppression cost, as ratios of one run on this machine.

    python benchmarks/audiences.py [many] [incremental] [consent] [--profiles 5000000] [--rounds 3]

Each side is a whole process (jobs/activate.py, checks on, a local destination), timed in turn after one round to warm up;
printed are medians, and the median over the rounds of the ratio within a round.

    many         12 audiences in one run against 12 runs of one audience
    incremental  an incremental run, in which 1 % of the profiles have changed, against a full run over the same profiles
    consent      a run that asks for consent and has a list of 1 million hashes against one that does neither
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from processes import timed

from courier.synthetic import SEGMENTS, write_profiles

ROOT = Path(__file__).parents[1]
AS_OF = "2026-11-01T00:00:00Z"
SEGMENT = next(iter(SEGMENTS))
AUDIENCES = 12
HASHES = 1_000_000


def activate(work: Path, profiles: Path, run_id: str, *overrides: str) -> float:
    """Seconds of one run."""
    command = [
        sys.executable,
        str(ROOT / "jobs" / "activate.py"),
        "activation=demo",
        f"source.path={profiles}",
        f"as_of={AS_OF}",
        f"run_id={run_id}",
    ]
    command += [f"destination.path={work / 'out'}", f"state.path={work / 'state'}", "destination.on_conflict=replace", *overrides]
    return timed(command, work)[0]


def exported(work: Path, run_id: str) -> int:
    import json

    record = json.loads((work / "state" / "runs" / run_id / "record.json").read_text())
    return sum(audience["counts"]["exported"] for audience in record["audiences"])


def tell(title: str, rounds: list[tuple[float, float]], names: tuple[str, str], target: str) -> None:
    ratio = statistics.median(one / other for one, other in rounds)
    first, second = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    print(f"{title}\n  {names[0]:<28} {first:7.2f} s\n  {names[1]:<28} {second:7.2f} s\n  ratio {ratio:.2f} ({target})", flush=True)


def twelve(profiles: Path, work: Path) -> tuple[Path, list[str]]:
    """The profiles with 12 segments instead of five: each also under other ids, so that 7 million rows are exported."""
    wider = work / "twelve"
    wider.mkdir()
    names = [*SEGMENTS]
    extra = {
        f"copy-{n}-of-{name[:8]}": name for n, name in enumerate([names[0], names[1], names[1], names[2], names[3], names[4], names[2]])
    }
    for file in sorted(profiles.glob("*.parquet")):
        with pq.ParquetWriter(wider / file.name, pq.read_schema(file)) as writer:
            for batch in pq.ParquetFile(file).iter_batches(250_000):
                table = pa.Table.from_batches([batch])
                memberships = _copied(table.column("segmentMembership").combine_chunks(), extra)
                writer.write_table(table.set_column(table.schema.get_field_index("segmentMembership"), "segmentMembership", memberships))
    return wider, [*names, *extra]


def _copied(memberships: pa.MapArray, extra: dict[str, str]) -> pa.MapArray:
    """Each inner map with an entry more for each id that copies one of its own."""
    inner = memberships.items
    lengths, keys, values = [np.diff(inner.offsets.to_numpy())], [inner.keys], [inner.items]
    owners = np.repeat(np.arange(len(inner)), lengths[0])
    all_owners = [owners]
    for copy, original in extra.items():
        chosen = pc.indices_nonzero(pc.equal(inner.keys, original)).to_numpy()
        all_owners.append(owners[chosen])
        keys.append(pa.array([copy] * len(chosen), pa.string()))
        values.append(inner.items.take(pa.array(chosen)))
    order = np.argsort(np.concatenate(all_owners), kind="stable")
    flat_keys, flat_values = pa.concat_arrays(keys).take(pa.array(order)), pa.concat_arrays(values).take(pa.array(order))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(np.concatenate(all_owners), minlength=len(inner))))).astype(np.int32)
    new_inner = pa.MapArray.from_arrays(pa.array(offsets), flat_keys, flat_values)
    return pa.MapArray.from_arrays(memberships.offsets, memberships.keys, new_inner)


def many(profiles: Path, work: Path, rounds: int) -> None:
    wider, ids = twelve(profiles, work)
    found = []
    for number in range(rounds + 1):
        shutil.rmtree(work / "state", ignore_errors=True)
        together = activate(work, wider, "all", f"audience.segments=[{','.join(ids)}]", "consent=off")
        rows = exported(work, "all")
        single = sum(activate(work, wider, f"one-{n}", f"audience.segments=[{name}]", "consent=off") for n, name in enumerate(ids))
        if number:
            found.append((together, single))
    tell(f"{len(ids)} audiences, {rows:,} rows", found, ("one run", f"{len(ids)} single runs"), "at most 0.5")
    shutil.rmtree(wider)


def incremental(profiles: Path, work: Path, rounds: int) -> None:
    changed = work / "changed"
    changed.mkdir()
    for file in sorted(profiles.glob("*.parquet")):  # 1 % of the profiles have another city
        table = pq.read_table(file)
        address = table.column("homeAddress").combine_chunks()
        moved = pa.array(np.arange(len(table)) % 100 == 7)
        city = pc.if_else(moved, pa.scalar("Elsewhere"), address.field("city"))
        fields = [city, address.field("stateProvince"), address.field("postalCode")]
        new = pa.StructArray.from_arrays(fields, names=["city", "stateProvince", "postalCode"])
        pq.write_table(table.set_column(table.schema.get_field_index("homeAddress"), "homeAddress", new), changed / file.name)
    segment, found = f"audience.segments=[{SEGMENT}]", []
    for number in range(rounds + 1):
        shutil.rmtree(work / "state", ignore_errors=True)
        activate(work, profiles, "backfill", segment, "export=incremental")
        seconds = activate(work, changed, "changes", segment, "export=incremental")
        rows = exported(work, "changes")
        full = activate(work, changed, "full", segment)
        if number:
            found.append((seconds, full))
    tell(f"incremental with 1 % change, {rows:,} rows", found, ("incremental run", "full run"), "at most 0.6")
    shutil.rmtree(changed)


def consent(profiles: Path, work: Path, rounds: int) -> None:
    addresses = pq.read_table(profiles, columns=["personalEmail"]).column("personalEmail").combine_chunks().field("address")
    some = pc.unique(addresses.drop_null())[: HASHES // 10].to_pylist()
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in some]
    hashes += [hashlib.sha256(str(n).encode()).hexdigest() for n in range(HASHES - len(hashes))]
    pq.write_table(pa.table({"hash": hashes}), work / "suppressed.parquet")
    asked = f"+suppression.lists.left={{path: '{work / 'suppressed.parquet'}', column: hash, form: sha256}}"
    segment, found = f"audience.segments=[{SEGMENT}]", []
    for number in range(rounds + 1):
        shutil.rmtree(work / "state", ignore_errors=True)
        both = activate(work, profiles, "both", segment, "consent.unknown=include", asked)
        neither = activate(work, profiles, "neither", segment, "consent=off")
        if number:
            found.append((both, neither))
    tell(f"consent and {HASHES:,} hashes", found, ("with both", "with neither"), "at most 1.15")


def main() -> None:
    scenarios = {"many": many, "incremental": incremental, "consent": consent}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(scenarios))
    parser.add_argument("--profiles", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="courier-audiences-") as folder:
        work = Path(folder)
        write_profiles(work / "profiles", options.profiles)
        print(f"{options.profiles:,} profiles, {os.cpu_count()} cores, {options.rounds} rounds", flush=True)
        for name in options.scenarios or scenarios:
            scenarios[name](work / "profiles", work, options.rounds)


if __name__ == "__main__":
    main()
