"""SFTP version 3 (draft-ietf-secsh-filexfer-02) as bytes: numbers of messages, and what answers hold."""

from __future__ import annotations

import struct

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT = 1, 2, 3, 4, 5, 6, 7
OPENDIR, READDIR, REMOVE, STAT, RENAME = 11, 12, 13, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
FOR_READING, FOR_WRITING, CREATE, TRUNCATE = 0x01, 0x02, 0x08, 0x10
LIMITS, POSIX_RENAME, STATVFS = b"limits@openssh.com", b"posix-rename@openssh.com", b"statvfs@openssh.com"

HEAD, NUMBER, LONG, TWO_LONGS = struct.Struct(">IBI"), struct.Struct(">I"), struct.Struct(">Q"), struct.Struct(">QI")


def text(value: str | bytes) -> bytes:
    """A string as the protocol has it: its length, then its bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return NUMBER.pack(len(raw)) + raw


def size_of(content: bytes) -> int | None:
    """The size that an answer's attributes hold; None where they hold none."""
    return attributes(content, 0)[0]


def mode_of(content: bytes) -> int | None:
    """Kind and rights that an answer's attributes hold, as POSIX has them; None where they hold none."""
    flags = NUMBER.unpack_from(content)[0]
    return NUMBER.unpack_from(content, 4 + 8 * bool(flags & 0x1) + 8 * bool(flags & 0x2))[0] if flags & 0x4 else None


def take(content: bytes, at: int) -> tuple[bytes, int]:
    """The string at a place, and the place after it."""
    size = NUMBER.unpack_from(content, at)[0]
    return content[at + 4 : at + 4 + size], at + 4 + size


def attributes(content: bytes, at: int) -> tuple[int | None, int]:
    """The size among attributes at a place, and the place after them. Size, owner, rights and times are there by flags."""
    flags = NUMBER.unpack_from(content, at)[0]
    at += 4
    size = LONG.unpack_from(content, at)[0] if flags & 0x1 else None
    at += 8 * bool(flags & 0x1) + 8 * bool(flags & 0x2) + 4 * bool(flags & 0x4) + 8 * bool(flags & 0x8)
    if flags & 0x80000000:
        count = NUMBER.unpack_from(content, at)[0]
        at += 4
        for _ in range(2 * count):
            _, at = take(content, at)
    return size, at


def extensions_of(greeting: bytes) -> set[bytes]:
    """What the server says it can do beyond version 3. (Each name has a version beside it, which nobody has ever raised.)"""
    names, at = set[bytes](), 5
    while at + 4 <= len(greeting):
        name, at = take(greeting, at)
        _, at = take(greeting, at)
        names.add(name)
    return names
