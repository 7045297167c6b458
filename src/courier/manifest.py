"""What comes after the data files: the manifest, and the trigger files that tell the platform to start.

The manifest has Adobe's fields, extended so that a receiver can prove what it got.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from courier.config import RunConfig
from courier.plan import PLACEHOLDERS, PlannedFile, assert_safe, assert_template, file_values, filled, run_values


@dataclass(frozen=True)
class Sent:
    """A data file as it was sent. `plain_…`: before compression and encryption, and the same as the rest without them."""

    planned: PlannedFile
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_triggers(config: RunConfig) -> None:
    """Refuse templates of trigger files with placeholders that they cannot have, before any work."""
    names = {*run_values(config)} if config.trigger.per == "run" else {*PLACEHOLDERS, "file", "stem"}
    assert_template("trigger.name", config.trigger.name, names)
    totals = {"rows", "bytes", "files"} | ({"sha256"} if config.trigger.per == "file" else set())
    assert_template("trigger.content", config.trigger.content, names | totals)


def closing_names(config: RunConfig, files: list[PlannedFile]) -> list[str]:
    """The names of what comes after the data files, in the order of publication: the manifest, then the triggers."""
    manifests = [f"manifest-{config.destination.name}-{config.run_id}.json"] if config.destination.manifest else []
    triggers = []
    if config.trigger.per == "run":
        triggers = [filled(config.trigger.name, run_values(config))]
    elif config.trigger.per == "file":
        triggers = [filled(config.trigger.name, _trigger_values(config, file)) for file in files]
    for name in triggers:
        assert_safe(name, "trigger.name")
    return manifests + triggers


def closing_contents(config: RunConfig, columns: list[str], sent: list[Sent]) -> list[bytes]:
    """The bytes of what `closing_names` names."""
    manifests = [_manifest(config, columns, sent)] if config.destination.manifest else []
    if config.trigger.per == "run":
        return [*manifests, filled(config.trigger.content, {**run_values(config), **_totals(sent)}).encode()]
    if config.trigger.per == "file":
        triggers = (
            filled(config.trigger.content, {**_trigger_values(config, each.planned), **_totals([each]), "sha256": each.sha256})
            for each in sent
        )
        return [*manifests, *(text.encode() for text in triggers)]
    return manifests


def _totals(sent: Iterable[Sent]) -> dict[str, str]:
    files = list(sent)
    totals = {"rows": sum(each.planned.slice.rows for each in files), "bytes": sum(each.size for each in files), "files": len(files)}
    return {key: str(value) for key, value in totals.items()}


def _trigger_values(config: RunConfig, file: PlannedFile) -> dict[str, str]:
    values = file_values(config, file.audience, file.part, file.parts, file.slice.change)
    return {**values, "file": file.name, "stem": file.name.removesuffix(f".{config.file.full_extension}")}


def _manifest(config: RunConfig, columns: list[str], sent: list[Sent]) -> bytes:
    """flowRunId, scheduledTime, exportResults, sinkPath, name and size are Adobe's; the rest is ours."""
    results = [
        {
            "sinkPath": config.destination.path,
            "name": each.planned.name,
            "size": each.size,
            "rows": each.planned.slice.rows,
            "sha256": each.sha256,
            "plainSize": each.plain_size,
            "plainSha256": each.plain_sha256,
            "segmentId": config.audience.segments[each.planned.audience].id,
            "columns": columns,
            "mode": config.export.mode,
            "change": each.planned.slice.change,
            "part": each.planned.part,
            "parts": each.planned.parts,
        }
        for each in sent
    ]
    content = {"flowRunId": config.run_id, "scheduledTime": timestamp(config.as_of), "exportResults": results}
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
