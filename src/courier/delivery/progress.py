"""What a delivery tells while it goes on: nothing, log lines, or bars on a terminal."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self

log = logging.getLogger(__name__)

#: A file that takes long says so at this pace where there is no terminal.
SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Called from several threads. Files are known by their final names."""

    def started(self, name: str, rows: int) -> None:
        """A file is being sent, from its beginning or from where an earlier attempt ended."""

    def sent(self, name: str, size: int) -> None:
        """So many bytes of it went to the transport."""

    def staged(self, name: str, size: int) -> None:
        """All its bytes are at the destination, unseen."""

    def published(self, name: str) -> None:
        """It is visible."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Silence:
    """Tells nothing."""

    def started(self, name: str, rows: int) -> None: ...
    def sent(self, name: str, size: int) -> None: ...
    def staged(self, name: str, size: int) -> None: ...
    def published(self, name: str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Lines(Silence):
    """One log line a file and step, and one every half a minute for a file that takes long."""

    def __init__(self) -> None:
        self._mutex, self._last_line = threading.Lock(), dict[str, float]()

    def started(self, name: str, rows: int) -> None:
        with self._mutex:
            self._last_line[name] = time.monotonic()

    def sent(self, name: str, size: int) -> None:
        with self._mutex:
            now = time.monotonic()
            due = now - self._last_line.setdefault(name, now) >= SECONDS_BETWEEN_LINES
            if due:
                self._last_line[name] = now
        if due:
            log.info("%s: %s bytes sent", name, f"{size:,}")

    def staged(self, name: str, size: int) -> None:
        log.info("%s: all %s bytes are at the destination, unseen", name, f"{size:,}")

    def published(self, name: str) -> None:
        log.info("%s: published", name)


class Bars(Silence):
    """One bar a file, on the terminal. How many bytes a file will have is not known before its end, so a bar pulses and counts."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  only a terminal needs it
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415  see above
        from rich.progress import Progress as RichProgress  # noqa: PLC0415  see above

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = RichProgress(*columns, console=Console(stderr=True))
        self._mutex, self._tasks = threading.Lock(), dict[str, Any]()  # by name: rich's id of the bar

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def _task(self, name: str) -> Any:
        with self._mutex:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=None)
            return self._tasks[name]

    def sent(self, name: str, size: int) -> None:
        self._bars.update(self._task(name), completed=size)

    def staged(self, name: str, size: int) -> None:
        self._bars.update(self._task(name), completed=size, total=max(1, size))

    def published(self, name: str) -> None:
        self._bars.update(self._task(name), description=f"{name} ✓")
