"""One attempt of an executor at one file: in places of its own, for Spark may have several going on, and as long as it is wanted."""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from courier.config import RunConfig
from courier.delivery.journal import Journal
from courier.delivery.progress import Silence
from courier.delivery.sending import FileToSend, Sent, send
from courier.destinations import Connection, Staged, open_destination
from courier.destinations.connections import Connections
from courier.errors import CourierError, TerminalError
from courier.mapping import Mapping
from courier.plan import PlannedFile
from courier.render import Rendering, open_keys
from courier.rows.snapshot import AudienceSnapshot
from courier.state import Store, open_store

#: A worker asks after so many bytes whether its run still goes on.
ASKED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Task:
    """All that an executor must know of one file. It holds no secret: they are read where the task runs."""

    config: RunConfig
    snapshot: AudienceSnapshot
    file: PlannedFile
    columns: Mapping
    started_at: datetime

    @property
    def repeatable(self) -> bool:
        return not self.config.file.encrypted


def from_here(error: CourierError) -> CourierError:
    """With the machine's name, for what it met need be so on no other one: neither on the driver nor on the next executor."""
    error.what = f"On an executor ({socket.gethostname()}): {error.what}"
    return error


def staged(each: Iterator[Task]) -> Iterator[Sent | CourierError]:
    """In the executor. What a user can act on is a result, for Spark would only do it again; all else is Spark's to retry."""
    for task in each:
        try:
            yield stage(task, uuid.uuid4().hex[:8])
        except CourierError as error:
            yield from_here(error)
        except Exception as exc:
            raise RuntimeError(f"courier: {type(exc).__name__}") from None  # its text might hold values, and goes into logs


def stage(task: Task, attempt: str) -> Sent:
    """Render and stage one file over one connection, under a hidden name of this attempt's own."""
    config = replace(task.config.destination, connections=1)
    store, keys = open_store(task.config.state, make=False), open_keys(task.config.file, task.started_at)
    content = FileToSend(
        lambda: Rendering(task.snapshot, task.file, task.columns, task.config, keys), task.file.slice.rows, task.repeatable
    )
    connections = Connections(open_destination(config, task.config.run_id, attempt), config)
    upload = _Upload(task, content, store)
    try:
        return connections.retrying(upload.attempt, upload.reached)
    except BaseException:
        with contextlib.suppress(CourierError):  # what is left is taken away by the driver
            connections.retrying(upload.discard)
        raise
    finally:
        connections.close()


class _Upload:
    """One file of a task, over as many connections as it takes."""

    def __init__(self, task: Task, content: FileToSend, store: Store) -> None:
        self._task, self._content, self._store = task, content, store
        self._begun: Staged | None = None
        self._asked = 0

    def reached(self) -> int:
        return self._begun.size if self._begun and self._content.repeatable else 0

    def attempt(self, connection: Connection) -> Sent:
        begun = self._begun
        if begun is None or not (self._content.repeatable and begun.size and connection.resumable(begun) == begun.size):
            self.discard(connection)
            self._assert_wanted()
            begun = self._begun = connection.begin(self._task.file.name)
        sent = send(connection, begun, self._content, self._keep, lambda: None, Silence())
        self._begun = sent.staged
        self._assert_wanted()
        return sent

    def discard(self, connection: Connection) -> None:
        if self._begun is not None:
            connection.discard(self._begun)
            self._begun = None

    def _keep(self, staged: Staged) -> None:
        self._begun = staged
        if staged.size - self._asked >= ASKED_BYTES:
            self._asked = staged.size
            self._assert_wanted()

    def _assert_wanted(self) -> None:
        """An attempt that nobody waits for any more must leave nothing behind: its run may have ended without it."""
        config = self._task.config
        if self._store.read(Journal.marker(config.activation, config.run_id)) is None:
            raise TerminalError(f"'{self._task.file.name}' is wanted no more: the run has ended")
