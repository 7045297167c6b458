"""An SFTP server in this process that remembers what its clients did, and misbehaves on demand. It serves one folder as `/`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USERNAME, PASSWORD = "courier", "correct horse battery staple"


@dataclass
class RecordingServer:
    """What to do (`drop`, `stall_writes`) and what was done. All are counted over all connections."""

    folder: Path
    drop: int = 0  # so many connections are cut before the login
    stall_writes: bool = False  # answer no write, ever
    port: int = 0
    fingerprint: str = ""
    public_key: str = ""
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    renames: list[tuple[str, list[str]]] = field(default_factory=list)  # the final name, and what was visible just before
    writing: threading.Event = field(default_factory=threading.Event)

    def visible(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def all_closed(self) -> bool:
        """Whether every client has hung up; the server hears of it a little later."""
        give_up = time.monotonic() + 10
        while self.open_now and time.monotonic() < give_up:
            time.sleep(0.02)
        return self.open_now == 0


@contextlib.contextmanager
def recording_server(folder: Path) -> Iterator[RecordingServer]:
    """Serve `folder` until the end of the block, in a thread of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    record = RecordingServer(folder, fingerprint=host_key.get_fingerprint(), public_key=host_key.export_public_key().decode().strip())
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(record),
            server_host_keys=[host_key],
            sftp_factory=lambda channel: _Files(channel, record),
        )

    listener = loop.run_until_complete(listen())
    record.port = listener.get_port()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def close() -> None:
        listener.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=2) if others else None

    try:
        yield record
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Server(asyncssh.SSHServer):
    def __init__(self, record: RecordingServer) -> None:
        self._record = record

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        record = self._record
        record.connections += 1
        record.open_now += 1
        record.most_open = max(record.most_open, record.open_now)
        if record.connections <= record.drop:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._record.open_now -= 1

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._record.logins.append((username, password))
        return (username, password) == (USERNAME, PASSWORD)


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, record: RecordingServer) -> None:
        super().__init__(channel, chroot=str(record.folder))
        self._record = record

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        self._record.writing.set()
        while self._record.stall_writes:
            await asyncio.sleep(0.05)
        return int(super().write(file_obj, offset, data))  # type: ignore[arg-type]

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._record.renames.append((Path(newpath.decode()).name, self._record.visible()))
        super().rename(oldpath, newpath)
