"""A held run published as it is: `release=<its run_id>`.

The releasing run is a run of its own, which sends what the held one has computed. It needs the same configuration of rows
and files; checks, the guard and the destination may be others.
"""

from __future__ import annotations

import json
from typing import Any

from courier import baseline, runs
from courier.baseline import Baseline
from courier.config import RunConfig
from courier.errors import ConfigError
from courier.recovery import shape
from courier.state import Store


def held_record(store: Store, config: RunConfig, baselines: dict[str, Baseline]) -> dict[str, Any]:
    """The record of the held run, with its held audiences let through and the others left out.

    Raises ConfigError where there is nothing to release, or it would no longer be right.
    """
    assert config.release is not None
    where = store.shown(runs.key(config.release))
    text = store.read(runs.key(config.release))
    record: dict[str, Any] = json.loads(text) if text else {}
    if record.get("activation") != config.activation:
        raise ConfigError("There is no run of this activation to release", where=where, found=f"release={config.release}")
    if record["shape"] != shape(config):
        raise ConfigError("A held run is released with the configuration that it had", where=where, fix="start a new run instead")
    if not any(audience["held"] for audience in record["audiences"]):
        raise ConfigError("This run holds nothing back", where=where, found=f"status {record['status']}")
    known = baseline.load(store, config.activation)
    for audience, segment in zip(record["audiences"], config.audience.segments, strict=True):
        before = known.get(segment.key)
        if audience["held"] and before is not None and before.run_id == config.release:
            raise ConfigError("This run has been released already", where=where)
        compared = baselines[segment.key].run_id if segment.key in baselines else None
        if audience["held"] and config.export.incremental and audience["baseline"] != compared:
            raise ConfigError(
                "Another run has been published since, so the changes that are held are no longer right", where=where, fix="start a new run"
            )
        audience["files"] = []
        audience["held"] = None if audience["held"] else f"it was published by run {config.release} already"
    return record
