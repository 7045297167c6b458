"""Several audiences in one run: from several namespaces, with equal ids, and as many as Adobe allows."""

from __future__ import annotations

from pathlib import Path

from row_runs import EXPORTED, FEB, JAN, MAR, run_rows
from xdm_profiles import profile

from courier.config import ColumnConfig
from courier.engine import Engine

EMAIL = {"email": "personalEmail.address"}
SHOWN = {
    **EMAIL,
    "namespace": ColumnConfig("membership.segmentNamespace"),
    "id": ColumnConfig("membership.segmentId"),
    "name": ColumnConfig("membership.segmentName"),
    "since": ColumnConfig("membership.lastQualificationTime", format="MM"),
}
JANE, JOHN, NOBODY = "jane@example.com", "john@example.com", "nobody@example.com"


def test_one_id_in_two_namespaces_is_two_audiences(engine: Engine, tmp_path: Path) -> None:
    rows = [
        profile(email=JANE, segments={"ups": {"a": ("realized", JAN, None)}, "AAM": {"a": ("existing", FEB, None)}}),
        profile(email=JOHN, segments={"ups": {"a": ("exited", JAN, None)}, "AAM": {"a": ("realized", MAR, None)}}),
        profile(email=NOBODY, segments={"ups": {"b": ("realized", JAN, None)}, "other": {"a": ("realized", JAN, None)}}),
        profile(email=NOBODY, segments=None),
    ]
    segments = ["a", {"id": "a", "name": "From AAM", "namespace": "AAM"}, {"id": "none", "namespace": "AAM"}]
    ran = run_rows(engine, tmp_path, rows, SHOWN, key=["email"], segments=segments)
    assert [ran.rows(ordinal) for ordinal in range(3)] == [
        [(JANE, "ups", "a", "a", "01", EXPORTED)],
        [(JANE, "AAM", "a", "From AAM", "02", EXPORTED), (JOHN, "AAM", "a", "From AAM", "03", EXPORTED)],
        [],
    ]


def test_audiences_of_one_namespace_and_of_another_keep_their_places(engine: Engine, tmp_path: Path) -> None:
    rows = [profile(email=JANE, segments={"x": {"3": ("realized", JAN, None)}, "ups": {"1": ("realized", JAN, None)}})]
    segments = [{"id": "3", "namespace": "x"}, {"id": "1"}, {"id": "1", "namespace": "x"}, {"id": "3"}]
    ran = run_rows(engine, tmp_path, rows, EMAIL | {"id": "membership.segmentId"}, segments=segments)
    assert [ran.rows(ordinal) for ordinal in range(4)] == [[(JANE, "3", EXPORTED)], [(JANE, "1", EXPORTED)], [], []]


def test_each_audience_is_deduplicated_by_itself(engine: Engine, tmp_path: Path) -> None:
    rows = [
        profile(email=JANE, first_name="1", segments={"ups": {"a": ("realized", JAN, None)}, "AAM": {"a": ("realized", MAR, None)}}),
        profile(email=JANE, first_name="2", segments={"ups": {"a": ("realized", FEB, None)}, "AAM": {"a": ("realized", FEB, None)}}),
    ]
    columns = EMAIL | {"first": "person.name.firstName"}
    ran = run_rows(engine, tmp_path, rows, columns, key=["email"], segments=["a", {"id": "a", "namespace": "AAM"}])
    assert [[row[1] for row in ran.rows(ordinal)] for ordinal in range(2)] == [["2", "1"], ["1", "2"]]


def test_two_hundred_and_fifty_audiences_are_read_in_one_scan(engine: Engine, tmp_path: Path) -> None:
    rows = [
        profile(email=f"{n}@example.com", segments={"ups": {f"s{m}": ("realized", JAN, None) for m in range(250) if m % (n + 1) == 0}})
        for n in range(5)
    ]
    ran = run_rows(engine, tmp_path, rows, SHOWN, key=["email"], segments=[f"s{m}" for m in range(250)])
    for ordinal in range(250):
        members = [n for n in range(5) if ordinal % (n + 1) == 0]
        assert [row[:3] for row in ran.rows(ordinal)] == [(f"{n}@example.com", "ups", f"s{ordinal}") for n in members]
