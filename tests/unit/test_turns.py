"""What a process has but once is used by one thread at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from courier import engine, pipeline, preflight
from courier.compose import load
from courier.config import EngineConfig, SourceConfig
from courier.turns import own_turn


class BegunError(Exception):
    """The work has begun."""


def begin(*_: Any) -> Any:
    raise BegunError


@contextmanager
def waiting() -> Iterator[threading.Event]:
    """Set when a thread says that it waits for its turn."""
    said, log = threading.Event(), logging.getLogger("courier.turns")

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    handler = Listener()
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)


def opened() -> None:
    with engine.open_engine(EngineConfig(), SourceConfig("profiles")):
        pass


def activated() -> None:
    pipeline.activate(load(["activation=demo"], now=datetime.now(UTC)))


def tried_out() -> None:
    for _ in preflight.preflight(load(["activation=demo"], now=datetime.now(UTC))):
        pass


@pytest.mark.parametrize(
    ("work", "module", "first"),
    [(activated, pipeline, "open_store"), (tried_out, preflight, "open_store"), (opened, engine, "_opened")],
    ids=["activate", "preflight", "open_engine"],
)
def test_a_thread_begins_when_the_other_has_ended(
    work: Callable[[], None], module: Any, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = list[bool]()

    def begins() -> None:
        try:
            work()
        except BegunError:
            begun.append(True)

    monkeypatch.setattr(module, first, begin)
    second = threading.Thread(target=begins)
    with waiting() as said:
        with own_turn():
            second.start()
            assert said.wait(30)
            assert begun == []
        second.join()
    assert begun == [True]


def test_the_thread_whose_turn_it_is_may_enter_again() -> None:
    with waiting() as said, own_turn(), own_turn():
        pass
    assert not said.is_set()
