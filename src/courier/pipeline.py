"""The page to read first: one run, from profiles to delivered files.

read → select → map → stage → plan → check → deliver → record
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from courier import (
    audience,
    baseline,
    changes,
    checks,
    cluster,
    consent,
    counts,
    esp,
    expressions,
    guard,
    manifest,
    mapping,
    names,
    outcomes,
    plan,
    profiles,
    recovery,
    rejects,
    release,
    retention,
    rules,
    runs,
    snapshot,
    suppression,
)
from courier.config import RunConfig
from courier.delivery import Delivery, assert_reachable
from courier.destinations import Destination, open_destination
from courier.engine import Engine, open_engine
from courier.errors import ConfigError, CourierError, HeldError
from courier.journal import FileState, Journal
from courier.progress import Progress
from courier.render import Keys, Rendering, assert_writable, open_keys
from courier.snapshot import AudienceSnapshot
from courier.staging import FileToSend
from courier.state import open_store
from courier.state.lock import Lock, locked
from courier.state.place import Place

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KILLED = CourierError("The run ended without a word; it was killed, or is still going on")


@dataclass(frozen=True)
class Ready:
    """What is known before any profile is read."""

    source: profiles.ProfileSource
    columns: mapping.Mapping
    consent: consent.Consent
    suppressed: dict[str, list[str]]  # the files of each suppression list
    rules: dict[str, mapping.MappedColumn]
    suite: checks.Suite
    baselines: dict[str, baseline.Baseline]
    keys: Keys | None


def activate(config: RunConfig, progress: Progress | None = None) -> runs.Run:
    """Run one activation. The record is written whether it ends well or not; a CourierError is raised after that."""
    store = open_store(config.state)
    run = runs.Run(config, store, started_at=datetime.now(UTC))
    if _is_done(run):
        return run
    with locked(store, config.activation, config.run_id, config.state.lease_seconds) as lock:
        if _is_done(run):  # by the run that held the lock
            return run
        earlier = Journal.load(store, config.run_id)
        if not (earlier and earlier.header.phase == "published"):
            release.assert_not_released(store, config)
        run.error = KILLED
        runs.save(run)
        try:
            if config.release:
                run.config = release.as_it_was(store, config)
            elif earlier and not config.as_of_given:
                run.config = replace(config, as_of=earlier.header.as_of)
            run.warnings += recovery.settle_dead_runs(store, config)
            _run(run, earlier, lock, progress)
            run.error = guard.partly_held(run)
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
        retention.tidy(run, lock.assert_held)
    return run


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
    destination = check_templates(config)
    before = recovery.resumable(earlier, destination, config, run.store) if earlier else None
    if before is not None and before.header.phase in ("publishing", "published"):
        with _step(run, "deliver"):
            _finish(run, destination, before, progress)
        return
    ready = read(run, destination)
    artefacts = _artefacts(run, ready)
    with ExitStack() as opened:
        engine = opened.enter_context(_opened(config)) if config.engine.delivery == "executors" else None
        if before is not None:
            snapshots, files = _reopened(run, before.header.record)
        elif config.release:
            snapshots, files = _reopened(run, release.held_record(run.history, config, ready.baselines))
        else:
            snapshots, files, ready = compute(run, ready, engine)
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
    with _step(run, "deliver"):
        journal = recovery.new_journal(run, files, sending.before)

        def closing() -> list[bytes]:
            sent = [_sent(file, state) for file, state in zip(files, journal.states, strict=False)]
            run.warnings += esp.check_sizes(config, [(each.planned.own_name, each.size, each.plain_size) for each in sent])
            return manifest.closing_contents(config, columns.header, sent, sending.artefacts)

        to_send = [
            FileToSend(
                lambda file=file: Rendering(snapshots[file.audience], file, columns, config, sending.ready.keys),  # type: ignore[misc]  # mypy cannot type a default
                rows=file.slice.rows,
                repeatable=not config.file.encrypted,
            )
            for file in files
        ]
        delivery = Delivery(config.destination, destination, journal, progress)
        workers = None
        if sending.engine is not None:
            workers = cluster.Executors(sending.engine, cluster.tasks(config, snapshots, files, columns, run.started_at))
        delivery.deliver(to_send, closing, lock.assert_held, workers)
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
        source = profiles.inspect(config.source)
        audience.assert_memberships(source.schema)
        columns = mapping.resolve(config.mapping, config.dedup, config.export, source.schema)
        asked = consent.resolve(config.consent, source.schema)
        profiles.assert_alike(source, [*columns.inputs.values(), *asked.paths.values(), *suppression.needed_paths(config.suppression)])
        assert_writable(config.file, columns)
        keys = open_keys(config.file, run.started_at)
        suite = checks.resolve(config.checks, columns)
        run.profiles, run.columns, run.consent, run.shape = source.profiles, columns.header, asked.describe(), recovery.shape(config)
        ready = Ready(
            source,
            columns,
            asked,
            suppression.inspect(config.suppression, config.source, source.schema),
            rules.resolve(esp.row_rules(config, columns), columns),
            suite,
            baseline.to_compare(config, run.history),
            keys,
        )
        run.warnings += esp.check_configuration(config)
        assert_reachable(config.destination, destination)
    return ready


@contextmanager
def _opened(config: RunConfig) -> Iterator[Engine]:
    with open_engine(config.engine, config.source, config.state) as engine:
        cluster.assert_possible(engine, config)
        yield engine


def compute(run: runs.Run, ready: Ready, opened: Engine | None = None) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile], Ready]:
    """All that needs an engine: from the profiles to a snapshot that is counted, planned and checked."""
    config = run.config
    known = baseline.load(run.history, config.activation)
    run.audiences = [runs.AudienceRecord(segment.id, segment.name, segment.namespace) for segment in config.audience.segments]
    for record, segment in zip(run.audiences, config.audience.segments, strict=True):
        record.baseline = ready.baselines[segment.key].run_id if segment.key in ready.baselines else None
    with nullcontext(opened) if opened is not None else _opened(config) as engine:
        with _step(run, "select, map, stage"):
            judged, ready = rows(config, ready, engine)
            run.warnings += esp.check_columns(config, ready.columns)
            if ready.suite.expectations:
                checks.load_ahead()
            snapshots = snapshot.stage(judged, _place(run, engine), len(run.audiences), engine, ready.columns.sorted_by)
        with _step(run, "plan"):
            found = [_changes(run, ready, staged) for staged in snapshots]
            found = _kept(run, found, engine)
            planned = [_plan(run, staged, changes) for staged, changes in zip(snapshots, found, strict=True)]
            _write_rejects(run, ready, snapshots)
            snapshots = [staged if changes is None else changes.snapshot for staged, changes in zip(snapshots, found, strict=True)]
        with _step(run, "check"):
            for record, segment, staged in zip(run.audiences, config.audience.segments, snapshots, strict=True):
                assert record.counts is not None
                record.checks = checks.check(snapshot.exported_rows(engine, staged, ready.columns), ready.suite, ready.columns)
                size_before = known[segment.key].size if segment.key in known else None
                record.held = guard.reason(config, record.counts, record.checks, size_before)
            guard.hold(run)
    return snapshots, _named(run, planned), ready


def rows(config: RunConfig, ready: Ready, engine: Engine) -> tuple[DataFrame, Ready]:
    """The steps select and map: profiles → rows with their outcomes, not computed yet. Expressions get their types here."""
    schema, fan_out = ready.source.schema, None
    carried = [*mapping.inputs(ready.columns), *consent.inputs(ready.consent, schema), *suppression.value(config.suppression, schema)]
    known = config.dedup.scope == "profile" or "identity" in config.export.triggers
    if known:
        carried.append(outcomes.identities(expressions.root("identityMap")).alias(outcomes.IDENTITIES))
    if ready.columns.fan_out:
        fan_out = expressions.entry(expressions.root("identityMap"), ready.columns.fan_out)
    everyone = profiles.read(engine, ready.source)
    leavers = any(before.size for before in ready.baselines.values())
    members = audience.members(everyone, config.audience, config.as_of, carried=carried, leavers=leavers, fan_out=fan_out)
    columns = esp.fitted(config, mapping.typed(ready.columns, members))
    assert_writable(config.file, columns)
    applied = esp.row_rules(config, columns)
    ready = replace(ready, columns=columns, rules=esp.marked(rules.resolve(applied, columns), columns))
    marked = suppression.marked(members, config.suppression, ready.suppressed, engine)
    by = outcomes.Rules(ready.consent, applied, ready.rules)
    judged = outcomes.judged(marked, columns, [*mapping.values(columns), *esp.marks(columns)], by, identities=known)
    return outcomes.with_outcomes(judged, columns, config.dedup, one_stream=engine.one_stream), ready


def _changes(run: runs.Run, ready: Ready, staged: AudienceSnapshot) -> changes.Changes | None:
    """The rows to send of an audience that is compared with the last published run; None where all of it is sent."""
    config, before = run.config, ready.baselines.get(run.config.audience.segments[staged.ordinal].key)
    if before is None:
        return None
    path = _changes_path(run, staged.ordinal)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return changes.find(baseline.snapshot_of(run.history, before), staged, ready.columns, config.export, path)


def _place(run: runs.Run, engine: Engine) -> Place:
    """Where the engine writes the snapshot: where every executor can, or else on this machine's disk, which is faster."""
    if engine.spread:
        place = run.store.place(run.snapshot_key)
        if place.state is None:
            raise ConfigError(
                "A preflight computes into a folder of this machine, which executors do not see", fix="try it out with engine=sail"
            )
        run.store.delete_folder(run.snapshot_key)  # what an earlier start left
        return place
    return Place(str(run.store.folder(run.snapshot_key).absolute()))


def _kept(run: runs.Run, found: list[changes.Changes | None], engine: Engine) -> list[changes.Changes | None]:
    """Put what this machine wrote into the state store; for executors, speak of it as it is there."""
    if not engine.spread:
        run.store.keep_folder(run.snapshot_key)
        return found
    run.store.keep_folder(f"{run.snapshot_key}/changes")
    place = run.store.place(f"{run.snapshot_key}/changes")
    return [None if each is None else changes.stored(each, place) for each in found]


def _changes_path(run: runs.Run, ordinal: int) -> Path:
    return run.store.folder(run.snapshot_key) / "changes" / f"{ordinal}.parquet"


def _artefacts(run: runs.Run, ready: Ready) -> list[bytes]:
    """Keep what the import at the platform is made from, and give those that are to be put beside the files."""
    for name, content in esp.artefacts(run.config, ready.columns).items():
        key = f"runs/{run.config.run_id}/artefacts/{name}"
        run.store.write(key, content)
        run.artefacts.append(run.store.shown(key))
    return esp.delivered(run.config, ready.columns)


def _write_rejects(run: runs.Run, ready: Ready, snapshots: list[AudienceSnapshot]) -> None:
    rejecting = [staged for staged, record in zip(snapshots, run.audiences, strict=True) if record.counts and record.counts.rejected]
    key = f"runs/{run.config.run_id}/rejects"
    for staged in rejecting:
        rejects.write(staged, ready.columns, ready.rules, run.store.folder(key))
    if rejecting:
        run.store.keep_folder(key)
        run.rejects = run.store.shown(key)


def _reopened(run: runs.Run, record: dict[str, Any]) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile]]:
    """What an earlier start of this run, or the run that is released, has computed and checked."""
    runs.restore(run, record)
    counted = [record.counts for record in run.audiences]
    with _step(run, "plan"):
        run.store.fetch_folder(run.snapshot_key)
        snapshots = snapshot.reopen(Place(str(run.store.folder(run.snapshot_key))), len(run.audiences))
        found = [
            None if known.baseline is None else changes.counted(changes.reopen(ordinal, _changes_path(run, ordinal)))
            for ordinal, known in enumerate(run.audiences)
        ]
        planned = [_plan(run, staged, part) for staged, part in zip(snapshots, found, strict=True)]
        files = _named(run, planned)
        if run.config.engine.delivery == "executors":  # which look into the state store itself
            stored = run.store.place(run.snapshot_key)
            snapshots = snapshot.reopen(stored, len(run.audiences))
            found = [None if part is None else changes.stored(part, stored.below("changes")) for part in found]
        snapshots = [staged if part is None else part.snapshot for staged, part in zip(snapshots, found, strict=True)]
    if [record.counts for record in run.audiences] != counted:
        raise ConfigError(
            "The snapshot of an earlier start of this run is gone or changed",
            where=run.store.shown(run.snapshot_key),
            fix="use another run_id",
        )
    what = f"run {run.config.release}, which was held," if run.config.release else "An earlier start of this run"
    run.warnings.append(f"{what[0].upper()}{what[1:]} had computed and checked the rows; they were not computed again")
    return snapshots, files


def _finish(run: runs.Run, destination: Destination, journal: Journal, progress: Progress | None) -> None:
    """Complete what an earlier start was publishing when it ended."""
    runs.restore(run, journal.header.record)
    delivery = Delivery(run.config.destination, destination, journal, progress)
    if journal.header.phase == "publishing":
        delivery.finish()
    run.warnings.append("An earlier start of this run was publishing when it ended; this one finished it, and sent nothing again")
    _published(run, journal, delivery.warnings)


def _published(run: runs.Run, journal: Journal, warnings: list[str]) -> None:
    outcome = recovery.outcome(journal)
    for record, known in zip(run.audiences, outcome["audiences"], strict=True):
        record.status, record.files = known["status"], [runs.DeliveredFile(**file) for file in known["files"]]
    run.status, run.manifest, run.triggers = "published", outcome["manifest"], outcome["triggers"]
    run.artefacts += esp.delivered_names(run.config)
    run.warnings += [*warnings, *runs.noted(run)]
    run.error, run.finished_at = guard.partly_held(run), datetime.now(UTC)
    recovery.remember_published(run.store, journal, lambda: runs.save(run))


def _sent(file: plan.PlannedFile, state: FileState) -> manifest.Sent:
    return manifest.Sent(file, state.staged.size if state.staged else 0, state.sha256, state.plain_bytes, state.plain_sha256)


def _named(run: runs.Run, planned: list[list[plan.PlannedFile]]) -> list[plan.PlannedFile]:
    """The files of the audiences that are not held back, and were not published before."""
    files = [file for found, record in zip(planned, run.audiences, strict=True) if not record.left_out for file in found]
    names.assert_distinct([*(file.name for file in files), *(manifest.closing_names(run.config, files) if files else [])])
    return files


def _plan(run: runs.Run, staged: AudienceSnapshot, found: changes.Changes | None) -> list[plan.PlannedFile]:
    """Count one audience's outcomes and name its files. Planned before the checks, so that a held run's record has counts."""
    record, limits = run.audiences[staged.ordinal], (run.config.file.max_rows, plan.changes(run.config))
    record.counts, cuts = counts.slices(staged.batches(counts.COUNTED), *limits)
    if found is not None:
        sent, cuts = counts.slices(found.snapshot.batches(counts.COUNTED), *limits)
        record.counts = counts.of_changes(record.counts, found, sent)
    if not record.counts.members:
        warning = f"No profile is a member of segment {record.segment_id} in namespace {record.namespace}; check the id and the namespace"
        if warning not in run.warnings:
            run.warnings.append(warning)
    return plan.planned_files(run.config, staged.ordinal, cuts)


def _none_to_send(run: runs.Run) -> None:
    """Audiences without a file, as configured. Raises HeldError where what would have had one is held."""
    guard.assert_none_held(run)
    run.status = "empty"
    for record in run.audiences:
        if not record.left_out:
            record.status = "empty"


@contextmanager
def _step(run: runs.Run, name: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        run.seconds[name] = time.monotonic() - started
