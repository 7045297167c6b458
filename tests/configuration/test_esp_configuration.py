"""What a platform refuses of a configuration, with the rule's source, and what is a warning only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from courier import compose, esp
from courier.config import POLICIES, EspConfig, RunConfig
from courier.errors import ConfigError
from courier.esp.base import Source
from courier.esp.configuration import header

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = sorted(esp.PLATFORMS)
SFTP = ["destination=sftp_key", "destination.host=sftp.example.com", "destination.username=acme", "destination.key_file=id_ed25519"]
S3 = ["destination=s3", "destination.bucket=exports"]


def load(*overrides: str) -> RunConfig:
    return compose.load(["activation=demo", *overrides], now=NOW)


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


def assert_refused(overrides: list[str], rule: str, *words: str) -> None:
    """By default, with these words, the document and the policy that lets it through; which then warns of the same."""
    message = refused(*overrides)
    for word in [*words, "does not take this", "Source: ", "(documented)", f"esp.policies.{rule}=warn"]:
        assert word in message
    assert words[0] in warned(*overrides, f"esp.policies.{rule}=warn")


@pytest.mark.parametrize(
    ("name", "refusing"), [("adobe_campaign", ""), ("salesforce_marketing_cloud", ""), ("oracle_eloqua", "\t"), ("oracle_responsys", "")]
)
def test_delimiters(name: str, refusing: str) -> None:
    for delimiter in ("\t", ";", "|", ","):
        overrides = [f"esp={name}", f"file.delimiter='{delimiter}'", "esp.policies.name=warn"]
        if delimiter == refusing:
            assert_refused(overrides, "file", "file.delimiter", "comma, pipe and semicolon", "ImportingContactsOrAccounts.htm")
        else:
            warns = {"adobe_campaign": "|", "oracle_responsys": "\t;|"}.get(name, "")
            assert ("file.delimiter" in warned(*overrides)) == (delimiter in warns)


@pytest.mark.parametrize("name", ["salesforce_marketing_cloud", "oracle_eloqua"])
@pytest.mark.parametrize("override", ["file.quoting=none", 'file.quote="\'"', "file.escape=backslash"])
def test_quotes_that_an_import_does_not_read_are_refused(name: str, override: str) -> None:
    document = "NAI-001090" if name == "salesforce_marketing_cloud" else "ImportingContactsOrAccounts.htm"
    special = ["file.on_special=replace"] if override == "file.quoting=none" else []
    assert_refused([f"esp={name}", override, *special], "file", override.partition("=")[0], document)


def test_quotes_that_others_advise_against_are_a_warning() -> None:
    assert "no string delimiter" in warned("esp=adobe_campaign", "file.quoting=minimal", "file.on_special=fail")
    assert "file.quote" in warned("esp=oracle_responsys", 'file.quote="\'"')
    assert "file.escape" in warned("esp=oracle_responsys", "file.escape=backslash")


@pytest.mark.parametrize("name", NAMES)
def test_a_header_line(name: str) -> None:
    overrides = [f"esp={name}", "file.header=false"]
    if name.startswith("oracle"):
        assert_refused(overrides, "file", "file.header")
    else:
        assert "file.header" in warned(*overrides)


@pytest.mark.parametrize("name", NAMES)
def test_encodings_other_than_utf_8_are_a_warning(name: str) -> None:
    assert "file.encoding is 'utf-16'" in warned(f"esp={name}", "file.encoding=utf-16")


@pytest.mark.parametrize("name", NAMES)
def test_extensions(name: str) -> None:
    if name == "oracle_responsys":
        assert warned(f"esp={name}", "file.extension=dat") == ""
    else:
        assert_refused([f"esp={name}", "file.extension=dat"], "file", "file.extension", "'dat'", "'csv'", "'txt'")


@pytest.mark.parametrize("kind", ["gzip", "zip", "zstd"])
@pytest.mark.parametrize("name", NAMES)
def test_compression(name: str, kind: str) -> None:
    overrides = [f"esp={name}", f"file.compression={kind}"]
    if name == "adobe_campaign" and kind == "gzip":
        assert warned(*overrides) == ""
    elif name == "adobe_campaign":
        assert_refused(overrides, "compression", "file.compression", "'none' or 'gzip'", "zcat", "data-loading-file.md")
    elif name == "salesforce_marketing_cloud":
        assert_refused(overrides, "compression", "file.compression", "File Transfer", "mc_es_import_activity")
    else:
        assert "file.compression" in warned(*overrides)


@pytest.mark.parametrize("name", NAMES)
def test_encryption(name: str) -> None:
    overrides = [f"esp={name}", "file.encrypt_to=[key.asc]"]
    if name == "salesforce_marketing_cloud":
        assert_refused(overrides, "encryption", "file.encrypt_to", "File Transfer", "mc_es_import_activity")
    elif name == "oracle_eloqua":
        assert "no import of encrypted files was found" in warned(*overrides)
    else:
        assert warned(*overrides) == ""


def test_campaign_decompresses_or_decrypts() -> None:
    both = ["esp=adobe_campaign", "file.compression=gzip", "file.encrypt_to=[key.asc]"]
    assert_refused(both, "compression", "file.compression", "gzip and encryption", "never does both")


@pytest.mark.parametrize("column", ["date", "Level", "share", "VARCHAR2", "a", "GENDER_", "_x", "x" * 31])
def test_names_of_fields_that_responsys_does_not_have_are_refused(column: str) -> None:
    overrides = ["esp=oracle_responsys", f"+mapping.columns.{column}.source=person.gender"]
    assert_refused(overrides, "header", f"'{column}'", "List_DataTypeFieldname.htm")


def test_names_of_fields_that_responsys_has_are_taken() -> None:
    for column in ("GENDER", "x" * 30, "P0_b", "CREATED", "EMAIL_FORMAT_"):
        assert "field's" not in warned("esp=oracle_responsys", f"+mapping.columns.{column}.source=person.gender")


def test_names_of_fields_in_another_case_are_a_warning_where_case_matters() -> None:
    other = ["~mapping.columns.City", "+mapping.columns.CITY.source=homeAddress.city"]
    assert "is 'CITY', expected 'City'" in warned("esp=salesforce_marketing_cloud", *other)
    assert warned("esp=oracle_eloqua", *other) == ""


def test_two_columns_of_one_name_are_refused_in_any_case_and_by_any_policy() -> None:
    again = "+mapping.columns.city_={source: homeAddress.city}"
    assert "Two columns have one name" in refused("esp=oracle_responsys", again, "esp.policies.header=warn", "esp.policies.columns=warn")


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_are_not_the_platforms_are_a_warning(name: str) -> None:
    assert "columns of your own" in warned(f"esp={name}", "+mapping.columns.GENDER.source=person.gender")


def test_the_status_that_changes_have_is_a_column_that_needs_a_field() -> None:
    told = warned("esp=adobe_campaign", "export=incremental")
    assert "column `status` needs a field of that name at the platform" in told
    assert "of your own" not in told


@pytest.mark.parametrize("source", ["membership.status", "segmentMembership.status", "segmentMembership.seg_namespace.seg_id.status"])
def test_a_status_that_the_mapping_shows_in_any_spelling_is_the_one(source: str) -> None:
    config = load("esp=adobe_campaign", "export=incremental", f"+mapping.columns.membership.source={source}")
    assert header(config) == list(config.mapping.columns)
    assert "needs a field of that name" not in "\n".join(esp.check_configuration(config))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("adobe_campaign", "email"),
        ("salesforce_marketing_cloud", "EmailAddress"),
        ("salesforce_marketing_cloud", "SubscriberKey"),
        ("oracle_eloqua", "EmailAddress"),
        ("oracle_responsys", "EMAIL_ADDRESS_"),
        ("oracle_responsys", "EMAIL_PERMISSION_STATUS_"),
    ],
)
def test_a_column_that_an_import_is_made_with_and_is_missing_is_a_warning(name: str, column: str) -> None:
    overrides = [f"esp={name}", f"~mapping.columns.{column}", "mapping.deduplication_key=[]", "esp.policies.key=warn"]
    assert f"no column {column}" in warned(*overrides)


def test_without_a_permission_new_rows_are_opted_out() -> None:
    assert "opted out" in warned("esp=oracle_responsys", "~mapping.columns.EMAIL_PERMISSION_STATUS_")


@pytest.mark.parametrize("name", NAMES)
def test_a_mapping_without_a_key_is_refused(name: str) -> None:
    assert_refused([f"esp={name}", "mapping.deduplication_key=[]"], "key", "mapping.deduplication_key")


def test_keys_that_a_platform_does_not_match_by_are_refused() -> None:
    several = ["esp=oracle_eloqua", "mapping.deduplication_key=[EmailAddress,LoyaltyId]"]
    assert_refused(several, "key", "at most 1 columns", "ContactsNoEmailFAQ.htm")
    own = ["esp=oracle_responsys", "mapping.deduplication_key=[FIRST_NAME]"]
    assert_refused(own, "key", "FIRST_NAME", "CUSTOMER_ID_")
    three = ["esp=oracle_responsys", "mapping.deduplication_key=[CUSTOMER_ID_,EMAIL_ADDRESS_,MOBILE_NUMBER_]"]
    assert_refused(three, "key", "at most 2 columns")
    hashed = ["+mapping.columns.EMAIL_MD5_HASH_={source: personalEmail.address, hash: md5}"]
    both = ["esp=oracle_responsys", *hashed, "mapping.deduplication_key=[EMAIL_ADDRESS_,EMAIL_MD5_HASH_]"]
    assert_refused(both, "key", "EMAIL_ADDRESS_, EMAIL_MD5_HASH_", "one of them", "profile-list-definitions-rule-parameters.htm")


@pytest.mark.parametrize("name", ["oracle_eloqua", "oracle_responsys"])
@pytest.mark.parametrize("pattern", ["yyyy-MM-dd HH:mm:ss.SSS", "yyyy-MM-dd HH:mm:ssXXX", "dd.MM.yyyy", "yyyyMMdd"])
def test_formats_of_dates_that_an_import_does_not_read_are_refused(name: str, pattern: str) -> None:
    assert_refused([f"esp={name}", _joined(pattern)], "date", "mapping.columns.JOINED.format", esp.PLATFORMS[name].dates.own.text)


@pytest.mark.parametrize("name", ["adobe_campaign", "salesforce_marketing_cloud"])
def test_formats_of_dates_that_an_import_is_to_be_told_of_are_a_warning(name: str) -> None:
    assert esp.PLATFORMS[name].dates.own.text in warned(f"esp={name}", _joined("dd.MM.yyyy"))


@pytest.mark.parametrize("name", NAMES)
def test_formats_of_the_platform_and_of_numbers_are_taken(name: str) -> None:
    dates = esp.PLATFORMS[name].dates
    for pattern in (dates.date, dates.timestamp, "0.00"):
        assert "[date;" not in warned(f"esp={name}", _joined(pattern))


def _joined(pattern: str) -> str:
    return f"+mapping.columns.JOINED={{source: loyalty.joinDate, format: '{pattern}'}}"


def test_s3_is_a_warning_where_no_import_from_it_was_found() -> None:
    for name in ("oracle_eloqua", "oracle_responsys"):
        assert "no import from S3 was found" in warned(f"esp={name}", *S3)
    for name in ("adobe_campaign", "salesforce_marketing_cloud"):
        assert warned(f"esp={name}", *S3) == ""


def test_another_port_than_eloqua_reads_from_is_refused() -> None:
    assert_refused(["esp=oracle_eloqua", *SFTP, "destination.port=2222"], "transport", "port 22 only")
    assert warned("esp=oracle_eloqua", *SFTP) == ""


def test_sftp_by_rename_is_a_warning_where_an_upload_starts_the_import() -> None:
    assert "does not start on a rename" in warned("esp=salesforce_marketing_cloud", *SFTP)
    assert warned("esp=salesforce_marketing_cloud", *SFTP, "destination.publish=direct") == ""
    for name in ("adobe_campaign", "oracle_eloqua", "oracle_responsys"):
        assert warned(f"esp={name}", *SFTP) == ""


@pytest.mark.parametrize("name", ["oracle_eloqua", "oracle_responsys"])
def test_names_that_change_are_a_warning_where_an_import_reads_one_name(name: str) -> None:
    assert "file.name is {date}" in warned(f"esp={name}", 'file.name="{segment_name}_{date}"')
    assert "a second run finds the file" in warned(f"esp={name}", "destination.on_conflict=fail")


def test_names_that_an_import_from_s3_does_not_find_are_a_warning() -> None:
    timed = 'file.name="{segment_name}_{datetime}"'
    assert "by year, month and day" in warned("esp=salesforce_marketing_cloud", *S3, timed)
    assert warned("esp=salesforce_marketing_cloud", *SFTP, "destination.publish=direct", timed) == ""


@pytest.mark.parametrize("name", NAMES)
def test_what_becomes_of_members_who_have_left_is_told(name: str) -> None:
    assert esp.PLATFORMS[name].exits.text in warned(f"esp={name}", "export=incremental", "destination.on_conflict=fail")


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
    assert leaving or name == "adobe_campaign"
    assert [rule for rule in leaving if not rule.source.documented and rule.rule != "length"] == []
    assert [rule for rule in leaving if rule.source.confidence == "memory"] == []


def test_a_column_under_its_path_is_not_missed() -> None:
    assert "no column" not in warned("esp=oracle_eloqua", "mapping=email_marketing")


def test_more_columns_than_fields_are_a_warning() -> None:
    many = [f"+mapping.columns.x{number}.source=person.gender" for number in range(242)]
    assert "at most 250 custom contact fields" in warned("esp=oracle_eloqua", *many)
    assert "251 columns. Expected: at most 250" in refused("esp=oracle_eloqua", *many, "esp.policies.header=strict")
    assert "custom contact fields" not in warned("esp=oracle_eloqua", *many[:241])


def test_a_platform_that_does_not_exist_is_answered_with_the_nearest() -> None:
    assert "did you mean 'oracle_eloqua'?" in refused("esp=eloqua")
    assert "esp.policies has an unknown rule" in refused("esp=oracle_eloqua", "+esp.policies.lenght=fix")
    assert "esp.policies.length has a value that it cannot have" in refused("esp=oracle_eloqua", "esp.policies.length=cut")
    assert "of no use without a platform" in refused("esp.deliver_artefacts=true")


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_names_its_source(name: str) -> None:
    platform = esp.PLATFORMS[name]
    rules: list[Any] = [
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
