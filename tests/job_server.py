"""Jobs that begin where their imports end: each is a process of its own, forked from one that has loaded what a job loads.

Most of the time of a small run is spent on imports, and the tests start very many. What comes after them is as it ever is:
its folder, environment, arguments and output, signals, the interpreter's end and its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

LOADED = ("courier.cli", "courier.destinations.local", "pandas", "pysail.spark", "pyspark.sql.connect.session")
SECONDS = 180


class JobServer:
    """Started when it is first needed; ends with the process that has started it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="courier-jobs-")
        self._address = str(Path(self._folder.name) / "socket")
        command = [sys.executable, __file__, self._address]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        atexit.register(self.close)

    def close(self) -> None:
        self._process.communicate()  # its end of the line is what it waits for
        self._folder.cleanup()

    def run(self, job: Path, arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
        """The exit code, and what was written to stdout and stderr."""
        with tempfile.TemporaryDirectory(dir=self._folder.name) as place, socket.socket(socket.AF_UNIX) as connection:
            written = [Path(place) / name for name in ("stdout", "stderr")]
            asked = {"job": str(job), "arguments": arguments, "folder": str(folder), "environment": environment, "umask": _umask()}
            connection.settimeout(SECONDS)
            connection.connect(self._address)
            connection.sendall(json.dumps({**asked, "written": [*map(str, written)]}).encode() + b"\n")
            with connection.makefile() as answers:
                pid = int(answers.readline())
                try:
                    code = int(answers.readline())
                except BaseException:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    raise
            return (code, *(file.read_text() for file in written))  # type: ignore[return-value]  # of two files two texts


@cache
def job_server() -> JobServer:
    return JobServer()


def _umask() -> int:
    """There is no way to learn it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _serve(address: str) -> dict[str, Any] | None:
    """Fork for each job that is asked for, and return in its process; in the server's own, when its starter ends, None."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for a job are waited for by nobody
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listener.close()
                    return _waited_for(connection)
    return None


def _waited_for(connection: socket.socket) -> dict[str, Any]:
    """Fork once more: one process is the job's, the other tells how it ends."""
    with connection.makefile("rw") as talk:
        asked: dict[str, Any] = json.loads(talk.readline())
        pid = os.fork()
        if pid:
            talk.write(f"{pid}\n")
            talk.flush()
            talk.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
            talk.flush()
            os._exit(0)
    connection.close()
    return asked


def _become(asked: dict[str, Any]) -> None:
    """What a new process would have from the start, and then the job's file as the main program."""
    os.chdir(asked["folder"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, name in enumerate([os.devnull, *asked["written"]]):
        file = os.open(name, os.O_RDWR if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv[:] = [asked["job"], *asked["arguments"]]
    sys.path[0] = str(Path(asked["job"]).parent)
    runpy.run_path(asked["job"], run_name="__main__")


if __name__ == "__main__":
    for each in LOADED:
        importlib.import_module(each)
    gc.freeze()  # what is loaded is shared by all
    if job := _serve(sys.argv[1]):
        _become(job)
