"""What each platform's rules about values do to a row, rule by rule, on every engine: the value that is sent, or why it is not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from row_runs import EXPORTED, member, read
from xdm_profiles import write_profiles

from courier import compose, computing
from courier.engine import Engine
from courier.rows import counts, snapshot
from courier.state.place import Place

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SOURCES = {"first_name": "person.name.firstName", "email": "personalEmail.address", "phone": "mobilePhone.number"}
SOURCES |= {"birthday": "person.birthDayAndMonth", "loyalty_ids": "loyalty.loyaltyID[0]"}
REJECTED = "rejected: esp_"


def judged(engine: Engine, folder: Path, name: str, field: str, values: list[str], *overrides: str) -> dict[str, str | None]:
    """By what the profile has: what is sent of it, or after `not:` the rule that left the row out. One row for each value."""
    given = ["audience.segments=[a]", f"esp={name}", "as_of=2026-06-01T00:00:00Z", "consent=off"]
    written = write_profiles(folder / "profiles", [_member(field, value, number) for number, value in enumerate(values)])
    config = compose.load(["activation=demo", *given, f"source.path={written}", "+mapping.columns.PLACE.source=_id", *overrides], now=NOW)
    frame, ready = computing.rows(config, read(config), engine)
    (staged,) = snapshot.stage(frame, Place(str(folder / "run")), 1, engine, ready.columns.sorted_by)
    assert counts.slices(staged.batches(counts.COUNTED), 1_000_000)[0].members == len(values)
    shown = {column.source: column.engine_name for column in ready.columns.columns}
    rows = [row for batch in staged.batches([shown["_id"], shown[SOURCES[field]], "outcome"]) for row in batch.to_pylist()]
    found = {
        values[int(row[shown["_id"]])]: row[shown[SOURCES[field]]] if row["outcome"] == EXPORTED else "not: " + _rule(row["outcome"])
        for row in rows
    }
    return {value: found[value] for value in values}


def _rule(outcome: str) -> str:
    return outcome.removeprefix(REJECTED).partition("_")[0] if outcome.startswith(REJECTED) else outcome


def _member(field: str, value: str, number: int) -> dict[str, Any]:
    keys: dict[str, Any] = {"email": f"{number}@example.com", "loyalty_ids": [str(number)], "_id": str(number)}
    return member(**(keys | {field: [value] if field == "loyalty_ids" else value}))


BLANK, INSIDE, TWO, ALONE, NO_TOP = "\u00a0a@example.com ", "b\u00a0b@example.com", "c@d@example.com", "no-address", "d@localhost"
LONG_LOCAL, LONGER_LOCAL, ACCENT = f"{'e' * 65}@example.com", f"{'f' * 101}@example.com", "å@example.com"
ADDRESSES = [BLANK, INSIDE, TWO, ALONE, NO_TOP, LONG_LOCAL, LONGER_LOCAL, ACCENT]


@pytest.mark.parametrize(
    ("name", "policy", "found"),
    [
        ("adobe_campaign", "warn", {}),
        ("adobe_campaign", "reject", dict.fromkeys((BLANK, INSIDE, TWO, ALONE, NO_TOP, LONG_LOCAL, LONGER_LOCAL), "not: email")),
        ("adobe_campaign", "fix", {BLANK: "a@example.com"}),
        ("oracle_responsys", "warn", {}),
        ("oracle_responsys", "fix", {BLANK: "a@example.com"}),
        (
            "salesforce_marketing_cloud",
            "fix",
            {BLANK: "a@example.com"} | dict.fromkeys((INSIDE, TWO, ALONE, NO_TOP, LONGER_LOCAL, ACCENT), "not: email"),
        ),
        ("oracle_eloqua", "fix", {BLANK: "a@example.com", INSIDE: "not: email", LONGER_LOCAL: "not: length"}),
    ],
)
def test_addresses(engine: Engine, tmp_path: Path, name: str, policy: str, found: dict[str, str]) -> None:
    rows = judged(engine, tmp_path, name, "email", ADDRESSES, f"esp.policies.email={policy}", "dedup.normalize=false")
    assert rows == {address: found.get(address, address) for address in ADDRESSES}


def test_addresses_that_responsys_takes_for_one_are_one_row(engine: Engine, tmp_path: Path) -> None:
    """It takes blanks off the ends of values."""
    found = judged(engine, tmp_path, "oracle_responsys", "email", [" a@example.com", "a@example.com "])
    assert found == {" a@example.com": "a@example.com", "a@example.com ": "not: deduplicated"}


NUMBERS = ["+46701234567", "+46 (0)70-123 45 67", "0046701234567", "0701234567", "+0701234567", "unknown"]


@pytest.mark.parametrize("name", ["adobe_campaign", "salesforce_marketing_cloud", "oracle_eloqua", "oracle_responsys"])
@pytest.mark.parametrize("policy", ["fix", "reject", "warn"])
def test_telephone_numbers(engine: Engine, tmp_path: Path, name: str, policy: str) -> None:
    """What has a country code gets the platform's form; nobody knows the country of the others."""
    wanted = "+46701234567" if name in ("adobe_campaign", "oracle_eloqua") else "46701234567"
    found = judged(engine, tmp_path, name, "phone", [*NUMBERS, "46701234568"], f"esp.policies.phone={policy}")
    as_they_are = {number: number for number in [*NUMBERS, "46701234568"]}
    if policy == "warn":
        assert found == as_they_are
    if policy == "fix":
        assert found == as_they_are | dict.fromkeys(NUMBERS[:3], wanted)
    if policy == "reject":
        taken = {number for number in as_they_are if number == wanted or (not wanted.startswith("+") and number == "46701234568")}
        assert found == {number: number if number in taken else "not: phone" for number in as_they_are}


@pytest.mark.parametrize(
    ("name", "most"), [("adobe_campaign", 30), ("salesforce_marketing_cloud", 100), ("oracle_eloqua", 100), ("oracle_responsys", 100)]
)
def test_lengths_of_names(engine: Engine, tmp_path: Path, name: str, most: int) -> None:
    fits, long, emoji = "å" * most, "å" * (most + 1), "😀" * most + "x"
    cut = judged(engine, tmp_path / "1", name, "first_name", [fits, long, emoji], "esp.policies.length=fix")
    assert cut == {fits: fits, long: fits, emoji: "😀" * most}
    rejecting = judged(engine, tmp_path / "2", name, "first_name", [fits, long], "esp.policies.length=reject")
    assert rejecting == {fits: fits, long: "not: length"}


@pytest.mark.parametrize(
    ("name", "most"), [("adobe_campaign", 128), ("salesforce_marketing_cloud", 254), ("oracle_eloqua", 100), ("oracle_responsys", 500)]
)
def test_addresses_that_are_too_long_are_never_cut(engine: Engine, tmp_path: Path, name: str, most: int) -> None:
    def address(length: int) -> str:
        return f"a@{('b' * 60 + '.') * 8}"[: length - 4].rstrip(".").ljust(length - 4, "b") + ".com"

    fits, long = address(most), address(most + 1)
    assert judged(engine, tmp_path, name, "email", [fits, long], "esp.policies.length=fix") == {fits: fits, long: "not: length"}


@pytest.mark.parametrize(
    ("name", "most"), [("adobe_campaign", 255), ("salesforce_marketing_cloud", 254), ("oracle_eloqua", 100), ("oracle_responsys", 255)]
)
def test_keys_that_are_too_long_are_never_cut(engine: Engine, tmp_path: Path, name: str, most: int) -> None:
    """Two of them could become one."""
    fits, long = "0" * most, "0" * (most + 1)
    assert judged(engine, tmp_path, name, "loyalty_ids", [fits, long], "esp.policies.length=fix") == {fits: fits, long: "not: length"}


def test_a_digest_that_is_too_long_is_never_cut(engine: Engine, tmp_path: Path) -> None:
    keys = ["+mapping.columns.MOBILE_NUMBER_.hash=sha256_phone", "esp.policies.length=fix"]
    assert judged(engine, tmp_path, "oracle_responsys", "phone", ["+46701234567"], *keys) == {"+46701234567": "not: length"}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("oracle_responsys", ["+mapping.columns.DIGEST={source: mobilePhone.number, hash: sha256_phone}"]),  # a number has 50 characters
        (
            "salesforce_marketing_cloud",  # a postal code has 20
            [
                "mapping.columns.PostalCode.source=mobilePhone.number",
                "+mapping.columns.PostalCode.hash=sha256_phone",
                "~mapping.columns.MobilePhone",
            ],
        ),
    ],
)
def test_a_digest_is_not_held_to_the_length_of_what_it_is_of(engine: Engine, tmp_path: Path, name: str, digest: list[str]) -> None:
    found = judged(engine, tmp_path, name, "phone", ["+46701234567"], *digest)
    assert found == {"+46701234567": hashlib.sha256(b"+46701234567").hexdigest()}


def test_fields_of_the_platform_that_no_preset_has_are_held_to_what_they_take(engine: Engine, tmp_path: Path) -> None:
    added = "+mapping.columns.EMAIL_FORMAT_.source=person.name.firstName"
    assert judged(engine, tmp_path / "1", "oracle_responsys", "first_name", ["H", "x"], added) == {"H": "H", "x": "not: value"}
    long, added = "x" * 51, "+mapping.columns.COUNTRY_.source=person.name.firstName"
    assert judged(engine, tmp_path / "2", "oracle_responsys", "first_name", [long], added) == {long: long[:50]}


def test_a_number_with_a_format_has_no_more_digits_than_eloqua_takes(engine: Engine, tmp_path: Path) -> None:
    number = "+mapping.columns.Own={expression: 'cast(person.name.firstName as decimal(38,6))', format: '0.0000'}"
    fits, long = "-999999999999999.12345", "1000000000000000"
    assert judged(engine, tmp_path, "oracle_eloqua", "first_name", [fits, long], number) == {fits: fits, long: "not: number"}


@pytest.mark.parametrize(("field", "text"), [("first_name", "x" * 31), ("email", f"{'x' * 60}@{'y' * 64}.com"), ("loyalty_ids", "x" * 256)])
def test_campaigns_lengths_are_told_and_held_to_by_no_default(engine: Engine, tmp_path: Path, field: str, text: str) -> None:
    """They are Standard's, and Campaign is v7 and v8 as well."""
    assert judged(engine, tmp_path, "adobe_campaign", field, [text]) == {text: text}


@pytest.mark.parametrize("name", ["adobe_campaign", "salesforce_marketing_cloud", "oracle_eloqua", "oracle_responsys"])
def test_birthdays(engine: Engine, tmp_path: Path, name: str) -> None:
    days = ["02-29", "13-01", "1980-02-29", "00-10"]
    assert judged(engine, tmp_path / "1", name, "birthday", days) == dict.fromkeys(days) | {"02-29": "02-29"}
    rejecting = judged(engine, tmp_path / "2", name, "birthday", days, "esp.policies.birthday=reject")
    assert rejecting == dict.fromkeys(days, "not: birthday") | {"02-29": "02-29"}
