"""What a start finds of earlier ones: the journal of its own run, and deliveries of dead runs of its activation.

Called under the activation's lock, so that whatever is not settled is dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from courier import runs
from courier.config import DESTINATIONS, DestinationConfig, JumpConfig, RunConfig
from courier.delivery import Alone, Delivery
from courier.delivery.journal import Journal
from courier.destinations import open_destination
from courier.errors import ConfigError, CourierError
from courier.esp.artefacts import beside
from courier.runs import baseline, likeness
from courier.runs.intent import files_of, parts_of
from courier.state import Store
from courier.stored import checked, restored


def earlier(store: Store, run_id: str) -> Journal | None:
    """The journal of an earlier start of this run. Raises ConfigError where a run cannot go on with what it tells."""
    journal = Journal.load(store, run_id)
    if journal is not None:
        _assert_whole(store, journal)
    return journal


def _assert_whole(store: Store, journal: Journal) -> None:
    """Its record, and the baselines that are remembered. To take back what was sent needs neither."""
    try:
        runs.assert_whole(journal.header.record)
        for known in journal.header.audiences.values():
            checked(baseline.Baseline(**known))
    except runs.UNFIT as exc:
        where = store.shown(Journal.key(journal.header.run_id))
        raise ConfigError("The journal of an earlier start cannot be read", where=where, found=type(exc).__name__) from exc


def resumable(journal: Journal, config: RunConfig, store: Store, lock: Alone) -> Journal | None:
    """The journal of an earlier start of this run, if this one can go on with it; None where it starts from the beginning.

    What that start left in the middle of taking things back is taken back first. Raises ConfigError where files are
    delivered already, or about to be, and the configuration is another one now, or another run has published since: its rows
    are newer, and those of the earlier start would come last, with people who have left or said no in between.
    """
    if journal.header.phase == "published":
        return journal
    known = baseline.load(store, config.activation)
    same = likeness.of_delivery(config) == journal.header.fingerprint and _last(journal, config) == {
        segment.key: known[segment.key].run_id for segment in config.audience.segments if segment.key in known
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
    if all(getattr(then, key, None) == getattr(config.destination, key, None) for key in likeness.PLACE):
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
    """After a delivery was taken back. Files that took the place of older ones are still there, and ours. One of which an
    audience stays at the platform is left open: its next start sends the others, and another run remembers that audience.
    """
    header = journal.header
    if header.phase != "failed":
        return
    left = files_of(journal, delivered=True)
    if header.replace and left:
        baseline.remember_left(store, header.activation, run_id=header.run_id, sink=header.sink, files=left, parts=parts_of(journal))
    if not _stayed(journal):
        journal.settle()


def _stayed(journal: Journal) -> dict[str, dict[str, Any]]:
    """Audience key → the baseline that it is, where the platform has all its files of a delivery that was taken back otherwise."""
    header = journal.header
    planned = [(part.get("key"), state.delivered) for part, state in zip(header.planned, journal.states, strict=False)]
    return {key: known for key, known in header.audiences.items() if (key, True) in planned and (key, False) not in planned}


def _remember_stayed(store: Store, journal: Journal) -> str:
    """What is sent from now on is compared with that; else who has left since would stay at the platform. In words."""
    header, stayed, known = journal.header, _stayed(journal), baseline.load(store, journal.header.activation)
    if not stayed:
        return ""
    then = {part["key"]: header.record["audiences"][part["audience"]].get("last") for part in header.planned}
    newest = {key: each for key, each in stayed.items() if then[key] == (known[key].run_id if key in known else None)}
    baseline.remember_left(store, header.activation, run_id=header.run_id, sink=header.sink, audiences=newest)
    journal.settle()
    return f"; the platform has all of {', '.join([*stayed][:5])}, which is remembered"


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


def _last(journal: Journal, config: RunConfig) -> dict[str, str]:
    """Audience key → the run that had been published last when the earlier start began to deliver."""
    audiences = zip(config.audience.segments, journal.header.record.get("audiences", []), strict=False)
    return {segment.key: audience["last"] for segment, audience in audiences if audience.get("last")}


def settle_dead_runs(store: Store, config: RunConfig, lock: Alone) -> list[str]:
    """Take back what dead runs of this activation left at their destinations, and say so. This run's own is left to it.

    What cannot be taken back now is only told. What the platform has of them is remembered, or this run ends with the error of
    the state store: it would compare with older rows, and be forgotten itself when theirs are remembered after it.
    """
    told = []
    for run_id in Journal.open_runs(store, config.activation):
        if run_id != config.run_id:
            told += _settle(store, config, run_id, lock)
    return told


def _settle(store: Store, config: RunConfig, run_id: str, lock: Alone) -> list[str]:
    try:
        journal = Journal.load(store, run_id)
        if journal is not None and journal.header.phase == "published":
            _assert_whole(store, journal)
    except ConfigError as error:  # no later start will read it either
        return [_left(run_id, error)]
    if journal is None:  # killed before it sent anything
        store.delete(Journal.marker(config.activation, run_id))
        return []
    if journal.header.phase == "published":  # killed between the last file and the end
        finished = runs.instant(datetime.now(UTC))
        record = {**journal.header.record, **outcome(journal), "status": "published", "error": None, "finished_at": finished}
        remember_published(store, journal, lock, lambda: runs.write(store, run_id, record))
        return [f"Run {run_id} had published its files when it ended; that is remembered now"]
    try:
        left, warnings = _taken_back(store, config, journal, lock, quick=True)
    except CourierError as error:
        return [_left(run_id, error)]
    gone = f"; delivered before that, and not taken back: {', '.join(left[:5])}" if left else ""
    gone += _remember_stayed(store, journal)
    return [f"Run {run_id} ended before its delivery was settled; what it left was taken back{gone}", *warnings]


def _left(run_id: str, error: CourierError) -> str:
    return f"Run {run_id} ended before its delivery was settled, and what it left cannot be taken back now: {error}"


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
    baseline.remember(
        store,
        header.activation,
        run_id=header.run_id,
        sink=header.sink,
        files=files_of(journal),
        audiences=header.audiences,
        parts=parts_of(journal),
        gone=header.stale,
    )
    save()
    journal.settle()
