"""paramiko's layer of SSH packets, with what it leaves out. It takes such a class as an argument of its `Transport`."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import paramiko
from paramiko.packet import Packetizer

DISCONNECT, KEXINIT, NEWKEYS = 1, 20, 21
#: RFC 4253, 7.1: what a KEXINIT lists, in this order, after a type and 16 random bytes.
LISTS = ("kex", "host key", "ciphers", "ciphers to us", "macs", "macs to us", "compression", "compression to us")
TOO_MANY_CONNECTIONS = 12
READ_AHEAD_BYTES = 16 * 1024


class ReadAhead:
    """A socket that is read as far as bytes have come. paramiko asks for each packet in two parts, most of them of a few bytes."""

    def __init__(self, connected: Any) -> None:
        self._connected, self._ahead = connected, b""

    def close(self) -> None:
        self._connected.close()

    def recv(self, size: int) -> bytes:
        found = self._ahead or self._connected.recv(max(size, READ_AHEAD_BYTES))
        self._ahead = found[size:]
        return found[:size]


class Packets(Packetizer):
    """Gives up on a peer that takes no bytes (paramiko would try for ever), and remembers what it offered and why it hung up."""

    stall_seconds: float = 120
    hung_up: int | None = None

    def __init__(self, connected: Any) -> None:
        super().__init__(cast("socket.socket", ReadAhead(connected)))
        self._connected, self._is_socket = connected, isinstance(connected, socket.socket)  # and not a channel of the jump host
        self._offered: dict[str, list[str]] = {}
        self._held: list[bytes] = []
        self._holder: int | None = None
        self._writing = threading.Lock()
        self._shaking_hands = self._agreeing = False

    def offered(self, kind: str) -> list[str]:
        return self._offered.get(kind, [])

    def close(self) -> None:
        super().close()
        self.complete_handshake()  # or its timer would keep the process alive

    def start_handshake(self, timeout: float) -> None:
        self._shaking_hands = True
        super().start_handshake(timeout)

    def complete_handshake(self) -> None:
        """Once. paramiko calls this for each packet that comes, and each time it ends the timer anew, which takes a lock and wakes threads."""
        if self._shaking_hands:
            self._shaking_hands = False
            super().complete_handshake()

    def set_outbound_cipher(self, *arguments: Any, **named: Any) -> None:
        """No random bytes for the padding of what is encrypted by a counter, as paramiko has it for CTR: GCM is one, too."""
        super().set_outbound_cipher(*arguments, **(named | {"sdctr": True} if named.get("aead") else named))

    def set_keepalive(self, interval: float, callback: Callable[[], object]) -> None:
        """No sign of life while the server renews the keys: paramiko holds it back until they are there, in the thread that is to
        read them.
        """
        super().set_keepalive(interval, lambda: None if self._agreeing else callback())

    def hold(self) -> None:
        """Keep what this thread writes until `let_go`, so that it goes out in fewer and larger calls of the system."""
        self._holder = threading.get_ident()

    def let_go(self) -> None:
        self._holder = None
        with self._writing:
            self._write_held()

    def write_all(self, out: Any) -> None:
        """Any other thread's packet (a new agreement on keys, say) lets go what is held: its sender may be waiting for it."""
        with self._writing:
            self._held.append(out)
            if self._holder != threading.get_ident():
                self._write_held()

    def _write_held(self) -> None:
        out = memoryview(b"".join(self._held) if len(self._held) != 1 else self._held[0])
        self._held.clear()
        give_up = time.monotonic() + self.stall_seconds
        while out:
            try:
                sent = self._connected.send(out if self._is_socket else bytes(out))
            except TimeoutError:  # of a tenth of a second, so that closing is noticed
                if self.closed or time.monotonic() > give_up:
                    raise EOFError from None
                continue
            except OSError as exc:
                raise EOFError from exc
            if sent <= 0:
                raise EOFError
            out = out[sent:]
            give_up = time.monotonic() + self.stall_seconds

    def read_message(self) -> tuple[int, paramiko.Message]:
        kind, message = super().read_message()
        if kind == DISCONNECT:
            self.hung_up = message.get_int()
            message.rewind()
        elif kind == NEWKEYS:
            self._agreeing = False
        elif kind == KEXINIT:
            self._agreeing = True
            with contextlib.suppress(Exception):  # a malformed one is paramiko's to refuse
                message.get_bytes(16)
                self._offered = {name: message.get_list() for name in LISTS}
            message.rewind()
        return kind, message
