"""What a run needs to be allowed, tried out at the state store and at the destination on something small.

It has a name of the run's own, so that another try meets it again instead of leaving one more. Whatever fails, it is taken
away; what cannot be is named in the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath

from courier.config import RunConfig
from courier.destinations import Connection, Destination
from courier.destinations.base import mark_of
from courier.destinations.connections import Connections, assert_absent
from courier.errors import ConfigError, CourierError, DeliveryError, TerminalError
from courier.state import Store

PROBE = b"A probe of Audience Courier. It may be removed.\n"


# The state store


def try_state(store: Store, folder: str) -> None:
    """Write a value as records are written, change it as locks are, read it, and delete it. Raises ConfigError."""
    key = f"{folder}/probe"
    try:
        store.write(key, b"")
        store.swap(key, b"", PROBE)  # its answer may be lost, and what is there counts
        kept = store.read(key) == PROBE
    finally:
        take_away(store, folder)
    if not kept:
        raise ConfigError("The state store does not keep what is written to it", where=store.shown(key))


def take_away(store: Store, folder: str) -> None:
    """Delete what a preflight has put below `folder`."""
    try:
        store.delete_folder(folder)
    except CourierError as error:
        _say_what_is_left(error, [store.shown(folder)])
        raise


# The destination


def try_destination(config: RunConfig, destination: Destination, names: list[str], expected: int, since: datetime) -> Iterator[str]:
    """Look for what a delivery of these files, of so many bytes, would meet there. Raises what it would raise."""
    where = config.destination.address
    with closing(Connections(destination, config.destination)) as connections:
        yield f"  {where}: {'it is there' if config.destination.kind == 'local' else 'reached; server, login and folder are as they should be'}"
        if config.destination.on_conflict == "fail":
            for name in names:
                assert_absent(connections, name, where)
            yield "  none of these files exists there"
        free = connections.retrying(lambda connection: connection.free_bytes())
        if free is not None:
            if free < expected and config.file.compression == "none":
                raise TerminalError(
                    "There is not enough space at the destination", found=f"{free:,} bytes", expected=f"about {expected:,} bytes"
                )
            yield f"  free space: {free:,} bytes"
        file = _File(config, since)
        _try_out(file, connections, destination, config)
        yield f"  {file.done}"
        try:
            connections.retrying(file.discard_unknown)
        except TerminalError as error:
            if config.engine.delivery == "executors":  # whose other attempts are looked for before anything is published
                raise
            yield f"  warning: what a killed run leaves cannot be found, so it would stay: {error}"


def _try_out(file: _File, connections: Connections, destination: Destination, config: RunConfig) -> None:
    """Where it fails, clean up over other connections, and without the patience for a server that is down."""
    try:
        connections.retrying(file.attempt)
    except BaseException as error:
        hasty = replace(config.destination, attempts=min(2, config.destination.attempts), retry_seconds=10)
        with closing(Connections(destination, hasty)) as others:
            for step in (file.clear, file.discard_unknown):
                with suppress(DeliveryError):
                    others.retrying(step)
        if isinstance(error, CourierError):
            _say_what_is_left(error, [*file.left])
        raise


class _File:
    """A small file to which all is done that a delivery does to its own, but that S3 never sees it whole: objects may start things.

    `left`: what may be at the destination, and how it is taken away.
    """

    def __init__(self, config: RunConfig, since: datetime) -> None:
        self.name, self._since = f".courier-probe-{mark_of(config.run_id)}", since
        self._replace = config.destination.on_conflict == "replace"
        self._published = config.destination.kind != "s3"
        self.left: dict[str, Callable[[Connection], None]] = {}
        renamed = "written and removed" if config.destination.direct else "written, renamed and removed"
        self.done = f"a probe file could be {renamed}" if self._published else "an upload could be begun, filled, listed and aborted"

    def attempt(self, connection: Connection) -> None:
        """Begin with what an attempt has left whose answer was lost, or a preflight of this run that was killed."""
        if self._published:
            self.left[connection.uri(self.name)] = lambda connection: connection.remove(self.name)
        self.clear(connection)
        begun = connection.begin(self.name)
        unseen = PurePosixPath(begun.place).name if begun.named else ""
        shown = connection.uri(unseen) if unseen else f"an unfinished upload of {connection.uri(self.name)}"
        self.left[shown] = lambda connection: connection.discard(begun)
        staged = connection.send(begun, [PROBE], lambda _: None)
        if self._published:
            self.left[connection.uri(self.name)] = lambda connection: connection.remove(self.name)
            connection.publish(staged, replace=self._replace)
        self.clear(connection)

    def clear(self, connection: Connection) -> None:
        """Take all away that can be; the first refusal is raised after that."""
        refusals: list[TerminalError] = []
        for shown, take_away in [*self.left.items()]:
            try:
                take_away(connection)
                del self.left[shown]
            except TerminalError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]

    def discard_unknown(self, connection: Connection) -> None:
        """What was begun, and the answer lost."""
        for unknown in connection.unfinished([self.name], self._since):
            connection.discard(unknown)


def _say_what_is_left(error: CourierError, left: list[str]) -> None:
    if left:
        advice = f"remove what was left there: {', '.join(left)}"
        error.fix = f"{error.fix}; {advice}" if error.fix else advice
