"""Synthetic customer profiles in the real XDM shape, for trying things out and for benchmarks.

One Parquet row is one profile. The values are made up, but awkward in the ways real ones are: shared and missing
addresses, names with commas, quotes and accents, free-text phone numbers, expired and exited memberships.
The same seed and number of rows give the same profiles, whatever the machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PROFILES_PER_CHUNK = 250_000
PROFILES_PER_FILE = 1_000_000

#: segment id → share of the profiles that have a membership entry for it (whatever its status), namespace `ups`.
SEGMENTS: dict[str, float] = {
    "8f7b1c2e-5d3a-4b6f-9a10-2c4e6f8a0b1d": 0.40,
    "12341e18-abcd-49c2-836d-123c88e76c39": 0.15,
    "c3d9a6f0-7e21-4f58-b1c4-90ab12cd34ef": 0.08,
    "5a0e4d77-1b92-4c3d-8e6f-7788aa99bbcc": 0.04,
    "e91f20b3-66d4-4a0b-9c57-0f1e2d3c4b5a": 0.02,
}
OTHER_NAMESPACE = "AAM"
OTHER_SEGMENT = "04a81716-43d6-4e7a-a49c-f1d8b3129ba9"

FIRST_NAMES = (
    "Maria James Anna John Elena Robert Sofia Michael Emma William Olivia David Ava Richard Isabella Joseph Mia Thomas Amelia Carlos "
    "Harper Daniel Evelyn Matthew Luna Anthony Camila Mark Gianna Paul Zoë Björn René Åsa Łukasz Mónica Jürgen Siân Chloé İrem "
    "Naoko Wei Priya Arjun Fatima Omar Ingrid Lars Pilar Hugo Nadia Viktor Yara Mateo Aisha Kwame Leila Tariq Noor Ewa"
).split()
LAST_NAMES = [
    *(
        "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Taylor Moore "
        "Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres "
        "Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Vonnegut Orwell Müller Sjöberg Núñez "
        "Dvořák Żak Çelik Ó\u00a0Briain Lefèvre Strauß"
    ).split(" "),
    "O'Brien",
    "van der Berg",
    "de la Cruz",
    "Smith, Jr.",
    'Robert "Bob" Hale',
    " Leading-Blank",
]
CITIES: list[tuple[str, str, str]] = [
    ("San Jose", "US-CA", "95110"),
    ("New York", "US-NY", "10001"),
    ("Boston", "US-MA", "02108"),
    ("Newark", "US-NJ", "07102"),
    ("Chicago", "US-IL", "60601"),
    ("Washington, D.C.", "US-DC", "20001"),
    ("Seattle", "US-WA", "98101"),
    ("Malmö", "SE-M", "211 19"),
    ("München", "DE-BY", "80331"),
    ("Kraków", "PL-12", "31-008"),
    ("Québec", "CA-QC", "G1R 4P5"),
    ("São Paulo", "BR-SP", "01001-000"),
]
DOMAINS = ["example.com", "example.org", "example.net", "mail.example.com", "post.example.org"]
TIERS = ["bronze", "silver", "gold", "platinum"]
CONSENT_CODES = ["y", "n", "p", "u"]


def _microseconds(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


QUALIFIED_FROM, QUALIFIED_TO = _microseconds(2025, 1, 1), _microseconds(2026, 1, 1)
#: validUntil is either long past or far away, so that the sample's members do not change as time goes by.
LONG_PAST, FAR_AWAY = _microseconds(2025, 6, 1), _microseconds(2099, 1, 1)
TIMESTAMP = pa.timestamp("us", tz="UTC")


def _scatter(ids: Ints, salt: int) -> NDArray[np.uint64]:
    """A well-mixed number for each id (splitmix64), so that profile `n` looks the same in every chunk that speaks of it."""
    mixed = ids.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _pick(values: list[str], indices: NDArray[np.generic]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(indices.astype(np.int64)))


def _text(numbers: Ints, width: int = 0) -> pa.Array:
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _null_where(values: pa.Array, missing: NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)


def _struct(**fields: pa.Array) -> pa.StructArray:
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields))


def _offsets(lengths: Ints) -> pa.Array:
    return pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))


def _ascii(names: list[str]) -> list[str]:
    folded = str.maketrans("ëöéÅŁóüâİáüřŻÇÓèßúñåž", "eoeALouaIaurZCOesunaz")
    return ["".join(c for c in name.translate(folded).lower() if c.isascii() and c.isalpha()) for name in names]


def _memberships(rng: np.random.Generator, rows: int) -> pa.Array:
    shares = np.array([*SEGMENTS.values(), 0.10])
    present = rng.random((rows, len(shares))) < shares
    entries = int(present.sum())
    segment_ids = _pick([*SEGMENTS, OTHER_SEGMENT], np.nonzero(present)[1])
    fate = rng.random(entries)
    status = _pick(["exited", "realized", "existing"], np.searchsorted([0.12, 0.90], fate))
    qualified = rng.integers(QUALIFIED_FROM, QUALIFIED_TO, entries)
    end = rng.random(entries)
    valid_until = pa.array(np.where(end < 0.03, LONG_PAST, FAR_AWAY), mask=end > 0.33).cast(TIMESTAMP)
    membership = _struct(status=status, lastQualificationTime=pa.array(qualified).cast(TIMESTAMP), validUntil=valid_until)

    per_namespace = np.stack([present[:, :-1].sum(axis=1), present[:, -1]], axis=1)
    has_namespace = per_namespace > 0
    by_segment = pa.MapArray.from_arrays(_offsets(per_namespace[has_namespace]), segment_ids, membership)
    namespaces = _pick(["ups", OTHER_NAMESPACE], np.nonzero(has_namespace)[1])
    return pa.MapArray.from_arrays(_offsets(has_namespace.sum(axis=1)), namespaces, by_segment)


def _identities(rng: np.random.Generator, ids: Ints, emails: pa.Array) -> pa.Array:
    """`Email` where there is an address, and `ECID` always."""
    has_email = emails.is_valid().to_numpy(zero_copy_only=False)
    slots = np.stack([has_email, np.ones(len(ids), dtype=bool)], axis=1)
    owner, kind = np.nonzero(slots)
    ecids = _join(_text(_scatter(ids, 7).astype(np.int64) & 0x7FFFFFFFFFFF, 19), _text(ids, 19))
    identity = pc.if_else(pa.array(kind == 0), emails.take(pa.array(owner)), ecids.take(pa.array(owner)))
    state = _pick(["ambiguous", "authenticated"], (rng.random(len(owner)) < 0.5).astype(np.int64))
    items = _struct(id=identity, primary=pa.array(kind == 0), authenticatedState=state)
    lists = pa.ListArray.from_arrays(_offsets(np.ones(len(owner), dtype=np.int64)), items)
    return pa.MapArray.from_arrays(_offsets(slots.sum(axis=1)), _pick(["Email", "ECID"], kind), lists)


def _phones(ids: Ints, exchange: pa.Array, line: pa.Array) -> pa.Array:
    """Eight of ten as E.164 has them; the others with signs between, or without the plus, as people write them."""
    forms = _join("+1408", exchange, line), _join("+1 (408) ", exchange, "-", line), _join("1-408-", exchange, "-", line)
    chosen = np.searchsorted([8, 9], _scatter(ids, 13) % np.uint64(10), side="right")
    return pc.choose(pa.array(chosen), *forms)


def _loyalty(rng: np.random.Generator, ids: Ints) -> pa.Array:
    cards = np.searchsorted([0.60, 0.95], rng.random(len(ids)))
    owners = np.repeat(ids, cards)
    numbers = _join("L", _text(_scatter(owners, 11).astype(np.int64) & 0xFFFFFFF, 9))
    return _struct(
        loyaltyID=pa.ListArray.from_arrays(_offsets(cards), numbers),
        tier=_null_where(_pick(TIERS, rng.integers(0, len(TIERS), len(ids))), cards == 0),
        points=pa.array(rng.integers(0, 20_000, len(ids)), mask=cards == 0),
    )


def _chunk(seed: int, number: int, rows: int) -> pa.Table:
    rng = np.random.default_rng([seed, number])
    ids = np.arange(rows, dtype=np.int64) + number * PROFILES_PER_CHUNK
    # One profile in thirty shares its address with an earlier one.
    shared = rng.random(rows) < 1 / 30
    owners = np.where(shared, (rng.random(rows) * ids).astype(np.int64), ids)
    first, last = _scatter(owners, 1) % np.uint64(len(FIRST_NAMES)), _scatter(owners, 2) % np.uint64(len(LAST_NAMES))
    domain = _pick(DOMAINS, _scatter(owners, 3) % np.uint64(len(DOMAINS)))
    address = _join(_pick(_ascii(FIRST_NAMES), first), ".", _pick(_ascii(LAST_NAMES), last), _text(owners), "@", domain)
    emails = _null_where(address, rng.random(rows) < 0.04)
    phone = _phones(ids, _text(rng.integers(200, 1000, rows)), _text(rng.integers(0, 10_000, rows), 4))
    month, day = rng.integers(1, 13, rows), rng.integers(1, 29, rows)
    town = rng.integers(0, len(CITIES), rows)
    no_address = rng.random(rows) < 0.05
    return pa.table(
        {
            "_id": _text(ids, 12),
            "identityMap": _identities(rng, ids, emails),
            "segmentMembership": _memberships(rng, rows),
            "person": _struct(
                name=_struct(
                    firstName=_null_where(_pick(FIRST_NAMES, first), rng.random(rows) < 0.02),
                    lastName=_null_where(_pick(LAST_NAMES, last), rng.random(rows) < 0.02),
                ),
                birthDayAndMonth=_null_where(_join(_text(month, 2), "-", _text(day, 2)), rng.random(rows) < 0.2),
                birthYear=pa.array(rng.integers(1940, 2008, rows)),
            ),
            "personalEmail": _struct(address=emails, type=_pick(["personal"], np.zeros(rows))),
            "mobilePhone": _struct(number=_null_where(phone, rng.random(rows) < 0.3)),
            "homeAddress": _struct(
                city=_null_where(_pick([c[0] for c in CITIES], town), no_address),
                stateProvince=_null_where(_pick([c[1] for c in CITIES], town), no_address),
                postalCode=_null_where(_pick([c[2] for c in CITIES], town), no_address),
            ),
            "consents": _struct(
                marketing=_struct(email=_struct(val=_pick(CONSENT_CODES, np.searchsorted([0.8, 0.88, 0.92], rng.random(rows)))))
            ),
            "loyalty": _loyalty(rng, ids),
            "_acme": _struct(tier=_pick(TIERS, rng.integers(0, len(TIERS), rows))),
        }
    )


def profiles(count: int, seed: int = 7) -> Iterator[pa.Table]:
    """Yield `count` synthetic profiles, at most `PROFILES_PER_CHUNK` in memory at a time."""
    for number, start in enumerate(range(0, count, PROFILES_PER_CHUNK)):
        yield _chunk(seed, number, min(PROFILES_PER_CHUNK, count - start))


def write_profiles(folder: Path, count: int, seed: int = 7) -> list[Path]:
    """Write `count` profiles as Parquet files of at most `PROFILES_PER_FILE` rows into `folder`, and return the files.

    All of them or none: `make` takes a folder that is there for a whole sample.
    Raises ValueError when the folder already has Parquet files: mixing two samples would double the profiles.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.parquet")):
        raise ValueError(f"{folder} already holds Parquet files; remove them or choose another folder")
    written: list[Path] = []
    try:
        chunks = profiles(count, seed)
        for number, _ in enumerate(range(0, count, PROFILES_PER_FILE)):
            written.append(folder / f"profiles-{number:05d}.parquet")
            first = next(chunks)
            with pq.ParquetWriter(written[-1], first.schema) as writer:
                writer.write_table(first)
                for chunk in itertools.islice(chunks, PROFILES_PER_FILE // PROFILES_PER_CHUNK - 1):
                    writer.write_table(chunk)
    except BaseException:  # Ctrl-C, too
        for path in written:
            path.unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise
    return written
