"""How a file becomes the parts of a multipart upload. Nothing here talks to S3.

The size of a part follows from its number, so that another process cuts the same file at the same places.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from courier.destinations.base import Staged
from courier.errors import TerminalError

#: S3's own limits, https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * 1024**3
#: The size of parts doubles after so many, for nobody knows beforehand how large the file becomes: 16 MiB at first make room
#: for 12 TiB, 5 MiB for 4.9 TiB.
PARTS_OF_ONE_SIZE = 1_000
#: What is handed to the socket at once.
BLOCK_BYTES = 256 * 1024


def part_size(number: int, first_bytes: int) -> int:
    """Bytes of the part with this number, counted from 1, unless it is the last."""
    return min(first_bytes << ((number - 1) // PARTS_OF_ONE_SIZE), MAX_PART_BYTES)


def size_of_parts(count: int, first_bytes: int) -> int:
    return sum(part_size(number, first_bytes) for number in range(1, count + 1))


def cut(chunks: Iterable[bytes], first_bytes: int, done: int, where: str) -> Iterator[tuple[int, bytearray]]:
    """The parts after the first `done`, each with its number; one empty part for an empty file. One part is in memory here."""
    number, filled, part = done + 1, 0, bytearray()
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            if not part:
                part = bytearray(part_size(_possible(number, where), first_bytes))
            taken = min(len(part) - filled, len(rest))
            part[filled : filled + taken] = rest[:taken]
            filled, rest = filled + taken, rest[taken:]
            if filled == len(part):
                yield number, part
                number, filled, part = number + 1, 0, bytearray()
    if filled or number == 1:
        del part[filled:]
        yield number, part


def _possible(number: int, where: str) -> int:
    if number > MAX_PARTS:
        raise TerminalError(
            "The file needs more parts than S3 allows",
            where=where,
            expected=f"at most {MAX_PARTS}",
            fix="raise destination.part_bytes, or split the file (file.max_rows)",
        )
    return number


class StoppedError(BaseException):
    """The upload was given up. No `Exception`, for botocore would take it for a broken connection, and try again."""


class Body(io.RawIOBase):
    """A part on its way: read without a copy, and until somebody says stop. Without that, Ctrl-C would wait for all parts in flight.

    A read gives larger blocks than urllib3 asks for (16 KiB), which costs it nothing and saves most of the calls.
    """

    def __init__(self, part: bytearray, stop: threading.Event) -> None:
        super().__init__()
        self._view, self._position, self._stop = memoryview(part), 0, stop

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int = -1) -> Any:  # a memoryview: sockets and hashes take any buffer
        if self._stop.is_set():
            raise StoppedError
        end = len(self._view) if size < 0 else self._position + max(size, BLOCK_BYTES)
        block = self._view[self._position : end]
        self._position += len(block)
        return block

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position


@dataclass(frozen=True)
class Part:
    """What S3 has of one part. `crc32` is None where the store is not asked to verify it."""

    etag: str
    size: int
    crc32: int | None = None


@dataclass(frozen=True)
class Upload:
    """What the token of a `Staged` says: an upload and its first parts, without a gap. Only the last may be a smaller one."""

    name: str
    upload_id: str
    part_bytes: int
    checksums: bool
    parts: tuple[Part, ...] = ()

    @staticmethod
    def of(staged: Staged) -> Upload:
        token, part_bytes = staged.token, int(staged.token["part_bytes"])
        listed = json.loads(token["parts"])
        sizes = [part_size(number, part_bytes) for number in range(1, len(listed) + 1)]
        if listed:
            sizes[-1] = staged.size - sum(sizes[:-1])
        parts = tuple(Part(etag, size, crc) for (etag, crc), size in zip(listed, sizes, strict=True))
        return Upload(staged.name, token["upload_id"], part_bytes, token["checksums"] == "crc32", parts)

    def staged(self) -> Staged:
        token = {
            "upload_id": self.upload_id,
            "part_bytes": str(self.part_bytes),
            "checksums": "crc32" if self.checksums else "",
            "parts": json.dumps([(part.etag, part.crc32) for part in self.parts], separators=(",", ":")),
        }
        return Staged(self.name, self.size, token)

    def plus(self, part: Part) -> Upload:
        return replace(self, parts=(*self.parts, part))

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def crc32(self) -> int:
        """Of the whole file, from those of its parts."""
        whole = 0
        for part in self.parts:
            whole = _append(whole, part.crc32 or 0, part.size)
        return whole


def encoded(crc32: int) -> str:
    """As S3 writes it."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def _append(first: int, second: int, second_bytes: int) -> int:
    """The CRC-32 of two texts in a row, from their own. Appending n zero bytes to a text is linear over GF(2) in its checksum."""
    return _times(_zeros(second_bytes), first) ^ second


@functools.lru_cache(maxsize=64)
def _zeros(count: int) -> tuple[int, ...]:
    """The matrix, as 32 columns, that takes the checksum of a text to that of the text and `count` zero bytes."""
    bit = (0xEDB88320, *(1 << n for n in range(31)))  # one zero bit: the reflected polynomial, and a shift
    power = functools.reduce(lambda matrix, _: _squared(matrix), range(3), bit)
    total = tuple(1 << n for n in range(32))
    while count:
        if count & 1:
            total = tuple(_times(power, column) for column in total)
        power, count = _squared(power), count >> 1
    return total


def _times(matrix: tuple[int, ...], vector: int) -> int:
    result = 0
    for column in matrix:
        if vector & 1:
            result ^= column
        vector >>= 1
    return result


def _squared(matrix: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_times(matrix, column) for column in matrix)
