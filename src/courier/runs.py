"""Step record: what a run did, as `<state.path>/runs/<run_id>/record.json`. Written for failed runs too.

The state store is private: folders 0700, files 0600. A record holds names, counts and hashes; no value of a profile.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from courier.checks import CheckResult
from courier.config import RunConfig
from courier.delivery import DeliveredFile
from courier.errors import ConfigError, CourierError
from courier.manifest import timestamp
from courier.plan import MODE, Counts


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
    started_at: datetime
    status: str = "failed"
    profiles: int | None = None
    audiences: list[AudienceRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    manifest: str | None = None
    error: CourierError | None = None
    finished_at: datetime | None = None


def open_state(config: RunConfig) -> None:
    """Make the run's folder, private. Raises ConfigError where that is not possible."""
    try:
        for folder in (Path(config.state.path), Path(config.state.path) / "runs", config.run_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError("The state store cannot be written", where=f"state.path {config.state.path}", found=exc.strerror) from exc


def published_before(config: RunConfig) -> bool:
    """Whether a run of this id has published its files already."""
    try:
        record = json.loads((config.run_folder / "record.json").read_text())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as exc:
        raise ConfigError(
            "The record of an earlier run with this run_id cannot be read",
            where=str(config.run_folder),
            found=type(exc).__name__,
            fix="use another run_id",
        ) from exc
    return bool(record.get("status") in ("published", "empty"))


def save(run: Run) -> Path:
    """Write the record, atomically."""
    path = run.config.run_folder / "record.json"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".record-", encoding="utf-8", delete=False) as file:
        json.dump(_as_json(run), file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    return path


def _as_json(run: Run) -> dict[str, Any]:
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
        "files": [
            {"uri": file.uri, "rows": file.planned.slice.rows, "bytes": file.bytes, "sha256": file.sha256} for file in audience.files
        ],
    }
