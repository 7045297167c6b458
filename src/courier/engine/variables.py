"""Environment variables, for as long as an engine is open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

#: What makes pyspark a client of Spark Connect, which itself sets them and leaves them behind.
CLIENT_VARIABLES = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE")


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables, or leave them out, for as long as the engine is open, so that the destination never inherits the source's credentials."""
    with as_before(variables):
        _set(variables)
        yield


@contextmanager
def as_before(names: Iterable[str]) -> Iterator[None]:
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
