"""What a person reads after a run: counts that reconcile, checks, files, seconds, and what the first lines of a local file look like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlparse

from courier import esp, runs
from courier.masking import masked_lines
from courier.rows.counts import Counts
from courier.runs import AudienceRecord, Run
from courier.saying import printable

SHOWN_LINES = 3


def report(run: Run) -> str:
    """The report on a run, for standard output, which may end in a log: so without a value of a profile."""
    return "\n".join(printable(line) for line in _lines(run))


def _lines(run: Run) -> Iterator[str]:
    config = run.config
    yield f"Run {config.run_id} of activation '{config.activation}' on {config.engine.kind}: {run.status}"
    if run.status == "published before":
        yield "A run with this run_id has published its files already, so nothing was done. Use another run_id to send again."
        return
    if run.status == "empty":
        yield f"  no audience has a row to send, so nothing was published (file.on_empty={config.file.on_empty})"
    if run.profiles is not None:
        yield f"  profiles read                 {run.profiles:>12,}"
    for audience in run.audiences:
        yield from audience_lines(audience)
    if run.consent.get("rule") == "off":
        yield "  consent is not asked for (consent=off)"
    for line in esp.lines(config, [audience.counts for audience in run.audiences if audience.counts]):
        yield f"  {line}"
    for artefact in run.artefacts:
        yield f"    artefact: {artefact}"
    if run.rejects:
        yield f"  rejected rows: {run.rejects}"
    for text in run.warnings:
        yield f"  warning: {text}"
    if run.manifest:
        yield f"  manifest: {run.manifest}"
    yield "  seconds: " + ", ".join(f"{step} {seconds:.1f}" for step, seconds in run.seconds.items())
    for trigger in run.triggers:
        yield f"  trigger: {trigger}"
    yield f"  record: {run.store.shown(runs.key(config.run_id))}"
    if not config.file.encrypted and config.file.compression == "none":
        yield from _first_lines(run)


def audience_lines(audience: AudienceRecord) -> Iterator[str]:
    """The counts of an audience, which reconcile, its checks and its files."""
    yield f"  audience {audience.segment_name} ({audience.segment_id})"
    if audience.counts:
        yield from _counts(audience.counts, audience.baseline)
    if audience.held:
        yield f"    held: {audience.held}"
    passed = sum(check.success for check in audience.checks)
    if audience.checks:
        yield f"    checks                      {passed} of {len(audience.checks)} passed"
    for check in audience.checks:
        if not check.success:
            yield f"      {check.severity}: {check.describe()}"
    for file in audience.files:
        yield f"    {file.uri}"
        yield f"      {file.rows:,} rows, {file.bytes:,} bytes, sha256 {file.sha256}"
        if file.sha256 != file.plain_sha256:
            yield f"      before compression and encryption {file.plain_bytes:,} bytes, sha256 {file.plain_sha256}"
        if not file.confirmed:
            yield "      published, and taken away by the platform before it was seen there"


def _counts(counts: Counts, baseline: str | None) -> Iterator[str]:
    """From the members to the rows of the files. Without a baseline everything is sent, so nothing is unchanged and nobody has left."""
    yield f"    members                     {counts.members:>12,}"
    for reason, number in counts.excluded.items():
        yield f"    {f'excluded: {reason}':<27} {-number:>12,}"
    yield f"    deduplicated                {-counts.deduplicated:>12,}"
    yield f"    rejected                    {-counts.rejected:>12,}"
    for rule, number in counts.rejected_by.items():
        yield f"      by {rule:<23}{number:>12,}"
    if baseline:
        yield f"    unchanged                   {-counts.unchanged:>12,}"
        yield f"    left since run {baseline}: {counts.exited:,}"
    yield f"    exported                    {counts.exported:>12,}"
    if baseline:
        yield f"      added {counts.added:,}, changed {counts.changed:,}, removed {counts.exited:,}"
    for rule, number in counts.noted.items():
        changed = rule.startswith("esp_") and rule.endswith(".fixed")
        yield f"    note: {number:,} exported rows {'were changed by' if changed else 'fail'} the rule {rule}"


def _first_lines(run: Run) -> Iterator[str]:
    for file in (file for audience in run.audiences for file in audience.files):
        if file.uri.startswith("file://"):
            path = Path(unquote(urlparse(file.uri).path))
            try:
                with path.open(encoding=run.config.file.encoding, errors="replace", newline="\n") as lines:
                    first = [line.rstrip() for line in islice(lines, SHOWN_LINES)]
            except OSError:  # whoever waits for the file has taken it already
                return
            yield f"  first lines of {path.name}, with each letter as x and each digit as 9:"
            yield from (f"    {line}" for line in masked_lines(first, header=run.config.file.header))
            return
