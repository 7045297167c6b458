"""Encryption: GnuPG, the program on the other side, decrypts and verifies; keys that cannot be used are refused in time."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pysequoia
import pytest
from pysequoia.packet import PacketPile, Tag

from courier.compose import load
from courier.config import FileConfig
from courier.errors import ConfigError, CourierError, HeldError
from courier.mapping import MappedColumn, Mapping
from courier.plan import PlannedFile
from courier.render import Keys, Rendering, encryption, open_keys
from courier.render.encryption import encrypted
from courier.rows.counts import Slice
from courier.rows.snapshot import AudienceSnapshot

NOW = datetime.now(UTC)
PASSPHRASE = "correct horse ä"
TEXT = b"email\na@example.org\n" * 10_000


class Gpg:
    """GnuPG with a home of its own, whose path is short enough for its agent's socket."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.keys = home / "exported"
        self.keys.mkdir()

    def __call__(self, *arguments: str, given: bytes | None = None, passphrase: str = "") -> tuple[bytes, str]:
        """Standard output, and status lines with all that was said."""
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--pinentry-mode", "loopback", "--status-fd", "2"]
        command += ["--passphrase", passphrase, "--no-auto-check-trustdb", *arguments]
        ended = subprocess.run(command, input=given, capture_output=True, check=False)
        said = ended.stderr.decode(errors="replace")
        assert ended.returncode == 0, said
        return ended.stdout, said

    def make(self, name: str, algorithm: str, usage: str, expires: str = "0", passphrase: str = "", at: str | None = None) -> str:
        """A key of the user `name@example.org`; its fingerprint."""
        clock = ["--faked-system-time", at] if at else []
        _, said = self(*clock, "--quick-gen-key", f"{name}@example.org", algorithm, usage, expires, passphrase=passphrase)
        return str(re.findall(r"KEY_CREATED \S (\S+)", said)[0])

    def add(self, fingerprint: str, algorithm: str, expires: str = "0", at: str | None = None) -> None:
        """A subkey for encryption."""
        self(*(["--faked-system-time", at] if at else []), "--quick-add-key", fingerprint, algorithm, "encr", expires)

    def public(self, name: str, *, armour: bool = False) -> bytes:
        return self(*(["--armor"] if armour else []), "--export", f"={name}@example.org")[0]

    def private(self, name: str, passphrase: str = "", *, armour: bool = False) -> bytes:
        return self(*(["--armor"] if armour else []), "--export-secret-keys", f"={name}@example.org", passphrase=passphrase)[0]

    def file(self, name: str, content: bytes) -> str:
        path = self.keys / name
        path.write_bytes(content)
        return str(path)

    def opened(self, message: bytes) -> bytes:
        return self("--decrypt", given=message)[0]


@pytest.fixture(scope="session")
def gpg() -> Iterator[Gpg]:
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed (Debian package gnupg)")
    home = Path(tempfile.mkdtemp(prefix="gpg"))
    made = Gpg(home)
    try:
        made.add(made.make("ecc", "ed25519", "sign,cert", "2y"), "cv25519")
        made.add(made.make("rsa", "rsa2048", "sign,cert"), "rsa2048")
        made.add(made.make("nist", "nistp256", "sign,cert"), "nistp384")
        made.make("signer", "ed25519", "sign,cert", passphrase=PASSPHRASE)
        made.make("bare", "rsa2048", "sign,cert")
        yield made
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def public(gpg: Gpg) -> dict[str, str]:
    """Files with the public keys, each in another form."""
    return {
        "ecc": gpg.file("ecc.pgp", gpg.public("ecc")),
        "rsa": gpg.file("rsa.asc", gpg.public("rsa", armour=True)),
        "nist": gpg.file("nist.b64", base64.encodebytes(gpg.public("nist"))),
    }


def opened(now: datetime = NOW, **settings: Any) -> Keys:
    keys = open_keys(FileConfig(**settings), now)
    assert keys is not None
    return keys


def message(text: bytes, keys: Keys) -> bytes:
    return b"".join(encrypted((text[at : at + 65_536] for at in range(0, len(text), 65_536)), keys))


def refused(now: datetime = NOW, **settings: Any) -> str:
    with pytest.raises(ConfigError) as error:
        open_keys(FileConfig(**settings), now)
    return str(error.value)


# What the other side can read


@pytest.mark.parametrize("kind", ["ecc", "rsa", "nist"])
def test_gpg_decrypts_what_is_encrypted_to_each_kind_of_key(gpg: Gpg, public: dict[str, str], kind: str) -> None:
    assert gpg.opened(message(TEXT, opened(encrypt_to=[public[kind]]))) == TEXT


@pytest.mark.parametrize("text", [b"", b"a"], ids=["empty", "a byte"])
def test_small_files_can_be_encrypted(gpg: Gpg, public: dict[str, str], text: bytes) -> None:
    assert gpg.opened(message(text, opened(encrypt_to=[public["ecc"]]))) == text


def test_each_of_several_receivers_can_decrypt(gpg: Gpg, public: dict[str, str]) -> None:
    sent = message(TEXT, opened(encrypt_to=list(public.values())))
    for name in public:
        with tempfile.TemporaryDirectory(prefix="gpg") as folder:  # a home with this receiver's key alone
            alone = Gpg(Path(folder))
            alone("--import", given=gpg.private(name))
            assert alone.opened(sent) == TEXT
            subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=False)


def test_messages_are_of_the_form_that_every_gpg_since_2_0_reads(public: dict[str, str]) -> None:
    packets = list(PacketPile.from_bytes(message(TEXT, opened(encrypt_to=[public["ecc"]]))))
    assert [(packet.tag, packet.body[0]) for packet in packets] == [(Tag.PKESK, 3), (Tag.SEIP, 1)]


def test_an_armoured_message_is_text(gpg: Gpg, public: dict[str, str]) -> None:
    sent = message(TEXT, opened(encrypt_to=[public["rsa"]], armour=True))
    assert sent.startswith(b"-----BEGIN PGP MESSAGE-----")
    assert sent.isascii()
    assert gpg.opened(sent) == TEXT


@pytest.mark.parametrize("coded", [False, True], ids=["armoured", "base64 of the armoured text"])
def test_a_key_can_come_from_a_variable(gpg: Gpg, monkeypatch: pytest.MonkeyPatch, coded: bool) -> None:
    key = gpg.public("ecc", armour=True)
    monkeypatch.setenv("ACME_KEY", (base64.b64encode(key) if coded else key).decode())
    assert gpg.opened(message(TEXT, opened(encrypt_to_env=["ACME_KEY"]))) == TEXT


def test_the_same_receiver_named_twice_is_one(public: dict[str, str], gpg: Gpg) -> None:
    keys = opened(encrypt_to=[public["rsa"], gpg.file("again.pgp", gpg.public("rsa"))])
    assert len(keys.recipients) == 1


def test_gpg_verifies_the_signature(gpg: Gpg, public: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSPHRASE", PASSPHRASE)
    key = gpg.file("signer.sec", gpg.private("signer", PASSPHRASE))
    keys = opened(encrypt_to=[public["ecc"]], sign_key_file=key, sign_passphrase_env="ACME_PASSPHRASE")
    text, said = gpg("--decrypt", given=message(TEXT, keys))
    assert text == TEXT
    assert f"VALIDSIG {keys.signer}" in said


def test_a_signing_key_without_passphrase_can_come_from_a_variable(
    gpg: Gpg, public: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SIGNING_KEY", gpg.private("bare", armour=True).decode())
    keys = opened(encrypt_to=[public["rsa"]], sign_key_env="ACME_SIGNING_KEY")
    assert f"VALIDSIG {keys.signer}" in gpg("--decrypt", given=message(TEXT, keys))[1]


def test_a_subkey_signs_where_the_primary_key_is_kept_offline(gpg: Gpg, public: dict[str, str]) -> None:
    fingerprint = gpg.make("offline", "rsa2048", "sign,cert")
    gpg("--quick-add-key", fingerprint, "ed25519", "sign", "0")
    key = gpg.file("offline.sec", gpg("--export-secret-subkeys", "=offline@example.org")[0])
    keys = opened(encrypt_to=[public["ecc"]], sign_key_file=key)
    assert keys.signer == fingerprint
    text, said = gpg("--decrypt", given=message(TEXT, keys))
    assert text == TEXT
    assert re.search(rf"VALIDSIG .*{fingerprint}", said)


# Keys that cannot be used


def test_without_keys_nothing_is_encrypted() -> None:
    assert open_keys(FileConfig(), NOW) is None


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    assert "none.asc" in refused(encrypt_to=[str(tmp_path / "none.asc")])


def test_a_missing_variable_is_named() -> None:
    assert "COURIER_NO_SUCH_KEY" in refused(encrypt_to_env=["COURIER_NO_SUCH_KEY"])


@pytest.mark.parametrize("content", [b"", b"hello", b"aGVsbG8gd29ybGQ=", bytes(range(256)), b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    assert "no OpenPGP key" in refused(encrypt_to=[str(tmp_path / "key")])


@pytest.mark.parametrize("cut", [40, 150])
def test_a_truncated_key_is_refused(gpg: Gpg, cut: int) -> None:
    refused(encrypt_to=[gpg.file("cut.pgp", gpg.public("ecc")[:cut])])


def test_a_message_in_place_of_a_key_is_refused(gpg: Gpg, public: dict[str, str]) -> None:
    sent = message(b"x", opened(encrypt_to=[public["ecc"]], armour=True))
    assert "no OpenPGP key" in refused(encrypt_to=[gpg.file("message.asc", sent)])


@pytest.mark.parametrize("armour", [False, True])
def test_a_private_key_in_place_of_a_public_one_is_refused_and_not_shown(gpg: Gpg, armour: bool) -> None:
    key = gpg.private("bare", armour=armour)
    said = refused(encrypt_to=[gpg.file("mistake.sec", key)])
    assert "private key" in said
    assert "BEGIN" not in said


def test_packets_that_make_no_key_are_refused(gpg: Gpg) -> None:
    key = gpg.public("ecc")
    body = b"".join(bytes(packet) for packet in list(PacketPile.from_bytes(key))[1:])  # without its beginning
    assert "no OpenPGP key" in refused(encrypt_to=[gpg.file("body.pgp", body)])
    assert "no OpenPGP key" in refused(encrypt_to=[gpg.file("turned.pgp", body + key[:53])])


def test_two_keys_in_one_file_are_refused(gpg: Gpg) -> None:
    assert "2 keys" in refused(encrypt_to=[gpg.file("ring.pgp", gpg.public("ecc") + gpg.public("rsa"))])


@pytest.mark.parametrize("coded", [False, True])
def test_two_armoured_keys_in_one_file_are_refused(gpg: Gpg, *, coded: bool) -> None:
    """As `cat` makes them, of which only the first would be read."""
    both = gpg.public("ecc", armour=True) + gpg.public("rsa", armour=True)
    assert "2 keys" in refused(encrypt_to=[gpg.file("both.asc", base64.encodebytes(both) if coded else both)])


def test_a_key_that_can_only_sign_is_refused_with_its_fingerprint(gpg: Gpg) -> None:
    said = refused(encrypt_to=[gpg.file("bare.pgp", gpg.public("bare"))])
    assert "no subkey for encryption" in said
    assert re.search(r"[0-9A-F]{40}", said)


@pytest.mark.parametrize(
    ("primary", "subkey"), [("brainpoolP256r1", "brainpoolP256r1"), ("rsa2048", "brainpoolP256r1"), ("dsa2048", "elg2048")]
)
def test_a_key_of_a_kind_that_is_not_supported_is_told_which_are(gpg: Gpg, primary: str, subkey: str) -> None:
    name = f"{primary}-{subkey}".lower()
    gpg.add(gpg.make(name, primary, "sign,cert"), subkey)
    said = refused(encrypt_to=[gpg.file(f"{name}.pgp", gpg.public(name))])
    assert "RSA, Curve25519 or NIST" in said
    assert "supported" in said


def test_an_expired_key_is_refused_with_the_date(gpg: Gpg) -> None:
    gpg.add(gpg.make("old", "ed25519", "sign,cert", "1y", at="20200101T120000"), "cv25519", at="20200101T120000")
    said = refused(encrypt_to=[gpg.file("old.pgp", gpg.public("old"))])
    assert "expired on 2020-12-31" in said
    assert "ask its owner" in said


def test_a_key_whose_encryption_subkey_has_expired_is_refused(gpg: Gpg) -> None:
    gpg.add(gpg.make("half", "ed25519", "sign,cert", "0", at="20200101T120000"), "cv25519", "1y", at="20200101T120000")
    said = refused(encrypt_to=[gpg.file("half.pgp", gpg.public("half"))])
    assert "encryption subkey of key" in said
    assert "expired on 2020-12-31" in said


def test_a_subkey_that_came_after_an_expired_one_is_used(gpg: Gpg) -> None:
    fingerprint = gpg.make("renewed", "ed25519", "sign,cert", "0", at="20200101T120000")
    gpg.add(fingerprint, "cv25519", "1y", at="20200101T120000")
    gpg.add(fingerprint, "cv25519")
    assert gpg.opened(message(TEXT, opened(encrypt_to=[gpg.file("renewed.pgp", gpg.public("renewed"))]))) == TEXT


def test_the_day_of_the_run_decides_whether_a_key_has_expired(public: dict[str, str]) -> None:
    (receiver,) = opened(encrypt_to=[public["ecc"]]).recipients
    assert receiver.expires is not None
    assert NOW < receiver.expires < NOW + timedelta(days=731)
    assert "expired on" in refused(receiver.expires, encrypt_to=[public["ecc"]])


def test_a_revoked_key_is_refused(gpg: Gpg) -> None:
    fingerprint = gpg.make("revoked", "ed25519", "sign,cert")
    gpg.add(fingerprint, "cv25519")
    certificate = (gpg.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    gpg("--import", given=certificate.encode())
    said = refused(encrypt_to=[gpg.file("revoked.pgp", gpg.public("revoked"))])
    assert "revoked" in said
    assert fingerprint in said


# Signing keys that cannot be used


def signing(gpg: Gpg, public: dict[str, str], key: bytes, passphrase_env: str | None = None) -> str:
    return refused(encrypt_to=[public["ecc"]], sign_key_file=gpg.file("sign", key), sign_passphrase_env=passphrase_env)


def test_a_wrong_passphrase_is_refused_and_not_shown(gpg: Gpg, public: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSPHRASE", "wrong horse")
    said = signing(gpg, public, gpg.private("signer", PASSPHRASE), "ACME_PASSPHRASE")
    assert "does not open the signing key" in said
    assert "horse" not in said


def test_a_missing_passphrase_is_refused(gpg: Gpg, public: dict[str, str]) -> None:
    assert "has a passphrase" in signing(gpg, public, gpg.private("signer", PASSPHRASE))


def test_a_passphrase_for_a_key_without_one_is_refused(gpg: Gpg, public: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSPHRASE", PASSPHRASE)
    assert "has no passphrase" in signing(gpg, public, gpg.private("bare"), "ACME_PASSPHRASE")


def test_a_public_key_cannot_sign(gpg: Gpg, public: dict[str, str]) -> None:
    assert "A public key" in signing(gpg, public, gpg.public("bare"))


def test_a_key_without_any_secret_part_cannot_sign(gpg: Gpg, public: dict[str, str]) -> None:
    gpg.make("stub", "rsa2048", "sign,cert")
    assert "kept elsewhere" in signing(gpg, public, gpg("--export-secret-subkeys", "=stub@example.org")[0])


def test_an_expired_key_cannot_sign(gpg: Gpg, public: dict[str, str]) -> None:
    gpg.make("oldsigner", "ed25519", "sign,cert", "1y", at="20200101T120000")
    assert "expired on 2020-12-31" in signing(gpg, public, gpg.private("oldsigner"))


def test_no_secret_is_in_the_text_of_keys(gpg: Gpg, public: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSPHRASE", PASSPHRASE)
    key = gpg.file("signer.sec", gpg.private("signer", PASSPHRASE))
    keys = opened(encrypt_to=[public["ecc"]], sign_key_file=key, sign_passphrase_env="ACME_PASSPHRASE")
    assert keys.signer is not None
    assert keys.signer in keys.describe()
    for text in (repr(keys), str(keys), keys.describe()):
        assert PASSPHRASE not in text
        assert repr(keys.signing_key)[2:20] not in text


# The stream

MEASURE = """
import os, resource, sys
from datetime import UTC, datetime
from courier.config import FileConfig
from courier.render import open_keys
from courier.render.compression import compressed
from courier.render.encryption import encrypted
from courier.prefetch import prefetched
keys = open_keys(FileConfig(encrypt_to=[sys.argv[1]]), datetime.now(UTC))
noise = os.urandom(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sent = sum(map(len, prefetched(encrypted(compressed((noise for _ in range(200)), "gzip", 1, "a", datetime.now(UTC)), keys))))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(sent, grown, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_file(public: dict[str, str]) -> None:
    ended = subprocess.run([sys.executable, "-c", MEASURE, public["ecc"]], capture_output=True, text=True, check=True)
    sent, grown, other = map(int, ended.stdout.split())
    assert sent > 200 << 20
    # In KiB. What the other process is said to have had at most includes what this one had when it was started.
    assert grown < 40 * 1024
    assert other < 40 * 1024


def test_nothing_is_written_to_a_disk(public: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = opened(encrypt_to=[public["ecc"]])
    for variable in ("TMPDIR", "TEMP", "TMP", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    message(TEXT, keys)
    assert list(tmp_path.iterdir()) == []


def test_nothing_secret_is_on_a_command_line_or_in_the_variables_of_the_process(
    public: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", "Hunter2")
    chunks = encrypted(endless(threading.Event()), opened(encrypt_to=[public["ecc"]]))
    next(chunks)
    ours = [path for path in Path("/proc").glob("[0-9]*/cmdline") if parent(path) == os.getpid()]
    lines = [path.read_bytes() for path in ours]
    variables = [path.with_name("environ").read_bytes() for path in ours if b"pysequoia" in path.read_bytes()]
    chunks.close()
    assert [b"Hunter2" in each for each in variables] == [False]
    assert any(b"pysequoia" in line for line in lines)
    assert not any(b"BEGIN" in line or b'recipients": ["' in line for line in lines)


def parent(path: Path) -> int | None:
    try:
        return int(re.findall(r"PPid:\s+(\d+)", path.with_name("status").read_text())[0])
    except OSError:
        return None


def endless(ended: threading.Event) -> Generator[bytes]:
    try:
        while True:
            yield b"a" * 100_000
    finally:
        ended.set()


def left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("encryption", "prefetch", "deflate"))]


def test_what_is_abandoned_ends_its_process_and_threads(public: dict[str, str]) -> None:
    ended = threading.Event()
    chunks = encrypted(endless(ended), opened(encrypt_to=[public["ecc"]]))
    next(chunks)
    chunks.close()
    assert ended.is_set()
    assert left() == []
    assert [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if parent(path) == os.getpid() and b"pysequoia" in path.read_bytes()
    ] == []


def test_an_error_of_the_text_is_raised_and_no_message_is_ended(public: dict[str, str]) -> None:
    def failing() -> Generator[bytes]:
        yield TEXT
        raise CourierError("It failed")

    taken: list[bytes] = []
    with pytest.raises(CourierError, match="It failed"):
        taken.extend(encrypted(failing(), opened(encrypt_to=[public["ecc"]])))
    assert left() == []


def test_a_process_that_ends_early_is_an_error(public: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = opened(encrypt_to=[public["ecc"]])
    with pytest.raises(CourierError, match="could not be encrypted") as error:
        message(TEXT, replace(keys, signing_key=b"no key"))
    assert "Traceback" not in str(error.value)
    start = encryption._start

    def killed() -> subprocess.Popen[bytes]:
        process = start()
        process.kill()
        return process

    monkeypatch.setattr(encryption, "_start", killed)
    with pytest.raises(CourierError, match="could not be encrypted"):
        message(TEXT * 100, keys)
    assert left() == []


# A file as a whole


def whole(folder: Path, rows: int, keys: Keys | None, **settings: Any) -> Rendering:
    table = pa.table({"c0": [f"name{number}@example.org" for number in range(rows)], "outcome": ["exported"] * rows})
    pq.write_table(table, folder / "part.parquet")
    base = load(["activation=demo", "run_id=r1", "as_of=2026-11-01T09:30:15Z"], now=NOW)
    config = replace(base, file=FileConfig(**settings))
    columns = Mapping([MappedColumn("email", "c0", "x", pa.string(), True)], [])
    file = PlannedFile(f"out.{config.file.full_extension}", 0, 1, 1, Slice(0, rows))
    return Rendering(AudienceSnapshot(0, [folder / "part.parquet"]), file, columns, config, keys)


def test_a_file_is_compressed_and_then_encrypted_and_the_text_is_measured(gpg: Gpg, public: dict[str, str], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"compression": "gzip", "encrypt_to": [public["ecc"]]}
    rendering = whole(tmp_path, 200_000, opened(**settings), **settings)
    text = gzip.decompress(gpg.opened(b"".join(rendering)))
    assert text == b"email\n" + b"".join(b"name%d@example.org\n" % number for number in range(200_000))
    assert (rendering.plain_bytes, rendering.plain_sha256) == (len(text), hashlib.sha256(text).hexdigest())


def test_a_rendering_that_is_closed_or_dropped_leaves_no_threads(public: dict[str, str], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"compression": "zstd", "encrypt_to": [public["ecc"]]}
    for end in (Rendering.close, lambda _: None):
        rendering = whole(tmp_path, 300_000, opened(**settings), **settings)
        next(iter(rendering))
        end(rendering)
        del rendering
        assert left() == []


def test_a_value_that_cannot_be_written_ends_the_encryption_with_that_error(public: dict[str, str], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"compression": "gzip", "encrypt_to": [public["ecc"]]}
    dialect: dict[str, Any] = {"quoting": "none", "empty_text": "-", "delimiter": "@"}
    with pytest.raises(HeldError, match="column 'email' 200"):
        list(whole(tmp_path, 200, opened(**settings), **settings, **dialect))
    assert left() == []


def test_what_was_changed_is_counted_over_all_batches_and_anew_in_each_rendering(tmp_path: Path) -> None:
    dialect: dict[str, Any] = {"quoting": "none", "empty_text": "-", "delimiter": "@", "on_special": "replace"}
    for _ in range(2):
        rendering = whole(tmp_path, 200_000, None, **dialect)
        assert b"".join(rendering).count(b"@") == 0
        assert rendering.notes == {"email": {"special_characters_replaced": 200_000}}


def test_a_file_that_is_to_be_encrypted_is_never_sent_as_text(public: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CourierError, match="no keys"):
        whole(tmp_path, 1, None, encrypt_to=[public["ecc"]])


def test_a_receiver_with_a_newer_kind_of_key_can_decrypt(tmp_path: Path) -> None:
    """Keys that say that they take the newer form of message get it; GnuPG makes none of them."""
    tsk = pysequoia.Tsk.generate("a <a@example.org>", profile=pysequoia.Profile.RFC9580)
    (tmp_path / "key").write_bytes(bytes(tsk.extract_certificate()))
    sent = message(TEXT, opened(encrypt_to=[str(tmp_path / "key")]))
    assert pysequoia.decrypt(sent, tsk.decryptor()).bytes == TEXT
