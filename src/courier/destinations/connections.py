"""Connections to one destination: never more than the cap, used again, and tried again where an error is transient.

The only module that retries, and only what a transport marks as transient.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from courier.config import DestinationConfig
from courier.destinations import Connection, Destination
from courier.destinations.base import conflict
from courier.errors import RefusedLoginError, TransientError

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
#: At the first login, when nothing has been done that would be lost.
FIRST_ATTEMPTS = 4

log = logging.getLogger(__name__)


class Connections:
    """At most `destination.connections` at once, each used for many files and thrown away when something failed on it.

    A server that refuses one more while others work is taken at its word: the cap is lowered to what it bears.
    """

    def __init__(self, destination: Destination, config: DestinationConfig) -> None:
        self._destination, self._config = destination, config
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._open = self._connecting = 0  # the first counts those that are being made, too
        self._cap = config.connections
        self._given_up = threading.Event()

    @contextlib.contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for this thread. Waits where all are in use."""
        connection = self._take()
        try:
            yield connection
        except BaseException as error:
            self._forget(connection, error)
            raise
        with self._changed:
            self._idle.append(connection)
            self._changed.notify()

    def _take(self) -> Connection:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._idle or self._open < self._cap)
                if self._idle:
                    return self._idle.pop()
                self._open += 1
                self._connecting += 1
            try:
                connection = self._destination.connect()
            except BaseException as error:
                self._refused(error)
            else:
                with self._changed:
                    self._connecting -= 1
                    self._changed.notify_all()
                return connection

    def _refused(self, error: BaseException) -> None:
        """Lower the cap to the connections that the server bears; raise where it bears none, as one that is down."""
        with self._changed:
            self._open -= 1
            self._connecting -= 1
            self._changed.notify_all()
            bears_fewer = isinstance(error, TransientError | RefusedLoginError)
            if bears_fewer:  # those that are asked for at this moment may be refused as well
                self._changed.wait_for(lambda: self._open > self._connecting or not self._connecting)
            if not bears_fewer or not self._open:
                raise error
            self._cap = min(self._cap, self._open)
            others = self._open
        log.warning("The server refused one more connection; going on with %d: %s", others, error)

    def _forget(self, connection: Connection, error: BaseException) -> None:
        """After an error that will pass, those that lie idle are thrown away as well: a server that was restarted has lost
        them all, and each would cost an attempt. What it bears is then learned anew.
        """
        dead = [connection]
        with self._changed:
            if isinstance(error, TransientError):
                dead += self._idle
                self._idle.clear()
                self._cap = self._config.connections
            self._open -= len(dead)
            self._changed.notify_all()
        for each in dead:
            each.close()

    def retrying(self, attempt: Callable[[Connection], T], progress: Callable[[], int] = lambda: 0) -> T:
        """The result of the first attempt that goes well, each with a connection of its own choice.

        Transient errors are tried again after growing, random pauses, `attempts` times and for `retry_seconds`; both
        start anew whenever `progress` has grown since the error before. No more attempts after `give_up`.
        """
        failures, first_failure, before = 0, 0.0, progress()
        while True:
            try:
                with self.one() as connection:
                    return attempt(connection)
            except TransientError as error:
                now, reached = time.monotonic(), progress()
                if not failures or reached > before:
                    failures, first_failure, before = 0, now, reached
                failures += 1
                pause = _pause_seconds(failures)
                over = failures >= self._config.attempts or now + pause - first_failure > self._config.retry_seconds
                if over or self._given_up.is_set():
                    raise
                log.warning("Trying again in %.1f seconds (attempt %d of %d): %s", pause, failures + 1, self._config.attempts, error)
                self._given_up.wait(pause)
                if self._given_up.is_set():
                    raise

    def give_up(self) -> None:
        """Try nothing again from now on: the run has failed or is stopped."""
        self._given_up.set()

    @property
    def given_up(self) -> bool:
        return self._given_up.is_set()

    def close(self) -> None:
        with self._changed:
            while self._idle:
                self._idle.pop().close()
                self._open -= 1


def assert_absent(connections: Connections, name: str, where: str) -> None:
    """Raise where a visible file has this name."""
    if connections.retrying(lambda connection: connection.size(name)) is not None:
        raise conflict(name, where)


def assert_reachable(config: DestinationConfig, destination: Destination) -> None:
    """Log in once, so that a wrong password is told before the work and not after it; and a server that is down in seconds."""
    connections = Connections(destination, replace(config, attempts=min(FIRST_ATTEMPTS, config.attempts)))
    with contextlib.closing(connections):
        connections.retrying(lambda _: None)


def _pause_seconds(failures: int) -> float:
    """Doubled each time, of which a random half is waited, so that many runs do not come back at one moment."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311  no secret
