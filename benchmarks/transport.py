"""Compare our delivery with the usual clients, against real servers on loopback.

    python benchmarks/transport.py [large] [larger] [delayed] [s3] [many] [many-delayed] [memory] [--rounds 3]

Each side is a whole process that sends the same files, timed in turn (A B C A B C …) after one round to warm up. Printed:
the median of each, its peak memory (largest process), and the median (and the least and most) over the rounds of its time
divided by ours in the same round: 1.3 means that it takes 1.3 times as long. Each run has an empty folder to send to, and
ours an empty state store. None is deleted before the end: ext4 is slow to make files for a minute after many were deleted. Ours is a delivery with all that belongs to it: conflict check, journal
on disk, SHA-256, verification, publication by rename. Servers share the cores, so these are figures of a whole machine.

    large         one file of 400 MB to OpenSSH: `sftp`, paramiko's `put`
    larger        one file of 2 GB to OpenSSH, of which the start is a smaller part: `sftp`
    delayed       one file of 64 MB to OpenSSH with 40 ms of delay: `rclone copyto`
    s3            one file of 400 MB to an S3 server: `rclone copyto`, `aws s3 cp`
    many          1,000 files of 100 KB to OpenSSH: one `sftp` batch
    many-delayed  the same 200 files with 20 ms of delay
    memory        one file of 4 GB to OpenSSH and to an S3 server: our peak memory
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from processes import timed

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))
MB = 1_000_000
#: What is written so in a command is another folder in each run.
INBOX, STATE = "@INBOX@", "@STATE@"
#: A new folder on this machine's disk, where it is one, and how the server calls it.
NewInbox = Callable[[], tuple[Path | None, str]]

OURS = f"""
import json, sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from courier.config import S3Config, SftpKeyConfig
from courier.garbage import seldom_collected
from deliveries import Sender
from targets import Target

kind, config, source, state = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])

def chunks(name):
    with (source / name).open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk

settings = (S3Config if kind == "s3" else SftpKeyConfig)(kind=kind, on_conflict="replace", **config)
sender = Sender(Target(settings, source), state, names=sorted(path.name for path in source.iterdir()), closing=[])
with seldom_collected():  # as the jobs do
    sender.send(chunks)
"""
PUT = """
import sys, paramiko
host, port, user, key, source, target = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key))
paramiko.SFTPClient.from_transport(transport).put(source, target)
transport.close()
"""


@dataclass(frozen=True)
class Place:
    """Files to send, and a folder for everything else."""

    source: Path
    work: Path

    @property
    def first(self) -> str:
        return str(next(self.source.iterdir()))


@contextlib.contextmanager
def place(count: int, size: int) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="courier-transport-") as name:
        folder = Path(name)
        (folder / "source").mkdir()
        block = os.urandom(MB)
        for number in range(count):
            with (folder / "source" / f"audience_{number:04d}.csv").open("wb") as file:
                for start in range(0, size, MB):
                    file.write(block[: min(MB, size - start)])
        yield Place(folder / "source", folder)


def compare(title: str, sides: dict[str, list[str]], environment: dict[str, str], rounds: int, inbox: NewInbox, where: Place) -> None:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, command in sides.items():
            folder, remote = inbox()
            state = tempfile.mkdtemp(prefix="state-", dir=where.work)
            found = timed(
                [part.replace(INBOX, remote).replace(STATE, state) for part in command], environment={**os.environ, **environment}
            )
            for file in folder.iterdir() if folder else ():
                os.truncate(file, 0)
            if number:
                figures[name].append(found)
    print(title)
    for name, measured in figures.items():
        ratios = sorted(each[0] / ours[0] for each, ours in zip(measured, figures["ours"], strict=True))
        seconds, peak = statistics.median(each[0] for each in measured), max(each[1] for each in measured)
        spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"  {name:<16} {seconds:8.2f} s   {statistics.median(ratios):5.2f} × ours {spread:<16} peak {peak:6.0f} MiB", flush=True)


def ours(kind: str, config: str, where: Place) -> list[str]:
    return [sys.executable, "-c", OURS, kind, config, str(where.source), STATE]


def over_sftp(title: str, count: int, size: int, rounds: int, delay: float, others: tuple[str, ...]) -> None:
    import json

    from delay_proxy import delay_proxy
    from servers import find_rclone, openssh_server
    from targets import new_inbox

    with place(count, size) as where, openssh_server() as server, contextlib.ExitStack() as opened:
        port = opened.enter_context(delay_proxy(server.port, delay)).port if delay else server.port
        key = str(server.keys["ed25519"])
        config = {"host": server.host, "port": port, "username": server.username, "key_file": key, "path": INBOX}
        sides = {"ours": ours("sftp_key", json.dumps({**config, "host_key_fingerprint": server.host_key_fingerprint}), where)}
        batch = where.work / "batch"
        batch.write_text("".join(f"put {path}\n" for path in sorted(where.source.iterdir())))
        (where.work / "rclone.conf").touch()
        remote = f":sftp,host={server.host},port={port},user={server.username},key_file={key},shell_type=none:{INBOX}/other.csv"
        commands = {
            "OpenSSH sftp": [
                "sftp",
                "-q",
                "-b",
                str(batch),
                "-i",
                key,
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
                "-P",
                str(port),
                f"{server.username}@{server.host}:{INBOX}/",
            ],
            "paramiko put": [
                sys.executable,
                "-c",
                PUT,
                server.host,
                str(port),
                server.username,
                key,
                where.first,
                f"{INBOX}/other.csv",
            ],
            "rclone copyto": [find_rclone(), "--config", str(where.work / "rclone.conf"), "copyto", "--ignore-times", where.first, remote],
        }
        compare(title, {**sides, **{name: commands[name] for name in others}}, {}, rounds, lambda: new_inbox(server), where)


def over_s3(title: str, size: int, rounds: int, *, alone: bool = False) -> None:
    import json

    from servers import find_rclone, rclone_s3_server

    with place(1, size) as where, rclone_s3_server() as server:
        config = {"bucket": server.bucket, "region": "us-east-1", "endpoint_url": server.endpoint_url}
        sides = {"ours": ours("s3", json.dumps(config), where)}
        (where.work / "rclone.conf").touch()
        if not alone:
            remote = f":s3,provider=Other,env_auth=true,endpoint='{server.endpoint_url}',force_path_style=true:{server.bucket}/rclone.csv"
            sides["rclone copyto"] = [
                find_rclone(),
                "--config",
                str(where.work / "rclone.conf"),
                "copyto",
                "--ignore-times",
                where.first,
                remote,
            ]
            if aws := shutil.which("aws"):
                to = [f"s3://{server.bucket}/aws.csv", "--endpoint-url", server.endpoint_url, "--only-show-errors"]
                sides["aws s3 cp"] = [aws, "s3", "cp", where.first, *to]
            else:
                print("aws is not installed, and left out")
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key, "AWS_REGION": "us-east-1"}
        compare(title, sides, keys, rounds, lambda: (None, ""), where)


def memory() -> None:
    over_sftp("one file of 4 GB over SFTP", 1, 4_000 * MB, 1, 0, ())
    over_s3("one file of 4 GB to S3", 4_000 * MB, 1, alone=True)


def main() -> None:
    scenarios: dict[str, Callable[[int], object]] = {
        "large": lambda rounds: over_sftp("one file of 400 MB over SFTP", 1, 400 * MB, rounds, 0, ("OpenSSH sftp", "paramiko put")),
        "larger": lambda rounds: over_sftp("one file of 2 GB over SFTP", 1, 2_000 * MB, rounds, 0, ("OpenSSH sftp",)),
        "delayed": lambda rounds: over_sftp("one file of 64 MB over SFTP, 40 ms away", 1, 64 * MB, rounds, 0.04, ("rclone copyto",)),
        "s3": lambda rounds: over_s3("one file of 400 MB to S3", 400 * MB, rounds),
        "many": lambda rounds: over_sftp("1,000 files of 100 KB over SFTP", 1_000, MB // 10, rounds, 0, ("OpenSSH sftp",)),
        "many-delayed": lambda rounds: over_sftp(
            "200 files of 100 KB over SFTP, 20 ms away", 200, MB // 10, rounds, 0.02, ("OpenSSH sftp",)
        ),
        "memory": lambda _: memory(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(scenarios))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.scenarios or scenarios:
        scenarios[name](options.rounds)


if __name__ == "__main__":
    main()
