"""Apache Spark: in this process, or as spark-submit has it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from courier.buckets import region_of
from courier.config import EngineConfig, SourceConfig, StateConfig
from courier.engine.base import Engine
from courier.engine.settings import SPARK_SETTINGS
from courier.engine.variables import CLIENT_VARIABLES, environment
from courier.errors import ConfigError
from courier.secrets import SECRET_SETTING, referred

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: What a shell may have for another Java or Spark, and pyspark starts with.
OF_A_SHELL = ("JAVA_HOME", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR")


@contextmanager
def open_spark(config: EngineConfig, source: SourceConfig, state: StateConfig | None, lists: Sequence[str]) -> Iterator[Engine]:
    from pyspark import SparkContext  # noqa: PLC0415  an engine is loaded only when it is chosen
    from pyspark.errors import PySparkException  # noqa: PLC0415

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    # Python in tasks is this one, unless the cluster's user has named another.
    own_python = {} if submitted else {"PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable)}
    with environment({**dict.fromkeys(CLIENT_VARIABLES), **own_python}):  # whoever has started this process may be such a client
        _silence()
        settings = {"spark.app.name": "audience-courier", "spark.ui.showConsoleProgress": "false"}
        if not submitted:
            settings |= {"spark.master": config.master or "local[*]", "spark.driver.memory": config.driver_memory}
            settings["spark.ui.enabled"] = "false"
        settings |= {**SPARK_SETTINGS, **s3a_settings(source, state, lists), **config.settings}
        # By a notebook, say, whose session has other settings and is not ours to stop.
        opened = SparkContext._active_spark_context is not None
        try:
            session = _beside(settings) if opened else _new(settings, submitted=submitted)
        except (PySparkException, OSError) as exc:
            fix = "install Java 17 or newer (apt-get install openjdk-17-jre-headless), or engine=sail"
            if told := [name for name in OF_A_SHELL if name in os.environ]:
                fix += f"; or unset {', '.join(told)}, if it is of another Java or Spark"
            raise ConfigError("Spark cannot be started", found=str(exc)[:200], fix=fix) from exc
        session.sparkContext.setLogLevel("ERROR")
        remote = not session.sparkContext.master.startswith("local")
        if not remote:
            _silence_failures(session)
        try:
            yield Engine(session, "spark", one_machine=False, remote=remote, spread=remote and not config.shared_disk)
        finally:
            if not opened:
                session.stop()


def _new(settings: dict[str, str], *, submitted: bool) -> SparkSession:
    from pyspark.sql import SparkSession  # noqa: PLC0415  an engine is loaded only when it is chosen

    if not submitted:
        _start_java(settings)
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _beside(settings: dict[str, str]) -> SparkSession:
    """A session of our own in the Spark that is open. What only a new Spark takes, such as its memory, is as it is there."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  an engine is loaded only when it is chosen

    session = SparkSession.builder.getOrCreate().newSession()
    for key, value in settings.items():
        hadoop = key.removeprefix("spark.hadoop.")  # the prefix is of a new Spark's alone
        if hadoop != key or session.conf.isModifiable(key):
            session.conf.set(hadoop, value)
    return session


def _start_java(settings: dict[str, str]) -> None:
    """What pyspark starts Java with is on its command line, which all users of the machine can read. So secrets come later."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415  an engine is loaded only when it is chosen

    shown = SparkConf().setAll([(name, value) for name, value in settings.items() if not SECRET_SETTING.search(name)])
    SparkContext._ensure_initialized(conf=shown)  # there is no other way to start it without a session


def _silence() -> None:
    """pyspark logs what it raises, with what it quotes of rows. It is told once, by `source_errors`."""
    with suppress(ImportError):  # Spark 3.5 does not
        from pyspark.logger import PySparkLogger  # noqa: PLC0415  an engine is loaded only when it is chosen

        for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
            PySparkLogger.getLogger(name).disabled = True


#: They log what a task or a job failed of, and with it values of rows.
OF_FAILURES = (
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.DAGScheduler",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.sql.execution.datasources.FileFormatWriter",
    "org.apache.spark.sql.execution.datasources.v2",
    "org.apache.spark.util.Utils",
)


def _silence_failures(session: SparkSession) -> None:
    """Where tasks run in this process, their errors would be printed as they are. What Spark says while it starts has been said by now."""
    log4j: Any = session.sparkContext._jvm  # there is no other way to the level of a logger
    for name in OF_FAILURES:
        log4j.org.apache.logging.log4j.core.config.Configurator.setLevel(name, log4j.org.apache.logging.log4j.Level.OFF)


def s3a_settings(source: SourceConfig, state: StateConfig | None, lists: Sequence[str]) -> dict[str, str]:
    """Of each bucket by its name, so that neither the source's keys nor its address are taken for the state's, or the other way."""
    found: dict[str, str] = {}
    for path in (source.path, *lists):
        found |= _of_bucket(path, source)
    return found if state is None else found | _of_bucket(state.path, state)


def _of_bucket(path: str, config: SourceConfig | StateConfig) -> dict[str, str]:
    """Names that end in `access.key`, `secret.key` and `session.token` are those that Spark shows nowhere: neither in its UI nor in event logs."""
    scheme, _, rest = path.partition("://")
    if scheme not in ("s3", "s3a"):
        return {}
    prefix, settings = f"spark.hadoop.fs.s3a.bucket.{rest.partition('/')[0]}.", dict[str, str]()
    if config.endpoint_url:
        settings[f"{prefix}endpoint"] = config.endpoint_url
        settings[f"{prefix}path.style.access"] = "true"
    if region := region_of(config):
        settings[f"{prefix}endpoint.region"] = region
    if config.has_keys:
        settings[f"{prefix}access.key"] = referred(config, "access_key_id") or ""
        settings[f"{prefix}secret.key"] = referred(config, "secret_access_key") or ""
        if token := referred(config, "session_token"):
            settings[f"{prefix}session.token"] = token
    return settings
