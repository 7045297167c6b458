"""Whether two configurations are alike, in what counts: one text for each, which is another one where they are not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from courier.config import RunConfig
from courier.render import recipients_now

#: A delivery is gone on with only where all of these are as they were.
ROWS = ("source", "audience", "consent", "suppression", "mapping", "dedup", "rules", "export", "file", "esp")
SHAPING = (*ROWS, "checks", "guard", "trigger", "release")
#: Of the destination, what says where files go and under which names.
PLACE = ("kind", "name", "id", "host", "port", "username", "bucket", "endpoint_url", "path", "on_conflict", "publish", "manifest")


def of_rows(config: RunConfig) -> str:
    """One text for what a row is. Rows of different shapes cannot be compared."""
    content = {"mapping": asdict(config.mapping), "dedup": asdict(config.dedup), "triggers": sorted(config.export.triggers)}
    return _text(content)


def of_files(config: RunConfig) -> str:
    """One text for everything that shapes the rows and the files, wherever they go and whoever lets them through."""
    content = {key: asdict(value) for key, value in _values(config, ROWS)}
    return _text(content)


def of_delivery(config: RunConfig) -> str:
    """One text for everything that shapes the bytes, the names and the place of the files."""
    shaping = {key: value if value is None or isinstance(value, str) else asdict(value) for key, value in _values(config, SHAPING)}
    place = {key: getattr(config.destination, key, None) for key in PLACE}
    versions = {
        name: version(name) for name in ("audience-courier", "polars", "pyarrow", "zlib-ng", "zstandard")
    }  # other bytes for the same rows, maybe
    content: dict[str, Any] = {"shaping": shaping, "place": place, "as_of": config.as_of.isoformat(), "versions": versions}
    if config.file.encrypted:  # each file of a run is for the same readers
        content["recipients"] = recipients_now(config.file)
    return _text(content)


def _values(config: RunConfig, keys: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(key, getattr(config, key)) for key in keys]


def _text(content: dict[str, Any]) -> str:
    """Keys stay in their order, which means something: columns of a snapshot are known by their place, and the first rule that
    a row breaks is its reason.
    """
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
