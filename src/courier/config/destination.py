"""Where files go: group destination."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.limits import SAFE_ID, S3Keys, at_least, check_references, inside, one_form, one_of, refers, required, required_secret
from courier.errors import ConfigError
from courier.names import split_path

#: Canned ACLs of S3, https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
#: What paramiko calls the kinds of algorithms that may be switched off.
ALGORITHM_KINDS = ("ciphers", "macs", "keys", "pubkeys", "kex", "gsskex")


@dataclass
class DestinationConfig:
    """What all destinations have. `name` appears in the manifest's name, `name` and `id` in file names."""

    kind: str = ""
    name: str = ""
    path: str = ""
    on_conflict: str = "fail"  # fail | replace: what to do where a file of that name exists
    connections: int = 4
    attempts: int = 12  # at one operation, while errors are transient
    retry_seconds: float = 300  # and no longer than this, with growing pauses in between
    manifest: bool = True
    id: str = ""

    GROUP: ClassVar[str] = "destination"

    @property
    def direct(self) -> bool:
        """Whether files are written under their final names at once."""
        return False

    @property
    def folder(self) -> str:
        """The fixed part of `path`: its folders before the first that has a macro. Names of files begin with the rest."""
        return split_path(self.path)[0]

    def __post_init__(self) -> None:
        check_references(self)
        self.name = self.name or self.kind
        self.id = self.id or self.name
        for key, value in (("name", self.name), ("id", self.id)):
            if not SAFE_ID.fullmatch(value):
                raise ConfigError(f"destination.{key} cannot be part of a file name", found=repr(value), expected="letters, digits, . _ -")
        if "://" in self.path:
            s3 = self.kind != "s3" and self.path.startswith("s3://")
            raise ConfigError(
                "destination.path is a folder, not an address",
                found=self.path,
                fix="for S3 choose destination=s3" if s3 else "the server or bucket is set apart: destination.host, destination.bucket",
            )
        one_of("destination.on_conflict", self.on_conflict, ("fail", "replace"))
        at_least("destination.connections", self.connections, 1)
        at_least("destination.attempts", self.attempts, 1)
        at_least("destination.retry_seconds", self.retry_seconds, 0)


@dataclass
class LocalConfig(DestinationConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        required("destination.path", self.path)


@dataclass
class S3Config(S3Keys, DestinationConfig):
    """An S3 bucket."""

    bucket: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    addressing: str = "auto"  # auto | path | virtual
    role_arn: str | None = None  # a role to assume by STS, with the credentials above
    role_external_id: str | None = None
    server_side_encryption: str | None = None  # AES256 (SSE-S3) | aws:kms | aws:kms:dsse; null: as the bucket does
    kms_key_id: str | None = None
    storage_class: str | None = None
    acl: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    checksums: str = "auto"  # auto | when_required | when_supported
    part_bytes: int = 16 * 1024 * 1024
    timeout_seconds: float = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        required("destination.bucket", self.bucket)
        inside("destination.path", self.path)
        one_of("destination.addressing", self.addressing, ("auto", "path", "virtual"))
        one_of("destination.checksums", self.checksums, ("auto", "when_required", "when_supported"))
        if self.server_side_encryption is not None:
            one_of("destination.server_side_encryption", self.server_side_encryption, ("AES256", "aws:kms", "aws:kms:dsse"))
        if self.kms_key_id and not (self.server_side_encryption or "").startswith("aws:kms"):
            raise ConfigError("destination.kms_key_id wants KMS", fix="set destination.server_side_encryption=aws:kms")
        if self.acl is not None:
            one_of("destination.acl", self.acl, ACLS)
        if len(self.tags) > 10:  # S3's own limit
            raise ConfigError("destination.tags has too many tags", found=str(len(self.tags)), expected="at most 10")
        if self.role_external_id and not self.role_arn:
            raise ConfigError("destination.role_external_id wants a role", fix="set destination.role_arn")
        at_least("destination.part_bytes", self.part_bytes, 5 * 1024 * 1024)  # S3's own least size of a part
        at_least("destination.timeout_seconds", self.timeout_seconds, 0.1)
        self.check_keys("destination")


def _check_host(key: str, host: str) -> None:
    required(key, host)
    if "://" in host:
        raise ConfigError(
            f"{key} is the name of a server, not an address", found=host, fix="leave out what stands before and after the name"
        )
    name, colon, port = host.partition(":")
    if colon and port.isdecimal() and "." in name:  # an address of IPv6 has more colons
        raise ConfigError(
            f"{key} is the name of a server without its port", found=host, fix=f"{key}={name} {key.removesuffix('host')}port={port}"
        )


def _check_port(key: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ConfigError(f"{key} is no port", found=str(port), expected="1 to 65535")


def _check_fingerprint(key: str, pinned: str | None) -> None:
    if pinned is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", pinned):
        raise ConfigError(
            f"{key} is no SHA-256 fingerprint", found=pinned, expected="SHA256:… as `ssh-keyscan HOST | ssh-keygen -lf -` prints it"
        )


@dataclass
class JumpConfig:
    """An SSH server on the way (ProxyJump). Its key is checked as the destination's is."""

    host: str = ""
    port: int = 22
    username: str = ""
    password_env: str | None = None
    password_file: str | None = None
    password_secret: str | None = None
    key_file: str | None = None
    key_env: str | None = None
    key_secret: str | None = None
    passphrase_env: str | None = None
    passphrase_file: str | None = None
    passphrase_secret: str | None = None
    known_hosts_file: str | None = None
    host_key_fingerprint: str | None = None

    GROUP: ClassVar[str] = "destination.jump"

    def __post_init__(self) -> None:
        check_references(self)
        _check_host("destination.jump.host", self.host)
        required("destination.jump.username", self.username)
        _check_port("destination.jump.port", self.port)
        _check_fingerprint("destination.jump.host_key_fingerprint", self.host_key_fingerprint)
        for name in ("password", "passphrase"):
            one_form("destination.jump", self, name)
        if sum(map(bool, (refers(self, "password"), self.key_file, self.key_env, self.key_secret))) != 1:
            raise ConfigError("A jump host takes one way to log in", expected="destination.jump.password_env, .key_file or .key_env")


@dataclass
class SftpConfig(DestinationConfig):
    """The server's key must be known: from known_hosts, or by its SHA-256 fingerprint as `ssh-keygen -lf` prints it."""

    host: str = ""
    port: int = 22
    username: str = ""
    known_hosts_file: str | None = None
    host_key_fingerprint: str | None = None
    publish: str = "rename"  # rename | direct: written under the final name at once, for platforms that start on upload
    verify: str = "size"  # size | sha256: also read back what was sent
    jump: JumpConfig | None = None
    disabled_algorithms: dict[str, list[str]] = field(default_factory=dict)
    connect_timeout_seconds: float = 20
    banner_timeout_seconds: float = 20
    login_timeout_seconds: float = 20
    operation_timeout_seconds: float = 120
    keepalive_seconds: int = 30  # 0: none

    @property
    def direct(self) -> bool:
        return self.publish == "direct"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_host("destination.host", self.host)
        required("destination.username", self.username)
        inside("destination.path", self.path)
        if self.folder != self.path:
            raise ConfigError(
                "destination.path has a macro, and on SFTP folders must exist before files come",
                found=self.path,
                expected="the path of a folder, without macros",
                fix="put the macro into file.name, or give each audience an activation with its own path",
            )
        for key in ("connect", "banner", "login", "operation"):
            at_least(f"destination.{key}_timeout_seconds", getattr(self, f"{key}_timeout_seconds"), 0.1)
        at_least("destination.keepalive_seconds", self.keepalive_seconds, 0)
        one_of("destination.publish", self.publish, ("rename", "direct"))
        one_of("destination.verify", self.verify, ("size", "sha256"))
        for kind in self.disabled_algorithms:
            one_of("destination.disabled_algorithms", kind, ALGORITHM_KINDS)
        _check_port("destination.port", self.port)
        _check_fingerprint("destination.host_key_fingerprint", self.host_key_fingerprint)


@dataclass
class SftpPasswordConfig(SftpConfig):
    password_env: str | None = None
    password_file: str | None = None
    password_secret: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        required_secret("destination", self, "password")


@dataclass
class SftpKeyConfig(SftpConfig):
    """The private key (RSA, ECDSA or Ed25519) comes from a file, or as text from a variable or a managed secret."""

    key_file: str | None = None
    key_env: str | None = None
    key_secret: str | None = None
    passphrase_env: str | None = None
    passphrase_file: str | None = None
    passphrase_secret: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_form("destination", self, "passphrase")
        if sum(map(bool, (self.key_file, self.key_env, self.key_secret))) != 1:
            raise ConfigError("An SFTP key comes from one place", expected="either destination.key_file, .key_env or .key_secret")


DESTINATIONS: dict[str, type[DestinationConfig]] = {
    "local": LocalConfig,
    "s3": S3Config,
    "sftp_password": SftpPasswordConfig,
    "sftp_key": SftpKeyConfig,
}
