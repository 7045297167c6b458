"""What holds an audience back: failed checks, an unlikely size, too many rejects. Nothing of a held audience is sent.

A held audience can be published as it is, by a run with `release=<the held run's id>`.
"""

from __future__ import annotations

from courier.checks import CheckResult
from courier.config import RunConfig, SegmentConfig
from courier.errors import HeldError
from courier.rows.counts import Counts
from courier.runs import AudienceRecord, Run
from courier.runs.baseline import Baseline


def reason(config: RunConfig, segment: SegmentConfig, counts: Counts, checks: list[CheckResult], known: dict[str, Baseline]) -> str | None:
    """Why an audience is held, or None. `known`: what the activation has published of its audiences, by their keys."""
    failed = [check.describe() for check in checks if not check.success and check.severity == "critical"]
    if failed:
        return f"checks failed: {'; '.join(failed)}"
    if config.file.on_empty == "fail" and not counts.size:
        return "it is empty (file.on_empty=fail)"
    holding = [name for name, rule in config.rules.rows.items() if rule.on_failure == "hold" and counts.noted.get(name)]
    if holding:
        return "row rules failed: " + "; ".join(f"{name} by {counts.noted[name]:,} rows" for name in holding)
    before = known[segment.key].size if segment.key in known else None
    vanished = None if counts.size else _vanished(config, before, known)
    return _too_many_rejects(config, counts) or vanished or _unlikely_size(config, counts.size, before)


def _too_many_rejects(config: RunConfig, counts: Counts) -> str | None:
    most, percent = config.rules.max_rejected_rows, config.rules.max_rejected_percent
    if most is not None and counts.rejected > most:
        return f"{counts.rejected:,} rows were rejected (rules.max_rejected_rows={most:,})"
    if percent is not None and counts.rejected * 100 > percent * counts.members:
        return f"{counts.rejected:,} of {counts.members:,} rows were rejected (rules.max_rejected_percent={percent:g})"
    return None


def _vanished(config: RunConfig, before: int | None, known: dict[str, Baseline]) -> str | None:
    """An audience without rows that had some, or that was put in the place of one that had, is rather a mistake than meant: a
    segment that is no longer evaluated, a wrong id. Nothing is held where nothing would be sent: a full export whose empty
    files are skipped.
    """
    if config.guard.min_rows is not None or (config.file.on_empty == "skip" and not config.export.incremental):
        return None
    meant = "guard.min_rows=0 says that it is meant"
    if before:
        exits = "all would be sent as exited; " if config.export.incremental and not config.export.reset else ""
        return f"it has no rows, and had {before:,} at the last published run ({exits}{meant})"
    dropped = [key for key in known if known[key].size and key not in {segment.key for segment in config.audience.segments}]
    if before is None and dropped:
        shown = ", ".join(dropped[:5]) + (f" and {len(dropped) - 5} more" if len(dropped) > 5 else "")
        return f"it has no rows and was never sent, and this activation has no longer what it has sent before: {shown} ({meant})"
    return None


def _unlikely_size(config: RunConfig, size: int, before: int | None) -> str | None:
    guard = config.guard
    if guard.min_rows is not None and size < guard.min_rows:
        return f"it has {size:,} rows (guard.min_rows={guard.min_rows:,})"
    if guard.max_rows is not None and size > guard.max_rows:
        return f"it has {size:,} rows (guard.max_rows={guard.max_rows:,})"
    if guard.max_change_percent is not None and before is not None and abs(size - before) * 100 > guard.max_change_percent * before:
        return f"it has {size:,} rows, and had {before:,} at the last published run (guard.max_change_percent={guard.max_change_percent:g})"
    return None


def hold(run: Run) -> None:
    """Raise HeldError where nothing is left to send, or one held audience holds all."""
    held = [record for record in run.audiences if record.held is not None]
    if held and (run.config.audience.all_or_nothing or len(held) == len(run.audiences)):
        for record in run.audiences:
            record.held = record.held or "another audience is held (audience.all_or_nothing)"
            record.status = "held"
        raise _held(run, held, "nothing was delivered")
    for record in held:
        record.status = "held"


def assert_none_held(run: Run) -> None:
    """Raise HeldError where the other audiences have nothing to send."""
    held = [record for record in run.audiences if record.held is not None]
    if held:
        raise _held(run, held, "nothing was delivered, since the others have nothing to send")


def partly_held(run: Run) -> HeldError | None:
    """What is to be told of a run that has published some of its audiences."""
    held = [record for record in run.audiences if record.held is not None]
    return _held(run, held, "the other audiences were delivered") if held else None


def held_of(number: int, run: Run) -> str:
    """So many audiences of all, in words."""
    return "The audience" if len(run.audiences) == 1 else f"{number} of {len(run.audiences)} audiences"


def _held(run: Run, held: list[AudienceRecord], rest: str) -> HeldError:
    shown = [f"segment {record.shown}: {record.held}" for record in held[:5]]
    more = f" and {len(held) - 5} more" if len(held) > 5 else ""
    return HeldError(
        f"{held_of(len(held), run)} {'is' if len(held) == 1 else 'are'} held back; {rest}",
        where=f"run {run.config.run_id}",
        found="; ".join(shown) + more,
        fix=f"correct the profiles or the configuration and run again, or publish what is held as it is: release={run.config.snapshot_run_id}",
    )
