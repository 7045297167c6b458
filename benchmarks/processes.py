"""Whole processes, timed: what all benchmarks of commands share."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

LOOKS_SECONDS = 0.1


def timed(command: list[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Seconds, and peak MiB of the largest process: that which was started, or one below it, such as Spark's JVM.

    Exits with what the process said where it fails.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        with _watched(process.pid) as peaks:
            process.wait()
            seconds = time.monotonic() - started
        errors.seek(0)
        told = errors.read()
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}\n{told.decode(errors='replace')[-3000:]}")
    return seconds, max(peaks)


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """The peaks of a process and of all below it, in MiB, as far as they were seen."""
    peaks, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(LOOKS_SECONDS):
            peaks.append(max(map(_peak_mib, _family(pid))))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def _peak_mib(pid: int) -> float:
    with suppress(OSError, StopIteration):
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return 0
