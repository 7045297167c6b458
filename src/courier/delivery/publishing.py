"""Every staged file → visible under its final name: data files, then the manifest, then the triggers."""

from __future__ import annotations

import contextlib

from courier.delivery.context import GONE, Context
from courier.delivery.journal import FileState
from courier.destinations import Connection
from courier.errors import CourierError, DeliveryError, TerminalError, TransientError


class Publishing:
    """`repeated`: an earlier start has begun with it, so it is looked first where each file is."""

    def __init__(self, context: Context, *, repeated: bool) -> None:
        self._context, self._repeated = context, repeated
        self._tried: set[int] = set()  # files that `publish_together` was asked for

    def publish_all(self) -> None:
        """Data files side by side, then stale parts, then the manifest and the triggers, one by one."""
        header = self._context.journal.header
        data = len(header.planned)
        if not self._repeated:
            self._context.together(self._publish_together, data)
        self._context.in_parallel(self._publish, range(data))
        self.remove_stale()
        for number in range(data, len(header.names)):
            self._publish(number)
        self._context.enter("published")
        if self._context.unsure:  # once more, for what was asked for before and done late
            with contextlib.suppress(DeliveryError):
                self._context.connections.retrying(self._context.discard_unknown)

    def _publish_together(self, numbers: range) -> None:
        """What of these files can be published in few journeys. The others are left to `_publish`, which looks where each is."""
        states = {state.name: number for number in numbers if not (state := self._context.journal.states[number]).delivered}
        staged = [staged for number in states.values() if (staged := self._context.journal.states[number].staged)]

        def attempt(connection: Connection) -> dict[str, bool] | None:
            if self._tried.issuperset(states.values()):  # the answers were lost
                return {}
            self._context.lock.assert_live()
            self._tried.update(states.values())
            return connection.publish_together(staged, replace=self._context.journal.header.replace)

        known = self._context.connections.retrying(attempt)
        if known is None:
            self._tried.difference_update(states.values())
        for name, published in (known or {}).items():
            if not published:
                self._tried.discard(states[name])
                continue
            self._context.journal.note(states[name], delivered=True, confirmed=True)
            self._context.progress.published(name)

    def _publish(self, number: int) -> None:
        """Publish one file. Where it may have happened already, look before: an answer can be lost."""
        state = self._context.journal.states[number]
        staged = state.staged
        if state.delivered:
            return
        if staged is None:
            raise CourierError(f"'{state.name}' was to be published and was never sent", where=self._context.journal.header.sink)
        asked = (self._repeated and state.asked) or number in self._tried

        def attempt(connection: Connection) -> bool:
            nonlocal asked
            if asked and not connection.is_staged(staged):
                if not connection.remains(staged):
                    return self._confirmed(connection, state)
                where = self._context.journal.header.sink
                raise TerminalError(f"'{state.name}' was changed after it was sent, before it was published", where=where)
            self._context.lock.assert_live()
            asked_before, asked = asked, True
            try:
                at_once = connection.publish(staged, replace=self._context.journal.header.replace)
            except TransientError:
                self._context.unsure = True  # an older file may have been moved aside
                raise
            except TerminalError:
                if not asked_before:  # so that its being gone is not taken for its being published
                    asked = False  # first, since writing it down may fail, and all this be tried again
                    self._context.journal.update(number, asked=False)
                # What was asked for before, and had not been done when we looked, may have been done since.
                elif not connection.remains(staged) and connection.size(state.name) == staged.size:
                    return True
                raise
            if not at_once:
                self._context.warn(f"{state.name} took the place of an older file in two steps: for a moment there was none of that name")
            return True

        confirmed = self._context.connections.retrying(attempt)
        self._context.journal.note(number, confirmed=confirmed, delivered=True)
        self._context.progress.published(state.name)

    def _confirmed(self, connection: Connection, state: FileState) -> bool:
        """It was published before. Not being there any more means that the platform has taken it: it is not sent again."""
        found = connection.size(state.name)
        if found is None:
            self._context.warn(GONE.format(name=state.name))
        elif state.staged and found != state.staged.size:
            self._context.warn(f"{state.name} was published, and what has its name now is another file")
        return state.staged is not None and found == state.staged.size

    def remove_stale(self) -> None:
        """The parts that an earlier, longer run left under this one's names."""
        for name, size in self._context.journal.header.stale.items():
            self._context.connections.retrying(lambda connection, name=name, size=size: self._remove_stale(connection, name, size))  # type: ignore[misc]  # mypy cannot type a default

    def _remove_stale(self, connection: Connection, name: str, size: int) -> None:
        found = connection.size(name)
        self._context.lock.assert_live()  # or it may be a file of the run that has it now
        if found == size:
            connection.remove(name)
        elif found is not None:
            self._context.warn(f"{name} is not the file that an earlier run left there, so it stays")
