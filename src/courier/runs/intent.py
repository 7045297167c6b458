"""What a delivery means to do: its files, what is stale after it, and what the next run will be compared with."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from typing import Any

from courier.config import RunConfig
from courier.delivery.journal import FileState, Header, Journal
from courier.delivery.manifest import closing_names
from courier.plan import PlannedFile, changes, later_parts, part_name
from courier.runs import baseline, likeness
from courier.runs.record import as_json
from courier.runs.run import Run


def new_journal(run: Run, files: list[PlannedFile], before: Journal | None) -> Journal:
    """The plan of a delivery. From an earlier start of the run it takes over what is delivered or staged already."""
    config = run.config
    closing = closing_names(config, files)
    triggers = closing[-len(files) :] if config.trigger.per == "file" else [None] * len(files)
    names = [*(file.name for file in files), *closing]
    header = Header(
        run_id=config.run_id,
        activation=config.activation,
        started_at=before.header.started_at if before else run.started_at,
        as_of=config.as_of,
        fingerprint=likeness.of_delivery(config),
        sink=config.destination.address,
        destination=asdict(config.destination),
        replace=config.destination.on_conflict == "replace",
        names=names,
        planned=[_planned(config, file, trigger) for file, trigger in zip(files, triggers, strict=True)],
        stale=_stale(run, files, names),
        audiences=_baselines(run, files),
        record=as_json(run),
        epoch=before.header.epoch if before else "",
    )
    known = {state.name: state for state in before.states} if before else {}
    states = [known.get(name, FileState(name)) for name in header.names]
    for number in range(len(files), len(states)):  # the manifest speaks of the others, which may be sent anew
        if not states[number].delivered and not config.destination.direct:
            states[number] = replace(states[number], complete=False)
    return Journal(run.store, header, states)


def _planned(config: RunConfig, file: PlannedFile, trigger: str | None) -> dict[str, Any]:
    """`trigger`: the name of its own one, where each file has one."""
    key, change = config.audience.segments[file.audience].key, file.slice.change
    part = {"audience": file.audience, "key": key, "change": change, "part": file.part, "parts": file.parts, "rows": file.slice.rows}
    return {**part, "trigger": trigger} if trigger else part


def _baselines(run: Run, files: list[PlannedFile]) -> dict[str, dict[str, Any]]:
    """What each published audience will be compared with by the next run. One without a file stays as the platform knows it."""
    shape, sent = likeness.of_rows(run.config), {file.audience for file in files}
    columns = {name: run.types[name] for name in run.config.mapping.columns} if run.types else None
    found = {}
    for ordinal, (segment, record) in enumerate(zip(run.config.audience.segments, run.audiences, strict=True)):
        if ordinal in sent and record.counts:
            found[segment.key] = asdict(baseline.Baseline(run.config.snapshot_run_id, ordinal, record.counts.size, shape, columns))
    return found


def parts_of(journal: Journal) -> dict[str, dict[str, Any]]:
    """Name → which part it is of how many, of which audience and change; a file's own trigger is known by `of`, the file's name."""
    found = {}
    for planned, state in zip(journal.header.planned, journal.states, strict=False):
        if "key" in planned:
            found[state.name] = {key: planned[key] for key in ("key", "change", "part", "parts")}
            if "trigger" in planned:
                found[planned["trigger"]] = {**found[state.name], "of": state.name}
    return found


def files_of(journal: Journal, *, delivered: bool = False) -> dict[str, int]:
    """Name → bytes of the data files and their own triggers; of those alone that stay delivered, where that is asked."""
    header = journal.header
    ours = {*header.names[: len(header.planned)], *(planned["trigger"] for planned in header.planned if "trigger" in planned)}
    there = [state for state in journal.states if state.name in ours and (state.delivered or not delivered)]
    return {state.name: state.staged.size for state in there if state.staged}


def _stale(run: Run, files: list[PlannedFile], names: list[str]) -> dict[str, int]:
    """Files that the last published run left under names that this one would give to its parts, and that it does not replace by
    one of its `names`. The trigger of such a file goes before it: a platform that finds the one looks for the other.
    """
    config, last = run.config, baseline.published(run.store, run.config.activation)
    if config.destination.on_conflict != "replace" or last.get("sink") != config.destination.address:
        return {}
    ours: dict[str, int] = {name: size for name, size in last["files"].items() if name not in names}
    known: dict[str, dict[str, Any]] = {name: part for name, part in last["parts"].items() if name in ours}
    stale: dict[str, int] = {}
    if ours:
        parts = {(file.audience, file.slice.change): file.parts for file in files}
        for audience, (record, segment) in enumerate(zip(run.audiences, config.audience.segments, strict=True)):
            if record.left_out or _stays(config, audience, files):
                continue
            mine = [(name, part) for name, part in known.items() if part["key"] == segment.key and part["change"] in changes(config)]
            # A name of an earlier day or run is no name of this one's: the platform may not have taken that file yet.
            left = [name for name, part in mine if part_name(config, audience, part) == name]
            for change in changes(config):  # what an older version has remembered by its name alone
                later = later_parts(config, audience, parts.get((audience, change), 0), change)
                left += itertools.takewhile(lambda name: name in ours and name not in known, later)
            triggers = [name for name, part in mine if part.get("of") in left]
            stale.update({name: ours[name] for name in [*triggers, *left]})
    return stale


def _stays(config: RunConfig, audience: int, files: list[PlannedFile]) -> bool:
    """A full export that has become empty, and sends no file then: it may be a wrong segment, whose list is not taken away until
    somebody says that it is meant.
    """
    return not config.export.incremental and config.guard.min_rows is None and audience not in {file.audience for file in files}
