"""Who the server is, and who we are: known hosts, fingerprints, private keys."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence

import paramiko
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from courier.config.sftp import PrivateKey, SshServer
from courier.destinations.sftp.known_hosts import KINDS, KnownKey, known_keys
from courier.errors import ConfigError, TerminalError
from courier.home import expanded
from courier.secrets import referred

KEY_TYPES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
BESIDE_AUTHORITY = " beside the line with @cert-authority, for certificates of servers are not read here"


class HostTrust:
    """The key that one server must show, before it is given anything. `prefix` is where that is configured."""

    def __init__(self, config: SshServer, prefix: str) -> None:
        self._prefix, self._pinned = prefix, config.host_key_fingerprint
        self._host = config.host if config.port == 22 else f"[{config.host}]:{config.port}"
        self._pinned_kind: str | None = None  # once a server has shown it
        self._expected: dict[str, set[str]] = {}
        self._revoked: set[str] = set()
        self._certified = False  # whether an authority vouches for the host, whose certificates paramiko does not read
        if self._pinned is None:
            self._read(known_keys(config.known_hosts_file, prefix))

    def _read(self, known: list[KnownKey]) -> None:
        """A host may have a new key beside the old one. What is revoked is refused whatever host shows it."""
        for each in known:
            if each.marker == "@revoked":
                self._revoked.add(each.key)
            elif each.kind in KINDS and each.is_for(self._host):
                if each.marker == "@cert-authority":
                    self._certified = True
                elif not each.marker:
                    self._expected.setdefault(each.kind, set()).add(each.key)

    def ask_for_known_kinds(self, options: paramiko.transport.SecurityOptions) -> None:
        """A server has several keys; let it show one of a kind that we can check."""
        wanted = {self._pinned_kind} if self._pinned_kind else self._expected
        if wanted:
            options.key_types = [kind for kind in options.key_types if _family(kind) in wanted] or list(options.key_types)

    def is_pinned(self, key: paramiko.PKey) -> bool:
        return self._pinned is not None and _fingerprint(key) == self._pinned.rstrip("=")

    def other_kinds(self, key: paramiko.PKey, offered: Sequence[str]) -> list[str]:
        """Of which kinds the pinned key may be where it is not this one: a fingerprint does not tell."""
        if self._pinned is None or self.is_pinned(key):
            return []
        return [kind for kind in dict.fromkeys(map(_family, offered)) if kind != key.get_name() and kind in KINDS]

    def ask_for(self, kind: str) -> None:
        """Have the server show its key of this kind from now on."""
        self._pinned_kind = kind

    def check(self, key: paramiko.PKey, where: str, others: Sequence[paramiko.PKey] = ()) -> None:
        """`others`: what the server has shown before."""
        shown = _fingerprint(key)
        if self._pinned is not None:
            if not self.is_pinned(key):
                raise TerminalError(
                    "The SFTP server's key is not the pinned one; nothing was sent",
                    where=where,
                    found=", ".join(f"{each.get_name()} {_fingerprint(each)}" for each in (*others, key)),
                    expected=self._pinned,
                    fix=f"ask the server's owner for the new fingerprint before you change {self._prefix}.host_key_fingerprint",
                )
        elif key.get_base64() in self._revoked:
            raise TerminalError("The SFTP server's key is revoked in known_hosts; nothing was sent", where=where, found=shown)
        elif not self._expected:
            raise TerminalError(
                "The SFTP server is unknown; nothing was sent",
                where=where,
                found=f"{key.get_name()} {shown}",
                expected=f"an entry for {self._host} in known_hosts" + (BESIDE_AUTHORITY if self._certified else ""),
                fix=f"compare the fingerprint with the owner's, then add it to known_hosts or set {self._prefix}.host_key_fingerprint={shown}",
            )
        elif key.get_base64() not in self._expected.get(key.get_name(), set()):
            raise TerminalError(
                "The SFTP server's key has changed; nothing was sent",
                where=where,
                found=f"{key.get_name()} {shown}",
                expected="the key in known_hosts",
                fix="ask the server's owner whether the key was changed; it may be another machine",
            )


def _fingerprint(key: paramiko.PKey) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _family(kind: str) -> str:
    """`rsa-sha2-512` is a way of signing with an `ssh-rsa` key, and known_hosts names the key."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def private_key(config: PrivateKey, prefix: str) -> paramiko.PKey:
    passphrase = referred(config, "passphrase")
    forms = {"key_file": config.key_file, "key_env": config.key_env, "key_secret": config.key_secret}
    where = next(f"{prefix}.{form} {named}" for form, named in forms.items() if named)
    try:
        text = expanded(config.key_file, f"{prefix}.key_file").read_text() if config.key_file else referred(config, "key") or ""
    except (OSError, UnicodeDecodeError) as exc:
        found = getattr(exc, "strerror", None) or "no text"
        raise ConfigError("The SSH key cannot be read", where=where, found=found) from exc
    try:
        key = _read_by_paramiko(text, passphrase) or _read_by_paramiko(_in_openssh_form(text, passphrase), None)
    except paramiko.PasswordRequiredException as exc:
        raise ConfigError("The SSH key needs a passphrase", where=where, fix=f"set {prefix}.passphrase_env") from exc
    if key is not None:
        return key
    raise ConfigError(
        "The SSH key is not usable",
        where=where,
        expected="an RSA, ECDSA or Ed25519 private key in PEM or OpenSSH form" + (", and its passphrase" if passphrase else ""),
    )


def _read_by_paramiko(text: str, passphrase: str | None) -> paramiko.PKey | None:
    for kind in KEY_TYPES:
        try:
            return kind.from_private_key(io.StringIO(text), passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except (paramiko.SSHException, ValueError, LookupError):
            continue
    return None


def _in_openssh_form(text: str, passphrase: str | None) -> str:
    """What paramiko does not read, as it does: PKCS#8, which openssl and managers of secrets write, and some ciphers. Empty where
    it is no key, or not of this passphrase. It is in memory only.
    """
    load = serialization.load_ssh_private_key if "OPENSSH" in text else serialization.load_pem_private_key
    try:
        try:
            key = load(text.encode(), passphrase.encode() if passphrase else None)
        except TypeError as exc:
            if not passphrase:
                raise paramiko.PasswordRequiredException("a passphrase is needed") from exc
            key = load(text.encode(), None)  # it has none
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        return key.private_bytes(*form).decode()
    except (ValueError, UnsupportedAlgorithm, InvalidTag):
        return ""
