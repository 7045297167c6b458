"""Whose a run's id is, and what has become of the run that had it before: published, held, released by another."""

from __future__ import annotations

import json
from typing import Any

from courier.config import RunConfig
from courier.errors import ConfigError
from courier.runs.record import UNFIT, assert_whole, key
from courier.state import Store
from courier.stored import assert_kinds

#: Attempts at taking a run's id for its activation.
CLAIMS = 5


def published_before(store: Store, config: RunConfig) -> dict[str, Any] | None:
    """The record of a run of this id that has published its files already. Raises ConfigError where another activation uses the id."""
    record = _before(store, config)
    return record if record and record["status"] in ("published", "empty") else None


def was_held(store: Store, config: RunConfig) -> bool:
    """Whether a run of this id was held, all of it."""
    record = _before(store, config)
    return record is not None and record["status"] == "held"


def _before(store: Store, config: RunConfig) -> dict[str, Any] | None:
    text = store.read(key(config.run_id))
    if text is None:
        return None
    try:
        record = dict(json.loads(text))
        assert_kinds(record, {"activation": str, "status": str})
        if record["status"] in ("published", "empty"):
            assert_whole(record)
    except UNFIT as exc:
        raise ConfigError(
            "The record of an earlier run with this run_id cannot be read",
            where=store.shown(key(config.run_id)),
            found=type(exc).__name__,
            fix="use another run_id",
        ) from exc
    if record["activation"] != config.activation:
        raise _of_another(config, record["activation"])
    return record


def claim(store: Store, config: RunConfig) -> None:
    """Take the id for the activation: of two that start at once with the same one, the first. Raises ConfigError for the other."""
    where, mine = f"runs/{config.run_id}/activation", config.activation.encode()
    for _ in range(CLAIMS):  # S3 refuses one while another is under way, and there is nothing to be read then
        if store.swap(where, None, mine) or (owner := store.read(where)) == mine:
            return
        if owner is not None:
            raise _of_another(config, owner.decode(errors="replace"))


def _of_another(config: RunConfig, activation: str) -> ConfigError:
    return ConfigError(
        "This run_id belongs to another activation, whose runs share this state store",
        found=f"run_id {config.run_id} of activation '{activation}'",
        fix=f"put the activation into the id: run_id={config.activation}-{config.run_id}",
    )


def mark_released(store: Store, held: str, by: str) -> None:
    """A held run is released once, whatever is published after that."""
    store.write(f"runs/{held}/released", by.encode())


def released_by(store: Store, held: str) -> str | None:
    """The run that has published what this one had held."""
    text = store.read(f"runs/{held}/released")
    return None if text is None else text.decode(errors="replace")
