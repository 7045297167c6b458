"""The folder at the server: what is there, how large it is, and what it holds."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from courier.config import SftpConfig
from courier.destinations.sftp.errors import NO_SUCH_FILE, Refusal, translated
from courier.destinations.sftp.proof import Proofs
from courier.destinations.sftp.protocol import Session
from courier.destinations.sftp.transfer import read
from courier.destinations.sftp.wire import ATTRS, EXTENDED, FOR_READING, LIMITS, LSTAT, STAT, mode_of, text
from courier.errors import TerminalError

SIZE_ADVICE = "set destination.verify=sha256, which reads the file back instead"


class RemoteFolder:
    """Names are those of the contract, paths the server's. `proofs`: given where files are read back, as some servers tell no size."""

    def __init__(self, session: Session, config: SftpConfig, proofs: Proofs | None) -> None:
        self._session, self._proofs = session, proofs
        self._folder = config.folder.rstrip("/") or ("/" if config.folder.startswith("/") else ".")
        self._where = f"sftp://{config.authority}{config.remote_path}"
        with translated(self._where, "The remote folder cannot be used"):
            asked = session.ask(EXTENDED, text(LIMITS), later=True) if LIMITS in session.extensions else None
            folder = session.ask(STAT, text(self._folder))
            session.learn_limits(asked)
            session.expect(folder, ATTRS)

    def uri(self, name: str) -> str:
        return f"{self._where.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        with translated(self._where, "The remote folder cannot be looked at"):
            return self._size(self._path(name))

    def existing(self, names: Sequence[str]) -> list[str] | None:
        with translated(self._where, "The remote folder cannot be looked at"):
            asked = [(name, self._session.ask(STAT, text(self._path(name)), later=name is not names[-1])) for name in names]
            return [name for name, number in asked if self._is_there(number)]

    def _is_there(self, number: int) -> bool:
        try:
            self._session.expect(number, ATTRS)
        except Refusal as refusal:
            if refusal.code != NO_SUCH_FILE:
                raise
            return False
        return True

    def free_bytes(self) -> int | None:
        with translated(self._where, "The remote folder cannot be looked at"):
            return self._session.free_bytes(self._folder)

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    def _attributes(self, path: str) -> tuple[bool, int | None]:
        """Whether there is a file, and its size if the server tells it."""
        try:
            return True, self._session.stat(path)
        except Refusal as refusal:
            if refusal.code != NO_SUCH_FILE:
                raise
            return False, None

    def _exists(self, path: str) -> bool:
        return self._attributes(path)[0]

    def _is_taken(self, path: str) -> bool:
        """Whether anything has this name, be it a link to a file that is not there."""
        if self._exists(path):
            return True
        try:
            self._session.expect(self._session.ask(LSTAT, text(path)), ATTRS)
        except Refusal:
            return False
        return True

    def _is_folder(self, path: str) -> bool:
        """By its mode, or where the server tells none, by opening it as a folder."""
        try:
            kind = stat.S_IFMT(mode_of(self._session.expect(self._session.ask(STAT, text(path)), ATTRS)) or 0)
            if not kind:
                self._session.listing(path)
        except Refusal:
            return False
        return kind in (0, stat.S_IFDIR)

    def _size(self, path: str) -> int | None:
        """None where there is no file. Some servers tell a size only in a listing, and some not at all."""
        exists, size = self._attributes(path)
        return self._asked_again(path) if exists and size is None else size

    def _asked_again(self, path: str) -> int:
        size = self._session.listing(self._folder).get(path.rpartition("/")[2])
        if size is None and self._proofs is not None:
            size = sum(map(len, self._read(path)))
        if size is None:
            raise TerminalError("The server does not tell how large a file is", where=self._where, fix=SIZE_ADVICE)
        return size

    def _read(self, path: str) -> Iterator[bytes]:
        handle = self._session.open(path, FOR_READING)
        try:
            yield from read(self._session, handle)
        finally:
            if not self._session.lost:
                self._session.close_file(handle)

    def _remove(self, path: str) -> None:
        try:
            self._session.remove(path)
        except Refusal as refusal:
            if refusal.code != NO_SUCH_FILE and self._exists(path):  # some servers answer "failure" where there is none
                raise
