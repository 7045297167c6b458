"""What a start finds of earlier ones: the journal of its own run, and deliveries of dead runs of its activation.

Called under the activation's lock, so that whatever is not settled is dead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from courier import baseline, likeness, runs
from courier.config import DESTINATIONS, DestinationConfig, JumpConfig, RunConfig
from courier.delivery import Alone, Delivery
from courier.destinations import open_destination
from courier.errors import ConfigError, CourierError
from courier.esp.artefacts import beside
from courier.journal import FileState, Header, Journal
from courier.manifest import closing_names, timestamp
from courier.plan import PlannedFile, changes, later_parts, part_name
from courier.render import recipients_now
from courier.restoring import restored
from courier.state import Store

#: A delivery is gone on with only where all of these are as they were.
ROWS = ("source", "audience", "consent", "suppression", "mapping", "dedup", "rules", "export", "file", "esp")
SHAPING = (*ROWS, "checks", "guard", "trigger", "release")
#: Of the destination, what says where files go and under which names.
PLACE = ("kind", "name", "id", "host", "port", "username", "bucket", "endpoint_url", "path", "on_conflict", "publish", "manifest")


def fingerprint(config: RunConfig) -> str:
    """One text for everything that shapes the bytes, the names and the place of the files."""
    shaping = {key: value if value is None or isinstance(value, str) else asdict(value) for key, value in _values(config, SHAPING)}
    place = {key: getattr(config.destination, key, None) for key in PLACE}
    versions = {
        name: version(name) for name in ("audience-courier", "polars", "pyarrow", "zlib-ng", "zstandard")
    }  # other bytes for the same rows, maybe
    content: dict[str, Any] = {"shaping": shaping, "place": place, "as_of": config.as_of.isoformat(), "versions": versions}
    if config.file.encrypted:  # each file of a run is for the same readers
        content["recipients"] = recipients_now(config.file)
    return likeness.of(content)


def shape(config: RunConfig) -> str:
    """One text for everything that shapes the rows and the files, wherever they go and whoever lets them through."""
    content = {key: asdict(value) for key, value in _values(config, ROWS)}
    return likeness.of(content)


def _values(config: RunConfig, keys: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(key, getattr(config, key)) for key in keys]


def resumable(journal: Journal, config: RunConfig, store: Store, lock: Alone) -> Journal | None:
    """The journal of an earlier start of this run, if this one can go on with it; None where it starts from the beginning.

    What that start left in the middle of taking things back is taken back first. Raises ConfigError where files are
    delivered already, or about to be, and the configuration is another one now, or what changes are compared with.
    """
    if journal.header.phase == "published":
        return journal
    same = fingerprint(config) == journal.header.fingerprint and _compared(journal, config) == {
        key: before.run_id for key, before in baseline.wanted(config, store).items()
    }
    committed = journal.header.phase == "publishing" or any(state.delivered for state in journal.states)
    if committed and not same:
        raise ConfigError(
            "This run has delivered some of its files under another configuration, or before another run of the activation published",
            where=f"run_id {config.run_id}",
            fix="start it again as it was, or use another run_id (which takes back what can be)",
        )
    if journal.header.phase == "undoing" or (journal.header.phase == "staging" and not same):
        _taken_back(store, config, journal, lock)
    return journal if same else None


def _taken_back(store: Store, config: RunConfig, journal: Journal, lock: Alone, *, quick: bool = False) -> tuple[list[str], list[str]]:
    """Take a delivery back where it was sent to, which may be another place than this run's. Names of the files that stay
    delivered, and warnings.
    """
    then = _destination_of(journal)
    if all(getattr(then, key, None) == getattr(config.destination, key, None) for key in PLACE):
        then = config.destination  # with the keys that are valid now
    if quick:
        then = replace(then, attempts=min(2, then.attempts))
    last = baseline.published(store, journal.header.activation)
    others = last["files"] if last and last["sink"] == journal.header.sink and last["run_id"] != journal.header.run_id else {}
    delivery = Delivery(then, open_destination(then, journal.header.run_id), journal, lock)
    left = delivery.undo(others)
    settle_failed(store, journal)
    return left, delivery.warnings


def settle_failed(store: Store, journal: Journal) -> None:
    """After a delivery was taken back. Files that took the place of older ones are still there, and ours."""
    header = journal.header
    if header.phase != "failed":
        return
    left = {state.name: state.staged.size for state in journal.states[: len(header.planned)] if state.delivered and state.staged}
    if header.replace and left:
        baseline.remember_left(store, header.activation, run_id=header.run_id, sink=header.sink, files=left, parts=_parts(journal))
    journal.settle()


def _destination_of(journal: Journal) -> DestinationConfig:
    """As it was configured; without what only another version of this program knows."""
    known = dict(journal.header.destination)
    try:
        if known.get("jump"):
            known["jump"] = restored(JumpConfig, known["jump"])
        return restored(DESTINATIONS[known["kind"]], known)
    except (TypeError, KeyError) as exc:
        where = f"run {journal.header.run_id}"
        raise ConfigError("The destination of an earlier delivery cannot be read", where=where, found=type(exc).__name__) from exc


def _compared(journal: Journal, config: RunConfig) -> dict[str, str]:
    """Audience key → the run that the earlier start compared with."""
    audiences = zip(config.audience.segments, journal.header.record.get("audiences", []), strict=False)
    return {segment.key: audience["baseline"] for segment, audience in audiences if audience["baseline"]}


def new_journal(run: runs.Run, files: list[PlannedFile], before: Journal | None) -> Journal:
    """The plan of a delivery. From an earlier start of the run it takes over what is delivered or staged already."""
    config = run.config
    header = Header(
        run_id=config.run_id,
        activation=config.activation,
        started_at=before.header.started_at if before else run.started_at,
        as_of=config.as_of,
        fingerprint=fingerprint(config),
        sink=config.destination.address,
        destination=asdict(config.destination),
        replace=config.destination.on_conflict == "replace",
        names=[*(file.name for file in files), *closing_names(config, files)],
        planned=[_planned(config, file) for file in files],
        stale=_stale(run, files),
        audiences=_baselines(run, files),
        record=runs.as_json(run),
        epoch=before.header.epoch if before else "",
    )
    known = {state.name: state for state in before.states} if before else {}
    states = [known.get(name, FileState(name)) for name in header.names]
    for number in range(len(files), len(states)):  # the manifest speaks of the others, which may be sent anew
        if not states[number].delivered and not config.destination.direct:
            states[number] = replace(states[number], complete=False)
    return Journal(run.store, header, states)


def _planned(config: RunConfig, file: PlannedFile) -> dict[str, Any]:
    key, change = config.audience.segments[file.audience].key, file.slice.change
    return {"audience": file.audience, "key": key, "change": change, "part": file.part, "parts": file.parts, "rows": file.slice.rows}


def settle_dead_runs(store: Store, config: RunConfig, lock: Alone) -> list[str]:
    """Take back what dead runs of this activation left at their destinations, and say so. This run's own is left to it."""
    told = []
    for run_id in Journal.open_runs(store, config.activation):
        if run_id == config.run_id:
            continue
        try:
            told += _settle(store, config, run_id, lock)
        except CourierError as error:
            told.append(f"Run {run_id} ended before its delivery was settled, and what it left cannot be taken back now: {error}")
    return told


def _settle(store: Store, config: RunConfig, run_id: str, lock: Alone) -> list[str]:
    journal = Journal.load(store, run_id)
    if journal is None:  # killed before it sent anything
        store.delete(Journal.marker(config.activation, run_id))
        return []
    if journal.header.phase == "published":  # killed between the last file and the end
        finished = timestamp(datetime.now(UTC))
        record = {**journal.header.record, **outcome(journal), "status": "published", "error": None, "finished_at": finished}
        remember_published(store, journal, lock, lambda: runs.write(store, run_id, record))
        return [f"Run {run_id} had published its files when it ended; that is remembered now"]
    left, warnings = _taken_back(store, config, journal, lock, quick=True)
    gone = f"; delivered before that, and not taken back: {', '.join(left[:5])}" if left else ""
    return [f"Run {run_id} ended before its delivery was settled; what it left was taken back{gone}", *warnings]


def outcome(journal: Journal) -> dict[str, Any]:
    """What a record tells of a delivery that is published: audiences with their statuses and files, the manifest, the triggers."""
    header = journal.header
    audiences = [{**audience, "files": []} for audience in header.record["audiences"]]
    for planned, state in zip(header.planned, journal.states, strict=False):
        size = state.staged.size if state.staged else 0
        proof = (state.sha256, state.plain_bytes, state.plain_sha256)
        file = runs.DeliveredFile(state.uri, planned["rows"], size, *proof, state.confirmed, state.notes)
        audiences[planned["audience"]]["files"].append(asdict(file))
    for audience in audiences:
        if audience["status"] != runs.PUBLISHED_BEFORE:
            audience["status"] = "held" if audience["held"] else "published" if audience["files"] else "empty"
    closing = [name for name in header.names[len(header.planned) :] if not name.startswith(beside(header.run_id))]
    manifest = closing.pop(0) if header.destination["manifest"] else None
    return {"audiences": audiences, "manifest": manifest, "triggers": closing}


def remember_published(store: Store, journal: Journal, lock: Alone, save: Callable[[], None]) -> None:
    """Keep what this activation has sent, for the next run: whom it has released, its files, and the rows of each audience;
    then `save` the record, and only then the delivery is settled. Whatever ends in between is done again by the next start of
    any run. Raises BusyError, and changes nothing, where the lock is lost: a later run may be remembered by now.
    """
    lock.assert_held()
    header = journal.header
    if header.record.get("released"):
        runs.mark_released(store, header.record["released"], header.run_id)
    files = {state.name: state.staged.size for state in journal.states[: len(header.planned)] if state.staged}
    baseline.remember(
        store,
        header.activation,
        run_id=header.run_id,
        sink=header.sink,
        files=files,
        audiences=header.audiences,
        parts=_parts(journal),
        gone=header.stale,
    )
    save()
    journal.settle()


def _baselines(run: runs.Run, files: list[PlannedFile]) -> dict[str, dict[str, Any]]:
    """What each published audience will be compared with by the next run. One without a file stays as the platform knows it."""
    shape, sent = baseline.shape(run.config), {file.audience for file in files}
    columns = {name: run.types[name] for name in run.config.mapping.columns} if run.types else None
    found = {}
    for ordinal, (segment, record) in enumerate(zip(run.config.audience.segments, run.audiences, strict=True)):
        if ordinal in sent and record.counts:
            found[segment.key] = asdict(baseline.Baseline(run.config.snapshot_run_id, ordinal, record.counts.size, shape, columns))
    return found


def _parts(journal: Journal) -> dict[str, dict[str, Any]]:
    """Name → which part it is of how many, of which audience and change."""
    planned = zip(journal.header.planned, journal.states, strict=False)
    return {state.name: {key: part[key] for key in ("key", "change", "part", "parts")} for part, state in planned if "key" in part}


def _stale(run: runs.Run, files: list[PlannedFile]) -> dict[str, int]:
    """Files that the last published run left under names that this one would give to its parts, and that it does not replace."""
    config, last = run.config, baseline.published(run.store, run.config.activation)
    if config.destination.on_conflict != "replace" or last.get("sink") != config.destination.address:
        return {}
    ours: dict[str, int] = {name: size for name, size in last["files"].items() if name not in {file.name for file in files}}
    known: dict[str, dict[str, Any]] = {name: part for name, part in last["parts"].items() if name in ours}
    stale: dict[str, int] = {}
    if ours:
        parts = {(file.audience, file.slice.change): file.parts for file in files}
        for audience, (record, segment) in enumerate(zip(run.audiences, config.audience.segments, strict=True)):
            if record.left_out or _stays(config, audience, files):
                continue
            mine = [(name, part) for name, part in known.items() if part["key"] == segment.key and part["change"] in changes(config)]
            # A name of an earlier day or run is no name of this one's: the platform may not have taken that file yet.
            names = [name for name, part in mine if part_name(config, audience, part) == name]
            for change in changes(config):  # what an older version has remembered by its name alone
                later = later_parts(config, audience, parts.get((audience, change), 0), change)
                names += itertools.takewhile(lambda name: name in ours and name not in known, later)
            stale.update({name: ours[name] for name in names})
    return stale


def _stays(config: RunConfig, audience: int, files: list[PlannedFile]) -> bool:
    """A full export that has become empty, and sends no file then: it may be a wrong segment, whose list is not taken away until
    somebody says that it is meant.
    """
    return not config.export.incremental and config.guard.min_rows is None and audience not in {file.audience for file in files}
