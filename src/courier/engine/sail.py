"""Sail: Spark Connect over a Rust engine, in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from courier.buckets import region_of
from courier.config import EngineConfig, SourceConfig
from courier.engine.base import Engine
from courier.engine.connect import connected
from courier.engine.settings import sail_settings
from courier.engine.variables import environment
from courier.errors import ConfigError
from courier.secrets import referred


@contextmanager
def open_sail(config: EngineConfig, source: SourceConfig, row_bytes: int) -> Iterator[Engine]:
    # Sail's own variables win where the user has set them.
    wanted = sail_settings(config.driver_memory_bytes, row_bytes)
    settings = {name: os.environ.get(name, value) for name, value in wanted.items()}
    # A token that a shell has for another server would have the client ask this one for TLS.
    with environment({**settings, **_aws_variables(source), "SPARK_CONNECT_AUTHENTICATE_TOKEN": None}):
        server = _started()
        try:
            port = server.listening_address[1]
            with connected(f"sc://127.0.0.1:{port}", config) as session:
                session.release_session_on_close = False  # it ends with its server
                _leave_ctrl_c_to_python()
                yield Engine(session, "sail", one_machine=True)
        finally:
            server.stop()


def _started() -> Any:
    """Raises ConfigError where this process may have no more threads or memory: that is a panic of Rust, which is no Exception."""
    from pysail.spark import SparkConnectServer  # noqa: PLC0415  an engine is loaded only when it is chosen

    try:
        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":  # Rust's own, which cannot be imported
            raise
        fix = "let it have more threads and memory: the limits of processes and of memory of the container, or ulimit -u and ulimit -v"
        raise ConfigError("Sail cannot be started", found=str(exc)[:200], fix=fix) from exc
    return server


def _leave_ctrl_c_to_python() -> None:
    """Sail's server ends itself at Ctrl-C. The client would then ask it to end the session, and try that for ten minutes.

    What sends signals to Sail is taken away by setting Python's own handler again; once the server has answered it is in place.
    """
    with suppress(ValueError):  # signals are of the main thread alone
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT) or signal.default_int_handler)


def _aws_variables(source: SourceConfig) -> dict[str, str | None]:
    """Sail reads S3's settings from the environment. None: what belongs to other keys than these."""
    variables: dict[str, str | None] = {}
    if source.endpoint_url:
        variables["AWS_ENDPOINT"] = variables["AWS_ENDPOINT_URL"] = source.endpoint_url
        variables["AWS_ALLOW_HTTP"] = "true" if source.endpoint_url.startswith("http://") else "false"
    if region := region_of(source):  # without one Sail asks AWS for the bucket's, also where the bucket is elsewhere
        variables["AWS_REGION"] = region
    if source.has_keys:
        variables["AWS_ACCESS_KEY_ID"] = referred(source, "access_key_id") or ""
        variables["AWS_SECRET_ACCESS_KEY"] = referred(source, "secret_access_key") or ""
        variables |= {"AWS_SESSION_TOKEN": referred(source, "session_token"), "AWS_PROFILE": None}
    return variables
