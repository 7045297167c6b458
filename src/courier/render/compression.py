"""Text → gzip, zip or zstd, while it streams. The same text, level and name give the same bytes.

Deflate works on blocks of `BLOCK_BYTES` in several threads, as pigz does: each block knows the last 32 KiB of the one
before it, so little is lost, and the blocks are one stream that every reader takes. Blocks are cut here, so the result
does not depend on how the text arrives, nor on the number of threads.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import zstandard
from zlib_ng import zlib_ng

BLOCK_BYTES = 1 << 20
WINDOW_BYTES = 1 << 15
#: No chunk is smaller than this, but for the last.
LEAST_CHUNK_BYTES = 1 << 18
THREADS = max(1, min(4, os.cpu_count() or 1))
#: An empty last block. All others end on a byte, so that this can follow any of them.
DEFLATE_END = b"\x03\x00"
#: No time, no name, no operating system: these would differ from run to run.
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def compressed(chunks: Iterable[bytes], kind: str, level: int, member_name: str, modified: datetime) -> Generator[bytes]:
    """Yield the compressed bytes of `chunks`. `member_name` and `modified` are used by zip alone, whose times have no zone.

    `kind` is one of FileConfig's. Peak memory: about 2.5 MiB for each thread with gzip and zip; with zstd about 10 MiB for
    each at level 3 and 60 MiB at level 19.
    """
    if kind == "none":
        yield from chunks
        return
    stream = (
        _zstd(chunks, level) if kind == "zstd" else _gzip(chunks, level) if kind == "gzip" else _zip(chunks, level, member_name, modified)
    )
    with closing(at_least(stream, LEAST_CHUNK_BYTES)) as grouped:
        yield from grouped


def cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Chunks of exactly `size` bytes, but for the last; none for no bytes."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        whole = len(buffer) - len(buffer) % size
        with memoryview(buffer) as view:
            blocks = [bytes(view[at : at + size]) for at in range(0, whole, size)]
        del buffer[:whole]
        yield from blocks
    if buffer:
        yield bytes(buffer)


def at_least(chunks: Iterable[bytes], size: int) -> Generator[bytes]:
    """Small chunks joined until they are `size` bytes or more; what is left comes last."""
    held = bytearray()
    for chunk in chunks:
        if not held and len(chunk) >= size:
            yield chunk
            continue
        held += chunk
        if len(held) >= size:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


@dataclass
class _Totals:
    """What deflate has taken in and given out so far."""

    plain: int = 0
    deflated: int = 0
    crc: int = 0


def _deflated(chunks: Iterable[bytes], level: int, totals: _Totals) -> Iterator[bytes]:
    """One deflate stream. The threads let go of Python's lock while they compress."""
    running: deque[Future[bytes]] = deque()
    window = b""
    with ThreadPoolExecutor(THREADS, "deflate") as pool:
        for block in cut(chunks, BLOCK_BYTES):
            totals.plain += len(block)
            totals.crc = zlib_ng.crc32(block, totals.crc)
            running.append(pool.submit(_deflate_block, block, window, level))
            window = block[-WINDOW_BYTES:]
            if len(running) > THREADS:
                yield _counted(running.popleft().result(), totals)
        while running:
            yield _counted(running.popleft().result(), totals)
    yield _counted(DEFLATE_END, totals)


def _deflate_block(block: bytes, window: bytes, level: int) -> bytes:
    deflate = (
        zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, zdict=window) if window else zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15)
    )
    return deflate.compress(block) + deflate.flush(zlib_ng.Z_SYNC_FLUSH)


def _counted(piece: bytes, totals: _Totals) -> bytes:
    totals.deflated += len(piece)
    return piece


def _gzip(chunks: Iterable[bytes], level: int) -> Iterator[bytes]:
    totals = _Totals()
    yield GZIP_HEADER
    yield from _deflated(chunks, level, totals)
    yield struct.pack("<II", totals.crc, totals.plain & 0xFFFFFFFF)


def _zstd(chunks: Iterable[bytes], level: int) -> Iterator[bytes]:
    """One frame with a checksum. Its jobs are cut by size, so the result does not depend on the number of threads."""
    frame = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=THREADS).compressobj()
    for block in cut(chunks, BLOCK_BYTES):
        yield frame.compress(block)
    yield frame.flush()


def _zip(chunks: Iterable[bytes], level: int, name: str, modified: datetime) -> Iterator[bytes]:
    """An archive of one member, as Go's archive/zip streams one: sizes follow the data, in eight bytes each only where four
    do not hold them. Readers that go by the directory at the end take it, and so do those that read from the front.
    """
    totals = _Totals()
    encoded = name.encode()
    year, *rest = max(modified.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    month, day, hour, minute, second = rest
    stamp = hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
    # 0x0808: sizes and CRC follow the data; the name is UTF-8. Method 8: deflate.
    yield b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0x0808, 8, *stamp, 0, 0, 0, len(encoded), 0) + encoded
    yield from _deflated(chunks, level, totals)
    yield _zip_end(totals, encoded, stamp)


def _zip_end(totals: _Totals, name: bytes, stamp: tuple[int, int]) -> bytes:
    """Data descriptor, directory and, beyond 4 GiB, what zip64 adds to them."""
    large = max(totals.plain, totals.deflated) >= 0xFFFFFFFF
    sizes = struct.pack("<QQ" if large else "<II", totals.deflated, totals.plain)
    descriptor = b"PK\x07\x08" + struct.pack("<I", totals.crc) + sizes
    needed = 45 if large else 20
    extra = struct.pack("<HHQQ", 1, 16, totals.plain, totals.deflated) if large else b""
    shown = (0xFFFFFFFF, 0xFFFFFFFF) if large else (totals.deflated, totals.plain)
    # Made on Unix (3), so that the mode of the file, 0644, is looked at.
    fields = (3 << 8 | needed, needed, 0x0808, 8, *stamp, totals.crc, *shown, len(name), len(extra), 0, 0, 0, 0o100644 << 16, 0)
    directory = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", *fields) + name + extra
    start = 30 + len(name) + totals.deflated + len(descriptor)
    end64 = b""
    if large or start >= 0xFFFFFFFF:
        end64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 3 << 8 | 45, 45, 0, 0, 1, 1, len(directory), start)
        end64 += b"PK\x06\x07" + struct.pack("<IQI", 0, start + len(directory), 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), min(start, 0xFFFFFFFF), 0)
    return descriptor + directory + end64 + end
