"""A TCP proxy on loopback that makes a server far away: each byte arrives later, and no fewer bytes a second."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HOST = "127.0.0.1"
READ_BYTES = 256 * 1024


@dataclass
class Far:
    """A server far away. `journeys`: how often the client has asked something after an answer, of which no clock is needed to know."""

    port: int = 0
    journeys: int = 0
    answered: bool = True

    def asked(self) -> None:
        self.journeys += self.answered
        self.answered = False


@contextlib.contextmanager
def delay_proxy(port: int, round_trip_seconds: float) -> Iterator[Far]:
    """A proxy to another port of this machine, in a thread of its own."""
    loop, far = asyncio.new_event_loop(), Far()
    server = loop.run_until_complete(
        asyncio.start_server(lambda near, out: _connected(near, out, port, round_trip_seconds / 2, far), HOST, 0)
    )
    far.port = int(server.sockets[0].getsockname()[1])
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def close() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield far
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _connected(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter, port: int, delay_seconds: float, far: Far) -> None:
    far_in, far_out = await asyncio.open_connection(HOST, port)
    for writer in (near_out, far_out):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(asyncio.CancelledError):  # by the end of the proxy; asyncio's streams would print it
        await asyncio.gather(
            _passed_on(near_in, far_out, delay_seconds, far.asked, lambda: None),
            _passed_on(far_in, near_out, delay_seconds, lambda: None, lambda: setattr(far, "answered", True)),
        )


async def _passed_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float, left: Callable[[], None], arrived: Callable[[], None]
) -> None:
    """All bytes of one direction, each after the delay; then the end of it."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            arrived()
            await writer.drain()
        writer.close()

    async def leave() -> None:
        data = b"."
        while data:
            try:
                data = await reader.read(READ_BYTES)
            except ConnectionError:
                data = b""
            if data:
                left()
            under_way.put_nowait((loop.time() + delay_seconds, data))

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(leave(), arrive())
