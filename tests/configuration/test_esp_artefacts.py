"""Import artefacts have the fields that are documented, and no others."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from platform_loaders import LOADERS
from xdm_profiles import PROFILE_SCHEMA

from courier import compose, esp, mapping

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SEGMENT = "audience.segments=[{id: seg-a, name: vip}]"

#: Accenture/sfmc-devtools, DataExtension.definition.js and ImportFile.definition.js.
DATA_EXTENSION = {"CustomerKey", "Name", "r__folder_Path", "IsSendable", "SendableDataExtensionField", "SendableSubscriberField", "Fields"}
DATA_EXTENSION_FIELD = {"Name", "FieldType", "MaxLength", "IsPrimaryKey", "IsRequired"}
FIELD_TYPES = {"Boolean", "Date", "Decimal", "EmailAddress", "Locale", "Number", "Phone", "Text"}
IMPORT_FILE = set(
    "name customerKey source destination fileNamingPattern fileType encodingName dateFormatLocale hasColumnHeader standardQuotedStrings "
    "fieldMappingType fieldMappings allowErrors c__blankFileProcessing c__dataAction c__subscriberImportType maxFileAgeHours deleteFile".split()
)
#: The ImportDefinition object of the SOAP API.
IMPORT_DEFINITION = set(
    "Name CustomerKey DestinationObject RetrieveFileTransferLocation FileSpec FileType Delimiter HeaderLines FieldMappingType FieldMaps UpdateType "
    "AllowErrors StandardQuotedStrings NullRepresentation EndOfLineRepresentation DateFormattingLocale MaxFileAge Notification EncodingCodePage "
    "HasMultipleFiles DeleteFile ControlColumn ControlColumnDefaultAction ControlColumnActions".split()
)
#: docs.oracle.com op-api-bulk-2.0-contacts-imports-post.
BULK_IMPORT = set(
    "name fields identifierFieldName isSyncTriggeredOnImport updateRule dataRetentionDuration autoDeleteDuration isUpdatingMultipleMatchedRecords "
    "syncActions importRule".split()
)


def made(*overrides: str) -> dict[str, bytes]:
    config = compose.load(["activation=demo", SEGMENT, *overrides], now=NOW)
    columns = mapping.resolve(config.mapping, config.dedup, config.export, PROFILE_SCHEMA)
    found = esp.artefacts(config, columns)
    assert all(b"@" not in content or b"example.com" in content or b"location/@" in content for content in found.values())
    return found


def parsed(content: bytes) -> Any:
    return json.loads(content)


def sheet(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def test_without_a_platform_there_are_none() -> None:
    assert made() == {}


@pytest.mark.parametrize("name", sorted(esp.PLATFORMS))
def test_the_names_of_what_is_delivered_are_known_before_the_columns_are(name: str) -> None:
    config = compose.load(["activation=demo", SEGMENT, f"esp={name}", "esp.deliver_artefacts=true", "run_id=r"], now=NOW)
    assert esp.delivered_names(config) == [f"artefact-r-{each}" for each in made(f"esp={name}")]


def test_campaigns_sample_is_read_as_its_files_are() -> None:
    found = made("esp=adobe_campaign", "+mapping.columns.joined.source=loyalty.joinDate", "+mapping.columns.points.source=loyalty.points")
    rows = LOADERS["adobe_campaign"](found["vip.sample.txt"])
    assert [row["email"] for row in rows] == ["anna.sample@example.com", "bo.sample@example.com", "cleo.sample@example.com"]
    assert (rows[1]["zipCode"], rows[1]["birthDayMonth"], rows[1]["joined"], rows[1]["points"]) == (
        "00501",
        "02-28",
        "2026/01/15 12:30:00",
        "20",
    )
    lines = sheet(found["vip.columns.csv"])
    assert [line[0] for line in lines[1:]] == list(rows[0])
    by_name = {line[0]: line[1:] for line in lines[1:]}
    assert by_name["email"] == ["email", "string", "128", "", "Always populated", "Reject line", "@email", "yes"]
    assert by_name["city"][4:6] == ["Empty value allowed", "Reject line"]
    assert [row["stateCode"] for row in rows] == ["US-CA", "US-NY", "US-TX"]  # ISO 3166-2, as XDM has them
    assert by_name["city"][6] == "[location/@city]"
    assert by_name["joined"][1:4] == ["date and time", "", "yyyy/MM/dd HH:mm:ss"]


def test_a_data_extension_has_documented_fields_only() -> None:
    columns = [
        "+mapping.columns.Joined.source=loyalty.joinDate",
        "+mapping.columns.Points.source=loyalty.points",
        "+mapping.columns.Primary.source=personalEmail.primary",
        "+mapping.columns.Tier.source=loyalty.tier",
    ]
    content = parsed(made("esp=salesforce_marketing_cloud", *columns)["vip.dataExtension-meta.json"])
    assert set(content) == DATA_EXTENSION
    assert [set(field) - DATA_EXTENSION_FIELD for field in content["Fields"]] == [set()] * 13
    kinds = {field["Name"]: (field["FieldType"], field.get("MaxLength")) for field in content["Fields"]}
    assert {kind for kind, _ in kinds.values()} <= FIELD_TYPES
    assert kinds["EmailAddress"] == ("EmailAddress", 254)
    assert (kinds["Joined"], kinds["Points"], kinds["Primary"], kinds["Tier"]) == (
        ("Date", None),
        ("Text", 4000),
        ("Boolean", None),
        ("Text", 4000),
    )
    assert [field["Name"] for field in content["Fields"] if field["IsPrimaryKey"]] == ["SubscriberKey"]
    assert (content["SendableDataExtensionField"], content["SendableSubscriberField"]) == (
        {"Name": "SubscriberKey"},
        {"Name": "Subscriber Key"},
    )


def test_the_import_of_marketing_cloud_is_that_of_the_file() -> None:
    found = made("esp=salesforce_marketing_cloud")
    content, soap = parsed(found["vip.importFile-meta.json"]), parsed(found["vip.importDefinition.json"])
    assert set(content) == IMPORT_FILE
    assert set(soap) <= IMPORT_DEFINITION
    assert content["fileNamingPattern"] == soap["FileSpec"] == "vip_%%Year%%%%Month%%%%Day%%.csv"
    assert (content["fileType"], content["c__dataAction"], soap["UpdateType"]) == ("CSV", "AddUpdate", "AddAndUpdate")
    assert content["destination"]["r__dataExtension_key"] == soap["DestinationObject"]["CustomerKey"] == "vip"


def test_a_name_with_a_time_is_found_by_what_started_the_automation() -> None:
    found = made("esp=salesforce_marketing_cloud", 'file.name="{segment_name}_{datetime}"')
    assert parsed(found["vip.importFile-meta.json"])["fileNamingPattern"] == "%%FILENAME_FROM_TRIGGER%%"
    fixed = made("esp=salesforce_marketing_cloud", 'file.name="{segment_name}"')
    assert parsed(fixed["vip.importFile-meta.json"])["fileNamingPattern"] == "vip.csv"


def test_an_import_from_s3_is_of_the_location_with_the_name_of_the_bucket() -> None:
    found = made("esp=salesforce_marketing_cloud", "destination=s3", "destination.bucket=exports")
    assert parsed(found["vip.importFile-meta.json"])["source"] == {"c__type": "File Location", "r__fileLocation_name": "exports"}
    assert parsed(found["vip.importDefinition.json"])["RetrieveFileTransferLocation"] == {"CustomerKey": "exports"}
    ours = parsed(made("esp=salesforce_marketing_cloud")["vip.importFile-meta.json"])
    assert ours["source"]["r__fileLocation_name"] == "ExactTarget Enhanced FTP"


def test_an_import_of_changes_deletes_who_has_left_by_the_status() -> None:
    """Which mcdev has no word for, so there is no file for it."""
    found = made("esp=salesforce_marketing_cloud", "export=incremental", "export.status_column=SegmentStatus")
    assert set(found) == {"vip.dataExtension-meta.json", "vip.importDefinition.json"}
    soap = parsed(found["vip.importDefinition.json"])
    assert set(soap) <= IMPORT_DEFINITION
    assert (soap["UpdateType"], soap["ControlColumn"], soap["ControlColumnDefaultAction"]) == ("ColumnBased", "SegmentStatus", "Skip")
    actions = [{"Value": "realized", "Action": "AddAndUpdate"}, {"Value": "exited", "Action": "Delete"}]
    assert soap["ControlColumnActions"] == {"ControlColumnAction": actions}
    assert "SegmentStatus" in [field["Name"] for field in parsed(found["vip.dataExtension-meta.json"])["Fields"]]
    apart = made("esp=salesforce_marketing_cloud", "export=incremental", "export.layout=separate")
    assert parsed(apart["vip.importDefinition.json"])["UpdateType"] == "AddAndUpdate"


@pytest.mark.parametrize(
    "keys",
    [
        ["file.compression=gzip"],
        ["file.compression=zip"],
        ["file.encrypt_to=[a.asc]"],
        ["file.compression=gzip", "file.final_extension=gz"],
    ],
)
def test_an_import_finds_a_file_under_the_name_that_it_has_when_a_transfer_has_unpacked_it(keys: list[str]) -> None:
    found = made("esp=salesforce_marketing_cloud", *keys, "esp.policies.compression=warn", "esp.policies.encryption=warn")
    assert parsed(found["vip.importFile-meta.json"])["fileNamingPattern"] == "vip_%%Year%%%%Month%%%%Day%%.csv"


def test_an_import_of_other_files_names_their_delimiter() -> None:
    content = parsed(made("esp=salesforce_marketing_cloud", "file.delimiter='|'")["vip.importFile-meta.json"])
    assert (content["fileType"], content["otherDelimiter"], set(content) - IMPORT_FILE) == ("Other", "|", {"otherDelimiter"})


def test_files_for_mcdev_are_called_by_their_keys() -> None:
    """It skips others."""
    segments = [f"{{id: seg-a, name: {'x' * 40}}}", "{id: b, name: vip}", "{id: c, name: VIP}"]
    found = made("esp=salesforce_marketing_cloud", f"audience.segments=[{', '.join(segments)}]", 'file.name="{segment_id}"')
    keys = {"CustomerKey": "dataExtension", "customerKey": "importFile"}
    named = {name: content for name, content in found.items() if name.endswith("-meta.json")}
    assert len(named) == 6
    for name, content in named.items():
        assert name in [f"{parsed(content).get(key)}.{kind}-meta.json" for key, kind in keys.items()]


def test_without_a_key_marketing_cloud_can_only_overwrite() -> None:
    found = made("esp=salesforce_marketing_cloud", "mapping.deduplication_key=[]", "esp.policies.key=warn")
    assert parsed(found["vip.importFile-meta.json"])["c__dataAction"] == "Overwrite"
    assert parsed(found["vip.importDefinition.json"])["UpdateType"] == "Overwrite"


def test_with_deduplication_by_identity_the_identity_is_the_key() -> None:
    by_identity = ["dedup=adobe", "mapping.deduplication_key=[]"]
    keys = [*by_identity, "esp=salesforce_marketing_cloud", "mapping.columns.EmailAddress.source=identity.id"]
    found = made(*keys)
    fields = parsed(found["vip.dataExtension-meta.json"])["Fields"]
    assert [field["Name"] for field in fields if field["IsPrimaryKey"]] == ["EmailAddress"]
    assert parsed(found["vip.importFile-meta.json"])["c__dataAction"] == "AddUpdate"
    found = made(*by_identity, "esp=oracle_eloqua", "mapping.columns.EmailAddress.source=identity.id")
    assert parsed(found["vip.bulk-import.json"])["identifierFieldName"] == "EmailAddress"


def test_a_digest_is_a_text_of_its_length_in_a_data_extension() -> None:
    hashed = [f"+mapping.columns.{name}.hash={how}" for name, how in (("EmailAddress", "sha256_email"), ("MobilePhone", "sha256_phone"))]
    fields = parsed(made("esp=salesforce_marketing_cloud", *hashed)["vip.dataExtension-meta.json"])["Fields"]
    by_name = {
        field["Name"]: (field["FieldType"], field["MaxLength"]) for field in fields if field["Name"] in ("EmailAddress", "MobilePhone")
    }
    assert by_name == {"EmailAddress": ("Text", 254), "MobilePhone": ("Text", 64)}


def test_a_digest_goes_to_a_field_of_its_own_and_not_to_that_of_what_it_is_of() -> None:
    """An import would put it in the place of the address."""
    digest = "+mapping.columns.DIGEST={source: personalEmail.address, hash: sha256_email}"
    eloqua = made("esp=oracle_eloqua", digest)
    assert parsed(eloqua["vip.bulk-import.json"])["fields"]["DIGEST"] == "{{Contact.Field(C_DIGEST1)}}"
    assert sheet(eloqua["vip.mapping.csv"])[-1] == ["DIGEST", "C_DIGEST1", "text", "100", ""]
    assert sheet(made("esp=oracle_responsys", digest)["vip.mapping.csv"])[-1] == ["DIGEST", "DIGEST (your own)", "STR500", "500", ""]
    assert sheet(made("esp=adobe_campaign", digest)["vip.columns.csv"])[-1][7] == "(your own)"
    assert parsed(made("esp=salesforce_marketing_cloud", digest)["vip.dataExtension-meta.json"])["Fields"][-1]["MaxLength"] == 4000


def test_a_field_is_that_of_one_column() -> None:
    """Where the column of the address shows another one, the first goes to a field of its own."""
    swapped = ["mapping.columns.EmailAddress.source=_acme.memberNumber", "+mapping.columns.Private.source=personalEmail.address"]
    fields = parsed(made("esp=oracle_eloqua", *swapped)["vip.bulk-import.json"])["fields"]
    assert (fields["EmailAddress"], fields["Private"]) == ("{{Contact.Field(C_EmailAddress)}}", "{{Contact.Field(C_Private1)}}")


def test_fields_of_the_platform_that_no_preset_has_are_known_by_their_names() -> None:
    added = ["+mapping.columns.COUNTRY_.source=homeAddress.country", "+mapping.columns.EMAIL_FORMAT_.source=loyalty.tier"]
    digest = "+mapping.columns.EMAIL_SHA256_HASH_={source: personalEmail.address, hash: sha256_email}"
    lines = sheet(made("esp=oracle_responsys", *added, digest)["vip.mapping.csv"])
    assert lines[-3:] == [
        ["COUNTRY_", "COUNTRY_", "STR50", "50", ""],
        ["EMAIL_FORMAT_", "EMAIL_FORMAT_", "CHAR", "1", ""],
        ["EMAIL_SHA256_HASH_", "EMAIL_SHA256_HASH_", "STR100", "100", ""],
    ]
    eloqua = made("esp=oracle_eloqua", "+mapping.columns.Country.source=homeAddress.country")
    assert parsed(eloqua["vip.bulk-import.json"])["fields"]["Country"] == "{{Contact.Field(C_Country)}}"


def test_numbers_and_times_have_no_length_in_a_sheet() -> None:
    added = ["+mapping.columns.POINTS.source=loyalty.points", "+mapping.columns.JOINED.source=loyalty.joinDate"]
    assert [line[2:4] for line in sheet(made("esp=oracle_eloqua", *added)["vip.mapping.csv"])[-2:]] == [["numeric", ""], ["date", ""]]
    kinds = [line[2:4] for line in sheet(made("esp=oracle_responsys", *added)["vip.mapping.csv"])[-2:]]
    assert kinds == [["INTEGER", ""], ["TIMESTAMP", ""]]


def test_an_external_key_has_at_most_36_characters() -> None:
    found = made("esp=salesforce_marketing_cloud", f"audience.segments=[{{id: 8f7b1c2e-5d3a-4b6f-9a10-2c4e6f8a0b1d, name: {'x' * 40}}}]")
    (content,) = (parsed(text) for name, text in found.items() if name.endswith("dataExtension-meta.json"))
    assert content["CustomerKey"] == "8f7b1c2e-5d3a-4b6f-9a10-2c4e6f8a0b1d"


def test_eloquas_import_definition_has_documented_fields_only() -> None:
    found = made("esp=oracle_eloqua", "+mapping.columns.Tier.source=loyalty.tier")
    content = parsed(found["vip.bulk-import.json"])
    assert set(content) <= BULK_IMPORT
    assert content["fields"]["EmailAddress"] == "{{Contact.Field(C_EmailAddress)}}"
    assert content["fields"]["Tier"] == "{{Contact.Field(C_Tier1)}}"
    assert (content["identifierFieldName"], content["isUpdatingMultipleMatchedRecords"]) == ("EmailAddress", False)
    assert sheet(found["vip.mapping.csv"])[1] == ["EmailAddress", "C_EmailAddress", "text", "100", "yes"]


def test_with_more_than_100_columns_there_is_no_bulk_import() -> None:
    many = [f"+mapping.columns.x{number}.source=loyalty.tier" for number in range(92)]
    assert set(made("esp=oracle_eloqua", *many[:91])) == {"vip.bulk-import.json", "vip.mapping.csv"}
    assert set(made("esp=oracle_eloqua", *many)) == {"vip.mapping.csv"}


def test_responsys_artefacts() -> None:
    found = made("esp=oracle_responsys", "+mapping.columns.POINTS.source=loyalty.points", "+mapping.columns.JOINED.source=loyalty.joinDate")
    table = parsed(found["vip.supplemental-table.json"])
    assert set(table) == {"table", "fields", "primaryKeys"}
    assert table["table"] == {"objectName": "VIP"}
    assert {frozenset(field) for field in table["fields"]} == {frozenset({"fieldName", "fieldType", "dataExtractionKey"})}
    kinds = {field["fieldName"]: field["fieldType"] for field in table["fields"]}
    assert (kinds["EMAIL_ADDRESS"], kinds["CUSTOMER_ID"], kinds["POINTS"], kinds["JOINED"]) == ("STR500", "STR255", "INTEGER", "TIMESTAMP")
    assert table["primaryKeys"] == ["EMAIL_ADDRESS"]
    assert [name for name in kinds if name.endswith("_")] == []  # the rule for fields that are not the system's
    assert parsed(found["vip.connect-trigger.json"]) == {"method": "PUT", "path": "/rest/api/v1.3/connectJobs/{jobId}/trigger"}
    assert sheet(found["vip.mapping.csv"])[1] == ["EMAIL_ADDRESS_", "EMAIL_ADDRESS_", "STR500", "500", "yes"]


def test_segments_of_one_name_have_artefacts_of_their_own() -> None:
    found = made("esp=oracle_eloqua", "audience.segments=[{id: a, name: vip}, {id: b, name: VIP}]", 'file.name="{segment_id}"')
    assert sorted(found) == ["VIP-2.bulk-import.json", "VIP-2.mapping.csv", "vip-1.bulk-import.json", "vip-1.mapping.csv"]
