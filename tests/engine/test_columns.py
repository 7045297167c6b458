"""What columns are made of besides plain paths: identities, hashes, joined arrays, JSON, formats, the membership."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_runs import FEB, JAN, member, run_rows
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

from courier import mapping
from courier.config import ColumnConfig as Column
from courier.config import DedupConfig, ExportConfig, MappingConfig
from courier.engine import Engine
from courier.errors import CourierError

NUMBERS = pa.struct({"double": pa.float64(), "float": pa.float32(), "decimal": pa.decimal128(10, 3), "whole": pa.int64()})
SCHEMA = (
    PROFILE_SCHEMA.append(pa.field("number", NUMBERS))
    .append(pa.field("day", pa.date32()))
    .append(pa.field("wholes", pa.list_(pa.int64())))
    .append(pa.field("doubles", pa.list_(pa.float64())))
    .append(pa.field("labels", pa.map_(pa.string(), pa.string())))
    .append(pa.field("orders", pa.list_(pa.struct({"sku": pa.string()}))))
)


def made(engine: Engine, tmp_path: Path, rows: list[dict[str, Any]], column: Column, **keys: Any) -> list[Any]:
    """The values of one column, in the order of the profiles."""
    numbered = [{**row, "_id": f"{number:03}"} for number, row in enumerate(rows)]
    return [row[1] for row in run_rows(engine, tmp_path, numbered, {"id": "_id", "x": column}, key=["id"], schema=SCHEMA, **keys).rows()]


def identified(*identities: tuple[str | None, bool | None]) -> dict[str, Any]:
    return member(identityMap={"Email": [{"id": text, "primary": primary} for text, primary in identities]})


IDENTIFIED = [
    identified(("a", False), ("b", True), ("c", True)),
    identified(("a", None), ("b", None)),
    identified((None, True), ("b", False)),
    identified(),
    member(identities={"ECID": ["1"]}),
    member(identityMap=None),
]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column(identity="Email"), ["a", "a", None, None, None, None]),
        (Column(identity="Email", take="primary"), ["b", None, None, None, None, None]),
        (Column(identity="Email", take="all"), ["a;b;c", "a;b", "b", None, None, None]),
        (Column(identity="Email", take="all", join=" | "), ["a | b | c", "a | b", "b", None, None, None]),
        (Column(identity="Email", take="all", join=""), ["abc", "ab", "b", None, None, None]),
        (Column(identity="Email", default="nobody"), ["a", "a", "nobody", "nobody", "nobody", "nobody"]),
    ],
)
def test_identities_are_the_first_the_primary_or_all(engine: Engine, tmp_path: Path, column: Column, values: list[Any]) -> None:
    assert made(engine, tmp_path, IDENTIFIED, column) == values


def test_a_namespace_may_have_a_dot(engine: Engine, tmp_path: Path) -> None:
    assert made(engine, tmp_path, [member(identities={"Phone_E.164": ["+1"]})], Column(identity="Phone_E.164")) == ["+1"]


def test_identities_of_two_namespaces_are_two_columns(engine: Engine, tmp_path: Path) -> None:
    rows = [
        member(_id="1", identities={"Email": ["a@x.com", "b@x.com"], "Phone_E.164": ["+1"]}),
        member(_id="2", identities={"Email": ["c@x.com"]}),
    ]
    columns = {"id": "_id", "email": Column(identity="Email"), "phone": Column(identity="Phone_E.164")}
    assert run_rows(engine, tmp_path, rows, columns, key=["id"]).file() == b"id,email,phone\n1,a@x.com,+1\n2,c@x.com,null\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


TEXTS = [" Jane@X.com ", "ZOË@x.com", "\u00a0Bo@x.com\t\r\n", "\u00a0\t", "", None]


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("sha256", [*(sha256(text) for text in TEXTS if text is not None), None]),
        ("md5", [*(hashlib.md5(text.encode()).hexdigest() for text in TEXTS if text is not None), None]),
        ("sha256_email", [sha256("jane@x.com"), sha256("zoë@x.com"), sha256("bo@x.com"), None, None, None]),
    ],
)
def test_a_hash_is_in_place_of_the_value(engine: Engine, tmp_path: Path, how: str, values: list[Any]) -> None:
    assert made(engine, tmp_path, [member(email=text) for text in TEXTS], Column("personalEmail.address", hash=how)) == values


PHONES = {
    "+1 (408) 555-0100": "+14085550100",
    "0046 70-123 45 67": "+46701234567",
    "00 46 70 123 45 67": "+46701234567",
    "+46 (0)70 123 45 67": "+46701234567",
    "+1.408.555/0100\n": "+14085550100",
    "\u00a0+14085550100": "+14085550100",
    "4085550100": None,
    "070-123 45 67": None,
    "+1 408 555 0100x12": None,
    "+0123456789": None,
    "+1": None,
    "+1234567890123456": None,
    "+٣٣٣٣٣٣٣٣": None,
    "tel": None,
    "": None,
}


def test_a_phone_is_hashed_in_e164_and_null_without_a_country_code(engine: Engine, tmp_path: Path) -> None:
    rows = [member(phone=text) for text in PHONES]
    expected = [None if number is None else sha256(number) for number in PHONES.values()]
    assert made(engine, tmp_path, rows, Column("mobilePhone.number", hash="sha256_phone")) == expected


@pytest.mark.parametrize("how", ["sha256_email", "sha256_phone"])
def test_the_hash_of_an_address_that_is_not_there_is_null_and_excluded(engine: Engine, tmp_path: Path, how: str) -> None:
    """The digest of nothing would pass for a person, and for the same one in every row."""
    columns = {"id": "_id", "x": Column("personalEmail.address", hash=how, mandatory=True)}
    rows = [member(email=text, _id=str(number)) for number, text in enumerate(["", "  ", None])]
    assert [row[1:] for row in run_rows(engine, tmp_path, rows, columns, key=["id"]).rows()] == [(None, "excluded: missing_x")] * 3


def test_an_identity_and_an_expression_can_be_hashed(engine: Engine, tmp_path: Path) -> None:
    row = member(identities={"Email": ["A@x.com"]}, email="B@x.com")
    assert made(engine, tmp_path / "1", [row], Column(identity="Email", hash="sha256_email")) == [sha256("a@x.com")]
    column = Column(expression="concat(personalEmail.address, '!')", hash="sha256")
    assert made(engine, tmp_path / "2", [row], column) == [sha256("B@x.com!")]


ARRAYS: list[Any] = [["b", "a", None, "b"], ["only"], [None], [], None]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column("loyalty.loyaltyID", join=";"), ["b;a;b", "only", None, None, None]),
        (Column("loyalty.loyaltyID", join=", "), ["b, a, b", "only", None, None, None]),
        (Column("loyalty.loyaltyID", json=True), ['["b","a",null,"b"]', '["only"]', "[null]", "[]", None]),
        (Column(expression="array_sort(loyalty.loyaltyID)", join="-"), ["a-b-b", "only", None, None, None]),
        (Column("loyalty.loyaltyID", join=";", default="none"), ["b;a;b", "only", "none", "none", "none"]),
    ],
)
def test_an_array_is_joined_without_its_nulls_or_becomes_json(engine: Engine, tmp_path: Path, column: Column, values: list[Any]) -> None:
    assert made(engine, tmp_path, [member(loyalty_ids=ids) for ids in ARRAYS], column) == values


def test_whole_numbers_are_joined_too(engine: Engine, tmp_path: Path) -> None:
    rows = [member(wholes=[1, None, 20_000_000_000]), member(wholes=None)]
    assert made(engine, tmp_path, rows, Column("wholes", join=",")) == ["1,20000000000", None]


HARD = 'a "quoted" \\ / \n\t ü 👩 \x01 </script>'


def test_json_is_what_a_parser_reads_and_leaves_out_null_fields(engine: Engine, tmp_path: Path) -> None:
    row = member(homeAddress={"city": HARD, "street1": None, "postalCode": ""}, wholes=[1, None], labels=[("z", "1"), ("a", None)])
    row["identityMap"] = {"Email": [{"id": HARD, "primary": True}], "ECID": []}
    found = {}
    for source in ("homeAddress", "identityMap", "wholes", "labels"):
        text, nothing = made(engine, tmp_path / source, [row, member(**{source: None})], Column(source, json=True))
        assert nothing is None
        found[source] = text
    assert {source: json.loads(text) for source, text in found.items()} == {
        "homeAddress": {"city": HARD, "postalCode": ""},
        "identityMap": {"Email": [{"id": HARD, "primary": True}], "ECID": []},
        "wholes": [1, None],
        "labels": {"z": "1", "a": None},
    }
    assert found["wholes"] == "[1,null]"
    assert found["labels"] == '{"z":"1","a":null}'  # in the order of the source
    assert found["homeAddress"] == '{"city":"a \\"quoted\\" \\\\ / \\n\\t ü 👩 \\u0001 </script>","postalCode":""}'


def test_json_and_an_expression_stand_in_one_row(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "ids": Column("loyalty.loyaltyID", json=True),
        "home": Column("homeAddress", json=True),
        "greeting": Column(expression="concat(person.name.firstName, ' of ', homeAddress.city)"),
    }
    ran = run_rows(engine, tmp_path, [member(city="Oslo", loyalty_ids=["b", None])], columns)
    assert ran.rows() == [('["b",null]', '{"city":"Oslo"}', "Jane of Oslo", "exported")]
    assert ran.file() == b'ids,home,greeting\n"[""b"",null]","{""city"":""Oslo""}",Jane of Oslo\n'


MOMENTS = [
    "2026-03-29T00:59:59.123456Z",  # the hour is put forward in Stockholm at 01:00
    "2026-03-29T01:00:00Z",
    "2026-10-25T00:59:59Z",
    "2026-10-25T01:00:00Z",
    "1999-12-31T23:00:00Z",
]


@pytest.mark.parametrize(
    ("format_", "zone", "values"),
    [
        (
            "yyyy-MM-dd HH:mm:ss",
            "Europe/Stockholm",
            ["2026-03-29 01:59:59", "2026-03-29 03:00:00", "2026-10-25 02:59:59", "2026-10-25 02:00:00", "2000-01-01 00:00:00"],
        ),
        ("dd.MM.yy", "America/New_York", ["28.03.26", "28.03.26", "24.10.26", "24.10.26", "31.12.99"]),
        ("HH:mm:ss.SSS", "", ["00:59:59.123", "01:00:00.000", "00:59:59.000", "01:00:00.000", "23:00:00.000"]),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "", [text[:19] + "Z" for text in MOMENTS]),
        ("MM/dd/yyyy", "UTC", ["03/29/2026", "03/29/2026", "10/25/2026", "10/25/2026", "12/31/1999"]),
    ],
)
def test_a_timestamp_is_shown_in_its_format_and_zone(engine: Engine, tmp_path: Path, format_: str, zone: str, values: list[str]) -> None:
    rows = [member(loyalty={"joinDate": datetime.fromisoformat(text)}) for text in MOMENTS]
    assert made(engine, tmp_path, [*rows, member(loyalty=None)], Column("loyalty.joinDate", format=format_, zone=zone)) == [*values, None]


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York"])
def test_a_timestamp_that_stands_for_never_is_of_no_zone(engine: Engine, tmp_path: Path, zone: str) -> None:
    nevers = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T00:00:00Z"]
    rows = [member(loyalty={"joinDate": datetime.fromisoformat(text)}) for text in nevers]
    column = Column("loyalty.joinDate", format="yyyy-MM-dd'T'HH:mm:ss'Z'", zone=zone)
    assert made(engine, tmp_path, rows, column) == nevers


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Stockholm", "01"), ("America/New_York", "19"), ("Australia/Sydney", "11")])
def test_from_2100_on_a_zone_keeps_the_time_that_it_has_then(engine: Engine, tmp_path: Path, zone: str, hours: str) -> None:
    """Sail's tables end there, and Spark went on with summer time."""
    rows = [member(loyalty={"joinDate": datetime(2100 + years, 7, 1, tzinfo=UTC)}) for years in (0, 400)]
    assert made(engine, tmp_path, rows, Column("loyalty.joinDate", format="HH", zone=zone)) == [hours, hours]
    expression = Column(expression=f"date_format(from_utc_timestamp(loyalty.joinDate, '{zone}'), 'HH')")
    assert made(engine, tmp_path, rows, expression) == [hours, hours]


def test_a_year_of_more_or_less_than_four_digits_has_no_format(engine: Engine, tmp_path: Path) -> None:
    """Engines wrote 10000 and +10000, 0002 and -0001."""
    days = pa.array([-719_529, -719_162, 2_932_896, 2_932_897], pa.int32()).cast(pa.date32())
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member(email=str(number)) for number in range(len(days))]))
    pq.write_table(table.append_column("day", days), tmp_path / "profiles" / "profiles-00000.parquet")
    columns = {
        "email": "personalEmail.address",
        "day": Column("day", format="dd.MM.yyyy"),
        "text": Column(expression="date_format(day, 'yy')"),
    }
    found = run_rows(engine, tmp_path, tmp_path / "profiles", columns, key=["email"]).rows()
    assert [row[1:3] for row in found] == [(None, None), ("01.01.0001", "01"), ("31.12.9999", "99"), (None, None)]


def test_a_date_is_shown_in_its_format(engine: Engine, tmp_path: Path) -> None:
    rows = [member(day=date(2026, 1, 2)), member(day=date(1583, 1, 1)), member(day=date(9999, 12, 31)), member(day=None)]
    assert made(engine, tmp_path, rows, Column("day", format="dd.MM.yyyy")) == ["02.01.2026", "01.01.1583", "31.12.9999", None]


DOUBLES = {
    1.005: ("1", "1.01", "1.0050"),
    2.675: ("3", "2.68", "2.6750"),
    -1.005: ("-1", "-1.01", "-1.0050"),
    2.5: ("3", "2.50", "2.5000"),
    -2.5: ("-3", "-2.50", "-2.5000"),
    0.1 + 0.2: ("0", "0.30", "0.3000"),
    1e7: ("10000000", "10000000.00", "10000000.0000"),
    123456789.125: ("123456789", "123456789.13", "123456789.1250"),
    1e-7: ("0", "0.00", "0.0000"),
    -0.001: ("0", "0.00", "-0.0010"),
    1e18: ("1000000000000000000", "1000000000000000000.00", "1000000000000000000.0000"),
    1e300: (None, None, None),
    float("nan"): (None, None, None),
    float("inf"): (None, None, None),
}


@pytest.mark.parametrize(("place", "format_"), enumerate(["0", "0.00", "0.0000"]))
def test_a_double_is_rounded_half_up_and_never_in_scientific_notation(engine: Engine, tmp_path: Path, place: int, format_: str) -> None:
    rows = [member(number={"double": value}) for value in DOUBLES]
    expected = [texts[place] for texts in DOUBLES.values()]
    assert made(engine, tmp_path / "1", rows, Column("number.double", format=format_)) == expected


def test_numbers_of_other_types_have_formats_too(engine: Engine, tmp_path: Path) -> None:
    rows = [member(number={"float": 123456792.0, "decimal": Decimal("1.005"), "whole": 20_000_000_000}), member(number=None)]
    for source, text in (("float", "123456792.00"), ("decimal", "1.01"), ("whole", "20000000000.00")):
        assert made(engine, tmp_path / source, rows, Column(f"number.{source}", format="0.00")) == [text, None]
    assert made(engine, tmp_path / "x", rows, Column(expression="number.whole / 3", format="0.0")) == ["6666666666.7", None]


DOUBLES_AS_THEY_ARE = [1e7, 1e-7, 1e20, 123456789.125, 2.0, float("nan"), float("inf"), -float("inf")]


def test_without_a_format_numbers_are_plain(engine: Engine, tmp_path: Path) -> None:
    rows = [member(email=str(n), number={"double": value}) for n, value in enumerate(DOUBLES_AS_THEY_ARE)]
    ran = run_rows(engine, tmp_path, rows, {"email": "personalEmail.address", "x": "number.double"}, key=["email"], schema=SCHEMA)
    texts = ["10000000", "0.0000001", "100000000000000000000", "123456789.125", "2", "NaN", "inf", "-inf"]
    assert ran.file().decode().splitlines() == ["email,x", *(f"{number},{text}" for number, text in enumerate(texts))]


def test_what_is_no_number_stays_so_beside_one_number(engine: Engine, tmp_path: Path) -> None:
    """What a file tells of its least and greatest values leaves NaN out; Sail took the column for constant, and wrote 1 in each row."""
    rows = [member(email=email, plain=value) for email, value in (("a", math.nan), ("b", 1.0))]
    schema = PROFILE_SCHEMA.append(pa.field("plain", pa.float64()))
    columns = {"email": "personalEmail.address", "x": "plain"}
    assert run_rows(engine, tmp_path, rows, columns, key=["email"], schema=schema).file() == b"email,x\na,NaN\nb,1\n"


def test_zero_has_no_sign(engine: Engine, tmp_path: Path) -> None:
    """Of 0.0 and -0.0 each engine took another one for the lower."""
    rows = [member(email=email, number={"double": value}) for email, value in (("b", 0.0), ("a", -0.0), ("0", 1.0))]
    columns = {"x": "number.double", "email": "personalEmail.address"}
    assert run_rows(engine, tmp_path, rows, columns, schema=SCHEMA).file() == b"x,email\n0,a\n0,b\n1,0\n"


def test_a_default_comes_after_the_format_and_mandatory_after_the_default(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "id": "_id",
        "points": Column("loyalty.points", format="0.0", default="none"),
        "hash": Column("mobilePhone.number", hash="sha256_phone", mandatory=True),
    }
    rows = [
        member(_id="1", phone="+14085550100", loyalty=None),
        member(_id="2", phone="555-0100", loyalty={"points": 3}),
    ]
    assert run_rows(engine, tmp_path, rows, columns, key=["id"]).rows() == [
        ("1", "none", sha256("+14085550100"), "exported"),
        ("2", "3.0", None, "excluded: missing_hash"),
    ]


def test_a_header_with_dots_is_written_as_it_is(engine: Engine, tmp_path: Path) -> None:
    columns = {"home.city": Column("homeAddress.city", mandatory=True), "home": "homeAddress.postalCode"}
    rows = [member(city="Oslo", postal_code="1"), member(city="Rome", postal_code="2"), member(city=None)]
    ran = run_rows(engine, tmp_path, rows, columns, key=["home.city"])
    assert ran.file() == b"home.city,home\nOslo,1\nRome,2\n"
    assert ran.counts().excluded == {"missing_home.city": 1}


STATUS = "segmentMembership.seg_namespace.seg_id.status"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("membership.status"), "realized"),
        (Column(STATUS), "realized"),
        (Column("segmentMembership.ups.seg_id.status"), "realized"),
        (Column("segmentMembership.status"), "realized"),
        (Column("membership.lastQualificationTime"), datetime(2026, 2, 1, tzinfo=UTC)),
        (Column("segmentMembership.seg_namespace.seg_id.lastQualificationTime"), datetime(2026, 2, 1, tzinfo=UTC)),
        (Column("membership.lastQualificationTime", format="dd.MM.yyyy HH:mm", zone="Europe/Stockholm"), "01.02.2026 01:00"),
        (Column("membership.segmentId"), "b"),
        (Column("membership.segmentName"), "Summer"),
        (Column("membership.segmentNamespace"), "AAM"),
        (Column("membership.segmentName", hash="sha256"), sha256("Summer")),
        (Column("segmentMembership.AAM.b.status"), "existing"),
    ],
)
def test_a_column_may_show_the_membership_of_the_row(engine: Engine, tmp_path: Path, column: Column, value: Any) -> None:
    row = profile(segments={"ups": {"a": ("realized", JAN, None)}, "AAM": {"b": ("existing", FEB, None)}})
    segments = ["a", {"id": "b", "name": "Summer", "namespace": "AAM"}]
    ran = run_rows(engine, tmp_path, [row], {"email": "personalEmail.address", "x": column}, segments=segments)
    assert ran.rows(1) == [("jane@example.com", value, "exported")]


REFUSED = {
    "an array": (Column("loyalty.loyaltyID"), "loyalty.loyaltyID[0], or join: ';' or json: true"),
    "an array of doubles": (Column("doubles"), "Expected: doubles[0]."),
    "the identities of a namespace": (Column("identityMap.Email"), "identity: Email in place of the source"),
    "those of one with a dot": (Column("identityMap['Phone_E.164']"), "identity: Phone_E.164 in place of the source"),
    "an array of structs": (Column("orders"), "a path that goes on from orders[0] to one value, or json: true"),
    "a struct": (Column("person.name"), "a path that goes on to one of its fields, or json: true"),
    "a map": (Column("identityMap"), "json: true"),
    "joining a text": (Column("personalEmail.address", join=";"), "one value already"),
    "joining a struct": (Column("person.name", join=";"), "Only an array"),
    "joining doubles": (Column("doubles", join=";"), "an array of double"),
    "JSON of times": (Column("segmentMembership", json=True), "timestamp"),
    "JSON of doubles": (Column("doubles", json=True), "double"),
    "JSON of an expression": (Column(expression="loyalty.loyaltyID", json=True), "An expression cannot become JSON"),
    "hashing a number": (Column("loyalty.points", hash="sha256"), "expected: text"),
    "a number with a date's format": (Column("loyalty.points", format="dd.MM.yyyy"), "a date or timestamp"),
    "a text with a number's format": (Column("personalEmail.address", format="0.00"), "a number"),
    "an unknown zone": (Column("loyalty.joinDate", format="HH:mm", zone="Europe/Stokholm"), "Europe/Stockholm"),
    "a zone for a date": (Column("day", format="dd.MM.yyyy", zone="Europe/Stockholm"), "A zone belongs to a timestamp"),
    "a zone beside an offset": (Column("loyalty.joinDate", format="HH:mmXXX", zone="Europe/Stockholm"), "without XXX"),
    "a default for a number": (Column("loyalty.points", default="0"), "cannot have a default"),
    "an unknown field of the membership": (Column("membership.state"), "membership.status"),
    "another field in Adobe's spelling": (Column("segmentMembership.seg_namespace.seg_id.validUntil"), "source is unknown"),
    "such a field in an expression": (Column(expression="upper(segmentMembership.ups.seg_id.version)"), "source is unknown"),
    "the identity of a row without one": (Column("identity.id"), "mapping.fan_out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_one_value_or_cannot_be_shaped_is_refused_with_advice(case: str) -> None:
    column, words = REFUSED[case]
    config = MappingConfig({"email": Column("personalEmail.address"), "x": column})
    with pytest.raises(CourierError) as caught:
        mapping.resolve(config, DedupConfig(), ExportConfig(), SCHEMA)
    assert words.casefold() in str(caught.value).casefold()
    assert "x" in str(caught.value)
