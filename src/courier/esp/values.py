"""Rules about values, as row rules, which the engine judges in its pass. Changes of values are in `fitting`, and counted by rules here.

What a policy does to a row that breaks a rule: `fail` holds the audience, `reject` leaves the row out, `warn` counts it.
`fix` changes the value first: a text that is too long is cut, blanks around an address go, a telephone number gets the
platform's form, a birthday that is no month and day is left empty. What cannot be mended is rejected, but for telephone
numbers, and addresses where no document says what they are, which are sent as they are, and counted. An address, a number, a key and a digest are never cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from courier import xdm
from courier.config import ColumnConfig, RowRuleConfig, RulesConfig, RunConfig
from courier.errors import ConfigError
from courier.esp.base import MONTH_AND_DAY, Platform, Source
from courier.esp.changes import fixes
from courier.esp.platforms import platform_of
from courier.mapping import Mapping

ACTIONS = {"fail": "hold", "reject": "reject", "warn": "keep"}
BIRTHDAY = "^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
#: What a changed value leaves behind for its row rule to find.
CHANGED, UNCHANGED = "changed", "as it was"


@dataclass(frozen=True)
class ValueRule:
    """One rule about one column, as it is judged. With `fixed` its rows are those whose value was changed. With `numbers` it is of
    columns of numbers, which columns are known to be when the engine has typed them.
    """

    rule: str
    column: str
    test: RowRuleConfig
    expected: str
    source: Source
    fixed: bool = False
    numbers: bool = False

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


def row_rules(config: RunConfig, mapping: Mapping) -> RulesConfig:
    """The row rules for these columns: without those about numbers where a column is none, about lengths where it is no text, and
    about changes that no value of it can have.
    """
    kinds = {column.name: column.kind for column in mapping.columns}
    marked = {fixed.rule for _, fixed in fixes(mapping)}
    strange = {
        rule.name
        for rule in value_rules(config)
        if (rule.fixed and rule.name not in marked) or ((kind := kinds[rule.column]) is not None and not _is_about(rule, kind))
    }
    return replace(config.rules, rows={name: rule for name, rule in config.rules.rows.items() if name not in strange})


def _is_about(rule: ValueRule, kind: pa.DataType) -> bool:
    if rule.numbers:
        return xdm.is_number(kind)
    return rule.rule != "length" or xdm.is_text(kind)


def _of_column(config: RunConfig, platform: Platform, name: str, column: ColumnConfig) -> Iterator[ValueRule]:
    standard = platform.column(name, column.source, hashed=bool(column.hash))
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
    if standard is None:
        yield from _numbers(config, platform, name)
    limit = platform.length(standard, hashed=bool(column.hash)) if role != "birthday" else None  # its own rule says it
    if limit:
        yield from _long(config, name, limit, cuttable=_cuttable(config, name, role))


def _numbers(config: RunConfig, platform: Platform, name: str) -> Iterator[ValueRule]:
    """Standard columns are texts all."""
    if platform.number:
        most, after = platform.number.integer_digits, platform.number.decimals
        action = ACTIONS[_policy(config, "number", platform.number.source)]
        formatted = config.mapping.columns[name].format.startswith("0")  # a number that is a text by now
        test = RowRuleConfig(column=name, max_integer_digits=most, max_decimals=after, on_failure=action)
        if formatted:
            test = RowRuleConfig(column=name, regex=rf"^-?[0-9]{{1,{most}}}(\.[0-9]{{1,{after}}}0*)?$", on_failure=action)
        expected = f"a number of at most {most} digits before the point, and {after} after it"
        yield ValueRule("number", name, test, expected, platform.number.source, numbers=not formatted)
    if platform.empty_number and _policy(config, "empty_number", platform.empty_number) == "reject":
        test = RowRuleConfig(column=name, required=True)
        yield ValueRule("empty_number", name, test, "a number that is there", platform.empty_number, numbers=True)


def _cuttable(config: RunConfig, name: str, role: str) -> bool:
    hashed = bool(config.mapping.columns[name].hash)  # a digest that is cut is nobody's
    return not hashed and role not in ("email", "phone", "key") and name not in config.mapping.deduplication_key


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
        yield _fixed("email", name, email.blanks or email.source, "no blanks around it")
    unfixed = "reject" if email.source.documented else "warn"  # no row is left out for what is only our choice
    yield _rule(config, "email", name, email.source, email.expected, unfixed=unfixed, regex=email.pattern)


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
