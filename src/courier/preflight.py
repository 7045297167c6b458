"""Try an activation out: everything but the publishing.

The rows are computed where the engine can write them, but in a folder of the preflight's own, which is removed again;
those of a run that is released are only read. What a run may do at the state store and at the destination is tried out by
probes (`probe.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from courier import computing, esp, guard, probe, runs
from courier.config import RunConfig, StateConfig
from courier.delivery import manifest
from courier.delivery.journal import Journal
from courier.engine import Engine
from courier.errors import HeldError
from courier.masking import masked_lines
from courier.plan import PlannedFile
from courier.reading import Ready, check_templates, read
from courier.render import render
from courier.rows import footers
from courier.rows.snapshot import AudienceSnapshot
from courier.runs import recovery, release
from courier.runs.report import audience_lines
from courier.state import Store, open_store
from courier.state.scratch import scratch_folder
from courier.turns import own_turn

SAMPLE_ROWS = 3
#: Rows that are rendered to guess how many bytes a file will have.
MEASURED_ROWS = 10_000
MEASURED_BYTES = 32 * 1024 * 1024


def preflight(config: RunConfig) -> Generator[str]:
    """What the activation would do, for people, each line as soon as it is known. Raises what the activation would raise."""
    with own_turn():
        yield from _lines(config)


def _lines(config: RunConfig) -> Iterator[str]:
    yield f"Preflight of activation '{config.activation}' on {config.engine.kind}: nothing is published"
    store = open_store(config.state)
    before = runs.published_before(store, config)
    if before is not None:
        yield from _published_before(config, store, before)
        return
    probe.try_state(store, _folder(config))
    yield "  state store: a value could be written, changed, read and deleted"
    earlier = recovery.earlier(store, config.run_id)
    if earlier is not None:
        if earlier.header.phase in ("publishing", "published"):
            yield f"Nothing would be computed: an earlier start of run {config.run_id} was publishing when it ended; the next one finishes that"
            return
        yield f"  warning: an earlier start of run {config.run_id} did not end its delivery; the run goes on with its rows where it can"
    run = runs.Run(_as_the_run(config, store, earlier), store, started_at=datetime.now(UTC), earlier=store)
    yield from _tried(run)
    held = _would_be_held(run)
    if held is not None:
        raise held
    yield "Ready: the activation can run"


def _published_before(config: RunConfig, store: Store, record: dict[str, Any]) -> Iterator[str]:
    yield f"Nothing would be done: run {config.run_id} has published its files already. Use another run_id to send again"
    held = guard.partly_held(runs.Run(config, store, datetime.now(UTC), audiences=runs.audiences(record)))
    if held is not None:
        raise held


def _as_the_run(config: RunConfig, store: Store, earlier: Journal | None) -> RunConfig:
    """As the run would have it: under the time of the run that it releases, or of its own earlier start."""
    release.assert_not_released(store, config)
    if config.release:
        return release.as_it_was(store, config)
    return config if earlier is None or config.as_of_given else replace(config, as_of=earlier.header.as_of)


def _tried(run: runs.Run) -> Iterator[str]:
    config = run.config
    destination = check_templates(config)
    ready = read(run, destination)
    yield f"  configuration, secrets, source and its {ready.source.profiles:,} profiles: as they should be"
    if ready.keys is not None:
        yield f"  encryption: {ready.keys.describe()}"
    with ExitStack() as stack:
        try:
            snapshots, files, ready = _computed(run, ready, stack)
        except HeldError as error:
            yield from _audiences(run)
            raise _would_be_held(run) or error from error
        yield f"  columns: {', '.join(ready.columns.header)}"
        yield from (f"  {line}" for line in esp.lines(config, [record.counts for record in run.audiences if record.counts]))
        yield from _audiences(run)
        expected = 0
        for file in files:
            size, sample = _measured(snapshots[file.audience], file, ready, config)
            expected += size
            yield f"  {file.name}: {file.slice.rows:,} rows, about {size:,} bytes before compression and encryption; masked:"
            yield from (f"    {line}" for line in sample)
    if not files:
        yield "  no audience has a file, so nothing would be sent"
        return
    closing = manifest.closing_names(config, files)
    yield from (f"  {name}" for name in closing)
    yield from probe.try_destination(config, destination, [*(file.name for file in files), *closing], expected, run.started_at)


def _computed(run: runs.Run, ready: Ready, stack: ExitStack) -> tuple[list[AudienceSnapshot], list[PlannedFile], Ready]:
    """As the run has them. What is computed stays where it is until the end of `stack`."""
    config = run.config
    if config.release:
        if config.engine.delivery == "executors":
            stack.enter_context(computing.opened(config, ready))  # only for what it refuses
        return *computing.reopened(run, release.held_record(run.history, config, ready.baselines)), ready
    engine = stack.enter_context(computing.opened(config, ready))
    run.store = stack.enter_context(_workspace(config, engine, run.history))
    return computing.compute(run, ready, engine)


@contextmanager
def _workspace(config: RunConfig, engine: Engine, store: Store) -> Iterator[Store]:
    """A store of the preflight's own, empty before and gone after: on this machine's disk, or, where the engine computes
    elsewhere, in the run's own store, which it reaches.
    """
    if engine.remote or engine.kind == "connect":
        try:
            yield open_store(replace(config.state, path=f"{config.state.path.rstrip('/')}/{_folder(config)}"))
        finally:
            probe.take_away(store, _folder(config))
    else:
        folder = scratch_folder(config.state.work_path)
        try:
            yield open_store(StateConfig(path=str(folder)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(config: RunConfig) -> str:
    """In the state store, where nothing else of a run is."""
    return f"preflight-{config.run_id}"


def _audiences(run: runs.Run) -> Iterator[str]:
    yield from (f"  warning: {text}" for text in run.warnings)
    for record in run.audiences:
        if record.status == runs.PUBLISHED_BEFORE:
            yield f"  audience {record.segment_name}: published before, and not sent again"
            continue
        yield from audience_lines(record)
    if run.consent.get("rule") == "off":
        yield "  consent is not asked for (consent=off)"


def _would_be_held(run: runs.Run) -> HeldError | None:
    """As the run would tell it, but nothing is delivered, and there is nothing yet that could be released."""
    held = guard.partly_held(run)
    if held is None:
        return None
    number = sum(record.held is not None for record in run.audiences)
    what = f"{guard.held_of(number, run)} would be held back"
    fix = "correct the profiles or the configuration; what the run then holds can be published as it is, with release=RUN_ID"
    return HeldError(what, found=held.found, fix=fix)


def _measured(snapshot: AudienceSnapshot, file: PlannedFile, ready: Ready, config: RunConfig) -> tuple[int, list[str]]:
    """The plain bytes of a file, estimated by its first rows, and its first lines with letters and digits masked."""
    fitting = max(SAMPLE_ROWS, MEASURED_BYTES // max(1, footers.row_bytes(snapshot.footers)))
    few = replace(file.slice, rows=min(file.slice.rows, MEASURED_ROWS, fitting))
    text = b"".join(render(snapshot, few, ready.columns, config.file))
    size = len(text) * file.slice.rows // few.rows if few.rows else len(text)
    lines = text.decode(config.file.encoding, errors="replace").splitlines()[: SAMPLE_ROWS + config.file.header]
    return size, list(masked_lines(lines, header=config.file.header))
