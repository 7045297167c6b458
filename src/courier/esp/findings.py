"""What the platform's rules found and changed, for the run's record and for people; and the size of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from courier.config import RunConfig
from courier.errors import HeldError
from courier.esp.base import ByteLimit, Platform
from courier.esp.platforms import platform_of
from courier.esp.values import ValueRule, value_rules
from courier.rows.counts import Counts

DONE = {"hold": "held the audience", "reject": "left out", "keep": "sent as they are"}


def findings(config: RunConfig, counted: Iterable[Counts]) -> list[dict[str, Any]]:
    """One entry a rule about values, also where no row broke it: how many rows of all audiences, and what happened to them."""
    totals = list(counted)
    return [_finding(rule, totals) for rule in value_rules(config)]


def _finding(rule: ValueRule, totals: list[Counts]) -> dict[str, Any]:
    rejecting = rule.test.on_failure == "reject"
    return {
        "rule": rule.rule,
        "column": rule.column,
        "expected": rule.expected,
        "rows": sum((each.rejected_by if rejecting else each.noted).get(rule.name, 0) for each in totals),
        "happened": "changed" if rule.fixed else DONE[rule.test.on_failure],
        "row_rule": rule.name,
        "source": rule.source.document,
        "confidence": rule.source.confidence,
    }


def described(config: RunConfig, counted: Iterable[Counts]) -> dict[str, Any] | None:
    """The platform's part of a run's record; None without a platform."""
    platform = platform_of(config)
    return {"platform": platform.name, "rules": findings(config, counted)} if platform else None


def lines(config: RunConfig, counted: Iterable[Counts]) -> Iterator[str]:
    """The rules that rows broke, for people."""
    platform = platform_of(config)
    if platform is None:
        return
    found = [entry for entry in findings(config, counted) if entry["rows"]]
    yield f"{platform.title}: {len(value_rules(config))} rules about values, {len(found)} with findings"
    for entry in found:
        yield f"  {entry['rule']} of {entry['column']} ({entry['expected']}): {entry['rows']:,} rows {entry['happened']}"
        yield f"    source: {entry['source']} ({entry['confidence']})"


def check_sizes(config: RunConfig, files: list[tuple[str, int, int]]) -> list[str]:
    """Warnings about (name, bytes as sent, bytes of the text) of all files, asked when all are staged and none is published.

    Raises HeldError for a file above a limit of which documentation says that nothing above it is taken, and with `strict` for
    what is else a warning.
    """
    platform = platform_of(config)
    if platform is None:
        return []
    compressed = config.file.compression != "none"
    limits = [limit for limit in platform.bytes if compressed or not limit.compressed]
    warnings = []
    for limit in limits:
        # A limit of loading is of the text, which is what is loaded of a compressed file, too.
        sizes = [(name, sent if limit.compressed else max(sent, text)) for name, sent, text in files]
        above = [(name, size) for name, size in sizes if size > limit.most]
        if above and limit.refuses(config.esp.policy("bytes")):
            raise HeldError(
                f"A file is too large for {platform.title}, so nothing was delivered: {limit.what}",
                found=f"{above[0][0]} has {above[0][1]:,} bytes",
                fix=f"lower file.max_rows, or esp.policies.bytes=warn. Source: {limit.source.document}",
            )
        if above:
            warnings.append(_too_large(platform, limit, above))
    return warnings + _parts(platform, config, files)


def _too_large(platform: Platform, limit: ByteLimit, above: list[tuple[str, int]]) -> str:
    name, size = above[0]
    return (
        f"{platform.title}: {limit.what}: {name} has {size:,} bytes; {len(above)} such files. Lower file.max_rows [bytes; {limit.source}]"
    )


def _parts(platform: Platform, config: RunConfig, files: list[tuple[str, int, int]]) -> list[str]:
    note, audiences = platform.one_file, len(config.audience.segments)
    if note is None or config.export.separate or len(files) <= audiences:
        return []
    if config.esp.policy("bytes") == "strict" and note.source.refuses("strict"):
        raise HeldError(
            f"{platform.title} may not read all files, so nothing was delivered: {note.text}",
            found=f"{len(files)} files of {audiences} audiences",
            fix=f"raise file.max_rows, or esp.policies.bytes=warn. Source: {note.source.document}",
        )
    return [f"{platform.title}: {len(files)} files of {audiences} audiences: {note.text} [bytes; {note.source}]"]
