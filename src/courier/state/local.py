"""The state store in a folder on a local disk: folders 0700, files 0600.

A folder that the user made keeps its mode, and a warning says so where others may look into it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from courier.config import StateConfig
from courier.errors import ConfigError
from courier.home import expanded
from courier.state.place import Place, usable

log = logging.getLogger(__name__)


class LocalStore:
    """Keys are paths below the folder. Values are replaced by a rename, swaps go one at a time under a lock of the kernel."""

    def __init__(self, config: StateConfig, *, make: bool = True) -> None:
        self._root = expanded(config.path, "state.path").absolute()
        if not make and not self._root.is_dir():
            raise ConfigError("There is no state store", where=f"state.path {self._root}", fix="set state.path to that of the runs")
        with self._errors():
            if make:
                _private_folder(self._root)
                _warn_where_others_may_look(self._root)

    def shown(self, key: str) -> str:
        return str(self._root / key)

    def read(self, key: str) -> bytes | None:
        with self._errors():
            try:
                return (self._root / key).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, key: str, value: bytes, *, durable: bool = True) -> None:
        path = self._root / key
        with self._errors():
            try:
                _write(path, value, durable=durable)
            except FileNotFoundError:
                _private_folder(path.parent)
                _write(path, value, durable=durable)

    def append(self, key: str, line: bytes, *, durable: bool) -> bool:
        path = self._root / key
        with self._errors():
            try:
                _append(path, line, durable=durable)
            except FileNotFoundError:
                _private_folder(path.parent)
                _append(path, line, durable=durable)
        return True

    def swap(self, key: str, before: bytes | None, after: bytes) -> bool:
        with self._guard():
            if self.read(key) != before:
                return False
            self.write(key, after)
            return True

    def keys(self, prefix: str) -> list[str]:
        with self._errors():
            found = (
                Path(folder, name).relative_to(self._root)
                for folder, _, names in os.walk(self._root / prefix, onerror=_unless_gone)
                for name in names
                if not name.startswith(".")
            )
            return sorted(str(path) for path in found)

    def delete(self, key: str) -> None:
        with self._errors():
            (self._root / key).unlink(missing_ok=True)

    def delete_folder(self, key: str) -> None:
        with self._errors(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._root / key)

    def folder(self, key: str) -> Path:
        with self._errors():
            _private_folder(self._root / key)
        return self._root / key

    def place(self, key: str) -> Place:
        return Place(str(self._root / key))

    def keep_folder(self, key: str) -> None:
        """It is in the store already."""

    def fetch_folder(self, key: str) -> None:
        """It is where it was written."""

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        with self._errors():
            descriptor = os.open(self._root / ".guard", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return usable(self._root)


def _write(path: Path, value: bytes, *, durable: bool) -> None:
    """Written out, since a delivery of many small files does this for each, and `tempfile` takes twice as long."""
    new = path.with_name(f".new-{uuid.uuid4().hex}")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        # Buffered, for a disk that is filled by it takes a part, and tells so only when it is given the rest.
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
            file.flush()
            if durable:
                os.fsync(descriptor)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def _append(path: Path, line: bytes, *, durable: bool) -> None:
    """In one call, which the kernel does not mix with another's. The line break comes first: the line before may have been cut."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        if os.write(descriptor, b"\n" + line) <= len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(descriptor)
            _sync(path.parent)
    finally:
        os.close(descriptor)


def _private_folder(folder: Path) -> None:
    """`mkdir` gives the mode to the last folder only."""
    missing = [folder, *folder.parents]
    for each in reversed([path for path in missing if not path.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)


def _warn_where_others_may_look(root: Path) -> None:
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & 0o077:
        log.warning("state.path %s has mode %03o; it holds personal data: chmod 700 would keep it to its owner", root, mode)


def _unless_gone(error: OSError) -> None:
    """Runs of other activations remove folders while this one lists."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
