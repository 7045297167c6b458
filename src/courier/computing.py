"""The steps select, map, stage, plan and check: all that needs an engine. What an earlier start has computed is reopened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from courier import checks, esp, expressions, guard, mapping, names, plan, runs, suspicions
from courier.config import RunConfig
from courier.delivery import cluster, manifest
from courier.engine import Engine, open_engine, source_errors
from courier.errors import ConfigError
from courier.members import audience, consent, suppression
from courier.reading import Ready
from courier.render import assert_writable
from courier.rows import changes, counts, footers, outcomes, rules, snapshot
from courier.rows.snapshot import AudienceSnapshot
from courier.runs import baseline, rejects
from courier.source import profiles
from courier.state.place import Place, usable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@contextmanager
def opened(config: RunConfig, ready: Ready) -> Iterator[Engine]:
    lists = [each.path for each in config.suppression.lists.values()]
    row_bytes = ready.source.row_bytes(mapping.parts_read(ready.columns), len(ready.columns.columns))
    with open_engine(config.engine, config.source, config.state, lists, row_bytes) as engine:
        cluster.assert_possible(engine, config)
        if config.engine.delivery == "executors":
            cluster.assert_ready(engine, config)
        yield engine


def compute(run: runs.Run, ready: Ready, given: Engine | None) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile], Ready]:
    """All that needs an engine: from the profiles to a snapshot that is counted, planned and checked."""
    config = run.config
    known = baseline.load(run.history, config.activation)
    run.audiences = [runs.AudienceRecord(segment.id, segment.name, segment.namespace) for segment in config.audience.segments]
    for record, segment in zip(run.audiences, config.audience.segments, strict=True):
        record.baseline = ready.baselines[segment.key].run_id if segment.key in ready.baselines else None
        record.last = known[segment.key].run_id if segment.key in known else None
    if ready.suite.expectations and config.engine.kind != "sail":  # which starts at once; others are waited for
        checks.load_ahead()
    with nullcontext(given) if given is not None else opened(config, ready) as engine:
        with run.step("select, map, stage"):
            judged, ready = rows(config, ready, engine)
            run.types = ready.columns.types
            baseline.assert_same_types(ready.baselines, run.types)
            run.warnings += esp.check_columns(config, ready.columns)
            if ready.suite.expectations:
                checks.load_ahead()
            if run.held_before:  # its rows are replaced now
                run.held_before = False
                runs.save(run)
            snapshots = snapshot.stage(judged, _place(run, engine), len(run.audiences), engine, ready.columns.sorted_by)
            footers.assert_dates([footer for staged in snapshots for footer in staged.footers], ready.columns)
        with run.step("plan"):
            found = [_changes(run, ready, staged) for staged in snapshots]
            found = _kept(run, found, engine)
            planned = [_plan(run, staged, changes) for staged, changes in zip(snapshots, found, strict=True)]
            _write_rejects(run, ready, snapshots)
            run.warnings += suspicions.warnings(run, ready, snapshots, engine)
            snapshots = [staged if changes is None else changes.snapshot for staged, changes in zip(snapshots, found, strict=True)]
        with run.step("check"):
            judging = checks.Checks(ready.columns)
            for record, segment, staged in zip(run.audiences, config.audience.segments, snapshots, strict=True):
                assert record.counts is not None
                unchanged = record.baseline is not None and not (record.counts.added or record.counts.changed)
                suite = checks.without_row_counts(ready.suite) if unchanged else ready.suite
                record.checks = judging.check(snapshot.exported_rows(engine, staged, ready.columns), suite)
                record.held = guard.reason(config, segment, record.counts, record.checks, known)
            guard.hold(run)
    return snapshots, _named(run, planned), ready


@source_errors("preparing the rows")  # engines look at the files when columns are named, or when all is computed
def rows(config: RunConfig, ready: Ready, engine: Engine) -> tuple[DataFrame, Ready]:
    """The steps select and map: profiles → rows with their outcomes, not computed yet. Expressions get their types here."""
    schema, fan_out = ready.source.schema, None
    carried = [*mapping.inputs(ready.columns), *consent.inputs(ready.consent, schema), *suppression.value(config.suppression, schema)]
    known = outcomes.needs_identities(config.dedup, config.export)
    if known:
        carried.append(outcomes.identities(expressions.root("identityMap")).alias(outcomes.IDENTITIES))
    if ready.columns.fan_out:
        fan_out = expressions.entry(expressions.root("identityMap"), ready.columns.fan_out)
    everyone = profiles.read(engine, ready.source)
    leavers = any(before.size for before in ready.baselines.values())
    members = audience.members(
        everyone, config.audience, config.as_of, carried=carried, leavers=leavers, columnar=engine.one_machine, fan_out=fan_out
    )
    members = consent.heard(members, ready.consent)
    columns = esp.fitted(config, mapping.typed(ready.columns, suppression.unmarked(members)))
    assert_writable(config.file, columns)
    applied = esp.row_rules(config, columns)
    ready = replace(ready, columns=columns, rules=esp.marked(rules.resolve(applied, columns), columns))
    marked = suppression.marked(members, config.suppression, ready.suppressed, engine, fan_out=fan_out is not None)
    by = outcomes.Rules(ready.consent, applied, ready.rules)
    judged = outcomes.judged(marked, columns, [*mapping.values(columns), *esp.marks(columns)], by, identities=known)
    return outcomes.with_outcomes(judged, columns, config.dedup, one_stream=engine.one_machine), ready


def _changes(run: runs.Run, ready: Ready, staged: AudienceSnapshot) -> changes.Changes | None:
    """The rows to send of an audience that is compared with the last published run; None where all of it is sent."""
    config, before = run.config, ready.baselines.get(run.config.audience.segments[staged.ordinal].key)
    if before is None:
        return None
    path = _changes_path(run, staged.ordinal)
    compared = changes.compared(baseline.snapshot_of(run.history, before), baseline.folder_of(run.history, before))
    with usable(path.parent):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return changes.find(compared, staged, ready.columns, config.export, path)


def _place(run: runs.Run, engine: Engine) -> Place:
    """Where the engine writes the snapshot: where every executor can, or else on this machine's disk, which is faster."""
    if _in_bucket(run, engine):
        run.store.delete_folder(run.snapshot_key)  # what an earlier start left
        return run.store.place(run.snapshot_key)
    return Place(str(run.store.folder(run.snapshot_key).absolute()))


def _in_bucket(run: runs.Run, engine: Engine) -> bool:
    """A folder of this machine that stands for one of a bucket is on no disk that other machines share."""
    return engine.remote and run.store.place(run.snapshot_key).state is not None


def _kept(run: runs.Run, found: list[changes.Changes | None], engine: Engine) -> list[changes.Changes | None]:
    """Put what this machine wrote into the state store; for executors, speak of it as it is there."""
    if not _in_bucket(run, engine):
        run.store.keep_folder(run.snapshot_key)
        return found
    run.store.keep_folder(f"{run.snapshot_key}/changes")
    place = run.store.place(f"{run.snapshot_key}/changes")
    return [None if each is None else changes.stored(each, place) for each in found]


def _changes_path(run: runs.Run, ordinal: int) -> Path:
    return changes.rows_path(run.store.folder(run.snapshot_key), ordinal)


def _write_rejects(run: runs.Run, ready: Ready, snapshots: list[AudienceSnapshot]) -> None:
    rejecting = [staged for staged, record in zip(snapshots, run.audiences, strict=True) if record.counts and record.counts.rejected]
    key = f"runs/{run.config.run_id}/rejects"
    run.store.delete_folder(key)  # what an earlier start left
    for staged in rejecting:
        folder = run.store.folder(key)
        with usable(folder):
            rejects.write(staged, ready.columns, ready.rules, folder)
    if rejecting:
        run.store.keep_folder(key)
        run.rejects = run.store.shown(key)


def reopened(run: runs.Run, record: dict[str, Any]) -> tuple[list[AudienceSnapshot], list[plan.PlannedFile]]:
    """What an earlier start of this run, or the run that is released, has computed and checked."""
    if record["columns"] != run.columns:  # which the snapshot knows by their places only
        raise ConfigError(
            "What an earlier run has computed has other columns",
            where=run.store.shown(run.snapshot_key),
            found=", ".join(record["columns"]),
            expected=", ".join(run.columns),
            fix="use another run_id",
        )
    runs.restore(run, record)
    counted = [record.counts for record in run.audiences]
    with run.step("plan"):
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


def _plan(run: runs.Run, staged: AudienceSnapshot, found: changes.Changes | None) -> list[plan.PlannedFile]:
    """Count one audience's outcomes and name its files. Planned before the checks, so that a held run's record has counts."""
    record, limits = run.audiences[staged.ordinal], (run.config.file.max_rows, plan.changes(run.config))
    record.counts, cuts = counts.slices(staged.batches(counts.COUNTED), *limits)
    if found is not None:
        sent, cuts = counts.slices(found.snapshot.batches(counts.COUNTED), *limits)
        record.counts = counts.of_changes(record.counts, found, sent)
    return plan.planned_files(run.config, staged.ordinal, cuts)


def _named(run: runs.Run, planned: list[list[plan.PlannedFile]]) -> list[plan.PlannedFile]:
    """The files of the audiences that are not held back, and were not published before."""
    files = [file for found, record in zip(planned, run.audiences, strict=True) if not record.left_out for file in found]
    names.assert_distinct([*(file.name for file in files), *(manifest.closing_names(run.config, files) if files else [])])
    return files
