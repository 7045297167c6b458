"""Row rules: what the values of a row must be, judged by the engine in the pass that computes the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import RowRuleConfig, RulesConfig
from courier.errors import ConfigError, nearest
from courier.expressions import trimmed
from courier.mapping import MappedColumn, Mapping
from courier.patterns import portable

if TYPE_CHECKING:
    from pyspark.sql import Column

REJECTED = "rejected: "
#: What follows the day in a timestamp without a format of its own, as files have it (`render.dialect`), for the engine.
TIME_PATTERN = "'T'HH:mm:ss'Z'"


def resolve(config: RulesConfig, mapping: Mapping) -> dict[str, MappedColumn]:
    """The column of each rule, by the rule's name. A column is named by its name or its XDM path; of several with that path it is the
    first that shows the value and not its digest.
    """
    found = {}
    for name, rule in config.rows.items():
        named = [each for each in mapping.columns if each.name == rule.column]
        of_path = sorted((each for each in mapping.columns if each.source == rule.column), key=lambda each: each.hashed)
        column = next(iter([*named, *of_path]), None)
        if column is None:
            choices = [*mapping.header, *(each.source for each in mapping.columns)]
            raise ConfigError(
                "A row rule is about a column that the mapping has not",
                where=f"rules.rows.{name}",
                found=rule.column,
                fix=nearest(rule.column, choices),
            )
        _assert_alike(name, rule, column)
        found[name] = column
    return found


def _assert_alike(name: str, rule: RowRuleConfig, column: MappedColumn) -> None:
    """Raise ConfigError for what engines would judge differently."""
    where = f"rules.rows.{name}"
    if rule.regex is not None:
        portable(rule.regex, where)
    if rule.max_integer_digits is not None or rule.max_decimals is not None:
        _assert_number(where, column)
    reads_text = rule.regex is not None or rule.min_length is not None or rule.max_length is not None or bool(rule.allowed)
    if reads_text and column.kind is not None and pa.types.is_floating(column.kind):
        raise ConfigError(
            "A row rule cannot judge the text of fractions, which is not the same everywhere",
            where=where,
            found=f"'{column.name}' of type {column.kind}",
            fix="give the column a format, such as 0.00",
        )


def _assert_number(where: str, column: MappedColumn) -> None:
    if column.kind is not None and not xdm.is_number(column.kind):
        raise ConfigError(
            "A row rule counts the digits of what is no number", where=where, found=f"'{column.name}' of type {column.kind}", fix="regex"
        )


def rejected(config: RulesConfig, columns: dict[str, MappedColumn]) -> Column:
    """`rejected: <rule>` for the first rule that rejects the row, or null."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    reasons = [
        F.when(_fails(rule, columns[name]), F.lit(REJECTED + name)) for name, rule in config.rows.items() if rule.on_failure == "reject"
    ]
    return F.coalesce(*reasons) if reasons else F.lit(None).cast("string")


def noted(config: RulesConfig, columns: dict[str, MappedColumn]) -> Column:
    """The names of the other rules that the row fails, with commas between; null where it fails none."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    names = [F.when(_fails(rule, columns[name]), F.lit(name)) for name, rule in config.rows.items() if rule.on_failure != "reject"]
    return F.nullif(F.concat_ws(",", *names), F.lit("")) if names else F.lit(None).cast("string")


def _text(value: Column, kind: pa.DataType | None) -> Column:
    """The text that the file has."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    if kind is not None and xdm.is_text(kind):
        return value
    if kind is not None and pa.types.is_timestamp(kind):  # no pattern, since engines write years of five digits each in its own way
        return F.concat(value.cast("date").cast("string"), F.date_format(value, TIME_PATTERN))
    return value.cast("string")


def _fails(rule: RowRuleConfig, column: MappedColumn) -> Column:
    """Null passes all tests but `required`."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    value = F.col(column.engine_name)
    text = _text(value, column.kind)
    fails = F.lit(False)
    if rule.required:
        fails = fails | text.isNull() | (trimmed(text) == "")
    if rule.regex is not None:
        fails = fails | F.coalesce(~text.rlike(portable(rule.regex, rule.column)), F.lit(False))
    if rule.min_length is not None:
        fails = fails | F.coalesce(F.length(text) < rule.min_length, F.lit(False))
    if rule.max_length is not None:
        fails = fails | F.coalesce(F.length(text) > rule.max_length, F.lit(False))
    if rule.allowed:
        fails = fails | F.coalesce(~text.isin(*rule.allowed), F.lit(False))
    if rule.max_integer_digits is not None:
        least = F.lit(10**rule.max_integer_digits)
        fails = fails | F.coalesce((value >= least) | (value <= -least), F.lit(False))
    if rule.max_decimals is not None and not (column.kind is not None and pa.types.is_integer(column.kind)):
        fails = fails | F.coalesce(value != F.round(value, rule.max_decimals), F.lit(False))
    return fails
