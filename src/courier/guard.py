"""What holds an audience back: failed checks, an unlikely size, too many rejects. Nothing of a held audience is sent.

A held audience can be published as it is, by a run with `release=<the held run's id>`.
"""

from __future__ import annotations

from courier.checks import CheckResult
from courier.config import RunConfig
from courier.counts import Counts


def reason(config: RunConfig, counts: Counts, checks: list[CheckResult], size_before: int | None) -> str | None:
    """Why an audience is held, or None. `size_before`: the rows of a full file at the last published run."""
    failed = [check.describe() for check in checks if not check.success and check.severity == "critical"]
    if failed:
        return f"checks failed: {'; '.join(failed)}"
    if config.file.on_empty == "fail" and not counts.exported:
        return "it is empty (file.on_empty=fail)"
    holding = [name for name, rule in config.rules.rows.items() if rule.on_failure == "hold" and counts.noted.get(name)]
    if holding:
        return "row rules failed: " + "; ".join(f"{name} by {counts.noted[name]:,} rows" for name in holding)
    return _too_many_rejects(config, counts) or _unlikely_size(config, counts.size, size_before)


def _too_many_rejects(config: RunConfig, counts: Counts) -> str | None:
    most, percent = config.rules.max_rejected_rows, config.rules.max_rejected_percent
    if most is not None and counts.rejected > most:
        return f"{counts.rejected:,} rows were rejected (rules.max_rejected_rows={most:,})"
    if percent is not None and counts.rejected * 100 > percent * counts.members:
        return f"{counts.rejected:,} of {counts.members:,} rows were rejected (rules.max_rejected_percent={percent:g})"
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
