"""What looks like a mistake and is sent nonetheless: said in the report, in the record and before, in the preflight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from activation import Job, activate, run_job
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

SEGMENTS = "audience.segments=[seg-a]"
WITHOUT_CONSENTS = PROFILE_SCHEMA.remove(PROFILE_SCHEMA.get_field_index("consents"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three members of seg-a, with all that the default mapping shows; one has no consent."""
    segments = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}, "AAM": {"other": ("realized", None, None)}}
    address = {"city": "Malmö", "state": "SE-M", "postal_code": "211 19", "phone": "+46701234567", "birthday": "01-03"}
    identities = {"Email": ["a"], "ECID": ["1"]}
    rows = [
        profile(email=f"{letter}@x.org", segments=segments, identities=identities, consent=code, **address)
        for letter, code in (("a", "y"), ("b", "y"), ("c", "n"))
    ]
    write_profiles(tmp_path / "profiles", rows)
    write_profiles(tmp_path / "without", rows, schema=WITHOUT_CONSENTS)
    return tmp_path


def warned(job: Job, run_id: str = "run-1") -> list[str]:
    """The warnings of the record, which the report shows, too."""
    warnings: list[str] = job.succeeded().record(run_id)["warnings"]
    for text in warnings:
        assert f"  warning: {text}\n" in job.stdout
    return warnings


def test_nothing_is_said_where_nothing_looks_wrong(folder: Path) -> None:
    assert warned(activate(folder, SEGMENTS)) == []


def test_a_source_without_consents(folder: Path) -> None:
    text = "The source has no consents, so nobody was excluded for want of one; consent=off says that this is meant"
    preflight = run_job("preflight.py", folder, SEGMENTS, "source.path=without").succeeded()
    assert f"  warning: {text}\n" in preflight.stdout
    job = activate(folder, SEGMENTS, "source.path=without")
    assert warned(job) == [text]
    assert job.record()["consent"] == {"rule": "the source has no consents"}
    assert warned(activate(folder, SEGMENTS, "source.path=without", "consent=off", "destination.path=off", run_id="run-2"), "run-2") == []


def test_rows_that_go_over_a_network_unencrypted(folder: Path) -> None:
    """Said before the store is asked, which here is nowhere."""
    store = ("destination=s3", "destination.bucket=b", "destination.region=us-east-1", "destination.endpoint_url=http://store.invalid:9000")
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    job = activate(folder, SEGMENTS, *store, "destination.attempts=1", **keys)
    job.refused(5, "cannot be reached")
    assert job.record()["warnings"] == [
        "destination.endpoint_url is http, so rows go over the network unencrypted: use https where the store has it"
    ]


def test_columns_without_a_value_with_the_namespaces_that_there_are(folder: Path) -> None:
    """Their headers are there, and every value is missing: a path that nobody fills, a namespace that nobody has."""
    crm = "+mapping.columns.crm.identity=Emaill"
    loyalty = "+mapping.columns.loyalty.source='loyalty.loyaltyID[0]'"
    tier = "+mapping.columns.tier.expression='upper(_acme.tier)'"
    primary = "+mapping.columns.main={identity: Email, take: primary}"
    meant = "+mapping.columns.later.expression='cast(null as string)'"
    job = activate(folder, SEGMENTS, crm, loyalty, tier, primary, meant)
    assert warned(job) == [
        "column 'crm' is empty in all 2 rows; check its namespace 'Emaill' (the first 3 profiles have: ECID, Email)",
        "column 'loyalty' is empty in all 2 rows; check its source loyalty.loyaltyID[0]",
        "column 'tier' is empty in all 2 rows; check its expression",
        "column 'main' is empty in all 2 rows; check its namespace 'Email' and take: primary",
    ]
    preflight = run_job("preflight.py", folder, SEGMENTS, crm, "destination.path=elsewhere", run_id="tried").succeeded()
    assert "  warning: column 'crm' is empty in all 2 rows; check its namespace 'Emaill'" in preflight.stdout


def test_telephone_numbers_that_a_hash_cannot_be_made_of(folder: Path) -> None:
    segments = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(folder / "profiles", [profile(email="a@x.org", segments=segments, phone="070-123 45 67")])
    (warning,) = (text for text in warned(activate(folder, SEGMENTS, "+mapping.columns.phone.hash=sha256_phone")) if "'phone'" in text)
    assert warning == (
        "column 'phone' is empty in all 1 rows; sha256_phone wants numbers with + and country code; check its source mobilePhone.number"
    )


def test_a_column_that_is_empty_in_some_audiences_and_in_all(folder: Path) -> None:
    def member(segment: str, **keys: str | None) -> dict[str, Any]:
        return profile(email=f"{segment}@x.org", segments={"ups": {segment: ("realized", None, None)}}, **keys)

    names = [f"seg-{number}" for number in range(5)]
    write_profiles(folder / "profiles", [member(name, first_name=None, city=None if name > "seg-0" else "Malmö") for name in names])
    found = warned(activate(folder, f"audience.segments=[{','.join(names)}]"))
    assert "column 'first_name' is empty in all 5 rows; check its source person.name.firstName" in found
    assert "column 'city' is empty in all 4 rows of seg-1, seg-2, seg-3 and 1 more; check its source homeAddress.city" in found


def test_a_segment_that_nobody_is_in_and_a_namespace_that_there_is_not(folder: Path) -> None:
    asked = ["audience.segments=[seg-a, {id: no-such, name: spring}, {id: seg-a, name: odd, namespace: upss}]"]
    assert warned(activate(folder, *asked)) == [
        "No profile is a member of segment no-such (spring) in namespace ups; check the id and the namespace",
        "No profile is a member of segment seg-a (odd) in namespace upss; check the id and the namespace (the first 3 profiles have: AAM, ups)",
    ]


def test_members_of_whom_none_is_left(folder: Path) -> None:
    found = warned(activate(folder, SEGMENTS, "mapping.fan_out=Emaill", "mapping.columns.email.source=identity.id"))
    assert found == [
        "None of the 3 members of segment seg-a in namespace ups is left; see why they are excluded or rejected",
        "column 'email' is empty in all 3 rows; check its namespace 'Emaill' (the first 3 profiles have: ECID, Email)",
    ]


def test_an_incremental_run_knows_whether_memberships_have_ended_or_never_were(folder: Path) -> None:
    def rows(*memberships: str) -> None:
        segments = {"ups": {"seg-a": ("realized", None, None)}}
        ended = {"ups": dict.fromkeys(memberships, ("exited", "2026-01-01T00:00:00Z", None))}
        write_profiles(folder / "profiles", [profile(email="a@x.org", segments=segments), profile(email="b@x.org", segments=ended)])

    asked = ["audience.segments=[seg-a, seg-b, seg-c]", "export=incremental", "+mapping.columns={email: {source: personalEmail.address}}"]
    rows("seg-b")
    activate(folder, *asked).succeeded()
    found = warned(activate(folder, *asked, "destination.path=second", run_id="run-2"), "run-2")
    assert [text for text in found if "column" not in text] == [
        "All memberships of segment seg-b in namespace ups have ended",
        "No profile has a membership, not even an ended one, of segment seg-c in namespace ups; check the id and the namespace",
    ]


def test_a_resumed_run_warns_once(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "+mapping.columns.crm.identity=Emaill", "guard.max_rows=1")
    assert job.code == 3
    released = activate(folder, SEGMENTS, "+mapping.columns.crm.identity=Emaill", "release=run-1", run_id="run-2")
    assert [text for text in warned(released, "run-2") if "'crm'" in text] == [
        "column 'crm' is empty in all 2 rows; check its namespace 'Emaill' (the first 3 profiles have: ECID, Email)"
    ]
