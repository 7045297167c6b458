"""A folder on a local or mounted disk, and folders in it where names have any.

Unseen: a hidden temporary name in the same folder, synced to disk. Published by a link or rename, which are atomic.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from io import FileIO
from pathlib import Path

from courier.config import LocalConfig
from courier.destinations.base import Keep, Staged, assert_size, conflict, hidden_name, known_by
from courier.errors import DeliveryError, TerminalError, TransientError
from courier.home import expanded

TRANSIENT = {errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE}
#: Some filesystems have no hard links, and each says it in its own way.
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: So do folders that cannot be synced: some disks of other machines, and those that may be written to and not listed.
NO_SYNC = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
#: How much may be lost with a process: so many bytes are synced at once, and then kept.
KEEP_BYTES = 64 * 1024 * 1024


class LocalDestination:
    def __init__(self, config: LocalConfig, run_id: str, attempt: str = "") -> None:
        self._folder = expanded(config.folder, "destination.path").absolute()
        self._run_id, self._attempt = run_id, attempt

    def connect(self) -> LocalConnection:
        with _translated(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        return LocalConnection(self._folder, self._run_id, self._attempt)


class LocalConnection:
    def __init__(self, folder: Path, run_id: str, attempt: str) -> None:
        self._folder, self._run_id, self._attempt = folder, run_id, attempt

    def close(self) -> None:
        """Nothing is held open."""

    def uri(self, name: str) -> str:
        return (self._folder / name).as_uri()

    def size(self, name: str) -> int | None:
        return _size(self._folder / name)

    def existing(self, names: Sequence[str]) -> list[str] | None:
        return None

    def free_bytes(self) -> int | None:
        with _translated(self._folder):
            return shutil.disk_usage(self._folder).free

    def begin(self, name: str) -> Staged:
        """What an earlier `begin` left is replaced, not emptied: its other name, if it was just being published, is a file by now."""
        path = self._folder / hidden_name(name, self._run_id, self._attempt)
        with _translated(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _translated(path):
            path.unlink(missing_ok=True)
            path.touch(exist_ok=False)
        return Staged(name, 0, {"path": str(path)})

    def resumable(self, begun: Staged) -> int:
        """A file shorter than what was kept has lost something; one that has its final name too is not to be written any more."""
        path = _hidden(begun)
        if self._same(path, self._folder / begun.name) or (_size(path) or 0) < begun.size:
            return 0
        return begun.size

    def send(self, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
        path, sent, kept = _hidden(begun), begun.size, begun.size
        with _opened(path) as file:
            with _translated(path):
                file.truncate(sent)  # what follows was written after the last `keep`
                file.seek(sent)
            for chunk in chunks:  # an error of the renderer is not the folder's
                with _translated(path):
                    _write(file, chunk)
                    sent += len(chunk)
                    if sent - kept >= KEEP_BYTES:
                        os.fsync(file.fileno())
                if sent - kept >= KEEP_BYTES:
                    kept = sent
                    keep(Staged(begun.name, kept, begun.token))
            with _translated(path):
                os.fsync(file.fileno())
        assert_size(begun.name, str(self._folder), sent=sent, found=_size(path))
        return Staged(begun.name, sent, begun.token)

    def is_staged(self, staged: Staged) -> bool:
        """Also where a kill came between the two names and only the hidden one is left to be taken away."""
        return _size(_hidden(staged)) == staged.size

    def remains(self, staged: Staged) -> bool:
        """Not where a kill came between the two names: it is seen by then."""
        hidden = _hidden(staged)
        return _size(hidden) is not None and not self._same(hidden, self._folder / staged.name)

    def publish(self, staged: Staged, *, replace: bool) -> bool:
        hidden, final, in_one_step = _hidden(staged), self._folder / staged.name, True
        with _translated(final):
            if self._same(hidden, final):
                pass  # an earlier attempt ended before it took the hidden name away; a rename would do nothing
            elif replace:
                hidden.replace(final)
            else:
                in_one_step = self._link(hidden, final)
        with _translated(final, TransientError):  # it is visible: nothing that fails from here on is a refusal
            hidden.unlink(missing_ok=True)
            self._sync(final.parent)
        return in_one_step

    def _sync(self, folder: Path) -> None:
        """The names in a folder, and its own name in the folder above, which may be new. As far as the disk can do that."""
        while True:
            try:
                opened = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)
            except OSError as exc:
                if exc.errno not in NO_SYNC:
                    raise
            if folder == self._folder:
                return
            folder = folder.parent

    def _link(self, hidden: Path, final: Path) -> bool:
        """A hard link fails where the name exists, so no file is ever replaced by a race. Where there are no links: look, then
        rename. Whether it went in one step: the file has both names then.
        """
        try:
            os.link(hidden, final)
        except FileExistsError as exc:
            raise conflict(final.name, str(final.parent)) from exc
        except OSError as exc:
            if exc.errno not in NO_LINKS:
                raise
            if os.path.lexists(final):
                raise conflict(final.name, str(final.parent)) from exc
            hidden.replace(final)
            return False
        return True

    def publish_together(self, staged: Sequence[Staged], *, replace: bool) -> dict[str, bool] | None:
        return None

    def discard(self, staged: Staged) -> None:
        with _translated(self._folder):
            _hidden(staged).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        with _translated(self._folder):
            (self._folder / name).unlink(missing_ok=True)

    def unfinished(self, names: Collection[str], since: datetime) -> list[Staged]:
        """By the hidden names, which tell the run: whenever that was."""
        hidden = {str(self._folder / hidden_name(name, self._run_id)): name for name in names}
        found: list[Staged] = []
        for folder in dict.fromkeys(Path(path).parent for path in hidden):
            with _translated(folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                there = [folder / own for own in os.listdir(folder)]  # noqa: PTH208  a folder may have a million names
                ours = ((path, known_by(str(path), hidden)) for path in there if path.name.startswith("."))
                found += [Staged(name, 0, {"path": str(path)}) for path, name in ours if name is not None]
        return found

    @staticmethod
    def _same(hidden: Path, final: Path) -> bool:
        """Whether both names are one file, as a kill between link and unlink leaves them."""
        try:
            return not final.is_symlink() and hidden.samefile(final)
        except FileNotFoundError:
            return False


def _hidden(staged: Staged) -> Path:
    return Path(staged.token["path"])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    """To be written to. A network disk may tell an error when the file is closed, or tell it again: then the first is the cause."""
    with _translated(path):
        file = open(path, "r+b", buffering=0, opener=_no_link)  # noqa: SIM115  closed below
    try:
        yield file
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        raise
    with _translated(path):
        file.close()


def _no_link(path: str, flags: int) -> int:
    """Who may write to the folder as well could put a link there, to a file that only we may write to."""
    return os.open(path, flags | os.O_NOFOLLOW)


def _size(path: Path) -> int | None:
    """Of the name itself: a link that leads nowhere is a file that exists."""
    with _translated(path):
        try:
            return path.lstat().st_size
        except (FileNotFoundError, NotADirectoryError):  # the latter where a file is in the place of a folder
            return None


def _write(file: FileIO, chunk: bytes) -> None:
    """All of it: an unbuffered file may take less than it is given."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def _translated(path: Path, otherwise: type[DeliveryError] = TerminalError) -> Iterator[None]:
    """`otherwise`: what it is where the error does not tell that it will pass."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        kind = TransientError if exc.errno in TRANSIENT else otherwise
        raise kind(
            "The local destination cannot be written",
            where=str(path),
            found=reason,
            fix="free some space" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else "check that the folder exists and may be written",
        ) from exc
