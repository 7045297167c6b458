"""Rules about values: as row rules, which the engine judges in its pass, and as changes of values, which it counts there.

What a policy does to a row that breaks a rule: `fail` holds the audience, `reject` leaves the row out, `warn` counts it.
`fix` changes the value first: a text that is too long is cut, blanks around an address go, a telephone number gets the
platform's form, a birthday that is no month and day is left empty. What cannot be mended is rejected, but for telephone
numbers, which are sent as they are, and counted. An address, a number and a key are never cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import ColumnConfig, RowRuleConfig, RunConfig
from courier.errors import ConfigError
from courier.esp.base import MONTH_AND_DAY, Platform, Source, StandardColumn
from courier.esp.changes import Fixed, cut, dated, fixes, matching, phone, trimmed
from courier.esp.platforms import platform_of
from courier.mapping import MappedColumn, Mapping

if TYPE_CHECKING:
    from pyspark.sql import Column

ACTIONS = {"fail": "hold", "reject": "reject", "warn": "keep"}
BIRTHDAY = "^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
#: What a changed value leaves behind for its row rule to find.
CHANGED, UNCHANGED = "changed", "as it was"


@dataclass(frozen=True)
class ValueRule:
    """One rule about one column, as it is judged. With `fixed` its rows are those whose value was changed."""

    rule: str
    column: str
    test: RowRuleConfig
    expected: str
    source: Source
    fixed: bool = False

    @property
    def name(self) -> str:
        """Of the row rule, and so in counts and lists of rejects. Signs that a reason cannot have become their numbers."""
        column = re.sub(r"[^A-Za-z0-9_-]", lambda sign: f".{ord(sign[0]):x}.", self.column)
        return f"esp_{self.rule}_{column}{'.fixed' if self.fixed else ''}"


def value_rules(config: RunConfig) -> list[ValueRule]:
    """All rules about values for this mapping, in its order."""
    platform = platform_of(config)
    if platform is None:
        return []
    found: list[ValueRule] = []
    for name, column in config.mapping.columns.items():
        found += _of_column(config, platform, name, column)
    return found


def with_row_rules(config: RunConfig) -> RunConfig:
    """The configuration with the platform's rules beside the user's. Raises ConfigError where the user has one of that name."""
    rows = {rule.name: rule.test for rule in value_rules(config)}
    taken = sorted(set(rows) & set(config.rules.rows))
    if taken:
        raise ConfigError("A row rule has a name that the rules of the platform have", where="rules.rows", found=taken[0], fix="rename it")
    return replace(config, rules=replace(config.rules, rows={**config.rules.rows, **rows})) if rows else config


def _of_column(config: RunConfig, platform: Platform, name: str, column: ColumnConfig) -> Iterator[ValueRule]:
    standard = platform.column(name, column.source)
    role = standard.role if standard and not column.hash else ""
    if role == "email":
        yield from _email(config, platform, name)
    if role == "phone":
        yield from _phone(config, platform, name)
    if role == "birthday":
        expected = "a month and a day, MM-DD"
        fixing = config.esp.policy("birthday") == "fix"
        yield (
            _fixed("birthday", name, MONTH_AND_DAY, expected)
            if fixing
            else _rule(config, "birthday", name, MONTH_AND_DAY, expected, regex=BIRTHDAY)
        )
    if standard and standard.allowed and standard.name.casefold() == name.casefold():  # under another name it may have other values
        yield _rule(config, "value", name, standard.source, " or ".join(standard.allowed), allowed=list(standard.allowed))
    limit = _length(platform, standard, role)
    if limit:
        yield from _long(config, name, limit, cuttable=_cuttable(config, name, role))


def _length(platform: Platform, standard: StandardColumn | None, role: str) -> tuple[int, Source] | None:
    if role == "birthday":
        return None  # its own rule says it
    if standard and standard.length:
        return standard.length, standard.source
    return platform.text_length if standard is None else None


def _cuttable(config: RunConfig, name: str, role: str) -> bool:
    return role not in ("email", "phone", "key") and name not in config.mapping.deduplication_key


def _policy(config: RunConfig, rule: str, source: Source) -> str:
    return "warn" if source.confidence == "memory" else config.esp.policy(rule)


def _rule(  # noqa: PLR0913
    config: RunConfig,
    rule: str,
    name: str,
    source: Source,
    expected: str,
    *,
    unfixed: str = "reject",
    regex: str | None = None,
    max_length: int | None = None,
    allowed: list[str] | None = None,
) -> ValueRule:
    """`unfixed`: what is done about what `fix` leaves."""
    policy = _policy(config, rule, source)
    action = ACTIONS[unfixed if policy == "fix" else policy]
    test = RowRuleConfig(column=name, regex=regex, max_length=max_length, allowed=allowed or [], on_failure=action)
    return ValueRule(rule, name, test, expected, source)


def _fixed(rule: str, name: str, source: Source, expected: str) -> ValueRule:
    return ValueRule(rule, name, RowRuleConfig(column=name, allowed=[UNCHANGED], on_failure="keep"), expected, source, fixed=True)


def _email(config: RunConfig, platform: Platform, name: str) -> Iterator[ValueRule]:
    email = platform.email
    if _policy(config, "email", email.source) == "fix":
        yield _fixed("email", name, email.source, "no blanks around it")
    yield _rule(config, "email", name, email.source, email.expected, regex=email.pattern)


def _phone(config: RunConfig, platform: Platform, name: str) -> Iterator[ValueRule]:
    source = platform.phone.source
    expected = "E.164, such as +46701234567" if platform.phone.form == "plus" else "digits with the country code, such as 46701234567"
    if _policy(config, "phone", source) == "fix":
        yield _fixed("phone", name, source, expected)
    yield _rule(config, "phone", name, source, expected, unfixed="warn", regex=platform.phone.pattern)


def _long(config: RunConfig, name: str, limit: tuple[int, Source], *, cuttable: bool) -> Iterator[ValueRule]:
    most, source = limit
    expected = f"at most {most} characters"
    if cuttable and _policy(config, "length", source) == "fix":
        yield _fixed("length", name, source, expected)
    else:
        yield _rule(config, "length", name, source, expected, max_length=most)


# Changes


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
    standard = platform.column(name, config.mapping.columns[name].source) if name in config.mapping.columns else None
    limit = _length(platform, standard, "")
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
            if config.esp.policy(rule) == "fail" and source.documented:
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
    number = kind is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    if platform.empty_number and number and not column.mandatory:
        what = "an empty number is an error, unless the column allows NULL in the import"
        yield "empty_number", platform.empty_number, what, "allow it there, or give it a value here: expression: coalesce(…, 0)"
