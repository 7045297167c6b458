"""What looks like a mistake and is sent nonetheless: said in the report, in the record and before, in the preflight."""

from __future__ import annotations

from pathlib import Path

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
