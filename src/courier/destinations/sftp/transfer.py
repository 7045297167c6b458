"""Many requests at once: a file is written and read as fast as the line lets it, whatever its delay.

Memory: one block (at most 255 KiB) twice, and the chunk that the source gave last. What is in flight is in the server's
hands or in the channel's window, which the server opens by 2 MiB at most on OpenSSH.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from courier.destinations.sftp.errors import END_OF_FILE, Refusal
from courier.destinations.sftp.protocol import ProtocolError, Session
from courier.destinations.sftp.wire import ATTRS, CLOSE, DATA, NUMBER, READ, STAT, TWO_LONGS, WRITE, size_of, text

#: So much may wait for its answer: enough for 100 MB/s at 80 ms, and little for a server to keep in order.
IN_FLIGHT_BYTES = 8 * 1024 * 1024
READ_AHEAD_BYTES = 2 * 1024 * 1024
#: So many requests, since servers that hand each to a thread have a limit of their own.
IN_FLIGHT_REQUESTS = 128

#: How long a wrong size is given to become the right one, between two looks.
LATE_SIZE_SECONDS = (0.05, 0.2, 1.0)

Block = list[bytes | memoryview]


class Upload:
    """Blocks on their way into one open file. `acknowledged` is where the first of them ends that has no answer yet."""

    def __init__(self, session: Session, handle: bytes, offset: int, moved: Callable[[int], None]) -> None:
        self._session, self._handle, self._moved = session, handle, moved
        self.sent = self.acknowledged = offset
        self._waiting: deque[tuple[int, int]] = deque()
        self._refused = False
        self._closing: int | None = None

    def write(self, chunks: Iterable[bytes]) -> None:
        """Write all chunks; the last block is only queued, so that what follows it can share its packet.

        `moved` is told each time the acknowledged part has grown. A refusal of any block is raised as soon as its answer
        is seen, by this or by `finish`.
        """
        for block, size in blocks(chunks, self._session.write_bytes):
            while self._waiting and (self.sent - self.acknowledged + size > IN_FLIGHT_BYTES or len(self._waiting) >= IN_FLIGHT_REQUESTS):
                self._take()
            number = self._session.ask(WRITE, self._handle, TWO_LONGS.pack(self.sent, size), *block, later=size < self._session.write_bytes)
            self.sent += size
            self._waiting.append((number, self.sent))
            while self._waiting and self._session.answered(self._waiting[0][0]):
                self._take()

    def finish(self, path: str) -> int | None:
        """Close the file and return its size, in one journey with the last block. None where the server does not tell it."""
        self._closing = self._session.ask(CLOSE, self._handle, later=True)
        looking = self._session.ask(STAT, text(path))
        try:
            self._settle()
            self._close()
        except BaseException:
            if not self._session.lost:
                self._session.answer(looking)
            raise
        with contextlib.suppress(Refusal):
            if (size := size_of(self._session.expect(looking, ATTRS))) in (None, self.sent):
                return size
        return self._looked_for(path)

    def _looked_for(self, path: str) -> int | None:
        """A server that works on several requests at once may have looked before it had written all, and one that hands files on
        (rclone) knows their sizes a little later than it says so.
        """
        for pause in LATE_SIZE_SECONDS:
            if (size := self._session.stat(path)) in (None, self.sent):
                return size
            time.sleep(pause)
        return self._session.stat(path)

    def give_up(self) -> None:
        """After an error: learn what has arrived, and close the file. A connection that is lost is left alone."""
        with contextlib.suppress(Refusal, OSError):
            if not self._session.lost and self._closing is None:
                self._closing = self._session.ask(CLOSE, self._handle)
            try:
                self._settle()
            finally:
                self._close()

    def _settle(self) -> None:
        """Wait for the answers to all blocks; raise the first refusal, but only after all have answered."""
        refusal: Refusal | None = None
        while self._waiting:
            try:
                self._take()
            except Refusal as exc:
                refusal = refusal or exc
        if refusal:
            raise refusal

    def _close(self) -> None:
        closing, self._closing = self._closing, 0  # no request has this number
        if closing and not self._session.lost:
            self._session.done(closing)

    def _take(self) -> None:
        """The answer to the oldest block. What follows a refused one does not count: the file has a hole before it."""
        number, end = self._waiting.popleft()
        try:
            self._session.done(number)
        except BaseException:
            self._refused = True
            raise
        if not self._refused:
            self.acknowledged = end
            self._moved(end)


def blocks(chunks: Iterable[bytes], size: int) -> Iterator[tuple[Block, int]]:
    """Regroup chunks of any size into blocks of one size and a smaller last one. Nothing is copied here."""
    block: Block = []
    room = size
    for chunk in chunks:
        view, at = memoryview(chunk), 0
        while at < len(view):
            piece = view[at : at + room]
            block.append(piece)
            at += len(piece)
            room -= len(piece)
            if room == 0:
                yield block, size
                block, room = [], size
    if block:
        yield block, size - room


def read(session: Session, handle: bytes) -> Iterator[bytes]:
    """The whole of an open file, in order, with many requests in flight."""
    size, offset = session.read_bytes, 0
    waiting: deque[tuple[int, int]] = deque()
    try:
        while True:
            while len(waiting) < max(2, READ_AHEAD_BYTES // size):
                waiting.append((session.ask(READ, handle, TWO_LONGS.pack(offset, size)), offset))
                offset += size
            number, at = waiting.popleft()
            end = at + size
            while True:
                data = _data(session.expect(number, DATA))
                yield data
                at += len(data)
                if at >= end:
                    break
                number = session.ask(READ, handle, TWO_LONGS.pack(at, end - at))  # it gave less than was asked for
    except Refusal as refusal:
        if refusal.code != END_OF_FILE:
            raise
    finally:
        for number, _ in waiting:
            if not session.lost:
                session.answer(number)


def _data(content: bytes) -> bytes:
    size = NUMBER.unpack_from(content)[0]
    if size == 0 or len(content) < 4 + size:
        raise ProtocolError("the server sent an empty answer to a request for bytes")
    return content[4 : 4 + size]
