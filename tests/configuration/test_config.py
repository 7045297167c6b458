"""From conf/ and the command line to a checked configuration, and what is said of a wrong one."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from courier import compose
from courier.compose.groups import CHOSEN
from courier.config import (
    DESTINATIONS,
    POLICIES,
    AudienceConfig,
    DestinationConfig,
    EspConfig,
    ExportConfig,
    FileConfig,
    JumpConfig,
    RunConfig,
    S3Config,
    SftpConfig,
    SourceConfig,
    StateConfig,
    in_the_clear,
    parse_as_of,
    parse_run_id,
)
from courier.errors import ConfigError
from courier.names import PLACEHOLDERS
from courier.secrets import secret

NOW = datetime(2026, 11, 1, 9, 30, 15, 123456, tzinfo=UTC)
CONF = compose.conf_folder()
DESTINATION_KEYS: dict[str, list[str]] = {
    "local": ["destination.path=out"],
    "s3": ["destination.bucket=exports"],
    "sftp_password": ["destination.host=sftp.example.com", "destination.username=acme"],
    "sftp_key": ["destination.host=sftp.example.com", "destination.username=acme", "destination.key_file=id_ed25519"],
}
EMAIL_MARKETING = {
    "email": "personalEmail.address",
    "phone": "mobilePhone.number",
    "first_name": "person.name.firstName",
    "last_name": "person.name.lastName",
    "city": "homeAddress.city",
    "state": "homeAddress.stateProvince",
    "postal_code": "homeAddress.postalCode",
    "birthday": "person.birthDayAndMonth",
}


def load(*overrides: str, config_dir: Path | None = None) -> RunConfig:
    """The activation is the demo's where none is named."""
    named = [] if any(override.startswith("activation") for override in overrides) else ["activation=demo"]
    return compose.load([*named, *overrides], now=NOW, config_dir=None if config_dir is None else str(config_dir))


def refused(*overrides: str, config_dir: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*overrides, config_dir=config_dir)
    return str(caught.value)


def refused_file(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        FileConfig(**keys)
    return str(caught.value)


def sources(config: RunConfig) -> dict[str, str]:
    return {name: column.source for name, column in config.mapping.columns.items()}


def test_the_defaults_are_the_contract() -> None:
    config = load()
    assert (config.activation, config.engine.kind, config.audience.namespace, config.destination.kind) == ("demo", "sail", "ups", "local")
    assert (config.file.delimiter, config.file.null_text, config.file.empty_text, config.file.max_rows) == (",", "", '""', 5_000_000)
    assert (config.run_id, config.as_of) == ("20261101T093015.123456Z", datetime(2026, 11, 1, 9, 30, 15, tzinfo=UTC))


def test_email_marketing_has_the_contracts_columns_in_order() -> None:
    mapping = load("mapping=email_marketing").mapping
    assert list({name: column.source for name, column in mapping.columns.items()}.items()) == list(EMAIL_MARKETING.items())
    assert [name for name, column in mapping.columns.items() if column.mandatory] == ["email"]
    assert mapping.deduplication_key == ["email"]


def test_the_loyalty_mapping_adds_the_loyalty_id_at_the_end() -> None:
    assert list(sources(load("mapping=email_marketing_loyalty")).items()) == [
        *EMAIL_MARKETING.items(),
        ("loyalty_id", "loyalty.loyaltyID[0]"),
    ]


def test_the_path_of_the_loyalty_id_can_be_set() -> None:
    config = load("mapping=email_marketing_loyalty", "mapping.columns.loyalty_id.source=_acme.memberNumber")
    assert list(sources(config).items()) == [*EMAIL_MARKETING.items(), ("loyalty_id", "_acme.memberNumber")]


def test_adobe_default_names_columns_by_their_sources() -> None:
    config = load("mapping=adobe_default")
    assert set(sources(config).values()) == set(EMAIL_MARKETING.values())
    assert {name: source.replace(".", "_") for name, source in sources(config).items()} == {name: name for name in sources(config)}


def test_a_column_can_be_added_and_left_out_on_the_command_line() -> None:
    config = load("+mapping.columns.gender.source=person.gender", "~mapping.columns.phone")
    assert list(config.mapping.columns) == ["email", "first_name", "last_name", "city", "state", "postal_code", "birthday", "gender"]


@pytest.mark.parametrize(
    ("group", "option"),
    sorted((file.parent.name, file.stem) for file in CONF.glob("*/*.yaml") if file.parent.name not in ("destination", "engine")),
)
def test_every_shipped_file_composes(group: str, option: str) -> None:
    load(f"{group}={option}", *(["state.path=s3://bucket/state"] if option == "s3" else []))


@pytest.mark.parametrize("kind", ["sail", "spark"])
def test_every_shipped_engine_composes(kind: str) -> None:
    assert load(f"engine={kind}").engine.kind == kind


def test_the_connect_engine_wants_an_address() -> None:
    assert "engine.remote is not set" in refused("engine=connect")
    for address in ("sc://host:15002", "sc://host", "sc://[::1]:15002/", "sc://host:443/;use_ssl=true;user_id=me"):
        assert load("engine=connect", f"engine.remote='{address}'").engine.remote == address


@pytest.mark.parametrize(
    "address", ["sc://host:15002/;token=Hunter2", "sc://host/token=Hunter2", "sc://host;token:Hunter2", "sc://u:Hunter2@host"]
)
def test_a_token_in_the_engines_address_is_refused_and_not_shown(address: str) -> None:
    message = refused("engine=connect", f"engine.remote='{address}'")
    assert "engine.token_env" in message
    assert "Hunter2" not in message


@pytest.mark.parametrize("key", ["[]", "[email]"])
@pytest.mark.parametrize("fan_out", ["null", "Email"])
def test_deduplication_by_identity_takes_what_says_the_same(key: str, fan_out: str) -> None:
    told = [f"mapping.deduplication_key={key}", f"mapping.fan_out={fan_out}", "mapping.columns.email.source=identity.id"]
    assert load("dedup=adobe", *told).dedup.identity == "Email"


def test_every_destination_is_shipped_and_composes() -> None:
    assert {file.stem for file in (CONF / "destination").glob("*.yaml")} == set(DESTINATIONS) == set(DESTINATION_KEYS)
    for kind, keys in DESTINATION_KEYS.items():
        assert isinstance(load(f"destination={kind}", *keys).destination, DESTINATIONS[kind])


@pytest.mark.parametrize("file", sorted(CONF.glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_shipped_file_lists_every_key_so_that_each_can_be_overridden(file: Path) -> None:
    group = file.parent.name
    if group == "activation":
        assert file.read_text(encoding="utf-8").startswith("# @package _global_\n")
        return
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if group == "esp" and file.stem != "none":  # beside its own group it chooses others
        assert set(content["esp"]) == {field.name for field in fields(EspConfig)}
        assert set(content["esp"]["policies"]) == set(POLICIES)
        return
    kind = DESTINATIONS[file.stem] if group == "destination" else compose.GROUPS[group]
    inherited = {"deduplication_key", "fan_out"} if "defaults" in content and group == "mapping" else set()
    assert (set(content) - {"defaults"}) | inherited == {field.name for field in fields(kind)}


def test_the_comments_of_file_options_name_every_placeholder() -> None:
    for file in (CONF / "file").glob("*.yaml"):
        comment = file.read_text(encoding="utf-8").partition("\nname:")[0]
        assert [name for name in PLACEHOLDERS if f"{{{name}}}" not in comment] == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["mapping=emial_marketing"],
            "There is no configuration 'mapping/emial_marketing'. Where: group mapping. What to do: did you mean 'email_marketing'?",
        ),
        (["destination=s4"], "There is no configuration 'destination/s4'. Where: group destination. What to do: did you mean 's3'?"),
        (
            ["destination=sftp"],
            "There is no configuration 'destination/sftp'. Where: group destination. What to do: there are: sftp_key, sftp_password.",
        ),
        (
            ["activation=demo", "spring_sale"],
            "The command line cannot be read. Found: spring_sale. Expected: group=option or group.key=value. What to do: did you mean activation=spring_sale?",
        ),
        (
            ["mapping.columns.city.sorce=x"],
            "The command line sets an unknown key. Found: mapping.columns.city.sorce. What to do: did you mean 'source'?",
        ),
        (
            ["esp.policies.emial=fix"],
            "The command line sets an unknown key. Found: esp.policies.emial. What to do: did you mean 'email'?",
        ),
        (
            ["esp.policies.length=fix"],
            "The command line sets an unknown key. Found: esp.policies.length. What to do: policies are a platform's: choose one, such as esp=adobe_campaign.",
        ),
        (
            ["+mapping.columns.fax=faxPhone.number"],
            "mapping.columns.fax has a value of the wrong kind. Found: faxPhone.number. Expected: keys with their values. What to do: write fax: {source: faxPhone.number}.",
        ),
        (
            ["audience.segments=abc"],
            "audience.segments has a value of the wrong kind. Found: abc. Expected: a list. What to do: put it in brackets: segments: [abc], on the command line 'audience.segments=[abc]'.",
        ),
        (
            ["file.encrypt_to=key.asc"],
            "file.encrypt_to has a value of the wrong kind. Expected: a list. What to do: put it in brackets: encrypt_to: […], on the command line 'file.encrypt_to=[…]'.",
        ),
        (
            ["+suppression.lists.optout={path: a, column: b, form: sha1}"],
            "suppression.lists.optout.form has a value that it cannot have. Found: sha1. Expected: plain | sha256 | md5. What to do: did you mean 'sha256'?",
        ),
        (
            ["+rules.rows.short={column: city, regex: '('}"],
            "A row rule has no valid regular expression. Where: rules.rows.short.regex. Found: '(': missing ), unterminated subpattern.",
        ),
        (
            ["+rules.rows.idle={column: city}"],
            "A row rule tests nothing. Where: rules.rows.idle. Found: city. Expected: required, regex, min_length, max_length, allowed, max_integer_digits or max_decimals.",
        ),
        (
            ["+rules.rows.never={column: city, min_length: 5, max_length: 2}"],
            "A row rule cannot be met. Where: rules.rows.never. Found: min_length 5 and max_length 2.",
        ),
        (
            ["+mapping.columns.mails={identity: Email, join: ','}"],
            "The column 'mails' joins what is one identity. Where: mapping.columns.mails. Found: take: first. What to do: take: all, or leave out join.",
        ),
        (
            ["+mapping.columns.mails={identity: Email, take: primary, join: ';'}"],
            "The column 'mails' joins what is one identity. Where: mapping.columns.mails. Found: take: primary. What to do: take: all, or leave out join.",
        ),
        (
            ["dedup=adobe", "mapping.fan_out=ECID", "mapping.columns.email.source=identity.id"],
            "Rows are fanned out over one namespace. Found: mapping.fan_out ECID and dedup.identity Email. What to do: leave out mapping.fan_out.",
        ),
        (
            ["dedup=adobe", "+mapping.columns.id.source=identity.id"],
            "Rows are deduplicated either by identity or by a key. Found: dedup.identity Email and mapping.deduplication_key [email]. Expected: [] or [id]. What to do: mapping.deduplication_key=[].",
        ),
        (["activation=dema"], "There is no configuration 'activation/dema'. Where: group activation. What to do: did you mean 'demo'?"),
        (["file.delimeter=x"], "The command line sets an unknown key. Found: file.delimeter. What to do: did you mean 'delimiter'?"),
        (["fil.delimiter=x"], "The command line sets an unknown key. Found: fil.delimiter. What to do: did you mean 'file'?"),
        (
            ["destination.host=x"],
            "The command line sets an unknown key. Found: destination.host. What to do: this key is of destination=sftp_password or sftp_key; choose that first.",
        ),
        (
            ["mapping.columns.fax.source=x"],
            "The command line sets an unknown key. Found: mapping.columns.fax.source. What to do: to add what is not there yet, put a plus before it: +mapping.columns.fax.source=….",
        ),
        (
            ["+mapping.columns.email.mandatry=true"],
            "mapping has an unknown key. Found: mapping.columns.email.mandatry. What to do: did you mean 'mandatory'?",
        ),
        (["destination.kind=ftp"], "destination.kind is unknown. Found: ftp. What to do: did you mean 'sftp_key'?"),
        (
            ["mapping.deduplication_key=[e_mail]"],
            "mapping.deduplication_key names no column. Found: e_mail. What to do: did you mean 'email'?",
        ),
        (
            ["file.max_rows=many"],
            "file.max_rows has a value of the wrong kind. Found: Value 'many' of type 'str' could not be converted to Integer.",
        ),
        (["file.max_rows=0"], "file.max_rows is too small. Found: 0. Expected: at least 1."),
        (
            ["destination=s3"],
            "destination.bucket is not set. What to do: set it in the activation or on the command line: destination.bucket=….",
        ),
        (["as_of=tomorrow"], "as_of is no ISO 8601 time. Found: tomorrow. Expected: for example 2026-11-01T00:00:00Z."),
        (
            ["audience.segments=[]"],
            "audience.segments is empty. Expected: one segment id or more. What to do: audience.segments=[SEGMENT_ID].",
        ),
        (["audience.segments=[a,b,a]"], "audience.segments names a segment twice. Found: ups/a."),
        (
            ["audience.segments=[{name: spring}]"],
            "A segment of audience.segments has no id. Found: the segment named 'spring'. Expected: {id: SEGMENT_ID, name: NAME}.",
        ),
        (
            ["file.name=[a]"],
            "file.name has a value of the wrong kind. Found: ['a']. Expected: one value. What to do: leave out the brackets, or the - before it: name: a.",
        ),
        (
            ["destination=s3", "destination.bucket='s3://exports/out'"],
            "destination.bucket is the name of a bucket, not an address. Found: s3://exports/out. What to do: leave out s3://, and write the folder into destination.path.",
        ),
        (
            ["destination=s3", "destination.bucket=exports", "destination.endpoint_url='store.example.com:9000'"],
            "destination.endpoint_url is no address. Found: store.example.com:9000. Expected: https://HOST or https://HOST:PORT.",
        ),
        (
            ["activation", "=", "demo"],
            "The command line has a blank before =. Found: =. Expected: group=option or group.key=value. What to do: leave out the blanks on both sides of =.",
        ),
        (["audience.segments=[{id: a, nmae: b}]"], "audience.segments has an unknown key. Found: nmae. Expected: id, name, namespace."),
    ],
)
def test_a_wrong_configuration_is_answered_with_what_where_and_what_to_do(overrides: list[str], message: str) -> None:
    assert refused(*overrides) == message


@pytest.mark.parametrize("name", ["", " ", "a\tb", "status\n"])
def test_a_name_that_a_header_cannot_have_is_refused_for_the_status_column_too(name: str) -> None:
    with pytest.raises(ConfigError, match=r"The column export\.status_column has an empty or unprintable name") as refusal:
        ExportConfig(status_column=name)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize(
    ("override", "quoted"),
    [
        ("file.delimiter=;", "\"file.delimiter=';'\""),
        ("file.name=x_{run_id}", "\"file.name='x_{run_id}'\""),
        ("source.path=/data/day=1", "\"source.path='/data/day=1'\""),
        ("destination.path=~/out", "\"destination.path='~/out'\""),
        ("+mapping.columns.x.source=a.b[0].c", "\"+mapping.columns.x.source='a.b[0].c'\""),
        ("audience.segments=[a", "\"file.delimiter=';'\""),  # quotes would make a text of it
        ("destination.password_env=a{b", "\"destination.password_env='…'\""),
        ("file", "\"file.delimiter=';'\""),  # a group is no name
    ],
)
def test_a_command_line_that_the_shell_left_without_quotes_is_answered_with_how_to_quote(override: str, quoted: str) -> None:
    message = refused(override)
    shown = "destination.password_env=…" if "password" in override else override
    assert f"The command line cannot be read. Found: {shown}." in message
    assert message.endswith(f"takes quotes inside the shell's: {quoted}.")
    if "=" in override and override.partition("=")[0] in quoted and "…" not in quoted:
        load(quoted.strip('"'))


@pytest.mark.parametrize("override", ["mapping=null", "file=null"])
def test_a_group_cannot_be_nothing(override: str) -> None:
    assert "cannot be composed" in refused(override)


@pytest.mark.parametrize("group", sorted(CHOSEN - {"activation"}))
def test_a_group_without_a_key_below_it_takes_nothing_away(tmp_path: Path, group: str) -> None:
    """As where all its keys are commented out: with an empty `suppression:` those of the chosen lists would get mail."""
    _write(tmp_path, "activation", "mine", f"# @package _global_\n{group}:\n  # path: x\n")
    message = refused("activation=mine", config_dir=tmp_path)
    assert message.startswith(f"{group} is set to nothing, which would take away all that was chosen for it. Where: {tmp_path}")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("file: txt", "- override /file: txt; or on the command line: file=txt"),
        ("export: incremental", "- override /export: incremental; or on the command line: export=incremental"),
        ("consent: off", "- override /consent: 'off'; or on the command line: consent=off"),
        ("destination: s3", "- override /destination: s3; or on the command line: destination=s3"),
        ("state: s3", "- override /state: s3; or on the command line: state=s3"),
    ],
)
def test_a_group_that_is_set_to_the_name_of_a_file_is_answered_with_how_to_choose_it(tmp_path: Path, text: str, choice: str) -> None:
    _write(tmp_path, "activation", "mine", f"# @package _global_\n{text}\naudience: {{segments: [a]}}\n")
    message = refused("activation=mine", config_dir=tmp_path)
    assert f"mine.yaml. Found: {text}. What to do: a file of a group is chosen below `defaults`: {choice}" in message


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        ("sftp_key", "{password: Hunter2}", "password"),
        ("sftp_password", "{jump: {host: h, username: u, password: Hunter2}}", "jump.password"),
    ],
)
def test_a_secret_in_an_activation_is_answered_with_where_it_belongs(tmp_path: Path, kind: str, text: str, key: str) -> None:
    _write(
        tmp_path,
        "activation",
        "mine",
        f"# @package _global_\ndefaults: [override /destination: {kind}]\naudience: {{segments: [a]}}\ndestination: {text}\n",
    )
    message = refused("activation=mine", config_dir=tmp_path)
    assert f"Found: destination.{key}." in message
    assert "a secret is never in the configuration: password_env names the variable, or password_file the file, that holds it." in message
    assert "Hunter2" not in message


def test_an_empty_file_is_no_choice(tmp_path: Path) -> None:
    _write(tmp_path, "suppression", "ours", "# lists: {}\n")
    message = refused("suppression=ours", config_dir=tmp_path)
    assert message.startswith("A file that is chosen has nothing in it: suppression=ours.")
    assert str(tmp_path / "suppression" / "ours.yaml") in message


def test_a_state_store_that_is_set_to_nothing_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\nstate:\n")
    with pytest.raises(ConfigError, match="state is set to nothing"):
        compose.load_state(["activation=mine"], config_dir=str(tmp_path))


def test_a_value_may_refer_to_another_key_and_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_TEST_FOLDER", "a${b")
    monkeypatch.setenv("COURIER_TEST_NUMBER", "7")
    config = load(
        "destination.path='${destination.kind}/${oc.env:COURIER_TEST_FOLDER}'",
        "state.path='${destination.kind}/state'",
        r"file.null_text='\${x}'",
        "destination.connections='${oc.env:COURIER_TEST_NUMBER}'",
    )
    assert (config.destination.path, config.destination.connections, config.file.null_text) == ("local/a${b", 7, "${x}")
    assert config.state.path == "local/state"


@pytest.mark.parametrize(
    ("key", "reference", "found"),
    [
        ("source.path", "${nowhere.x}", "Found: Interpolation key 'nowhere.x' not found. "),
        ("source.path", "${oc.env:COURIER_TEST_UNSET}", "Found: Environment variable 'COURIER_TEST_UNSET' not found. "),
        ("source.path", "${no:1}", "Found: Unsupported interpolation type no. "),
        ("source.path", "${oc.decode:${oc.env:COURIER_TEST_SECRET}}", ""),
        ("consent.rule", "${nowhere}", "Found: Interpolation key 'nowhere' not found. "),
        ("run_id", "${nowhere}", "Found: Interpolation key 'nowhere' not found. "),
        ("as_of", "${nowhere}", "Found: Interpolation key 'nowhere' not found. "),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_with_its_key(
    key: str, reference: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURIER_TEST_SECRET", "[Hunter2")
    assert refused(f"{key}='{reference}'").startswith(
        f"{key} refers to what is not there. {found}What to do: name a key by all its parts, "
    )


def test_a_state_that_refers_to_nothing_is_refused_where_it_alone_is_read() -> None:
    with pytest.raises(ConfigError, match=r"^state.path refers to what is not there\."):
        compose.load_state(["activation=demo", "state.path='${nowhere}'", "source.path='${nor.here}'"])


def test_a_group_cannot_be_a_reference(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\nsource: ${nowhere}\n")
    assert refused("activation=mine", config_dir=tmp_path).startswith("source is set to a value, and has keys. ")


@pytest.mark.parametrize("key", ["suppression.lists", "guard.max_change_percent", "destination.path", "run_id"])
def test_a_value_that_is_left_to_be_set_must_be_set(key: str) -> None:
    assert refused(f"{key}='???'") == f"{key} is not set. What to do: set it in the activation or on the command line: {key}=…."


def test_a_value_that_a_file_leaves_to_be_set_must_be_set(tmp_path: Path) -> None:
    _write(tmp_path, "guard", "mine", "min_rows: ???\n")
    assert refused("guard=mine", config_dir=tmp_path).startswith("guard.min_rows is not set. ")
    assert load("guard=mine", "guard.min_rows=1", config_dir=tmp_path).guard.min_rows == 1


def test_a_value_that_an_activation_leaves_to_be_set_is_not_the_default(tmp_path: Path) -> None:
    """Hydra lets it override nothing: the file would go to the default's folder."""
    text = "# @package _global_\nrun_id: ???\naudience: {segments: [a]}\ndestination:\n  path: ???\n"
    _write(tmp_path, "activation", "mine", text)
    file = tmp_path / "activation" / "mine.yaml"
    path, run_id = "destination.path=out", "run_id=r"
    fix = "What to do: set it there or on the command line: "
    assert refused("activation=mine", path, config_dir=tmp_path) == f"run_id is not set. Where: {file}. {fix}run_id=…."
    for others in ([], ["destination.connections=3"]):
        message = refused("activation=mine", run_id, *others, config_dir=tmp_path)
        assert message == f"destination.path is not set. Where: {file}. {fix}destination.path=…."
    assert load("activation=mine", run_id, path, config_dir=tmp_path).run_id == "r"


@pytest.mark.parametrize(
    "key", ["guard.max_change_percent", "rules.max_rejected_percent", "destination.retry_seconds", "state.lease_seconds"]
)
def test_what_is_no_number_is_no_limit(key: str) -> None:
    assert refused(f"{key}=nan").startswith(f"{key} is too small. Found: nan.")


@pytest.mark.parametrize("key", ["state.lease_seconds", "destination.retry_seconds", "destination.operation_timeout_seconds"])
@pytest.mark.parametrize("value", ["1e30", "1e400"])
def test_a_time_that_no_system_can_wait_is_refused(key: str, value: str) -> None:
    login = ["destination.host=h", "destination.username=u", "destination.key_file=k"]
    assert refused("destination=sftp_key", *login, f"{key}={value}").startswith(f"{key} is too large. ")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_utc_has_no_year_for_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="as_of is no ISO 8601 time"):
        parse_as_of(text, NOW)


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("consent.granted=[y,null]", "Found: nothing. Expected: a value. What to do: write it after the -, or leave the - out."),
        ("export.reset=null", "What to do: leave it out: it has a default."),
        ("mapping.columns='${oc.env:HOME}'", "Found: Cannot assign str to Dict[str, ColumnConfig]."),
    ],
)
def test_a_value_of_the_wrong_kind_is_answered_with_what_belongs_there(override: str, fix: str) -> None:
    assert refused(override).endswith(fix)


def test_null_where_a_text_belongs_is_answered_with_how_to_quote_it() -> None:
    assert "use quotes: \"file.null_text='null'\"; for the empty text \"file.null_text=''\"." in refused("file.null_text=NULL")
    assert load("file.null_text='NULL'").file.null_text == "NULL"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("file: {name: {segment_name}}", "a text with braces takes quotes: name: '{segment_name}'."),
        ("mapping: {columns: {city: }}", "write what belongs there, or '~mapping.columns.city' on the command line leaves it out."),
        ("rules: {rows: }", "write what belongs there, or leave `rows:` out."),
        (
            "mapping: {columns: {email: {expression: lower(personalEmail.address)}}}",
            'taken away by the empty text: email: {source: "", expression: …}.',
        ),
    ],
)
def test_what_yaml_makes_of_a_value_is_answered_with_how_it_is_written(tmp_path: Path, text: str, fix: str) -> None:
    _write(tmp_path, "activation", "mine", f"# @package _global_\naudience: {{segments: [a]}}\n{text}\n")
    assert refused("activation=mine", config_dir=tmp_path).endswith(fix)


def test_the_origin_of_a_column_of_the_chosen_mapping_may_be_another(tmp_path: Path) -> None:
    columns = '{columns: {email: {source: "", expression: lower(personalEmail.address)}}}'
    _write(tmp_path, "activation", "mine", f"# @package _global_\naudience: {{segments: [a]}}\nmapping: {columns}\n")
    email = load("activation=mine", config_dir=tmp_path).mapping.columns["email"]
    assert (email.source, email.expression, email.mandatory) == ("", "lower(personalEmail.address)", True)


@pytest.mark.parametrize("value", ["12e4", "true", "null", "1.50"])
def test_a_segment_id_that_yaml_would_change_is_refused(value: str) -> None:
    assert "put the id or the name in quotes" in refused(f"audience.segments=[{value}]")
    assert load(f"audience.segments=['{value}']").audience.segments[0].id == value


def test_a_mapping_file_that_repeats_a_column_is_refused_with_its_line(tmp_path: Path) -> None:
    _write(tmp_path, "mapping", "twice", "columns:\n  email: {source: a}\n  email: {source: b}\n")
    message = refused("mapping=twice", config_dir=tmp_path)
    assert message.startswith("A configuration file is no valid YAML.")
    assert "duplicate key email" in message
    assert "twice.yaml" in message
    assert "line 3" in message


def test_columns_whose_names_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "mapping", "cases", "columns:\n  email: {source: a}\n  Email: {source: b}\ndeduplication_key: []\n")
    message = refused("mapping=cases", config_dir=tmp_path)
    assert message.startswith("Two columns have one name")
    assert message.endswith("Where: mapping.columns. Found: 'email' and 'Email'.")


def test_the_name_of_a_column_may_have_dots(tmp_path: Path) -> None:
    text = "columns:\n  home.city: {source: homeAddress.city}\n  home: {source: homeAddress.country}\ndeduplication_key: [home.city]\n"
    _write(tmp_path, "mapping", "dotted", text)
    mapping = load("mapping=dotted", config_dir=tmp_path).mapping
    assert {name: column.source for name, column in mapping.columns.items()} == {
        "home.city": "homeAddress.city",
        "home": "homeAddress.country",
    }
    assert mapping.deduplication_key == ["home.city"]


@pytest.mark.parametrize("text", ["columns: {email: {source: a}\n", "columns: [\n", "\tcolumns: {}\n"])
def test_a_file_that_is_no_yaml_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    _write(tmp_path, "mapping", "broken", text)
    assert "broken.yaml" in refused("mapping=broken", config_dir=tmp_path)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("\tfile: {}\n", "indent with blanks"),
        ("file: {name: {segment_name}_{date}}\n", "close each bracket and brace"),
        ("file:\n  name: {segment_name}_{date}\n", "takes quotes as a whole"),
        ("file:\n  name: %SEGMENT_NAME%\n", "takes quotes"),
        ("file:\n  name: a\n extension: b\n", "begin in the same column"),
        ("file\n  name: a\n", "each key ends with a colon"),
        ("run_id: a\nrun_id: b\n", "write the key once"),
        ("destination:\n  password: *Hunter2\n", "'*…'"),
        ("destination:\n  password: !Hunter2\n", "'!…'"),
    ],
)
def test_a_file_that_is_no_yaml_is_answered_with_what_helps(tmp_path: Path, text: str, advice: str) -> None:
    _write(tmp_path, "activation", "mine", f"# @package _global_\n{text}")
    message = refused("activation=mine", config_dir=tmp_path)
    assert message.startswith("A configuration file is no valid YAML.")
    assert "Hunter2" not in message
    assert "mine.yaml" in message
    assert advice in message.partition("What to do: ")[2]


def test_an_unknown_key_in_a_file_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "file", "mine", "extension: csv\nseparator: x\n")
    assert "file has an unknown key. Found: file.separator." in refused("file=mine", config_dir=tmp_path)


def test_an_unknown_top_level_key_of_an_activation_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\nfiles: {extension: txt}\n")
    message = refused("activation=mine", config_dir=tmp_path)
    where = tmp_path / "activation" / "mine.yaml"
    assert message == f"The configuration has an unknown key. Where: {where}. Found: files. What to do: did you mean 'file'?"


def test_without_an_activation_nothing_is_run_and_those_that_there_are_are_named(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\n")
    with pytest.raises(ConfigError) as caught:
        compose.load([], now=NOW, config_dir=str(tmp_path))
    assert str(caught.value).startswith("No activation is named. Expected: activation=NAME. What to do: choose one: ")
    assert {"demo", "mine", "oracle_eloqua_sftp_key"} <= set(re.findall(r"\w+", str(caught.value)))


def test_the_state_is_found_without_an_activation() -> None:
    state, activation = compose.load_state(["state.path=elsewhere"])
    assert (state.path, activation) == ("elsewhere", None)


@pytest.mark.parametrize("name", ["activation/demo.yaml", "mapping/email_marketing.yaml", "config.yaml"])
def test_a_file_of_the_users_own_with_a_shipped_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("# @package _global_\n")
    message = refused(config_dir=tmp_path)
    assert message.startswith("A file of --config-dir has the name of a shipped one, which would be used in its place.")
    assert str(tmp_path / name) in message


def test_the_shipped_folder_itself_may_be_named() -> None:
    assert load(config_dir=CONF).activation == "demo"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("audience: {segments: [a]}\n", ["mine.yaml", "must begin with `# @package _global_`"]),
        ("defaults:\n  - override /destination: s3\n", ["mine.yaml", "must begin with `# @package _global_`"]),
        ("# ours\n# @package _global_\n", ["mine.yaml", "must begin with `# @package _global_`"]),
        ("# @package activation\n", ["mine.yaml", "must begin with `# @package _global_`"]),
        (
            "# @package _global_\ndefaults:\n  - /destination: s3\n",
            ["mine.yaml, defaults", "Found: - /destination: s3.", "write - override /destination: s3"],
        ),
        ("# @package _global_\ndefaults:\n  - override destination: s3\n", ["write - override /destination: s3"]),
        ("# @package _global_\ndefaults:\n  - override /destinations: s3\n", ["mine.yaml, defaults", "did you mean 'destination'?"]),
        ("# @package _global_\ndefault:\n  - override /destination: s3\n", ["mine.yaml", "Found: default:.", "write defaults:."]),
        ("# @package _global_\ndefaults:\n  override /destination: s3\n", ["mine.yaml, defaults", "put a - before each"]),
        ("# @package _global_\nfile: [a]\n", ["file has a value of the wrong kind", "mine.yaml", "Expected: keys with their values."]),
        ("# @package _global_\naudience: {segments: {id: a}}\n", ["audience.segments has", "mine.yaml", "Expected: a list."]),
        ("# @package _global_\nmapping: {columns: [email]}\n", ["mapping.columns has", "mine.yaml", "keys with their values"]),
        ("# @package _global_\ndefaults:\n  - override /file: txt.yaml\n", ["mine.yaml, defaults", "leave out the suffix", ": txt."]),
        ("# @package _global_\nrun_id: 1e5\naudience: {segments: [a]}\n", ["run_id is no text", "put it in quotes: run_id: '…'"]),
    ],
)
def test_an_activation_that_hydra_would_take_otherwise_is_answered_with_its_name_and_the_fix(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    _write(tmp_path, "activation", "mine", text)
    message = refused("activation=mine", config_dir=tmp_path)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("audience: {segments: [a, 007]}", "audience.segments", "007, which YAML reads as 7"),
        ("audience: {segments: [{id: 010, name: b}]}", "audience.segments", "010, which YAML reads as 8"),
        ("run_id: 1_000", "run_id", "1_000, which YAML reads as 1000"),
    ],
)
def test_an_id_that_yaml_would_change_in_an_activation_is_refused(tmp_path: Path, text: str, key: str, found: str) -> None:
    _write(tmp_path, "activation", "mine", f"# @package _global_\n{text}\n")
    message = refused("activation=mine", config_dir=tmp_path)
    assert message.startswith(f"{key} has a text that is read as another number. Where: {tmp_path}/activation/mine.yaml. Found: {found}.")


def test_ids_that_are_plain_numbers_or_in_quotes_are_taken(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\naudience: {segments: [12, '007', {id: 7, name: '008'}]}\n")
    assert [segment.id for segment in load("activation=mine", config_dir=tmp_path).audience.segments] == ["12", "007", "7"]


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("rules: {rows: {r: {column: country, allowed: [SE, NO, DK]}}}", "rules.rows.r.allowed", "NO, which YAML reads as False"),
        ("mapping: {columns: {x: {source: _id, default: no}}}", "mapping.columns.x.default", "no, which YAML reads as False"),
        ("mapping: {columns: {x: {source: _id, default: 0123}}}", "mapping.columns.x.default", "0123, which YAML reads as 83"),
        ("mapping: {columns: {x: {source: _id, default: 1.10}}}", "mapping.columns.x.default", "1.10, which YAML reads as 1.1"),
        ("mapping: {columns: {x: {source: _id, default: 12:30}}}", "mapping.columns.x.default", "12:30, which YAML reads as 750"),
        ("file: {newline_text: no}", "file.newline_text", "no, which YAML reads as False"),
        ("consent: {granted: [y, yes]}", "consent.granted", "yes, which YAML reads as True"),
    ],
)
def test_a_text_that_yaml_would_change_is_refused_wherever_it_stands(tmp_path: Path, text: str, key: str, found: str) -> None:
    _write(tmp_path, "activation", "mine", f"# @package _global_\naudience: {{segments: [a]}}\n{text}\n")
    kind = "true or false" if found.endswith(("True", "False")) else "another number"
    words = f"{key} has a text that is read as {kind}. Where: {tmp_path}/activation/mine.yaml. Found: {found}."
    message = refused("activation=mine", config_dir=tmp_path)
    assert message == f"{words} What to do: put it in quotes: '{found.partition(',')[0]}'."


def test_a_text_that_yaml_would_change_is_found_in_files_of_groups_and_what_they_build_on(tmp_path: Path) -> None:
    _write(tmp_path, "mapping", "base", "columns: {x: {source: _id, default: 0123}}\n")
    _write(tmp_path, "mapping", "mine", "defaults: [base, _self_]\ncolumns: {y: {source: _id}}\n")
    assert f"Where: {tmp_path}/mapping/base.yaml. Found: 0123," in refused("mapping=mine", config_dir=tmp_path)


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("+mapping.columns.email.default=true", "true, which YAML reads as True"),
        ("+mapping.columns.email.default=1.10", "1.10, which YAML reads as 1.1"),
        ("+mapping.columns.email.default=1_0", "1_0, which YAML reads as 10"),
        ("+mapping.columns.x={source: _id, default: false}", "False"),
        ("+rules.rows.r={column: email, allowed: [a, 1.10]}", "1.1"),
    ],
)
def test_a_text_that_the_command_line_would_change_is_refused(override: str, found: str) -> None:
    assert f"Where: the command line. Found: {found}. What to do: put it in quotes" in refused(override)


def test_texts_that_are_numbers_written_plainly_or_in_quotes_are_taken(tmp_path: Path) -> None:
    rule = "rules: {rows: {r: {column: email, allowed: [1, 1.5, 'NO', '007']}}}"
    _write(tmp_path, "activation", "mine", f"# @package _global_\naudience: {{segments: [a]}}\n{rule}\n")
    assert load("activation=mine", config_dir=tmp_path).rules.rows["r"].allowed == ["1", "1.5", "NO", "007"]
    assert load("+mapping.columns.x={source: _id, default: 12}").mapping.columns["x"].default == "12"
    assert load("+mapping.columns.x.source=_id", "+mapping.columns.x.default=0123").mapping.columns["x"].default == "0123"
    assert load("+engine.settings={spark.x: true}").engine.settings == {"spark.x": "True"}


def test_the_name_of_a_column_that_yaml_would_change_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "mapping", "mine", "columns: {no: {source: _id}}\n")
    assert "mapping.columns has a name that is no text. Found: False. What to do: put the name in quotes" in refused(
        "mapping=mine", config_dir=tmp_path
    )


def test_consent_is_off_with_and_without_quotes(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\naudience: {segments: [a]}\nconsent: {rule: off}\n")
    assert load("activation=mine", config_dir=tmp_path).consent.rule == "off"
    _write(tmp_path, "activation", "mine", "# @package _global_\ndefaults: [{override /consent: off}]\naudience: {segments: [a]}\n")
    assert "put it in quotes: - override /consent: 'off'" in refused("activation=mine", config_dir=tmp_path)
    _write(tmp_path, "activation", "mine", "# @package _global_\ndefaults: [{override /consent: 'off'}]\naudience: {segments: [a]}\n")
    assert load("activation=mine", config_dir=tmp_path).consent.rule == "off"


@pytest.mark.parametrize("group", ["activation", "suppression"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_a_file_that_an_editor_saved_otherwise_is_named(tmp_path: Path, group: str, encoding: str) -> None:
    if (group, encoding) == ("suppression", "utf-8-sig"):
        pytest.skip("read as it is meant: its first line is no package")
    text = "# @package _global_\n# Zoë\naudience: {segments: [a]}\n"
    _write(tmp_path, "activation", "mine", text)
    _write(tmp_path, "suppression", "ours", "# Zoë\nlists: {}\n")
    file = tmp_path / group / ("mine.yaml" if group == "activation" else "ours.yaml")
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    message = refused("activation=mine", "suppression=ours", config_dir=tmp_path)
    assert message == f"A configuration file is not plain UTF-8. Where: {file}. What to do: save it as UTF-8, without a byte order mark."


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("group", ["activation", "mapping"])
def test_a_file_that_this_user_may_not_read_is_named(tmp_path: Path, group: str) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\naudience: {segments: [a]}\n")
    _write(tmp_path, "mapping", "ours", "columns: {email: {source: personalEmail.address}}\n")
    file = next((tmp_path / group).iterdir())
    file.chmod(0)
    message = refused("activation=mine", "mapping=ours", config_dir=tmp_path)
    assert message == f"The configuration cannot be read. Where: {file}. Found: Permission denied."


def test_the_package_line_may_have_blanks(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "\n#  @package  _global_\n# ours\naudience: {segments: [a]}\n")
    assert load("activation=mine", config_dir=tmp_path).audience.segments[0].id == "a"


def test_an_activation_may_set_the_keys_of_the_run(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\nas_of: 2026-01-01\nrun_id: mine-1\naudience: {segments: [a]}\n")
    config = load("activation=mine", config_dir=tmp_path)
    assert (config.as_of, config.run_id) == (datetime(2026, 1, 1, tzinfo=UTC), "mine-1")
    assert load("activation=mine", "run_id=mine-2", config_dir=tmp_path).run_id == "mine-2"


def test_a_key_of_another_destination_is_answered_with_the_file_that_sets_it(tmp_path: Path) -> None:
    text = "# @package _global_\ndefaults:\n  - override /destination: sftp_key\naudience: {segments: [a]}\n"
    _write(tmp_path, "activation", "spring", text + "destination: {host: h, username: u, key_file: k}\n")
    message = refused("activation=spring", "destination=local", config_dir=tmp_path)
    assert f"Where: {tmp_path}/activation/spring.yaml. Found: destination.host." in message
    assert "it is a key of destination=sftp_password or sftp_key, and local is chosen" in message


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("activation=mine.yaml", "activation=mine"),
        ("activation=own/activation/mine.yaml", "activation=mine"),  # as the shell completes it
        ("mapping=email_marketing.yaml", "mapping=email_marketing"),
        ("destination=s3.yml", "destination=s3"),
    ],
)
def test_a_file_is_chosen_without_its_suffix(tmp_path: Path, override: str, name: str) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\naudience: {segments: [a]}\n")
    assert f"leave out the suffix: {name}." in refused(override, config_dir=tmp_path)


@pytest.mark.parametrize("typed", ["1e5", "1_000", "true", "007", "1.50"])
def test_a_run_id_is_the_text_that_was_typed(typed: str) -> None:
    config = load(f"run_id={typed}", f"release={typed}")
    assert (config.run_id, config.release) == (typed, typed)
    assert load("run_id=null", "release=NULL").release is None


def test_a_folder_of_another_level_is_answered_with_where_was_searched(tmp_path: Path) -> None:
    _write(tmp_path, "activation", "mine", "# @package _global_\n")
    message = refused("activation=mine", config_dir=tmp_path / "activation")
    assert f"in {CONF}/activation and {tmp_path}/activation/activation, which is no folder" in message
    assert f"What to do: --config-dir {tmp_path}." in message
    assert f"and {tmp_path}/activation." in refused("activation=other", config_dir=tmp_path)


@pytest.mark.parametrize("name", ["mine.yaml", "activation/mine.yml"])
def test_an_activation_that_is_not_where_it_is_looked_for_is_answered_with_its_place(tmp_path: Path, name: str) -> None:
    (tmp_path / "activation").mkdir()
    (tmp_path / name).write_text("# @package _global_\n")
    message = refused("activation=mine", config_dir=tmp_path)
    assert f"What to do: move {tmp_path / name} to {tmp_path}/activation/mine.yaml." in message
    assert "one of your own is found with --config-dir DIR" in refused("activation=mine")


@pytest.mark.parametrize("name", ["../activation/demo", "./demo", "sub/../demo"])
def test_an_activation_has_one_name(name: str) -> None:
    """Another spelling would be another lock, and another memory of what was sent."""
    assert "An activation is named by its place" in refused(f"activation={name}")
    with pytest.raises(ConfigError, match="An activation is named by its place"):
        compose.load_state([f"activation={name}"])


def test_what_is_shown_composes_to_the_same_and_holds_references_only(tmp_path: Path) -> None:
    given = ["destination=sftp_password", *DESTINATION_KEYS["sftp_password"], "file.delimiter='|'"]
    shown = compose.load_shown(["activation=demo", *given], now=NOW)
    assert shown.startswith("# activation: demo\n")
    content = yaml.safe_load(shown)
    assert (content["file"]["delimiter"], content["destination"]["password_env"]) == ("|", "SFTP_PASSWORD")
    _write(tmp_path, "activation", "shown", f"# @package _global_\ndefaults:\n  - override /destination: sftp_password\n{shown}\n")
    first, second = load(*given), load("activation=shown", config_dir=tmp_path)
    assert {field.name for field in fields(first) if getattr(first, field.name) != getattr(second, field.name)} == {"activation"}


def test_what_is_refused_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        compose.load_shown(
            ["activation=demo", "destination=sftp_password", *DESTINATION_KEYS["sftp_password"], "destination.password_env='Hunter2 !'"],
            now=NOW,
        )
    assert "Hunter2" not in str(caught.value)


def test_an_own_activation_is_found_and_chooses_groups(tmp_path: Path) -> None:
    text = "# @package _global_\ndefaults:\n  - override /file: txt\naudience:\n  segments: [seg-a]\n"
    _write(tmp_path, "activation", "mine", text)
    config = load("activation=mine", config_dir=tmp_path)
    assert (config.activation, config.file.extension, config.audience.segments[0].id) == ("mine", "txt", "seg-a")


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        ("dd.mm.yyyy", "mm without HH before it. Expected: MM for the month."),
        ("yyyymmdd", "mm without HH before it. Expected: MM for the month."),
        ("dd.mm", "mm without HH before it. Expected: MM for the month."),
        ("dd.MM.yyyy HH:MM", "MM after HH. Expected: mm for minutes, or the month before the hour."),
    ],
)
def test_minutes_in_place_of_months_in_a_columns_format_are_refused_as_in_a_files_name(layout: str, found: str) -> None:
    message = refused(f"+mapping.columns.birthday.format='{layout}'")
    assert message == f"The layout '{layout}' of a time cannot be used. Where: mapping.columns.birthday.format. Found: {found}"


@pytest.mark.parametrize("layout", ["dd.MM.yyyy HH:mm", "yyyy-MM-dd\\'T\\'HH:mm:ss.SSSXXX", "HHmm ddMM", "\\'mm \\'dd.MM", "0.00"])
def test_the_usual_formats_of_columns_are_taken(layout: str) -> None:
    column = load(f"+mapping.columns.birthday.format='{layout}'").mapping.columns["birthday"]
    assert column.format == layout.replace("\\", "")


def test_a_config_dir_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "The configuration folder does not exist. Where: --config-dir." in refused(config_dir=tmp_path / "none")


@pytest.mark.parametrize("name", ["my conf", "josé", "a=b", "it's, {x}", "100%"])
def test_a_config_dir_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    _write(tmp_path / name, "file", "mine", "extension: tsv\n")
    assert load("file=mine", config_dir=tmp_path / name).file.extension == "tsv"


def _write(folder: Path, group: str, option: str, text: str) -> None:
    (folder / group).mkdir(exist_ok=True)
    (folder / group / f"{option}.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T02:00:00+02:00", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T00:00:00", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        (None, datetime(2026, 11, 1, 9, 30, 15, tzinfo=UTC)),
    ],
)
def test_as_of_is_a_time_in_utc(text: str | None, moment: datetime) -> None:
    as_of = parse_as_of(text, NOW)
    assert (as_of, as_of.utcoffset()) == (moment, timedelta(0))


@pytest.mark.parametrize("run_id", ["nightly-2026-11-01", "20261101T000000Z", "a.b_c-d", "7", "x" * 100])
def test_a_run_id_is_kept_as_it_is(run_id: str) -> None:
    assert parse_run_id(run_id, NOW) == run_id


@pytest.mark.parametrize("run_id", ["../x", "a/b", ".hidden", "-dash", "a b", "é", "x" * 101])
def test_a_run_id_that_is_no_folder_name_is_refused(run_id: str) -> None:
    with pytest.raises(ConfigError, match="run_id cannot be the name of a folder"):
        parse_run_id(run_id, NOW)


def test_an_activation_takes_250_segments_and_no_more() -> None:
    most, too_many = (f"audience.segments=[{','.join(f'seg-{number}' for number in range(count))}]" for count in (250, 251))
    assert len(load(most).audience.segments) == 250
    assert refused(too_many) == "audience.segments has too many segments. Found: 251. Expected: at most 250."


@pytest.mark.parametrize("name", ["../b", "a/b", "a\\b", "..", ".b", "b.", "a\tb", "a\nb", "a\u202eb"])
def test_a_segment_may_have_any_name_and_not_any_id(name: str) -> None:
    assert AudienceConfig([{"id": "a", "name": name}]).segments[0].name == name
    with pytest.raises(ConfigError, match="A segment's id cannot be part of a file name"):
        AudienceConfig([name])


@pytest.mark.parametrize("path", ["..", "../x", "a/../../b", "a\\..\\b"])
def test_a_destination_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"destination\.path may not lead out of the target folder"):
        S3Config(kind="s3", bucket="exports", path=path)
    with pytest.raises(ConfigError, match=r"destination\.path may not lead out of the target folder"):
        SftpConfig(kind="sftp_key", host="sftp.example.com", username="acme", path=path)


@pytest.mark.parametrize("delimiter", ["", '"', "\\", "\n", "\r", "\0", "|\n", '|"', "|" * 17])
def test_a_delimiter_that_cannot_be_read_back_is_refused(delimiter: str) -> None:
    assert "file.delimiter cannot be used" in refused_file(delimiter=delimiter)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", "^", "||", "¦", "\x01", "<→>", "þ", "|x|"])
def test_the_usual_delimiters_are_taken(delimiter: str) -> None:
    assert load(f"file.delimiter='{delimiter}'").file.delimiter == delimiter


@pytest.mark.parametrize("delimiter", ["tab", "x", "7", "t"])
def test_a_delimiter_of_letters_or_digits_is_answered_with_how_a_tab_is_written(delimiter: str) -> None:
    message = refused(f"file.delimiter={delimiter}")
    assert message.startswith(f"file.delimiter is made of letters and digits, which values have, too. Found: '{delimiter}'.")
    assert r"file.delimiter='\t'" in message


@pytest.mark.parametrize("override", [r"file.delimiter=\t", r"file.delimiter='\t'", "file.delimiter='\t'"])
def test_a_tab_may_be_written_as_it_is_and_as_two_signs(override: str, tmp_path: Path) -> None:
    assert load(override).file.delimiter == "\t"
    _write(tmp_path, "file", "mine", "delimiter: '\\t'\n")
    assert load("file=mine", config_dir=tmp_path).file.delimiter == "\t"


@pytest.mark.parametrize("key", ["null_text", "empty_text"])
@pytest.mark.parametrize("text", ["a,b", '"', 'say ""', "a\nb", "a\rb"])
def test_a_null_or_empty_text_that_would_be_read_as_something_else_is_refused(key: str, text: str) -> None:
    assert f"file.{key} would be read as something else" in refused_file(**{key: text})


def test_a_backslash_in_the_null_text_is_refused_only_where_it_escapes() -> None:
    assert FileConfig(null_text="\\N").null_text == "\\N"
    assert "file.null_text would be read as something else" in refused_file(null_text="\\N", escape="backslash")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"quote": ","}, "file.delimiter cannot be used. Found: ','"),
        ({"quote": ""}, "file.quote cannot be used"),
        ({"quote": "''"}, "file.quote cannot be used"),
        ({"quote": "é"}, "file.quote cannot be used"),
        ({"quote": "\n"}, "file.quote cannot be used"),
        ({"quote": "'", "escape": "apostrophe"}, "file.quote and file.escape are the same character"),
        ({"quote": "'", "null_text": "it's"}, "file.null_text would be read as something else"),
        ({"escape": "apostrophe", "null_text": "it's"}, "file.null_text would be read as something else"),
        ({"escape": "apostrophe", "delimiter": "'"}, "file.delimiter cannot be used"),
        ({"delimiter": "||", "null_text": "-|"}, "file.null_text would be read as something else"),
        ({"delimiter": "||", "empty_text": "a||"}, "file.empty_text would be read as something else"),
        ({"quoting": "spark", "delimiter": "||"}, "file.quoting=spark takes a delimiter of one character"),
        ({"quoting": "none"}, "file.empty_text would be read as something else. Found: two quotes"),
        ({"quoting": "none", "empty_text": "", "null_text": '""'}, "file.null_text would be read as something else. Found: two quotes"),
        ({"quoting": "none", "empty_text": "", "escape": "backslash"}, "file.escape is of no use with file.quoting=none"),
        ({"on_special": "replace"}, "file.on_special is of use only with file.quoting=none"),
        ({"quoting": "none", "empty_text": "", "on_special": "replace", "special_text": ""}, "file.special_text cannot be used"),
        ({"quoting": "none", "empty_text": "", "on_special": "replace", "special_text": "-,"}, "file.special_text cannot be used"),
        ({"quoting": "none", "empty_text": "", "on_special": "replace", "special_text": '"'}, "file.special_text has the quote"),
        ({"newlines": "replace", "newline_text": "\n"}, "file.newline_text is to replace line ends"),
        ({"encoding": "cp1252", "delimiter": "→"}, "file.delimiter cannot be written in this encoding"),
        ({"encoding": "iso-8859-1", "null_text": "€"}, "file.null_text cannot be written in this encoding"),
    ],
)
def test_a_dialect_that_contradicts_itself_is_refused(keys: dict[str, Any], message: str) -> None:
    assert refused_file(**keys).startswith(message)


def test_two_quotes_stand_for_an_empty_quoted_field_whatever_the_quote_is() -> None:
    assert (FileConfig(quote="'").empty_text, FileConfig(quote="'").quoted_empty) == ('""', "''")
    assert load("file=adobe_cloud", "file.null_text='\"\"'").file.quoted_empty == '""'


@pytest.mark.parametrize("word", ["off", '"off"', "report", "prefix"])
def test_the_formula_guard_is_read_from_a_file_with_and_without_quotes(tmp_path: Path, word: str) -> None:
    _write(tmp_path, "file", "mine", f"extension: csv\nformula_guard: {word}\n")
    assert load("file=mine", config_dir=tmp_path).file.formula_guard == word.strip('"')
    assert load(f"file.formula_guard={word}").file.formula_guard == word.strip('"')


def test_quotes_can_be_set_on_the_command_line() -> None:
    assert load("file.quote='\"'").file.quote == '"'
    assert load('file.quote="\'"').file.quote == "'"
    assert load("file.quoting=none", "file.quote=''", "file.empty_text=''").file.quote == ""
    assert load("file=adobe_cloud").file.quote == "\0"


@pytest.mark.parametrize(
    "override",
    ["quoting=never", "escape=single", "encoding=latin-1", "line_ending=cr", "on_empty=delete"],
)
def test_an_option_out_of_its_list_is_refused_with_the_list(override: str) -> None:
    key, _, value = override.partition("=")
    message = refused_file(**{key: value})
    assert message.startswith(f"file.{key} has a value that it cannot have. Found: {value}. Expected: ")
    assert " | " in message


@pytest.mark.parametrize(
    ("name", "meant"), [("latin1", "iso-8859-1"), ("utf8", "utf-8"), ("windows-1252", "cp1252"), ("UTF_8_SIG", "utf-8-sig")]
)
def test_another_name_of_an_encoding_is_answered_with_ours(name: str, meant: str) -> None:
    assert refused_file(encoding=name).endswith(f"What to do: did you mean '{meant}'?")


@pytest.mark.parametrize("extension", ["../x", "a/b", ".csv", "c sv", "a.b.c"])
def test_an_extension_is_letters_and_digits(extension: str) -> None:
    assert "file.extension cannot be used" in refused_file(extension=extension)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["destination=sftp_password", "destination.password_env=''"], "destination.password is not referred to"),
        (["destination=sftp_key", "destination.key_file=null"], "An SFTP key comes from one place"),
        (["destination=sftp_key", "destination.key_env=KEY"], "An SFTP key comes from one place"),
        (["destination=sftp_password", "destination.password_file=a", "destination.password_secret=b"], "are both set"),
        (["destination=sftp_key", "destination.key_secret=KEY"], "An SFTP key comes from one place"),
        (["destination=s3", "destination.access_key_id_file=ID"], "go together. Found: only one of the two"),
        (["engine.delivery=executors"], "engine.delivery=executors wants Apache Spark. Found: engine=sail"),
        (["destination=sftp_key", "destination.port=70000"], "destination.port is no port"),
        (
            ["destination=sftp_key", "destination.host_key_fingerprint='MD5:00'"],
            "destination.host_key_fingerprint is no SHA-256 fingerprint",
        ),
        (["destination=s3", "destination.access_key_id_env=ID"], "go together. Found: only one of the two"),
        (
            ["destination=s3", "destination.part_bytes=1000"],
            "destination.part_bytes is too small. Found: 1000. Expected: at least 5242880.",
        ),
        (["source.access_key_id_env=ID"], "source.access_key_id_… and source.secret_access_key_… go together"),
        (["source.session_token_env=TOKEN"], "source.session_token_… belongs to keys"),
        (["state.path='s3://bucket/state'"], "state.path must be a folder on a local disk"),
        (
            ["destination.path='s3://bucket/x'"],
            "destination.path is a folder, not an address. Found: s3://bucket/x. What to do: for S3 choose destination=s3.",
        ),
        (
            ["destination=s3", "destination.path='s3://exports/x'"],
            "What to do: the server or bucket is set apart: destination.host, destination.bucket.",
        ),
        (["destination=sftp_key", "destination.path='sftp://h/x'"], "destination.path is a folder, not an address"),
        (
            ["destination=sftp_key", "destination.host='sftp://h'"],
            "destination.host is the name of a server, not an address. Found: sftp://h.",
        ),
        (
            ["destination=sftp_key", "destination.host='sftp.example.com:2222'"],
            "Found: sftp.example.com:2222. What to do: destination.host=sftp.example.com destination.port=2222.",
        ),
        (
            ["destination=sftp_key", "+destination.jump={host: 'ssh://h', username: u, key_file: k}"],
            "destination.jump.host is the name of a server",
        ),
        (["destination.name='a/b'"], "destination.name cannot be part of a file name"),
    ],
)
def test_a_destination_is_checked_before_any_work(overrides: list[str], message: str) -> None:
    kind = overrides[0].partition("=")[2]
    assert message in refused(overrides[0], *DESTINATION_KEYS.get(kind, []), *overrides[1:])


@pytest.mark.parametrize("path", ["a[1]", "{a}", "a*", "a?", "a%20b"])
def test_a_state_path_that_engines_take_for_a_pattern_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"state\.path has characters that engines take for a pattern"):
        StateConfig(path=path)


def test_an_unset_secret_is_answered_with_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPORT_PASSWORD", raising=False)
    with pytest.raises(ConfigError) as caught:
        secret("EXPORT_PASSWORD", "destination.password_env")
    assert str(caught.value) == (
        "An environment variable that holds a secret is not set. Where: destination.password_env. Found: EXPORT_PASSWORD."
        " What to do: export EXPORT_PASSWORD=…."
    )


REFERENCES = [
    (kind, field.name)
    for kind in (*DESTINATIONS.values(), JumpConfig, SourceConfig, StateConfig, FileConfig)
    for field in fields(kind)
    if field.name.endswith(("_env", "_file", "_secret")) or field.name == "encrypt_to"
]


@pytest.mark.parametrize(("kind", "key"), REFERENCES, ids=lambda value: value if isinstance(value, str) else value.__name__)
@pytest.mark.parametrize("pasted", ["Hunter2\n!secret", "-----BEGIN OPENSSH PRIVATE KEY-----", "LS0tLS1CRUdJTi/PUEVOU1NI"])
def test_a_secret_in_place_of_a_reference_is_refused_and_not_shown(kind: Any, key: str, pasted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(
            **{"kind": "local", "name": "local"} if issubclass(kind, DestinationConfig) else {},
            **{key: [pasted] if key.startswith("encrypt_to") else pasted},
        )
    assert f"{kind.GROUP}.{key} must be the " in str(caught.value)
    assert pasted not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "destination.password_env='Hunter2 !secret'",
        "destination.password_env=Hunter2 !secret;",
        "destination.password_env=[Hunter2]",
        "destination.password_secret='Hunter2 !secret'",
        "destination.password=Hunter2",
        "destination.jump={host: h, username: u, password_env: 'Hunter2 !secret'}",
        "destination.jump={host: h, username: u, password_env: Hunter2;}",
        "source.access_key_id_env='Hunter2/+'",
        "state.secret_access_key_env='Hunter2/+'",
        "file.sign_passphrase_env='Hunter2 !secret'",
        "destination.passwrod=Hunter2;",
        "destination.passwrod Hunter2",
        "destination.session_token=Hunter2==",
        "destination.jump=u:Hunter2@h",
        "destination.host=u:Hunter2@h",
        "destination.host=sftp://u:Hunter2@h",
        "destination.path=sftp://u:Hunter2@h/inbox",
        "engine.token=Hunter2=",
        "engine.remote=sc://h:15002/;token=Hunter2",
        "engine.remote=[sc://h:15002/token/Hunter2]",
        "source.path=s3://ID:Hunter2@bucket/profiles",
        "source.path=s3://ID:Hunter/2@bucket/Hunter2",
        "source.endpoint_url=https://u:Hunter2@h",
        "source.endpoint_url=u:Hunter2@h",
        "state.path=s3://ID:Hunter2@bucket/state",
        "state.endpoint_url=https://Hunter2@h:9000",
        "suppression.lists={a:{path:'s3://ID:Hunter2@b/x',column:c}}",
        "=Hunter2",
    ],
)
def test_a_pasted_secret_is_refused_when_the_configuration_is_read(override: str) -> None:
    message = refused("destination=sftp_password", *DESTINATION_KEYS["sftp_password"], override)
    assert "Hunter" not in message
    assert re.split(r"[ ={]", override)[0].removeprefix("destination.jump") in message


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        (None, False),
        ("https://store.example.com", False),
        ("http://127.0.0.1:9000", False),
        ("http://[::1]:9000", False),
        ("http://localhost", False),
        ("http://localhost.example.com", True),
        ("http://10.0.0.5:9000", True),
    ],
)
def test_an_endpoint_that_others_may_listen_to_is_told(url: str | None, *, warned: bool) -> None:
    assert bool(in_the_clear("state.endpoint_url", url)) is warned


def test_a_bucket_and_an_endpoint_with_a_login_are_refused_and_not_shown() -> None:
    for override in ("destination.bucket=s3://ID:Hunter2@b", "destination.endpoint_url=https://ID:Hunter2@h"):
        message = refused("destination=s3", *DESTINATION_KEYS["s3"], override)
        assert "has a login in it" in message
        assert "Hunter" not in message


@pytest.mark.parametrize(
    "override",
    ["source.path=s3://bucket/a@b/x:y@z", "destination.path='out/{datetime:yyyy}@home'", "source.path=s3://arn:aws:s3:a:1:ap/x/y@z"],
)
def test_a_path_may_have_an_at_sign(override: str) -> None:
    load(override)


def test_settings_of_spark_that_may_be_secrets_are_not_shown() -> None:
    settings = "+engine.settings={spark.hadoop.fs.s3a.secret.key:Hunter2,spark.ssl.keyPassword:Hunter2,spark.executor.cores:4}"
    shown = compose.load_shown(["activation=demo", settings], now=NOW)
    assert "Hunter2" not in shown
    assert yaml.safe_load(shown)["engine"]["settings"]["spark.executor.cores"] == 4


def test_a_secret_is_never_in_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SFTP_PASSWORD", "S3_ID", "S3_KEY", "KEY_TEXT", "PASSPHRASE"):
        monkeypatch.setenv(name, "hunter2")
    s3 = [*DESTINATION_KEYS["s3"], "destination.access_key_id_env=S3_ID", "destination.secret_access_key_env=S3_KEY"]
    key = [
        *DESTINATION_KEYS["sftp_key"],
        "destination.key_file=null",
        "destination.key_env=KEY_TEXT",
        "destination.passphrase_env=PASSPHRASE",
    ]
    configs = [
        load("destination=s3", *s3, "source.access_key_id_env=S3_ID", "source.secret_access_key_env=S3_KEY"),
        load("destination=sftp_password", *DESTINATION_KEYS["sftp_password"]),
        load("destination=sftp_key", *key),
    ]
    assert [config for config in configs if "hunter2" in repr(config)] == []
    assert [name in repr(configs) for name in ("S3_ID", "S3_KEY", "SFTP_PASSWORD", "KEY_TEXT", "PASSPHRASE")] == [True] * 5


def test_every_key_for_a_secret_holds_a_name() -> None:
    secrets = [
        field.name
        for kind in {DestinationConfig, *DESTINATIONS.values()}
        for field in fields(kind)
        if any(word in field.name for word in ("password", "secret", "passphrase", "access_key"))
    ]
    assert [name for name in secrets if not name.endswith(("_env", "_file", "_secret"))] == []


@pytest.mark.parametrize(
    "name",
    ["{segment_name}-{datetime}", "{datetime:HHmm}", "{timestamp}", "%TIMESTAMP%", "{as_of}", "{run_id}", "%DATETIME(yyyyMMddHHmm)%"],
)
def test_changes_of_a_name_that_differs_from_run_to_run_may_replace(name: str) -> None:
    load("export=incremental", f"file.name='{name}'", "destination.on_conflict=replace")


def test_changes_in_folders_that_differ_from_run_to_run_may_replace() -> None:
    load("export=incremental", "file.name=x", "destination.path='out/{run_id}'", "destination.on_conflict=replace")
    with pytest.raises(ConfigError, match="loses the changes"):
        load("export=incremental", "file.name=x", "destination.path='out/{date}'", "destination.on_conflict=replace")


def test_several_threads_compose_at_once() -> None:
    """Hydra has one configuration a process, and refuses the second thread."""
    together = threading.Barrier(8)

    def composed(number: int) -> list[str]:
        together.wait()
        return [compose.load(["activation=demo", f"run_id=of-{number}"], now=NOW).run_id for _ in range(3)]

    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(composed, range(8))] == [[f"of-{number}"] * 3 for number in range(8)]
