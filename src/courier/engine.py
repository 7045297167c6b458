"""Opens the engine. Every setting that can change the delivered bytes is here; all others are left to the cluster."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from courier.config import EngineConfig, SourceConfig, StateConfig
from courier.errors import ConfigError, SourceError
from courier.secrets import referred

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: A row group is what a renderer holds in memory at once.
ROWS_PER_ROW_GROUP = 131_072
ROW_GROUP_BYTES = 16 * 1024 * 1024

SPARK_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    # Spark's own default writes nanoseconds, which end in the year 2262.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.binaryAsString": "false",
    # It would take a constant part of a key out of a window but not out of the ranges below it, and have the rows spread anew.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.FoldablePropagation",
}
SAIL_SETTINGS = {
    "SAIL_PARQUET__MAX_ROW_GROUP_SIZE": str(ROWS_PER_ROW_GROUP),
    # Sorts that need more than engine.driver_memory are spilled to disk, so that memory does not grow with the audience.
    "SAIL_RUNTIME__MEMORY_POOL__TYPE": "fair",
    # These two change no result; they make the sort of an audience about a tenth faster.
    "SAIL_EXECUTION__BATCH_SIZE": "32768",
    "SAIL_PARQUET__SCHEMA_FORCE_VIEW_TYPES": "true",
    "RUST_LOG": "off",
}


@dataclass(frozen=True)
class Engine:
    """An open engine. `one_machine` computes everything column by column (Sail): a single sorted stream is the fastest way
    there, and lists are filtered before they are exploded. Spark compiles loops over rows, and sorts ranges side by side.
    What answers by Spark Connect may be either, and only the first way keeps the order on both.

    `remote`: it computes on other machines. `spread`: and these see none of this one's disks.
    """

    session: SparkSession
    kind: str
    one_machine: bool
    remote: bool = False
    spread: bool = False

    def path(self, path: str) -> str:
        """A path as this engine wants it: Spark's Hadoop client speaks S3 under the scheme s3a, which Sail's server takes as well."""
        return path if self.kind == "sail" else path.replace("s3://", "s3a://", 1)


@contextmanager
def open_engine(
    config: EngineConfig, source: SourceConfig, state: StateConfig | None = None, lists: Sequence[str] = ()
) -> Iterator[Engine]:
    """Yield the engine that the configuration names, and close what was started for it. `lists`: paths read as the source is."""
    openers = {"sail": _sail, "spark": _spark, "connect": _connect}
    needed = "pysail" if config.kind == "sail" else "pyspark"
    if importlib.util.find_spec(needed) is None:  # as in an environment that was packed for a cluster
        others = ", ".join(kind for kind in openers if kind != config.kind)
        raise ConfigError("The engine is not installed", found=f"engine={config.kind}", fix=f"pip install {needed}, or engine={others}")
    with openers[config.kind](config, source, state, lists) as engine:
        yield engine


@contextmanager
def _sail(config: EngineConfig, source: SourceConfig, _state: StateConfig | None, _lists: Sequence[str]) -> Iterator[Engine]:
    # Sail's own variables win where the user has set them.
    wanted = {**SAIL_SETTINGS, "SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE": str(config.driver_memory_bytes)}
    settings = {name: os.environ.get(name, value) for name, value in wanted.items()}
    with _environment({**settings, **_aws_variables(source)}):
        from pysail.spark import SparkConnectServer  # noqa: PLC0415  an engine is loaded only when it is chosen

        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        try:
            port = server.listening_address[1]
            with _connected(f"sc://127.0.0.1:{port}", config) as session:
                yield Engine(session, "sail", one_machine=True)
        finally:
            server.stop()


#: Spark Connect's own.
CONNECT_PORT = 15002
CONNECT_SECONDS = 20.0
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
#: The client of Spark Connect leaves these behind, and with them a later Spark session would be a remote one.
CLIENT_VARIABLES = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE")


@contextmanager
def _connect(config: EngineConfig, source: SourceConfig, _state: StateConfig | None, _lists: Sequence[str]) -> Iterator[Engine]:
    if source.has_keys:
        raise ConfigError("A remote engine reads S3 with its own credentials", found="source.access_key_id_…", fix="leave it out")
    url = urlsplit(str(config.remote))
    remote = url.hostname not in THIS_MACHINE
    try:  # the client itself tries for ten minutes
        socket.create_connection((url.hostname, url.port or CONNECT_PORT), CONNECT_SECONDS).close()
    except OSError as exc:
        raise ConfigError("The engine cannot be reached", where=f"engine.remote sc://{url.netloc}", found=exc.strerror or str(exc)) from exc
    token = referred(config, "token")
    parameters = f"{'' if ';' in str(config.remote) else '/'};token={token}" if token else ""
    with _connected(f"{str(config.remote).rstrip('/')}{parameters}", config) as session:
        yield Engine(session, "connect", one_machine=True, remote=remote, spread=remote and not config.shared_disk)


@contextmanager
def _connected(url: str, config: EngineConfig) -> Iterator[SparkSession]:
    from pyspark.errors import PySparkException  # noqa: PLC0415  an engine is loaded only when it is chosen
    from pyspark.sql import SparkSession  # noqa: PLC0415

    # A window over one sorted stream is what the Sail half wants, and the client warns of it on every query.
    warnings.filterwarnings("ignore", message="WARN WindowExpression: No Partition Defined", category=UserWarning)
    with _as_before(CLIENT_VARIABLES):
        try:
            session = SparkSession.builder.remote(url).getOrCreate()
            for key, value in {**SPARK_SETTINGS, **config.settings}.items():
                session.conf.set(key, value)
        except (PySparkException, OSError) as exc:
            # What stands after the address may be a token, and is quoted by pyspark.
            raise ConfigError("The engine cannot be reached", where=f"sc://{urlsplit(url).netloc}", found=type(exc).__name__) from None
        try:
            yield session
        finally:
            session.stop()


@contextmanager
def _spark(config: EngineConfig, source: SourceConfig, state: StateConfig | None, lists: Sequence[str]) -> Iterator[Engine]:
    from pyspark.errors import PySparkException  # noqa: PLC0415  an engine is loaded only when it is chosen
    from pyspark.sql import SparkSession  # noqa: PLC0415

    _silence()
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    builder = SparkSession.builder.appName("audience-courier").config("spark.ui.showConsoleProgress", "false")
    if not submitted:
        builder = builder.master(config.master or "local[*]").config("spark.driver.memory", config.driver_memory)
        builder = builder.config("spark.ui.enabled", "false")
    for key, value in {**SPARK_SETTINGS, **s3a_settings(source, state, lists), **config.settings}.items():
        builder = builder.config(key, value)
    # Python in tasks is this one, unless the cluster's user has named another.
    own_python = {} if submitted else {"PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable)}
    try:
        with _environment(own_python):
            session = builder.getOrCreate()
    except (PySparkException, OSError) as exc:
        raise ConfigError(
            "Spark cannot be started",
            found=str(exc)[:200],
            fix="install Java 17 or newer (apt-get install openjdk-17-jre-headless), or engine=sail",
        ) from exc
    session.sparkContext.setLogLevel("ERROR")
    remote = not session.sparkContext.master.startswith("local")
    if not remote:
        _silence_failures(session)
    try:
        yield Engine(session, "spark", one_machine=False, remote=remote, spread=remote and not config.shared_disk)
    finally:
        session.stop()


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
    if not path.startswith("s3://"):
        return {}
    prefix, settings = f"spark.hadoop.fs.s3a.bucket.{path.removeprefix('s3://').partition('/')[0]}.", dict[str, str]()
    if config.endpoint_url:
        settings[f"{prefix}endpoint"] = config.endpoint_url
        settings[f"{prefix}path.style.access"] = "true"
    if config.region:
        settings[f"{prefix}endpoint.region"] = config.region
    if config.has_keys:
        settings[f"{prefix}access.key"] = referred(config, "access_key_id") or ""
        settings[f"{prefix}secret.key"] = referred(config, "secret_access_key") or ""
        if token := referred(config, "session_token"):
            settings[f"{prefix}session.token"] = token
    return settings


def _aws_variables(source: SourceConfig) -> dict[str, str | None]:
    """Sail reads S3's settings from the environment. None: what belongs to other keys than these."""
    variables: dict[str, str | None] = {}
    if source.endpoint_url:
        variables["AWS_ENDPOINT"] = variables["AWS_ENDPOINT_URL"] = source.endpoint_url
        variables["AWS_ALLOW_HTTP"] = "true" if source.endpoint_url.startswith("http://") else "false"
    if source.region:
        variables["AWS_REGION"] = source.region
    if source.has_keys:
        variables["AWS_ACCESS_KEY_ID"] = referred(source, "access_key_id") or ""
        variables["AWS_SECRET_ACCESS_KEY"] = referred(source, "secret_access_key") or ""
        variables |= {"AWS_SESSION_TOKEN": referred(source, "session_token"), "AWS_PROFILE": None}
    return variables


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables for as long as the engine is open, so that the destination never inherits the source's credentials."""
    with _as_before(variables):
        _set(variables)
        yield


@contextmanager
def _as_before(names: Iterable[str]) -> Iterator[None]:
    """Restore these variables at the end."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


ZERO = "an expression of the mapping divides by zero: write a / nullif(b, 0) there"
OVERFLOW = "a whole number of an expression has more digits than it can have: cast(… as decimal(38,0)) in what is computed"
#: What may be a value of a row in an engine's message, where it has no quotes.
VALUES = re.compile(r"(?<=value )(?!of )\S+|(?<=value of )\S+|-?\d[\d.,]{3,}\w*")
#: What to do, by what is in an engine's message.
ADVICE = {
    "Failed to allocate": "give it more: engine.driver_memory=4g",
    "DIVIDE_BY_ZERO": ZERO,
    "Division by zero": ZERO,
    "CAST_OVERFLOW": OVERFLOW,
    "out of range Int64": OVERFLOW,
    "TIMESTAMP(NANOS": "timestamps in nanoseconds are read by engine=sail alone: write them in microseconds",
    "Parquet error": "a file of the source may be damaged: write it again",
    "Fail to merge schema": "a column is not of the same type in all files, or its fields have not the same order: write the files alike, or engine=spark",
}


@contextmanager
def source_errors(what: str) -> Iterator[None]:
    """Translate what an engine raises while it reads profiles. The message's first line only, without what it quotes: values."""
    from pyspark.errors import PySparkException  # noqa: PLC0415  an engine is loaded only by the steps that need one

    try:
        yield
    except PySparkException as exc:
        gist = VALUES.sub("…", re.sub("'.*'", "'…'", (str(exc).strip().splitlines() or [type(exc).__name__])[0]))[:300]
        fix = next((advice for sign, advice in ADVICE.items() if sign in str(exc)), "")
        raise SourceError(f"The engine failed while {what}", found=gist, fix=fix) from exc
    except Exception as exc:
        if type(exc).__module__.split(".")[0] not in ("py4j", "grpc"):
            raise
        raise SourceError(f"The engine failed while {what}", found=f"{type(exc).__name__} from the engine") from exc
