"""Columns as the platform reads them, once the engine has typed them: values are changed as its rules ask for, and types are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import RunConfig
from courier.errors import ConfigError
from courier.esp.base import Platform, Source
from courier.esp.changes import Fixed, cut, dated, fixes, matching, phone
from courier.esp.platforms import platform_of
from courier.esp.values import BIRTHDAY, CHANGED, ValueRule, value_rules
from courier.expressions import trimmed
from courier.mapping import MappedColumn, Mapping

if TYPE_CHECKING:
    from pyspark.sql import Column


def fitted(config: RunConfig, mapping: Mapping) -> Mapping:
    """The mapping, typed, with the changes that the platform's rules ask for."""
    platform = platform_of(config)
    if platform is None:
        return mapping
    changing = {(rule.column, rule.rule): rule for rule in value_rules(config) if rule.fixed}
    columns = [_fitted(config, platform, column, changing) for column in mapping.columns]
    by_name = {column.engine_name: column for column in columns}
    return replace(mapping, columns=columns, key=[by_name[column.engine_name] for column in mapping.key])


def _fitted(config: RunConfig, platform: Platform, column: MappedColumn, changing: dict[tuple[str, str], ValueRule]) -> MappedColumn:
    if column.kind is not None and _is_moment(column.kind):
        if config.esp.policy("date") != "fix":
            return column
        pattern = platform.dates.date if pa.types.is_date(column.kind) else platform.dates.timestamp
        assert column.build is not None
        return replace(column, build=dated(column.build, pattern), kind=pa.string())
    if column.kind is None or not xdm.is_text(column.kind):
        return column
    for rule, change in _changes(config, platform, column.name):
        if (column.name, rule) in changing:
            assert column.build is not None
            column = replace(column, build=Fixed(changing[column.name, rule].name, f"{rule}_{column.engine_name}", column.build, change))
    return column


def _changes(config: RunConfig, platform: Platform, name: str) -> Iterator[tuple[str, Callable[[Column], Column]]]:
    yield "email", trimmed
    yield "birthday", lambda value: matching(value, BIRTHDAY)
    yield "phone", lambda value: phone(value, platform.phone.form)
    known = config.mapping.columns.get(name)
    hashed = known is not None and bool(known.hash)
    standard = platform.column(name, known.source, hashed=hashed) if known else None
    limit = platform.length(standard, hashed=hashed)
    if limit:
        yield "length", lambda value: cut(value, limit[0])


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def marks(mapping: Mapping) -> list[Column]:
    """One column for each change: whether it changed the value of a row. For the pass that judges rows."""
    return [fixed.mark(CHANGED) for _, fixed in fixes(mapping)]


def marked(found: dict[str, MappedColumn], mapping: Mapping) -> dict[str, MappedColumn]:
    """The columns of row rules, where those that count changes look at the marks."""
    return {**found, **{fixed.rule: replace(column, engine_name=fixed.alias, kind=pa.string()) for column, fixed in fixes(mapping)}}


def check_columns(config: RunConfig, mapping: Mapping) -> list[str]:
    """Warnings about types of columns, known as soon as the engine has typed them. Raises ConfigError as policies say."""
    platform = platform_of(config)
    if platform is None:
        return []
    warnings = []
    for column in mapping.columns:
        for rule, source, what, fix in _of_kind(config, platform, column):
            if config.esp.policy(rule) == "fail" and source.refuses("fail"):
                raise ConfigError(
                    f"{platform.title}: {what}", where=f"mapping.columns.{column.name}", fix=f"{fix}. Source: {source.document}"
                )
            warnings.append(f"{platform.title}: column '{column.name}': {what}; {fix} [{rule}; {source}]")
    return warnings


def _of_kind(config: RunConfig, platform: Platform, column: MappedColumn) -> Iterator[tuple[str, Source, str, str]]:
    kind = column.kind
    if kind is not None and _is_moment(kind) and config.esp.policy("date") != "fix":
        wanted = platform.dates.date if pa.types.is_date(kind) else platform.dates.timestamp
        yield "date", platform.dates.source, "dates are written in another form than its import reads", f"set its format to {wanted}"
    number = kind is not None and xdm.is_number(kind)
    if platform.empty_number and number and not column.mandatory and config.esp.policy("empty_number") != "reject":
        what = "an empty number is an error, unless the column allows NULL in the import"
        yield "empty_number", platform.empty_number, what, "allow it there, or give it a value here: expression: coalesce(…, 0)"
