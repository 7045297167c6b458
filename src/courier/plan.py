"""Step plan: the slices of the snapshot → the list of files. Pure functions; no engine, no clock.

A file is a range of an audience's rows. Files split exactly at `file.max_rows`, and are named as Adobe names them:
name.csv, name_2.csv, name_3.csv.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from courier.config import RunConfig
from courier.counts import Slice
from courier.errors import ConfigError, nearest
from courier.outcomes import ADDED, CHANGED, REMOVED

PLACEHOLDERS = (
    "activation",
    "destination",
    "segment_id",
    "segment_name",
    "datetime",
    "date",
    "timestamp",
    "run_id",
    "mode",
    "change",
    "part",
    "parts",
)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
#: Most filesystems take 255 bytes; the hidden temporary name needs some of them.
MAX_NAME_BYTES = 200
CHANGES = (ADDED, CHANGED, REMOVED)
#: Nobody looks for stale parts beyond this.
MOST_PARTS = 10_000


@dataclass(frozen=True)
class PlannedFile:
    """One file of one audience: its final name, and the slice of the snapshot that it holds."""

    name: str
    audience: int
    part: int
    parts: int
    slice: Slice


def check_names(config: RunConfig) -> None:
    """Refuse a name template with unknown placeholders, and names that leave the folder or fall together, before any work."""
    assert_template("file.name", config.file.name, PLACEHOLDERS)
    names = [_name(config, audience, 1, 1, change) for audience in range(len(config.audience.segments)) for change in changes(config)]
    repeated = _repeated(names)
    if repeated:
        raise ConfigError(
            "Two audiences would be written to one file", found=repeated, fix="put {segment_id} or {segment_name} into file.name"
        )


def assert_template(key: str, template: str, known: Iterable[str]) -> None:
    """Refuse placeholders that are not `known`, and braces that belong to none."""
    names = tuple(known)
    for placeholder in PLACEHOLDER.findall(template):
        if placeholder not in names:
            raise ConfigError(f"{key} has an unknown placeholder", found=f"{{{placeholder}}}", fix=nearest(placeholder, names))
    if "{" in PLACEHOLDER.sub("", template) or "}" in PLACEHOLDER.sub("", template):
        raise ConfigError(f"{key} has a brace that belongs to no placeholder", found=template)


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders replaced."""
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def changes(config: RunConfig) -> tuple[str | None, ...]:
    """The sets of files of one audience: one for each kind of change, or one (None) for all."""
    return CHANGES if config.export.separate else (None,)


def later_parts(config: RunConfig, audience: int, parts: int, change: str | None) -> Iterator[str]:
    """The names that parts after the last one would have: where files have static names, those of a longer run before."""
    for part in range(parts + 1, MOST_PARTS):
        yield _name(config, audience, part, parts, change)


def planned_files(config: RunConfig, audience: int, cuts: list[list[Slice]]) -> list[PlannedFile]:
    """Name the files of one audience, from the slices of each of its sets. A set without a row has one file with no rows, or
    none with `file.on_empty=skip`.
    """
    files = []
    for change, found in zip(changes(config), cuts, strict=True):
        parts = found or ([Slice(0, 0, change)] if config.file.on_empty != "skip" else [])
        for number, cut in enumerate(parts, start=1):
            files.append(PlannedFile(_name(config, audience, number, len(parts), change), audience, number, len(parts), cut))
    return files


def assert_distinct(names: list[str]) -> None:
    """Refuse files that would be one: the second part of an audience `spring` and an audience called `spring_2`."""
    repeated = _repeated(names)
    if repeated:
        raise ConfigError(
            "Two files would have one name", where="file.name", found=repeated, fix="put {segment_id} or {part} into file.name"
        )


def _repeated(names: list[str]) -> str | None:
    """The first name that is there twice as Windows and macOS see names: upper and lower case are the same."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return None


def run_values(config: RunConfig) -> dict[str, str]:
    """The placeholders that are the same for all files of a run."""
    return {
        "activation": config.activation,
        "destination": config.destination.name,
        "run_id": config.run_id,
        "mode": config.export.mode,
        "datetime": config.as_of.strftime("%Y%m%d_%H%M%S"),
        "date": config.as_of.strftime("%Y%m%d"),
        "timestamp": str(int(config.as_of.timestamp())),
    }


def file_values(config: RunConfig, audience: int, part: int, parts: int, change: str | None) -> dict[str, str]:
    """The placeholders of one file. {change} is `all` where a file holds all changes."""
    segment = config.audience.segments[audience]
    values = {"segment_id": segment.id, "segment_name": segment.name, "change": change or "all", "part": str(part), "parts": str(parts)}
    return {**run_values(config), **values}


def _name(config: RunConfig, audience: int, part: int, parts: int, change: str | None) -> str:
    stem = filled(config.file.name, file_values(config, audience, part, parts, change))
    if change and "{change}" not in config.file.name:
        stem += f"_{change}"
    # {parts} alone does not tell two parts apart, so only {part} takes the place of Adobe's numbering.
    if part > 1 and "{part}" not in config.file.name:
        stem += f"_{part}"
    name = f"{stem}.{config.file.full_extension}" if config.file.full_extension else stem
    assert_safe(name, "file.name")
    return name


def assert_safe(name: str, key: str) -> None:
    """Refuse a name that could leave the target folder, be hidden in it, or be too long."""
    if "/" in name or "\\" in name or name.startswith(".") or not name.isprintable() or name != name.strip():
        raise ConfigError(
            "A file name could leave the target folder, or be hidden in it",
            where=key,
            found=repr(name),
            expected="no slashes, no leading dot, no blanks at the ends",
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigError("A file name is too long", where=key, found=f"{len(name.encode())} bytes", expected=f"at most {MAX_NAME_BYTES}")
