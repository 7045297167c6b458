"""Step deliver: stage every file unseen → publish every file → manifest → triggers. All files of a run, or none.

Every step is in the journal before it is taken (or found again by the name that it gave a file), so that `deliver` also
goes on where a killed start of the run ended, `finish` completes what was being published, and `undo` takes back a
delivery that failed or is dead.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Protocol

from courier.config import DestinationConfig
from courier.connections import Connections
from courier.destinations import Connection, Destination, Staged
from courier.destinations.base import conflict
from courier.errors import CourierError, DeliveryError, TerminalError, TransientError
from courier.journal import FileState, Journal
from courier.progress import Progress, Silence
from courier.staging import FileToSend, Sent, send

#: The journal learns of every so many bytes; a killed upload goes on from there.
NOTED_BYTES = 64 * 1024 * 1024

#: So many files are looked for, and published, by one call, where there are more than this.
TOGETHER = 32

#: At the first login, when nothing has been done that would be lost.
FIRST_ATTEMPTS = 4

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


class Delivery:
    """One run's delivery. The files and their order are the journal's: data files, manifest, triggers.

    Once the lock is lost, another start of the run may be at work on the same files and the same journal: nothing is touched
    any more.
    """

    def __init__(
        self, config: DestinationConfig, destination: Destination, journal: Journal, lock: Alone, progress: Progress | None = None
    ) -> None:
        self._config, self._destination, self._journal, self._lock = config, destination, journal, lock
        self._progress = progress or Silence()
        self._connections = Connections(destination, config)
        self._direct = config.direct
        self._workers: Workers | None = None
        self._unsure = False  # whether there may be something at the destination that the journal does not know
        self._free: set[int] = set()  # files whose names nobody has
        self._tried: set[int] = set()  # files that `publish_together` was asked for
        self.warnings: list[str] = []

    def deliver(self, data: list[FileToSend], closing: Callable[[], list[bytes]], workers: Workers | None = None) -> None:
        """Stage and publish everything that is not delivered yet. With `workers`, they stage the data files.

        `closing` gives the contents of the journal's files after the data files, and is asked once, when all data is staged.
        When this raises, nothing of the run is visible at the destination unless the error says so, or, after a transient
        error while publishing, the journal: then the next start of the run finishes it.
        """
        numbers, self._workers = range(len(self._journal.states)), workers
        self._unsure = bool(self._journal.header.epoch)  # an earlier start may have begun what it could not write down
        try:
            self._journal.begin()
            self._together(self._look_together, len(numbers))
            self._in_parallel(self._assert_no_conflict, numbers)
            self._stage_all(data)
            contents = closing()

            def stage_closing(number: int) -> None:
                self._stage(number, FileToSend(lambda: [contents[number - len(data)]], repeatable=False))

            if self._direct:  # where staging is publishing, in the same order
                self._lock.assert_held()
                self._remove_all_stale()
                for number in numbers[len(data) :]:
                    stage_closing(number)
            else:
                self._in_parallel(stage_closing, numbers[len(data) :])
            if self._unsure:
                self._connections.retrying(self._discard_unknown)
            self._lock.assert_held()
            self._journal.enter("publishing")
            self._publish_all(repeated=False)
        except BaseException as error:
            self._after_failure(error)
            raise
        finally:
            self._connections.close()

    def finish(self) -> None:
        """Publish the rest of what an earlier start has decided to publish. Nothing is sent a second time."""
        self._unsure = True
        try:
            self._publish_all(repeated=True)
        except BaseException as error:
            self._after_failure(error)
            raise
        finally:
            self._connections.close()

    # Staging

    def _may_conflict(self, number: int) -> bool:
        state = self._journal.states[number]
        ours = state.delivered or (self._direct and state.staged)
        return not (self._journal.header.replace or ours)

    def _look_together(self, numbers: range) -> None:
        """Which of these names are free, where few journeys can tell. The others are left to `_assert_no_conflict`."""
        names = {self._journal.states[number].name: number for number in numbers if self._may_conflict(number)}
        found = self._connections.retrying(lambda connection: connection.existing([*names])) if names else None
        if found is not None:
            self._free.update(number for name, number in names.items() if name not in found)

    def _assert_no_conflict(self, number: int) -> None:
        if self._may_conflict(number) and number not in self._free:
            assert_absent(self._connections, self._journal.states[number].name, self._journal.header.sink)

    def _stage_all(self, data: list[FileToSend]) -> None:
        numbers = range(len(data))
        if self._workers is None:
            self._in_parallel(lambda number: self._stage(number, data[number]), numbers)
            return
        workers, missing = self._workers, list[int]()

        def look(number: int) -> None:
            if self._is_missing(number):
                self._connections.retrying(lambda connection: self._discard_begun(connection, number))
                missing.append(number)

        def stage(number: int) -> None:
            self._progress.started(self._journal.states[number].name, data[number].rows)
            self._staged(number, workers.stage(number))

        self._in_parallel(look, numbers)
        self._connections.close()  # the cap is for all workers together, and now it is their turn
        self._unsure = True  # attempts that came to nothing are known to the destination only
        self._in_parallel(stage, sorted(missing))
        workers.end()

    def _discard_begun(self, connection: Connection, number: int) -> None:
        begun = self._journal.states[number].staged
        if begun is not None:
            connection.discard(begun)
            self._journal.update(number, staged=None, complete=False)

    def _is_missing(self, number: int) -> bool:
        """Whether a file is still to be staged."""
        state = self._journal.states[number]
        if state.delivered:
            return False
        if state.complete and self._is_staged(state):
            self._progress.staged(state.name, state.staged.size if state.staged else 0)
            return False
        if state.complete and self._direct:  # written under its final name, and gone: the platform has it
            self._journal.update(number, delivered=True, confirmed=False)
            self._warn(GONE.format(name=state.name))
            return False
        return True

    def _stage(self, number: int, file: FileToSend) -> None:
        if not self._is_missing(number):
            return
        name = self._journal.states[number].name

        def reached() -> int:
            staged = self._journal.states[number].staged
            return staged.size if staged and file.repeatable else 0

        self._progress.started(name, file.rows)
        self._connections.retrying(lambda connection: self._send(connection, number, file), reached)

    def _is_staged(self, state: FileState) -> bool:
        staged = state.staged
        return staged is not None and self._connections.retrying(lambda connection: connection.is_staged(staged))

    def _send(self, connection: Connection, number: int, file: FileToSend) -> None:
        """One attempt at one file, from where the last one ended or from the beginning."""
        begun = self._begun(connection, number, file)
        noted = begun.size

        def assert_wanted() -> None:
            if self._connections.given_up:
                raise TransientError(f"'{begun.name}' was not sent, since the run has failed")

        def keep(staged: Staged) -> None:
            nonlocal noted
            if staged.size - noted >= NOTED_BYTES:
                noted = staged.size
                self._journal.update(number, staged=staged)
            else:
                self._journal.note(number, staged=staged)

        sent = send(connection, begun, file, keep, assert_wanted, self._progress)
        self._staged(number, sent)

    def _staged(self, number: int, sent: Sent) -> None:
        self._journal.update(number, complete=True, **vars(sent))
        self._progress.staged(sent.staged.name, sent.staged.size)

    def _begun(self, connection: Connection, number: int, file: FileToSend) -> Staged:
        before = self._journal.states[number].staged
        if before is not None:
            if self._direct and before.size and connection.size(before.name) is None:
                raise TerminalError(
                    f"'{before.name}' was taken away before it was whole",
                    where=self._journal.header.sink,
                    fix="see what the platform did with it; with destination.publish=rename this cannot happen",
                )
            if file.repeatable and before.size and connection.resumable(before) == before.size:
                return before
            connection.discard(before)
        try:
            begun = connection.begin(self._journal.states[number].name)
        except TransientError:
            self._unsure = True  # it may have been done, and the answer lost
            raise
        # What an unfinished start left under a name of its own is found by `unfinished`: that spares a write for each small file.
        found_again = before is None and begun.named and not self._direct
        write_down = self._journal.note if found_again else self._journal.update
        write_down(number, staged=begun, complete=False, uri=connection.uri(begun.name))
        return begun

    def _discard_unknown(self, connection: Connection) -> None:
        """What was begun and could not be written down. Nothing of it can become visible, so that is no reason to fail."""
        header = self._journal.header
        known = {state.staged.place for state in self._journal.states if state.staged}
        try:
            unfinished = connection.unfinished(header.names, header.started_at)
        except TerminalError as error:
            self._warn(f"What was begun and is written down nowhere stays, since it may not be looked for: {error}")
            return
        for staged in unfinished:
            if staged.place not in known:
                connection.discard(staged)

    # Publishing

    def _publish_all(self, *, repeated: bool) -> None:
        """Data files side by side, then stale parts, then the manifest and the triggers, one by one."""
        header = self._journal.header
        data = len(header.planned)
        if not repeated:
            self._together(self._publish_together, data)
        self._in_parallel(lambda number: self._publish(number, repeated=repeated), range(data))
        self._remove_all_stale()
        for number in range(data, len(header.names)):
            self._publish(number, repeated=repeated)
        self._journal.enter("published")
        if self._unsure:  # once more, for what was asked for before and done late
            with contextlib.suppress(DeliveryError):
                self._connections.retrying(self._discard_unknown)

    def _publish_together(self, numbers: range) -> None:
        """What of these files can be published in few journeys. The others are left to `_publish`, which looks where each is."""
        states = {state.name: number for number in numbers if not (state := self._journal.states[number]).delivered}
        staged = [staged for number in states.values() if (staged := self._journal.states[number].staged)]

        def attempt(connection: Connection) -> dict[str, bool] | None:
            if self._tried.issuperset(states.values()):  # the answers were lost
                return {}
            self._tried.update(states.values())
            return connection.publish_together(staged, replace=self._journal.header.replace)

        known = self._connections.retrying(attempt)
        if known is None:
            self._tried.difference_update(states.values())
        for name, published in (known or {}).items():
            if not published:
                self._tried.discard(states[name])
                continue
            self._journal.note(states[name], delivered=True, confirmed=True)
            self._progress.published(name)

    def _publish(self, number: int, *, repeated: bool) -> None:
        """Publish one file. Where it may have happened already, look before: an answer can be lost."""
        state = self._journal.states[number]
        staged = state.staged
        if state.delivered:
            return
        if staged is None:
            raise CourierError(f"'{state.name}' was to be published and was never sent", where=self._journal.header.sink)
        asked = (repeated and state.asked) or number in self._tried

        def attempt(connection: Connection) -> bool:
            nonlocal asked
            if asked and not connection.remains(staged):
                return self._confirmed(connection, state)
            if asked and not connection.is_staged(staged):
                raise TerminalError(
                    f"'{state.name}' was changed after it was sent, before it was published", where=self._journal.header.sink
                )
            asked_before, asked = asked, True
            try:
                at_once = connection.publish(staged, replace=self._journal.header.replace)
            except TransientError:
                self._unsure = True  # an older file may have been moved aside
                raise
            except TerminalError:
                if not asked_before:  # so that its being gone is not taken for its being published
                    self._journal.update(number, asked=False)
                # What was asked for before, and had not been done when we looked, may have been done since.
                elif not connection.remains(staged) and connection.size(state.name) == staged.size:
                    return True
                raise
            if not at_once:
                self._warn(f"{state.name} took the place of an older file in two steps: for a moment there was none of that name")
            return True

        confirmed = self._connections.retrying(attempt)
        self._journal.note(number, confirmed=confirmed, delivered=True)
        self._progress.published(state.name)

    def _confirmed(self, connection: Connection, state: FileState) -> bool:
        """It was published before. Not being there any more means that the platform has taken it: it is not sent again."""
        found = connection.size(state.name)
        if found is None:
            self._warn(GONE.format(name=state.name))
        elif state.staged and found != state.staged.size:
            self._warn(f"{state.name} was published, and what has its name now is another file")
        return state.staged is not None and found == state.staged.size

    def _remove_all_stale(self) -> None:
        for name, size in self._journal.header.stale.items():
            self._connections.retrying(lambda connection, name=name, size=size: self._remove_stale(connection, name, size))  # type: ignore[misc]  # mypy cannot type a default

    def _remove_stale(self, connection: Connection, name: str, size: int) -> None:
        found = connection.size(name)
        if found == size:
            connection.remove(name)
        elif found is not None:
            self._warn(f"{name} is not the file that an earlier run left there, so it stays")

    # Taking back

    def _after_failure(self, error: BaseException) -> None:
        """Take the delivery back; only where publishing failed for a passing reason, leave it to the next start.

        Raises BusyError where the lock is lost, which is then why it failed, or may be.
        """
        self._give_up()
        self._lock.assert_held()
        header = self._journal.header
        if header.phase == "published":
            return
        if header.phase == "publishing" and isinstance(error, TransientError):
            error.fix = f"start again with run_id={header.run_id}: it publishes the rest, and sends nothing twice"
            return
        hasty = replace(self._config, attempts=min(2, self._config.attempts), retry_seconds=min(10, self._config.retry_seconds))
        undoing = Delivery(hasty, self._destination, self._journal, self._lock)
        try:
            left = undoing.undo()
        except CourierError:
            left = [state.name for state in self._journal.states if state.staged]
            advice = f"Could not be taken back, and will be by the next run: {_some(left)}"
        else:
            advice = f"Delivered and not taken back: {_some(left)}; start again with run_id={header.run_id} to deliver the rest"
        if left and isinstance(error, DeliveryError):
            error.fix = f"{error.fix}. {advice}" if error.fix else advice

    def undo(self, others: Collection[str] = ()) -> list[str]:
        """Take everything back that is still there and did not replace another file. Names of the files that stay delivered.

        `others`: names that files of later runs have. The caller settles the journal.
        """
        if self._journal.header.phase != "undoing":
            self._journal.enter("undoing")
        try:
            self._in_parallel(lambda number: self._take_back(number, others), range(len(self._journal.states)))
            self._connections.retrying(self._discard_unknown)
        finally:
            self._connections.close()
        self._journal.enter("failed")
        return [state.name for state in self._journal.states if state.delivered]

    def _take_back(self, number: int, others: Collection[str]) -> None:
        state = self._journal.states[number]
        staged, replacing = state.staged, self._journal.header.replace
        if staged is None or (state.delivered and (replacing or not state.confirmed)):
            return
        asked = (state.asked or self._direct) and state.complete

        def attempt(connection: Connection) -> None:
            if asked and not self._journal.states[number].removing:
                seen = self._direct or not connection.remains(staged)
                # Of the same size, since anybody else may have put a file there after the platform had taken ours.
                ours = not replacing and state.name not in others and connection.size(state.name) == staged.size
                if seen and not ours:
                    self._journal.update(number, delivered=True, confirmed=False)  # replaced another, or was taken by the platform
                    return
                if ours:  # also where a kill came between its two names
                    # Written down first: what is gone after this was removed by us, and must be sent again.
                    self._journal.update(number, removing=True)
            if self._journal.states[number].removing:
                connection.remove(state.name)
            else:
                self._journal.update(number, complete=False)  # so that its being gone is not taken for its being published
            connection.discard(staged)
            self._journal.update(number, staged=None, complete=False, asked=False, removing=False, delivered=False)

        self._connections.retrying(attempt)

    # Shared

    def _warn(self, text: str) -> None:
        log.warning("%s", text)
        self.warnings.append(text)

    def _together(self, work: Callable[[range], None], count: int) -> None:
        """Do the work for many files at a time; nothing where there are few."""
        if count > TOGETHER:
            self._in_parallel(lambda batch: work(range(batch * TOGETHER, min(count, (batch + 1) * TOGETHER))), range(-(-count // TOGETHER)))

    def _give_up(self) -> None:
        self._connections.give_up()
        if self._workers is not None:
            self._workers.end()

    def _in_parallel(self, work: Callable[[int], None], numbers: Sequence[int]) -> None:
        """Do the work for each file. The first failure is told at once; what has not begun by then is left."""
        if not numbers:
            return

        failures: list[BaseException] = []  # the others fail because of the first

        def unless_given_up(number: int) -> None:
            if self._connections.given_up:
                return
            try:
                work(number)
            except BaseException as error:
                failures.append(error)
                self._give_up()  # here, so that this thread takes up no other file
                raise

        with ThreadPoolExecutor(self._config.connections) as pool:
            futures: list[Future[None]] = [pool.submit(unless_given_up, number) for number in numbers]
            try:
                pending = {*futures}
                while pending:  # awake now and then: a signal that reached another thread would not wake this one
                    _, pending = wait(futures, AWAKE_SECONDS, FIRST_EXCEPTION)
                    if failures:
                        raise failures[0]
                    if self._lock.lost:
                        self._lock.assert_held()
            except BaseException:
                self._give_up()
                pool.shutdown(cancel_futures=True)
                raise


def assert_absent(connections: Connections, name: str, where: str) -> None:
    """Raise where a visible file has this name."""
    if connections.retrying(lambda connection: connection.size(name)) is not None:
        raise conflict(name, where)


def assert_reachable(config: DestinationConfig, destination: Destination) -> None:
    """Log in once, so that a wrong password is told before the work and not after it; and a server that is down in seconds."""
    connections = Connections(destination, replace(config, attempts=min(FIRST_ATTEMPTS, config.attempts)))
    with contextlib.closing(connections):
        connections.retrying(lambda _: None)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
