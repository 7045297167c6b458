"""A folder on a local or mounted disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from courier.config import LocalConfig
from courier.destinations.base import Staged, assert_size, conflict, hidden_name
from courier.errors import TerminalError, TransientError

TRANSIENT = {errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE}


class LocalDestination:
    """Unseen: a hidden temporary name in the same folder, synced to disk. Published by a link or rename, which are atomic."""

    def __init__(self, config: LocalConfig, run_id: str) -> None:
        self._folder = Path(config.path).expanduser().absolute()
        self._run_id = run_id

    def connect(self) -> LocalDestination:
        with _translated(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def close(self) -> None:
        """Nothing is held open."""

    def exists(self, name: str) -> bool:
        return os.path.lexists(self._folder / name)

    def stage(self, name: str, chunks: Iterable[bytes]) -> Staged:
        path = self._folder / hidden_name(name, self._run_id)
        try:
            with _translated(path), path.open("wb") as file:
                sent = 0
                for chunk in chunks:
                    file.write(chunk)
                    sent += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            with _translated(path):
                assert_size(name, str(self._folder), sent=sent, found=path.stat().st_size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Staged(name, sent, {"path": str(path)})

    def publish(self, staged: Staged, *, replace: bool) -> str:
        hidden, final = Path(staged.token["path"]), self._folder / staged.name
        with _translated(final):
            if replace:
                hidden.replace(final)
            else:
                self._link(hidden, final)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return final.as_uri()

    def _link(self, hidden: Path, final: Path) -> None:
        """A hard link fails where the name exists, so no file is ever replaced by a race. Some filesystems have no links."""
        try:
            os.link(hidden, final)
        except FileExistsError as exc:
            raise conflict(final.name, str(self._folder)) from exc
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            if self.exists(final.name):
                raise conflict(final.name, str(self._folder)) from exc
            hidden.replace(final)
        else:
            hidden.unlink()

    def discard(self, staged: Staged) -> None:
        with _translated(self._folder):
            Path(staged.token["path"]).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        with _translated(self._folder):
            (self._folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        kind = TransientError if exc.errno in TRANSIENT else TerminalError
        raise kind(
            "The local destination cannot be written",
            where=str(path),
            found=reason,
            fix="free some space" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else "check that the folder exists and may be written",
        ) from exc
