"""Step plan: the slices of the snapshot → the list of files. Pure functions; no engine, no clock.

A file is a range of an audience's rows. Files split exactly at `file.max_rows`, and are named as Adobe names them:
name.csv, name_2.csv, name_3.csv.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from courier.config import RunConfig
from courier.errors import ConfigError
from courier.names import PLACEHOLDERS, Template, Value, assert_usable, filled, macros, normal, parsed, repeated, safe, split_path
from courier.rows.counts import Slice
from courier.rows.outcomes import ADDED, CHANGED, REMOVED

CHANGES = (ADDED, CHANGED, REMOVED)
#: Nobody looks for stale parts beyond this.
MOST_PARTS = 10_000
#: S3's own limit for folders and name together.
MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class PlannedFile:
    """One file of one audience: its final name, and the slice of the snapshot that it holds.

    Where destination.path has macros, `name` begins with the folders below the path's fixed part: `spring/spring.csv`.
    """

    name: str
    audience: int
    part: int
    parts: int
    slice: Slice

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def own_name(self) -> str:
        return self.name.rpartition("/")[2]


def check_names(config: RunConfig) -> None:
    """Refuse templates with unknown placeholders, and names that leave the folder or fall together, before any work."""
    template(config, "file.name", config.file.name)
    template(config, "destination.path", config.destination.path)
    twice = repeated(
        _name(config, audience, 1, 1, change) for audience in range(len(config.audience.segments)) for change in changes(config)
    )
    if twice:
        raise ConfigError(
            "Two audiences would be written to one file",
            found=twice,
            fix="put {segment_id} into file.name; {segment_name} is not enough where names differ only in case, or in signs that become _",
        )


def warnings(config: RunConfig) -> list[str]:
    """Names that are as configured, and hardly as meant."""
    own, ending = config.file.extension, config.file.full_extension
    doubled = next((each for each in (ending, own) if each and config.file.name.lower().endswith(f".{each.lower()}")), None)
    return [f"file.name ends with .{doubled}, to which .{ending} is added: leave it out of the name"] if doubled and ending else []


def template(config: RunConfig, key: str, text: str, known: Collection[str] = PLACEHOLDERS) -> Template:
    """Read a template. Raises ConfigError for macros that are not `known`, or have no value in this configuration."""
    read = parsed(key, text, known)
    for macro in macros(read):
        if macro.name in ("organization", "sandbox") and not getattr(config.audience, macro.name).strip():
            raise ConfigError(
                f"{key} has {macro.written}, which has no value",
                expected=f"audience.{macro.name}",
                fix=f"set audience.{macro.name}=…, or leave {macro.written} out",
            )
    return read


def changes(config: RunConfig) -> tuple[str | None, ...]:
    """The sets of files of one audience: one for each kind of change, or one (None) for all."""
    return CHANGES if config.export.separate else (None,)


def later_parts(config: RunConfig, audience: int, parts: int, change: str | None) -> Iterator[str]:
    """The names that parts after the last one would have: where files have static names, those of a longer run before."""
    for part in range(parts + 1, MOST_PARTS):
        yield _name(config, audience, part, parts, change)


def part_name(config: RunConfig, audience: int, part: dict[str, Any]) -> str:
    """The name that this run would give to a part of an earlier one, as `baseline.remember` keeps it."""
    return _name(config, audience, part["part"], part["parts"], part["change"])


def planned_files(config: RunConfig, audience: int, cuts: list[list[Slice]]) -> list[PlannedFile]:
    """Name the files of one audience, from the slices of each of its sets. A set without a row has one file with no rows, or
    none, as `file.on_empty` says.
    """
    files = []
    for change, found in zip(changes(config), cuts, strict=True):
        parts = found or ([Slice(0, 0, change)] if _has_empty_files(config) else [])
        for number, cut in enumerate(parts, start=1):
            files.append(PlannedFile(_name(config, audience, number, len(parts), change), audience, number, len(parts), cut))
    return files


def _has_empty_files(config: RunConfig) -> bool:
    """With on_empty=fail a full file without a row is one that was held and is released; incremental exports have none."""
    return config.file.on_empty == "header" or (config.file.on_empty == "fail" and (not config.export.incremental or bool(config.release)))


def run_values(config: RunConfig) -> dict[str, Value]:
    """The placeholders that are the same for all files of a run. Times are of `as_of`, in UTC."""
    moment = config.as_of.astimezone(UTC)
    return {
        "activation": config.activation,
        "destination": config.destination.name,
        "destination_id": config.destination.id,
        "organization": config.audience.organization,
        "sandbox": config.audience.sandbox,
        "run_id": config.run_id,
        "mode": config.export.mode,
        "datetime": moment,
        "date": moment.strftime("%Y%m%d"),
        "as_of": moment.strftime("%Y%m%dT%H%M%SZ"),
        "timestamp": str(int(moment.timestamp())),
    }


def file_values(config: RunConfig, audience: int, part: int, parts: int, change: str | None) -> dict[str, Value]:
    """The placeholders of one file. {change} is `all` where a file holds all changes."""
    segment = config.audience.segments[audience]
    values: dict[str, Value] = {
        "segment_id": segment.id,
        "segment_name": segment.name,
        "change": change or "all",
        "part": part,
        "parts": parts,
    }
    return {**run_values(config), **values}


def own_name(key: str, read: Template, values: Mapping[str, Value], ending: str = "") -> str:
    """The name that a template gives, without folders, and safe: whatever a segment is called, it stays in the folder."""
    name = normal(filled(read, safe_values(values)) + ending)
    assert_usable(name, key)
    return name


def safe_values(values: Mapping[str, Value]) -> dict[str, Value]:
    return {key: safe(value) if isinstance(value, str) else value for key, value in values.items()}


def _name(config: RunConfig, audience: int, part: int, parts: int, change: str | None) -> str:
    values, read = file_values(config, audience, part, parts, change), parsed("file.name", config.file.name)
    shown = {macro.name for macro in macros(read)}
    ending = f"_{change}" if change and "change" not in shown else ""
    # {parts} alone does not tell two parts apart, so only {part} takes the place of Adobe's numbering.
    ending += f"_{part}" if part > 1 and "part" not in shown else ""
    if config.file.full_extension:
        ending += f".{config.file.full_extension}"
    name = "/".join([*_folders(config, values), own_name("file.name", read, values, ending)])
    size = len(f"{config.destination.folder.strip('/')}/{name}".encode())
    if config.destination.kind == "s3" and size > MAX_KEY_BYTES:
        raise ConfigError(
            "An object's key is too long for S3", where="destination.path", found=f"{size} bytes", expected=f"at most {MAX_KEY_BYTES}"
        )
    return name


def _folders(config: RunConfig, values: Mapping[str, Value]) -> list[str]:
    """The folders of one file below the fixed part of destination.path."""
    below = split_path(config.destination.path)[1]
    if not below:
        return []
    folders = normal(filled(parsed("destination.path", below), safe_values(values))).split("/")
    for folder in folders:
        assert_usable(folder, "destination.path", "folder")
    return folders
