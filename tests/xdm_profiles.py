"""Profiles for tests: rows written by hand, and Adobe's own examples, as Parquet in the shape of XDM.

write_profiles(folder, [profile(email="jane@example.com", segments={"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}})])
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

EXAMPLES = Path(__file__).parent / "fixtures" / "xdm"

TIMESTAMP = pa.timestamp("us", tz="UTC")
MEMBERSHIP = pa.struct(
    {"version": pa.string(), "timestamp": TIMESTAMP, "lastQualificationTime": TIMESTAMP, "validUntil": TIMESTAMP, "status": pa.string()}
)
IDENTITY = pa.struct({"id": pa.string(), "primary": pa.bool_(), "authenticatedState": pa.string()})
CHOICE = pa.struct({"val": pa.string()})
PROFILE_SCHEMA = pa.schema(
    {
        "_id": pa.string(),
        "identityMap": pa.map_(pa.string(), pa.list_(IDENTITY)),
        "segmentMembership": pa.map_(pa.string(), pa.map_(pa.string(), MEMBERSHIP)),
        "person": pa.struct(
            {
                "name": pa.struct({"firstName": pa.string(), "middleName": pa.string(), "lastName": pa.string(), "fullName": pa.string()}),
                "birthDayAndMonth": pa.string(),
                "gender": pa.string(),
            }
        ),
        "personalEmail": pa.struct(
            {"primary": pa.bool_(), "address": pa.string(), "label": pa.string(), "type": pa.string(), "status": pa.string()}
        ),
        "mobilePhone": pa.struct({"primary": pa.bool_(), "number": pa.string(), "status": pa.string()}),
        "homeAddress": pa.struct(
            {
                "primary": pa.bool_(),
                "street1": pa.string(),
                "city": pa.string(),
                "stateProvince": pa.string(),
                "postalCode": pa.string(),
                "country": pa.string(),
                "countryCode": pa.string(),
                "status": pa.string(),
            }
        ),
        "consents": pa.struct({"marketing": pa.struct({"preferred": pa.string(), "any": CHOICE, "email": CHOICE})}),
        "loyalty": pa.struct({"loyaltyID": pa.list_(pa.string()), "tier": pa.string(), "points": pa.int64(), "joinDate": TIMESTAMP}),
        "_acme": pa.struct({"tier": pa.string(), "memberNumber": pa.string()}),
    }
)

#: status, lastQualificationTime, validUntil; the times in ISO 8601.
Membership = tuple[str | None, str | None, str | None]


def profile(
    *,
    email: str | None = "jane@example.com",
    first_name: str | None = "Jane",
    last_name: str | None = "Doe",
    phone: str | None = None,
    city: str | None = None,
    state: str | None = None,
    postal_code: str | None = None,
    birthday: str | None = None,
    segments: dict[str, dict[str, Membership | None]] | None = None,
    identities: dict[str, list[str]] | None = None,
    consent: str | None = "y",
    loyalty_ids: list[str | None] | None = None,
    tier: str | None = None,
    member_number: str | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """One row for `write_profiles`. `segments` is namespace → segment id → (status, lastQualificationTime, validUntil).

    `columns` replace whole columns, for example `personalEmail=None` for a struct that is null.
    """
    return {
        "_id": email,
        "identityMap": {namespace: [{"id": text} for text in ids] for namespace, ids in (identities or {}).items()},
        "segmentMembership": None if segments is None else {name: _memberships(entries) for name, entries in segments.items()},
        "person": {"name": {"firstName": first_name, "lastName": last_name}, "birthDayAndMonth": birthday},
        "personalEmail": {"address": email},
        "mobilePhone": {"number": phone},
        "homeAddress": {"city": city, "stateProvince": state, "postalCode": postal_code},
        "consents": {"marketing": {"email": {"val": consent}}},
        "loyalty": {"loyaltyID": loyalty_ids},
        "_acme": {"tier": tier, "memberNumber": member_number},
        **columns,
    }


def _memberships(entries: dict[str, Membership | None]) -> dict[str, Any]:
    return {
        segment: entry and {"status": entry[0], "lastQualificationTime": _moment(entry[1]), "validUntil": _moment(entry[2])}
        for segment, entry in entries.items()
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def adobe_profile() -> dict[str, Any]:
    """Adobe's examples, put together to one profile: Jane Doe, a member of two AAM segments in 2018 and formerly of an Email one."""
    found: dict[str, Any] = {}
    for name in ("profile", "profile-person-details", "profile-personal-details", "profile-consents", "segmentation"):
        found |= _example(f"{name}.example.1")
    found |= _example("profile-loyalty-details.example.2")
    found |= {"personalEmail": _example("emailaddress.example.1"), "homeAddress": _example("address.example.1")}
    found["_id"] = found["identityMap"]["ECID"][0]["id"]
    return {field.name: _fitted(found.get(field.name), field.type) for field in PROFILE_SCHEMA}


def _example(name: str) -> dict[str, Any]:
    content: dict[str, Any] = _without_prefix(json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8")))
    return content


def _without_prefix(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.removeprefix("xdm:"): _without_prefix(entry) for key, entry in value.items()}
    return [_without_prefix(entry) for entry in value] if isinstance(value, list) else value


def _fitted(value: Any, kind: pa.DataType) -> Any:
    """`value` as its column has it: times out of ISO text; fields that the schema has not are left out."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _fitted(value.get(field.name), field.type) for field in kind}
    if pa.types.is_map(kind):
        return {key: _fitted(entry, kind.item_type) for key, entry in value.items()}
    if pa.types.is_list(kind):
        return [_fitted(entry, kind.value_type) for entry in value]
    return _moment(value) if pa.types.is_timestamp(kind) else value


def write_profiles(folder: Path, rows: list[dict[str, Any]], files: int = 1, schema: pa.Schema = PROFILE_SCHEMA, **options: Any) -> Path:
    """Write `rows`, dealt out in order over `files` Parquet files, into `folder`, and return it. `options` go to pyarrow's writer."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**row, **_maps(row)} for row in rows], schema)
    share = max(1, -(-len(rows) // files))
    for number in range(files):
        pq.write_table(table.slice(number * share, share), folder / f"profiles-{number:05d}.parquet", **options)
    return folder


def _maps(row: dict[str, Any]) -> dict[str, Any]:
    """The maps of a row as pyarrow takes them: lists of pairs."""
    memberships = row["segmentMembership"]
    return {
        "identityMap": None if row["identityMap"] is None else list(row["identityMap"].items()),
        "segmentMembership": None if memberships is None else [(name, list(entries.items())) for name, entries in memberships.items()],
    }
