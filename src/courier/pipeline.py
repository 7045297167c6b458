"""The page to read first: one run, from profiles to delivered files.

read → select → map → stage → plan → check → deliver → record
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from courier import audience, checks, manifest, mapping, plan, profiles, recovery, runs, snapshot
from courier.config import RunConfig
from courier.delivery import Delivery, FileToSend, assert_reachable
from courier.destinations import Destination, open_destination
from courier.engine import open_engine
from courier.errors import ConfigError, CourierError, HeldError
from courier.journal import FileState, Journal
from courier.progress import Progress
from courier.render import Keys, Rendering, assert_writable, open_keys
from courier.snapshot import AudienceSnapshot
from courier.state import open_store
from courier.state.lock import Lock, locked

KILLED = CourierError("The run ended without a word; it was killed, or is still going on")


@dataclass(frozen=True)
class Ready:
    """What is known before any profile is read."""

    source: profiles.ProfileSource
    columns: mapping.Mapping
    suite: checks.Suite
    keys: Keys | None


def activate(config: RunConfig, progress: Progress | None = None) -> runs.Run:
    """Run one activation. The record is written whether it ends well or not; a CourierError is raised after that."""
    store = open_store(config.state)
    run = runs.Run(config, store, started_at=datetime.now(UTC))
    if runs.published_before(store, config):
        run.status = "published before"
        return run
    with locked(store, config.activation, config.run_id, config.state.lease_seconds) as lock:
        if runs.published_before(store, config):  # by the run that held the lock
            run.status = "published before"
            return run
        run.error = KILLED
        runs.save(run)
        try:
            earlier = Journal.load(store, config.run_id)
            if earlier and not config.as_of_given:
                run.config = replace(config, as_of=earlier.header.as_of)
            run.warnings += recovery.settle_dead_runs(store, config)
            _run(run, earlier, lock, progress)
            run.error = None
        except CourierError as error:
            run.status = "held" if isinstance(error, HeldError) else "failed"
            run.error = error
            raise
        except BaseException as error:
            run.error = CourierError(f"The run was stopped by {type(error).__name__}")
            raise
        finally:
            run.finished_at = datetime.now(UTC)
            runs.save(run)
    return run


def _run(run: runs.Run, earlier: Journal | None, lock: Lock, progress: Progress | None) -> None:
    config = run.config
    destination = check_templates(config)
    before = recovery.resumable(earlier, destination, config) if earlier else None
    if before is not None and before.header.phase == "publishing":
        with _step(run, "deliver"):
            _finish(run, destination, before, progress)
        return
    ready = read(run, destination)
    snapshots, files = compute(run, ready) if before is None else _reopened(run, before)
    if not files:
        run.status = "empty"
        return
    with _step(run, "deliver"):
        journal = recovery.new_journal(run, files, before)

        def closing() -> list[bytes]:
            sent = [_sent(file, state) for file, state in zip(files, journal.states, strict=False)]
            return manifest.closing_contents(config, ready.columns.header, sent)

        to_send = [
            FileToSend(
                lambda file=file: Rendering(snapshots[file.audience], file, ready.columns, config, ready.keys),  # type: ignore[misc]  # mypy cannot type a default
                rows=file.slice.rows,
                repeatable=not config.file.encrypted,
            )
            for file in files
        ]
        delivery = Delivery(config.destination, destination, journal, progress)
        delivery.deliver(to_send, closing, lock.assert_held)
        _published(run, journal, delivery.warnings)


def check_templates(config: RunConfig) -> Destination:
    """Refuse names and secrets that cannot be, and give the destination, which is not connected yet."""
    plan.check_names(config)
    manifest.check_triggers(config)
    return open_destination(config.destination, config.run_id)


def read(run: runs.Run, destination: Destination) -> Ready:
    """Everything that can be known, or refused, before any profile is read."""
    config = run.config
    with _step(run, "read"):
        source = profiles.inspect(config.source, mapping.needed_paths(config.mapping))
        audience.assert_memberships(source.schema)
        columns = mapping.resolve(config.mapping, source.schema)
        assert_writable(config.file, columns)
        keys = open_keys(config.file, run.started_at)
        suite = checks.resolve(config.checks, columns)
        run.profiles, run.columns = source.profiles, columns.header
        assert_reachable(config.destination, destination)
    return Ready(source, columns, suite, keys)


def compute(run: runs.Run, ready: Ready) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile]]:
    """All that needs an engine: from the profiles to a snapshot that is counted, planned and checked."""
    config, columns = run.config, ready.columns
    run.audiences = [runs.AudienceRecord(segment.id, segment.name) for segment in config.audience.segments]
    with open_engine(config.engine, config.source) as engine:
        with _step(run, "select, map, stage"):
            everyone = profiles.read(engine, ready.source)
            members = audience.members(everyone, config.audience, config.as_of, carried=mapping.values(columns))
            rows = mapping.with_outcomes(mapping.with_exclusions(members, columns), columns, one_stream=engine.one_stream)
            if ready.suite.expectations:
                checks.load_ahead()
            snapshots = snapshot.stage(rows, run.store.folder(run.snapshot_key), len(run.audiences))
        with _step(run, "plan"):
            files = _planned(run, snapshots)
        with _step(run, "check"):
            for record, staged in zip(run.audiences, snapshots, strict=True):
                record.checks = checks.check(snapshot.exported_rows(engine, staged, columns), ready.suite, columns)
            _hold_where_needed(run)
            run.store.keep_folder(run.snapshot_key)
    return snapshots, files


def _reopened(run: runs.Run, before: Journal) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile]]:
    """What an earlier start of this run has computed and checked."""
    runs.restore(run, before.header.record)
    counted = [record.counts for record in run.audiences]
    with _step(run, "plan"):
        run.store.fetch_folder(run.snapshot_key)
        snapshots = snapshot.reopen(run.store.folder(run.snapshot_key), len(run.audiences))
        files = _planned(run, snapshots)
    if [record.counts for record in run.audiences] != counted:
        raise ConfigError(
            "The snapshot of an earlier start of this run is gone or changed",
            where=run.store.shown(run.snapshot_key),
            fix="use another run_id",
        )
    run.warnings.append("An earlier start of this run had computed and checked the rows; they were not computed again")
    return snapshots, files


def _finish(run: runs.Run, destination: Destination, journal: Journal, progress: Progress | None) -> None:
    """Complete what an earlier start was publishing when it ended."""
    runs.restore(run, journal.header.record)
    delivery = Delivery(run.config.destination, destination, journal, progress)
    delivery.finish()
    run.warnings.append("An earlier start of this run was publishing when it ended; this one finished it, and sent nothing again")
    _published(run, journal, delivery.warnings)


def _published(run: runs.Run, journal: Journal, warnings: list[str]) -> None:
    run.status = "published"
    run.warnings += warnings
    closing = journal.header.names[len(journal.header.planned) :]
    if run.config.destination.manifest:
        run.manifest = closing.pop(0)
    run.triggers = closing
    for planned, state in zip(journal.header.planned, journal.states, strict=False):
        size = state.staged.size if state.staged else 0
        proof = (state.sha256, state.plain_bytes, state.plain_sha256)
        file = runs.DeliveredFile(state.uri, planned["rows"], size, *proof, state.confirmed, state.notes)
        run.audiences[planned["audience"]].files.append(file)
    run.warnings += runs.noted(run)
    recovery.remember_published(run, journal)


def _sent(file: plan.PlannedFile, state: FileState) -> manifest.Sent:
    return manifest.Sent(file, state.staged.size if state.staged else 0, state.sha256, state.plain_bytes, state.plain_sha256)


def _planned(run: runs.Run, snapshots: list[AudienceSnapshot]) -> list[plan.PlannedFile]:
    files = [file for staged in snapshots for file in _plan(run, staged)]
    plan.assert_distinct([*(file.name for file in files), *manifest.closing_names(run.config, files)])
    return files


def _plan(run: runs.Run, staged: AudienceSnapshot) -> list[plan.PlannedFile]:
    """Count one audience's outcomes and name its files. Planned before the checks, so that a held run's record has counts."""
    record = run.audiences[staged.ordinal]
    outcomes = (batch.column(0) for batch in staged.batches(["outcome"]))
    record.counts, cuts = plan.slices(outcomes, run.config.file.max_rows)
    if not record.counts.members:
        run.warnings.append(
            f"No profile is a member of segment {record.segment_id} in namespace {run.config.audience.namespace}; check the id and the namespace"
        )
    return plan.planned_files(run.config, staged.ordinal, cuts)


def _hold_where_needed(run: runs.Run) -> None:
    """Raise HeldError for failed critical checks and, with `file.on_empty=fail`, for an audience without a row."""
    for record in run.audiences:
        if run.config.file.on_empty == "fail" and record.counts and not record.counts.exported:
            raise HeldError(
                "An audience is empty, so nothing was delivered", where=f"segment {record.segment_id}", fix="file.on_empty=header or skip"
            )
        failed = [check for check in record.checks if not check.success and check.severity == "critical"]
        if failed:
            raise HeldError(
                "Checks held the files back; nothing was delivered",
                where=f"segment {record.segment_id}",
                found="; ".join(check.describe() for check in failed),
                fix="correct the profiles, or change the checks (conf/checks)",
            )


@contextmanager
def _step(run: runs.Run, name: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        run.seconds[name] = time.monotonic() - started
