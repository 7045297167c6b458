"""An activation of two columns, day after day, and what its files have then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from activation import Job, activate
from xdm_profiles import profile, write_profiles

MAPPING = "{columns: {email: {source: personalEmail.address, mandatory: true}, name: {source: person.name.firstName}}, deduplication_key: [email]}"
STATUS = "+mapping.columns.membership.source=segmentMembership.ups.seg_id.status"


def member(email: str, name: str | None = "Jane", status: str = "realized", until: str | None = None, **keys: Any) -> dict[str, Any]:
    return profile(email=email, first_name=name, segments={"ups": {"seg-a": (status, "2026-01-01T00:00:00Z", until)}}, **keys)


BEFORE = [member("a@x.org"), member("b@x.org"), member("c@x.org"), member("d@x.org", consent="y"), member("e@x.org")]
#: `b` has another name, `c` has left, `d` has withdrawn consent, `e` is gone from the source, `f` is new.
AFTER = [member("a@x.org"), member("b@x.org", "Bea"), member("c@x.org", "Cee", "exited"), member("d@x.org", consent="n"), member("f@x.org")]
ADDED, CHANGED = b"f@x.org,Jane", b"b@x.org,Bea"
REMOVED = [b"c@x.org,Cee", b"d@x.org,Jane", b"e@x.org,Jane"]


def lines(*rows: bytes, header: bytes = b"email,name,status") -> bytes:
    return b"".join(row + b"\n" for row in (header, *rows))


def single(*rows: bytes) -> dict[str, bytes]:
    return {"spring.csv": lines(*rows)}


BACKFILL = single(*(b"%c@x.org,Jane,realized" % letter for letter in b"abcde"))
CHANGES = single(CHANGED + b",realized", *(row + b",exited" for row in REMOVED), ADDED + b",realized")


def crm_folder(tmp_path: Path) -> Path:
    """With an activation of two columns; the files have the same names each day, and the platform takes them away."""
    own = tmp_path / "own"
    (own / "activation").mkdir(parents=True)
    (own / "activation" / "crm.yaml").write_text(
        "# @package _global_\ndefaults: [{override /export: incremental}, {override /mapping: small}]\n"
        "audience: {segments: [{id: seg-a, name: spring}]}\nfile: {name: '{segment_name}'}\n"
    )
    (own / "mapping").mkdir()
    (own / "mapping" / "small.yaml").write_text(MAPPING)
    write_profiles(tmp_path / "profiles", BEFORE)
    return tmp_path


CRM = ["--config-dir", "own", "activation=crm"]


def run(folder: Path, number: int, *overrides: str, rows: list[dict[str, Any]] | None = None, **environment: str) -> Job:
    """The job of one day, on what the source has then; what it delivers replaces what was there."""
    if rows is not None:
        write_profiles(folder / "profiles", rows)
    for path in (folder / "out").rglob("*.csv"):
        path.unlink()
    return activate(folder, *CRM, *overrides, run_id=f"run-{number}", **environment)
