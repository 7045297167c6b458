"""Every file of a delivery → bytes at the destination that nobody sees."""

from __future__ import annotations

from courier.delivery.context import GONE, Context
from courier.delivery.journal import FileState
from courier.delivery.sending import FileToSend, Sent, send
from courier.destinations import Connection, Staged
from courier.destinations.connections import assert_absent
from courier.errors import TerminalError, TransientError

#: The journal learns of every so many bytes; a killed upload goes on from there.
NOTED_BYTES = 64 * 1024 * 1024


class Staging:
    """Files are numbered as the journal has them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._free: set[int] = set()  # files whose names nobody has

    def assert_no_conflicts(self) -> None:
        """Raise TerminalError where a file exists that is neither ours nor to be replaced."""
        numbers = range(len(self._context.journal.states))
        self._context.together(self._look_together, len(numbers))
        self._context.in_parallel(self._assert_no_conflict, numbers)

    def _may_conflict(self, number: int) -> bool:
        state = self._context.journal.states[number]
        ours = state.delivered or (self._context.direct and state.staged)
        return not (self._context.journal.header.replace or ours)

    def _look_together(self, numbers: range) -> None:
        """Which of these names are free, where few journeys can tell. The others are left to `_assert_no_conflict`."""
        names = {self._context.journal.states[number].name: number for number in numbers if self._may_conflict(number)}
        found = self._context.connections.retrying(lambda connection: connection.existing([*names])) if names else None
        if found is not None:
            self._free.update(number for name, number in names.items() if name not in found)

    def _assert_no_conflict(self, number: int) -> None:
        if self._may_conflict(number) and number not in self._free:
            assert_absent(self._context.connections, self._context.journal.states[number].name, self._context.journal.header.sink)

    def stage_all(self, data: list[FileToSend]) -> None:
        """The data files that are not staged yet, by this process or by the workers."""
        numbers = range(len(data))
        if self._context.workers is None:
            self._context.in_parallel(lambda number: self.stage(number, data[number]), numbers)
            return
        workers, missing = self._context.workers, list[int]()

        def look(number: int) -> None:
            if self._is_missing(number):
                self._context.connections.retrying(lambda connection: self._discard_begun(connection, number))
                missing.append(number)

        def stage(number: int) -> None:
            self._context.progress.started(self._context.journal.states[number].name, data[number].rows)
            self._staged(number, workers.stage(number))

        self._context.in_parallel(look, numbers)
        self._context.connections.close()  # the cap is for all workers together, and now it is their turn
        self._context.unsure = True  # attempts that came to nothing are known to the destination only
        self._context.in_parallel(stage, sorted(missing))
        workers.end()

    def _discard_begun(self, connection: Connection, number: int) -> None:
        begun = self._context.journal.states[number].staged
        if begun is not None:
            connection.discard(begun)
            self._context.journal.update(number, staged=None, complete=False)

    def _is_missing(self, number: int) -> bool:
        """Whether a file is still to be staged."""
        state = self._context.journal.states[number]
        if state.delivered:
            return False
        if state.complete and self._is_staged(state):
            self._context.progress.staged(state.name, state.staged.size if state.staged else 0)
            return False
        if state.complete and self._context.direct:  # written under its final name, and gone: the platform has it
            self._context.journal.update(number, delivered=True, confirmed=False)
            self._context.warn(GONE.format(name=state.name))
            return False
        return True

    def stage(self, number: int, file: FileToSend) -> None:
        """One file, unless it is staged or delivered already."""
        if not self._is_missing(number):
            return
        name = self._context.journal.states[number].name

        def reached() -> int:
            staged = self._context.journal.states[number].staged
            return staged.size if staged and file.repeatable else 0

        self._context.progress.started(name, file.rows)
        self._context.connections.retrying(lambda connection: self._send(connection, number, file), reached)

    def _is_staged(self, state: FileState) -> bool:
        staged = state.staged
        return staged is not None and self._context.connections.retrying(lambda connection: connection.is_staged(staged))

    def _send(self, connection: Connection, number: int, file: FileToSend) -> None:
        """One attempt at one file, from where the last one ended or from the beginning."""
        begun = self._begun(connection, number, file)
        noted = begun.size

        def assert_wanted() -> None:
            if self._context.connections.given_up:
                raise TransientError(f"'{begun.name}' was not sent, since the run has failed")
            if self._context.direct:  # where another start writes to the same names
                self._context.lock.assert_live()

        def keep(staged: Staged) -> None:
            nonlocal noted
            if staged.size - noted >= NOTED_BYTES:
                noted = staged.size
                self._context.journal.update(number, staged=staged)
            else:
                self._context.journal.note(number, staged=staged)

        sent = send(connection, begun, file, keep, assert_wanted, self._context.progress)
        self._staged(number, sent)

    def _staged(self, number: int, sent: Sent) -> None:
        self._context.journal.update(number, complete=True, **vars(sent))
        self._context.progress.staged(sent.staged.name, sent.staged.size)

    def _begun(self, connection: Connection, number: int, file: FileToSend) -> Staged:
        before = self._context.journal.states[number].staged
        if before is not None:
            if self._context.direct and before.size and connection.size(before.name) is None:
                raise TerminalError(
                    f"'{before.name}' was taken away before it was whole",
                    where=self._context.journal.header.sink,
                    fix="see what the platform did with it; with destination.publish=rename this cannot happen",
                )
            if file.repeatable and before.size and connection.resumable(before) == before.size:
                return before
            connection.discard(before)
        try:
            begun = connection.begin(self._context.journal.states[number].name)
        except TransientError:
            self._context.unsure = True  # it may have been done, and the answer lost
            raise
        # What an unfinished start left under a name of its own is found by `unfinished`: that spares a write for each small file.
        found_again = before is None and begun.named and not self._context.direct
        write_down = self._context.journal.note if found_again else self._context.journal.update
        write_down(number, staged=begun, complete=False, uri=connection.uri(begun.name))
        return begun
