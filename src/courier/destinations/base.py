"""The contract between delivery and a transport.

    connection = destination.connect()            checks host key, login, folder; raises DeliveryError
    staged = connection.stage(name, chunks)       every byte is at the destination, unseen, and verified by its size
    uri = connection.publish(staged)              visible under its final name, whole, in one step
    connection.discard(staged)                    what is staged and unpublished is gone
    connection.remove(name)                       takes back a file that this run published

A `stage` that fails leaves nothing behind. `publish` with `replace=False` never replaces an existing file. A destination
reads its secrets when it is constructed (ConfigError when they are unset) and shows them nowhere. Vendor errors are
translated once, into TransientError or TerminalError.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from courier.errors import TerminalError


@dataclass(frozen=True)
class Staged:
    """A file at the destination that nobody sees yet. `token` is what the transport needs to publish or discard it."""

    name: str
    size: int
    token: dict[str, str] = field(default_factory=dict)


class Connection(Protocol):
    def exists(self, name: str) -> bool: ...
    def stage(self, name: str, chunks: Iterable[bytes]) -> Staged: ...
    def publish(self, staged: Staged, *, replace: bool) -> str: ...
    def discard(self, staged: Staged) -> None: ...
    def remove(self, name: str) -> None: ...
    def close(self) -> None: ...


class Destination(Protocol):
    def connect(self) -> Connection: ...


def hidden_name(name: str, run_id: str) -> str:
    """The temporary name in the target folder: hidden, and known as ours and this run's."""
    return f".courier-{run_id[-40:]}-{name}.part"


def assert_size(name: str, where: str, *, sent: int, found: int | None) -> None:
    """Raise TerminalError when the destination holds another number of bytes than was sent."""
    if found != sent:
        raise TerminalError(f"'{name}' did not arrive whole", where=where, found=f"{found} bytes", expected=f"{sent} bytes")


def conflict(name: str, where: str) -> TerminalError:
    return TerminalError(
        f"A file '{name}' exists already",
        where=where,
        fix="give the file another name (file.name), remove it, or set destination.on_conflict=replace",
    )
