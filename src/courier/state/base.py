"""The contract of a state store: whole values under keys, each write atomic and durable.

`swap` is what locks are made of: it changes a value only if it is still what the caller has seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from courier.state.place import Place


class Store(Protocol):
    def shown(self, key: str) -> str:
        """Where the value is, for people."""

    def read(self, key: str) -> bytes | None:
        """The value; None where there is none."""

    def write(self, key: str, value: bytes, *, durable: bool = True) -> None:
        """Set the value: a reader sees the old one or the new one; after a crash of the machine, too, where it is `durable`."""

    def append(self, key: str, line: bytes, *, durable: bool) -> bool:
        """Add a line to the value. False, and nothing is done, where values can only be written whole, as on S3.

        Lines of several threads do not mix. A crash may cut the last line, and where not `durable` lose the last ones; what
        is added later is on a line of its own all the same.
        """

    def swap(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Set the value if it is `before` (None: absent) and say whether that was so.

        False is said, too, where it was done and the answer was lost: read what is there.
        """

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix that ends in a slash, sorted."""

    def delete(self, key: str) -> None:
        """Forget the value; nothing happens where there is none."""

    def delete_folder(self, key: str) -> None:
        """Forget all values below `key`, and what a killed writer left there. One that is cut short is finished by the next."""

    def folder(self, key: str) -> Path:
        """A private folder on this machine's disk for the files of `key`, made if need be."""

    def place(self, key: str) -> Place:
        """The files of `key` in the store itself, where other machines find them, too."""

    def keep_folder(self, key: str) -> None:
        """Store the files of `folder(key)`, where that folder is not the store itself."""

    def fetch_folder(self, key: str) -> None:
        """Bring what `keep_folder` stored into `folder(key)`, on whatever machine."""
