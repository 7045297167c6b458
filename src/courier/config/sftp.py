"""Where files go: SFTP, by password or key, maybe by way of another server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.destination import DestinationConfig
from courier.config.limits import check_references, inside, one_form, one_of, refers, required, required_secret, seconds
from courier.errors import ConfigError

#: What paramiko calls the kinds of algorithms that may be switched off.
ALGORITHM_KINDS = ("ciphers", "macs", "keys", "pubkeys", "kex", "gsskex")


@dataclass
class SshServer:
    """A server and its key, which must be known: from known_hosts, or by its SHA-256 fingerprint as `ssh-keygen -lf` prints it."""

    host: str = ""
    port: int = 22
    username: str = ""
    known_hosts_file: str | None = None
    host_key_fingerprint: str | None = None

    @property
    def authority(self) -> str:
        """Host and port as addresses have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def check_server(self, prefix: str) -> None:
        required(f"{prefix}.host", self.host)
        required(f"{prefix}.username", self.username)
        if "@" in self.host:  # what stands before it may be a password, and is not shown
            raise ConfigError(
                f"{prefix}.host is the name of a server without a login",
                fix=f"leave out what stands before the @: the user is {prefix}.username, and {prefix}.password_env names the variable of a password",
            )
        if "://" in self.host:
            raise ConfigError(
                f"{prefix}.host is the name of a server, not an address",
                found=self.host,
                fix="leave out what stands before and after the name",
            )
        name, colon, port = self.host.partition(":")
        if colon and port.isdecimal() and "." in name:  # an address of IPv6 has more colons
            raise ConfigError(
                f"{prefix}.host is the name of a server without its port",
                found=self.host,
                fix=f"{prefix}.host={name} {prefix}.port={port}",
            )
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"{prefix}.port is no port", found=str(self.port), expected="1 to 65535")
        if self.host_key_fingerprint is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", self.host_key_fingerprint):
            raise ConfigError(
                f"{prefix}.host_key_fingerprint is no SHA-256 fingerprint",
                found=self.host_key_fingerprint,
                expected="SHA256:… as `ssh-keyscan HOST | ssh-keygen -lf -` prints it",
            )


@dataclass
class Password:
    password_env: str | None = None
    password_file: str | None = None
    password_secret: str | None = None


@dataclass
class PrivateKey:
    """RSA, ECDSA or Ed25519: from a file, or as text from a variable or a managed secret."""

    key_file: str | None = None
    key_env: str | None = None
    key_secret: str | None = None
    passphrase_env: str | None = None
    passphrase_file: str | None = None
    passphrase_secret: str | None = None

    @property
    def keys(self) -> list[str]:
        """What refers to a key; there is to be one."""
        return [key for key in (self.key_file, self.key_env, self.key_secret) if key]


@dataclass
class JumpConfig(PrivateKey, Password, SshServer):
    """An SSH server on the way (ProxyJump)."""

    GROUP: ClassVar[str] = "destination.jump"

    def __post_init__(self) -> None:
        check_references(self)
        self.check_server("destination.jump")
        for name in ("password", "passphrase"):
            one_form("destination.jump", self, name)
        if len(self.keys) + bool(refers(self, "password")) != 1:
            raise ConfigError("A jump host takes one way to log in", expected="destination.jump.password_env, .key_file or .key_env")


@dataclass
class SftpConfig(SshServer, DestinationConfig):
    """What all logins have."""

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
    def remote_path(self) -> str:
        """As addresses have it: what is looked for below the login's own folder begins with `~`."""
        return self.folder.rstrip("/") if self.folder.startswith("/") else "/".join(["/~", *filter(None, [self.folder.strip("/")])])

    @property
    def address(self) -> str:
        return f"sftp://{self.username}@{self.authority}{self.remote_path}"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_server("destination")
        inside("destination.path", self.path)
        if self.folder != self.path:
            raise ConfigError(
                "destination.path has a macro, and on SFTP folders must exist before files come",
                found=self.path,
                expected="the path of a folder, without macros",
                fix="put the macro into file.name, or give each audience an activation with its own path",
            )
        for key in ("connect", "banner", "login", "operation"):
            seconds(f"destination.{key}_timeout_seconds", getattr(self, f"{key}_timeout_seconds"), 0.1)
        seconds("destination.keepalive_seconds", self.keepalive_seconds, 0)
        one_of("destination.publish", self.publish, ("rename", "direct"))
        one_of("destination.verify", self.verify, ("size", "sha256"))
        for kind in self.disabled_algorithms:
            one_of("destination.disabled_algorithms", kind, ALGORITHM_KINDS)


@dataclass
class SftpPasswordConfig(Password, SftpConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        required_secret("destination", self, "password")


@dataclass
class SftpKeyConfig(PrivateKey, SftpConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        one_form("destination", self, "passphrase")
        if len(self.keys) != 1:
            raise ConfigError("An SFTP key comes from one place", expected="either destination.key_file, .key_env or .key_secret")
