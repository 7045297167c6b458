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
        (
            [
                "esp=oracle_responsys",
                "+mapping.columns.EMAIL_MD5_HASH_={source: personalEmail.address, hash: md5}",
                "mapping.deduplication_key=[EMAIL_ADDRESS_,EMAIL_MD5_HASH_]",
            ],
            ["EMAIL_ADDRESS_, EMAIL_MD5_HASH_", "one of them", "profile-list-definitions-rule-parameters.htm"],
        ),
        *[
            (["esp=oracle_responsys", f"+mapping.columns.{name}.source=person.gender"], [f"'{name}'", "List_DataTypeFieldname.htm"])
            for name in ("date", "Level", "share", "VARCHAR2", "a", "GENDER_", "_x", "x" * 31)
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


SECONDARY = [
    (["esp=salesforce_marketing_cloud", *SFTP], "transport", "does not start on a rename"),
    (["esp=salesforce_marketing_cloud", *S3, 'file.name="{segment_name}_{datetime}"'], "name", "by year, month and day"),
    (["esp=oracle_eloqua", *S3], "transport", "no import from S3 was found"),
    (["esp=oracle_eloqua", 'file.name="{segment_name}_{date}"'], "name", "one fixed name"),
    (["esp=oracle_eloqua", "destination.on_conflict=fail"], "name", "a second run finds the file"),
    (["esp=oracle_responsys", *S3], "transport", "no import from S3 was found"),
    (["esp=oracle_responsys", "~mapping.columns.EMAIL_PERMISSION_STATUS_"], "columns", "opted out"),
    (["esp=oracle_responsys", "+mapping.columns.GENDER.source=person.gender"], "columns", "columns of your own"),
    (["esp=salesforce_marketing_cloud", "~mapping.columns.EmailAddress"], "columns", "no column EmailAddress"),
    (["esp=adobe_campaign", "~mapping.columns.email", "mapping.deduplication_key=[loyaltyId]"], "columns", "no column email"),
    (["esp=adobe_campaign", "file.encoding=cp1252"], "file", "file.encoding"),
    (["esp=oracle_eloqua", "file.compression=gzip"], "compression", "no import of compressed files was found"),
    (["esp=oracle_eloqua", "file.encrypt_to=[key.asc]"], "encryption", "no import of encrypted files was found"),
]


@pytest.mark.parametrize(("overrides", "rule", "word"), SECONDARY)
def test_what_others_than_the_vendor_say_is_a_warning_and_refused_where_the_policy_is_strict(
    overrides: list[str], rule: str, word: str
) -> None:
    assert word in warned(*overrides)
    assert word in warned(*overrides, f"esp.policies.{rule}=warn")
    message = refused(*overrides, f"esp.policies.{rule}=strict")
    for each in (word, f"esp.policies.{rule}=warn", "may not take this", "Source: "):
        assert each in message


@pytest.mark.parametrize("overrides", [["esp=oracle_responsys", "file.delimiter=';'"], ["esp=oracle_responsys", "file.compression=gzip"]])
def test_what_is_only_from_memory_is_refused_by_no_policy(overrides: list[str]) -> None:
    strict = [f"esp.policies.{rule}=strict" for rule in ("file", "compression")]
    assert "(memory)" in warned(*overrides, *strict)


def test_what_documentation_refuses_is_refused_where_the_policy_is_strict_too() -> None:
    assert "File Transfer" in refused("esp=salesforce_marketing_cloud", "file.compression=gzip", "esp.policies.compression=strict")


@pytest.mark.parametrize("name", NAMES)
def test_no_row_is_left_out_by_default_on_less_than_documentation(name: str) -> None:
    """But for lengths of fields that the artefacts define themselves, which an import cannot take more of."""
    config = load(f"esp={name}", "+mapping.columns.Own.source=person.gender", "esp.policies.header=warn")
    leaving = [rule for rule in esp.value_rules(config) if rule.test.on_failure != "keep"]
    assert leaving
    assert [rule for rule in leaving if not rule.source.documented and rule.rule != "length"] == []
    assert [rule for rule in leaving if rule.source.confidence == "memory"] == []


def test_a_column_under_its_path_is_not_missed() -> None:
    assert "no column" not in warned("esp=oracle_eloqua", "mapping=email_marketing")


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
