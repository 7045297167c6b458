"""Which of several rows is sent: without a key, by one or more columns, and by identity as Adobe does it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from row_runs import DEDUPLICATED as D
from row_runs import EXPORTED as E
from row_runs import FEB, JAN, MAR, member, run_rows
from xdm_profiles import PROFILE_SCHEMA, profile

from courier import mapping
from courier.config import ColumnConfig, DedupConfig, ExportConfig, MappingConfig, RulesConfig
from courier.config.mapping import RowRuleConfig
from courier.engine import Engine
from courier.errors import ConfigError

NAMES = {"email": "personalEmail.address", "first": "person.name.firstName", "city": "homeAddress.city"}
BY_IDENTITY = {"email": "identity.id", "first": "person.name.firstName"}
PROFILE, ROW = DedupConfig("Email", "profile"), DedupConfig("Email", "row")


def test_without_a_key_there_is_one_row_a_profile(engine: Engine, tmp_path: Path) -> None:
    rows = [member(first_name="1", qualified=JAN), member(first_name="2", qualified=FEB), member(email=None, first_name="3")]
    ran = run_rows(engine, tmp_path, rows, NAMES)
    assert ran.rows() == [("jane@example.com", "1", None, E), ("jane@example.com", "2", None, E), (None, "3", None, E)]
    assert (ran.counts().members, ran.counts().exported, ran.counts().deduplicated) == (3, 3, 0)


@pytest.mark.parametrize(
    ("key", "exported", "missing"),
    [
        (["email"], ["5", "4"], {"missing_email": 1}),
        (["email", "city"], ["5", "3", "4"], {"missing_city": 1, "missing_email": 1}),
        (["city", "email", "first"], ["1", "5", "2", "3", "4"], {"missing_city": 1, "missing_email": 1}),
        (["city"], ["7", "3"], {"missing_city": 1}),
    ],
)
def test_a_key_has_one_or_more_columns_and_rows_without_a_part_of_it_are_counted(
    engine: Engine, tmp_path: Path, key: list[str], exported: list[str], missing: dict[str, int]
) -> None:
    rows = [
        member(email="a", city="Oslo", first_name="1", qualified=JAN),
        member(email="a", city="Rome", first_name="2", qualified=JAN),
        member(email="a", city="Rome", first_name="3", qualified=FEB),
        member(email="b", city="Rome", first_name="4", qualified=JAN),
        member(email="a", city="Oslo", first_name="5", qualified=MAR),
        member(email="a", city=None, first_name="6", qualified=JAN),
        member(email=None, city="Oslo", first_name="7", qualified="2026-04-01T00:00:00Z"),
    ]
    ran = run_rows(engine, tmp_path, rows, NAMES, key=key)
    found = ran.counts()
    sent = [row[1] for row in ran.rows() if row[-1] == E]
    assert found.members == len(rows) == found.exported + found.deduplicated + sum(found.excluded.values())
    assert found.excluded == missing
    assert sorted(sent) == sorted(exported)
    assert sent == exported or key == ["city", "email", "first"]


SPELLINGS = [
    member(email="Jane@x.com", first_name="1", qualified=JAN),
    member(email=" jane@X.com", first_name="2", qualified=FEB),
    member(email="JANE@X.COM ", first_name="3", qualified=JAN),
    member(email="joe@x.com", first_name="4"),
    member(email="\tjane@x.com\u00a0\r\n", first_name="5", qualified=JAN),
]


def test_normalized_keys_are_compared_trimmed_and_in_lower_case_and_values_stay_as_they_are(engine: Engine, tmp_path: Path) -> None:
    columns = {"email": "personalEmail.address", "first": "person.name.firstName"}
    normalized = run_rows(engine, tmp_path / "1", SPELLINGS, columns, key=["email"], dedup=DedupConfig(normalize=True)).rows()
    assert normalized == [
        (" jane@X.com", "2", E),
        ("\tjane@x.com\u00a0\r\n", "5", D),
        ("JANE@X.COM ", "3", D),
        ("Jane@x.com", "1", D),
        ("joe@x.com", "4", E),
    ]
    plain = run_rows(engine, tmp_path / "2", SPELLINGS, columns, key=["email"]).rows()
    assert {row[-1] for row in plain} == {E}


def test_a_key_that_is_no_text_is_normalized_too(engine: Engine, tmp_path: Path) -> None:
    rows = [member(first_name=name, loyalty={"points": points}) for name, points in (("1", 5), ("2", 5), ("3", 6))]
    columns = {"points": "loyalty.points", "first": "person.name.firstName"}
    found = run_rows(engine, tmp_path, rows, columns, key=["points"], dedup=DedupConfig(normalize=True)).rows()
    assert found == [(5, "1", E), (5, "2", D), (6, "3", E)]


def test_a_key_of_fractions_is_sorted_by_their_values(engine: Engine, tmp_path: Path) -> None:
    """As pandas makes them of whole numbers with gaps. Spark spread them by hash, so its files did not follow each other."""
    numbers = [float(number) for number in range(-20, 20)]
    rows = [member(email=name, number=-0.0 if number == 0 and name == "b" else number) for number in numbers for name in ("b", "a")]
    schema = PROFILE_SCHEMA.append(pa.field("number", pa.float64()))
    columns = {"number": "number", "email": "personalEmail.address"}
    found = run_rows(engine, tmp_path, rows, columns, key=["number"], schema=schema).rows()
    assert found == [(number, name, outcome) for number in numbers for name, outcome in (("a", E), ("b", D))]


def test_what_is_no_number_is_no_part_of_a_key(engine: Engine, tmp_path: Path) -> None:
    """It is not always found equal to itself: an incremental export sent it as added again and again."""
    rows = [member(number=number) for number in (math.nan, 1.0)]
    schema = PROFILE_SCHEMA.append(pa.field("number", pa.float64()))
    ran = run_rows(engine, tmp_path, rows, {"number": "number"}, key=["number"], schema=schema)
    assert (ran.counts().exported, ran.counts().excluded) == (1, {"missing_number": 1})


def known(name: str, qualified: str, *emails: str, **keys: Any) -> dict[str, Any]:
    return member(first_name=name, qualified=qualified, identities={"Email": list(emails), "ECID": [f"ecid-{name}"]}, **keys)


ADOBE = [known("A", JAN, "johndoe@example.com", "doejohn_1@example.com"), known("B", FEB, "johndoe@example.com", "doejohn_2@example.com")]


def test_adobes_example_of_deduplication_by_identity(engine: Engine, tmp_path: Path) -> None:
    ran = run_rows(engine, tmp_path, ADOBE, BY_IDENTITY, dedup=PROFILE)
    assert ran.rows() == [
        ("doejohn_1@example.com", "A", D),
        ("doejohn_2@example.com", "B", E),
        ("johndoe@example.com", "B", E),
        ("johndoe@example.com", "A", D),
    ]
    assert ran.file() == b"email,first\ndoejohn_2@example.com,B\njohndoe@example.com,B\n"


def test_with_the_scope_row_only_the_older_row_of_an_identity_goes(engine: Engine, tmp_path: Path) -> None:
    ran = run_rows(engine, tmp_path, ADOBE, BY_IDENTITY, dedup=ROW)
    assert ran.file() == b"email,first\ndoejohn_1@example.com,A\ndoejohn_2@example.com,B\njohndoe@example.com,B\n"


def test_of_a_chain_of_shared_identities_the_latest_profile_alone_stays(engine: Engine, tmp_path: Path) -> None:
    rows = [known("A", JAN, "1", "2"), known("B", FEB, "2", "3"), known("C", MAR, "3", "4")]
    assert run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=PROFILE).file() == b"email,first\n3,C\n4,C\n"


def test_profiles_that_share_nothing_stay_with_all_their_identities(engine: Engine, tmp_path: Path) -> None:
    rows = [known("A", JAN, "1", "2"), known("B", FEB, "3"), known("C", FEB, "4")]
    assert run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=PROFILE).file() == b"email,first\n1,A\n2,A\n3,B\n4,C\n"


def test_a_tie_between_profiles_goes_to_the_lowest_values(engine: Engine, tmp_path: Path) -> None:
    rows = [known("B", JAN, "2", "3"), known("A", JAN, "1", "2")]
    assert run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=PROFILE).file() == b"email,first\n1,A\n2,A\n"


def test_a_profile_that_has_an_identity_twice_gets_one_row_for_it(engine: Engine, tmp_path: Path) -> None:
    for number, dedup in enumerate((PROFILE, ROW)):
        ran = run_rows(engine, tmp_path / str(number), [known("A", JAN, "1", "1", "2")], BY_IDENTITY, dedup=dedup)
        assert ran.rows() == [("1", "A", E), ("1", "A", D), ("2", "A", E)]


def test_profiles_with_equal_identities_are_told_apart(engine: Engine, tmp_path: Path) -> None:
    rows = [
        member(first_name=name, qualified=when, identities={"Email": ["1", "2"]}) for name, when in (("A", JAN), ("B", FEB), ("C", JAN))
    ]
    assert run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=PROFILE).file() == b"email,first\n1,B\n2,B\n"


def test_profiles_without_an_identity_of_the_namespace_are_counted_as_missing(engine: Engine, tmp_path: Path) -> None:
    rows = [
        known("A", JAN, "1"),
        known("B", JAN),
        member(first_name="C", identities={"ECID": ["c"]}),
        member(first_name="D", identityMap=None),
        member(first_name="E", identityMap={"Email": [{"id": None}, {"id": "2"}]}),
    ]
    for number, dedup in enumerate((PROFILE, ROW)):
        ran = run_rows(engine, tmp_path / str(number), rows, BY_IDENTITY, dedup=dedup)
        assert ran.counts().excluded == {"missing_email": 4}
        assert ran.file() == b"email,first\n1,A\n2,E\n"


def test_excluded_rows_do_not_push_out_other_profiles(engine: Engine, tmp_path: Path) -> None:
    rows = [known("A", JAN, "1", "2"), known("", FEB, "2", "3")]
    columns = {"email": "identity.id", "first": ColumnConfig("person.name.firstName", mandatory=True)}
    ran = run_rows(engine, tmp_path, rows, columns, dedup=PROFILE)
    assert ran.file() == b"email,first\n1,A\n2,A\n"
    assert ran.counts().excluded == {"missing_first": 2}


def test_normalized_identities_push_out_profiles_too(engine: Engine, tmp_path: Path) -> None:
    rows = [known("A", JAN, "Jane@x.com", "old@x.com"), known("B", FEB, "jane@X.com ")]
    ran = run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=DedupConfig("Email", "profile", normalize=True))
    assert ran.file() == b"email,first\njane@X.com ,B\n"


def test_the_scope_profile_works_for_attributes_too(engine: Engine, tmp_path: Path) -> None:
    rows = [member(first_name=name, qualified=when, identities={"ECID": [name]}) for name, when in (("A", JAN), ("B", FEB))]
    ran = run_rows(
        engine, tmp_path, rows, {"email": NAMES["email"], "first": NAMES["first"]}, key=["email"], dedup=DedupConfig(scope="profile")
    )
    assert ran.rows() == [("jane@example.com", "B", E), ("jane@example.com", "A", D)]


@pytest.mark.parametrize("nothing", [None, {}, {"Email": []}])
def test_profiles_without_identities_are_not_taken_for_one(engine: Engine, tmp_path: Path, nothing: Any) -> None:
    rows = [
        member(email="1", first_name="old", qualified=JAN, identityMap=nothing),
        member(email="1", first_name="new", qualified=FEB, identities={"Email": ["x"]}),
        member(email="2", first_name="other", qualified=JAN, identityMap=nothing),
        member(email="3", first_name="another", qualified=JAN, identityMap=nothing),
    ]
    columns = {"email": NAMES["email"], "first": NAMES["first"]}
    for number, fan_out in enumerate((None, "Email")):
        folder, dedup = tmp_path / str(number), DedupConfig(scope="profile")
        ran = run_rows(engine, folder, rows, columns, key=["email"], dedup=dedup, fan_out=fan_out)
        assert ran.file() == b"email,first\n1,new\n2,other\n3,another\n"


def test_fanned_out_rows_are_not_deduplicated_without_a_key(engine: Engine, tmp_path: Path) -> None:
    rows = [*ADOBE, member(first_name="C")]
    ran = run_rows(engine, tmp_path, rows, BY_IDENTITY, fan_out="Email")
    assert ran.rows() == [
        ("doejohn_1@example.com", "A", E),
        ("doejohn_2@example.com", "B", E),
        ("johndoe@example.com", "A", E),
        ("johndoe@example.com", "B", E),
        (None, "C", E),
    ]


def test_fanned_out_rows_may_have_a_key_of_attributes_and_use_the_identity_in_expressions(engine: Engine, tmp_path: Path) -> None:
    columns = {"first": "person.name.firstName", "domain": ColumnConfig(expression="substring(identity.id, 5)")}
    rows = [known("A", JAN, "joe@b.com", "jim@a.com"), known("B", JAN, "jon@c.com")]
    assert run_rows(engine, tmp_path, rows, columns, key=["first"], fan_out="Email").rows() == [
        ("A", "a.com", E),
        ("A", "b.com", D),
        ("B", "c.com", E),
    ]


def test_a_key_may_have_the_identity_and_an_attribute(engine: Engine, tmp_path: Path) -> None:
    columns = {"email": "identity.id", "city": "homeAddress.city", "first": "person.name.firstName"}
    rows = [
        known("A", JAN, "1", "2", city="Oslo"),
        known("B", FEB, "1", city="Oslo"),
        known("C", MAR, "3", city="Oslo"),
        known("D", MAR, "1", city="Rome"),
    ]
    assert run_rows(engine, tmp_path, rows, columns, key=["email", "city"], fan_out="Email").rows() == [
        ("1", "Oslo", "B", E),
        ("1", "Oslo", "A", D),
        ("1", "Rome", "D", E),
        ("2", "Oslo", "A", E),
        ("3", "Oslo", "C", E),
    ]


def test_a_namespace_with_a_dot_can_be_fanned_out(engine: Engine, tmp_path: Path) -> None:
    rows = [member(identities={"Phone_E.164": ["+1", "+2"]})]
    assert run_rows(engine, tmp_path, rows, {"phone": "identity.id"}, fan_out="Phone_E.164").file() == b"phone\n+1\n+2\n"


def test_rejected_rows_take_no_part_in_deduplication(engine: Engine, tmp_path: Path) -> None:
    rows = [member(first_name="bad", qualified=FEB), member(first_name="good", qualified=JAN)]
    rules = RulesConfig({"name": RowRuleConfig("first", allowed=["good"])})
    assert run_rows(engine, tmp_path, rows, NAMES, key=["email"], row_rules=rules).rows() == [
        ("jane@example.com", "good", None, E),
        ("jane@example.com", "bad", None, "rejected: name"),
    ]


def test_each_audience_is_deduplicated_by_identity_for_itself(engine: Engine, tmp_path: Path) -> None:
    rows = [
        profile(first_name=name, identities={"Email": emails}, segments={"ups": {s: ("realized", t, None) for s, t in times.items()}})
        for name, emails, times in (("A", ["1", "2"], {"a": JAN, "b": MAR}), ("B", ["2"], {"a": FEB, "b": FEB}))
    ]
    ran = run_rows(engine, tmp_path, rows, BY_IDENTITY, dedup=PROFILE, segments=["a", "b"])
    assert [ran.file(ordinal) for ordinal in range(2)] == [b"email,first\n2,B\n", b"email,first\n1,A\n2,A\n"]


@pytest.mark.parametrize(
    ("columns", "key", "dedup", "words"),
    [
        (NAMES, [], DedupConfig("Email"), "mapping.columns.email.source=identity.id"),
        (NAMES, [], DedupConfig(scope="profile"), "deduplication key"),
        (BY_IDENTITY, [], DedupConfig(), "identity.id wants rows fanned out"),
    ],
)
def test_what_cannot_be_deduplicated_is_refused(columns: dict[str, str], key: list[str], dedup: DedupConfig, words: str) -> None:
    config = MappingConfig({name: ColumnConfig(source) for name, source in columns.items()}, key)
    with pytest.raises(ConfigError) as caught:
        mapping.resolve(config, dedup, ExportConfig(), PROFILE_SCHEMA)
    assert words in str(caught.value)


def test_a_part_of_the_key_may_be_constant(engine: Engine, tmp_path: Path) -> None:
    rows = [member(email=f"{n * 7919 % 500:03}@example.com") for n in range(500)]
    columns = {"brand": ColumnConfig(expression="'acme'"), "email": "personalEmail.address"}
    found = run_rows(engine, tmp_path, rows, columns, key=["brand", "email"]).rows()
    assert found == [("acme", f"{n:03}@example.com", E) for n in range(500)]
