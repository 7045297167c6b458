"""A held run published as it is: `release=<its run_id>`.

The releasing run is a run of its own, which sends what the held one has computed, under its `as_of`. It needs the same
configuration of rows and files; checks, the guard and the destination may be others.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from courier import runs
from courier.config import RunConfig
from courier.errors import ConfigError
from courier.runs import baseline, likeness
from courier.runs.baseline import Baseline
from courier.state import Store


def as_it_was(store: Store, config: RunConfig) -> RunConfig:
    """The configuration with the `as_of` of the held run, so that names and times are those that it would have had.

    Raises ConfigError where there is no such run, or another `as_of` is asked for.
    """
    as_of = datetime.fromisoformat(_record(store, config)["as_of"])
    if config.as_of_given and config.as_of.replace(microsecond=0) != as_of:
        raise ConfigError(
            "A held run is released as of its own time",
            found=f"as_of={config.as_of.isoformat()}",
            expected=as_of.isoformat(),
            fix="leave as_of out",
        )
    return replace(config, as_of=as_of)


def held_record(store: Store, config: RunConfig, baselines: dict[str, Baseline]) -> dict[str, Any]:
    """The record of the held run, with its held audiences let through and the others left out.

    Raises ConfigError where there is nothing to release, or it would no longer be right.
    """
    where, record = store.shown(runs.key(str(config.release))), _record(store, config)
    if not any(audience["held"] for audience in record["audiences"]):
        raise ConfigError("This run holds nothing back", where=where, found=f"status {record['status']}")
    if record["status"] not in ("held", "published"):  # its other audiences would be taken for published
        raise ConfigError(
            "This run has not delivered what it did not hold, so that comes first",
            where=where,
            found=f"status {record['status']}",
            fix=f"start it again with run_id={config.release}, or start a new run instead",
        )
    if record["shape"] != likeness.of_files(config):
        raise ConfigError("A held run is released with the configuration that it had", where=where, fix="start a new run instead")
    if runs.released_by(store, str(config.release)) is not None:
        raise ConfigError("This run has been released already", where=where)
    known = baseline.load(store, config.activation)
    for audience, segment in zip(record["audiences"], config.audience.segments, strict=True):
        before = known.get(segment.key)
        if audience["held"] and before is not None and before.run_id == config.release:
            raise ConfigError("This run has been released already", where=where)
        compared = baselines[segment.key].run_id if segment.key in baselines else None
        if audience["held"] and audience["baseline"] != compared:
            raise ConfigError(
                "Another run has been published since, so the changes that are held are no longer right", where=where, fix="start a new run"
            )
        if audience["held"] and before is not None and _is_newer(store, before.run_id, record, audience):
            raise ConfigError(
                "A newer run of a held audience has been published since, and the platform would get the older rows last",
                where=where,
                found=f"segment {segment.id}, run {before.run_id}",
                fix="start a new run",
            )
        audience["last"] = before.run_id if before else None  # the releasing run's own
        audience["files"] = []
        audience["status"] = "failed" if audience["held"] else runs.PUBLISHED_BEFORE
        audience["held"] = None
    return record


def _record(store: Store, config: RunConfig) -> dict[str, Any]:
    assert config.release is not None
    where = store.shown(runs.key(config.release))
    try:
        record = runs.load(store, config.release)
        if record is not None:
            runs.assert_whole(record)
    except runs.UNFIT as exc:
        raise ConfigError("The record of the run to release cannot be read", where=where, found=type(exc).__name__) from exc
    if record is None or record["activation"] != config.activation:
        raise ConfigError("There is no run of this activation to release", where=where, found=f"release={config.release}")
    return record


def _is_newer(store: Store, published: str, record: dict[str, Any], audience: dict[str, Any]) -> bool:
    """Whether the run that was published last is newer than the held one: it began after it (no two runs of an activation
    overlap), or it was published after it, as of a later time.
    """
    try:
        other = runs.load(store, published)
    except ValueError:
        other = None
    if other is None:  # whoever removed it has said nothing of when it was
        return published != audience.get("last")
    since = published != audience.get("last", published)
    later = runs.moment(other["as_of"]) > runs.moment(record["as_of"])
    return runs.moment(other["started_at"]) > runs.moment(record["started_at"]) or (since and later)


def assert_not_released(store: Store, config: RunConfig) -> None:
    """Raise ConfigError where another run has released this one: its snapshot is what the next runs compare with."""
    known = baseline.load(store, config.activation).values()  # of a delivery that was not taken back; older versions marked no release
    where, fix = f"run_id {config.run_id}", "use another run_id"
    if runs.released_by(store, config.run_id) is not None:
        raise ConfigError("This run was held, and has been released since", where=where, fix=fix)
    if any(before.run_id == config.run_id for before in known):
        raise ConfigError("Another run has started since, and compares with what the platform has got of this one", where=where, fix=fix)
