"""The state store in a folder on a local disk: folders 0700, files 0600."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from courier.config import StateConfig
from courier.errors import ConfigError


class LocalStore:
    """Keys are paths below the folder. Values are replaced by a rename, swaps go one at a time under a lock of the kernel."""

    def __init__(self, config: StateConfig) -> None:
        self._root = Path(config.path).expanduser().absolute()
        with self._errors():
            _private_folder(self._root)

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

    def swap(self, key: str, before: bytes | None, after: bytes) -> bool:
        with self._guard():
            if self.read(key) != before:
                return False
            self.write(key, after)
            return True

    def keys(self, prefix: str) -> list[str]:
        with self._errors():
            found = (path for path in (self._root / prefix).rglob("*") if path.is_file() and not path.name.startswith("."))
            return sorted(str(path.relative_to(self._root)) for path in found)

    def delete(self, key: str) -> None:
        with self._errors():
            (self._root / key).unlink(missing_ok=True)

    def folder(self, key: str) -> Path:
        with self._errors():
            _private_folder(self._root / key)
        return self._root / key

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

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigError("The state store cannot be used", where=f"state.path {self._root}", found=exc.strerror) from exc


def _write(path: Path, value: bytes, *, durable: bool) -> None:
    """Written out, since a delivery of many small files does this for each, and `tempfile` takes twice as long."""
    new = path.with_name(f".new-{uuid.uuid4().hex}")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(value)
            if durable:
                os.fsync(descriptor)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def _private_folder(folder: Path) -> None:
    """`mkdir` gives the mode to the last folder only."""
    missing = [folder, *folder.parents]
    for each in reversed([path for path in missing if not path.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
