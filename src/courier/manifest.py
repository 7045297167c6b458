"""The manifest beside the files: Adobe's fields, extended so that a receiver can prove what it got."""

from __future__ import annotations

import json
from datetime import datetime

from courier.config import RunConfig
from courier.plan import MODE, PlannedFile


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest_name(config: RunConfig) -> str:
    return f"manifest-{config.destination.name}-{config.run_id}.json"


def manifest(config: RunConfig, columns: list[str], files: list[tuple[PlannedFile, int, str]]) -> bytes:
    """The manifest's bytes for (file, bytes, sha256) each. flowRunId, scheduledTime, exportResults, sinkPath, name and size
    are Adobe's; the rest is ours.
    """
    results = [
        {
            "sinkPath": config.destination.path,
            "name": file.name,
            "size": size,
            "rows": file.slice.rows,
            "sha256": sha256,
            "segmentId": config.audience.segments[file.audience].id,
            "columns": columns,
            "mode": MODE,
            "part": file.part,
            "parts": file.parts,
        }
        for file, size, sha256 in files
    ]
    content = {"flowRunId": config.run_id, "scheduledTime": timestamp(config.as_of), "exportResults": results}
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
