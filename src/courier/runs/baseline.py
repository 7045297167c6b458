"""What the last published run of each audience has sent: the baseline of incremental exports and of the size guard.

`activations/<activation>/published.json` of the state store names, for each audience, the run whose snapshot holds it. It
is written after the last file is visible and before the delivery counts as settled, so that a failed, held or killed run
changes nothing, and a published one is never forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from courier.config import RunConfig
from courier.errors import ConfigError
from courier.rows.snapshot import AudienceSnapshot, reopen
from courier.runs import likeness
from courier.state import Store
from courier.state.place import Place
from courier.stored import assert_kinds, checked

#: What is remembered, besides the audiences; and of each part.
KINDS = {"run_id": str, "sink": str | None, "files": dict[str, int], "parts": dict[str, dict[str, Any]]}
PART = {"key": str, "change": str | None, "part": int, "parts": int}
RESET = "export.reset=true sends everything again, and begins anew from there"


@dataclass(frozen=True)
class Baseline:
    """One audience at its last published run. `size`: the rows that a full file had. `ordinal`: its place in that snapshot.
    `columns`: those of the mapping, in their order, with their types; None where an older version has not kept them.
    """

    run_id: str
    ordinal: int
    size: int
    shape: str
    columns: dict[str, str] | None = None


def key(activation: str) -> str:
    return f"activations/{activation}/published.json"


def published(store: Store, activation: str) -> dict[str, Any]:
    """The whole of what is remembered; nothing before the first published run."""
    text = store.read(key(activation))
    if text is None:
        return {}
    try:
        content = {"sink": None, "files": {}, "parts": {}, **json.loads(text)}
        assert_kinds(content, KINDS)
        for part in content["parts"].values():
            assert_kinds(part, PART)
        _baselines(content)
        return content
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise ConfigError("What was published last cannot be read", where=store.shown(key(activation)), found=type(exc).__name__) from exc


def _baselines(content: dict[str, Any]) -> dict[str, Baseline]:
    return {name: checked(Baseline(**entry)) for name, entry in content.get("audiences", {}).items()}


def protected_runs(store: Store, activation: str) -> set[str]:
    """The runs whose snapshots the activation still compares with: the last published one, and each audience's own."""
    last = published(store, activation)
    return {last["run_id"], *(before.run_id for before in load(store, activation).values())} if last else set()


def load(store: Store, activation: str) -> dict[str, Baseline]:
    """Audience key → its last published run."""
    return _baselines(published(store, activation))


def to_compare(config: RunConfig, store: Store) -> dict[str, Baseline]:
    """The baselines that this run compares with; none in full exports and after a reset.

    Raises ConfigError where the mapping or the key has changed since, or the snapshot is gone.
    """
    if not config.export.incremental or config.export.reset:
        return {}
    known, names = load(store, config.activation), list(config.mapping.columns)
    found = {segment.key: known[segment.key] for segment in config.audience.segments if segment.key in known}
    for segment in config.audience.segments:
        before = found.get(segment.key)
        if before is not None and (before.shape != likeness.of_rows(config) or list(before.columns or names) != names):
            raise ConfigError(
                "The mapping, the key or the triggers are others than at the last published run, so changes cannot be told",
                where=f"segment {segment.id}, run {before.run_id}",
                fix=RESET,
            )
    for run_id in {before.run_id for before in found.values()}:
        store.fetch_folder(f"runs/{run_id}/snapshot")
    for before in found.values():
        if before.size and not snapshot_of(store, before).files:
            raise ConfigError(
                "The snapshot of the last published run is gone", where=store.shown(f"runs/{before.run_id}/snapshot"), fix=RESET
            )
    return found


def assert_same_types(found: dict[str, Baseline], types: dict[str, str]) -> None:
    """Raise ConfigError where a column has another type than at the last published run: its values cannot be compared, nor both
    kinds be written to one file. `types`: those of this run's columns, once the engine has typed them.
    """
    for before in found.values():
        for name, kind in (before.columns or {}).items():
            if types[name] != kind:
                raise ConfigError(
                    f"The type of the column '{name}' is another one than at the last published run, so changes cannot be told",
                    where=f"run {before.run_id}",
                    found=types[name],
                    expected=kind,
                    fix=RESET,
                )


def snapshot_of(store: Store, before: Baseline) -> AudienceSnapshot:
    """The rows that a full file had at the last published run."""
    return reopen(Place(str(folder_of(store, before))), before.ordinal + 1)[-1]


def folder_of(store: Store, before: Baseline) -> Path:
    """Where on this machine's disk that snapshot is."""
    return store.folder(f"runs/{before.run_id}/snapshot")


def remember_left(
    store: Store,
    activation: str,
    *,
    run_id: str,
    sink: str,
    files: dict[str, int] | None = None,
    parts: dict[str, dict[str, Any]] | None = None,
    audiences: dict[str, dict[str, Any]] | None = None,
) -> None:
    """After a delivery was taken back, but for files that took the place of older ones: the next run removes those that it does
    not replace. Of one destination only, as ever. `audiences`: those of which the platform has all the same.
    """
    last = published(store, activation) or {"run_id": run_id, "sink": sink, "files": {}, "parts": {}}
    if last["sink"] == sink:
        last = {**last, "files": {**last["files"], **(files or {})}, "parts": {**last["parts"], **(parts or {})}}
    content = {**last, "audiences": {**last.get("audiences", {}), **(audiences or {})}}
    store.write(key(activation), json.dumps(content).encode())


def remember(  # noqa: PLR0913  all that one entry of the state is made of, by name
    store: Store,
    activation: str,
    *,
    run_id: str,
    sink: str,
    files: dict[str, int],
    audiences: dict[str, dict[str, Any]],
    parts: dict[str, dict[str, Any]] | None = None,
    gone: Collection[str] = (),
) -> None:
    """After publishing. Audiences that were not published this time keep their baseline, and their files are still known.

    `files`: name → bytes. `parts`: name → which part it is of how many, of which audience and change, so that a later run knows
    what it does not replace. `gone`: files of earlier runs that are no more: whatever gets one of these names now is not ours.
    """
    last = published(store, activation)
    known = last.get("audiences", {})
    others: dict[str, int] = last["files"] if {*known} - {*audiences} and last["sink"] == sink else {}
    others = {name: size for name, size in others.items() if last["parts"].get(name, {}).get("key") not in audiences}
    kept = {**{name: size for name, size in others.items() if name not in gone}, **files}
    told = {name: part for name, part in {**last.get("parts", {}), **(parts or {})}.items() if name in kept}
    content = {"run_id": run_id, "sink": sink, "files": kept, "parts": told, "audiences": {**known, **audiences}}
    store.write(key(activation), json.dumps(content).encode())
