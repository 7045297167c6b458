"""Turns of threads, for what a process has but once: its environment variables, which engines read, and pyspark's session."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)
_TURN = threading.RLock()


@contextmanager
def own_turn() -> Iterator[None]:
    """Wait until no other thread is inside of this. The thread that is may enter again, as a run does that opens its engine.

    Two at once would read with each other's keys of S3, deliver to the address of each other's source, and close each other's session.
    """
    if not _TURN.acquire(blocking=False):
        log.warning("This thread waits for another one of this process, which runs an activation or has an engine open")
        _TURN.acquire()
    try:
        yield
    finally:
        _TURN.release()
