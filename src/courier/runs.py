"""Step record: what a run did, as `runs/<run_id>/record.json` of the state store. Written for failed runs too.

A record is first written when a run begins, so that a killed run has one. It holds names, counts and hashes; no value of
a profile.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from courier.checks import CheckResult
from courier.config import RunConfig
from courier.errors import ConfigError, CourierError
from courier.manifest import timestamp
from courier.plan import MODE, Counts
from courier.state import Store


@dataclass(frozen=True)
class DeliveredFile:
    """A file that is published: where, and proof of its content. `confirmed` is False where the platform had taken it
    before it could be seen there. `notes`: column → what was changed in its values, or found → rows.
    """

    uri: str
    rows: int
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str
    confirmed: bool
    notes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class AudienceRecord:
    """What happened to one audience."""

    segment_id: str
    segment_name: str
    counts: Counts | None = None
    checks: list[CheckResult] = field(default_factory=list)
    files: list[DeliveredFile] = field(default_factory=list)


@dataclass
class Run:
    """A run as it goes: filled step by step, so that a failed run's record says how far it came."""

    config: RunConfig
    store: Store
    started_at: datetime
    status: str = "failed"
    profiles: int | None = None
    audiences: list[AudienceRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    manifest: str | None = None
    triggers: list[str] = field(default_factory=list)
    error: CourierError | None = None
    finished_at: datetime | None = None

    @property
    def snapshot_key(self) -> str:
        """Where in the state store the rows are that this run sends."""
        return f"runs/{self.config.run_id}/snapshot"


def key(run_id: str) -> str:
    return f"runs/{run_id}/record.json"


def published_before(store: Store, config: RunConfig) -> bool:
    """Whether a run of this id has published its files already. Raises ConfigError where another activation uses the id."""
    text = store.read(key(config.run_id))
    if text is None:
        return False
    try:
        record = json.loads(text)
        status, activation = record["status"], record["activation"]
    except (ValueError, TypeError, KeyError) as exc:
        raise ConfigError(
            "The record of an earlier run with this run_id cannot be read",
            where=store.shown(key(config.run_id)),
            found=type(exc).__name__,
            fix="use another run_id",
        ) from exc
    if activation != config.activation:
        raise ConfigError(
            "This run_id belongs to another activation, whose runs share this state store",
            found=f"run_id {config.run_id} of activation '{activation}'",
            fix=f"put the activation into the id: run_id={config.activation}-{config.run_id}",
        )
    return status in ("published", "empty")


def save(run: Run) -> None:
    """Write the record, atomically."""
    run.store.write(key(run.config.run_id), json.dumps(as_json(run), ensure_ascii=False, indent=2).encode() + b"\n")


def restore(run: Run, record: dict[str, Any]) -> None:
    """Take over what an earlier start of the run had found out when it began to deliver."""
    run.profiles, run.columns, run.warnings = record["profiles"], record["columns"], record["warnings"]
    run.audiences = [
        AudienceRecord(
            audience["segment_id"],
            audience["segment_name"],
            Counts(**audience["counts"]),
            [
                CheckResult(**{key: value for key, value in check.items() if key != "segment_id"})
                for check in record["checks"]
                if check["segment_id"] == audience["segment_id"]
            ],
        )
        for audience in record["audiences"]
    ]


def noted(run: Run) -> list[str]:
    """What was changed in values while they were written, or found: a line for each column and kind, over all files."""
    rows: Counter[tuple[str, str]] = Counter()
    for file in (file for audience in run.audiences for file in audience.files):
        rows.update({(column, what): count for column, kinds in file.notes.items() for what, count in kinds.items()})
    order = {column: number for number, column in enumerate(run.columns)}
    return [
        f"column '{column}': {what.replace('_', ' ')} in {count:,} rows"
        for (column, what), count in sorted(rows.items(), key=lambda entry: (order[entry[0][0]], entry[0][1]))
    ]


def as_json(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.config.run_id,
        "activation": run.config.activation,
        "status": run.status,
        "engine": run.config.engine.kind,
        "as_of": timestamp(run.config.as_of),
        "started_at": timestamp(run.started_at),
        "finished_at": timestamp(run.finished_at) if run.finished_at else None,
        "profiles": run.profiles,
        "columns": run.columns,
        "audiences": [_audience(audience) for audience in run.audiences],
        "checks": [{"segment_id": audience.segment_id, **asdict(check)} for audience in run.audiences for check in audience.checks],
        "manifest": run.manifest,
        "triggers": run.triggers,
        "warnings": run.warnings,
        "seconds": {step: round(seconds, 3) for step, seconds in run.seconds.items()},
        "error": {"type": type(run.error).__name__, "exit_code": run.error.exit_code, "message": str(run.error)} if run.error else None,
    }


def _audience(audience: AudienceRecord) -> dict[str, Any]:
    return {
        "segment_id": audience.segment_id,
        "segment_name": audience.segment_name,
        "mode": MODE,
        "counts": asdict(audience.counts) if audience.counts else None,
        "files": [asdict(file) for file in audience.files],
    }
