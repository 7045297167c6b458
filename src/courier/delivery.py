"""Step deliver: stage every file unseen → publish every file → manifest. All files of a run, or none.

Only this module retries, and only errors that a transport marks as transient.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from courier.config import RunConfig
from courier.destinations import Connection, Destination, Staged
from courier.destinations.base import conflict
from courier.errors import CourierError, DeliveryError, TransientError
from courier.manifest import manifest, manifest_name
from courier.plan import PlannedFile

T = TypeVar("T")

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class DeliveredFile:
    """A file that is published: where, and proof of its content."""

    planned: PlannedFile
    uri: str
    bytes: int
    sha256: str


class Connections:
    """At most `limit` connections at once, each used for many files and thrown away when something failed on it."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()

    @contextlib.contextmanager
    def one(self) -> Iterator[Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._destination.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()


def assert_reachable(destination: Destination) -> None:
    """Log in once, so that a wrong password is told before the work and not after it."""
    _with_retries(lambda: destination.connect().close())


def deliver(
    config: RunConfig,
    destination: Destination,
    files: list[PlannedFile],
    columns: list[str],
    render: Callable[[PlannedFile], Iterable[bytes]],
) -> list[DeliveredFile]:
    """Deliver all files and the manifest. When it raises, nothing of this run is visible at the destination, unless the
    error says so.
    """
    connections = Connections(destination)
    try:
        names = [*(file.name for file in files), manifest_name(config)]
        _with_retries(lambda: _assert_no_conflicts(config, connections, names))
        return _stage_and_publish(config, connections, files, columns, render)
    finally:
        connections.close()


def _assert_no_conflicts(config: RunConfig, connections: Connections, names: list[str]) -> None:
    if config.destination.on_conflict == "replace":
        return
    with connections.one() as connection:
        for name in names:
            if connection.exists(name):
                raise conflict(name, config.destination.path or config.destination.name)


def _stage_and_publish(
    config: RunConfig,
    connections: Connections,
    files: list[PlannedFile],
    columns: list[str],
    render: Callable[[PlannedFile], Iterable[bytes]],
) -> list[DeliveredFile]:
    staged: list[Staged] = []
    given_up = threading.Event()

    def stage(name: str, chunks: Callable[[], Iterable[bytes]]) -> tuple[Staged, str]:
        result = _with_retries(lambda: _stage_once(connections, name, chunks(), given_up), given_up)
        staged.append(result[0])
        return result

    published: list[Staged] = []
    try:
        with ThreadPoolExecutor(config.destination.connections) as pool:
            futures = [pool.submit(stage, file.name, lambda file=file: render(file)) for file in files]  # type: ignore[misc]  # mypy cannot type a default
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done():
                        future.result()  # the first failure is told at once, not after the files before it are sent
                results = [future.result() for future in futures]
            except BaseException:
                given_up.set()
                pool.shutdown(cancel_futures=True)
                raise
        summary = [(file, held.size, sha256) for file, (held, sha256) in zip(files, results, strict=True)]
        listing, _ = stage(manifest_name(config), lambda: [manifest(config, columns, summary)])
        replace = config.destination.on_conflict == "replace"
        delivered = []
        with connections.one() as connection:
            for file, (held, sha256) in zip(files, results, strict=True):
                uri = connection.publish(held, replace=replace)
                published.append(held)
                delivered.append(DeliveredFile(file, uri, held.size, sha256))
            connection.publish(listing, replace=replace)
            published.append(listing)
        return delivered
    except BaseException as error:
        _undo(config, connections, staged, published, error)
        raise


def _stage_once(connections: Connections, name: str, chunks: Iterable[bytes], given_up: threading.Event) -> tuple[Staged, str]:
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in chunks:
            if given_up.is_set():  # the transport then takes away what it has of this file
                raise TransientError(f"'{name}' was not sent, since the run has failed")
            digest.update(chunk)
            yield chunk

    with connections.one() as connection:
        staged = connection.stage(name, hashed())
    return staged, digest.hexdigest()


def _with_retries(attempt: Callable[[], T], given_up: threading.Event | None = None) -> T:
    """The result of the first attempt that goes well. With `given_up` set there is no point in another one."""
    for pause in range(ATTEMPTS - 1):
        try:
            return attempt()
        except TransientError:
            if given_up is not None and given_up.is_set():
                raise
            time.sleep(FIRST_PAUSE_SECONDS * 2**pause)
    return attempt()


def _undo(config: RunConfig, connections: Connections, staged: list[Staged], published: list[Staged], error: BaseException) -> None:
    """Take back what this run did, as far as the destination lets us. Files that replaced others cannot be taken back."""
    left = {held.name for held in staged}
    with contextlib.suppress(CourierError), connections.one() as connection:
        for held in staged:
            with contextlib.suppress(CourierError):
                if held not in published:
                    connection.discard(held)
                elif config.destination.on_conflict == "replace":
                    continue
                else:
                    connection.remove(held.name)
                left.discard(held.name)
    if left and isinstance(error, DeliveryError):
        advice = f"Something of these may be left at the destination and should be looked at: {', '.join(sorted(left))}"
        error.fix = f"{error.fix}. {advice}" if error.fix else advice
