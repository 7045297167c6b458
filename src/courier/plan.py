"""Step plan: the outcomes in the snapshot → counts, and the list of files. Pure functions; no engine, no clock.

A file is a range of an audience's rows. Files split exactly at `file.max_rows`, and are named as Adobe names them:
name.csv, name_2.csv, name_3.csv.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from courier.config import RunConfig
from courier.errors import ConfigError, CourierError, nearest
from courier.mapping import DEDUPLICATED, EXCLUDED, EXPORTED

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
    "part",
    "parts",
)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
#: Most filesystems take 255 bytes; the hidden temporary name needs some of them.
MAX_NAME_BYTES = 200
MODE = "full"
#: Nobody looks for stale parts beyond this.
MOST_PARTS = 10_000


@dataclass(frozen=True)
class Slice:
    """`rows` exported rows, found from row `first_row` of the audience's snapshot on (which counts all outcomes)."""

    first_row: int
    rows: int


@dataclass(frozen=True)
class Counts:
    """What became of an audience's members. members = exported + deduplicated + rejected + all excluded."""

    members: int
    excluded: dict[str, int]
    deduplicated: int
    rejected: int
    exported: int


@dataclass(frozen=True)
class PlannedFile:
    """One file of one audience: its final name, and the slice of the snapshot that it holds."""

    name: str
    audience: int
    part: int
    parts: int
    slice: Slice


def slices(outcomes: Iterable[pa.Array], max_rows: int) -> tuple[Counts, list[Slice]]:
    """Count the outcomes of one audience and cut its exported rows into slices of at most `max_rows`."""
    counted: Counter[str] = Counter()
    cuts: list[Slice] = []
    row, first_row, in_slice = 0, 0, 0
    for batch in outcomes:
        for entry in pc.value_counts(batch).to_pylist():
            counted[entry["values"]] += entry["counts"]
        positions = pc.indices_nonzero(pc.equal(batch, EXPORTED))
        taken = 0
        while len(positions) - taken >= max_rows - in_slice:
            taken += max_rows - in_slice
            cuts.append(Slice(first_row, max_rows))
            first_row, in_slice = row + positions[taken - 1].as_py() + 1, 0
        in_slice += len(positions) - taken
        row += len(batch)
    if in_slice:
        cuts.append(Slice(first_row, in_slice))
    excluded = {outcome.removeprefix(EXCLUDED): n for outcome, n in sorted(counted.items()) if outcome.startswith(EXCLUDED)}
    counts = Counts(sum(counted.values()), excluded, counted[DEDUPLICATED], 0, counted[EXPORTED])
    if counts.members != counts.exported + counts.deduplicated + counts.rejected + sum(excluded.values()):
        raise CourierError("The counts of the snapshot do not reconcile", found=str(dict(counted)))
    return counts, cuts


def check_names(config: RunConfig) -> None:
    """Refuse a name template with unknown placeholders, and names that leave the folder or fall together, before any work."""
    assert_template("file.name", config.file.name, PLACEHOLDERS)
    names = [_name(config, audience, part=1, parts=1) for audience in range(len(config.audience.segments))]
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


def later_parts(config: RunConfig, audience: int, parts: int) -> Iterator[str]:
    """The names that parts after the last one would have: where files have static names, those of a longer run before."""
    for part in range(parts + 1, MOST_PARTS):
        yield _name(config, audience, part, parts)


def planned_files(config: RunConfig, audience: int, cuts: list[Slice]) -> list[PlannedFile]:
    """Name the files of one audience. An empty audience has one file with no rows, or none with `file.on_empty=skip`."""
    if not cuts and config.file.on_empty == "skip":
        return []
    parts = cuts or [Slice(0, 0)]
    return [
        PlannedFile(_name(config, audience, number, len(parts)), audience, number, len(parts), cut)
        for number, cut in enumerate(parts, start=1)
    ]


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
        "mode": MODE,
        "datetime": config.as_of.strftime("%Y%m%d_%H%M%S"),
        "date": config.as_of.strftime("%Y%m%d"),
        "timestamp": str(int(config.as_of.timestamp())),
    }


def file_values(config: RunConfig, audience: int, part: int, parts: int) -> dict[str, str]:
    """The placeholders of one file."""
    segment = config.audience.segments[audience]
    return {**run_values(config), "segment_id": segment.id, "segment_name": segment.name, "part": str(part), "parts": str(parts)}


def _name(config: RunConfig, audience: int, part: int, parts: int) -> str:
    stem = filled(config.file.name, file_values(config, audience, part, parts))
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
