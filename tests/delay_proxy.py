"""A TCP proxy on loopback that makes a server far away: each byte arrives later, and no fewer bytes a second."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"
READ_BYTES = 256 * 1024


@contextlib.contextmanager
def delay_proxy(port: int, round_trip_seconds: float) -> Iterator[int]:
    """The port of a proxy to another port of this machine, in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(lambda near, out: _connected(near, out, port, round_trip_seconds / 2), HOST, 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def close() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _connected(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter, port: int, delay_seconds: float) -> None:
    far_in, far_out = await asyncio.open_connection(HOST, port)
    for writer in (near_out, far_out):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(asyncio.CancelledError):  # by the end of the proxy; asyncio's streams would print it
        await asyncio.gather(_passed_on(near_in, far_out, delay_seconds), _passed_on(far_in, near_out, delay_seconds))


async def _passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
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
            await writer.drain()
        writer.close()

    async def leave() -> None:
        data = b"."
        while data:
            try:
                data = await reader.read(READ_BYTES)
            except ConnectionError:
                data = b""
            under_way.put_nowait((loop.time() + delay_seconds, data))

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(leave(), arrive())
