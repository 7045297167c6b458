"""SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as it is used here.

paramiko's own client waits for most answers one by one, writes 32 KiB a request, and forgets which extensions the server
has. Here requests may be sent ahead, and answers are fetched by their number. Only what paramiko documents is used of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NoReturn

import paramiko

from courier.destinations.sftp.errors import END_OF_FILE, OK, Refusal
from courier.destinations.sftp.packets import Packets
from courier.destinations.sftp.wire import (
    ATTRS,
    CLOSE,
    EXTENDED,
    EXTENDED_REPLY,
    HANDLE,
    HEAD,
    INIT,
    NAME,
    NUMBER,
    OPEN,
    OPENDIR,
    POSIX_RENAME,
    READDIR,
    REMOVE,
    RENAME,
    STAT,
    STATUS,
    STATVFS,
    VERSION,
    attributes,
    extensions_of,
    size_of,
    take,
    text,
)

#: Every server must take this much (4 of the draft), and most that tell no limits take no more.
REQUEST_BYTES = 32 * 1024
#: More than this gains nothing.
MOST_REQUEST_BYTES = 255 * 1024
#: What stands around the bytes of a file in a packet, and more than that.
AROUND_BYTES = 1024
#: What paramiko puts into one packet of a channel whose server takes packets of 32 KiB, as nearly all do.
PACKET_BYTES = 32 * 1024 - 64
MOST_ANSWER_BYTES = 16 * 1024 * 1024


class ProtocolError(ConnectionError):
    """The server does not speak SFTP as it should."""


class Session:
    """Requests and answers over one channel, for one thread. `hang_up` closes everything below it.

    No call waits longer than the timeout for the server's next bytes. Once a call has failed for want of an answer, the
    rest fail at once: requests and answers can no longer be told apart.
    """

    def __init__(self, channel: paramiko.Channel, hang_up: Callable[[], None], timeout_seconds: float) -> None:
        self._channel, self._hang_up, self._timeout = channel, hang_up, timeout_seconds
        channel.settimeout(timeout_seconds)
        packets = channel.get_transport().packetizer
        assert isinstance(packets, Packets)
        self._packets = packets
        self.lost = False
        self._number = 0
        self._outgoing: list[bytes | memoryview] = []
        self._incoming = bytearray()
        self._answers: dict[int, tuple[int, bytes]] = {}
        self.read_bytes = self.write_bytes = REQUEST_BYTES
        self._transmit(struct.pack(">IBI", 5, INIT, 3))
        while (greeting := self._packet()) is None:
            self._receive()
        if greeting[0] != VERSION:
            raise ProtocolError("the server's answers are not SFTP")
        self.extensions = extensions_of(greeting)

    # Requests and answers

    def ask(self, kind: int, *fields: bytes | memoryview, later: bool = False) -> int:
        """Send a request and return its number. `later`: together with the next one, so that both share a packet."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._outgoing += (HEAD.pack(5 + sum(map(len, fields)), kind, self._number), *fields)
        if not later:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._transmit(data)
        return self._number

    def answered(self, number: int) -> bool:
        """Whether the answer is there already. Takes in what has come, and waits for nothing."""
        if number not in self._answers and not self.lost and self._channel.recv_ready():
            self._sort()
        return number in self._answers

    def answer(self, number: int) -> tuple[int, bytes]:
        """The answer's kind and content."""
        while number not in self._answers:
            self._sort()
        return self._answers.pop(number)

    def expect(self, number: int, wanted: int) -> bytes:
        """The content of an answer of that kind. Raises Refusal when it is a status that is not OK."""
        kind, content = self.answer(number)
        if kind == STATUS:
            code = NUMBER.unpack_from(content)[0]
            if code != OK:
                raise Refusal(code)
        if kind != wanted:
            raise ProtocolError(f"the server answered by a message of kind {kind}")
        return content

    def done(self, number: int) -> None:
        """Wait until the server says that a request went well. Raises Refusal when it does not."""
        self.expect(number, STATUS)

    def abandon(self) -> None:
        """Hang up at once, and let every later call fail at once."""
        self.lost = True
        self._hang_up()

    # Single operations

    def learn_limits(self, number: int | None) -> None:
        """Take in the answer to a request for `LIMITS`: the largest packet, read and write; 0 where the server has no limit."""
        if number is None:
            return
        try:
            packet, read, write, _ = struct.unpack_from(">4Q", self.expect(number, EXTENDED_REPLY))
        except (Refusal, struct.error):
            return
        most = min(MOST_REQUEST_BYTES, max(packet - AROUND_BYTES, REQUEST_BYTES)) if packet else MOST_REQUEST_BYTES
        self.read_bytes, self.write_bytes = (min(size or most, most) for size in (read, write))

    def open(self, path: str, flags: int) -> bytes:
        return text(take(self.expect(self.ask(OPEN, text(path), NUMBER.pack(flags), bytes(4)), HANDLE), 0)[0])

    def close_file(self, handle: bytes) -> None:
        self.done(self.ask(CLOSE, handle))

    def remove(self, path: str) -> None:
        self.done(self.ask(REMOVE, text(path)))

    def rename(self, old: str, new: str) -> None:
        self.done(self.ask_rename(old, new))

    def posix_rename(self, old: str, new: str) -> None:
        self.done(self.ask_rename(old, new, replace=True))

    def ask_rename(self, old: str, new: str, *, replace: bool = False, later: bool = False) -> int:
        if replace:
            return self.ask(EXTENDED, text(POSIX_RENAME), text(old), text(new), later=later)
        return self.ask(RENAME, text(old), text(new), later=later)

    def stat(self, path: str) -> int | None:
        """Bytes of a file that exists; None where the server does not tell. Raises Refusal where there is none."""
        return size_of(self.expect(self.ask(STAT, text(path)), ATTRS))

    def free_bytes(self, folder: str) -> int | None:
        """Room on the folder's disk for this user; None where the server does not tell."""
        if STATVFS not in self.extensions:
            return None
        try:
            found = self.expect(self.ask(EXTENDED, text(STATVFS), text(folder)), EXTENDED_REPLY)
            _, fragment, _, _, available = struct.unpack_from(">5Q", found)
        except (Refusal, struct.error):
            return None
        return int(fragment * available)

    def listing(self, folder: str) -> dict[str, int | None]:
        """Names in a folder and their sizes, as far as the server tells them."""
        handle = text(take(self.expect(self.ask(OPENDIR, text(folder)), HANDLE), 0)[0])
        found: dict[str, int | None] = {}
        try:
            while True:
                content = self.expect(self.ask(READDIR, handle), NAME)
                at, count = 4, NUMBER.unpack_from(content)[0]
                if not count:  # some servers end so, and OpenSSH's client takes it for the end; to ask on could last for ever
                    break
                for _ in range(count):
                    name, at = take(content, at)
                    _, at = take(content, at)  # as `ls -l` shows it
                    found[name.decode(errors="replace")], at = attributes(content, at)
        except Refusal as refusal:
            if refusal.code != END_OF_FILE:
                raise
        finally:
            if not self.lost:
                self.answer(self.ask(CLOSE, handle))
        return found

    # The channel

    def _transmit(self, data: bytes) -> None:
        """All of it, in slices that each become one packet: so nothing is copied twice."""
        self._assert_open()
        sent = 0
        try:
            if len(data) > PACKET_BYTES:
                self._packets.hold()
            while sent < len(data):
                if not self._channel.send_ready():
                    self._packets.let_go()  # the window opens only by what arrives
                count = self._channel.send(data[sent : sent + PACKET_BYTES])
                if count == 0:
                    raise EOFError
                sent += count
            self._packets.let_go()
        except BaseException as exc:  # half a request may be on its way
            self._fail(exc)

    def _receive(self) -> None:
        """Wait for bytes."""
        self._assert_open()
        try:
            data = self._channel.recv(MOST_REQUEST_BYTES)
            if not data:
                raise EOFError
        except BaseException as exc:
            self._fail(exc)
        self._incoming += data

    def _sort(self) -> None:
        """Wait for bytes, and keep the answers that are whole by their numbers."""
        self._receive()
        while (packet := self._packet()) is not None:
            self._answers[NUMBER.unpack_from(packet, 1)[0]] = (packet[0], packet[5:])

    def _packet(self) -> bytes | None:
        """The next whole packet without its length."""
        if len(self._incoming) < 4:
            return None
        size = NUMBER.unpack_from(self._incoming)[0]
        if not 5 <= size <= MOST_ANSWER_BYTES:
            self._fail(ProtocolError("the server's answers are not SFTP"))
        if len(self._incoming) < 4 + size:
            return None
        packet = bytes(memoryview(self._incoming)[4 : 4 + size])
        del self._incoming[: 4 + size]
        return packet

    def _assert_open(self) -> None:
        if self.lost:
            raise ConnectionResetError("the connection was lost")

    def _fail(self, exc: BaseException) -> NoReturn:
        self.abandon()
        if isinstance(exc, TimeoutError):
            raise TimeoutError(f"no answer within {self._timeout:g} seconds") from exc
        if isinstance(exc, EOFError) or (isinstance(exc, OSError) and not isinstance(exc, ConnectionError)):
            raise ConnectionResetError("the connection was lost") from exc
        raise exc
