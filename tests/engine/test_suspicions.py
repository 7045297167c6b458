"""What tells of a mistake, on both engines: the footers of the snapshots that they write, and the namespaces of the first profiles."""

from __future__ import annotations

from pathlib import Path

from row_runs import member, run_rows

from courier.config import ColumnConfig
from courier.engine import Engine
from courier.members import audience
from courier.rows import footers
from courier.source import profiles

COLUMNS = {
    "email": "personalEmail.address",
    "city": "homeAddress.city",
    "points": "loyalty.points",
    "joined": "loyalty.joinDate",
    "crm": ColumnConfig(identity="CRMID"),
    "hash": ColumnConfig("mobilePhone.number", hash="sha256_phone"),
    "default": ColumnConfig("homeAddress.city", default="-"),
}


def test_both_engines_write_footers_that_tell_of_columns_without_a_value(engine: Engine, tmp_path: Path) -> None:
    rows = [member(email=f"{number}@x.org", phone="1-408-888-8888") for number in range(3)]
    ran = run_rows(engine, tmp_path, rows, COLUMNS, key=["email"])
    names = {column.engine_name: column.name for column in ran.ready.columns.columns}
    found = footers.without_values(ran.snapshots[0].footers)
    assert {names[name] for name in found if name in names} == {"city", "points", "joined", "crm", "hash"}


def test_the_namespaces_of_the_first_profiles(engine: Engine, tmp_path: Path) -> None:
    rows = [
        member(email="a", identities={"ECID": ["1"], "Email": ["a"]}),
        member(email="b", identities={"Email": ["b"]}),
        member(email="c", identityMap=None),
        member(email="d", identities={"CRMID": ["4"]}),
    ]
    source = run_rows(engine, tmp_path, rows, {"email": "personalEmail.address"}).ready.source
    everyone = profiles.read(engine, source)
    assert audience.namespaces(everyone, "identityMap", 3) == ["ECID", "Email"]
    assert audience.namespaces(everyone, "identityMap", 4) == ["CRMID", "ECID", "Email"]
    assert audience.namespaces(everyone, audience.MEMBERSHIPS, 4) == ["ups"]
