"""The OpenPGP keys that the configuration names, read and judged before any work starts.

Messages name the file or variable, fingerprints and dates; never a key, never a passphrase.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pysequoia
from pysequoia.packet import Packet, PacketPile, SignatureType, Tag

from courier.config import FileConfig
from courier.errors import ConfigError
from courier.home import expanded
from courier.secrets import referred, secret

SECRET_TAGS = (Tag.SecretKey, Tag.SecretSubkey)
KEY_TAGS = (Tag.PublicKey, Tag.PublicSubkey)
ASK = "ask its owner for the current public key"
#: What the library knows of the kinds of keys that GnuPG makes. It has no word for the others: it finds no key in them.
KINDS = "RSA, Curve25519 or NIST (and neither ElGamal nor brainpool)"
#: How GnuPG writes a secret key that it has not (`--export-secret-subkeys`, a smart card): protected in a way of its own.
STUB, STUB_MARK = 101, b"GNU"


@dataclass(frozen=True)
class Recipient:
    """A public key, in binary. `expires`: the earlier end of the key and of what is encrypted to; None for never."""

    fingerprint: str
    expires: datetime | None
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Keys:
    """Everything that encryption needs. Its text shows fingerprints only."""

    recipients: tuple[Recipient, ...]
    armour: bool
    signer: str | None  # fingerprint
    signing_key: bytes | None = field(repr=False)
    passphrase: str | None = field(repr=False)

    def describe(self) -> str:
        """One line for people: to whom, until when, signed by whom."""
        to = ", ".join(f"{to.fingerprint} (expires {to.expires:%Y-%m-%d})" if to.expires else to.fingerprint for to in self.recipients)
        return f"OpenPGP to {to}; signed by {self.signer}" if self.signer else f"OpenPGP to {to}; not signed"


def open_keys(config: FileConfig, now: datetime) -> Keys | None:
    """The keys of a configuration; None where it encrypts nothing. Raises ConfigError for every key that cannot be used at `now`."""
    if not config.encrypted:
        return None
    named = [(f"file.encrypt_to: {path}", _read(path)) for path in config.encrypt_to]
    named += [(f"file.encrypt_to_env: {variable}", secret(variable, "file.encrypt_to_env").encode()) for variable in config.encrypt_to_env]
    recipients = {recipient.fingerprint: recipient for recipient in (_recipient(where, content, now) for where, content in named)}
    signer, signing_key = None, None
    passphrase = referred(config, "sign_passphrase")
    if config.signed:
        signer, signing_key = _signing_key(config, passphrase, now)
    return Keys(tuple(recipients.values()), config.armour, signer, signing_key, passphrase)


def recipients_now(config: FileConfig) -> list[str | None]:
    """What tells the recipients' keys from others under the same names; None for one that cannot be read (any more)."""
    found: list[str | None] = []
    for path in config.encrypt_to:
        try:
            found.append(hashlib.sha256(_read(path)).hexdigest())
        except ConfigError:
            found.append(None)
    held = (os.environ.get(variable) for variable in config.encrypt_to_env)
    return found + [None if key is None else hashlib.sha256(key.encode()).hexdigest() for key in held]


def _read(path: str) -> bytes:
    try:
        return expanded(path, "file.encrypt").read_bytes()
    except OSError as exc:
        raise ConfigError("A key file cannot be read", where=path, found=exc.strerror or type(exc).__name__, fix="check the path") from exc


def _binary(where: str, content: bytes) -> bytes:
    """The packets of one key, whether it is armoured, binary, or base64 of either."""
    key = content
    if not content.lstrip().startswith(b"-----BEGIN PGP"):
        with_no_blanks = b"".join(content.split())
        try:
            key = base64.b64decode(with_no_blanks, validate=True)
        except binascii.Error:
            key = content
    # Of several blocks in armour the library reads the first: whoever has the others could not decrypt.
    if key.count(b"-----BEGIN PGP") > 1:
        raise _several_keys(where, key.count(b"-----BEGIN PGP"))
    try:
        packets = list(PacketPile.from_bytes(key))
    except Exception as exc:
        raise _no_key(where) from exc
    key = b"".join(bytes(packet) for packet in packets)
    primaries = sum(packet.tag in (Tag.PublicKey, Tag.SecretKey) for packet in packets)
    if primaries > 1:
        raise _several_keys(where, primaries)
    try:
        pysequoia.Cert.from_bytes(key)
    except Exception as exc:
        raise _no_key(where) from exc
    return key


def _several_keys(where: str, count: int) -> ConfigError:
    return ConfigError("A key file holds several keys", where=where, found=f"{count} keys", expected="one; name each in a file of its own")


def _no_key(where: str) -> ConfigError:
    return ConfigError("This is no OpenPGP key", where=where, expected="a key that is armoured, binary, or base64 of either")


def _recipient(where: str, content: bytes, now: datetime) -> Recipient:
    key = _binary(where, content)
    if any(packet.tag in SECRET_TAGS for packet in PacketPile.from_bytes(key)):
        raise ConfigError(
            "A private key is where a public key is expected; it was not used",
            where=where,
            fix="export the public key (gpg --export), and take the private key away from here",
        )
    cert = pysequoia.Cert.from_bytes(key)
    expires = _usable(where, cert, now)
    try:
        trial = pysequoia.encrypt(b"", [cert], armor=False)
    except Exception as exc:
        raise ConfigError(
            "Nothing can be encrypted to this key",
            where=where,
            found=f"key {_shown(cert)} has no subkey for encryption, or only revoked, outdated or unsupported ones",
            fix=f"{ASK}; its subkeys must be {KINDS}",
        ) from exc
    # The library takes expired subkeys where there are no others, so the ones that it took are looked at.
    ends = list(_ends_of_targets(key, trial))
    if ends and all(end is not None and end <= now for end in ends):
        raise _expired(where, cert, "the encryption subkey of ", max(end for end in ends if end))
    return Recipient(_shown(cert), min((end for end in (expires, *ends) if end is not None), default=None), key)


def _usable(where: str, cert: pysequoia.Cert, now: datetime) -> datetime | None:
    """When the key as a whole expires. Raises ConfigError where it has, or is revoked."""
    try:
        revoked, expires = cert.is_revoked, cert.expiration
    except Exception as exc:
        raise ConfigError(
            "This key is not safe by today's rules, not supported, or damaged",
            where=where,
            found=f"key {_shown(cert)}",
            fix=f"ask its owner for a new one: {KINDS}",
        ) from exc
    if revoked:
        raise ConfigError("This key was revoked by its owner", where=where, found=f"key {_shown(cert)}", fix="ask its owner for a new one")
    if expires is not None and expires <= now:
        raise _expired(where, cert, "", expires)
    return expires


def _expired(where: str, cert: pysequoia.Cert, part: str, expired: datetime) -> ConfigError:
    found = f"{part}key {_shown(cert)} expired on {expired.astimezone(UTC):%Y-%m-%d}"
    return ConfigError("This key has expired", where=where, found=found, fix=f"{ASK}, or to extend it")


def _ends_of_targets(key: bytes, message: bytes) -> Iterator[datetime | None]:
    """When each key expires that the message is encrypted to, by its newest binding signature; None for never."""
    targets = [packet.body for packet in PacketPile.from_bytes(message) if packet.tag == Tag.PKESK]
    newest: dict[str, tuple[datetime, datetime | None]] = {}
    current: Packet | None = None
    for packet in PacketPile.from_bytes(key):
        if packet.tag in KEY_TAGS:
            current = packet
        elif packet.signature_type == SignatureType.SubkeyBinding and current and current.key_created and current.fingerprint:
            made, valid = packet.signature_created, packet.key_validity_period
            if made and (current.fingerprint not in newest or made > newest[current.fingerprint][0]):
                newest[current.fingerprint] = (made, current.key_created + valid if valid else None)
    for fingerprint, (_, end) in newest.items():
        # A version 3 packet names a key by the end of its fingerprint, a version 6 packet by all of it.
        if any((body[1:9] if body[0] == 3 else body[3 : 3 + body[1] - 1]).hex() in (fingerprint, fingerprint[-16:]) for body in targets):
            yield end


def _signing_key(config: FileConfig, passphrase: str | None, now: datetime) -> tuple[str, bytes]:
    """Fingerprint and packets of the key to sign with, which `passphrase` opens."""
    forms = {"sign_key_file": config.sign_key_file, "sign_key_env": config.sign_key_env, "sign_key_secret": config.sign_key_secret}
    where = next(f"file.{form}: {named}" for form, named in forms.items() if named)
    content = _read(config.sign_key_file) if config.sign_key_file else (referred(config, "sign_key") or "").encode()
    key = _binary(where, content)
    if not any(packet.tag in SECRET_TAGS for packet in PacketPile.from_bytes(key)):
        raise ConfigError("A public key is where a private key is expected", where=where, fix="export it with gpg --export-secret-keys")
    cert = pysequoia.Tsk.from_bytes(key).extract_certificate()
    _usable(where, cert, now)
    key = _without_stubs(where, key, cert)
    tsk = pysequoia.Tsk.from_bytes(key)
    try:
        tsk.signer(passphrase)
    except Exception as exc:
        raise _cannot_sign(where, cert, str(exc), passphrase) from exc
    return _shown(cert), key


def _without_stubs(where: str, key: bytes, cert: pysequoia.Cert) -> bytes:
    """The key with public parts in the place of secret ones that are only named, which the library would try to sign with. So a
    primary key that is kept offline is no hindrance where a subkey can sign.
    """
    public = {packet.fingerprint: packet for packet in PacketPile.from_bytes(bytes(cert)) if packet.tag in KEY_TAGS}
    packets, secrets = list[Packet](), 0
    for packet in PacketPile.from_bytes(key):
        shown = public.get(packet.fingerprint) if packet.tag in SECRET_TAGS else None
        protection = packet.body[len(shown.body) :] if shown else b""
        is_stub = protection[2:3] == bytes([STUB]) and protection[4:7] == STUB_MARK
        secrets += packet.tag in SECRET_TAGS and not is_stub
        packets.append(shown if shown and is_stub else packet)
    if not secrets:
        found = f"key {_shown(cert)} without its secret parts, which are kept elsewhere (offline, or on a smart card)"
        raise ConfigError("This key cannot sign", where=where, found=found, fix="name another key")
    return b"".join(bytes(packet) for packet in packets)


def _cannot_sign(where: str, cert: pysequoia.Cert, reason: str, passphrase: str | None) -> ConfigError:
    found = f"key {_shown(cert)}"
    if reason.startswith("No suitable signing"):
        return ConfigError("This key cannot sign", where=where, found=f"{found} has no signing key that is valid", fix="name another key")
    if passphrase is None:
        return ConfigError("The signing key has a passphrase", where=where, found=found, fix="name its variable: file.sign_passphrase_env")
    if "not encrypted" in reason:
        return ConfigError("The signing key has no passphrase", where=where, found=found, fix="leave out file.sign_passphrase_env")
    return ConfigError("The passphrase does not open the signing key", where=where, found=found, fix="check file.sign_passphrase_env")


def _shown(cert: pysequoia.Cert) -> str:
    return str(cert.fingerprint).upper()
