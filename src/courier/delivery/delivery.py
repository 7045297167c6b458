"""Step deliver: stage every file unseen → publish every file → manifest → triggers. All files of a run, or none.

Every step is in the journal before it is taken (or found again by the name that it gave a file), so that `deliver` also
goes on where a killed start of the run ended, `finish` completes what was being published, and `undo` takes back a
delivery that failed or is dead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from courier.config import DestinationConfig
from courier.delivery.context import PUBLISHED, Alone, Context, Workers
from courier.delivery.journal import Journal
from courier.delivery.progress import Progress
from courier.delivery.publishing import Publishing
from courier.delivery.sending import FileToSend
from courier.delivery.staging import Staging
from courier.delivery.undoing import Undoing
from courier.destinations import Destination
from courier.errors import BusyError, CourierError, TransientError

log = logging.getLogger(__name__)


class Delivery:
    """One run's delivery. The files and their order are the journal's: data files, manifest, triggers.

    Once the lock is lost, another start of the run may be at work on the same files and the same journal: nothing that the
    journal tells is touched any more.
    """

    def __init__(
        self, config: DestinationConfig, destination: Destination, journal: Journal, lock: Alone, progress: Progress | None = None
    ) -> None:
        self._context = Context(config, destination, journal, lock, progress)

    @property
    def warnings(self) -> list[str]:
        return self._context.warnings

    def deliver(self, data: list[FileToSend], closing: Callable[[], list[bytes]], workers: Workers | None = None) -> None:
        """Stage and publish everything that is not delivered yet. With `workers`, they stage the data files.

        `closing` gives the contents of the journal's files after the data files, and is asked once, when all data is staged.
        When this raises, nothing of the run is visible at the destination unless the error says so, or, after a transient
        error while publishing, the journal: then the next start of the run finishes it.
        """
        numbers, self._context.workers = range(len(self._context.journal.states)), workers
        self._context.unsure = bool(self._context.journal.header.epoch)  # an earlier start may have begun what it could not write down
        try:
            self._context.journal.begin()
            staging, publishing = Staging(self._context), Publishing(self._context, repeated=False)
            staging.assert_no_conflicts()
            staging.stage_all(data)
            contents = closing()

            def stage_closing(number: int) -> None:
                staging.stage(number, FileToSend(lambda: [contents[number - len(data)]], repeatable=False))

            if self._context.direct:  # where staging is publishing, in the same order
                self._context.lock.assert_held()
                publishing.remove_stale()
                for number in numbers[len(data) :]:
                    stage_closing(number)
            else:
                self._context.in_parallel(stage_closing, numbers[len(data) :])
            if self._context.unsure:
                self._context.connections.retrying(self._context.discard_unknown)
            self._context.enter("publishing")
            publishing.publish_all()
        except BaseException as error:
            self._after_failure(error)
            raise
        finally:
            self._context.connections.close()

    def finish(self) -> None:
        """Publish the rest of what an earlier start has decided to publish. Nothing is sent a second time."""
        self._context.unsure = True
        try:
            Publishing(self._context, repeated=True).publish_all()
        except BaseException as error:
            self._after_failure(error)
            raise
        finally:
            self._context.connections.close()

    def undo(self, others: Collection[str] = ()) -> list[str]:
        """Take everything back that is still there and did not replace another file. Names of the files that stay delivered.

        `others`: names that files of later runs have. The caller settles the journal.
        """
        return Undoing(self._context).undo(others)

    def _after_failure(self, error: BaseException) -> None:
        """Take the delivery back; only where publishing failed for a passing reason, leave it to the next start.

        Raises BusyError where the lock is lost, which is then why it failed, or may be.
        """
        self._context.give_up()
        try:
            self._context.lock.assert_held()
        except BusyError:
            self._discard_own()
            raise
        header = self._context.journal.header
        if header.phase == "published":
            return
        if header.phase == "publishing" and all(state.delivered for state in self._context.journal.states):
            if isinstance(error, CourierError):  # of the journal
                error.fix = PUBLISHED.format(run_id=header.run_id)
            return
        if header.phase == "publishing" and isinstance(error, TransientError):
            self._write_refusals()
            error.fix = f"start again with run_id={header.run_id}: it publishes the rest, and sends nothing twice"
            return
        hasty = replace(
            self._context.config, attempts=min(2, self._context.config.attempts), retry_seconds=min(10, self._context.config.retry_seconds)
        )
        self._context.connections.close()  # what lies idle there may be all that the server bears
        undoing = Delivery(hasty, self._context.destination, self._context.journal, self._context.lock)
        try:
            left = undoing.undo()
        except BusyError:
            raise
        except CourierError as reason:
            log.warning("What was sent cannot be taken back now: %s", reason)
            left = [state.name for state in self._context.journal.states if state.staged]
            advice = f"Could not be taken back, and will be by the next run: {_some(left)}"
        else:
            advice = f"Delivered and not taken back: {_some(left)}; start again with run_id={header.run_id} to deliver the rest"
        if left and isinstance(error, CourierError):
            error.fix = f"{error.fix}. {advice}" if error.fix else advice

    def _write_refusals(self) -> None:
        """Files whose publication was refused, where the state store may not have taken that then: the next start would take them,
        gone as they are, for published.
        """
        for number, state in enumerate(self._context.journal.states):
            if state.staged and not state.asked and not state.delivered:
                self._context.journal.update(number)

    def _discard_own(self) -> None:
        """After the lock was lost: what was begun since, which the start that took over cannot have found."""
        if not self._context.direct:  # where the other one writes to the same names
            with suppress(CourierError):
                for staged in self._context.journal.own():
                    self._context.connections.retrying(lambda connection, staged=staged: connection.discard(staged))  # type: ignore[misc]  # mypy cannot type a default


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
