"""Destinations of every kind on live servers, each in a folder of its own, and a look at that folder from outside."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from servers import S3Server, SftpServer

from courier.config import DestinationConfig, LocalConfig, S3Config, SftpKeyConfig, SftpPasswordConfig
from courier.destinations import Connection, Staged, open_destination

PASSWORD_ENV = "COURIER_TEST_PASSWORD"
PASSPHRASE_ENV = "COURIER_TEST_PASSPHRASE"
KEY_ENV = "COURIER_TEST_KEY"
ACCESS_KEY_ENV = "COURIER_TEST_ACCESS_KEY"
SECRET_KEY_ENV = "COURIER_TEST_SECRET_KEY"
RUN_ID = "run-1"
PART_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Target:
    """One destination. `folder` is where its files land on this machine's disk; `secrets` are the variables that it needs."""

    config: DestinationConfig
    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    uploads: Callable[[], list[str]] = list

    def connect(self) -> Connection:
        return open_destination(self.config, RUN_ID).connect()

    def everything(self) -> dict[str, bytes]:
        """Every file, hidden ones and those in folders too: name → bytes."""
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def visible(self) -> dict[str, bytes]:
        return {name: content for name, content in self.everything().items() if not hidden(name)}

    def leftovers(self) -> list[str]:
        """What nobody sees, and nobody should have to clean up: hidden files and uncompleted uploads."""
        return [name for name in self.everything() if hidden(name)] + self.uploads()

    def put(self, name: str, content: bytes) -> None:
        """Somebody else's file."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)

    def with_config(self, **changes: Any) -> Target:
        return replace(self, config=replace(self.config, **changes))

    def overrides(self) -> list[str]:
        """The command line that chooses this destination."""
        keys = {key: value for key, value in asdict(self.config).items() if value is not None and key not in ("kind", "name")}
        return [f"destination={self.config.kind}", *[f"destination.{key}={_quoted(value)}" for key, value in keys.items()]]


def hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def local_target(folder: Path) -> Target:
    return Target(LocalConfig(kind="local", path=str(folder / "out")), folder / "out")


def s3_client(server: S3Server) -> Any:
    import boto3  # not where SFTP is timed
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
    )


def s3_target(server: S3Server) -> Target:
    prefix = f"exports/{uuid.uuid4().hex}"

    def uploads() -> list[str]:
        listed = s3_client(server).list_multipart_uploads(Bucket=server.bucket)
        return [upload["Key"] for upload in listed.get("Uploads", []) if upload["Key"].startswith(prefix)]

    config = S3Config(
        kind="s3",
        bucket=server.bucket,
        path=prefix,
        region="us-east-1",
        endpoint_url=server.endpoint_url,
        access_key_id_env=ACCESS_KEY_ENV,
        secret_access_key_env=SECRET_KEY_ENV,
        part_bytes=PART_BYTES,
    )
    return Target(config, server.folder / prefix, {ACCESS_KEY_ENV: server.access_key, SECRET_KEY_ENV: server.secret_key}, uploads)


def new_inbox(server: SftpServer) -> tuple[Path, str]:
    """A new folder below the server's inbox, owned as the inbox is: on this machine's disk, and as the server calls it."""
    name = uuid.uuid4().hex
    folder = server.inbox / name
    folder.mkdir(mode=0o755)
    owner = server.inbox.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    return folder, f"{server.remote_inbox}/{name}"


def sftp_password_target(server: SftpServer) -> Target:
    folder, remote = new_inbox(server)
    config = SftpPasswordConfig(
        kind="sftp_password",
        host=server.host,
        port=server.port,
        username=server.username,
        password_env=PASSWORD_ENV,
        path=remote,
        known_hosts_file=str(server.known_hosts),
    )
    return Target(config, folder, {PASSWORD_ENV: server.password or ""})


def sftp_key_target(server: SftpServer, key: str, *, by_variable: bool = False) -> Target:
    """With the key as a file, or its text in a variable. A key whose name ends in `passphrase` gets that, too."""
    folder, remote = new_inbox(server)
    passphrase = key.endswith("passphrase")
    config = SftpKeyConfig(
        kind="sftp_key",
        host=server.host,
        port=server.port,
        username=server.username,
        path=remote,
        host_key_fingerprint=server.host_key_fingerprint,
        key_file=None if by_variable else str(server.keys[key]),
        key_env=KEY_ENV if by_variable else None,
        passphrase_env=PASSPHRASE_ENV if passphrase else None,
    )
    secrets = {KEY_ENV: server.keys[key].read_text()} if by_variable else {}
    return Target(config, folder, secrets | ({PASSPHRASE_ENV: server.passphrase} if passphrase else {}))


def ignore(_: Staged) -> None:
    """Nobody writes down how far it got."""


def pieces(content: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
