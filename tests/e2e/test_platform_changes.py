"""Incremental exports to a platform: what it is told of those who have left, and what becomes of a file that it has not read yet."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
from activation import Job, activate
from xdm_profiles import CHOICE, PROFILE_SCHEMA, profile, write_profiles

MEMBER = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
SEGMENT = "audience.segments=[{id: seg-a, name: vip}]"
CONSENTS = PROFILE_SCHEMA.field("consents").type
INCREMENTAL = ["export=incremental", "destination.on_conflict=fail"]


def people(folder: Path, **names: str) -> None:
    """Members with a permission, by the letter of their address."""
    write_profiles(
        folder / "profiles",
        [
            profile(email=f"{letter}@example.com", first_name=name, loyalty_ids=[letter], segments=MEMBER, consent="y")
            for letter, name in names.items()
        ],
    )


def run(folder: Path, number: int, *overrides: str) -> Job:
    return activate(folder, SEGMENT, *INCREMENTAL, *overrides, run_id=f"run-{number}", as_of=f"2026-11-0{number}T00:00:00Z")


def rows(job: Job, name: str = "vip.csv") -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(job.delivered()[name].decode())))


def taken(folder: Path) -> None:
    """The platform takes all that is there."""
    for path in (folder / "out").iterdir():
        path.unlink()


def test_whom_a_suppression_list_holds_is_told_to_responsys_as_opted_out(tmp_path: Path) -> None:
    people(tmp_path, a="Ann", b="Bea")
    first = run(tmp_path, 1, "esp=oracle_responsys").succeeded()
    assert [(row["EMAIL_ADDRESS_"][0], row["EMAIL_PERMISSION_STATUS_"], row["status"]) for row in rows(first)] == [
        ("a", "I", "realized"),
        ("b", "I", "realized"),
    ]
    taken(tmp_path)
    (tmp_path / "list.csv").write_text("email\nB@example.com\n")
    listed = "+suppression.lists.complaints={path: list.csv, column: email}"
    second = run(tmp_path, 2, "esp=oracle_responsys", listed).succeeded()
    assert [(row["EMAIL_ADDRESS_"][0], row["EMAIL_PERMISSION_STATUS_"], row["status"]) for row in rows(second)] == [("b", "O", "exited")]


def test_whoever_says_no_in_whatever_place_is_told_to_responsys_as_opted_out(tmp_path: Path) -> None:
    """The channel alone may still say yes."""
    said = pa.struct({"marketing": pa.struct({"email": CHOICE})})
    consents = pa.struct({**{each.name: each.type for each in CONSENTS}, "idSpecific": pa.map_(pa.string(), pa.map_(pa.string(), said))})
    schema = PROFILE_SCHEMA.set(PROFILE_SCHEMA.get_field_index("consents"), pa.field("consents", consents))
    schema = schema.append(pa.field("optInOut", pa.map_(pa.string(), pa.string())))
    yes: dict[str, Any] = {"marketing": {"email": {"val": "y"}}}
    no_of_all = {"marketing": {"any": {"val": "n"}, "email": {"val": "y"}}}
    no_of_address = {**yes, "idSpecific": [("Email", [("b@example.com", {"marketing": {"email": {"val": "n"}}})])]}

    def write(**keys: dict[str, Any]) -> None:
        people = [
            profile(email=f"{letter}@example.com", loyalty_ids=[letter], segments=MEMBER, **keys.get(letter, {"consents": yes}))
            for letter in "abcd"
        ]
        write_profiles(tmp_path / "profiles", people, schema=schema)

    write()
    run(tmp_path, 1, "esp=oracle_responsys").succeeded()
    taken(tmp_path)
    write(a={"consents": no_of_all}, b={"consents": no_of_address}, c={"consents": None, "optInOut": [("globalOptout", "true")]})
    second = run(tmp_path, 2, "esp=oracle_responsys").succeeded()
    assert [(row["EMAIL_ADDRESS_"][0], row["EMAIL_PERMISSION_STATUS_"], row["status"]) for row in rows(second)] == [
        (letter, "O", "exited") for letter in "abc"
    ]
