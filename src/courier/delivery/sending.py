"""One attempt at one file: its content → bytes at the destination that nobody sees, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from courier.delivery.digest import Digest
from courier.delivery.progress import Progress
from courier.destinations import Connection, Staged
from courier.destinations.base import Keep
from courier.errors import TerminalError


class Content(Protocol):
    """The bytes of one file, once. `plain_bytes` and `plain_sha256` (before compression and encryption) are known at the end,
    and so are `notes`: in how many rows values were changed, or found remarkable.
    """

    plain_bytes: int
    plain_sha256: str
    notes: dict[str, dict[str, int]]

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class FileToSend:
    """One file of the journal. `repeatable`: each `content()` gives the same bytes, so an upload may be continued."""

    content: Callable[[], Content | Iterable[bytes]]
    rows: int = 0
    repeatable: bool = True


@dataclass(frozen=True)
class Sent:
    """A file that is staged and verified, in the words of the journal."""

    staged: Staged
    sha256: str
    plain_bytes: int
    plain_sha256: str
    notes: dict[str, dict[str, int]] = field(default_factory=dict)
    uri: str = ""


def send(
    connection: Connection, begun: Staged, file: FileToSend, keep: Keep, assert_wanted: Callable[[], None], progress: Progress
) -> Sent:
    """Go on after the bytes that are there already. `assert_wanted` is asked before each chunk, and raises to end it."""
    content, digest, sent = file.content(), Digest(), begun.size

    def rest() -> Iterator[bytes]:
        nonlocal sent
        passed = 0
        for chunk in content:
            assert_wanted()
            digest.update(chunk)
            new = chunk if passed >= begun.size else chunk[begun.size - passed :]
            passed += len(chunk)
            if new:
                sent += len(new)
                yield new
                progress.sent(begun.name, sent)

    try:
        staged = connection.send(begun, rest(), keep)
        sha256 = digest.hexdigest()
    finally:
        digest.close()
        if hasattr(content, "close"):  # ends the threads that make it
            content.close()
    if staged.size != sent:
        raise TerminalError(f"'{staged.name}' was not sent whole", found=f"{staged.size} bytes", expected=f"{sent} bytes")
    # The notes are of this attempt alone, which has made all of the text, wherever the upload began.
    return Sent(
        staged,
        sha256,
        getattr(content, "plain_bytes", sent),
        getattr(content, "plain_sha256", sha256),
        getattr(content, "notes", {}),
        connection.uri(begun.name),
    )
