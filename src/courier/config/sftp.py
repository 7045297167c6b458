"""Where files go: SFTP, by password or key, maybe by way of another server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.destination import DestinationConfig
from courier.config.limits import at_least, check_references, inside, one_form, one_of, refers, required, required_secret
from courier.errors import ConfigError

#: What paramiko calls the kinds of algorithms that may be switched off.
ALGORITHM_KINDS = ("ciphers", "macs", "keys", "pubkeys", "kex", "gsskex")


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


def _authority(host: str, port: int) -> str:
    """Host and port as addresses have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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

    @property
    def authority(self) -> str:
        return _authority(self.host, self.port)

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

    @property
    def authority(self) -> str:
        return _authority(self.host, self.port)

    @property
    def remote_path(self) -> str:
        """As addresses have it: what is looked for below the login's own folder begins with `~`."""
        return self.folder.rstrip("/") if self.folder.startswith("/") else "/".join(["/~", *filter(None, [self.folder.strip("/")])])

    @property
    def address(self) -> str:
        return f"sftp://{self.username}@{self.authority}{self.remote_path}"

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
