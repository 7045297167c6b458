"""Expressions give the same values on both engines, and what would not is refused before a row is read."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from row_runs import FEB, JAN, member, run_rows
from xdm_profiles import PROFILE_SCHEMA, write_profiles

from courier import mapping, sql
from courier.config import ColumnConfig, DedupConfig, ExportConfig, MappingConfig
from courier.engine import Engine
from courier.engine.spark import OF_FAILURES
from courier.errors import ConfigError, CourierError, SourceError

PROFILE = member(
    email=" Jane@X.com ",
    first_name="Zoë",
    last_name=None,
    city="A;B;C",
    identities={"Email": ["e1", "e2"], "Phone_E.164": ["+1"]},
    loyalty={"loyaltyID": ["b", "a", None, "b"], "points": -7, "tier": "gold", "joinDate": datetime(2026, 3, 29, 1, 30, 15, tzinfo=UTC)},
)

#: expression → value
VALUES: list[tuple[str, Any]] = [
    ("abs(loyalty.points)", 7),
    ("add_months(cast('2026-01-31' as date), 1)", date(2026, 2, 28)),
    ("array_join(array('a', person.name.firstName), '-')", "a-Zoë"),
    ("array_join(array_distinct(loyalty.loyaltyID), ',', '?')", "b,a,?"),
    ("array_join(loyalty.loyaltyID, ';')", "b;a;b"),
    ("array_join(array_sort(loyalty.loyaltyID), ',', '?')", "a,b,b,?"),
    ("cast('12' as int) + 1", 13),
    ("cast('12x' as int)", None),
    ("cast('no day' as date)", None),
    ("cast('3.456' as decimal(10,2))", Decimal("3.46")),
    ("cast(2.5 as int)", 2),
    ("cast(loyalty.joinDate as date)", date(2026, 3, 29)),
    ("ceil(-2.1)", Decimal(-2)),
    ("ceil(cast(2.1 as double))", 3),
    ("coalesce(person.name.lastName, 'x')", "x"),
    ("concat('a', person.name.firstName)", "aZoë"),
    ("concat('a', person.name.lastName)", None),
    ("concat('${x} ', '${env:HOME}')", "${x} ${env:HOME}"),
    ("array_join(concat(loyalty.loyaltyID, array('z')), ',')", "b,a,b,z"),
    ("concat_ws('-', 'a', person.name.lastName, 'b')", "a-b"),
    ("concat_ws('-', loyalty.loyaltyID)", "b-a-b"),
    ("crc32(person.name.firstName)", 1739342378),
    ("date_add(cast('2026-02-28' as date), 1)", date(2026, 3, 1)),
    ("date_format(loyalty.joinDate, 'dd.MM.yyyy HH:mm:ss')", "29.03.2026 01:30:15"),
    ("date_sub(cast('2026-03-01' as date), 1)", date(2026, 2, 28)),
    ("datediff(cast('2026-03-01' as date), cast('2026-02-27' as date))", 2),
    ("day(loyalty.joinDate)", 29),
    ("exists(loyalty.loyaltyID, x -> x = 'a')", True),
    ("exists(loyalty.loyaltyID, x -> x = 'z')", None),
    ("array_join(filter(loyalty.loyaltyID, x -> x <> 'a'), ',')", "b,b"),
    ("array_join(filter(loyalty.loyaltyID, (x, i) -> i > 0), ',', '?')", "a,?,b"),
    ("array_join(flatten(array(loyalty.loyaltyID, array('z'))), ',')", "b,a,b,z"),
    ("floor(2.9)", Decimal(2)),
    ("floor(cast(-2.1 as double))", -3),
    ("from_utc_timestamp(loyalty.joinDate, 'Europe/Stockholm')", datetime(2026, 3, 29, 3, 30, 15, tzinfo=UTC)),
    ("get(loyalty.loyaltyID, 0)", "b"),
    ("get(loyalty.loyaltyID, 9)", None),
    ("greatest('a', person.name.lastName)", "a"),
    ("if(loyalty.points > 0, 'above', 'below')", "below"),
    ("ifnull(person.name.lastName, 'q')", "q"),
    ("least(1, loyalty.points)", -7),
    ("left('åbc', 2)", "åb"),
    ("length('👩')", 1),
    ("lower('ÅSA')", "åsa"),
    ("lpad('7', 3, '0')", "007"),
    ("ltrim('  a ')", "a "),
    ("array_join(map_keys(identityMap), ',')", "Email,Phone_E.164"),
    ("size(map_values(identityMap))", 2),
    ("md5(person.name.firstName)", "fb44af73417cf03c023d098e7f07c114"),
    ("month(loyalty.joinDate)", 3),
    ("nullif(loyalty.tier, 'gold')", None),
    ("nullif(large.one, 0.5)", 1),
    ("nullif(cast('-0.0' as double), 0)", None),
    ("concat_ws(' ', loyalty.joinDate, 'x')", "2026-03-29 01:30:15 x"),
    ("lower(loyalty.joinDate) || '!'", "2026-03-29 01:30:15!"),
    ("nvl(person.name.lastName, 'n')", "n"),
    (r"regexp_extract('a12b', '(\\d+)', 1)", "12"),
    (r"regexp_extract('٣', '(\\d+)', 1)", ""),
    (r"regexp_replace('john smith', '(\\w+) (\\w+)', '$2 $1')", "smith john"),
    ("regexp_replace('US-NY', '^[A-Z]{2}-', '')", "NY"),  # states, as the guides to platforms have them
    ("regexp_replace('NY', '^[A-Z]{2}-', '')", "NY"),
    ("replace('aXbX', 'X', '-')", "a-b-"),
    ("reverse('abc')", "cba"),
    ("right('abc', 2)", "bc"),
    ("rpad('a', 3, '-')", "a--"),
    ("rtrim(' a  ')", " a"),
    ("sha1(person.name.firstName)", "4771a7b47db3a5a31ed1e4375e91e7cdc675060b"),
    ("sha2(person.name.firstName, 256)", "c6a12698582fc1104ea24107a2d7268145ff06ef859707729d01fd060897f067"),
    ("size(loyalty.loyaltyID)", 4),
    ("array_join(slice(loyalty.loyaltyID, 1, 2), ',')", "b,a"),
    ("array_join(sort_array(loyalty.loyaltyID), ',', '?')", "?,a,b,b"),
    ("get(split(homeAddress.city, ';'), 1)", "B"),
    (r"get(split('a|b', '\\|'), 1)", "b"),
    ("substring('abcd', 2, 2)", "bc"),
    ("to_timestamp('29.03.2026 01:02', 'dd.MM.yyyy HH:mm')", datetime(2026, 3, 29, 1, 2, tzinfo=UTC)),
    ("to_timestamp('no time')", None),
    ("array_join(transform(loyalty.loyaltyID, x -> upper(x)), ',', '?')", "B,A,?,B"),
    ("array_join(transform(identityMap.Email, (x, i) -> concat(x.id, cast(i as string))), ',')", "e10,e21"),
    ("translate('abc', 'ab', 'xy')", "xyc"),
    ("trim('  a b ')", "a b"),
    ("try_cast('5' as int)", 5),
    ("get(try_element_at(identityMap, 'Email'), 0).id", "e1"),
    ("try_element_at(loyalty.loyaltyID, 9)", None),
    ("try_to_timestamp('no time')", None),
    ("upper('straße')", "STRASSE"),
    ("year(loyalty.joinDate)", 2026),
    # paths
    ("loyalty.loyaltyID[0]", "b"),
    ("loyalty.loyaltyID[9]", None),
    ("identityMap['Phone_E.164'][0].id", "+1"),
    ("identityMap.Nobody[0].id", None),
    ("homeAddress . city", "A;B;C"),
    ("`homeAddress`.`city`", "A;B;C"),
    ("consents.marketing.any.val", None),
    ("consents.marketing.email.val", "y"),
    ("_acme.tier", None),
    ("length", "a column of this name"),
    ("length(length)", 21),
    ("date", "another"),
    ("cast('2026-01-02' as date)", date(2026, 1, 2)),
    # what has no parentheses
    ("case when loyalty.points < 0 then 'below' when loyalty.points = 0 then 'zero' else 'above' end", "below"),
    ("case loyalty.tier when 'gold' then 1 else 0 end", 1),
    ("loyalty.tier in ('gold', 'silver') and not loyalty.tier like 's%'", True),
    ("loyalty.points between -10 and 0 or loyalty.tier is null", True),
    ("person.name.lastName is distinct from 'x'", True),
    (r"loyalty.tier rlike '^g.\\w+$'", True),
    ("1 + 2 * 3", 7),
    ("7 / 2", 3.5),
    ("-loyalty.points % 4", 3),
    ("loyalty.points / nullif(0, 0)", None),
    ("loyalty.points * 1.5", Decimal("-10.5")),
    ("cast(loyalty.points / 1.5 as decimal(10,2))", Decimal("-4.67")),
    ("'a' || 'b'", "ab"),
    # texts
    ("'person.name.firstName is no path, lower(x) no call'", "person.name.firstName is no path, lower(x) no call"),
    ("concat('it''s ', loyalty.tier, '''')", "it's gold'"),
    (r"'it\'s'", "it's"),
    ('"in double quotes"', "in double quotes"),
    ("cast(null as string)", None),
    # what engines compute differently, left alone
    ("large.i32 * 2", 4294967294),
    ("large.i32 + large.i32", 4294967294),
    ("large.i64 - 1", 9007199254740992),
    ("abs(large.i32) * large.i32", 4611686014132420609),
    ("2147483647 + 1", 2147483648),
    ("cast(large.i64 as decimal(38,0)) * 1000", Decimal(9007199254740993000)),
    ("-large.i64", -9007199254740993),
    ("case large.one when 1 then large.f64 > 1 else false end", True),
    ("left('abcdef', large.one + 1)", "ab"),
    ("left('abc', large.one - 3)", ""),
    ("right('abc', length('ab') - 3)", ""),
    ("substring('abc', large.one - 5, 2)", "ab"),
    ("array_join(slice(loyalty.loyaltyID, large.one - 5, 1), ',')", "b"),
    ("cast(large.f64 as decimal(10,2))", Decimal("1.01")),
    ("cast(large.f64 * 1e18 as decimal(20,1))", Decimal("1004999999999999872.0")),
    ("cast(large.f64 as decimal(2,2))", None),
    ("large.f32 * 3 > 0.3 and large.f32 * 3 < 0.31", True),
    ("cast(large.f32 as decimal(10,3))", Decimal("0.100")),
    ("cast(large.f64 * 1.1 as decimal(10,4))", Decimal("1.1055")),
    ("large.f64 > 0.1", True),
    ("large.f64 in (1.005, 2)", True),
    ("case when large.one = 1 then 1 else 2.5 end", Decimal("1.0")),
    ("case when large.one > 1 then 1 else 2.5 end", Decimal("2.5")),
    ("if(large.one > 1, large.one, large.i64)", 9007199254740993),
    ("coalesce(large.none, 0.5)", Decimal("0.5")),
    ("coalesce(size(identityMap) * 5, 2.5)", Decimal("10.0")),
    ("cast(coalesce(large.f64, 0) as decimal(5,1))", Decimal("1.0")),
    ("regexp_replace('gold', '^(go)ld$', '$1X')", "goX"),
    ("regexp_replace('gold', '(g)', '$12')", "g2old"),
    ("regexp_replace('gold', '(g)(o)', '$2$1_$0')", "og_gold"),
    ("date_add(cast('2026-02-28' as date), large.one + 1)", date(2026, 3, 2)),
    ("cast('2026-02-28' as date) + large.one", date(2026, 3, 1)),
    ("cast('2026-02-28' as date) > '2026-01-01'", True),
    ("array_join(transform(loyalty.loyaltyID, (x, i) -> concat(coalesce(x, '?'), i + 1)), ',')", "b1,a2,?3,b4"),
    ("left(large.i64, 4) || right(large.i32, 2)", "900747"),
    ("reverse(large.i32)", "7463847412"),
    ("trim(large.i64)", "9007199254740993"),
    ("md5(true)", "b326b5062b2f0e69046810717534cb09"),
    ("large.i64 like '9%' and loyalty.joinDate rlike '^2026-03-29 01'", True),
    ("get(split(large.i32, '4', 2), 1)", "7483647"),
    ("get(loyalty.loyaltyID, large.none)", None),
    ("lpad('7', large.one - 3, '0')", ""),
    ("cast(large.f64 * 0 + 9223372036854775808 as bigint)", None),
    ("cast('12d' as double)", None),
    ("cast('0f' as double) is null and cast('7' as double) = 7", True),
    ("cast(1 / 1.0050 as decimal(18,6))", Decimal("0.995025")),
    ("cast(10.00 / large.one / 3 as decimal(18,9))", Decimal("3.333333333")),
    ("1.5 / large.one", 1.5),
    ("cast(large.i32 as decimal(18,4)) * 1.10 * 2", Decimal("4724464023.400000")),
    ("from_utc_timestamp(cast('9999-12-31 23:59:59' as timestamp), 'Europe/Stockholm')", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("date_format(from_utc_timestamp(cast('0001-01-01' as date), 'America/New_York'), 'yyyy-MM-dd HH')", "0001-01-01 00"),
    # of the row
    ("case when membership.status = 'exited' then 1 else 0 end", 0),
    ("upper(segmentMembership.seg_namespace.seg_id.status)", "REALIZED"),
    ("upper(segmentMembership.status)", "REALIZED"),
    ("date_format(membership.lastQualificationTime, 'MM/dd')", "01/01"),
    ("concat(membership.segmentNamespace, '/', membership.segmentId, '/', membership.segmentName)", "ups/a/Spring"),
]
FURTHER: dict[str, Any] = {
    "length": "a column of this name",
    "date": "another",
    "large": {"i32": 2**31 - 1, "i64": 2**53 + 1, "one": 1, "none": None, "f32": 0.1, "f64": 1.005},
}


NUMBERS = {"i32": pa.int32(), "i64": pa.int64(), "one": pa.int32(), "none": pa.int64(), "f32": pa.float32(), "f64": pa.float64()}
LARGE = pa.schema([*PROFILE_SCHEMA, pa.field("length", pa.string()), pa.field("date", pa.string()), pa.field("large", pa.struct(NUMBERS))])


@pytest.fixture(scope="module")
def values(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """All expressions in one row."""
    schema = LARGE
    columns = {f"x{number}": ColumnConfig(expression=text) for number, (text, _) in enumerate(VALUES)}
    segments = [{"id": "a", "name": "Spring"}]
    return run_rows(engine, tmp_path_factory.mktemp("all"), [{**PROFILE, **FURTHER}], columns, segments=segments, schema=schema).rows()[0]


@pytest.mark.parametrize("number", range(len(VALUES)), ids=[text for text, _ in VALUES])
def test_an_expression_gives_its_value(values: tuple[Any, ...], number: int) -> None:
    assert values[number] == VALUES[number][1]


def test_every_function_of_the_list_has_an_example() -> None:
    together = " ".join(text for text, _ in VALUES)
    assert [name for name in sorted(sql.FUNCTIONS) if f"{name}(" not in together] == []


def test_the_guide_names_the_functions_of_the_list() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
    listed = guide.partition("and these functions:\n\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == {*sql.FUNCTIONS}


REFUSED = {
    "max(loyalty.points)": "the function max",
    "count(*)": "the function count",
    "row_number() over (partition by _id)": "the function row_number",
    "lower(loyalty.tier) over (partition by _id)": "the function over",
    "(select 1)": "'select', which the source has not",
    "exists (select 1 from person)": "'select', which the source has not",
    "lowr(loyalty.tier)": "did you mean 'lower'?",
    "loyalty.teir": "did you mean 'loyalty.tier'?",
    "layalty.tier": "did you mean 'loyalty'?",
    "cast(loyalty.tier as binary)": "Found: as binary. What to do: after as, a type: bigint, boolean, date,",
    "cast(loyalty.joinDate as time)": "Found: as time.",
    "sha256(personalEmail.address)": "sha2(…, 256)",
    "first(loyalty.loyaltyID)": "loyalty.loyaltyID[0]",
    "lower(": "Found:",
    "lower(loyalty.tier, 'x')": "lower of 2 values. What to do: it takes 1",
    "year()": "year of no values",
    "datediff(day, loyalty.joinDate, loyalty.joinDate)": "'day', which the source has not",
    "datediff(true, loyalty.joinDate, loyalty.joinDate)": "datediff of 3 values. What to do: it takes 2",
    "length(x -> x)": "a lambda in length",
    "lower(identityMap)": "lower of a map",
    "loyalty || 'x'": "concat of a struct",
    "filter(loyalty.loyaltyID)": "filter of 1 values",
    "cast(loyalty.points as decimal(40,2))": "at most 38",
    "decimal(loyalty.tier)": "cast(… as decimal(18,2))",
    "loyalty.tier 'x'": "Found:",
    "-- nothing": "nothing but blanks and comments",
    "loyalty.tier, loyalty.points": "Found:",
    "loyalty.tier as email": "Found: as email. What to do: after as, a type",
    "element_at(loyalty.loyaltyID, 5)": "get(ARRAY, INDEX)",
    "array('a')[0]": "get(ARRAY, INDEX)",
    "exists(identityMap.Email, x -> x[0] = 'a')": "get(ARRAY, INDEX)",
    "loyalty.loyaltyID[loyalty.points]": "get(ARRAY, INDEX)",
    "current_date": "a run has as_of and no clock",
    "current_date()": "a run has as_of and no clock",
    "now()": "a run has as_of and no clock",
    "rand()": "the function rand",
    "uuid()": "the function uuid",
    "input_file_name()": "the function input_file_name",
    "array_contains(loyalty.loyaltyID, 'a')": "exists(ARRAY, x -> x = VALUE)",
    "initcap(person.name.firstName)": "the function initcap",
    "round(loyalty.points, 1)": "format: '0.00'",
    "to_date('2026-01-01')": "cast(… as date)",
    "to_json(identityMap)": "json: true",
    "loyalty.tier::int": "cast(… as …)",
    "*": "Found: *",
    "loyalty.*": "Found: *",
    "r'raw'": "plain quotes",
    "loyalty.tier rlike 'a(?=b)'": "(?=b",
    "loyalty.tier rlike '(?i)a'": "(?i)",
    r"regexp_replace(loyalty.tier, '(a)\\1', '')": r"\1",
    "date_format(loyalty.joinDate, 'YYYY')": "the pattern 'YYYY'",
    "date_format(loyalty.joinDate, 'yyyy#MM')": "the pattern 'yyyy#MM'",
    "date_format(loyalty.joinDate, 'yyyy{MM}')": "the pattern 'yyyy{MM}'",
    "to_timestamp(loyalty.tier, 'd/M/yyyy')": "the pattern 'd/M/yyyy'",
    "get(split(loyalty.tier, ''), 0)": "split by nothing",
    r"regexp_replace(loyalty.tier, '(a)', '\\1')": "$1 for a group",
    r"regexp_replace(loyalty.tier, 'a', '$')": "'$' in what is put in",
    "regexp_replace(loyalty.tier, 'a', '$1')": "'$1' in what is put in",
    "regexp_replace(loyalty.tier, 'a', '${1}')": "'${' in what is put in",
    "regexp_replace(loyalty.tier, 'a', loyalty.tier)": "a text in quotes",
    "regexp_replace(loyalty.tier, 'x*', '-')": "a pattern that finds nothing",
    "loyalty.tier rlike '[+--]'": "-- in a class",
    "loyalty.tier rlike 'a{'": "{ that is no number of times",
    "substring(loyalty.tier, -6, 4)": "substring with -6",
    "left(loyalty.tier, -1)": "left with -1",
    "right(loyalty.tier, -1)": "right with -1",
    "slice(loyalty.loyaltyID, -2, 1)": "slice with -2",
    "nvl(loyalty.points, '')": "whole number and text",
    "if(loyalty.points > 1, loyalty.points, 'x')": "cast(… as …)",
    "case when loyalty.tier = '' then cast('2026-01-01' as date) else loyalty.joinDate end": "date and timestamp",
    "cast('2026-01-01' as date) > loyalty.joinDate": "date and timestamp",
    "loyalty.tier > 5": "text and whole number",
    "loyalty.tier + 1": "text and whole number",
    "array('a', 1)": "text and whole number",
    "date_format(personalEmail.address, 'yyyy')": "date_format of a text",
    "array_join(array(loyalty.joinDate), ',')": "array_join of timestamps",
    "year(loyalty.tier)": "year of a text",
    "datediff(loyalty.joinDate, '2026-01-01')": "datediff of a text",
    "cast(loyalty.joinDate as date) - cast('2026-01-01' as date)": "datediff",
    "cast(loyalty.points / 3 as string)": "the text of a double",
    "cast(loyalty.joinDate as bigint)": "a cast of timestamp to bigint",
    "cast(loyalty.points as float)": "cast(… as double)",
    "int(loyalty.tier)": "cast(… as int)",
    "loyalty.points & 1": "'bitwiseand'",
    "membership.stauts": "did you mean 'membership.status'?",
    "identity.id": "mapping.fan_out",
    "lower(loyalty.loyaltyID)": "lower of an array",
    "cast(loyalty.loyaltyID as string)": "a cast of array to string",
    "cast(identityMap as string)": "a cast of map to string",
    "cast(loyalty.points as date)": "a cast of whole number to date",
    "cast(cast(loyalty.joinDate as date) as int)": "a cast of date to int",
    "lpad(loyalty.tier, -1)": "a length of 0 or more",
    "sha2(loyalty.tier, 1)": "one of 0, 224, 256, 384, 512",
    "sha2(loyalty.tier, loyalty.points)": "a number of bits that is computed",
    "from_utc_timestamp(loyalty.joinDate, 'Europe/Stokholm')": "did you mean 'Europe/Stockholm'?",
    "to_timestamp(loyalty.joinDate, 'yyyy')": "of a timestamp",
    "cast(loyalty.tier as decimal(38,18)) + 1": "a decimal that has to hold 39 digits, 18 of them after the point",
    "cast(loyalty.tier as decimal(18,4)) * cast(loyalty.tier as decimal(18,4)) * 0.5": "cast(… as decimal(18,2)) around each",
    "identityMap['Email": "Found:",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_used_is_refused_before_an_engine_starts(text: str) -> None:
    config = MappingConfig({"email": ColumnConfig("personalEmail.address"), "x": ColumnConfig(expression=text)})
    with pytest.raises(CourierError) as caught:
        mapping.resolve(config, DedupConfig(), ExportConfig(), PROFILE_SCHEMA)
    assert isinstance(caught.value, ConfigError | SourceError)
    assert "mapping.columns.x" in str(caught.value)
    assert REFUSED[text] in str(caught.value)


def test_too_many_levels_are_refused_in_a_paragraph() -> None:
    text = "case when person.gender = 'x' then 'y' else " * 200 + "'z'" + " end" * 200
    with pytest.raises(ConfigError, match=r"too many levels .* Where: mapping\.columns\.x\. Found: case when .*…\. What") as caught:
        mapping.resolve(MappingConfig({"x": ColumnConfig(expression=text)}), DedupConfig(), ExportConfig(), PROFILE_SCHEMA)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loyalty.loyaltyID", "an array"),
        ("array(1, 2)", "an array"),
        ("identityMap", "a map"),
        ("loyalty", "a struct"),
        ("null", "null"),
        ("transform(loyalty.tier, x -> x)", "x"),
    ],
)
def test_what_only_an_engine_can_refuse_is_refused_before_a_row_is_read(engine: Engine, tmp_path: Path, text: str, words: str) -> None:
    folder = write_profiles(tmp_path / "profiles", [PROFILE])
    file = next(folder.iterdir())
    whole = file.read_bytes()
    footer = whole[-8 - int.from_bytes(whole[-8:-4], "little") :]
    file.write_bytes(b"PAR1" + bytes(len(whole) - len(footer) - 4) + footer)  # the rows are gone
    with pytest.raises(ConfigError) as caught:
        run_rows(engine, tmp_path, folder, {"x": ColumnConfig(expression=text), "y": "_id"})
    assert "mapping.columns.x" in str(caught.value)
    assert words in str(caught.value)


def test_a_row_that_fails_an_expression_shows_no_value(engine: Engine, tmp_path: Path) -> None:
    row = member(loyalty={"loyaltyID": [], "points": 9123456789012345678, "tier": None, "joinDate": None})
    with pytest.raises(CourierError) as caught:
        run_rows(engine, tmp_path, [row], {"x": ColumnConfig(expression="loyalty.points * 10")})
    assert "9123456789012345678" not in str(caught.value)
    assert "cast(… as decimal(38,0))" in str(caught.value)


def test_spark_logs_no_failure_of_a_task_where_it_runs_in_this_process(engine: Engine) -> None:
    if engine.kind != "spark":
        pytest.skip("Sail logs nothing")
    logger = engine.session.sparkContext._jvm.org.apache.logging.log4j.LogManager.getLogger
    assert [name for name in OF_FAILURES if logger(name).isErrorEnabled()] == []
    assert logger("org.apache.spark.SparkContext").isErrorEnabled()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (ColumnConfig(expression="loyalty.points + 1", default="none"), "cannot have a default. Found: a source of type int64"),
        (ColumnConfig(expression="get(filter(loyalty.loyaltyID, x -> x > 'a'), 0) = 'b'", default="none"), "cannot have a default"),
        (
            ColumnConfig(expression="upper(loyalty.tier)", format="dd.MM.yyyy"),
            "cannot have this format. Where: mapping.columns.x. Found: type string",
        ),
        (
            ColumnConfig(expression="upper(loyalty.tier)", format="0.00"),
            "cannot have this format. Where: mapping.columns.x. Found: type string",
        ),
        (
            ColumnConfig(expression="loyalty.points + 1", format="dd.MM.yyyy"),
            "cannot have this format. Where: mapping.columns.x. Found: type int64",
        ),
        (ColumnConfig(expression="loyalty.points + 1", hash="sha256"), "cannot be hashed. Where: mapping.columns.x. Found: type int64"),
    ],
)
def test_what_an_expression_gives_has_to_go_with_the_default_the_format_and_the_hash(column: ColumnConfig, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapping.resolve(MappingConfig({"x": column}), DedupConfig(), ExportConfig(), PROFILE_SCHEMA)
    assert words in str(caught.value)


def test_a_default_is_checked_again_when_the_engine_has_typed_the_expression(engine: Engine, tmp_path: Path) -> None:
    column = ColumnConfig(expression="map_values(identityMap) is null", default="x")
    with pytest.raises(ConfigError, match="cannot have a default"):
        run_rows(engine, tmp_path, [PROFILE], {"x": column})


def test_a_format_of_a_quotient_and_a_default_after_it(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "x": ColumnConfig(expression="loyalty.points / 2", format="0.00", default="none"),
        "y": ColumnConfig(expression="loyalty.points * 1.5", format="0.0"),
        "z": ColumnConfig(expression="loyalty.points / 3e9", format="0.0000000000"),
    }
    assert run_rows(engine, tmp_path, [PROFILE], columns).rows()[0][:3] == ("-3.50", "-10.5", "-0.0000000023")


def test_json_has_the_same_letters_on_both_engines(engine: Engine, tmp_path: Path) -> None:
    rows = [member(identities={"Email": ["a\x0b\x1f", "\\u000B\\\x0e"]})]
    found = run_rows(engine, tmp_path, rows, {"x": ColumnConfig("identityMap.Email", json=True)}).rows()[0][0]
    assert "a\\u000b\\u001f" in found
    assert "\\\\u000B\\\\\\u000e" in found


def test_an_expression_may_be_the_key_and_mandatory_and_have_a_default(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "email": ColumnConfig(expression="lower(trim(personalEmail.address))"),
        "first": ColumnConfig(expression="nullif(person.name.firstName, '')", mandatory=True),
        "city": ColumnConfig(expression="upper(homeAddress.city)", default="NONE"),
    }
    rows = [
        member(email=" A@x.com", first_name="old", city="Rome", qualified=JAN),
        member(email="a@X.com ", first_name="new", qualified=FEB),
        member(email="b@x.com", first_name=""),
        member(email=None),
    ]
    assert run_rows(engine, tmp_path, rows, columns, key=["email"]).rows() == [
        (None, "Jane", "NONE", "excluded: missing_email"),
        ("a@x.com", "new", "NONE", "exported"),
        ("a@x.com", "old", "ROME", "deduplicated"),
        ("b@x.com", None, "NONE", "excluded: missing_first"),
    ]
