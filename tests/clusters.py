"""A Spark cluster of separate processes on loopback, the jars for S3, and spark-submit; all of the installed pyspark package."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyspark
import servers
from servers import HOST

REPOSITORY = Path(__file__).parents[1]
SPARK_HOME = Path(pyspark.__file__).parent
JARS = Path(os.environ.get("COURIER_JARS", Path.home() / ".cache" / "audience-courier" / "jars"))
EXECUTOR = b"CoarseGrainedExecutorBackend"
S3_JARS = ("hadoop-aws-", "bundle-", "analyticsaccelerator-s3-")


@dataclass(frozen=True)
class Cluster:
    """A master, and workers whose executors are processes of their own."""

    master: str
    workers: list[int]

    def executors(self) -> list[int]:
        """The processes of executors that live now."""
        return [pid for worker in self.workers for pid in servers._descendants(worker) if EXECUTOR in _command(pid)]


@dataclass
class Submitted:
    """A spark-submit under way, or ended. `code` waits for it."""

    process: subprocess.Popen[str]
    folder: Path
    output: list[str]
    reader: threading.Thread

    def code(self, timeout: float = 600) -> int:
        code = self.process.wait(timeout)
        self.reader.join(10)
        return code

    @property
    def text(self) -> str:
        return "".join(self.output)


def fetched_jars() -> str | None:
    """Why the jars are not there; None where they are."""
    done = subprocess.run([str(REPOSITORY / "scripts" / "jars"), str(JARS)], capture_output=True, text=True, timeout=900, check=False)
    return None if done.returncode == 0 else done.stdout.strip() or done.stderr.strip()[-300:]


def s3_jars() -> list[str]:
    return [str(path) for path in sorted(JARS.glob("*.jar")) if path.name.startswith(S3_JARS)]


@contextlib.contextmanager
def standalone_cluster(folder: Path, workers: int = 2, cores: int = 2) -> Iterator[Cluster]:
    """Each worker has a folder of its own, and starts one executor for an application.

    They are at different addresses, since Spark never runs two attempts of a task on one host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        _, port = _started(stack, folder / "master.log", ["master.Master", "--host", HOST, "--webui-port", "0"], "Starting Spark master")
        url = f"spark://{HOST}:{port}"
        found = []
        for number in range(workers):
            host = f"127.0.0.{number + 1}"
            options = ["--host", host, "--webui-port", "0", "--cores", str(cores), "--memory", "2g"]
            arguments = ["worker.Worker", *options, "--work-dir", str(folder / f"worker-{number}")]
            process, _ = _started(stack, folder / f"worker-{number}.log", arguments, "Successfully registered", url, host=host)
            found.append(process.pid)
        yield Cluster(url, found)


def missing_compiler() -> str | None:
    """Hadoop's mini cluster is started from a source file, which a Java without a compiler cannot do."""
    return None if shutil.which("javac") else "a JDK is missing (only a JRE is there): apt-get install openjdk-17-jdk-headless"


@contextlib.contextmanager
def yarn_cluster(folder: Path) -> Iterator[Path]:
    """The folder of the configuration that clients need (HADOOP_CONF_DIR). Resource and node managers are one process."""
    conf = folder / "conf"
    conf.mkdir(parents=True)
    mini = [str(path) for path in sorted(JARS.glob("*.jar")) if not path.name.startswith(S3_JARS)]
    classes = ":".join([*mini, f"{SPARK_HOME}/jars/*"])
    opened = "--add-opens=java.base/java.lang=ALL-UNNAMED"
    program = str(REPOSITORY / "tests" / "cluster" / "MiniYarn.java")
    log = folder / "yarn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["java", "-Xmx512m", opened, "-cp", classes, program, str(conf)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        give_up = time.monotonic() + 180
        while not any(line.startswith("READY") for line in log.read_text(errors="replace").splitlines()):
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < give_up, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        yield conf
    finally:
        servers._stop(process)


def _started(
    stack: contextlib.ExitStack, log: Path, arguments: list[str], ready: str, *last: str, host: str = HOST
) -> tuple[subprocess.Popen[bytes], int]:
    environment = {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": host, "SPARK_DAEMON_MEMORY": "512m", "PATH": os.environ["PATH"]}
    kind, *options = arguments

    def command(port: int) -> list[str]:
        start = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}"]
        return [*start, *options, "--port", str(port), *last]

    process, port = servers._start(command, environment, log, lambda _: ready in log.read_text(errors="replace"))
    stack.callback(servers._stop, process)
    return process, port


def submit(
    folder: Path, master: str, job: Path, *arguments: str, settings: dict[str, str], python: str = sys.executable, **environment: str
) -> Submitted:
    """Start spark-submit in `folder`."""
    given = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, *given, str(job), *arguments]
    return start(command, folder, PYSPARK_PYTHON=python, PYSPARK_DRIVER_PYTHON=python, **environment)


def start(command: list[str], folder: Path, **environment: str) -> Submitted:
    """Start what submits, with an environment that has nothing of this process but the way to Java and Spark."""
    own = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**own, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": HOST, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=output.extend, args=(process.stdout,), daemon=True)
    reader.start()
    return Submitted(process, folder, output, reader)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def end(submitted: Submitted) -> None:
    if submitted.process.poll() is None:
        servers._stop(submitted.process)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
