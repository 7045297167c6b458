"""The page to read first: one run, from profiles to delivered files.

read → select → map → stage → plan → check → deliver → record
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from courier import computing, esp, guard, plan, reading, runs
from courier.config import RunConfig
from courier.delivery import PUBLISHED, Delivery, cluster, manifest
from courier.delivery.journal import FileState, Journal
from courier.delivery.progress import Progress
from courier.delivery.sending import FileToSend
from courier.destinations import Destination
from courier.engine import Engine
from courier.errors import ConfigError, CourierError, HeldError, TransientError
from courier.reading import Ready
from courier.render import Rendering
from courier.rows.snapshot import AudienceSnapshot, LastRead
from courier.runs import intent, recovery, release, retention
from courier.state import open_store
from courier.state.lock import Lock, locked
from courier.turns import own_turn

#: Said of a run that was stopped twice, say.
UNSETTLED = "not all that it had sent could be taken back: start again with run_id={run_id}, or another run, which takes it back first"
KILLED = CourierError("The run ended without a word; it was killed, or is still going on")


def activate(config: RunConfig, progress: Progress | None = None) -> runs.Run:
    """Run one activation. The record is written whether it ends well or not; a CourierError is raised after that.

    In several threads of one process they go one after the other.
    """
    with own_turn():
        return _activated(config, progress)


def _activated(config: RunConfig, progress: Progress | None) -> runs.Run:
    store = open_store(config.state)
    run = runs.Run(config, store, started_at=datetime.now(UTC))
    if _is_done(run):
        return run
    with locked(store, config.activation, config.run_id, config.state.lease_seconds) as lock:
        if _is_done(run):  # by the run that held the lock
            return run
        earlier = recovery.earlier(store, config.run_id)
        if not (earlier and earlier.header.phase == "published"):
            release.assert_not_released(store, config)
        runs.claim(store, config)
        run.error, run.held_before = KILLED, runs.was_held(store, config)
        runs.save(run)
        try:
            if config.release:
                run.config = release.as_it_was(store, config)
            elif earlier and not config.as_of_given:
                run.config = replace(config, as_of=earlier.header.as_of)
            run.warnings += recovery.settle_dead_runs(store, config, lock)
            if run.held_before:  # one of them may have released it
                release.assert_not_released(store, config)
            _run(run, earlier, lock, progress)
            run.error = guard.partly_held(run)
        except CourierError as error:
            run.status = "held" if isinstance(error, HeldError) else "failed"
            run.error = error
            raise
        except BaseException as error:
            run.error = CourierError(
                f"The run was stopped by {type(error).__name__}", fix=" ".join(getattr(error, "__notes__", [])) or None
            )
            raise
        finally:
            run.finished_at = datetime.now(UTC)
            with suppress(CourierError):
                lock.assert_live()
            if not lock.lost:  # or the record is that of another start of the run, which is at work on it
                _save(run)
        retention.tidy(run, lock.assert_held)
    return run


def _save(run: runs.Run) -> None:
    """What ended the run is told, and what has become of its files, also where the state store takes no record of it any more."""
    try:
        runs.save(run)
    except CourierError:
        if run.error is None:
            raise


def _is_done(run: runs.Run) -> bool:
    """An earlier start has published; what it held back is told again."""
    record = runs.published_before(run.store, run.config)
    if record is None:
        return False
    run.status = runs.PUBLISHED_BEFORE
    run.audiences = runs.audiences(record)
    run.error = guard.partly_held(run)
    return True


def _run(run: runs.Run, earlier: Journal | None, lock: Lock, progress: Progress | None) -> None:
    config = run.config
    destination = reading.check_templates(config, earlier.attempt if earlier else "")
    before = recovery.resumable(earlier, config, run.store, lock) if earlier else None
    if before is not None and before.header.phase in ("publishing", "published"):
        with run.step("deliver"):
            _finish(run, destination, before, lock, progress)
        return
    ready = reading.read(run, destination)
    artefacts = reading.artefacts(run, ready)
    with ExitStack() as stack:
        engine = stack.enter_context(computing.opened(config, ready)) if config.engine.delivery == "executors" else None
        held = release.held_record(run.history, config, ready.baselines) if config.release else None
        computed = held or (before.header.record if before else None)  # what is held may have been computed anew since
        if computed is not None:
            snapshots, files = computing.reopened(run, computed)
        else:
            if earlier:
                earlier.outdate()
            snapshots, files, ready = computing.compute(run, ready, engine)
        if not files:
            _none_to_send(run)
            return
        _deliver(run, lock, destination, Sending(before, snapshots, files, ready, artefacts, engine), progress)


@dataclass(frozen=True)
class Sending:
    """What is delivered, and by whom: without an engine, by this process."""

    before: Journal | None
    snapshots: list[AudienceSnapshot]
    files: list[plan.PlannedFile]
    ready: Ready
    artefacts: list[bytes]
    engine: Engine | None


def _deliver(run: runs.Run, lock: Lock, destination: Destination, sending: Sending, progress: Progress | None) -> None:
    config, snapshots, files, columns = run.config, sending.snapshots, sending.files, sending.ready.columns
    with run.step("deliver"):
        journal = intent.new_journal(run, files, sending.before)

        def closing() -> list[bytes]:
            sent = [_sent(file, state) for file, state in zip(files, journal.states, strict=False)]
            run.warnings += esp.check_sizes(config, [(each.planned.own_name, each.size, each.plain_size) for each in sent])
            return manifest.closing_contents(config, columns.header, sent, sending.artefacts)

        shared = LastRead()
        to_send = [
            FileToSend(
                lambda file=file: Rendering(snapshots[file.audience], file, columns, config, sending.ready.keys, shared),  # type: ignore[misc]  # mypy cannot type a default
                rows=file.slice.rows,
                repeatable=not config.file.encrypted,
            )
            for file in files
        ]
        delivery = Delivery(config.destination, destination, journal, lock, progress)
        workers = None
        if sending.engine is not None:
            workers = cluster.Executors(sending.engine, cluster.tasks(config, snapshots, files, columns, run.started_at))
        with _settled(run, journal):
            delivery.deliver(to_send, closing, workers)
        _published(run, journal, lock, delivery.warnings)


def _finish(run: runs.Run, destination: Destination, journal: Journal, lock: Lock, progress: Progress | None) -> None:
    """Complete what an earlier start was publishing when it ended."""
    runs.restore(run, journal.header.record)
    delivery = Delivery(run.config.destination, destination, journal, lock, progress)
    if journal.header.phase == "publishing":
        with _settled(run, journal):
            delivery.finish()
    run.warnings.append("An earlier start of this run was publishing when it ended; this one finished it, and sent nothing again")
    _published(run, journal, lock, delivery.warnings)


@contextmanager
def _settled(run: runs.Run, journal: Journal) -> Iterator[None]:
    """What fails and is taken back is settled; else the next start finds it."""
    try:
        yield
    except BaseException as error:
        with suppress(CourierError):
            recovery.settle_failed(run.store, journal)
        if isinstance(error, KeyboardInterrupt) and journal.header.phase != "failed":
            done = all(state.delivered for state in journal.states)
            error.add_note((PUBLISHED if done else UNSETTLED).format(run_id=run.config.run_id))
        raise


def _published(run: runs.Run, journal: Journal, lock: Lock, warnings: list[str]) -> None:
    outcome = recovery.outcome(journal)
    for record, known in zip(run.audiences, outcome["audiences"], strict=True):
        record.status, record.files = known["status"], [runs.DeliveredFile(**file) for file in known["files"]]
    run.status, run.manifest, run.triggers = "published", outcome["manifest"], outcome["triggers"]
    run.artefacts += esp.delivered_names(run.config)
    run.warnings += [*warnings, *runs.noted(run)]
    run.error, run.finished_at = guard.partly_held(run), datetime.now(UTC)
    try:
        recovery.remember_published(run.store, journal, lock, lambda: runs.save(run))
    except (ConfigError, TransientError) as error:
        error.fix = PUBLISHED.format(run_id=run.config.run_id)
        raise


def _sent(file: plan.PlannedFile, state: FileState) -> manifest.Sent:
    return manifest.Sent(file, state.staged.size if state.staged else 0, state.sha256, state.plain_bytes, state.plain_sha256)


def _none_to_send(run: runs.Run) -> None:
    """Audiences without a file, as configured. Raises HeldError where what would have had one is held."""
    guard.assert_none_held(run)
    run.status = "empty"
    for record in run.audiences:
        if not record.left_out:
            record.status = "empty"
