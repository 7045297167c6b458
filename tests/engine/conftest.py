"""One open engine for all tests here: first Sail, then Spark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from courier.config import EngineConfig, SourceConfig
from courier.engine import Engine, open_engine

#: The client of Spark Connect leaves these behind, and with them a Spark session would be a remote one again.
REMOTE = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE")


@pytest.fixture(scope="session", params=["sail", "spark"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "spark" and shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, which is not installed")
    settings = {"spark.sql.shuffle.partitions": "4", "spark.default.parallelism": "2"} if request.param == "spark" else {}
    config = EngineConfig(kind=request.param, master="local[2]", driver_memory="1g", settings=settings)
    try:
        with open_engine(config, SourceConfig(path="unused")) as opened:
            yield opened
    finally:
        for name in REMOTE:
            os.environ.pop(name, None)
