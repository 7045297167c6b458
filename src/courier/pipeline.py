"""The page to read first: one run, from profiles to delivered files.

read → select → map → stage → plan → check → deliver → record
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from courier import audience, checks, mapping, plan, profiles, runs, snapshot
from courier.config import RunConfig
from courier.delivery import assert_reachable, deliver
from courier.destinations import open_destination
from courier.engine import open_engine
from courier.errors import CourierError, HeldError
from courier.manifest import manifest_name
from courier.render import assert_writable, render
from courier.snapshot import AudienceSnapshot


def activate(config: RunConfig) -> runs.Run:
    """Run one activation. The record is written whether it ends well or not; a CourierError is raised after that."""
    run = runs.Run(config, started_at=datetime.now(UTC))
    runs.open_state(config)
    if runs.published_before(config):
        run.status = "published before"
        return run
    try:
        _run(run)
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


def _run(run: runs.Run) -> None:
    config = run.config
    run.audiences = [runs.AudienceRecord(segment.id, segment.name) for segment in config.audience.segments]

    with _step(run, "read"):
        plan.check_names(config)
        destination = open_destination(config.destination, config.run_id)
        source = profiles.inspect(config.source, mapping.needed_paths(config.mapping))
        audience.assert_memberships(source.schema)
        columns = mapping.resolve(config.mapping, source.schema)
        assert_writable(config.file, columns)
        suite = checks.resolve(config.checks, columns)
        run.profiles, run.columns = source.profiles, columns.header
        assert_reachable(destination)

    with open_engine(config.engine, config.source) as engine:
        with _step(run, "select, map, stage"):
            everyone = profiles.read(engine, source)
            members = audience.members(everyone, config.audience, config.as_of, carried=mapping.values(columns))
            rows = mapping.with_outcomes(mapping.with_exclusions(members, columns), columns, one_stream=engine.one_stream)
            if suite.expectations:
                checks.load_ahead()
            snapshots = snapshot.stage(rows, config.run_folder, len(run.audiences))
        with _step(run, "plan"):
            files = [file for staged in snapshots for file in _plan(run, staged)]
            plan.assert_distinct(files)
        with _step(run, "check"):
            for record, staged in zip(run.audiences, snapshots, strict=True):
                record.checks = checks.check(snapshot.exported_rows(engine, staged, columns), suite, columns)
            _hold_where_needed(run)

    with _step(run, "deliver"):
        if files:
            sent = deliver(
                config, destination, files, columns.header, lambda file: render(snapshots[file.audience], file.slice, columns, config.file)
            )
            for delivered in sent:
                run.audiences[delivered.planned.audience].files.append(delivered)
            run.manifest = manifest_name(config)
    run.status = "published" if files else "empty"


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
