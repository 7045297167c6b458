"""Try an activation out: everything but the publishing.

The rows are computed into a private temporary folder, which is removed again. What a run may do at the state store and at
the destination is tried out by probes (`probe.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from courier import esp, manifest, probe, runs
from courier.computing import compute
from courier.config import RunConfig, StateConfig
from courier.masking import masked
from courier.plan import PlannedFile
from courier.reading import Ready, check_templates, read
from courier.render import render
from courier.snapshot import AudienceSnapshot
from courier.state import open_store

SAMPLE_ROWS = 3
#: Rows that are rendered to guess how many bytes a file will have.
MEASURED_ROWS = 10_000


def preflight(config: RunConfig) -> str:
    """What the activation would do, for people. Raises what the activation would raise."""
    return "\n".join(_lines(config))


def _lines(config: RunConfig) -> Iterator[str]:
    yield f"Preflight of activation '{config.activation}' on {config.engine.kind}: nothing is published"
    store = open_store(config.state)
    if runs.published_before(store, config):
        yield f"  warning: run {config.run_id} has published its files already; with this run_id nothing would be done"
    probe.try_state(store, f"preflight-{config.run_id}")
    yield "  state store: a value could be written, changed, read and deleted"
    destination = check_templates(config)
    with tempfile.TemporaryDirectory(prefix="courier-preflight-", dir=config.state.work_path) as folder:
        run = runs.Run(config, open_store(StateConfig(path=folder)), started_at=datetime.now(UTC), earlier=store)
        ready = read(run, destination)
        yield f"  configuration, secrets, source and its {ready.source.profiles:,} profiles: as they should be"
        yield from _keys(ready)
        snapshots, files, ready = compute(run, ready)
        yield f"  columns: {', '.join(ready.columns.header)}"
        yield from (f"  {line}" for line in esp.lines(config, [record.counts for record in run.audiences if record.counts]))
        yield from (f"  warning: {text}" for text in run.warnings)
        for record in run.audiences:
            passed = sum(check.success for check in record.checks)
            rows = record.counts.exported if record.counts else 0
            yield f"  audience {record.segment_name}: {rows:,} rows, {passed} of {len(record.checks)} checks passed"
        expected = 0
        for file in files:
            size, sample = _measured(snapshots[file.audience], file, ready, config)
            expected += size
            yield f"  {file.name}: {file.slice.rows:,} rows, about {size:,} bytes before compression and encryption; masked:"
            yield from (f"    {line}" for line in sample)
        closing = manifest.closing_names(config, files)
        yield from (f"  {name}" for name in closing)
        yield from probe.try_destination(config, destination, [*(file.name for file in files), *closing], expected, run.started_at)
    yield "Ready: the activation can run"


def _keys(ready: Ready) -> Iterator[str]:
    if ready.keys is not None:
        yield f"  encryption: {ready.keys.describe()}"


def _measured(snapshot: AudienceSnapshot, file: PlannedFile, ready: Ready, config: RunConfig) -> tuple[int, list[str]]:
    """The plain bytes of a file, estimated by its first rows, and its first lines with letters and digits masked."""
    few = replace(file.slice, rows=min(file.slice.rows, MEASURED_ROWS))
    text = b"".join(render(snapshot, few, ready.columns, config.file))
    size = len(text) * file.slice.rows // few.rows if few.rows else len(text)
    lines = text.decode(config.file.encoding, errors="replace").splitlines()
    head, rows = (lines[:1], lines[1:]) if config.file.header else ([], lines)
    return size, [*head, *(masked(line) for line in islice(rows, SAMPLE_ROWS))]
