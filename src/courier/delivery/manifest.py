"""What comes after the data files: the manifest, and the trigger files that tell the platform to start.

The manifest has Adobe's fields, extended so that a receiver can prove what it got.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from courier import esp
from courier.config import RunConfig
from courier.names import PLACEHOLDERS, Value, filled, joined, parsed
from courier.plan import PlannedFile, changes, file_values, own_name, planned_files, run_values, template
from courier.rows.counts import Slice


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
    """Refuse templates of trigger files with placeholders that they cannot have, and names that cannot be, before any work."""
    template(config, "trigger.name", config.trigger.name, _placeholders(config))
    template(config, "trigger.content", config.trigger.content, {*_placeholders(config), *_totals(config)})
    closing_names(
        config,
        [
            file
            for audience in range(len(config.audience.segments))
            for file in planned_files(config, audience, [[Slice(0, 1, change)] for change in changes(config)])
        ],
    )


def _placeholders(config: RunConfig) -> set[str]:
    return {*run_values(config)} if config.trigger.per == "run" else {*PLACEHOLDERS, "file", "stem"}


def _totals(config: RunConfig) -> set[str]:
    return {"rows", "bytes", "files"} | ({"sha256"} if config.trigger.per == "file" else set())


def closing_names(config: RunConfig, files: list[PlannedFile]) -> list[str]:
    """The names of what comes after the data files, in the order of publication: the manifest, artefacts, the triggers.

    A file's own trigger is beside it; the others are in the fixed part of destination.path.
    """
    manifests = [f"manifest-{config.destination.name}-{config.run_id}.json"] if config.destination.manifest else []
    manifests += esp.delivered_names(config)
    if config.trigger.per == "none":
        return manifests
    read = parsed("trigger.name", config.trigger.name, _placeholders(config))
    if config.trigger.per == "run":
        return [*manifests, own_name("trigger.name", read, run_values(config))]
    return [*manifests, *(joined(file.folder, own_name("trigger.name", read, _trigger_values(config, file))) for file in files)]


def closing_contents(config: RunConfig, columns: list[str], sent: list[Sent], artefacts: Iterable[bytes] = ()) -> list[bytes]:
    """The bytes of what `closing_names` names."""
    manifests = [_manifest(config, columns, sent)] if config.destination.manifest else []
    manifests += artefacts
    if config.trigger.per == "none":
        return manifests
    read = parsed("trigger.content", config.trigger.content, {*_placeholders(config), *_totals(config)})
    if config.trigger.per == "run":
        return [*manifests, filled(read, {**run_values(config), **_counted(sent)}).encode()]
    texts = (filled(read, {**_trigger_values(config, each.planned), **_counted([each]), "sha256": each.sha256}) for each in sent)
    return [*manifests, *(text.encode() for text in texts)]


def _counted(sent: Iterable[Sent]) -> dict[str, Value]:
    files = list(sent)
    return {"rows": sum(each.planned.slice.rows for each in files), "bytes": sum(each.size for each in files), "files": len(files)}


def _trigger_values(config: RunConfig, file: PlannedFile) -> dict[str, Value]:
    values = file_values(config, file.audience, file.part, file.parts, file.slice.change)
    return {**values, "file": file.own_name, "stem": file.own_name.removesuffix(f".{config.file.full_extension}")}


def _manifest(config: RunConfig, columns: list[str], sent: list[Sent]) -> bytes:
    """flowRunId, scheduledTime, exportResults, sinkPath, name and size are Adobe's; the rest is ours."""
    results = [
        {
            "sinkPath": joined(config.destination.folder, each.planned.folder),
            "name": each.planned.own_name,
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
