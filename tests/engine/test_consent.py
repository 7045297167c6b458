"""Who may be written to, by XDM's consents and by the legacy opt-outs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from row_runs import member, run_rows
from xdm_profiles import CHOICE, PROFILE_SCHEMA

from courier.config import ColumnConfig, ConsentConfig
from courier.engine import Engine
from courier.errors import ConfigError, SourceError
from courier.members import consent

EMAIL = "jane@example.com"
SENT, NO, UNKNOWN = "exported", "excluded: no_consent", "excluded: consent_unknown"
SPECIFIC = pa.map_(pa.string(), pa.map_(pa.string(), pa.struct({"marketing": pa.struct({"email": CHOICE, "sms": CHOICE})})))
CONSENTS = pa.struct(
    {"marketing": pa.struct({"preferred": pa.string(), "any": CHOICE, "email": CHOICE, "sms": CHOICE}), "idSpecific": SPECIFIC}
)
CHANNEL = "https://ns.adobe.com/xdm/channels/email"


def schema_with(*, consents: pa.DataType | None = CONSENTS, opt_in_out: pa.DataType | None = None) -> pa.Schema:
    schema = PROFILE_SCHEMA.remove(PROFILE_SCHEMA.get_field_index("consents"))
    if consents is not None:
        schema = schema.append(pa.field("consents", consents))
    return schema if opt_in_out is None else schema.append(pa.field("optInOut", opt_in_out))


def says(
    any_: str | None = None, channel: str | None = None, specific: str | None = None, *, namespace: str = "Email", address: str = EMAIL
) -> dict[str, Any]:
    of_id = [(namespace, [(address, {"marketing": {"email": {"val": specific}}})])] if specific else None
    return {"marketing": {"any": {"val": any_}, "email": {"val": channel}}, "idSpecific": of_id}


def outcomes(
    engine: Engine, tmp_path: Path, rows: list[dict[str, Any]], config: ConsentConfig, schema: pa.Schema, fan_out: str | None = None
) -> list[str]:
    """What became of the profiles, in their order; and of their identities, in the order of these."""
    numbered = [member(**row, _id=f"{number:03}") for number, row in enumerate(rows)]
    columns = {"id": "_id"} | ({"identity": "identity.id"} if fan_out else {})
    ran = run_rows(engine, tmp_path, numbered, columns, key=list(columns), consents=config, schema=schema, fan_out=fan_out)
    return [row[-1] for row in ran.rows()]


#: any, channel, idSpecific → what is said in all
TRUTH = {
    (None, None, None): UNKNOWN,
    ("y", None, None): SENT,
    ("n", None, None): NO,
    ("p", None, None): UNKNOWN,
    (None, "y", None): SENT,
    (None, "n", None): NO,
    (None, "u", None): UNKNOWN,
    ("y", "y", None): SENT,
    ("y", "n", None): NO,
    ("y", "p", None): SENT,
    ("n", "y", None): NO,
    ("n", "n", None): NO,
    ("p", "y", None): SENT,
    (None, None, "y"): SENT,
    (None, None, "n"): NO,
    (None, None, "p"): UNKNOWN,
    (None, "n", "y"): NO,
    ("n", None, "y"): NO,
    ("n", "y", "y"): NO,
    (None, "y", "n"): NO,
    ("y", None, "n"): NO,
    ("y", "y", "n"): NO,
    ("y", "y", "y"): SENT,
    (None, "p", "y"): SENT,
    (None, "dy", None): SENT,
    (None, "dn", None): NO,
    (None, "LI", None): SENT,
    (None, "CT", None): SENT,
    (None, "CP", None): SENT,
    (None, "VI", None): SENT,
    (None, "PI", None): SENT,
    ("dn", "y", None): NO,
    (None, "Y", None): UNKNOWN,
    (None, "", None): UNKNOWN,
}


@pytest.mark.parametrize("unknown", ["exclude", "include"])
def test_consent_is_said_by_any_by_the_channel_and_by_the_address(engine: Engine, tmp_path: Path, unknown: str) -> None:
    rows = [{"consents": says(*codes)} for codes in TRUTH]
    expected = [SENT if outcome == UNKNOWN and unknown == "include" else outcome for outcome in TRUTH.values()]
    found = outcomes(engine, tmp_path, rows, ConsentConfig(unknown=unknown), schema_with())
    assert dict(zip(TRUTH, found, strict=True)) == dict(zip(TRUTH, expected, strict=True))


def test_a_column_and_an_expression_may_show_what_a_member_has_said(engine: Engine, tmp_path: Path) -> None:
    """Whatever is done about those who have said nothing; and nothing is known where nobody is asked."""
    rows = [member(_id=f"{number:03}", consents=says(*codes)) for number, codes in enumerate(TRUTH)]
    spoken = ColumnConfig(expression="coalesce(upper(membership.consent), '-')")
    columns = {"id": "_id", "said": "membership.consent", "spoken": spoken}
    said = {SENT: "yes", NO: "no", UNKNOWN: None}
    ran = run_rows(engine, tmp_path / "1", rows, columns, consents=ConsentConfig(unknown="include"), schema=schema_with())
    found = sorted(ran.rows())
    assert [row[1] for row in found] == [said[outcome] for outcome in TRUTH.values()]
    assert [row[2] for row in found] == [(said[outcome] or "-").upper() for outcome in TRUTH.values()]
    ran = run_rows(engine, tmp_path / "2", rows, columns, schema=schema_with())
    assert {row[1] for row in ran.rows()} == {None}


def test_an_address_has_its_own_consent_in_either_spelling_of_the_namespace_and_no_other_has(engine: Engine, tmp_path: Path) -> None:
    rows = [
        {"consents": says("y", specific="n")},
        {"consents": says("y", specific="n", namespace="email")},
        {"consents": says("y", specific="n", namespace="ECID")},
        {"consents": says("y", specific="n", address="other@example.com")},
        {"consents": says("y", specific="n", address="JANE@example.com"), "personalEmail": {"address": " Jane@Example.com"}},
        {"consents": says("y", specific="n", address="jane@example.com\t"), "personalEmail": {"address": "\u00a0Jane@Example.com"}},
        {"consents": says("y", specific="n"), "email": None},
        {"consents": says("y", specific="n") | {"idSpecific": [("Email", None)]}},
        {"consents": says("y") | {"idSpecific": [("Email", [(EMAIL, {"marketing": {"sms": {"val": "n"}}})])]}},
    ]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema_with()) == [NO, NO, SENT, SENT, NO, NO, SENT, SENT, SENT]


def test_of_several_entries_of_an_address_any_that_says_no_counts(engine: Engine, tmp_path: Path) -> None:
    def by(**entries: list[tuple[str, str | None]]) -> dict[str, Any]:
        found = [
            (namespace, [(address, {"marketing": {"email": {"val": code}}}) for address, code in said])
            for namespace, said in entries.items()
        ]
        return {"consents": {"marketing": {"any": None, "email": None}, "idSpecific": found}}

    upper = EMAIL.upper()
    rows = [
        by(Email=[(upper, "y"), (EMAIL, "n")]),
        by(Email=[(upper, "n"), (EMAIL, "y")]),
        by(Email=[(EMAIL, "y")], email=[(EMAIL, "n")]),
        by(Email=[(EMAIL, "n")], email=[(EMAIL, "y")]),
        by(email=[("other@example.com", "n"), (f" {upper}", "dn")]),
        by(Email=[(upper, None), (EMAIL, "y")], email=[(EMAIL, "p")]),
        by(Email=[("other@example.com", "n")], email=[(EMAIL, "y")]),
        by(Email=[(EMAIL, None)], email=[(upper, "p")]),
    ]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema_with()) == [NO, NO, NO, NO, NO, SENT, SENT, UNKNOWN]


def test_where_rows_are_fanned_out_the_identity_of_the_row_is_asked_too(engine: Engine, tmp_path: Path) -> None:
    """A no of either address counts, and the yes of the one that the row is for."""

    def said(*entries: tuple[str, str]) -> dict[str, Any]:
        specific = [("Email", [(address, {"marketing": {"email": {"val": code}}}) for address, code in entries])]
        return {"marketing": {"any": None, "email": None}, "idSpecific": specific}

    both = {"Email": [EMAIL, "Z@x.com "]}
    rows = [
        {"consents": says(channel="y") | {"idSpecific": said(("z@x.com", "n"))["idSpecific"]}, "identities": both},
        {"consents": says(channel="y", specific="n"), "identities": both},
        {"consents": said((EMAIL, "y")), "identities": both},
        {"consents": said((EMAIL, "y"), ("z@x.com", "y")), "identities": both},
        {"consents": said((EMAIL, "y"))},
    ]
    found = outcomes(engine, tmp_path, rows, ConsentConfig(), schema_with(), fan_out="Email")
    assert found == [NO, SENT, NO, NO, UNKNOWN, SENT, SENT, SENT, "excluded: missing_identity"]


def test_consents_that_are_null_are_unknown(engine: Engine, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"consents": None}, {"consents": {"marketing": None}}, {"consents": {"marketing": {"any": None}}}]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema_with()) == [UNKNOWN] * 3


def test_another_channel_is_asked_for_its_own_consent(engine: Engine, tmp_path: Path) -> None:
    def row(any_: str | None, email: str | None, sms: str | None) -> dict[str, Any]:
        return {"consents": {"marketing": {"any": {"val": any_}, "email": {"val": email}, "sms": {"val": sms}}}}

    rows = [row(None, "n", "y"), row(None, "y", "n"), row("y", None, None), row("n", "y", "y"), row(None, "y", None)]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(channel="sms"), schema_with()) == [SENT, NO, SENT, NO, UNKNOWN]


def test_the_codes_are_configurable(engine: Engine, tmp_path: Path) -> None:
    config = ConsentConfig(granted=["y"], denied=["n", "LI"])
    rows = [{"consents": says(channel=code)} for code in ("y", "LI", "dy", "dn")]
    assert outcomes(engine, tmp_path, rows, config, schema_with()) == [SENT, NO, UNKNOWN, UNKNOWN]


STRUCT = pa.struct({CHANNEL: pa.string(), "globalOptout": pa.bool_()})
MAP = pa.map_(pa.string(), pa.string())
#: the channel, globalOptout → what is said in all
LEGACY = {
    (None, None): UNKNOWN,
    ("in", None): SENT,
    ("in", False): SENT,
    ("in", True): NO,
    ("out", None): NO,
    ("out", False): NO,
    ("pending", None): UNKNOWN,
    ("not_provided", False): UNKNOWN,
    (None, True): NO,
    (None, False): UNKNOWN,
}


def legacy(form: str, channel: str | None, everything: bool | None) -> Any:
    if form == "struct":
        return {CHANNEL: channel, "globalOptout": everything}
    said = {CHANNEL: channel, "globalOptout": None if everything is None else str(everything).lower()}
    return [(name, text) for name, text in said.items() if text is not None]


@pytest.mark.parametrize("form", ["struct", "map"])
@pytest.mark.parametrize("unknown", ["exclude", "include"])
def test_the_legacy_opt_outs_are_asked_where_there_are_no_consents(engine: Engine, tmp_path: Path, form: str, unknown: str) -> None:
    schema = schema_with(consents=None, opt_in_out=STRUCT if form == "struct" else MAP)
    rows = [{"optInOut": legacy(form, *said)} for said in LEGACY]
    found = outcomes(engine, tmp_path, rows, ConsentConfig(unknown=unknown), schema)
    expected = [SENT if outcome == UNKNOWN and unknown == "include" else outcome for outcome in LEGACY.values()]
    assert dict(zip(LEGACY, found, strict=True)) == dict(zip(LEGACY, expected, strict=True))


def test_the_legacy_opt_outs_count_only_where_consents_say_nothing(engine: Engine, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"consents": says(channel="y"), "optInOut": legacy("struct", "out", None)},
        {"consents": says("y"), "optInOut": legacy("struct", None, True)},
        {"consents": says(channel="n"), "optInOut": legacy("struct", "in", None)},
        {"consents": says("p"), "optInOut": legacy("struct", "in", None)},
        {"consents": None, "optInOut": legacy("struct", "out", None)},
        {"consents": None, "optInOut": None},
    ]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema_with(opt_in_out=STRUCT)) == [SENT, SENT, NO, SENT, NO, UNKNOWN]


def test_a_source_that_has_only_the_global_opt_out_is_asked_for_it(engine: Engine, tmp_path: Path) -> None:
    schema = schema_with(consents=None, opt_in_out=pa.struct({"globalOptout": pa.bool_()}))
    rows: list[dict[str, Any]] = [{"optInOut": {"globalOptout": value}} for value in (True, False, None)]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema) == [NO, UNKNOWN, UNKNOWN]


def test_a_source_that_has_only_consents_of_addresses_is_asked_for_them(engine: Engine, tmp_path: Path) -> None:
    schema = schema_with(consents=pa.struct({"idSpecific": SPECIFIC}))
    rows: list[dict[str, Any]] = [{"consents": {"idSpecific": says(specific=code)["idSpecific"]}} for code in ("y", "n", None)]
    assert outcomes(engine, tmp_path, rows, ConsentConfig(), schema) == [SENT, NO, UNKNOWN]


def test_without_consents_nobody_is_excluded_and_the_record_says_so(engine: Engine, tmp_path: Path) -> None:
    schema = schema_with(consents=None)
    assert outcomes(engine, tmp_path, [{}], ConsentConfig(unknown="exclude"), schema) == [SENT]
    assert consent.resolve(ConsentConfig(), schema).describe() == {"rule": "the source has no consents"}


def test_where_consent_is_required_a_source_without_is_refused() -> None:
    with pytest.raises(SourceError, match="The source has no consents") as caught:
        consent.resolve(ConsentConfig("required"), schema_with(consents=None))
    assert "consents.marketing.email.val" in str(caught.value)
    assert consent.resolve(ConsentConfig("required"), schema_with()).describe() == {"rule": "email", "unknown": "exclude"}


MARKETING = pa.struct({"preferred": pa.string(), "any": CHOICE, "email": CHOICE, "sms": CHOICE})
CHANNEL_ONLY = pa.struct({"marketing": pa.struct({"preferred": pa.string(), "email": CHOICE, "sms": CHOICE})})


def refused(channel: str, schema: pa.Schema, **keys: Any) -> str:
    with pytest.raises(SourceError) as caught:
        consent.resolve(ConsentConfig(channel=channel, **keys), schema)
    assert "consent=off sends without asking" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rule", ["auto", "required"])
@pytest.mark.parametrize("consents", [CONSENTS, CHANNEL_ONLY])
def test_a_channel_that_is_none_is_refused_and_not_taken_for_a_source_without_consents(rule: str, consents: pa.DataType) -> None:
    """With `any` in the source a typo would have the others' answers ignored; without it, all of them."""
    found = refused("emial", schema_with(consents=consents), rule=rule)
    assert found == (
        "consents.marketing has no 'emial'. Where: consent.channel. What to do: did you mean 'email'? consent=off sends without asking."
    )


@pytest.mark.parametrize("channel", ["emial", "Email", "preferred"])
@pytest.mark.parametrize(
    "schema",
    [
        schema_with(opt_in_out=STRUCT),
        schema_with(opt_in_out=MAP),
        schema_with(consents=None, opt_in_out=STRUCT),
        schema_with(consents=None, opt_in_out=MAP),
        schema_with(consents=pa.struct({"marketing": pa.map_(pa.string(), CHOICE)})),
        schema_with(consents=pa.struct({"marketing": MARKETING, "idSpecific": SPECIFIC})),
    ],
)
def test_a_channel_that_is_none_is_refused_whatever_else_could_be_asked(channel: str, schema: pa.Schema) -> None:
    assert "consent.channel" in refused(channel, schema)


@pytest.mark.parametrize(
    ("consents", "words"),
    [
        (pa.struct({"marketing": pa.struct({"sms": CHOICE})}), "consents.marketing has no 'email'. "),
        (pa.struct({"marketing": pa.struct({"preferred": pa.string()})}), "consents.marketing has no 'email'. "),
        (pa.struct({"collect": CHOICE, "share": CHOICE}), "The source's consents have no 'email'. "),
        (pa.string(), "The source's consents have no 'email'. "),
        (pa.struct({"marketing": pa.struct({"email": pa.string()})}), "'consents.marketing.email' has not the shape of XDM. "),
        (pa.struct({"marketing": pa.struct({"any": pa.bool_(), "email": CHOICE})}), "'consents.marketing.any' has not the shape of XDM. "),
        (pa.struct({"marketing": pa.struct({"any": CHOICE, "email": pa.struct({"val": pa.bool_()})})}), "has not the shape of XDM. "),
    ],
)
def test_a_source_with_consents_of_which_none_would_be_asked_is_refused(consents: pa.DataType, words: str) -> None:
    found = refused("email", schema_with(consents=consents))
    assert words in found
    assert "did you mean 'email'" not in found


MARKED = pa.struct({"marketing": pa.struct({"email": pa.struct({"val": pa.int8()})})})


@pytest.mark.parametrize(
    ("schema", "path", "found"),
    [
        (schema_with(opt_in_out=pa.struct({CHANNEL: pa.string(), "globalOptout": pa.int8()})), "optInOut.globalOptout", "int8"),
        (schema_with(opt_in_out=pa.struct({CHANNEL: pa.bool_(), "globalOptout": pa.bool_()})), f"optInOut['{CHANNEL}']", "bool"),
        (schema_with(consents=pa.struct({"marketing": pa.map_(pa.string(), pa.struct({"val": pa.bool_()}))})), "any.val", "bool"),
        (
            schema_with(consents=pa.struct({"idSpecific": pa.map_(pa.string(), pa.map_(pa.string(), MARKED))}), opt_in_out=MAP),
            "marketing.email.val",
            "int8",
        ),
    ],
)
def test_answers_that_are_no_texts_are_refused(schema: pa.Schema, path: str, found: str) -> None:
    """A global opt-out of 1, as databases have it, was none: whoever had once opted in was sent mail."""
    message = refused("email", schema)
    assert f"{path}' has not the shape of XDM" in message
    assert f"Found: {found}." in message


def test_opt_outs_of_other_channels_alone_are_no_answer() -> None:
    others = pa.struct({"https://ns.adobe.com/xdm/channels/sms": pa.string()})
    assert "The source's consents have no 'email'" in refused("email", schema_with(consents=None, opt_in_out=others))


@pytest.mark.parametrize(
    ("channel", "schema", "asked"),
    [
        ("push", schema_with(), {"any"}),  # `any` stands in for a channel that says nothing
        ("email", schema_with(consents=pa.struct({"marketing": pa.struct({"any": CHOICE})})), {"any"}),
        ("newsletter", schema_with(consents=pa.struct({"marketing": pa.struct({"newsletter": CHOICE})})), {"channel"}),  # of one's own
        ("email", schema_with(consents=pa.struct({"collect": CHOICE}), opt_in_out=STRUCT), {"global", "legacy"}),
        ("direct-mail", schema_with(consents=None, opt_in_out=MAP), {"global", "legacy"}),
    ],
)
def test_a_channel_that_the_source_lacks_is_judged_by_what_stands_in_for_it(channel: str, schema: pa.Schema, asked: set[str]) -> None:
    assert {*consent.resolve(ConsentConfig(channel=channel), schema).paths} == asked


@pytest.mark.parametrize("first", [None, CHANNEL_ONLY])
def test_files_of_which_only_some_have_consents_are_refused(first: pa.DataType | None) -> None:
    """Engines read the fields of the first file, and would ask nobody for what only later ones have."""
    with pytest.raises(SourceError, match=r"^Files of the source disagree about consents: not all have 'consents\.marketing\.any\.val'"):
        consent.resolve(ConsentConfig(), schema_with(consents=first), {"new.parquet": schema_with()})
    assert consent.resolve(ConsentConfig("off"), schema_with(consents=first), {"new.parquet": schema_with()}).paths == {}


def test_a_source_without_consents_is_a_warning_unless_it_is_meant() -> None:
    (warning,) = consent.warnings(consent.resolve(ConsentConfig(), schema_with(consents=None)))
    assert warning == "The source has no consents, so nobody was excluded for want of one; consent=off says that this is meant"
    assert consent.warnings(consent.resolve(ConsentConfig("off"), schema_with(consents=None))) == []
    assert consent.warnings(consent.resolve(ConsentConfig(), schema_with())) == []


def test_where_the_rule_is_off_nobody_is_asked(engine: Engine, tmp_path: Path) -> None:
    assert outcomes(engine, tmp_path, [{"consents": says("n", "n", "n")}], ConsentConfig("off"), schema_with()) == [SENT]
    assert consent.resolve(ConsentConfig("off"), schema_with()).describe() == {"rule": "off"}


def test_a_code_cannot_be_granted_and_denied() -> None:
    with pytest.raises(ConfigError):
        ConsentConfig(granted=["y"], denied=["y"])


def test_reasons_are_counted(engine: Engine, tmp_path: Path) -> None:
    rows = [member(email=str(number), consent=code) for number, code in enumerate(["y", "n", "n", None, "p", "u"])]
    found = run_rows(engine, tmp_path, rows, {"email": "personalEmail.address"}, key=["email"], consents=ConsentConfig()).counts()
    assert (found.members, found.exported, found.excluded) == (6, 1, {"consent_unknown": 3, "no_consent": 2})
