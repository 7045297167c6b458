"""What a platform refuses of a configuration, with the rule's source, and what is a warning only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from courier import compose, esp
from courier.config import POLICIES, EspConfig, RunConfig
from courier.errors import ConfigError
from courier.esp.base import Source

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = sorted(esp.PLATFORMS)
SFTP = ["destination=sftp_key", "destination.host=sftp.example.com", "destination.username=acme", "destination.key_file=id_ed25519"]
S3 = ["destination=s3", "destination.bucket=exports"]


def load(*overrides: str) -> RunConfig:
    return compose.load(overrides, now=NOW)


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    return str(caught.value)


def warned(*overrides: str) -> str:
    return "\n".join(esp.check_configuration(load(*overrides)))


def test_without_a_platform_nothing_is_asked_for() -> None:
    config = load("esp=none", "file.delimiter='|'")
    assert (config.esp, esp.check_configuration(config), config.rules.rows) == (EspConfig(), [], {})


def test_every_platform_of_the_schema_is_there() -> None:
    assert {"none", *esp.PLATFORMS} == set(EspConfig.PLATFORMS)


@pytest.mark.parametrize("name", NAMES)
def test_the_preset_of_a_platform_breaks_none_of_its_rules(name: str) -> None:
    config = load(f"esp={name}")
    assert esp.check_configuration(config) == []
    assert list(config.mapping.columns) == [column.name for column in esp.PLATFORMS[name].columns]
    sources = {column.name: column.path for column in esp.PLATFORMS[name].columns}
    assert {each: column.source or sources[each] for each, column in config.mapping.columns.items()} == sources


@pytest.mark.parametrize("name", NAMES)
def test_the_preset_of_a_platform_can_be_overridden(name: str) -> None:
    assert load(f"esp={name}", "file=csv").file.quoting == "minimal"
    assert load(f"esp={name}", "mapping=email_marketing", "esp.policies.key=warn").mapping.deduplication_key == ["email"]
    assert load(f"esp={name}", "file.line_ending=crlf").file.line_ending == "crlf"
    assert load(f"esp={name}", "esp.policies.length=reject").esp.policy("length") == "reject"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["esp=adobe_campaign", "file.extension=dat"], ["file.extension", "'dat'", "'txt' or 'csv'", "data-loading-file.md"]),
        (["esp=adobe_campaign", "file.compression=zip"], ["file.compression", "'none' or 'gzip'", "zcat"]),
        (["esp=adobe_campaign", "file.compression=zstd"], ["file.compression"]),
        (["esp=adobe_campaign", "file.compression=gzip", "file.encrypt_to=[key.asc]"], ["never does both", "gzip and encryption"]),
        (["esp=adobe_campaign", "mapping.deduplication_key=[]"], ["mapping.deduplication_key"]),
        (["esp=salesforce_marketing_cloud", "file.compression=gzip"], ["File Transfer", "mc_es_import_activity"]),
        (["esp=salesforce_marketing_cloud", "file.encrypt_to=[key.asc]"], ["File Transfer"]),
        (["esp=salesforce_marketing_cloud", "file.quoting=none"], ["file.quoting", "NAI-001090"]),
        (["esp=salesforce_marketing_cloud", 'file.quote="\'"'], ["file.quote"]),
        (["esp=salesforce_marketing_cloud", "file.escape=backslash"], ["file.escape"]),
        (["esp=salesforce_marketing_cloud", "file.extension=dat"], ["file.extension"]),
        (["esp=salesforce_marketing_cloud", "mapping.deduplication_key=[]"], ["only Overwrite is allowed"]),
        (["esp=oracle_eloqua", "file=txt"], ["comma, pipe and semicolon", "file.delimiter", "ImportingContactsOrAccounts.htm"]),
        (["esp=oracle_eloqua", "file.header=false"], ["file.header", "the first row"]),
        (["esp=oracle_eloqua", "file.quoting=none", "file.on_special=replace"], ["file.quoting"]),
        (["esp=oracle_eloqua", "file.escape=backslash"], ["file.escape"]),
        (["esp=oracle_eloqua", "file.extension=tsv"], ["file.extension"]),
        (["esp=oracle_eloqua", "mapping.deduplication_key=[EmailAddress,LoyaltyId]"], ["at most 1 columns", "ContactsNoEmailFAQ.htm"]),
        (
            ["esp=oracle_eloqua", "+mapping.columns.Joined={source: loyalty.joinDate, format: 'yyyy-MM-dd HH:mm:ss.SSS'}"],
            ["mapping.columns.Joined.format", "milliseconds"],
        ),
        (["esp=oracle_responsys", "file.header=false"], ["file.header"]),
        (["esp=oracle_responsys", "mapping.deduplication_key=[FIRST_NAME]"], ["FIRST_NAME", "CUSTOMER_ID_"]),
        (
            ["esp=oracle_responsys", "mapping.deduplication_key=[CUSTOMER_ID_,EMAIL_ADDRESS_,MOBILE_NUMBER_]"],
            ["at most 2 columns"],
        ),
        *[
            (["esp=oracle_responsys", f"+mapping.columns.{name}.source=person.gender"], [f"'{name}'", "List_DataTypeFieldname.htm"])
            for name in ("date", "Level", "a", "GENDER_", "_x", "x" * 31)
        ],
    ],
)
def test_what_documentation_says_is_refused_is_refused_before_anything_is_read(overrides: list[str], words: list[str]) -> None:
    message = refused(*overrides)
    for word in [*words, "Source: ", "esp.policies."]:
        assert word in message
    rule = message.partition("esp.policies.")[2].partition("=")[0]
    assert words[0] in warned(*overrides, f"esp.policies.{rule}=warn")


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["esp=adobe_campaign", "file.delimiter='|'"], "tab and semicolon are recommended"),
        (["esp=adobe_campaign", "file.quoting=minimal", "file.on_special=fail"], "no string delimiter"),
        (["esp=adobe_campaign", "file.encoding=cp1252"], "file.encoding"),
        (["esp=salesforce_marketing_cloud", *SFTP], "does not start on a rename"),
        (["esp=salesforce_marketing_cloud", "file.header=false"], "file.header"),
        (["esp=salesforce_marketing_cloud", "export=incremental"], "ColumnBased"),
        (
            ["esp=salesforce_marketing_cloud", "~mapping.columns.City", "+mapping.columns.CITY.source=homeAddress.city"],
            "is 'CITY', expected 'City'",
        ),
        (["esp=oracle_eloqua", *S3], "no import from S3 was found"),
        (["esp=oracle_eloqua", "file.compression=gzip"], "no import of compressed files was found"),
        (["esp=oracle_eloqua", "file.encoding=utf-16"], "file.encoding"),
        (["esp=oracle_eloqua", "'file.name=\"{segment_name}_{date}\"'"], "one fixed name"),
        (["esp=oracle_eloqua", "destination.on_conflict=fail"], "a second run finds the file"),
        (["esp=oracle_responsys", *S3], "no import from S3 was found"),
        (["esp=oracle_responsys", "file.delimiter=';'"], "memory"),
        (["esp=oracle_responsys", "file.compression=gzip"], "memory"),
        (["esp=oracle_responsys", "~mapping.columns.EMAIL_PERMISSION_STATUS_"], "opted out"),
        (["esp=oracle_responsys", "+mapping.columns.GENDER.source=person.gender"], "columns of your own"),
    ],
)
def test_what_no_documentation_refuses_is_a_warning(overrides: list[str], word: str) -> None:
    overrides = [override.strip("'") if override.startswith("'file.name") else override for override in overrides]
    assert word in warned(*overrides)


def test_more_columns_than_fields_are_refused() -> None:
    many = [f"+mapping.columns.x{number}.source=person.gender" for number in range(242)]
    assert "251 columns. Expected: at most 250" in refused("esp=oracle_eloqua", *many)
    assert load("esp=oracle_eloqua", *many[:241]).esp.platform == "oracle_eloqua"


def test_sftp_that_writes_directly_is_right_for_file_drops() -> None:
    assert warned("esp=salesforce_marketing_cloud", *SFTP, "destination.publish=direct") == ""


def test_a_platform_that_does_not_exist_is_answered_with_the_nearest() -> None:
    assert "did you mean 'oracle_eloqua'?" in refused("esp=eloqua")
    assert "esp.policies has an unknown rule" in refused("esp=oracle_eloqua", "+esp.policies.lenght=fix")
    assert "esp.policies.length has a value that it cannot have" in refused("esp=oracle_eloqua", "esp.policies.length=cut")
    assert "of no use without a platform" in refused("esp.deliver_artefacts=true")


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_names_its_source(name: str) -> None:
    platform = esp.PLATFORMS[name]
    rules = [
        *platform.settings,
        *platform.columns,
        *platform.bytes,
        platform.key,
        platform.phone,
        platform.email,
        platform.dates,
        platform.exits,
    ]
    assert [rule for rule in rules if not isinstance(rule.source, Source) or not rule.source.document] == []
    assert {setting.rule for setting in platform.settings} <= set(POLICIES)
    # What is hard must be documented.
    assert [limit for limit in platform.bytes if limit.hard and not limit.source.documented] == []
