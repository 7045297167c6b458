"""Adobe Campaign learns a format from a sample file, and asks the rest of each column in a form: the sheet says what to fill in.

Sources: AdobeDocs/campaign-classic.en help/workflow/using/data-loading-file.md, AdobeDocs/campaign-standard.en
help/automating/using/load-file.md. The format of exported workflows is not published, so none is written.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pyarrow as pa

from courier import xdm
from courier.esp.artefacts.subject import Maker, Subject, as_sheet, is_moment
from courier.mapping import MappedColumn
from courier.render.dialect import Dialect

#: Invented people, of a domain that is nobody's.
SAMPLES = {
    "personalEmail.address": ("anna.sample@example.com", "bo.sample@example.com", "cleo.sample@example.com"),
    "mobilePhone.number": ("+46700000001", "+46700000002", "+46700000003"),
    "person.name.firstName": ("Anna", "Bo", "Cleo"),
    "person.name.lastName": ("Sample", "Sample", "Sample"),
    "homeAddress.city": ("Sampleton", "Sampleton", "Sampleton"),
    "homeAddress.stateProvince": ("US-CA", "US-NY", "US-TX"),
    "homeAddress.postalCode": ("01234", "00501", "75001"),
    "person.birthDayAndMonth": ("01-31", "02-28", "12-24"),
    "loyalty.loyaltyID[0]": ("0001", "0002", "0003"),
}
#: As Adobe's form calls them.
NULLS, NO_NULLS, ON_ERROR = "Empty value allowed", "Always populated", "Reject line"


def _sample(subject: Subject) -> bytes:
    """Three invented rows, as the files are written, but for compression and encryption."""
    columns = {f"c{number}": _values(subject, column) for number, column in enumerate(subject.columns)}
    dialect = Dialect(subject.config.file, [column.name for column in subject.columns])
    return dialect.opening() + dialect.lines(pl.DataFrame(columns))[0]


def _values(subject: Subject, column: MappedColumn) -> list[str]:
    if is_moment(column):
        moments = [datetime(2026, 1, day, 12, 30, tzinfo=None) for day in (1, 15, 31)]  # noqa: DTZ001  invented
        assert column.kind is not None
        form = "%Y/%m/%d" if pa.types.is_date(column.kind) else "%Y/%m/%d %H:%M:%S"
        return [moment.strftime(form) for moment in moments]
    if column.kind is not None and xdm.is_number(column.kind):
        return ["1", "20", "300"]
    if column.kind is not None and pa.types.is_boolean(column.kind):
        return ["true", "false", "true"]
    known = subject.standard(column)
    return list(SAMPLES.get(known.path if known else column.source, ("sample one", "sample two", "sample three")))


def _type(column: MappedColumn) -> str:
    if column.kind is None:
        return "string"
    if is_moment(column):
        return "date" if pa.types.is_date(column.kind) else "date and time"
    return "number" if xdm.is_number(column.kind) else "string"


def _sheet(subject: Subject) -> bytes:
    """One row a column of the file: what to choose for it in the loading activity, and where it goes."""
    rows = []
    for column in subject.columns:
        formats = subject.platform.dates
        form = "" if not is_moment(column) else formats.date if _type(column) == "date" else formats.timestamp
        nulls = NO_NULLS if column.mandatory else NULLS
        target = subject.target(column) or "(your own)"
        key = "yes" if column.name in subject.key else ""
        rows.append([column.name, column.name, _type(column), subject.length(column) or "", form, nulls, ON_ERROR, target, key])
    return as_sheet(["name", "label", "type", "length", "date format", "NULL", "error processing", "target", "reconciliation key"], rows)


MAKERS: dict[str, Maker] = {"sample.txt": Maker(_sample), "columns.csv": Maker(_sheet)}
