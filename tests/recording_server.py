"""An SFTP server in this process that remembers what its clients did, and misbehaves on demand. It serves one folder as `/`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from targets import PASSWORD_ENV, Target

from courier.config import SftpPasswordConfig

USERNAME, PASSWORD = "courier", "correct horse battery staple"


@dataclass
class RecordingServer:
    """What to do (the first fields) and what was done. All are counted over all connections."""

    folder: Path
    drop: int = 0  # so many connections are cut before the login
    most: int | None = None  # so are those beyond so many at once
    most_logins: int | None = None  # so many at once, and those beyond are answered as a wrong password
    stall_writes: bool = False  # answer no write, ever
    stall: set[str] = field(default_factory=set)  # operations that are never answered: write, close, remove, stat, …
    lose_answer: set[str] = field(default_factory=set)  # operations that are done, and the connection is lost before the answer; once
    mute: set[str] = field(default_factory=set)  # operations that are done and never answered; once
    refuse_when_done: set[str] = field(default_factory=set)  # operations that are done, and refused all the same
    refuse: dict[str, Callable[[str], asyncssh.SFTPError]] = field(default_factory=dict)  # operations that are refused, and how
    refuse_renaming_to: str = ""
    refuse_from_byte: int | None = None  # so only writes from there on, as a disk does that is full
    refuse_to_byte: int | None = None  # and those beyond it are taken again, as where somebody makes room
    cut_at_byte: int | None = None  # the connection is lost when this byte is written; once
    size_error: int = 0  # the size that it tells is off by so much
    early_looks: int = 0  # for so many looks it tells what a file was before its last write
    takes: bool = False  # a file is moved away as soon as it has its final name
    sizes: str = "told"  # told | listed | secret: whether attributes hold a file's size, or only those in a listing, or none
    replaces: bool = False  # a plain rename replaces a file, as some servers do it
    corrupts: bool = False  # the first byte of a file is another one than was sent
    interactive: list[tuple[str, bool]] | None = None  # no `password`, but these prompts, and whether their answers are shown
    expired: bool = False  # the right password is answered by the demand for a new one
    restart: Callable[[float], None] = lambda _: None  # end it, all connections too, and start it again after so many seconds
    change_key: Callable[[], None] = lambda: None  # of the host, from the next restart on
    port: int = 0
    fingerprint: str = ""
    public_key: str = ""
    connections: int = 0
    refused: int = 0
    open_now: int = 0
    logged_in: int = 0  # at this moment, by a password
    most_open: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)  # all but writes, with the names in them
    largest_write: int = 0
    written: int = 0  # bytes, those that were written again as well
    taken: list[str] = field(default_factory=list)
    renames: list[tuple[str, list[str]]] = field(default_factory=list)  # the final name, and what was visible just before
    writing: threading.Event = field(default_factory=threading.Event)
    live: set[asyncssh.SSHServerConnection] = field(default_factory=set)

    def visible(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def all_closed(self) -> bool:
        """Whether every client has hung up; the server hears of it a little later."""
        give_up = time.monotonic() + 10
        while self.open_now and time.monotonic() < give_up:
            time.sleep(0.02)
        return self.open_now == 0


@contextlib.contextmanager
def recording_server(folder: Path, **options: Any) -> Iterator[RecordingServer]:
    """Serve `folder` until the end of the block, in a thread of its own. `options` are those of `asyncssh.listen`."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    record = RecordingServer(folder, fingerprint=keys[0].get_fingerprint(), public_key=keys[0].export_public_key().decode().strip())
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            record.port,
            server_factory=lambda: _Server(record),
            sftp_factory=lambda channel: _Files(channel, record),
            **{"server_host_keys": keys[-1:], **options},
        )

    listeners = [loop.run_until_complete(listen())]
    record.port = listeners[0].get_port()

    async def end() -> None:
        listeners.pop().close()
        for connection in [*record.live]:
            connection.abort()

    async def begin(pause_seconds: float) -> None:
        await asyncio.sleep(pause_seconds)
        listeners.append(await listen())

    def restart(pause_seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        asyncio.run_coroutine_threadsafe(begin(pause_seconds), loop)

    record.restart = restart
    record.change_key = lambda: keys.append(asyncssh.generate_private_key("ssh-ed25519"))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def close() -> None:
        for listener in listeners:
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
        self._record, self._logged_in = record, False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        record = self._record
        record.connections += 1
        record.open_now += 1
        self._connection = conn
        if record.connections <= record.drop or (record.most is not None and record.open_now > record.most):
            record.refused += 1
            conn.abort()
            return
        record.most_open = max(record.most_open, record.open_now)
        record.live.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._record.open_now -= 1
        self._record.logged_in -= self._logged_in
        self._record.live.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return self._record.interactive is None

    def validate_password(self, username: str, password: str) -> bool:
        self._record.logins.append((username, password))
        if self._record.expired:
            raise asyncssh.PasswordChangeRequired("for the test")
        if self._record.most_logins is not None and self._record.logged_in >= self._record.most_logins:
            self._record.refused += 1
            return False
        self._logged_in = (username, password) == (USERNAME, PASSWORD)
        self._record.logged_in += self._logged_in
        return self._logged_in

    def kbdint_auth_supported(self) -> bool:
        return self._record.interactive is not None

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", self._record.interactive

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        self._record.logins.append((username, "|".join(responses)))
        if self._record.expired:
            return "", "", "", [("New password: ", False), ("Again: ", False)]
        expected = ["" if shown else PASSWORD for _, shown in self._record.interactive or []]
        return (username, list(responses)) == (USERNAME, expected)


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, record: RecordingServer) -> None:
        super().__init__(channel, chroot=str(record.folder).encode())
        self._channel, self._record = channel, record

    async def _asked(self, operation: str, *paths: bytes) -> None:
        record = self._record
        if operation != "write":
            record.operations.append(" ".join([operation, *(Path(path.decode()).name for path in paths)]))
        while operation in record.stall or (operation == "write" and record.stall_writes):
            await asyncio.sleep(0.05)
            if self._channel.get_connection() not in record.live:  # its client has hung up
                raise asyncssh.SFTPConnectionLost("for the test")
        if operation in record.refuse and not (operation == "write" and record.refuse_from_byte is not None):
            raise record.refuse[operation]("for the test")

    async def _done(self, operation: str) -> None:
        """It is done; what is left is to say so."""
        record = self._record
        if operation in record.lose_answer:
            record.lose_answer.discard(operation)
            self._channel.get_connection().abort()
        if operation in record.mute:
            record.mute.discard(operation)
            await asyncio.sleep(60)
        if operation in record.refuse_when_done:
            raise asyncssh.SFTPFailure("for the test")

    def _take(self, path: bytes) -> None:
        if self._record.takes:
            name = Path(path.decode()).name
            (self._record.folder / name).unlink()
            self._record.taken.append(name)

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        await self._asked("open", path)
        return super().open(path, pflags, attrs)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        record = self._record
        record.writing.set()
        record.largest_write = max(record.largest_write, len(data))
        end = offset + len(data)
        record.written += len(data)
        if record.cut_at_byte is not None and end > record.cut_at_byte:
            record.cut_at_byte = None
            self._channel.get_connection().abort()
        await self._asked("write")
        if record.refuse_from_byte is not None and record.refuse_from_byte < end <= (record.refuse_to_byte or end):
            raise record.refuse["write"]("for the test")
        if record.corrupts and offset == 0:
            data = b"?" + data[1:]
        return int(super().write(file_obj, offset, data))  # type: ignore[arg-type]

    async def close(self, file_obj: object) -> None:
        super().close(file_obj)
        await self._asked("close")

    async def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        await self._asked("stat", path)
        attributes = asyncssh.SFTPAttrs.from_local(super().stat(path))  # type: ignore[arg-type]
        if self._record.sizes != "told":
            attributes.size = None
        elif attributes.size is not None:
            early = Path(path.decode()).name.endswith(".part") and self._record.early_looks > 0
            self._record.early_looks -= early
            attributes.size = 0 if early else attributes.size + self._record.size_error
        return attributes

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        await self._asked("list")
        async for name in super().scandir(path):
            if self._record.sizes == "secret":
                name.attrs.size = None
            yield name

    async def remove(self, path: bytes) -> None:
        await self._asked("remove", path)
        super().remove(path)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._record.renames.append((Path(newpath.decode()).name, self._record.visible()))
        await self._asked("rename", oldpath, newpath)
        if Path(newpath.decode()).name == self._record.refuse_renaming_to and Path(oldpath.decode()).suffix == ".part":
            raise asyncssh.SFTPFailure("for the test")
        if self._record.replaces:
            super().posix_rename(oldpath, newpath)
        else:
            super().rename(oldpath, newpath)
        self._take(newpath)
        await self._done("rename")

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._record.renames.append((Path(newpath.decode()).name, self._record.visible()))
        await self._asked("posix_rename", oldpath, newpath)
        super().posix_rename(oldpath, newpath)
        self._take(newpath)
        await self._done("posix_rename")


def config_of(recorder: RecordingServer, **keys: Any) -> SftpPasswordConfig:
    """Its folder as a destination, by password, with its key pinned; `keys` win."""
    login: dict[str, Any] = {"host": "127.0.0.1", "port": recorder.port, "username": USERNAME, "password_env": PASSWORD_ENV}
    place: dict[str, Any] = {"kind": "sftp_password", "path": "/", "host_key_fingerprint": recorder.fingerprint}
    return SftpPasswordConfig(**(login | place | keys))


def recorded_target(recorder: RecordingServer, **keys: Any) -> Target:
    return Target(config_of(recorder, **keys), recorder.folder)
