"""Kill runs and cut their connections at random points, and count what a platform would have seen.

    python benchmarks/fault_run.py [--faults 300] [--seed 1] [--rows 2500]

Each round is one run of jobs/activate.py with several files to a local folder, an OpenSSH server or an S3 server. It is
killed (SIGKILL), or all its connections are cut, at random points; then it is started again with the same run_id until it
ends well, or, in every fifth round, another run of the activation comes after it. Meanwhile a watcher lists the target
every few milliseconds, compares every new file with what it must be, and in every other round plays a platform that takes
a file away as soon as it sees it.

Five figures: incomplete files seen under a final name, files lost, files sent twice, leftovers after the next start, and
faults that struck while files were being delivered (the others struck before or after).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3

from courier.synthetic import SEGMENTS, write_profiles

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
SEGMENT = next(iter(SEGMENTS))
LOOK_SECONDS = 0.003
#: A run is given up after so many starts; none should need them.
MOST_STARTS = 12
#: Its uploads are all of the year 2010; a real store says when each began, and what began before a run is not touched.
MOTO = """
import sys
from moto.s3.responses import S3Response
from moto.server import main
serialized = S3Response.serialized
def in_time(self, result):
    for upload in result.result.get("Uploads", []) if isinstance(result.result, dict) else []:
        upload["Initiated"] = "2100-01-01T00:00:00.000Z"
    return serialized(self, result)
S3Response.serialized = in_time
main(sys.argv[1:])
"""


class Reached(Protocol):
    """A target as the job sees it."""

    @property
    def overrides(self) -> list[str]: ...

    @property
    def secrets(self) -> dict[str, str]: ...


class Shelf(Reached, Protocol):
    """The target as the platform sees it."""

    port: int

    def visible(self) -> dict[str, str]:
        """Final name → SHA-256 of what is there now."""

    def take(self, name: str) -> None: ...

    def hidden(self) -> list[str]: ...

    def clear(self) -> None: ...


@dataclass
class FolderShelf:
    """A folder on this machine's disk, which a server may write to. Contents are read once, when a name is new."""

    folder: Path
    overrides: list[str]
    secrets: dict[str, str] = field(default_factory=dict)
    port: int = 0
    _read: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def visible(self) -> dict[str, str]:
        found = {}
        for entry in os.scandir(self.folder):
            if not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    key = (entry.name, status.st_ino, status.st_size)
                    if key not in self._read:
                        self._read[key] = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
                    found[entry.name] = self._read[key]
        return found

    def take(self, name: str) -> None:
        (self.folder / name).unlink()

    def hidden(self) -> list[str]:
        return [entry.name for entry in os.scandir(self.folder) if entry.name.startswith(".")]

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@dataclass
class BucketShelf:
    client: Any
    bucket: str
    overrides: list[str]
    secrets: dict[str, str]
    port: int
    _read: dict[tuple[str, str], str] = field(default_factory=dict)

    def visible(self) -> dict[str, str]:
        found = {}
        for each in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            key = (each["Key"], f"{each['ETag']}{each['LastModified']}")
            with contextlib.suppress(self.client.exceptions.NoSuchKey):
                if key not in self._read:
                    self._read[key] = hashlib.sha256(self.client.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read()).hexdigest()
                found[each["Key"]] = self._read[key]
        return found

    def take(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=name)

    def hidden(self) -> list[str]:
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]

    def clear(self) -> None:
        for name in self.visible():
            self.take(name)
        for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])


class Watcher(threading.Thread):
    """Looks at the shelf all the time. A name that comes back after it was taken was sent twice."""

    def __init__(self, shelf: Shelf, expected: dict[str, str], *, takes: bool) -> None:
        super().__init__(daemon=True)
        self._shelf, self._expected, self._takes = shelf, expected, takes
        self._ended = threading.Event()
        self.incomplete: list[str] = []
        self.taken: Counter[str] = Counter()
        self.looks = 0

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.looks += 1
            for name, sha256 in self._shelf.visible().items():
                wanted = self._expected.get(name.partition("~")[2])
                if wanted and sha256 != wanted:
                    self.incomplete.append(name)
                if wanted and self._takes:
                    self._shelf.take(name)
                    self.taken[name] += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


class Wire:
    """A TCP proxy whose connections can all be cut, and which is slow, so that there is something to cut."""

    def __init__(self, port: int, bytes_per_second: int) -> None:
        self._port, self._rate = port, bytes_per_second
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets |= {client, server}
            threading.Thread(target=self._pump, args=(client, server, self._rate), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, 0), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, rate: int) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
                if rate:
                    time.sleep(len(block) / rate)
        self._close(source, target)

    def _close(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            self._sockets.discard(each)

    def cut(self) -> None:
        self._close(*list(self._sockets))


@dataclass
class Round:
    """One run with its faults."""

    shelf: Reached
    folder: Path
    profiles: Path
    run_id: str
    wire: Wire | None

    def start(self, run_id: str | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "jobs" / "activate.py"), "activation=demo", f"source.path={self.profiles}"]
        command += [f"run_id={run_id or self.run_id}", "as_of=2026-11-01T00:00:00Z", "checks=none"]
        command += ["file.name='{run_id}~part'", "destination.connections=3", *self.shelf.overrides]
        environment = {**os.environ, **self.shelf.secrets}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=(self.folder / "stderr").open("wb")
        )

    def journal(self) -> bool:
        return (self.folder / "state" / "runs" / self.run_id / "journal.json").exists()

    def published(self) -> bool:
        journal = self.folder / "state" / "runs" / self.run_id / "journal.json"
        return journal.exists() and json.loads(journal.read_text())["phase"] == "published"

    def strike(self, process: subprocess.Popen[bytes], dice: random.Random, longest: float) -> bool:
        """Kill the process or cut its connections, mostly while it delivers. Whether it was running."""
        if dice.random() < 0.85:
            while process.poll() is None and not self.journal():
                time.sleep(0.002)
            time.sleep(dice.uniform(0, longest))
        else:
            time.sleep(dice.uniform(0, 4))
        if process.poll() is not None:
            return False
        if self.wire is None or dice.random() < 0.6:
            process.send_signal(signal.SIGKILL)
        else:
            self.wire.cut()
        return self.journal()


@contextlib.contextmanager
def shelves(folder: Path) -> Iterator[dict[str, Shelf]]:
    """A local folder, a folder behind OpenSSH, and a bucket, the last two behind slow wires."""
    from servers import openssh_server

    with openssh_server() as server, moto() as port:
        local = FolderShelf(folder / "out", ["destination=local", f"destination.path={folder / 'out'}"])
        local.folder.mkdir()
        sftp = [
            "destination=sftp_key",
            f"destination.host={server.host}",
            "destination.port=PORT",
            f"destination.username={server.username}",
        ]
        sftp += [f"destination.key_file={server.keys['ed25519']}", f"destination.host_key_fingerprint='{server.host_key_fingerprint}'"]
        endpoint = f"http://127.0.0.1:{port}"
        login: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        client = boto3.client("s3", endpoint_url=endpoint, **login)
        client.create_bucket(Bucket="audiences")
        s3 = [
            "destination=s3",
            "destination.bucket=audiences",
            "destination.region=us-east-1",
            "destination.endpoint_url='http://127.0.0.1:PORT'",
        ]
        s3 += ["destination.access_key_id_env=FAULT_KEY", "destination.secret_access_key_env=FAULT_SECRET"]
        yield {
            "local": local,
            "sftp": FolderShelf(server.inbox, [*sftp, f"destination.path={server.remote_inbox}"], {}, server.port),
            "s3": BucketShelf(client, "audiences", s3, {"FAULT_KEY": "key", "FAULT_SECRET": "secret"}, port),
        }


@contextlib.contextmanager
def moto() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", MOTO, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profiles", type=int, default=60_000)
    parser.add_argument("--rows", type=int, default=2_500, help="of each file; with fewer, a run has many small files")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="courier-faults-") as name:
        folder = Path(name)
        write_profiles(folder / "profiles", options.profiles)
        split = f"file.max_rows={options.rows}"
        expected = reference(folder, folder / "profiles", split)
        with shelves(folder) as targets:
            for target in targets.values():
                target.overrides.append(split)
            number = 0
            while totals["faults"] < options.faults:
                number += 1
                kind = ("sftp", "s3", "local")[number % 3]
                one_round(dice, number, kind, targets[kind], folder, expected, totals)
                print(f"\r{totals['faults']} faults, {number} rounds: {dict(totals)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"faults: {totals['faults']} ({totals['kills and cuts while delivering']} while files were delivered), in {number} runs")
    for figure in ("incomplete files seen", "lost", "sent twice", "leftovers after the next start", "runs that did not end well"):
        print(f"{figure}: {totals[figure]}")
    print(f"looks at the targets: {totals['looks']}, files seen and taken: {totals['taken']}")
    bad = sum(
        totals[figure]
        for figure in ("incomplete files seen", "lost", "sent twice", "leftovers after the next start", "runs that did not end well")
    )
    sys.exit(bool(bad))


def reference(folder: Path, profiles: Path, split: str) -> dict[str, str]:
    """What each file must be, from a run that nothing disturbs."""
    out = folder / "reference"
    out.mkdir()
    shelf = FolderShelf(out, ["destination=local", f"destination.path={out}", split])
    undisturbed = Round(shelf, folder, profiles, "reference", None)
    if undisturbed.start().wait():
        sys.exit((folder / "stderr").read_text())
    shutil.rmtree(folder / "state")
    return {name.partition("~")[2]: sha256 for name, sha256 in shelf.visible().items() if "~" in name}


def one_round(
    dice: random.Random, number: int, kind: str, shelf: Shelf, folder: Path, expected: dict[str, str], totals: Counter[str]
) -> None:
    shelf.clear()
    shutil.rmtree(folder / "state", ignore_errors=True)
    wire = Wire(shelf.port, 4_000_000) if shelf.port else None
    overrides = [text.replace("PORT", str(wire.port)) if wire else text for text in shelf.overrides]
    round_ = Round(Aimed(shelf, overrides), folder, folder / "profiles", f"run-{number}", wire)
    watcher = Watcher(shelf, expected, takes=number % 2 == 0)
    watcher.start()
    code = None
    for start in range(MOST_STARTS):
        process = round_.start()
        if start < dice.choice([1, 1, 2, 3]):
            totals["kills and cuts while delivering"] += round_.strike(process, dice, longest=0.6 if kind == "local" else 1.5)
            totals["faults"] += 1
        code = process.wait()
        if code == 0 or (number % 5 == 0 and start == 0):
            break
    superseded = code != 0
    if superseded:  # another run comes instead
        process = round_.start(f"run-{number}-next")
        code = process.wait()
    time.sleep(0.05)
    watcher.end()
    settle(round_, watcher, shelf, expected, code or 0, superseded=superseded, totals=totals)


@dataclass
class Aimed:
    """A shelf that is reached over a wire."""

    shelf: Shelf
    overrides: list[str]

    @property
    def secrets(self) -> dict[str, str]:
        return self.shelf.secrets


def settle(
    round_: Round, watcher: Watcher, shelf: Shelf, expected: dict[str, str], code: int, *, superseded: bool, totals: Counter[str]
) -> None:
    """Count what this round left."""
    visible = shelf.visible()
    final = f"{round_.run_id}-next" if superseded else round_.run_id
    there = {name for name in [*visible, *watcher.taken] if name.startswith(f"{final}~")}
    found = Counter[str]()
    found["incomplete files seen"] = len(set(watcher.incomplete))
    found["lost"] = len(expected) - len(there)
    found["sent twice"] = sum(times > 1 for times in watcher.taken.values())
    # A run that had published everything when it was killed is not dead, and its files stay.
    dead = [name for name in visible if superseded and not round_.published() and name.startswith(f"{round_.run_id}~")]
    found["leftovers after the next start"] = len(shelf.hidden()) + len(dead)
    found["runs that did not end well"] = int(code != 0)
    if +found:
        print(
            f"\n{round_.run_id} ({type(shelf).__name__}): {dict(+found)}; superseded={superseded}; hidden {shelf.hidden()}; dead {dead}",
            file=sys.stderr,
        )
        print((round_.folder / "stderr").read_text()[-600:], file=sys.stderr)
    totals.update(found)
    totals["looks"] += watcher.looks
    totals["taken"] += watcher.taken.total()


if __name__ == "__main__":
    main()
