"""What becomes of a value on its way to a column: one of several identities, joined, as JSON, hashed, formatted.

Each takes what builds a value, and gives what builds the shaped one, so that a mapping is resolved without an engine.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import ColumnConfig
from courier.errors import ConfigError, SourceError, nearest
from courier.expressions import formatted, in_zone, normalized

if TYPE_CHECKING:
    from pyspark.sql import Column

Build = Callable[[], "Column"]


def column_named(name: str) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return F.col(name)


def identities(column: ColumnConfig, alias: str) -> Build:
    """Identities of one namespace, which are in the column `alias`: the first, the first primary one, or all of them joined."""

    def build() -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        identities = F.col(alias)
        if column.take == "all":
            return _joined(F.transform(identities, lambda identity: identity["id"]), ";" if column.join is None else column.join)
        if column.take == "primary":
            identities = F.filter(identities, lambda identity: identity["primary"])
        return F.get(identities, F.lit(0))["id"]

    return build


def _joined(texts: Column, between: str) -> Column:
    """Nulls inside are left out; where nothing remains the whole is null."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    texts = F.filter(texts, lambda text: text.isNotNull())
    return F.when(F.size(texts) > 0, F.array_join(texts, between))


def shaped(name: str, column: ColumnConfig, kind: pa.DataType | None, build: Build) -> tuple[pa.DataType | None, Build]:
    """Apply join, json, hash and format, in this order, and refuse what is not one value in the end."""
    where = f"mapping.columns.{name}"
    complex_kind = kind is not None and not xdm.is_scalar(kind)
    if column.json or (column.join is not None and not column.identity):
        if not complex_kind and kind is not None:
            raise ConfigError(f"The column '{name}' is one value already", where=where, found=str(kind), fix="leave out join and json")
        build, kind = _flattened(column, kind, build, where), pa.string()
    elif complex_kind:
        assert kind is not None
        if not (pa.types.is_struct(kind) or pa.types.is_map(kind) or xdm.is_array(kind)):
            raise SourceError(
                f"'{column.source}' is of a type that has no text",
                where=where,
                found=str(kind),
                expected="text, a number, a boolean, a date or a timestamp",
                fix="write the profiles with one of these",
            )
        raise SourceError(
            f"'{column.source}' is {xdm.describe(kind)}, not one value",
            where=where,
            expected=_one_value(column.source, kind),
        )
    if column.hash:
        if kind is not None and not xdm.is_text(kind):
            raise ConfigError(f"The column '{name}' cannot be hashed", where=where, found=f"type {kind}", expected="text")
        build, kind = _hashed(column.hash, build), pa.string()
    if column.format or column.zone:
        build, kind = _formatted(name, column, kind, build), pa.string()
    return kind, build


def _one_value(source: str, kind: pa.DataType) -> str:
    """What to write in place of a source that is an array, a struct or a map."""
    if not xdm.is_array(kind):
        return "a path that goes on to one of its fields, or json: true"
    first, *rest = xdm.parse(source)
    if first == "identityMap" and len(rest) == 1:  # as Adobe writes an identity
        return f"identity: {rest[0]} in place of the source"
    if _is_joined(kind):
        return f"{source}[0], or join: ';' or json: true"
    return f"{source}[0]" if xdm.is_scalar(kind.value_type) else f"a path that goes on from {source}[0] to one value, or json: true"


def _is_joined(kind: pa.DataType) -> bool:
    return xdm.is_array(kind) and xdm.is_scalar(kind.value_type) and not pa.types.is_floating(kind.value_type)


def _flattened(column: ColumnConfig, kind: pa.DataType | None, build: Build, where: str) -> Build:
    if column.json:
        if kind is None:
            raise ConfigError("An expression cannot become JSON", where=where, expected="json: true with a source")
        _assert_alike_in_json(kind, where)
    elif kind is not None and not _is_joined(kind):
        found = f"{xdm.describe(kind)} of {kind.value_type}" if xdm.is_array(kind) else xdm.describe(kind)
        raise ConfigError("Only an array of texts or whole numbers can be joined", where=where, found=found, fix="json: true")

    def built() -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        return _lower_case_escapes(F.to_json(build())) if column.json else _joined(build().cast("array<string>"), str(column.join))

    return built


#: Control characters with a letter in their number, which Spark writes in upper case.
WITH_LETTERS = [format(number, "04x") for number in range(0x20) if chr(number) not in "\b\t\n\f\r" and number % 16 > 9]


def _lower_case_escapes(json: Column) -> Column:
    """`\\u000B` as `\\u000b`. A backslash of the value itself is two in JSON; they stand aside meanwhile, as what no JSON has."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    apart = F.lit("\x01")
    changed = F.replace(json, F.lit("\\\\"), apart)
    for digits in WITH_LETTERS:
        changed = F.replace(changed, F.lit(f"\\u{digits.upper()}"), F.lit(f"\\u{digits}"))
    return F.when(json.contains("\\u00"), F.replace(changed, apart, F.lit("\\\\"))).otherwise(json)


def _assert_alike_in_json(kind: pa.DataType, where: str) -> None:
    """Engines write texts, whole numbers and booleans alike in JSON; times and fractions each in its own way."""
    if pa.types.is_map(kind) or pa.types.is_struct(kind) or xdm.is_array(kind):
        inside = [kind.item_type] if pa.types.is_map(kind) else [kind.value_type] if xdm.is_array(kind) else [each.type for each in kind]
        for each in inside:
            _assert_alike_in_json(each, where)
    elif not (xdm.is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(
            "JSON can hold texts, whole numbers and booleans",
            where=where,
            found=f"type {kind}",
            fix="map the fields that you need as columns of their own",
        )


def _hashed(how: str, build: Build) -> Build:
    """In lower-case hexadecimal digits. Emails as addresses are compared, null where nothing is left, whose digest would pass for
    somebody; phones in E.164 (+ and digits), null where they have no country code or more than a number, such as an extension.

    Source: Adobe's identity namespaces Email_LC_SHA256 and Phone_SHA256_E.164.
    """

    def built() -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        value = build()
        if how == "md5":
            return F.md5(value)
        if how == "sha256_email":
            address = normalized(value)
            value = F.when(address != "", address)  # Spark 3.5 cannot resolve `nullif` of what is found in an array
        if how == "sha256_phone":
            bare = F.regexp_replace(F.regexp_replace(value, r"\(0\)", ""), r"[ \t\n\r\u00A0()./-]", "")
            digits = F.regexp_replace(bare, "^00", "+")
            value = F.when(digits.rlike(r"^\+[1-9][0-9]{6,14}\z"), digits)
        return F.sha2(value, 256)

    return built


def _formatted(name: str, column: ColumnConfig, kind: pa.DataType | None, build: Build) -> Build:
    where = f"mapping.columns.{name}"
    number = column.format.startswith("0")
    if column.zone:
        if column.zone not in zoneinfo.available_timezones():
            raise ConfigError(
                "A time zone is unknown", where=where, found=column.zone, fix=nearest(column.zone, zoneinfo.available_timezones())
            )
        if not column.format or "XXX" in column.format or (kind is not None and not pa.types.is_timestamp(kind)):
            raise ConfigError(
                "A zone belongs to a timestamp with a format without XXX", where=where, found=f"type {kind}, format '{column.format}'"
            )
    if kind is not None and not (xdm.is_number(kind) if number else pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        raise ConfigError(
            f"The column '{name}' cannot have this format",
            where=where,
            found=f"type {kind}",
            expected="a number" if number else "a date or timestamp",
        )

    def built() -> Column:
        value = build()
        if number:
            return _decimal(value, len(column.format.partition(".")[2]), floating=kind is not None and pa.types.is_floating(kind)).cast(
                "string"
            )
        return formatted(in_zone(value, column.zone) if column.zone else value, column.format)

    return built


def _decimal(value: Column, digits: int, *, floating: bool) -> Column:
    """Half goes up, away from zero. By way of text, since engines make other decimals of a double such as 1.005; not so where
    the text has an exponent, which not all engines read. Null where it does not fit, or is no number.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    kind = f"decimal(38,{digits})"
    value = value.cast("double") if floating else value
    exact = F.coalesce(_try_cast(value.cast("string"), kind), _try_cast(value, kind))
    if not floating:
        return exact
    whole = F.when((value >= -(2.0**63)) & (value < 2.0**63), value.cast("bigint"))
    return F.when(F.abs(value) >= 1e15, _try_cast(whole, kind)).otherwise(exact)


def _try_cast(value: Column, kind: str) -> Column:
    """Spark 3.5 has it in SQL only, which cannot name such a value; there numbers are read as those of JSON are."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    if hasattr(type(value), "try_cast"):  # of an instance, any name is a field
        return value.try_cast(kind)
    return F.from_json(F.concat(F.lit('{"v":'), value.cast("string"), F.lit("}")), f"v {kind}")["v"]
