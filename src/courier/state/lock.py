"""One run of an activation at a time: a lock with an owner and a lease.

The owner renews its lease while it lives. Another run may take the lock over once the lease has ended, or at once where
the owner was a process of this machine that is no more. Machines that share a state store must agree on the time to
within a fraction of the lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from courier.errors import BusyError, CourierError
from courier.state.base import Store
from courier.stored import checked


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. `machine` and `process` tell whether the owner can still be alive, as seen from the same machine."""

    token: str
    run_id: str
    machine: str
    process: str
    expires_at: float  # seconds since 1970

    def as_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def is_over(self, now: float) -> bool:
        return now >= self.expires_at or (self.machine == _machine() and not _alive(self.process))


class Lock:
    """A held lock. Ask `assert_held` before anything that two runs must not both do, and `assert_live` between its steps.

    Whose it is, is told by what is in the store and never by what the store answers: an answer can be lost, and a conditional
    write whose answer was lost and that is repeated is refused, as if another had been quicker.
    """

    def __init__(self, store: Store, key: str, run_id: str, lease_seconds: float) -> None:
        self._store, self._key, self._lease = store, key, lease_seconds
        self._owner = Owner(uuid.uuid4().hex, run_id, _machine(), _process(os.getpid()), 0)
        self._mutex = threading.RLock()  # so that a renewal at the same moment is not taken for a loss
        self._live_until = 0.0  # nobody takes it over before, by what was last written
        self.lost = False  # whether it is known that another run has taken it over

    def take(self) -> None:
        """Raise BusyError where another run holds it."""
        for _ in range(3):  # another run may be a moment quicker
            before = self._store.read(self._key)
            owner = _parsed(before)
            if owner is not None and not owner.is_over(time.time()):
                raise BusyError(
                    "Another run of this activation is under way",
                    where=self._store.shown(self._key),
                    found=f"run {owner.run_id}, process {owner.process.partition('/')[0]} on {owner.machine.partition('/')[0]}",
                    fix=f"wait for it; if it was killed, its lock ends in {max(1, round(owner.expires_at - time.time()))} seconds",
                )
            if self._set(before):
                return
        raise BusyError("Another run of this activation was a moment quicker", where=self._store.shown(self._key))

    def _set(self, before: bytes | None) -> bool:
        mine = Owner(**{**asdict(self._owner), "expires_at": time.time() + self._lease}).as_bytes()
        self._store.swap(self._key, before, mine)
        owner = _parsed(self._store.read(self._key))
        if owner is None or owner.token != self._owner.token:
            return False
        self._live_until = owner.expires_at
        return True

    def _is_ours(self, value: bytes | None) -> bool:
        owner = _parsed(value)
        return owner is not None and owner.token == self._owner.token

    def renew(self) -> None:
        with self._mutex:
            before = self._store.read(self._key)
            self.lost = not (self._is_ours(before) and self._set(before))

    def assert_held(self) -> None:
        """Raise BusyError where another run has taken the lock over, because this one was silent for too long. A lease that has
        ended, and that nobody took over yet, begins anew.
        """
        with self._mutex:
            before = self._store.read(self._key)
            self.lost = not self._is_ours(before) or (self._is_over and not self._set(before))
        if self.lost:
            raise BusyError(
                "This run has lost its lock: it has published nothing more, and leaves what it sent to the run that has it now",
                where=self._store.shown(self._key),
                fix="see whether the machine was asleep, and whether state.lease_seconds is long enough",
            )

    @property
    def _is_over(self) -> bool:
        return time.time() >= self._live_until

    def assert_live(self) -> None:
        """As `assert_held`, which costs nothing while the lease lasts: after that, another run may be at work on the same files,
        also where the store does not answer and so nobody knows.
        """
        if self.lost or self._is_over:
            self.assert_held()

    def release(self) -> None:
        """By a swap for a lease that has ended: to delete it could take away the lock of who took it over a moment before."""
        with self._mutex:
            before = self._store.read(self._key)
            if self._is_ours(before):
                self._store.swap(self._key, before, self._owner.as_bytes())


@contextlib.contextmanager
def locked(store: Store, activation: str, run_id: str, lease_seconds: float) -> Iterator[Lock]:
    """Hold the activation's lock, and renew it three times a lease."""
    lock = Lock(store, f"locks/{activation}.json", run_id, lease_seconds)
    lock.take()
    ended = threading.Event()

    def keep_alive() -> None:
        while not ended.wait(lease_seconds / 3):
            with contextlib.suppress(CourierError):  # a store that fails now may answer at the next turn
                lock.renew()

    thread = threading.Thread(target=keep_alive, name="courier-lease", daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        ended.set()
        with contextlib.suppress(CourierError):
            lock.release()


def _parsed(value: bytes | None) -> Owner | None:
    if value is None:
        return None
    try:
        return checked(Owner(**json.loads(value)))
    except (ValueError, TypeError):
        return None  # written by no version that this one knows: nobody can renew it


def _machine() -> str:
    """This machine since it was started, and this container in it: process ids mean something only there."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return "/".join(parts)


def _process(pid: int) -> str:
    """The process's id and its time of birth, since ids are used again. Ended and not yet collected counts as gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{pid}/{fields[19] if fields[0] not in 'ZX' else 'ended'}"
    except (OSError, IndexError):
        return f"{pid}/"


def _alive(process: str) -> bool:
    try:
        pid = int(process.partition("/")[0])
        os.kill(pid, 0)
    except (ProcessLookupError, ValueError, OverflowError):  # or no number that a process can have
        return False
    except PermissionError:
        pass
    return _process(pid) == process
