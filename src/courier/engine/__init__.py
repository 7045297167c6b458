"""Opens the engine: Sail, Spark, or a server of Spark Connect. Every setting that can change the delivered bytes is in `settings.py`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from courier.config import EngineConfig, SourceConfig, StateConfig
from courier.engine.base import Engine
from courier.engine.failures import source_errors
from courier.errors import ConfigError
from courier.turns import own_turn

__all__ = ["Engine", "open_engine", "source_errors"]


@contextmanager
def open_engine(
    config: EngineConfig, source: SourceConfig, state: StateConfig | None = None, lists: Sequence[str] = (), row_bytes: int = 0
) -> Iterator[Engine]:
    """Yield the engine that the configuration names, and close what was started for it. `lists`: paths read as the source is.
    `row_bytes`: about what a row takes in memory, where that is known; Sail, which runs in this process, takes so many at once.
    """
    needed = "pysail" if config.kind == "sail" else "pyspark"
    if importlib.util.find_spec(needed) is None:  # as in an environment that was packed for a cluster
        others = ", ".join(kind for kind in config.KINDS if kind != config.kind)
        raise ConfigError("The engine is not installed", found=f"engine={config.kind}", fix=f"pip install {needed}, or engine={others}")
    with own_turn(), _opened(config, source, state, lists, row_bytes) as engine:
        yield engine


def _opened(
    config: EngineConfig, source: SourceConfig, state: StateConfig | None, lists: Sequence[str], row_bytes: int
) -> AbstractContextManager[Engine]:
    match config.kind:
        case "sail":
            from courier.engine.sail import open_sail  # noqa: PLC0415  only the engine that is chosen

            return open_sail(config, source, row_bytes)
        case "connect":
            from courier.engine.connect import open_connect  # noqa: PLC0415

            return open_connect(config, source)
        case _:
            from courier.engine.spark import open_spark  # noqa: PLC0415

            return open_spark(config, source, state, lists)
