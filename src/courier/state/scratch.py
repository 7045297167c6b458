"""Private folders on this machine's disk for copies of rows. They go with their process; those of killed ones at the next start.

Each has a file that its process keeps locked. The kernel ends a lock with the process, however that ends, so a lock that can
be had is that of a dead one. Where a disk knows no locks, folders of killed processes stay.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "courier-work-"
ALIVE = ".alive"


def scratch_folder(parent: str | None) -> Path:
    """A new one below `parent`, or else in the system's temporary folder. Raises OSError."""
    root = Path(parent or tempfile.gettempdir())
    for other in root.glob(f"{PREFIX}*"):
        _discard_dead(other)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        _keep_locked(folder)
    return folder


def _keep_locked(folder: Path) -> None:
    """Locked under another name first, so that nobody finds it without its lock."""
    locked = folder / f"{ALIVE}.new"
    descriptor = os.open(locked, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)  # never closed: that would end the lock
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    locked.rename(folder / ALIVE)


def _discard_dead(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if folder.lstat().st_uid != os.getuid():
            return
        descriptor = os.open(folder / ALIVE, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)
