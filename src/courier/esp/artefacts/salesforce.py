"""Marketing Cloud: a data extension and an import definition, as Accenture's mcdev deploys them, and the fields of the same
import for the SOAP API.

Sources: Accenture/sfmc-devtools lib/metadataTypes/definitions/{DataExtension,ImportFile}.definition.js and its test resources
(secondary); developer.salesforce.com importdefinition.html; classes derived from the WSDL (secondary).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from courier.config import RunConfig, S3Config
from courier.esp.artefacts.subject import Maker, Subject, as_json, is_moment, stem
from courier.esp.configuration import CHANGING
from courier.esp.salesforce_marketing_cloud import PATTERNS
from courier.mapping import STATUS, MappedColumn
from courier.names import macros, parsed, safe

#: External keys have at most so many characters. Source: developer.salesforce.com creating_a_data_extension_using_web_service_api
KEY_CHARACTERS = 36
#: Of accounts with the Enhanced SFTP. A location on S3 is named by whoever sets it up.
ENHANCED_SFTP = "ExactTarget Enhanced FTP"
FILE_TYPES = {",": "CSV", "\t": "TAB"}


def external_key(config: RunConfig, ordinal: int) -> str:
    name = stem(config, ordinal)
    return name if len(name) <= KEY_CHARACTERS else safe(config.audience.segments[ordinal].id)[:KEY_CHARACTERS]


def _key(subject: Subject) -> str:
    return external_key(subject.config, subject.ordinal)


def _by_status(config: RunConfig) -> bool:
    """Whether one file has both who is to be there and who is to go."""
    return config.export.incremental and not config.export.separate


def file_location(config: RunConfig) -> str:
    """The name that the location has at the platform: of one on S3 the bucket's, which the guide says to give it."""
    return config.destination.bucket if isinstance(config.destination, S3Config) else ENHANCED_SFTP


def pattern(subject: Subject) -> str:
    """How the import finds the file: a name with the day, where file.name has no other time; else the name of the file that
    started the automation. A File Transfer activity before it takes endings like .gz and .gpg away.
    """
    changing = {macro.name for macro in macros(parsed("file.name", subject.config.file.name))} & CHANGING
    if changing - {"date"}:
        return "%%FILENAME_FROM_TRIGGER%%"
    return subject.text_name({"date": "".join(PATTERNS)})


def _data_extension(subject: Subject) -> bytes:
    names = [column.name for column in subject.columns]
    key = next((each.name for each in subject.platform.columns if each.role == "key" and each.name in names), None)
    content: dict[str, Any] = {
        "CustomerKey": _key(subject),
        "Name": subject.stem,
        "r__folder_Path": "Data Extensions",
        "IsSendable": key is not None,
    }
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
    if column.hashed:  # a digest is neither an address nor a number
        return "Text"
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
    """For what mcdev knows: Add, AddUpdate, Overwrite and Update."""
    config = subject.config
    kind = FILE_TYPES.get(config.file.delimiter, "Other")
    return as_json(
        {
            "name": subject.stem,
            "customerKey": _key(subject),
            "source": {"c__type": "File Location", "r__fileLocation_name": file_location(config)},
            "destination": {"c__type": "DataExtension", "r__dataExtension_key": _key(subject)},
            "fileNamingPattern": pattern(subject),
            "fileType": kind,
            **({"otherDelimiter": config.file.delimiter} if kind == "Other" else {}),
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
    config, key = subject.config, _key(subject)
    kind = FILE_TYPES.get(config.file.delimiter, "Other")
    content: dict[str, Any] = {
        "Name": subject.stem,
        "CustomerKey": key,
        "DestinationObject": {"CustomerKey": key},
        "RetrieveFileTransferLocation": {"CustomerKey": file_location(config)},
        "FileSpec": pattern(subject),
        "FileType": kind,
        **({"Delimiter": config.file.delimiter} if kind == "Other" else {}),
        "HeaderLines": int(config.file.header),
        "FieldMappingType": "InferFromColumnHeadings" if config.file.header else "MapByOrdinal",
        **_update(subject),
        "AllowErrors": True,
        "StandardQuotedStrings": config.file.quoting != "none",
        "NullRepresentation": config.file.null_text,
        "DateFormattingLocale": "en-US",
        "MaxFileAge": 24,
        "DeleteFile": False,
    }
    return as_json(content)


def _update(subject: Subject) -> dict[str, Any]:
    if not _by_status(subject.config):
        return {"UpdateType": "AddAndUpdate" if subject.key else "Overwrite"}
    status = next(column.name for column in subject.columns if column.source == STATUS)
    actions = [{"Value": "realized", "Action": "AddAndUpdate"}, {"Value": "exited", "Action": "Delete"}]
    return {
        "UpdateType": "ColumnBased",
        "ControlColumn": status,
        "ControlColumnDefaultAction": "Skip",
        "ControlColumnActions": {"ControlColumnAction": actions},
    }


MAKERS: dict[str, Maker] = {
    # mcdev skips a file whose name is not the external key.
    "dataExtension-meta.json": Maker(_data_extension, stem=external_key),
    "importFile-meta.json": Maker(_import_file, lambda config: not _by_status(config), external_key),
    "importDefinition.json": Maker(_import_definition),
}
