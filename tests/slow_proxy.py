"""A TCP proxy on loopback that lets bytes through slowly, so that a test can step in, and counts its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"
TURN_SECONDS = 0.02


@dataclass
class SlowProxy:
    """`most`: so many connections were open at once. `bytes_per_second` of each connection towards the server; it may be changed."""

    port: int
    bytes_per_second: float
    most: int = 0
    passed: int = 0
    _open: int = 0
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def opened(self) -> None:
        with self._mutex:
            self._open += 1
            self.most = max(self.most, self._open)

    def closed(self) -> None:
        with self._mutex:
            self._open -= 1


@contextlib.contextmanager
def slow_proxy(port: int, bytes_per_second: float) -> Iterator[SlowProxy]:
    listener = socket.create_server((HOST, 0))
    proxy = SlowProxy(int(listener.getsockname()[1]), bytes_per_second)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_pass, args=(proxy, near, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _pass(proxy: SlowProxy, near: socket.socket, port: int) -> None:
    with near, socket.create_connection((HOST, port)) as far:
        proxy.opened()
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while data := near.recv(max(1024, int(proxy.bytes_per_second * TURN_SECONDS))):
                far.sendall(data)
                proxy.passed += len(data)
                time.sleep(len(data) / proxy.bytes_per_second)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        proxy.closed()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
