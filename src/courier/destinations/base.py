"""The contract between delivery and a transport.

    connection = destination.connect()              checks host key, login, folder; raises DeliveryError
    begun = connection.begin(name)                  a place that nobody sees; nothing is in it yet
    staged = connection.send(begun, chunks, keep)   every byte is there, unseen, and verified
    connection.publish(staged, replace=…)           visible under its final name, whole, in one step
    connection.discard(staged)                      what is begun or staged, and unpublished, is gone
    connection.remove(name)                         takes back a file that this run published

A destination reads its secrets when it is constructed (ConfigError when they are unset) and shows them nowhere. Vendor
errors are translated once, into TransientError or TerminalError. A transport never tries twice, but for a part of
a file on S3: delivery does.

A `Staged` survives the process: delivery writes it down, and another process may go on with it. That is why

- `begin` is safe to repeat. What an earlier `begin` of the same run left under that name is replaced, or found by
  `unfinished`.
- `send` calls `keep` whenever more bytes are surely at the destination. When it raises, what is there stays, so that a
  later `send` of what was kept last goes on after `resumable` bytes; delivery discards what it gives up.
- `publish` is safe to repeat only by asking `remains` first: an answer may have been lost. What was asked to be published and
  remains no more was published, and may have been taken away by the platform since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from courier.errors import TerminalError
from courier.names import MAX_NAME_BYTES

#: What the name of an older file ends in that is moved aside before a hidden one takes its place.
ASIDE = ".replaced"


@dataclass(frozen=True)
class Staged:
    """A file at the destination that nobody sees yet, with `size` bytes of it. `token` is what the transport needs to go on."""

    name: str
    size: int
    token: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What tells it from all else at the destination: the upload's id, or the path of the temporary file."""
        return self.token.get("upload_id") or self.token["path"]

    @property
    def named(self) -> bool:
        """Whether its place is told by the run and the file's name alone, and not by what the destination has answered."""
        return "upload_id" not in self.token


Keep = Callable[[Staged], None]


class Connection(Protocol):
    def uri(self, name: str) -> str:
        """Where a published file is, for people and records."""

    def size(self, name: str) -> int | None:
        """Bytes of the visible file of this name; None where there is none."""

    def existing(self, names: Sequence[str]) -> list[str] | None:
        """Which of many names visible files have, in few journeys. None where each must be asked for by `size`."""

    def free_bytes(self) -> int | None:
        """Room for files; None where the destination does not tell."""

    def begin(self, name: str) -> Staged:
        """A place for one file that nobody sees."""

    def resumable(self, begun: Staged) -> int:
        """After how many bytes `send` can go on, by what the destination still has: 0 where it must start over with `begin`."""

    def send(self, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
        """Write `chunks` after the first `begun.size` bytes, and verify the whole."""

    def is_staged(self, staged: Staged) -> bool:
        """Whether the file is still there unseen and whole, so that `publish` has something to do."""

    def remains(self, staged: Staged) -> bool:
        """Whether anything of it is still there unseen, whole or not. What is seen already does not remain, whatever other name it has."""

    def publish(self, staged: Staged, *, replace: bool) -> bool:
        """Make it visible. With `replace=False` an existing file is never replaced. False where that took more than one step."""

    def publish_together(self, staged: Sequence[Staged], *, replace: bool) -> dict[str, bool] | None:
        """As `publish`, for many files in few journeys, where each takes one step that needs no question before: by name, whether
        it is visible now, or was refused; to publish it alone tells why. None, and nothing is done, where that cannot be.
        """

    def discard(self, staged: Staged) -> None:
        """Take away what is begun or staged; nothing happens where it is gone. An older file that was moved aside for it and
        has no successor gets its name back.
        """

    def remove(self, name: str) -> None:
        """Take away a visible file; nothing happens where it is gone."""

    def unfinished(self, names: Collection[str], since: datetime) -> list[Staged]:
        """What runs of this id begun for these names after `since` and did not publish, written down or not; and older files that
        they moved aside.
        """

    def close(self) -> None:
        """Hang up. Nothing is raised."""


class Destination(Protocol):
    def connect(self) -> Connection:
        """Log in, and see that the target folder or bucket is there."""


#: So much of a run's id is in names.
MARK_CHARACTERS = 40
#: What the attempts of several workers at one file are told apart by: a dot and eight hexadecimal digits.
ATTEMPT = re.compile(r"\.[0-9a-f]{8}(?=\.part$)")


def mark_of(run_id: str) -> str:
    """What of a run's id is in names. The ends of long ones may be alike: an orchestrator's, with an activation before it."""
    if len(run_id) <= MARK_CHARACTERS:
        return run_id
    return f"{run_id[-MARK_CHARACTERS // 2 :]}-{hashlib.sha256(run_id.encode()).hexdigest()}"[:MARK_CHARACTERS]


def hidden_name(name: str, run_id: str, attempt: str = "") -> str:
    """The temporary name, in the same folder: hidden, and known as ours and this run's. A long name is there as its hash."""
    folder, slash, own = name.rpartition("/")
    start, end = f".courier-{mark_of(run_id)}-", ".part"
    if len(f"{start}{own}.{8 * 'x'}{end}{ASIDE}".encode()) > MAX_NAME_BYTES:
        own = hashlib.sha256(own.encode()).hexdigest()[:32]
    return f"{folder}{slash}{start}{own}{f'.{attempt}' if attempt else ''}{end}"


def known_by(unseen: str, hidden: Mapping[str, str]) -> str | None:
    """The file that has this hidden name, whichever attempt's it is; None where it is none of `hidden`, which knows files by the
    hidden names of their first attempts. A file's own name may look like an attempt's.
    """
    return hidden.get(unseen) or hidden.get(ATTEMPT.sub("", unseen))


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


def folder_in_the_way(name: str, where: str) -> TerminalError:
    """A folder is never replaced by a file, whatever is set."""
    return TerminalError(
        f"A folder has the name '{name}'", where=where, fix="give the file another name (file.name), or move the folder away"
    )
