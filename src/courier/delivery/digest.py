"""The SHA-256 of what is sent, made beside the sending: hashlib lets other threads work meanwhile."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

#: Smaller chunks are hashed at once: handing them over would take as long.
WORTH_HANDING_OVER_BYTES = 256 * 1024


class Digest:
    """One chunk at a time is hashed in a second thread, so that a file's chunks take two cores. `close` ends the thread."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None

    def update(self, chunk: bytes) -> None:
        self._wait()
        if len(chunk) < WORTH_HANDING_OVER_BYTES:
            self._sha256.update(chunk)
            return
        self._thread = self._thread or ThreadPoolExecutor(1, "courier-digest")
        self._under_way = self._thread.submit(self._sha256.update, chunk)

    def hexdigest(self) -> str:
        self._wait()
        return self._sha256.hexdigest()

    def close(self) -> None:
        if self._thread:
            self._thread.shutdown()

    def _wait(self) -> None:
        if self._under_way:
            self._under_way.result()
            self._under_way = None
