"""What looks like a mistake in the configuration and is sent nonetheless: audiences without a row, columns without a value.

Nothing is read for it but the footers of the snapshot, and where something is missing the names of the namespaces that the
first profiles have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from courier.config import RunConfig
from courier.engine import Engine, source_errors
from courier.mapping import IDENTITY, MappedColumn
from courier.members import audience
from courier.reading import Ready
from courier.rows import footers
from courier.rows.snapshot import AudienceSnapshot
from courier.runs import AudienceRecord, Run
from courier.source import profiles
from courier.source.profiles import ProfileSource

FIRST_PROFILES = 1_000
SHOWN_AUDIENCES = 3
#: An expression that says that a column is meant to be empty.
NOTHING = re.compile(r"\s*(?:null|(?:try_)?cast\s*\(\s*null\s+as\s+\w+\s*\))\s*", re.IGNORECASE)


def warnings(run: Run, ready: Ready, snapshots: list[AudienceSnapshot], engine: Engine) -> list[str]:
    """`snapshots`: all members, also where changes alone are sent. They are counted already."""
    staged = list(zip(run.audiences, snapshots, strict=True))
    first = _First(ready.source, engine)
    ended_too = any(before.size for before in ready.baselines.values())
    return [*_without_rows(staged, first, ended_too=ended_too), *_without_values(run.config, ready, staged, first)]


@dataclass(frozen=True)
class _First:
    """The first profiles of the source. `known`: the namespaces that they have, by column; each is looked at once."""

    source: ProfileSource
    engine: Engine
    known: dict[str, list[str]] = field(default_factory=dict)

    def instead(self, column: str, namespace: str) -> str:
        """The namespaces that a map has where it has not this one; nothing where it has."""
        if column not in self.known:
            with source_errors("looking for namespaces"):
                self.known[column] = audience.namespaces(profiles.read(self.engine, self.source), column, FIRST_PROFILES)
        names = self.known[column]
        if namespace in names:
            return ""
        return f" (the first {min(FIRST_PROFILES, self.source.profiles):,} profiles have: {', '.join(names) or 'none'})"


def _without_rows(staged: list[tuple[AudienceRecord, AudienceSnapshot]], first: _First, *, ended_too: bool) -> Iterator[str]:
    """`ended_too`: the snapshot has the memberships that have ended, so it is known whether there are any."""
    for record, snapshot in staged:
        assert record.counts is not None
        segment = f"segment {record.shown} in namespace {record.namespace}"
        if record.counts.size:
            continue
        if record.counts.members:
            yield f"None of the {record.counts.members:,} members of {segment} is left; see why they are excluded or rejected"
        elif snapshot.rows:
            yield f"All memberships of {segment} have ended"
        else:
            none = "No profile has a membership, not even an ended one, of" if ended_too else "No profile is a member of"
            yield f"{none} {segment}; check the id and the namespace{first.instead(audience.MEMBERSHIPS, record.namespace)}"


def _without_values(config: RunConfig, ready: Ready, staged: list[tuple[AudienceRecord, AudienceSnapshot]], first: _First) -> Iterator[str]:
    """One line a column, over all audiences."""
    there = [(record, footers.without_values(snapshot.footers)) for record, snapshot in staged if record.counts and record.counts.members]
    for column in ready.columns.columns:
        found = [record for record, names in there if column.engine_name in names]
        if not found or NOTHING.fullmatch(column.source):
            continue
        rows = sum(record.counts.size or record.counts.members for record in found if record.counts)
        more = f" and {len(found) - SHOWN_AUDIENCES} more" if len(found) > SHOWN_AUDIENCES else ""
        names = "" if len(found) == len(there) else f" of {', '.join(record.segment_name for record in found[:SHOWN_AUDIENCES])}{more}"
        yield f"column '{column.name}' is empty in all {rows:,} rows{names}; {_advice(config, ready, column, first)}"


def _advice(config: RunConfig, ready: Ready, column: MappedColumn, first: _First) -> str:
    wanted = config.mapping.columns.get(column.name)
    namespace = ready.columns.fan_out if column.source == IDENTITY else wanted.identity if wanted else None
    if namespace:
        primary = " and take: primary" if wanted and wanted.take == "primary" else ""
        return f"check its namespace '{namespace}'{primary}{first.instead('identityMap', namespace)}"
    if wanted and wanted.expression:
        return "check its expression"
    hashed = "sha256_phone wants numbers with + and country code; " if wanted and wanted.hash == "sha256_phone" else ""
    return f"{hashed}check its source {column.source}"
