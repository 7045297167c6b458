"""The rules of exports in plain Python, to compare the engines with: who is sent, as what, and what a run leaves behind.

A state is a list of profiles as `xdm_profiles.profile` takes them; everything here is small enough to be read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


@dataclass(frozen=True)
class Settings:
    """The same for all runs of one activation."""

    normalize: bool = False
    mandatory: bool = False  # last_name, too
    rule: bool = False  # first_name has lower-case letters only, else the row is rejected
    suppressed: frozenset[str] = frozenset()
    skip_empty: bool = False


@dataclass(frozen=True)
class How:
    """What one run is asked for."""

    incremental: bool = True
    separate: bool = False
    triggers: tuple[str, ...] = ("membership", "attributes")
    reset: bool = False
    least: int | None = None  # guard.min_rows


@dataclass(frozen=True)
class Row:
    """One profile in one audience."""

    values: tuple[str | None, ...]
    identities: str | None
    active: bool
    qualified: datetime | None
    reason: str | None


@dataclass
class Outcome:
    """One audience after one run: the lines of its files by kind of change, and its counts. `files` None: held."""

    files: dict[str, list[tuple[str | None, ...]]] | None
    counts: dict[str, Any]


@dataclass
class Model:
    """The activation: what was last published, by audience and compared key."""

    settings: Settings
    segments: tuple[str, ...]
    published: dict[str, dict[str, tuple[tuple[str | None, ...], Any]]] = field(default_factory=dict)

    def run(self, profiles: list[dict[str, Any]], how: How, as_of: datetime) -> dict[str, Outcome]:
        """What each audience sends. What is sent is remembered."""
        outcomes, after = {}, {}
        for segment in self.segments:
            before = self.published.get(segment, {}) if how.incremental and not how.reset else {}
            rows = [row for each in profiles if (row := self._row(each, segment, as_of))]
            outcomes[segment], after[segment] = self._outcome(rows, before, how)
        for segment, outcome in outcomes.items():
            if outcome.files is not None and self.sends(outcome):
                self.published[segment] = after[segment]
        return outcomes

    def sends(self, outcome: Outcome) -> bool:
        """Whether there is a file of it."""
        return outcome.files is not None and (not self.settings.skip_empty or any(outcome.files.values()))

    def compared(self, key: str | None) -> str | None:
        return key.strip(" ").lower() if key is not None and self.settings.normalize else key

    def _row(self, profile: dict[str, Any], segment: str, as_of: datetime) -> Row | None:
        entry = (profile["segmentMembership"] or {}).get("ups", {}).get(segment)
        if entry is None:
            return None
        until, qualified = entry["validUntil"], entry["lastQualificationTime"]
        active = entry["status"] in ("realized", "existing") and (until is None or until > as_of)
        email, name = profile["personalEmail"]["address"], profile["person"]["name"]
        since = qualified and qualified.strftime("%Y-%m-%d")
        values = (email, name["firstName"], name["lastName"], profile["homeAddress"]["city"], since)
        return Row(values, _identities(profile["identityMap"]), active, qualified, self._reason(profile, values))

    def _reason(self, profile: dict[str, Any], values: tuple[str | None, ...]) -> str | None:
        consent = profile["consents"]["marketing"]["email"]["val"]
        if consent != "y":
            return "no_consent" if consent == "n" else "consent_unknown"
        email, first, last = values[:3]
        if email is not None and email.strip(" ").lower() in self.settings.suppressed:
            return "suppressed_stop"
        if not (email or "").strip(" "):
            return "missing_email"
        if self.settings.mandatory and not (last or "").strip(" "):
            return "missing_last_name"
        return "rejected" if self.settings.rule and first is not None and not (first.isalpha() and first.islower()) else None

    def _outcome(self, rows: list[Row], before: dict[str, Any], how: How) -> tuple[Outcome, dict[str, Any]]:
        members = [row for row in rows if row.active]
        excluded = Counter(row.reason for row in members if row.reason)
        rejected = excluded.pop("rejected", 0)
        eligible = [row for row in members if not row.reason]
        winners = {self.compared(row.values[0]): row for row in sorted(eligible, key=_order, reverse=True)}
        files: dict[str, list[tuple[str | None, ...]]] = {ADDED: [], CHANGED: [], REMOVED: []}
        after, lines = {}, {}
        for key, row in winners.items():
            assert key is not None
            kind, after[key] = self._change(row, before.get(key), how)
            if kind:
                lines[key] = (kind, row.values)
        for key in before.keys() - winners.keys():
            lines[key] = (REMOVED, self._leaver(rows, key, before[key][0]))
        for _, (kind, values) in sorted(lines.items()):
            files[kind].append(values)
        counts = {
            "members": len(members),
            "excluded": dict(excluded),
            "deduplicated": len(eligible) - len(winners),
            "rejected": rejected,
            "exported": len(lines),
            "unchanged": len(winners) - len(lines) + len(files[REMOVED]),
            "added": len(files[ADDED]),
            "changed": len(files[CHANGED]),
            "exited": len(files[REMOVED]),
        }
        held = how.least is not None and len(winners) < how.least
        return Outcome(None if held else files, counts), after

    def _change(self, row: Row, known: tuple[tuple[str | None, ...], Any] | None, how: How) -> tuple[str | None, Any]:
        """What is sent of a row, and what the platform knows after that."""
        now = (row.values, row.identities)
        if known is None:
            return ADDED, now
        attributes = "attributes" in how.triggers and known[0][:4] != row.values[:4]
        if attributes or ("identity" in how.triggers and known[1] != row.identities):
            return CHANGED, now
        return None, (known[0], row.identities)

    def _leaver(self, rows: list[Row], key: str, known: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """The newest that the source has of it, unless that is rejected; its key as the platform knows it."""
        newest = min((row for row in rows if self.compared(row.values[0]) == key), key=_order, default=None)
        return known if newest is None or newest.reason == "rejected" else (known[0], *newest.values[1:])


def _order(row: Row) -> Any:
    """The latest first; ties go to the lowest values, null last."""
    latest = -row.qualified.timestamp() if row.qualified else float("inf")
    return (latest, *[(value is None, value or "") for value in (*row.values, row.identities)])


def _identities(known: dict[str, Any] | None) -> str | None:
    """The digest; of the ties between rows that are alike in all else it is the last."""
    spaces = sorted("\x1f".join([space, "\x1e".join(sorted(each["id"] for each in ids))]) for space, ids in (known or {}).items())
    return hashlib.sha256("\x1d".join(spaces).encode()).hexdigest() if spaces else None
