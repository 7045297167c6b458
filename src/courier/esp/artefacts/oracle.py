"""Eloqua: a Bulk API import definition, and a sheet for the import tool. Responsys: a sheet for the Connect job, a supplemental
table, and the call that starts the job.

Sources: docs.oracle.com op-api-bulk-2.0-contacts-imports-post.html, import-characteristics.htm, bulk-limits.htm;
op-rest-api-v1.3 (suppData, connectJobs).
"""

from __future__ import annotations

import pyarrow as pa

from courier import xdm
from courier.config import RunConfig
from courier.esp.artefacts.subject import Maker, Subject, as_json, as_sheet, identifier, is_moment
from courier.esp.configuration import header, key
from courier.esp.oracle_eloqua import BULK_FIELDS
from courier.mapping import MappedColumn
from courier.names import safe

NAME_CHARACTERS = 100
#: Texts of Responsys have one of these lengths. Source: docs.oracle.com OMCEZ data-types-fieldnames.htm
TEXTS = (25, 50, 100, 255, 500)


def _statement(subject: Subject, column: MappedColumn) -> str:
    """Eloqua's name of a contact field. It gives custom ones a 1 at the end (secondary: public clients on GitHub)."""
    return subject.target(column) or f"C_{identifier(column.name, 90)}1"


def _fits_bulk(config: RunConfig) -> bool:
    """The Bulk API takes fewer fields than a file can have; with more there is no definition."""
    return len(header(config)) <= BULK_FIELDS and _has_key(config)


def _has_key(config: RunConfig) -> bool:
    return bool(key(config))


def _bulk_import(subject: Subject) -> bytes:
    return as_json(
        {
            "name": safe(subject.segment.name)[:NAME_CHARACTERS],
            "fields": {column.name: f"{{{{Contact.Field({_statement(subject, column)})}}}}" for column in subject.columns},
            "identifierFieldName": subject.key[0],
            "isSyncTriggeredOnImport": False,
            "updateRule": "ifNewIsNotNull",
            "isUpdatingMultipleMatchedRecords": False,
            "dataRetentionDuration": "P1D",
            "autoDeleteDuration": "P7D",
        }
    )


def _eloqua_sheet(subject: Subject) -> bytes:
    rows = [
        [
            column.name,
            _statement(subject, column),
            kind := _eloqua_type(column),
            _length(subject, column, kind),
            _yes(column.name in subject.key),
        ]
        for column in subject.columns
    ]
    return as_sheet(["column of the file", "contact field", "type", "length", "match field"], rows)


def _eloqua_type(column: MappedColumn) -> str:
    if is_moment(column):
        return "date"
    return "numeric" if column.kind is not None and xdm.is_number(column.kind) else "text"


def _length(subject: Subject, column: MappedColumn, kind: str) -> int | str:
    """Of texts alone: numbers and times have none."""
    return (subject.length(column) or "") if kind.startswith(("text", "STR", "CHAR")) else ""


def _yes(condition: bool) -> str:
    return "yes" if condition else ""


def _responsys_type(subject: Subject, column: MappedColumn) -> str:
    known = subject.standard(column)
    if known:
        return known.kind
    if is_moment(column):
        return "TIMESTAMP"
    if column.kind is not None and pa.types.is_integer(column.kind):
        return "INTEGER"
    if column.kind is not None and (pa.types.is_floating(column.kind) or pa.types.is_decimal(column.kind)):
        return "NUMBER"
    return f"STR{TEXTS[-1]}"


def _connect_sheet(subject: Subject) -> bytes:
    rows = []
    for column in subject.columns:
        target, kind = subject.target(column) or f"{column.name} (your own)", _responsys_type(subject, column)
        rows.append([column.name, target, kind, _length(subject, column, kind), _yes(column.name in subject.key)])
    return as_sheet(["column of the file", "field of the profile list", "type", "length", "match column"], rows)


def _supplemental_table(subject: Subject) -> bytes:
    """Names of fields of your own end without _, so those of system fields lose it; a table wants a primary key."""
    return as_json(
        {
            "table": {"objectName": identifier(subject.segment.name, 30).upper()},
            "fields": [
                {"fieldName": column.name.rstrip("_"), "fieldType": _responsys_type(subject, column), "dataExtractionKey": False}
                for column in subject.columns
            ],
            "primaryKeys": [name.rstrip("_") for name in subject.key],
        }
    )


def _trigger(_: Subject) -> bytes:
    """The job has to exist and to be active; {jobId} is its id."""
    return as_json({"method": "PUT", "path": "/rest/api/v1.3/connectJobs/{jobId}/trigger"})


ELOQUA: dict[str, Maker] = {"bulk-import.json": Maker(_bulk_import, _fits_bulk), "mapping.csv": Maker(_eloqua_sheet)}
RESPONSYS: dict[str, Maker] = {
    "mapping.csv": Maker(_connect_sheet),
    "supplemental-table.json": Maker(_supplemental_table, _has_key),
    "connect-trigger.json": Maker(_trigger),
}
