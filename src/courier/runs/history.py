"""Past runs, as the state store has them: a list, or one in full; for people or as JSON lines. Reads only, without a lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

from courier import runs
from courier.config import StateConfig
from courier.delivery.manifest import timestamp
from courier.errors import ConfigError
from courier.runs.report import audience_lines
from courier.saying import printable
from courier.state import Store, open_store

UNREADABLE = "unreadable"
#: Of a run that was killed, or is going on: its record was written when it began, and not since.
UNFINISHED = "unfinished"
#: A store in a bucket answers each read in a twentieth of a second.
READERS = 16


@dataclass(frozen=True)
class Row:
    """A run on one line. The totals are over its audiences; None where the run did not come so far."""

    run_id: str
    activation: str | None
    status: str
    started_at: str | None
    seconds: float | None
    audiences: list[str]
    exported: int | None
    excluded: int | None
    deduplicated: int | None
    rejected: int | None
    files: int
    snapshot: bool


def history(state: StateConfig, activation: str | None, *, run_id: str | None, limit: int, as_json: bool) -> str:
    """What is known of past runs: of all, of an activation's, or of one. Raises ConfigError for a run that is not there."""
    store = open_store(state, make=False)
    stored = runs.recorded(store)
    if run_id is not None:
        if run_id not in stored:
            fix = "see which there are: without --run they are listed"
            raise ConfigError("There is no such run in the state store", where=store.shown("runs"), found=run_id, fix=fix)
        return _one(store, run_id, activation, snapshot=runs.has_snapshot(run_id, stored[run_id]), as_json=as_json)
    rows = _rows(store, stored, activation)
    if as_json:
        return "\n".join(_json(asdict(row)) for row in rows[:limit])
    return "\n".join(_listed(rows, limit))


def _one(store: Store, run_id: str, activation: str | None, *, snapshot: bool, as_json: bool) -> str:
    """A run in full. It may be asked for as one of an activation."""
    try:
        record = runs.load(store, run_id)
        if record is None:
            raise ValueError("it was removed at this moment")
        row = _row(run_id, record, snapshot=snapshot)
        shown = _json({**record, "status": row.status, "snapshot": snapshot}) if as_json else "\n".join(_full(store, row, record))
    except runs.UNFIT as exc:
        found = f"{type(exc).__name__}: {exc}"
        raise ConfigError("The record of this run cannot be read", where=store.shown(runs.key(run_id)), found=found) from exc
    if activation not in (None, row.activation):
        raise ConfigError("This run is of another activation", found=f"run {run_id} of activation '{row.activation}'")
    return shown


def _rows(store: Store, stored: dict[str, list[str]], activation: str | None) -> list[Row]:
    """Newest first; records that cannot be read come last, and only where no activation is asked for."""

    def read(run_id: str) -> Row | None:
        snapshot = runs.has_snapshot(run_id, stored[run_id])
        try:
            record = runs.load(store, run_id)
            return _row(run_id, record, snapshot=snapshot) if record is not None else None  # removed since it was listed
        except runs.UNFIT:
            return Row(run_id, None, UNREADABLE, None, None, [], None, None, None, None, 0, snapshot)

    with ThreadPoolExecutor(READERS) as readers:
        rows = [row for row in readers.map(read, stored) if row is not None and activation in (None, row.activation)]
    readable = [row for row in rows if row.started_at is not None]
    return [
        *sorted(readable, key=lambda row: (runs.moment(str(row.started_at)), row.run_id), reverse=True),
        *(row for row in rows if row.started_at is None),
    ]


def _row(run_id: str, record: dict[str, Any], *, snapshot: bool) -> Row:
    counted = [audience["counts"] for audience in record["audiences"] if audience["counts"]]

    def total(numbers: Iterable[int]) -> int | None:
        return sum(numbers) if counted else None

    finished = record["finished_at"]
    return Row(
        run_id=run_id,
        activation=record["activation"],
        status=record["status"] if finished else UNFINISHED,
        started_at=record["started_at"],
        seconds=round((runs.moment(finished) - runs.moment(record["started_at"])).total_seconds(), 3) if finished else None,
        audiences=[str(audience["segment_name"]) for audience in record["audiences"]],
        exported=total(counts["exported"] for counts in counted),
        excluded=total(sum(counts["excluded"].values()) for counts in counted),
        deduplicated=total(counts["deduplicated"] for counts in counted),
        rejected=total(counts["rejected"] for counts in counted),
        files=sum(len(audience["files"]) for audience in record["audiences"]),
        snapshot=snapshot,
    )


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


# For people

HEADINGS = "run_id activation status started seconds audiences exported excluded deduplicated rejected files snapshot".split()
NUMBERS = {"seconds", "exported", "excluded", "deduplicated", "rejected", "files"}


def _listed(rows: list[Row], limit: int) -> Iterator[str]:
    """A table. Columns are as wide as what they hold."""
    if not rows:
        yield "No runs"
        return
    table = [HEADINGS, *(_cells(row) for row in rows[:limit])]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    for line in table:
        cells = zip(HEADINGS, line, widths, strict=True)
        yield "  ".join(cell.rjust(width) if name in NUMBERS else cell.ljust(width) for name, cell, width in cells).rstrip()
    cut = rows[limit:]
    if cut:
        unreadable = sum(row.status == UNREADABLE for row in cut)
        yield f"{len(cut):,} more{f', {unreadable:,} of them unreadable' if unreadable else ''}; --limit {len(rows)} lists all"


def _cells(row: Row) -> list[str]:
    names = row.audiences[:1] + ([f"+{len(row.audiences) - 1}"] if len(row.audiences) > 1 else [])
    cells = (
        row.run_id,
        row.activation or "-",
        row.status,
        _second(row.started_at),
        f"{row.seconds:,.0f}" if row.seconds is not None else "-",
        " ".join(names) or "-",
        *("-" if number is None else f"{number:,}" for number in (row.exported, row.excluded, row.deduplicated, row.rejected)),
        f"{row.files:,}",
        "kept" if row.snapshot else "-",
    )
    return [printable(cell) for cell in cells]


def _second(text: str | None) -> str:
    return timestamp(runs.moment(text).astimezone(UTC)) if text else "-"


def _full(store: Store, row: Row, record: dict[str, Any]) -> Iterator[str]:
    lines = [
        f"Run {row.run_id} of activation '{row.activation}' on {record.get('engine')}: {row.status}",
        f"  started {_second(row.started_at)}, finished {_second(record['finished_at'])}, as of {record.get('as_of')}",
    ]
    if record.get("profiles") is not None:
        lines.append(f"  profiles read            {record['profiles']:>12,}")
    for audience in runs.audiences(record):
        lines += audience_lines(audience)
    lines += [f"  warning: {text}" for text in record.get("warnings", [])]
    if record.get("manifest"):
        lines.append(f"  manifest: {record['manifest']}")
    lines += [f"  trigger: {trigger}" for trigger in record.get("triggers", [])]
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in record.get("seconds", {}).items())
    lines.append(f"  seconds: {steps or '-'}")
    if record.get("error"):
        lines.append(f"  error: {record['error']['message']} ({record['error']['type']}, exit code {record['error']['exit_code']})")
    lines.append(f"  snapshot: {store.shown(f'runs/{row.run_id}/snapshot') if row.snapshot else 'not in the store'}")
    lines.append(f"  record: {store.shown(runs.key(row.run_id))}")
    yield from (printable(line) for line in lines)
