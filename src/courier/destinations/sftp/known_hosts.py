"""What known_hosts says of a server, by sshd(8): lines `[@MARKER] HOSTS KIND KEY [COMMENT]`.

Read here, since paramiko knows no markers, no patterns and one key of a kind, and fails over any line that is damaged: as
ssh does, such a line is passed over, for most are other servers'.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from courier.errors import ConfigError
from courier.home import expanded

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


@dataclass(frozen=True)
class KnownKey:
    """One line."""

    marker: str
    hosts: str
    kind: str
    key: str

    def is_for(self, host: str) -> bool:
        """Whether one of the names is the host's, and none that begins with `!`. Capitals do not count."""
        named = False
        for pattern in self.hosts.split(","):
            if _fits(pattern.removeprefix("!"), host.lower()):
                if pattern.startswith("!"):
                    return False
                named = True
        return named


def _fits(pattern: str, host: str) -> bool:
    if pattern.startswith("|"):
        return _is_hash_of(pattern, host)
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern.lower()))
    return re.fullmatch("".join(parts), host) is not None


def _is_hash_of(pattern: str, host: str) -> bool:
    """As `ssh-keygen -H` writes names: `|1|SALT|HASH`."""
    try:
        _, _, salt, digest = pattern.split("|")
        return hmac.digest(base64.b64decode(salt), host.encode(), hashlib.sha1) == base64.b64decode(digest)
    except ValueError:
        return False


def known_keys(known_hosts_file: str | None, prefix: str) -> list[KnownKey]:
    """All lines of the file that is configured at `prefix`, or else of the user's own, which need not exist."""
    path = expanded(known_hosts_file or "~/.ssh/known_hosts", f"{prefix}.known_hosts_file")
    if not path.exists():
        if known_hosts_file:
            fix = f"write what `ssh-keyscan HOST` prints to it, once compared with the owner's, or set {prefix}.host_key_fingerprint"
            raise ConfigError("The known_hosts file does not exist", where=f"{prefix}.known_hosts_file", found=str(path), fix=fix)
        return []
    lines = (line.split() for line in _text(path).splitlines() if not line.lstrip().startswith("#"))
    marked = (fields if fields and fields[0].startswith("@") else ["", *fields] for fields in lines)
    return [KnownKey(*fields[:4]) for fields in marked if len(fields) >= 4]


def _text(path: Path) -> str:
    """Comments may be in any encoding."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise ConfigError("The known_hosts file cannot be read", where=str(path), found=exc.strerror or type(exc).__name__) from exc
