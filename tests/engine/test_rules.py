"""Row rules, the file of rejects, and the one reason that every row has."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from row_runs import EXPORTED, FEB, JAN, member, run_rows
from xdm_profiles import PROFILE_SCHEMA

from courier import guard, mapping
from courier.config import (
    ColumnConfig,
    ConsentConfig,
    DedupConfig,
    ExportConfig,
    GuardConfig,
    MappingConfig,
    RulesConfig,
    SuppressionConfig,
)
from courier.config.audience import SegmentConfig, SuppressionListConfig
from courier.config.mapping import RowRuleConfig
from courier.engine import Engine
from courier.errors import ConfigError
from courier.rows import rules
from courier.runs import rejects

COLUMNS = {"id": "_id", "first": "person.name.firstName"}
TEXTS = [None, "", "  ", "a", "ab1", "abc ", "ÄÖÜ", "x\ny", "٣", "👩"]


def rule(column: str = "first", **keys: Any) -> RowRuleConfig:
    return RowRuleConfig(column, **keys)


@pytest.mark.parametrize(
    ("keys", "rejected"),
    [
        ({"required": True}, [None, "", "  "]),
        ({"regex": "^[a-z]+$"}, ["", "  ", "ab1", "abc ", "ÄÖÜ", "x\ny", "٣", "👩"]),
        ({"regex": "b"}, ["", "  ", "a", "ÄÖÜ", "x\ny", "٣", "👩"]),
        ({"regex": r"^\w*$"}, ["  ", "abc ", "ÄÖÜ", "x\ny", "٣", "👩"]),
        ({"regex": r"\d"}, ["", "  ", "a", "abc ", "ÄÖÜ", "x\ny", "٣", "👩"]),
        ({"regex": r"^[^\d\s]*$"}, ["  ", "ab1", "abc ", "x\ny"]),
        ({"regex": "^.*$"}, ["x\ny"]),
        ({"regex": r"^\S+$"}, ["", "  ", "abc ", "x\ny"]),
        ({"min_length": 3}, ["", "  ", "a", "٣", "👩"]),
        ({"max_length": 1}, ["  ", "ab1", "abc ", "ÄÖÜ", "x\ny"]),
        ({"allowed": ["a", "ab1", ""]}, ["  ", "abc ", "ÄÖÜ", "x\ny", "٣", "👩"]),
        ({"required": True, "max_length": 3, "regex": "^[a-z1]+"}, [None, "", "  ", "abc ", "ÄÖÜ", "٣", "👩"]),
    ],
)
def test_a_rule_rejects_what_fails_it_and_null_passes_all_but_required(
    engine: Engine, tmp_path: Path, keys: dict[str, Any], rejected: list[str | None]
) -> None:
    rows = [member(_id=str(number), first_name=text) for number, text in enumerate(TEXTS)]
    found = run_rows(engine, tmp_path, rows, COLUMNS, key=["id"], row_rules=RulesConfig({"name": rule(**keys)})).rows()
    assert [text for _, text, outcome in found if outcome == "rejected: name"] == rejected
    assert [text for _, text, outcome in found if outcome == EXPORTED] == [text for text in TEXTS if text not in rejected]


def test_blanks_of_any_kind_are_not_what_is_required(engine: Engine, tmp_path: Path) -> None:
    rows = [member(_id=str(number), first_name=text) for number, text in enumerate(["\t", "\r\n", "\u00a0", "\t.\n"])]
    found = run_rows(engine, tmp_path, rows, COLUMNS, key=["id"], row_rules=RulesConfig({"name": rule(required=True)})).rows()
    assert [outcome for *_, outcome in found] == [*["rejected: name"] * 3, EXPORTED]


def test_the_first_rule_that_rejects_is_the_reason(engine: Engine, tmp_path: Path) -> None:
    rows = [member(_id=str(number), first_name=text) for number, text in enumerate(["abcd", "1", "12345", "ab"])]
    config = RulesConfig({"short": rule(max_length=3), "letters": rule(regex="^[a-z]+$")})
    ran = run_rows(engine, tmp_path, rows, COLUMNS, key=["id"], row_rules=config)
    assert [row[-1] for row in ran.rows()] == ["rejected: short", "rejected: letters", "rejected: short", EXPORTED]
    assert (ran.counts().rejected, ran.counts().rejected_by) == (3, {"letters": 1, "short": 2})


def test_rules_that_keep_or_hold_are_counted_and_their_rows_are_sent(engine: Engine, tmp_path: Path) -> None:
    rows = [member(_id=str(number), first_name=text) for number, text in enumerate(["abcd", "1", "12345", "ab", None])]
    config = RulesConfig(
        {
            "short": rule(max_length=3, on_failure="keep"),
            "letters": rule(regex="^[a-z]+$", on_failure="hold"),
            "there": rule(required=True),
        }
    )
    found = run_rows(engine, tmp_path, rows, COLUMNS, key=["id"], row_rules=config).counts()
    assert (found.exported, found.rejected_by, found.noted) == (4, {"there": 1}, {"letters": 2, "short": 2})
    run = SimpleNamespace(rules=config, guard=GuardConfig(), file=SimpleNamespace(on_empty="header"))
    assert "letters" in str(guard.reason(run, SegmentConfig("a"), found, [], {}))


def test_rows_that_are_not_sent_are_not_noted(engine: Engine, tmp_path: Path) -> None:
    rows = [member(_id="1", first_name="abcd", qualified=JAN), member(_id="1", first_name="abcde", qualified=FEB)]
    config = RulesConfig({"short": rule(max_length=3, on_failure="keep")})
    found = run_rows(engine, tmp_path, rows, COLUMNS, key=["id"], row_rules=config).counts()
    assert (found.exported, found.deduplicated, found.noted) == (1, 1, {"short": 1})


def test_a_rule_may_be_about_other_types_and_shaped_columns(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "id": "_id",
        "points": "loyalty.points",
        "price": ColumnConfig("loyalty.points", format="0.00"),
        "upper": ColumnConfig(expression="upper(person.name.firstName)"),
    }
    config = RulesConfig(
        {
            "points": rule("loyalty.points", allowed=["5", "6", "7"]),
            "price": rule("price", regex=r"^[56]\.00$"),
            "upper": rule("upper", allowed=["A", "B"]),
        }
    )
    rows = [
        member(_id=str(number), loyalty={"points": points}, first_name=first)
        for number, (points, first) in enumerate([(5, "a"), (7, "a"), (6, "c"), (4, "c"), (None, None)])
    ]
    found = run_rows(engine, tmp_path, rows, columns, key=["id"], row_rules=config).rows()
    assert [row[-1] for row in found] == [EXPORTED, "rejected: price", "rejected: upper", "rejected: points", EXPORTED]


MOMENT = "^2026-01-0[12]T[0-9:]{8}Z$"


@pytest.mark.parametrize(
    ("keys", "rejected"),
    [
        ({"column": "since", "regex": MOMENT}, [3]),
        ({"column": "since", "min_length": 20, "max_length": 20}, []),
        ({"column": "since", "allowed": ["2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z"]}, [3]),
        ({"column": "day", "regex": "^2026-01-0[12]$", "max_length": 10}, [3]),
        ({"column": "shown", "allowed": ["01.01.2026", "02.01.2026"]}, [3]),
        ({"column": "typed", "regex": MOMENT}, [3]),
        ({"column": "local", "regex": MOMENT}, [3]),
        ({"column": "cents", "allowed": ["1.500"]}, [3]),
        ({"column": "yes", "allowed": ["true"]}, [3]),
    ],
)
def test_a_rule_judges_the_text_that_the_file_has(engine: Engine, tmp_path: Path, keys: dict[str, Any], rejected: list[int]) -> None:
    columns = {
        "id": "_id",
        "since": "membership.lastQualificationTime",
        "day": ColumnConfig(expression="cast(membership.lastQualificationTime as date)"),
        "shown": ColumnConfig("membership.lastQualificationTime", format="dd.MM.yyyy"),
        "typed": ColumnConfig(expression="to_timestamp(person.name.firstName, 'yyyy-MM-dd')"),
        "local": "local",
        "cents": ColumnConfig(expression="cast(loyalty.points as decimal(12,3)) + cast(0.5 as decimal(12,3))"),
        "yes": "personalEmail.primary",
    }
    moments = [(1, "2026-01-01T00:00:00.5Z"), (2, "2026-01-02T12:00:00Z"), (3, "2026-01-03T00:00:00Z")]
    rows = [
        member(
            _id=str(number),
            qualified=text,
            first_name=text[:10],
            local=datetime.fromisoformat(text).replace(tzinfo=None),
            loyalty={"points": 1 if number < 3 else 2},
            personalEmail={"primary": number < 3},
        )
        for number, text in moments
    ]
    schema = PROFILE_SCHEMA.append(pa.field("local", pa.timestamp("us")))
    ran = run_rows(engine, tmp_path, rows, columns, key=["id"], schema=schema, row_rules=RulesConfig({"mine": rule(**keys)}))
    assert [int(row[0]) for row in ran.rows() if row[-1] == "rejected: mine"] == rejected
    assert b"1,2026-01-01T00:00:00Z,2026-01-01,01.01.2026,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,1.500,true\n" in ran.file()


def test_a_rule_judges_years_of_five_digits_as_the_file_has_them(engine: Engine, tmp_path: Path) -> None:
    """Engines judged 10000-01-01 and +10000-01-01."""
    columns = {"id": "_id", "day": ColumnConfig(expression="date_add(cast('9999-12-31' as date), 1)")}
    columns["moment"] = ColumnConfig(expression="cast(date_add(cast('9999-12-31' as date), 1) as timestamp)")
    wanted = {"day": r"^\+10000-01-01$", "moment": r"^\+10000-01-01T00:00:00Z$"}
    config = RulesConfig({column: rule(column, regex=regex) for column, regex in wanted.items()})
    ran = run_rows(engine, tmp_path, [member(_id="1")], columns, key=["id"], row_rules=config)
    assert ran.file() == b"id,day,moment\n1,+10000-01-01,+10000-01-01T00:00:00Z\n"


def test_the_rejects_show_the_text_that_the_file_would_have(engine: Engine, tmp_path: Path) -> None:
    columns = {"since": "membership.lastQualificationTime", "yes": "personalEmail.primary"}
    rows = [member(qualified="2026-01-01T00:00:00.5Z", personalEmail={"primary": True})]
    config = RulesConfig({"mine": rule("since", max_length=3)})
    ran = run_rows(engine, tmp_path, rows, columns, key=["since", "yes"], row_rules=config)
    rejects.write(ran.snapshots[0], ran.ready.columns, ran.ready.rules, tmp_path)
    assert (tmp_path / "0.csv").read_text() == ("since,yes,rule,column,value\n2026-01-01T00:00:00Z,true,mine,since,9999-99-99x99:99:99x\n")


def test_a_rule_about_a_path_is_about_the_column_that_shows_its_value(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "sha": ColumnConfig("personalEmail.address", hash="sha256_email"),
        "email": "personalEmail.address",
        "personalEmail.label": "_id",
        "label": "personalEmail.label",
    }
    rows = [member(email="a@x.com", _id="1"), member(email="b", _id="2")]
    config = RulesConfig({"at": rule("personalEmail.address", regex="@"), "exact": rule("personalEmail.label", required=True)})
    ran = run_rows(engine, tmp_path, rows, columns, key=["email"], row_rules=config)
    assert {name: column.name for name, column in ran.ready.rules.items()} == {"at": "email", "exact": "personalEmail.label"}
    assert [row[-1] for row in ran.rows()] == [EXPORTED, "rejected: at"]
    only = {"sha": columns["sha"], "path": "_id"}
    ran = run_rows(
        engine,
        tmp_path / "2",
        rows,
        only,
        key=["path"],
        row_rules=RulesConfig({"hex": rule("personalEmail.address", regex="^[0-9a-f]{64}$")}),
    )
    assert [row[-1] for row in ran.rows()] == [EXPORTED, EXPORTED]


LEAST, MOST = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    ("expression", "keys", "rejected"),
    [
        ("loyalty.points", {"max_integer_digits": 3}, [1000, -1000, 12345, LEAST, MOST]),
        ("loyalty.points", {"max_integer_digits": 18, "max_decimals": 0}, [LEAST, MOST]),
        ("loyalty.points", {"max_decimals": 0}, []),
        ("cast(loyalty.points as decimal(38,6))", {"max_integer_digits": 4, "max_decimals": 0}, [12345, LEAST, MOST]),
        ("cast(cast(loyalty.points as decimal(25,5)) * 0.001 as decimal(30,5))", {"max_decimals": 2}, [999, -999, 12345, LEAST, MOST]),
        ("cast(loyalty.points as double) * 0.125", {"max_integer_digits": 3, "max_decimals": 2}, [999, -999, 12345, LEAST, MOST]),
    ],
)
def test_digits_of_numbers_are_those_of_the_value(
    engine: Engine, tmp_path: Path, expression: str, keys: dict[str, int], rejected: list[int]
) -> None:
    """Zeros at the end are no decimals; a sign is no digit; null passes."""
    points = [0, 999, -999, 1000, -1000, 12345, None, LEAST, MOST]
    rows = [member(_id=f"{number:02d}", loyalty={"points": each}) for number, each in enumerate(points)]
    columns = {"id": "_id", "number": ColumnConfig(expression=expression)}
    found = run_rows(engine, tmp_path, rows, columns, key=["id"], row_rules=RulesConfig({"digits": rule("number", **keys)})).rows()
    assert [points[int(row[0])] for row in found if row[-1] == "rejected: digits"] == rejected
    assert len([row for row in found if row[-1] == EXPORTED]) == len(points) - len(rejected)


def test_digits_are_of_numbers_only(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="counts the digits of what is no number"):
        run_rows(engine, tmp_path, [member()], COLUMNS, key=["id"], row_rules=RulesConfig({"digits": rule(max_decimals=2)}))


def test_the_rejects_tell_the_key_the_rule_the_column_and_the_masked_value(engine: Engine, tmp_path: Path) -> None:
    columns = {"email": "personalEmail.address", "first": "person.name.firstName", "city": "homeAddress.city"}
    rows = [
        member(email="a@x.com", first_name='Zoë-99, "x"', city="Rome"),
        member(email="b@x.com", first_name=None, city="Rome"),
        member(email="c@x.com", first_name="ok", city="Rom\ne"),
        member(email="d@x.com", first_name="ok", city="Rome"),
        member(email=None, first_name="Zoë-99", city="Rome"),
    ]
    config = RulesConfig({"first": rule(required=True, max_length=3), "city": rule("homeAddress.city", allowed=["Rome"])})
    ran = run_rows(engine, tmp_path, rows, columns, key=["email"], row_rules=config)
    rejects.write(ran.snapshots[0], ran.ready.columns, ran.ready.rules, tmp_path)
    assert (tmp_path / "0.csv").read_bytes() == (
        b'email,rule,column,value\na@x.com,first,first,"xxx-99, ""x"""\nb@x.com,first,first,\nc@x.com,city,city,"xxx\nx"\n'
    )
    assert stat.S_IMODE((tmp_path / "0.csv").stat().st_mode) == 0o600


def test_of_a_long_value_the_rejects_have_the_beginning(engine: Engine, tmp_path: Path) -> None:
    """One that was rejected for its 20 megabytes had 26 more in the state store."""
    columns = {"email": "personalEmail.address", "first": "person.name.firstName", "city": "homeAddress.city"}
    rows = [member(email="a@x.com", first_name="Zoë-" * 500_000, city="Rome"), member(email="b@x.com", first_name="ok" * 500, city="Rome")]
    ran = run_rows(engine, tmp_path, rows, columns, key=["email"], row_rules=RulesConfig({"first": rule(max_length=3)}))
    rejects.write(ran.snapshots[0], ran.ready.columns, ran.ready.rules, tmp_path)
    assert (tmp_path / "0.csv").read_text() == (
        f"email,rule,column,value\na@x.com,first,first,{'xxx-' * 250}…\nb@x.com,first,first,{'xx' * 500}\n"
    )


REASONS = ConsentConfig()


def suppressed(folder: Path, *emails: str) -> SuppressionConfig:
    (folder / "list.csv").write_text("\n".join(["email", *emails, ""]))
    return SuppressionConfig({"optout": SuppressionListConfig(str(folder / "list.csv"), "email")})


def test_the_first_of_consent_suppression_missing_values_and_rules_is_the_reason(engine: Engine, tmp_path: Path) -> None:
    columns = {
        "id": "_id",
        "email": "personalEmail.address",
        "first": ColumnConfig("person.name.firstName", mandatory=True),
        "city": "homeAddress.city",
    }
    everything = {"email": "a@x.com", "first_name": None, "city": None}
    rows = [
        member(_id="1", consent="n", **everything),
        member(_id="2", consent=None, **everything),
        member(_id="3", **everything),
        member(_id="4", **{**everything, "email": "b@x.com"}),
        member(_id="5", **{**everything, "email": "b@x.com", "first_name": "Jo"}),
        member(_id="6", **{**everything, "email": "b@x.com", "first_name": "Jo", "city": "Rome"}),
    ]
    ran = run_rows(
        engine,
        tmp_path,
        rows,
        columns,
        key=["id"],
        consents=REASONS,
        suppressed=suppressed(tmp_path, "a@x.com"),
        row_rules=RulesConfig({"city": rule("city", required=True)}),
    )
    assert [row[-1] for row in ran.rows()] == [
        "excluded: no_consent",
        "excluded: consent_unknown",
        "excluded: suppressed_optout",
        "excluded: missing_first",
        "rejected: city",
        EXPORTED,
    ]


def test_forty_rules_on_sixty_columns_are_judged(engine: Engine, tmp_path: Path) -> None:
    columns = {f"c{n}": ColumnConfig(expression=f"concat(person.name.firstName, '{n}')", mandatory=True) for n in range(60)}
    config = RulesConfig({f"r{n}": rule(f"c{n}", max_length=6 if n == 39 else 9) for n in range(40)})
    rows = [member(first_name="Jane"), member(first_name="Janet"), member(first_name=None)]
    ran = run_rows(engine, tmp_path, rows, columns, key=["c0", "c1"], row_rules=config)
    assert [row[-1] for row in ran.rows()] == ["excluded: missing_c0", EXPORTED, "rejected: r39"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (rule("frist", required=True), "did you mean 'first'?"),
        (rule(regex="a(?=b)"), "(?=b"),
        (rule(regex=r"(a)\1"), r"\1"),
        (rule(regex="(?i)jane"), "(?i)"),
        (rule("double", max_length=5), "give the column a format"),
    ],
)
def test_a_rule_that_cannot_be_judged_alike_is_refused(config: RowRuleConfig, words: str) -> None:
    schema = PROFILE_SCHEMA.append(pa.field("double", pa.float64()))
    columns = MappingConfig({"first": ColumnConfig("person.name.firstName"), "double": ColumnConfig("double")})
    resolved = mapping.resolve(columns, DedupConfig(), ExportConfig(), schema)
    with pytest.raises(ConfigError) as caught:
        rules.resolve(RulesConfig({"mine": config}), resolved)
    assert words in str(caught.value)
    assert "rules.rows.mine" in str(caught.value)


EMAILS = st.sampled_from([None, "", "a@x.com", "A@x.com", "b@x.com", "c@x.com"])
PROFILES = st.lists(
    st.builds(
        member,
        email=EMAILS,
        first_name=st.sampled_from([None, " ", "Jo", "Joanna"]),
        consent=st.sampled_from(["y", "n", "p", None]),
        status=st.sampled_from(["realized", "existing", "exited"]),
        qualified=st.sampled_from([JAN, FEB, None]),
        identities=st.dictionaries(st.sampled_from(["Email", "ECID"]), st.lists(st.sampled_from("123"), max_size=2), max_size=2),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=PROFILES,
    dedup=st.sampled_from([DedupConfig(), DedupConfig(normalize=True), DedupConfig("Email"), DedupConfig("Email", "profile")]),
)
def test_every_row_has_one_reason_and_the_counts_reconcile(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], dedup: DedupConfig
) -> None:
    if engine.kind != "sail":
        return
    folder = tmp_path_factory.mktemp("random")
    columns = {
        "email": "identity.id" if dedup.identity else "personalEmail.address",
        "first": ColumnConfig("person.name.firstName", mandatory=True),
    }
    ran = run_rows(
        engine,
        folder,
        rows,
        columns,
        key=["email"],
        dedup=dedup,
        consents=REASONS,
        suppressed=suppressed(folder, "c@x.com"),
        row_rules=RulesConfig({"short": rule(max_length=3)}),
    )
    members = [row for row in rows if row["segmentMembership"]["ups"]["a"]["status"] != "exited"]
    expected = sum(max(1, len(row["identityMap"].get("Email", []))) for row in members) if dedup.identity else len(members)
    found, staged = ran.counts(), ran.rows()
    assert found.members == expected == found.exported + found.deduplicated + found.rejected + sum(found.excluded.values())
    assert all(outcome.partition(":")[0] in ("exported", "deduplicated", "rejected", "excluded") for *_, outcome in staged)
    sent = [row[0] for row in staged if row[-1] == EXPORTED]
    assert len({text.strip().lower() if dedup.normalize else text for text in sent}) == len(sent)
