"""Compression: what readers get back, and that the bytes depend on the text alone."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import shutil
import subprocess
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from courier.config import FileConfig
from courier.errors import ConfigError
from courier.prefetch import CHUNKS_AHEAD, prefetched
from courier.render import compression
from courier.render.compression import BLOCK_BYTES, LEAST_CHUNK_BYTES, compressed

NOON = datetime(2026, 11, 1, 12, 0, 2, tzinfo=UTC)


def lines(rows: int) -> bytes:
    """Text like that of a file, the same in every run; about 40 bytes a row."""
    made = random.Random(rows)
    return b"".join(b"name%d@example.org,+%d,Oslo\n" % (made.randrange(10**7), made.randrange(10**11)) for _ in range(rows))


TEXT = lines(120_000)  # more than three blocks


def whole(text: bytes, kind: str, *, level: int = 3, size: int = 1_000_000, name: str = "ä.csv", modified: datetime = NOON) -> bytes:
    return b"".join(compressed((text[at : at + size] for at in range(0, len(text), size)), kind, level, name, modified))


def unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name)  # checks the CRC


READERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.decompress,
    "zip": unzipped,
    "zstd": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", [b"", b"a", TEXT, TEXT[:BLOCK_BYTES]], ids=["empty", "a byte", "blocks", "one block"])
def test_what_was_compressed_is_read_back(kind: str, text: bytes) -> None:
    assert READERS[kind](whole(text, kind)) == text


@pytest.mark.parametrize("kind", FileConfig.LEVELS)
def test_every_level_can_be_read_back(kind: str) -> None:
    least, greatest, _ = FileConfig.LEVELS[kind]
    for level in range(least, greatest + 1):
        assert READERS[kind](whole(TEXT[:60_000], kind, level=level)) == TEXT[:60_000]


@pytest.mark.parametrize("kind", FileConfig.LEVELS)
def test_the_bytes_do_not_depend_on_the_chunks_of_the_text(kind: str) -> None:
    assert len({hashlib.sha256(whole(TEXT, kind, size=size)).digest() for size in (997, 65_536, BLOCK_BYTES, len(TEXT))}) == 1


@pytest.mark.parametrize("kind", FileConfig.LEVELS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 3_000_000), max_size=6))
def test_the_bytes_do_not_depend_on_where_the_text_is_cut(kind: str, cuts: list[int]) -> None:
    text = TEXT[:3_000_000]
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert b"".join(compressed(pieces, kind, 1, "a", NOON)) == whole(text, kind, level=1, name="a")


@pytest.mark.parametrize("kind", FileConfig.LEVELS)
def test_the_bytes_do_not_depend_on_the_number_of_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for threads in (1, 2, 4):
        monkeypatch.setattr(compression, "THREADS", threads)
        found.add(whole(TEXT, kind))
    assert len(found) == 1


def test_gzip_has_no_time_and_no_name_and_is_one_member() -> None:
    content = whole(TEXT, "gzip")
    assert content[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert whole(TEXT, "gzip", name="b", modified=NOON + timedelta(days=9)) == content

    member = zlib.decompressobj(31)
    assert member.decompress(content) == TEXT
    assert member.eof
    assert member.unused_data == b""


def test_zip_has_one_member_with_the_name_and_the_time_that_were_given() -> None:
    with zipfile.ZipFile(io.BytesIO(whole(TEXT, "zip"))) as archive:
        (member,) = archive.infolist()
        assert archive.testzip() is None
    assert (member.filename, member.date_time, member.file_size) == ("ä.csv", (2026, 11, 1, 12, 0, 2), len(TEXT))
    assert member.external_attr >> 16 == 0o100644


def test_a_time_before_zip_knows_times_is_its_first() -> None:
    content = whole(b"a", "zip", modified=datetime(1970, 1, 1, tzinfo=UTC))
    assert zipfile.ZipFile(io.BytesIO(content)).infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_zip_beyond_4_gib_is_read_by_its_directory(tmp_path: Path) -> None:
    block = bytes(1 << 22)
    target = tmp_path / "large.zip"
    with target.open("wb") as file:
        file.writelines(compressed((block for _ in range(1025)), "zip", 1, "large.csv", NOON))
    with zipfile.ZipFile(target) as archive, archive.open("large.csv") as member:
        assert archive.infolist()[0].file_size == 1025 << 22
        assert member.read(1 << 20) == bytes(1 << 20)
    assert target.stat().st_size < 1 << 26


@pytest.mark.parametrize(
    ("kind", "command"), [("gzip", ["gzip", "-dc"]), ("zstd", ["zstd", "-dc"]), ("zip", ["unzip", "-p"]), ("zip", ["bsdtar", "-xOf-"])]
)
def test_common_programs_read_it(kind: str, command: list[str], tmp_path: Path) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    target = tmp_path / "file"
    target.write_bytes(whole(TEXT, kind, name="a.csv"))
    streamed = command[0] != "unzip"  # which needs a file
    with target.open("rb") as file:
        found = subprocess.run(command if streamed else [*command, str(target)], stdin=file, capture_output=True, check=True)
    assert found.stdout == TEXT


@pytest.mark.parametrize("kind", FileConfig.LEVELS)
def test_chunks_are_not_tiny(kind: str) -> None:
    noise = random.Random(1).randbytes(1_000_000) * 12
    sizes = [len(chunk) for chunk in compressed((noise[at : at + 999] for at in range(0, len(noise), 999)), kind, 1, "a", NOON)]
    assert len(sizes) > 1
    assert min(sizes[:-1]) >= LEAST_CHUNK_BYTES


def test_compression_lets_other_threads_work() -> None:
    """Python's lock is free while blocks are compressed: a thread that counts goes on counting."""
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.wait(0.001):
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    for kind, level in (("gzip", 9), ("zstd", 12)):
        whole(TEXT, kind, level=level)
    seconds = time.monotonic() - started
    done.set()
    thread.join()
    assert counted > 20 * seconds  # with the lock held it would be a few for each block


# Working ahead


def threads_named(*starts: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(starts)]


def test_the_thread_ahead_gives_the_same_chunks() -> None:
    assert list(prefetched(chunk for chunk in (b"a", b"", b"b"))) == [b"a", b"", b"b"]
    assert threads_named("prefetch") == []


def test_the_thread_ahead_is_only_a_few_chunks_ahead() -> None:
    made = 0

    def endless() -> Generator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"a"

    chunks = prefetched(endless())
    next(chunks)
    time.sleep(0.1)
    assert made <= CHUNKS_AHEAD + 2
    chunks.close()


def test_an_error_while_rendering_reaches_whoever_takes_the_chunks() -> None:
    def failing() -> Generator[bytes]:
        yield b"a"
        raise ConfigError("It failed")

    chunks = prefetched(compressed(failing(), "none", 0, "a", NOON))
    assert next(chunks) == b"a"
    with pytest.raises(ConfigError, match="It failed"):
        next(chunks)
    with pytest.raises(ConfigError, match="It failed"):
        list(prefetched(compressed(failing(), "gzip", 3, "a", NOON)))
    assert threads_named("prefetch", "deflate") == []


@pytest.mark.parametrize("kind", ["none", *FileConfig.LEVELS])
def test_what_is_abandoned_ends_its_threads_and_the_text(kind: str) -> None:
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        noise = random.Random(2)
        try:
            while True:
                yield noise.randbytes(BLOCK_BYTES)
        finally:
            ended.set()

    chunks = prefetched(compressed(endless(), kind, 1, "a", NOON))
    next(chunks)
    chunks.close()
    assert ended.is_set()
    assert threads_named("prefetch", "deflate") == []


# The configuration


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({}, "csv"),
        ({"extension": ""}, ""),
        ({"compression": "gzip"}, "csv.gz"),
        ({"compression": "gzip", "extension": ""}, "gz"),
        ({"compression": "zip"}, "zip"),
        ({"compression": "zstd"}, "csv.zst"),
        ({"encrypt_to": ["k"]}, "csv.gpg"),
        ({"encrypt_to_env": ["K"], "compression": "gzip"}, "csv.gz.gpg"),
        ({"encrypt_to": ["k"], "compression": "zip"}, "zip.gpg"),
        ({"encrypt_to": ["k"], "armour": True, "final_extension": "csv.asc"}, "csv.asc"),
        ({"compression": "gzip", "final_extension": ""}, ""),
    ],
)
def test_names_say_what_was_done_to_a_file(keys: dict[str, object], name: str) -> None:
    config = FileConfig(**keys)
    assert config.full_extension == name
    assert config.member_name(f"out.{name}" if name else "out") == ("out.csv" if config.extension else "out")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"compression": "rar"}, "file.compression"),
        ({"compression": "gzip", "compression_level": 0}, "1 to 9"),
        ({"compression": "zip", "compression_level": 10}, "1 to 9"),
        ({"compression": "zstd", "compression_level": 20}, "1 to 19"),
        ({"compression_level": 3}, "of no use"),
        ({"final_extension": "../x"}, "final_extension"),
        ({"sign_key_file": "k"}, "only where they are encrypted"),
        ({"encrypt_to": ["k"], "sign_key_file": "k", "sign_key_env": "K"}, "one of them"),
        ({"encrypt_to": ["k"], "sign_passphrase_env": "P"}, "without a key"),
        ({"armour": True}, "of no use"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FileConfig(**keys)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"encrypt_to_env": ["pass word"]},
        {"encrypt_to": ["-----BEGIN PGP PRIVATE KEY BLOCK-----\npass word"]},
        {"encrypt_to": ["k"], "sign_key_env": "pass word"},
        {"encrypt_to": ["k"], "sign_key_file": "-----BEGIN PGP PRIVATE KEY BLOCK-----\npass word"},
        {"encrypt_to": ["k"], "sign_key_file": "k", "sign_passphrase_env": "pass word"},
    ],
)
def test_a_secret_where_its_name_belongs_is_refused_and_not_shown(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refused:
        FileConfig(**keys)
    assert "pass word" not in str(refused.value)
