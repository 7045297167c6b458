"""Work ahead of the one who takes: rendering and compression go on while the file is uploaded, reading while rows are compared."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator
from typing import TypeVar

Chunk = TypeVar("Chunk")
CHUNKS_AHEAD = 3


def prefetched(chunks: Generator[Chunk]) -> Generator[Chunk]:
    """The same chunks, made in a thread that is at most `CHUNKS_AHEAD` of them ahead.

    An error of `chunks` is raised here. When this generator is closed, the thread closes `chunks` and has ended before
    `close` returns, which takes as long as the chunk that is being made.
    """
    made: queue.Queue[Chunk | BaseException | None] = queue.Queue(CHUNKS_AHEAD)
    abandoned = threading.Event()
    thread = threading.Thread(target=_fill, args=(chunks, made, abandoned), name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        # Room for the chunk that the thread may be waiting to hand over, and for its last word.
        with contextlib.suppress(queue.Empty):
            while True:
                made.get_nowait()
        thread.join()


def _fill(chunks: Generator[Chunk], made: queue.Queue[Chunk | BaseException | None], abandoned: threading.Event) -> None:
    last: BaseException | None = None
    try:
        with contextlib.closing(chunks):
            for chunk in chunks:
                made.put(chunk)
                if abandoned.is_set():
                    break
    except BaseException as error:
        last = error
    made.put(last)
