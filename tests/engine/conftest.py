"""One open engine for all tests here: first Sail, then Spark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from courier.config import EngineConfig, SourceConfig
from courier.engine import Engine, _opened

#: Rows are spread over several partitions, as they are on a cluster, where few rows would else end up in one.
SPREAD = {
    "spark.sql.shuffle.partitions": "4",
    "spark.default.parallelism": "2",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
}


@pytest.fixture(scope="session", params=["sail", "spark"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "spark" and shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, which is not installed")
    settings = SPREAD if request.param == "spark" else {}
    config = EngineConfig(kind=request.param, master="local[2]", driver_memory="1g", settings=settings)
    # Without a turn, which this thread would have until its last test: others open engines in other threads, and would wait for ever.
    with _opened(config, SourceConfig(path="unused"), None, (), 0) as opened:
        yield opened
