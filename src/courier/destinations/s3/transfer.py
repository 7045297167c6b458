"""Several parts of one file on their way at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from courier.destinations.base import Keep
from courier.destinations.s3.client import PARTS_IN_FLIGHT
from courier.destinations.s3.parts import Part, Upload, size_of_parts

#: How long a transfer that is given up waits for the parts in flight, which end at their next block unless the network hangs.
STOP_SECONDS = 5.0

SendPart = Callable[[Upload, int, bytearray, threading.Event], Part]


class Transfer:
    """Parts arrive in any order. `upload` has those without a gap, and each time it grows by a whole part it is kept."""

    def __init__(self, upload: Upload, send_part: SendPart, keep: Keep) -> None:
        self.upload, self._send_part, self._keep = upload, send_part, keep
        self._stop = threading.Event()
        self._arrived: dict[int, Part] = {}
        self._running: dict[Future[Part], int] = {}
        self._pool = ThreadPoolExecutor(PARTS_IN_FLIGHT, thread_name_prefix="s3-part")

    def run(self, parts: Iterable[tuple[int, bytearray]]) -> Upload:
        """Send all. The first error ends it, with what has arrived by then kept."""
        try:
            for number, part in parts:
                self._collect(wait_for_one=len(self._running) == PARTS_IN_FLIGHT)
                self._running[self._pool.submit(self._send_part, self.upload, number, part, self._stop)] = number
            while self._running:
                self._collect(wait_for_one=True)
        except BaseException:
            self._give_up()
            raise
        self._pool.shutdown()
        return self.upload

    def _collect(self, *, wait_for_one: bool) -> None:
        for future in wait(self._running, None if wait_for_one else 0, FIRST_COMPLETED).done:
            self._arrived[self._running.pop(future)] = future.result()
        while (number := len(self.upload.parts) + 1) in self._arrived:
            self.upload = self.upload.plus(self._arrived.pop(number))
            if self.upload.size == size_of_parts(number, self.upload.part_bytes):  # a smaller part is the last: nothing can go on after it
                self._keep(self.upload.staged())

    def _give_up(self) -> None:
        """Promptly: what is in flight stops at its next block. What had arrived but was not looked at yet is kept all the same."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        done = wait(self._running, STOP_SECONDS).done
        self._running = {future: self._running[future] for future in done if not future.cancelled() and future.exception() is None}
        if self._running:
            self._collect(wait_for_one=False)
