"""What a delivery has left at the destination is taken back: hidden files, uploads, and published ones that are still there and ours."""

from __future__ import annotations

from collections.abc import Collection

from courier.delivery.context import Context
from courier.destinations import Connection
from courier.errors import TerminalError


class Undoing:
    def __init__(self, context: Context) -> None:
        self._context = context

    def undo(self, others: Collection[str] = ()) -> list[str]:
        """Take everything back that is still there and did not replace another file. Names of the files that stay delivered.

        `others`: names that files of later runs have. The caller has just asked the lock, and settles the journal. What may not
        be taken back keeps nothing else from it: the first refusal is raised after that.
        """
        refusals: list[TerminalError] = []

        def take_back(number: int) -> None:
            try:
                self._take_back(number, others)
            except TerminalError as refusal:
                refusals.append(refusal)

        if self._context.journal.header.phase != "undoing":
            self._context.journal.enter("undoing")
        try:
            self._context.in_parallel(take_back, range(len(self._context.journal.states)))
            self._context.connections.retrying(self._context.discard_unknown)
        finally:
            self._context.connections.close()
        if refusals:
            raise refusals[0]
        self._context.enter("failed")
        return [state.name for state in self._context.journal.states if state.delivered]

    def _take_back(self, number: int, others: Collection[str]) -> None:
        state = self._context.journal.states[number]
        staged, replacing = state.staged, self._context.journal.header.replace
        if staged is None or (state.delivered and (replacing or not state.confirmed)):
            return
        asked = (state.asked or self._context.direct) and state.complete

        def attempt(connection: Connection) -> None:
            if asked and not self._context.journal.states[number].removing and (self._context.direct or not connection.remains(staged)):
                # Of the same size, since anybody else may have put a file there after the platform had taken ours.
                there = state.name not in others and connection.size(state.name) == staged.size
                if replacing or not there:  # it has replaced another, or was taken by the platform
                    self._context.journal.update(number, delivered=True, confirmed=there)
                    return
                self._context.lock.assert_held()  # or another start may have published it
                # Written down first: what is gone after this was removed by us, and must be sent again.
                self._context.journal.update(number, removing=True)
            if self._context.journal.states[number].removing:
                connection.remove(state.name)
            else:
                self._context.journal.update(number, complete=False)  # so that its being gone is not taken for its being published
            connection.discard(staged)
            self._context.journal.update(number, staged=None, complete=False, asked=False, removing=False, delivered=False)

        self._context.connections.retrying(attempt)
