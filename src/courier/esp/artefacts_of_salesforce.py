"""Marketing Cloud: a data extension and an import definition, as Accenture's mcdev deploys them, and the fields of the same
import for the SOAP API.

Sources: Accenture/sfmc-devtools lib/metadataTypes/definitions/{DataExtension,ImportFile}.definition.js and its test resources
(secondary); developer.salesforce.com importdefinition.html; classes derived from the WSDL (secondary).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from courier.config import RunConfig, S3Config
from courier.esp.artefacts import Maker, Subject, as_json, is_moment
from courier.esp.configuration import CHANGING
from courier.esp.salesforce_marketing_cloud import PATTERNS
from courier.mapping import MappedColumn
from courier.names import macros, parsed, safe

#: External keys have at most so many characters. Source: developer.salesforce.com creating_a_data_extension_using_web_service_api
KEY_CHARACTERS = 36
#: Of accounts with the Enhanced SFTP. A location on S3 is named by whoever sets it up.
ENHANCED_SFTP = "ExactTarget Enhanced FTP"
FILE_TYPES = {",": "CSV", "\t": "TAB"}


def external_key(subject: Subject) -> str:
    name = safe(subject.segment.name)
    return name if len(name) <= KEY_CHARACTERS else safe(subject.segment.id)[:KEY_CHARACTERS]


def file_location(config: RunConfig) -> str:
    """The name that the location has at the platform: of one on S3 the bucket's, which the guide says to give it."""
    return config.destination.bucket if isinstance(config.destination, S3Config) else ENHANCED_SFTP


def pattern(subject: Subject) -> str:
    """How the import finds the file: a name with the day, where file.name has no other time; else the name of the file that
    started the automation. A File Transfer activity before it takes endings like .gpg away.
    """
    changing = {macro.name for macro in macros(parsed("file.name", subject.config.file.name))} & CHANGING
    if changing - {"date"}:
        return "%%FILENAME_FROM_TRIGGER%%"
    return subject.file_name({"date": "".join(PATTERNS)})


def _data_extension(subject: Subject) -> bytes:
    names = [column.name for column in subject.columns]
    key = next((each.name for each in subject.platform.columns if each.role == "key" and each.name in names), None)
    content: dict[str, Any] = {"CustomerKey": external_key(subject), "Name": safe(subject.segment.name), "IsSendable": key is not None}
    if key:
        content["SendableDataExtensionField"] = {"Name": key}
        content["SendableSubscriberField"] = {"Name": "Subscriber Key"}
    content["Fields"] = [_field(subject, column) for column in subject.columns]
    return as_json(content)


def _field(subject: Subject, column: MappedColumn) -> dict[str, Any]:
    kind = _kind(subject, column)
    field: dict[str, Any] = {"Name": column.name, "FieldType": kind}
    if kind in ("Text", "EmailAddress"):  # the length of a Phone field is not documented
        field["MaxLength"] = subject.length(column)
    return {**field, "IsPrimaryKey": column.name in subject.key, "IsRequired": column.mandatory or column.name in subject.key}


def _kind(subject: Subject, column: MappedColumn) -> str:
    """Long integers and decimals are Text: a Number may be too short, and a Decimal wants digits that nobody has said."""
    known = subject.standard(column)
    if known:
        return known.kind
    if is_moment(column) and column.name not in subject.key:  # a Date cannot be a primary key
        return "Date"
    if column.kind is not None and pa.types.is_boolean(column.kind):
        return "Boolean"
    if column.kind is not None and pa.types.is_integer(column.kind) and column.kind.bit_width <= 32:
        return "Number"
    return "Text"


def _import_file(subject: Subject) -> bytes:
    config = subject.config
    return as_json(
        {
            "name": safe(subject.segment.name),
            "customerKey": external_key(subject),
            "source": {"c__type": "File Location", "r__fileLocation_name": file_location(config)},
            "destination": {"c__type": "DataExtension", "r__dataExtension_key": external_key(subject)},
            "fileNamingPattern": pattern(subject),
            "fileType": FILE_TYPES.get(config.file.delimiter, "Other"),
            "encodingName": "utf-8",
            "dateFormatLocale": "en-US",
            "hasColumnHeader": config.file.header,
            "standardQuotedStrings": config.file.quoting != "none",
            "fieldMappingType": "InferFromColumnHeadings" if config.file.header else "MapByOrdinal",
            "fieldMappings": [],
            "allowErrors": True,
            "c__blankFileProcessing": "Fail",
            "c__dataAction": "AddUpdate" if subject.key else "Overwrite",
            "c__subscriberImportType": "DataExtension",
            "maxFileAgeHours": 24,  # so that a missing file is not replaced by yesterday's
            "deleteFile": False,
        }
    )


def _import_definition(subject: Subject) -> bytes:
    config, key = subject.config, external_key(subject)
    kind = FILE_TYPES.get(config.file.delimiter, "Other")
    content: dict[str, Any] = {
        "Name": safe(subject.segment.name),
        "CustomerKey": key,
        "DestinationObject": {"CustomerKey": key},
        "RetrieveFileTransferLocation": {"CustomerKey": file_location(config)},
        "FileSpec": pattern(subject),
        "FileType": kind,
        **({"Delimiter": config.file.delimiter} if kind == "Other" else {}),
        "HeaderLines": int(config.file.header),
        "FieldMappingType": "InferFromColumnHeadings" if config.file.header else "MapByOrdinal",
        "UpdateType": "AddAndUpdate" if subject.key else "Overwrite",
        "AllowErrors": True,
        "StandardQuotedStrings": config.file.quoting != "none",
        "NullRepresentation": config.file.null_text,
        "DateFormattingLocale": "en-US",
        "MaxFileAge": 24,
        "DeleteFile": False,
    }
    return as_json(content)


MAKERS: dict[str, Maker] = {
    "dataExtension-meta.json": Maker(_data_extension),
    "importFile-meta.json": Maker(_import_file),
    "importDefinition.json": Maker(_import_definition),
}
