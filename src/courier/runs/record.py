"""Step record: what a run did, as `runs/<run_id>/record.json` of the state store. Written for failed runs too.

A record is first written when a run begins, so that a killed run has one. It holds names, counts and hashes; no value of
a profile.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from courier import esp
from courier.checks import CheckResult
from courier.delivery.manifest import timestamp
from courier.rows.counts import Counts
from courier.runs.run import AudienceRecord, DeliveredFile, Run
from courier.state import Store
from courier.stored import assert_kinds, restored

#: What comes of reading a record that is cut, or whose content is of another kind.
UNFIT = (ValueError, TypeError, KeyError, AttributeError)
#: What a run takes over from a record, besides its audiences.
KINDS = {
    "profiles": int | None,
    "columns": list[str],
    "consent": dict[str, str],
    "warnings": list[str],
    "shape": str,
    "rejects": str | None,
}
#: Of each audience, besides its counts, checks and files.
AUDIENCE = {"segment_id": str, "segment_name": str, "namespace": str, "status": str, "held": str | None, "baseline": str | None}


def key(run_id: str) -> str:
    return f"runs/{run_id}/record.json"


def recorded(store: Store) -> dict[str, list[str]]:
    """The ids of all runs that have a record, each with the keys of what is stored of it."""
    found: dict[str, list[str]] = {}
    for each in store.keys("runs/"):
        found.setdefault(each.split("/")[1], []).append(each)
    return {run_id: keys for run_id, keys in found.items() if key(run_id) in keys}


def has_snapshot(run_id: str, keys: list[str]) -> bool:
    return any(each.startswith(f"runs/{run_id}/snapshot/") for each in keys)


def save(run: Run) -> None:
    """Write the record, atomically."""
    if run.held_before:
        return
    write(run.store, run.config.run_id, as_json(run))


def write(store: Store, run_id: str, record: dict[str, Any]) -> None:
    store.write(key(run_id), json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n")


def load(store: Store, run_id: str) -> dict[str, Any] | None:
    """A run's record as it was written; None where there is none.

    Raises ValueError for one that is cut, or not ours: only the keys that tell whose and when it is are looked at.
    """
    text = store.read(key(run_id))
    if text is None:
        return None
    record = json.loads(text)
    if not isinstance(record, dict) or record.get("run_id") != run_id:
        raise ValueError("it is no record of this run")
    for name in ("activation", "status", "started_at"):
        if not isinstance(record.get(name), str):
            raise ValueError(f"it has no {name}")  # noqa: TRY004  one kind of error for whatever is wrong with it
    moment(record["started_at"])
    return record


def assert_whole(record: Any) -> None:
    """Raise one of `UNFIT` where a run could not go on with this record, or be released by it."""
    assert_kinds(record, KINDS)
    for audience in record["audiences"]:
        assert_kinds({"last": None, **audience}, {**AUDIENCE, "last": str | None})
    audiences(record)
    moment(record["as_of"])


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond: which of two runs began later is told by it, and small ones take less than a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """A time of a record. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def restore(run: Run, record: dict[str, Any]) -> None:
    """Take over what an earlier start of the run had found out when it began to deliver."""
    run.profiles, run.columns, run.consent = record["profiles"], record["columns"], record["consent"]
    run.warnings = [*dict.fromkeys([*record["warnings"], *run.warnings])]  # those of this start, too
    run.shape, run.rejects, run.types = record["shape"], record["rejects"], record.get("types", {})
    run.audiences = audiences(record)
    run.artefacts = run.artefacts or record.get("esp", {}).get("artefacts", [])


def audiences(record: dict[str, Any]) -> list[AudienceRecord]:
    """The audiences of a record, with their checks and files."""
    return [
        AudienceRecord(
            audience["segment_id"],
            audience["segment_name"],
            audience["namespace"],
            restored(Counts, audience["counts"]) if audience["counts"] else None,
            status=audience["status"],
            checks=[
                restored(CheckResult, check)
                for check in record["checks"]
                if (check["segment_id"], check["namespace"]) == (audience["segment_id"], audience["namespace"])
            ],
            held=audience["held"],
            baseline=audience["baseline"],
            last=audience.get("last"),
            files=[restored(DeliveredFile, file) for file in audience["files"]],
        )
        for audience in record["audiences"]
    ]


def as_json(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.config.run_id,
        "activation": run.config.activation,
        "status": run.status,
        "engine": run.config.engine.kind,
        "as_of": timestamp(run.config.as_of),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at) if run.finished_at else None,
        "released": run.config.release,
        "shape": run.shape,
        "consent": run.consent,
        "profiles": run.profiles,
        "columns": run.columns,
        "types": run.types,
        "audiences": [_audience(audience, run.config.export.mode) for audience in run.audiences],
        "checks": [
            {"segment_id": audience.segment_id, "namespace": audience.namespace, **asdict(check)}
            for audience in run.audiences
            for check in audience.checks
        ],
        "rejects": run.rejects,
        **_platform(run),
        "manifest": run.manifest,
        "triggers": run.triggers,
        "warnings": run.warnings,
        "seconds": {step: round(seconds, 3) for step, seconds in run.seconds.items()},
        "error": {"type": type(run.error).__name__, "exit_code": run.error.exit_code, "message": str(run.error)} if run.error else None,
    }


def _platform(run: Run) -> dict[str, Any]:
    found = esp.described(run.config, [audience.counts for audience in run.audiences if audience.counts])
    return {"esp": {**found, "artefacts": run.artefacts}} if found else {}


def _audience(audience: AudienceRecord, mode: str) -> dict[str, Any]:
    return {
        "segment_id": audience.segment_id,
        "segment_name": audience.segment_name,
        "namespace": audience.namespace,
        "status": audience.status,
        "held": audience.held,
        "mode": mode,
        "baseline": audience.baseline,
        "last": audience.last,
        "counts": asdict(audience.counts) if audience.counts else None,
        "files": [asdict(file) for file in audience.files],
    }
