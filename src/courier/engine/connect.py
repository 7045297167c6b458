"""A server of Spark Connect, and the client that Sail is spoken to with as well."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from courier.config import EngineConfig, SourceConfig, on_this_machine
from courier.engine.base import Engine
from courier.engine.settings import SPARK_SETTINGS
from courier.engine.variables import CLIENT_VARIABLES, as_before, environment
from courier.errors import ConfigError
from courier.secrets import referred

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Spark Connect's own.
CONNECT_PORT = 15002
CONNECT_SECONDS = 20.0


@contextmanager
def open_connect(config: EngineConfig, source: SourceConfig) -> Iterator[Engine]:
    if source.has_keys:
        raise ConfigError("A remote engine reads S3 with its own credentials", found="source.access_key_id_…", fix="leave it out")
    url = urlsplit(str(config.remote))
    remote = not on_this_machine(str(config.remote))
    try:  # the client itself tries for ten minutes
        socket.create_connection((url.hostname, url.port or CONNECT_PORT), CONNECT_SECONDS).close()
    except OSError as exc:
        raise ConfigError("The engine cannot be reached", where=f"engine.remote sc://{url.netloc}", found=exc.strerror or str(exc)) from exc
    token = referred(config, "token")
    address = with_token(str(config.remote), token) if token else str(config.remote)
    _assert_answers(address)
    with connected(address, config) as session:
        yield Engine(session, "connect", one_machine=True, remote=remote, spread=remote and not config.shared_disk)


def with_token(remote: str, token: str) -> str:
    """The address as the client takes it. Of a token whose signs it takes for its own, such as =, it would raise an error that
    shows the token.
    """
    return f"{remote.rstrip('/')}{'' if ';' in remote else '/'};token={quote(token, safe='')}"


@contextmanager
def connected(url: str, config: EngineConfig) -> Iterator[SparkSession]:
    from pyspark.errors import PySparkException  # noqa: PLC0415  an engine is loaded only when it is chosen
    from pyspark.sql import SparkSession  # noqa: PLC0415

    # A window over one sorted stream is what the Sail half wants, and the client warns of it on every query.
    warnings.filterwarnings("ignore", message="WARN WindowExpression: No Partition Defined", category=UserWarning)
    # What servers answer to a setting that is pinned to what it is by default; Spark says the name of the setting first.
    warnings.filterwarnings("ignore", message="(?s).*Use raw string literals", category=UserWarning)
    with as_before(CLIENT_VARIABLES), _without_proxy(url), ExitStack() as opened:
        try:
            # A new one: that of a notebook, say, is of another server, has other settings, and is not ours to stop.
            session = SparkSession.builder.remote(url).create()
            opened.callback(session.stop)
            for key, value in {**SPARK_SETTINGS, **config.settings}.items():
                session.conf.set(key, value)
        except (PySparkException, OSError) as exc:
            # What stands after the address may be a token, and is quoted by pyspark.
            raise ConfigError("The engine cannot be reached", where=f"sc://{urlsplit(url).netloc}", found=type(exc).__name__) from None
        yield session


def _without_proxy(url: str) -> AbstractContextManager[None]:
    """gRPC asks the proxy of `http_proxy` for each host that is not excepted, this machine too."""
    return environment({"no_grpc_proxy": urlsplit(url).hostname})


def _assert_answers(url: str) -> None:
    """A session tries for ten minutes to begin, and once more at the end of the process, whatever Ctrl-C says."""
    from grpc import FutureTimeoutError, channel_ready_future  # noqa: PLC0415  an engine is loaded only when it is chosen
    from pyspark.sql.connect.client import DefaultChannelBuilder  # noqa: PLC0415  see above

    with _without_proxy(url), DefaultChannelBuilder(url).toChannel() as channel:
        try:
            channel_ready_future(channel).result(CONNECT_SECONDS)
        except FutureTimeoutError:
            raise ConfigError(
                "The engine cannot be reached",
                where=f"engine.remote sc://{urlsplit(url).netloc}",
                found=f"nothing that answers as Spark Connect does, for {CONNECT_SECONDS:.0f} seconds",
                fix="look at the port, and whether the server wants TLS (use_ssl=true in engine.remote) or has none",
            ) from None
