"""The SHA-256 of what was sent, in segments: so it can be checked also when one connection began a file and another ended it.

What proves a file is kept in memory, by its path: after a lost connection the same process goes on, and another process
starts the file anew.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator

#: Where each segment ends, and what it must hash to.
Segments = tuple[tuple[int, str], ...]
Proofs = dict[str, Segments]
#: How far apart the places are where a segment may end. Chunks are smaller or larger.
MARK_BYTES = 1024 * 1024


class Proof:
    """Of one `send` to a path, which goes on after `start` bytes that are proven already."""

    def __init__(self, proofs: Proofs, path: str, start: int) -> None:
        self._proofs, self._path = proofs, path
        self._start, self._end = start, start
        self._earlier = proofs.get(path, ()) if start else ()
        self._digest = hashlib.sha256()
        self._marks = deque([(start, self._earlier)])

    def watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._digest.update(chunk)
            self._end += len(chunk)
            if self._end - self._marks[-1][0] >= MARK_BYTES:
                self._marks.append((self._end, self.whole()))
            yield chunk

    def note(self, acknowledged: int) -> int:
        """Keep the proof of as much of the acknowledged bytes as ends at a mark. Returns how much that is."""
        while len(self._marks) > 1 and self._marks[1][0] <= acknowledged:
            self._marks.popleft()
        size, self._proofs[self._path] = self._marks[0]
        return size

    def whole(self) -> Segments:
        """The proof of all bytes until here."""
        if self._end == self._start and self._earlier:
            return self._earlier
        return (*self._earlier, (self._end, self._digest.hexdigest()))


def proves(segments: Segments, size: int) -> bool:
    """Whether they cover exactly so many bytes."""
    return bool(segments) and segments[-1][0] == size


def holds(blocks: Iterable[bytes], segments: Segments) -> bool:
    """Whether a file's bytes are those that the segments prove, no fewer and no more."""
    left = deque(segments)
    at, digest = 0, hashlib.sha256()
    for block in blocks:
        rest = memoryview(block)
        while len(left) > 1 and at + len(rest) >= left[0][0]:
            end, expected = left.popleft()
            digest.update(rest[: end - at])
            if digest.hexdigest() != expected:
                return False
            rest, at, digest = rest[end - at :], end, hashlib.sha256()
        digest.update(rest)
        at += len(rest)
    return [(at, digest.hexdigest())] == list(left)
