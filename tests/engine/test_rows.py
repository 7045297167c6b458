"""Profiles → rows, on both engines: who is a member, what is exported, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_runs import FEB, JAN, MAR, member, run_rows
from xdm_profiles import PROFILE_SCHEMA, adobe_profile, profile, write_profiles

from courier.config import ColumnConfig, FileConfig, MappingConfig, SourceConfig
from courier.engine import Engine
from courier.errors import SourceError
from courier.mapping import Mapping
from courier.members import audience
from courier.render import render
from courier.rows import counts, snapshot
from courier.rows.snapshot import AudienceSnapshot
from courier.source import profiles

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
E, D = "exported", "deduplicated"

Rows = list[tuple[Any, ...]]


def columns(*, key: tuple[str, ...] = (), mandatory: tuple[str, ...] = (), **sources: str) -> MappingConfig:
    return MappingConfig({name: ColumnConfig(source, mandatory=name in mandatory) for name, source in sources.items()}, list(key))


EMAIL = columns(email="personalEmail.address")


def run(
    engine: Engine,
    folder: Path,
    config: MappingConfig,
    segments: tuple[str, ...] = ("a",),
    *,
    namespace: str = "ups",
    as_of: datetime = AS_OF,
    run_folder: Path | None = None,
) -> tuple[Mapping, list[AudienceSnapshot]]:
    found = run_rows(
        *(engine, folder.parent, folder, config.columns),
        key=config.deduplication_key,
        segments=segments,
        namespace=namespace,
        as_of=as_of,
        run_folder=run_folder,
    )
    return found.ready.columns, found.snapshots


def staged(engine: Engine, tmp_path: Path, rows: list[dict[str, Any]], config: MappingConfig = EMAIL, **keys: Any) -> Rows:
    """The rows of the snapshot of the only audience, in order: the values and the outcome."""
    resolved, snapshots = run(engine, write_profiles(tmp_path / "profiles", rows), config, **keys)
    return read(snapshots[0], resolved)


def read(staged_audience: AudienceSnapshot, resolved: Mapping) -> Rows:
    names = [*(column.engine_name for column in resolved.columns), "outcome"]
    return [tuple(row.values()) for batch in staged_audience.batches(names) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("row", "is_member"),
    [
        (member("realized"), True),
        (member("existing"), True),
        (member("exited"), False),
        (member("Realized"), False),
        (member(None), False),
        (member(qualified=None), True),
        (member(until="2026-05-31T23:59:59.999999Z"), False),
        (member(until="2026-06-01T00:00:00Z"), False),
        (member(until="2026-06-01T00:00:00.000001Z"), True),
        (member(until="2026-06-01T01:59:59+02:00"), False),
        (profile(segments=None), False),
        (profile(segments={}), False),
        (profile(segments={"ups": {}}), False),
        (profile(segments={"ups": {"a": None}}), False),
        (profile(segments={"ups": {"b": ("realized", JAN, None)}}), False),
        (profile(segments={"AAM": {"a": ("realized", JAN, None)}}), False),
    ],
)
def test_who_is_a_member(engine: Engine, tmp_path: Path, row: dict[str, Any], is_member: bool) -> None:
    assert staged(engine, tmp_path, [row]) == ([("jane@example.com", E)] if is_member else [])


def test_a_namespace_may_be_another(engine: Engine, tmp_path: Path) -> None:
    rows = [profile(segments={"AAM": {"a": ("realized", JAN, None)}, "ups": {"a": ("exited", JAN, None)}})]
    assert staged(engine, tmp_path, rows, namespace="AAM") == [("jane@example.com", E)]


def test_as_of_has_parts_of_a_second(engine: Engine, tmp_path: Path) -> None:
    rows = [member(until="2026-06-01T00:00:00.5Z")]
    assert staged(engine, tmp_path / "1", rows, as_of=AS_OF.replace(microsecond=499_999)) == [("jane@example.com", E)]
    assert staged(engine, tmp_path / "2", rows, as_of=AS_OF.replace(microsecond=500_000)) == []


def test_adobes_own_example_is_a_member_while_its_membership_is_valid(engine: Engine, tmp_path: Path) -> None:
    segment = ("04a81716-43d6-4e7a-a49c-f1d8b3129ba9", "53cba6b2-a23b-454a-8069-fc41308f1c0f")
    config = columns(
        email="personalEmail.address",
        phone="mobilePhone.number",
        name="person.name.fullName",
        birthday="person.birthDayAndMonth",
        city="homeAddress.city",
        card="loyalty.loyaltyID[1]",
        consent="consents.marketing.email.val",
        ecid="identityMap.ECID[0].id",
    )
    folder = write_profiles(tmp_path / "profiles", [adobe_profile()])
    row = ("jsmith@xyzinc.com", "1-408-888-8888", "Jane F. Doe", "01-03", "San Jose", "ALT-12345", "y", "92312748749128", E)
    for as_of, expected in (
        ("2018-04-27T00:00:00+00:00", [[row], [row]]),
        ("2018-05-01T00:00:00+00:00", [[row], []]),
        ("2026-01-01T00:00:00+00:00", [[], []]),
    ):
        resolved, snapshots = run(engine, folder, config, segment, namespace="AAM", as_of=datetime.fromisoformat(as_of))
        assert [read(one, resolved) for one in snapshots] == expected


def test_several_audiences_are_read_in_one_scan_and_do_not_touch_each_other(engine: Engine, tmp_path: Path) -> None:
    rows = [
        profile(email="both@example.com", segments={"ups": {"a": ("realized", JAN, None), "b": ("existing", FEB, None)}}, first_name="1"),
        profile(email="both@example.com", segments={"ups": {"a": ("realized", MAR, None), "b": ("existing", JAN, None)}}, first_name="2"),
        profile(email="b@example.com", segments={"ups": {"a": ("exited", JAN, None), "b": ("realized", JAN, None)}}, first_name="3"),
    ]
    folder = write_profiles(tmp_path / "profiles", rows, files=2)
    config = columns(key=("email",), email="personalEmail.address", first="person.name.firstName")
    resolved, snapshots = run(engine, folder, config, ("b", "nobody", "a"))
    assert [read(one, resolved) for one in snapshots] == [
        [("b@example.com", "3", E), ("both@example.com", "1", E), ("both@example.com", "2", D)],
        [],
        [("both@example.com", "2", E), ("both@example.com", "1", D)],
    ]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("personalEmail.address", None),
        ("person.name.firstName", "Jane"),
        ("_acme.memberNumber", "7"),
        ("loyalty.loyaltyID[0]", "L1"),
        ("loyalty.loyaltyID[1]", None),
        ("loyalty.loyaltyID[2]", None),
        ("identityMap.Email[0].id", "e1"),
        ("identityMap.Email[1].id", "e2"),
        ("identityMap.Email[2].id", None),
        ("identityMap['Phone_E.164'][0].id", "+1"),
        ("identityMap.Empty[0].id", None),
        ("identityMap.ECID[0].id", None),
        ("identityMap.Email[0].primary", None),
        ("segmentMembership.ups.a.status", "realized"),
    ],
)
def test_a_path_gives_its_value_or_null(engine: Engine, tmp_path: Path, source: str, value: object) -> None:
    identities = {"Email": ["e1", "e2"], "Phone_E.164": ["+1"], "Empty": list[str]()}
    row = member(personalEmail=None, identities=identities, loyalty_ids=["L1", None], member_number="7")
    assert staged(engine, tmp_path, [row], columns(x=source, y="person.name.firstName")) == [(value, "Jane", E)]


def test_an_array_that_is_null_gives_null(engine: Engine, tmp_path: Path) -> None:
    rows = [member(identityMap=None), member(loyalty=None, first_name="Jo")]
    config = columns(first="person.name.firstName", id="identityMap.ECID[0].id", card="loyalty.loyaltyID[0]")
    assert staged(engine, tmp_path, rows, config) == [("Jane", None, None, E), ("Jo", None, None, E)]


def test_a_default_replaces_null_and_not_the_empty_text(engine: Engine, tmp_path: Path) -> None:
    config = MappingConfig(
        {"email": ColumnConfig("personalEmail.address"), "city": ColumnConfig("homeAddress.city", default="unknown")}, ["email"]
    )
    rows = [member(email="1", city=None), member(email="2", city=""), member(email="3", homeAddress=None), member(email="4", city="Rome")]
    assert staged(engine, tmp_path, rows, config) == [("1", "unknown", E), ("2", "", E), ("3", "unknown", E), ("4", "Rome", E)]


def test_rows_without_a_mandatory_attribute_are_excluded_for_the_first_reason(engine: Engine, tmp_path: Path) -> None:
    config = columns(
        key=("email",), mandatory=("email", "phone"), city="homeAddress.city", email="personalEmail.address", phone="mobilePhone.number"
    )
    rows = [
        member(email=None, phone=None, city="1"),
        member(email="", phone="1", city="2"),
        member(email=" \t\u00a0\r\n", phone="1", city="3"),
        member(email="x@example.com", phone=" ", city="4"),
        member(email="x@example.com", phone=None, city="5"),
        member(email="x@example.com", phone="1", city="6"),
    ]
    email, phone = "excluded: missing_email", "excluded: missing_phone"
    assert sorted(staged(engine, tmp_path, rows, config), key=lambda row: row[0]) == [
        ("1", None, None, email),
        ("2", "", "1", email),
        ("3", " \t\u00a0\r\n", "1", email),
        ("4", "x@example.com", " ", phone),
        ("5", "x@example.com", None, phone),
        ("6", "x@example.com", "1", E),
    ]


def test_a_mandatory_attribute_that_is_no_text_must_not_be_null(engine: Engine, tmp_path: Path) -> None:
    config = columns(mandatory=("points",), email="personalEmail.address", points="loyalty.points")
    rows = [member(email="1", loyalty={"points": 0}), member(email="2", loyalty={"points": None})]
    assert staged(engine, tmp_path, rows, config) == [("1", 0, E), ("2", None, "excluded: missing_points")]


NAMES = {"email": "personalEmail.address", "first": "person.name.firstName", "last": "person.name.lastName"}
DEDUPLICATED = columns(key=("email",), mandatory=("last",), **NAMES)


def test_the_latest_qualification_wins(engine: Engine, tmp_path: Path) -> None:
    rows = [member(qualified=when, first_name=name) for when, name in ((FEB, "b"), (MAR, "c"), (None, "d"), (JAN, "a"))]
    assert staged(engine, tmp_path, rows, DEDUPLICATED) == [
        ("jane@example.com", "c", "Doe", E),
        ("jane@example.com", "b", "Doe", D),
        ("jane@example.com", "a", "Doe", D),
        ("jane@example.com", "d", "Doe", D),
    ]


def test_a_tie_goes_to_the_lowest_values_in_order_with_null_last(engine: Engine, tmp_path: Path) -> None:
    rows = [member(first_name=first, last_name=last) for first, last in ((None, "A"), ("b", "A"), ("a", "Z"), ("a", "B"), ("", "Z"))]
    assert staged(engine, tmp_path, rows, DEDUPLICATED) == [
        ("jane@example.com", "", "Z", E),
        ("jane@example.com", "a", "B", D),
        ("jane@example.com", "a", "Z", D),
        ("jane@example.com", "b", "A", D),
        ("jane@example.com", None, "A", D),
    ]


def test_excluded_rows_take_no_part_in_deduplication(engine: Engine, tmp_path: Path) -> None:
    rows = [member(qualified=MAR, first_name="late", last_name=None), member(qualified=JAN, first_name="early")]
    assert staged(engine, tmp_path, rows, DEDUPLICATED) == [
        ("jane@example.com", "early", "Doe", E),
        ("jane@example.com", "late", None, "excluded: missing_last"),
    ]


def test_rows_that_are_equal_in_everything_are_exported_once(engine: Engine, tmp_path: Path) -> None:
    rows = [member()] * 3
    assert [row[-1] for row in staged(engine, tmp_path, rows, DEDUPLICATED)] == [E, D, D]


def test_keys_are_compared_byte_for_byte(engine: Engine, tmp_path: Path) -> None:
    emails = ["a@x.com", "A@x.com", "a@x.com ", "é@x.com", "e\u0301@x.com"]
    found = staged(engine, tmp_path, [member(email=email) for email in emails], DEDUPLICATED)
    assert [(row[0], row[-1]) for row in found] == [(email, E) for email in sorted(emails, key=str.encode)]


def test_a_key_may_have_several_columns(engine: Engine, tmp_path: Path) -> None:
    rows = [
        member(first_name=first, qualified=when, city=when)
        for first, when in (("a", JAN), ("b", JAN), ("a", FEB), (None, JAN), (None, FEB))
    ]
    config = columns(key=("email", "first"), city="homeAddress.city", **NAMES)
    assert staged(engine, tmp_path, rows, config) == [
        (FEB, "jane@example.com", None, "Doe", "excluded: missing_first"),
        (JAN, "jane@example.com", None, "Doe", "excluded: missing_first"),
        (FEB, "jane@example.com", "a", "Doe", E),
        (JAN, "jane@example.com", "a", "Doe", D),
        (JAN, "jane@example.com", "b", "Doe", E),
    ]


def test_without_a_key_every_row_is_exported_in_the_order_of_its_values(engine: Engine, tmp_path: Path) -> None:
    rows = [member(email=email, first_name=first) for email, first in (("b", "1"), (None, "2"), ("a", "2"), ("a", "1"), ("a", "1"))]
    found = staged(engine, tmp_path, rows, columns(mandatory=("last",), **NAMES))
    assert [(row[0], row[1], row[-1]) for row in found] == [("a", "1", E), ("a", "1", E), ("a", "2", E), ("b", "1", E), (None, "2", E)]


def many(count: int) -> list[dict[str, Any]]:
    """Profiles of which many share an address, in an order that has nothing to do with it."""
    return [
        member(
            email=None if n % 50 == 0 else f"{n * 7919 % (count // 2)}@example.com",
            qualified=f"2026-01-{n % 28 + 1:02}T00:00:00Z",
            first_name=f"näme {n % 13}",
            city=["Rome", "", None][n % 3],
        )
        for n in range(count)
    ]


#: What many(2000) gives, whatever the engine: the whole file.
MANY_CONFIG = columns(key=("email",), mandatory=("email",), city="homeAddress.city", **NAMES)


def expected_file(rows: list[dict[str, Any]]) -> bytes:
    """The file that `rows` give, worked out in plain Python."""
    best: dict[str, tuple[tuple[float, str, str], str]] = {}
    for row in rows:
        email, first, city = row["personalEmail"]["address"], row["person"]["name"]["firstName"], row["homeAddress"]["city"]
        if email is not None:
            qualified = row["segmentMembership"]["ups"]["a"]["lastQualificationTime"].timestamp()
            rank = (-qualified, "\U0010ffff" if city is None else city, first)
            text = "" if city is None else city or '""'
            candidate = (rank, f"{text},{email},{first},Doe\n")
            best[email] = min(best.get(email, candidate), candidate)
    return "".join(["city,email,first,last\n", *(best[email][1] for email in sorted(best, key=str.encode))]).encode()


def test_the_file_is_the_same_on_every_engine(engine: Engine, tmp_path: Path) -> None:
    rows = many(2000)
    resolved, snapshots = run(engine, write_profiles(tmp_path / "profiles", rows, files=5), MANY_CONFIG)
    counted, (cuts,) = counts.slices(snapshots[0].batches(counts.COUNTED), 10_000)
    file = b"".join(render(snapshots[0], cuts[0], resolved, FileConfig()))
    assert file == expected_file(rows)
    assert (counted.members, counted.excluded, counted.exported) == (2000, {"missing_email": 40}, file.count(b"\n") - 1)


def test_old_timestamps_of_spark_are_read(engine: Engine, tmp_path: Path) -> None:
    rows = [
        member(email="1", until="2026-06-01T00:00:00Z"),
        member(email="2", until="2026-06-01T00:00:01Z", qualified="1999-12-31T23:59:59Z"),
    ]
    folder = write_profiles(tmp_path / "profiles", rows, use_deprecated_int96_timestamps=True)
    schema = pq.ParquetFile(folder / "profiles-00000.parquet").schema
    assert "INT96" in {schema.column(number).physical_type for number in range(len(schema))}
    config = columns(email="personalEmail.address", since="segmentMembership.ups.a.lastQualificationTime")
    resolved, snapshots = run(engine, folder, config)
    assert b"".join(render(snapshots[0], counts.Slice(0, 1), resolved, FileConfig())) == b"email,since\n2,1999-12-31T23:59:59Z\n"


@pytest.mark.parametrize("unit", ["ms", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None])
def test_timestamps_in_other_units_are_read(engine: Engine, tmp_path: Path, unit: str, zone: str | None) -> None:
    """As Avro and pandas have them; Spark itself reads no nanoseconds, and is told so."""
    rows = [
        member(email="1", until="2026-06-01T00:00:00Z"),
        member(email="2", until="2026-06-01T00:00:01Z", qualified="1960-12-31T23:59:59Z"),
    ]
    other = pa.array([1, 2], pa.uint64()), pa.array([b"x", b"y"]), pa.array(["x", "y"]).dictionary_encode()
    schema = _with_unit(PROFILE_SCHEMA, pa.timestamp(unit, zone))
    table = pa.Table.from_pylist(pq.read_table(write_profiles(tmp_path / "us", rows)).to_pylist(), PROFILE_SCHEMA).cast(schema)
    (tmp_path / "profiles").mkdir()
    pq.write_table(table.append_column("other", pa.StructArray.from_arrays(other, ["a", "b", "c"])), tmp_path / "profiles" / "a.parquet")
    config = columns(email="personalEmail.address", since="segmentMembership.ups.a.lastQualificationTime", other="other.a")
    if unit == "ns" and engine.kind == "spark":
        with pytest.raises(SourceError, match=r"lastQualificationTime' is in nanoseconds, which Spark does not read"):
            profiles.assert_read_by_spark(profiles.inspect(SourceConfig(str(tmp_path / "profiles"))), audience.READ)
        return
    resolved, snapshots = run(engine, tmp_path / "profiles", config)
    file = b"".join(render(snapshots[0], counts.Slice(0, 1), resolved, FileConfig()))
    assert file == b"email,since,other\n2,1960-12-31T23:59:59Z,2\n"


def _with_unit(kind: pa.Schema | pa.DataType, unit: pa.DataType) -> pa.Schema | pa.DataType:
    if isinstance(kind, pa.Schema):
        return pa.schema([(field.name, _with_unit(field.type, unit)) for field in kind])
    if pa.types.is_timestamp(kind):
        return unit
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_unit(field.type, unit)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _with_unit(kind.item_type, unit))
    return kind


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "Etc/UTC", "+05:00"])
def test_times_are_those_of_utc_whatever_zone_their_writer_gives_them(engine: Engine, tmp_path: Path, zone: str) -> None:
    """The file of Parquet has the moment alone; the zone is the writer's word, which pandas and Polars keep beside it."""
    rows = [member(qualified="2026-01-01T23:30:00Z")]
    schema = _with_unit(PROFILE_SCHEMA, pa.timestamp("us", zone))
    table = pa.Table.from_pylist(pq.read_table(write_profiles(tmp_path / "utc", rows)).to_pylist(), PROFILE_SCHEMA).cast(schema)
    (tmp_path / "profiles").mkdir()
    pq.write_table(table, tmp_path / "profiles" / "a.parquet")
    since = "membership.lastQualificationTime"
    config = MappingConfig(
        {
            "plain": ColumnConfig("segmentMembership.ups.a.lastQualificationTime"),
            "since": ColumnConfig(since, format="yyyy-MM-dd HH:mm"),
            "there": ColumnConfig(since, format="yyyy-MM-dd HH:mm", zone="America/New_York"),
            "hour": ColumnConfig(expression=f"date_format({since}, 'dd HH')"),
        }
    )
    resolved, snapshots = run(engine, tmp_path / "profiles", config)
    file = b"".join(render(snapshots[0], counts.Slice(0, 1), resolved, FileConfig()))
    assert file == b"plain,since,there,hour\n2026-01-01T23:30:00Z,2026-01-01 23:30,2026-01-01 18:30,01 23\n"
    kinds = {str(field.type) for name in snapshots[0].files for field in pq.read_schema(name) if pa.types.is_timestamp(field.type)}
    assert kinds == {"timestamp[us, tz=UTC]"}  # as those of other runs, which are compared with these


def test_times_are_written_in_utc_also_those_far_away(engine: Engine, tmp_path: Path) -> None:
    folder = write_profiles(tmp_path / "profiles", [member(qualified="1583-01-01T00:00:00Z", until="9999-12-31T23:59:59.999999+00:00")])
    config = columns(since="segmentMembership.ups.a.lastQualificationTime", until="segmentMembership.ups.a.validUntil")
    resolved, snapshots = run(engine, folder, config)
    file = b"".join(render(snapshots[0], counts.Slice(0, 1), resolved, FileConfig()))
    assert file == b"since,until\n1583-01-01T00:00:00Z,9999-12-31T23:59:59Z\n"


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us", "UTC")])
def test_a_key_may_be_a_date_that_python_has_not(engine: Engine, tmp_path: Path, kind: pa.DataType) -> None:
    """Such as mistaken units make: one of them ended the run in a traceback."""
    day = 1 if pa.types.is_date(kind) else 86_400_000_000
    times = pa.array([number * day for number in (-719_529, 0, 2_932_897, 3_652_424)], pa.int32() if day == 1 else pa.int64()).cast(kind)
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member() for _ in times]))
    pq.write_table(table.append_column("time", times), tmp_path / "profiles" / "profiles-00000.parquet")
    written = run_rows(engine, tmp_path, tmp_path / "profiles", {"time": "time"}, key=["time"]).file().decode()
    assert [line[:-6] for line in written.replace("T00:00:00Z", "").splitlines()[1:]] == ["-0001", "1970", "+10000", "+11969"]


FOLDERS = ["with blank", "day=1", "100%", "a%20b", "Zoë 👩", "plus+and,comma", "it's"]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_source_may_be_in_a_folder_of_any_name(engine: Engine, tmp_path: Path, name: str) -> None:
    folder = write_profiles(tmp_path / name / "profiles", [member()])
    resolved, snapshots = run(engine, folder, EMAIL, run_folder=tmp_path / "run")
    assert read(snapshots[0], resolved) == [("jane@example.com", E)]


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "a%20b"])
def test_the_state_may_be_in_a_folder_of_any_name(engine: Engine, tmp_path: Path, name: str) -> None:
    resolved, snapshots = run(engine, write_profiles(tmp_path / "profiles", [member()]), EMAIL, run_folder=tmp_path / name)
    assert read(snapshots[0], resolved) == [("jane@example.com", E)]
    assert snapshot.exported_rows(engine, snapshots[0], resolved).count() == 1


def test_files_may_have_further_columns_and_another_order_of_columns(engine: Engine, tmp_path: Path) -> None:
    folder = write_profiles(tmp_path / "profiles", [member(email="1")])
    table = pq.read_table(write_profiles(tmp_path / "more", [member(email="2")]))
    pq.write_table(table.select(PROFILE_SCHEMA.names[::-1]), folder / "second.parquet")
    resolved, snapshots = run(engine, folder, EMAIL)
    assert read(snapshots[0], resolved) == [("1", E), ("2", E)]


def test_staging_again_replaces_what_an_earlier_try_left_behind(engine: Engine, tmp_path: Path) -> None:
    folder = write_profiles(tmp_path / "profiles", [member()])
    run(engine, folder, EMAIL)
    resolved, snapshots = run(engine, folder, EMAIL)
    assert read(snapshots[0], resolved) == [("jane@example.com", E)]
