"""What staging, publishing and undoing share: one delivery, and how its files are worked on side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Protocol

from courier.config import DestinationConfig
from courier.delivery.journal import Journal
from courier.delivery.progress import Progress, Silence
from courier.delivery.sending import Sent
from courier.destinations import Connection, Destination
from courier.destinations.connections import Connections
from courier.errors import TerminalError

#: So many files are looked for, and published, by one call, where there are more than this.
TOGETHER = 32

#: What to do where the state store fails then, or the run is stopped.
PUBLISHED = "all files are published; start again with run_id={run_id}: it remembers them, and sends nothing twice"

AWAKE_SECONDS = 0.2

#: Sending it again could mean that people get the same mail twice.
GONE = "{name} is not at the destination any more: it counts as taken by the platform; where nothing takes files there, use another run_id"

log = logging.getLogger(__name__)


class Workers(Protocol):
    """Others who stage files, each attempt under a hidden name of its own."""

    def stage(self, number: int) -> Sent:
        """Return when the file is staged by one of them."""

    def end(self) -> None:
        """Stop them all. When this returns, none of them is at work any more, as far as can be known."""


class Alone(Protocol):
    """The activation's lock, as far as a delivery asks it."""

    lost: bool  # as far as is known without asking

    def assert_held(self) -> None:
        """Raise BusyError where another start has taken the delivery over."""

    def assert_live(self) -> None:
        """The same, before each step of what takes long. Asks the state store only where the lease has ended meanwhile."""


class Context:
    """`unsure`: there may be something at the destination that the journal does not know."""

    def __init__(
        self, config: DestinationConfig, destination: Destination, journal: Journal, lock: Alone, progress: Progress | None = None
    ) -> None:
        self.config, self.destination, self.journal, self.lock = config, destination, journal, lock
        self.progress = progress or Silence()
        self.connections = Connections(destination, config)
        self.workers: Workers | None = None
        self.unsure = False
        self.warnings: list[str] = []

    @property
    def direct(self) -> bool:
        return self.config.direct

    def discard_unknown(self, connection: Connection) -> None:
        """What was begun and could not be written down. Nothing of it can become visible, so that is no reason to fail."""
        header = self.journal.header
        known = {state.staged.place for state in self.journal.states if state.staged}
        try:
            unfinished = connection.unfinished(header.names, header.started_at)
        except TerminalError as error:
            self.warn(f"What was begun and is written down nowhere stays, since it may not be looked for: {error}")
            return
        for staged in unfinished:
            if staged.place not in known:
                connection.discard(staged)

    def enter(self, phase: str) -> None:
        """The journal's next phase. The lock is asked first: another start may have taken the journal over."""
        self.lock.assert_held()
        self.journal.enter(phase)

    def warn(self, text: str) -> None:
        log.warning("%s", text)
        self.warnings.append(text)

    def together(self, work: Callable[[range], None], count: int) -> None:
        """Do the work for many files at a time; nothing where there are few."""
        if count > TOGETHER:
            self.in_parallel(lambda batch: work(range(batch * TOGETHER, min(count, (batch + 1) * TOGETHER))), range(-(-count // TOGETHER)))

    def give_up(self) -> None:
        self.connections.give_up()
        if self.workers is not None:
            self.workers.end()

    def in_parallel(self, work: Callable[[int], None], numbers: Sequence[int]) -> None:
        """Do the work for each file. The first failure is told at once; what has not begun by then is left."""
        if not numbers:
            return

        failures: list[BaseException] = []  # the others fail because of the first

        def unless_given_up(number: int) -> None:
            if self.connections.given_up:
                return
            try:
                work(number)
            except BaseException as error:
                failures.append(error)
                self.give_up()  # here, so that this thread takes up no other file
                raise

        with ThreadPoolExecutor(self.config.connections) as pool:
            futures: list[Future[None]] = [pool.submit(unless_given_up, number) for number in numbers]
            try:
                pending = {*futures}
                while pending:  # awake now and then: a signal that reached another thread would not wake this one
                    _, pending = wait(futures, AWAKE_SECONDS, FIRST_EXCEPTION)
                    if failures:
                        raise failures[0]
                    if self.lock.lost:
                        self.lock.assert_held()
            except BaseException:
                self.give_up()
                pool.shutdown(cancel_futures=True)
                raise
