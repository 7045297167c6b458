"""What a row is: groups mapping, dedup, export and rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from courier import layouts
from courier.config.limits import SAFE_ID, at_least, one_of
from courier.errors import ConfigError, nearest

TRIGGERS = ("membership", "attributes", "identity")
#: Letters of date patterns that all engines read alike.
DATE_PATTERN = re.compile(r"(?:yyyy|yy|MM|dd|HH|mm|ss|SSS|XXX|'[^']*'|[^A-Za-z'#{}])+")


@dataclass
class ColumnConfig:
    """One column of the file. Where its values come from is one of `source`, `expression` and `identity`.

    `default` replaces null (not the empty text); with `mandatory`, rows without a value are excluded.
    """

    source: str = ""  # XDM path; or membership.status and its like, see docs/mapping.md
    expression: str = ""  # Spark SQL over XDM paths
    identity: str = ""  # a namespace of identityMap
    take: str = "first"  # identity only: first | primary | all (joined)
    join: str | None = None  # an array of values becomes text with this between them
    json: bool = False  # an array, map or struct becomes JSON
    hash: str = ""  # sha256 | md5 | sha256_email | sha256_phone: in place of the value
    format: str = ""  # dates and timestamps: a pattern such as dd.MM.yyyy; numbers: 0.00
    zone: str = ""  # timestamps: shown in this time zone instead of UTC
    default: str | None = None
    mandatory: bool = False


@dataclass
class MappingConfig:
    """The columns of the file, in order, by name. One row per `deduplication_key`; with none, one row per profile."""

    columns: dict[str, ColumnConfig] = field(default_factory=dict)
    deduplication_key: list[str] = field(default_factory=list)
    fan_out: str | None = None  # one row for each identity of this namespace; `identity.id` is its value

    def __post_init__(self) -> None:
        if not self.columns:
            raise ConfigError("mapping.columns is empty", expected="one column or more: {name: {source: XDM path}}")
        folded: dict[str, str] = {}
        for name, column in self.columns.items():
            _check_name("A column of the mapping", name)
            _check_column(name, column)
            if name.casefold() in folded:
                raise ConfigError(
                    "Two columns have one name (upper and lower case count as the same, as importers take them)",
                    where="mapping.columns",
                    found=f"'{folded[name.casefold()]}' and '{name}'",
                )
            folded[name.casefold()] = name
        for key in self.deduplication_key:
            if key not in self.columns:
                raise ConfigError("mapping.deduplication_key names no column", found=key, fix=nearest(key, self.columns))


def _check_name(what: str, name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise ConfigError(f"{what} has an empty or unprintable name", found=repr(name))


def _check_column(name: str, column: ColumnConfig) -> None:
    where = f"mapping.columns.{name}"
    origins = [key for key in ("source", "expression", "identity") if getattr(column, key).strip()]
    if not origins:
        raise ConfigError(f"The column '{name}' has no source", where="mapping.columns", expected=f"{name}: {{source: XDM path}}")
    if len(origins) > 1:
        raise ConfigError(
            f"The column '{name}' has more than one source",
            where=where,
            found=", ".join(origins),
            expected="one of them",
            fix=f'what the chosen mapping has is taken away by the empty text: {name}: {{{origins[0]}: "", {origins[1]}: …}}',
        )
    one_of(f"{where}.take", column.take, ("first", "primary", "all"))
    if column.take != "first" and not column.identity:
        raise ConfigError(f"The column '{name}' cannot take '{column.take}'", where=where, fix="take belongs to identity: NAMESPACE")
    if column.identity and column.join is not None and column.take != "all":
        raise ConfigError(
            f"The column '{name}' joins what is one identity", where=where, found=f"take: {column.take}", fix="take: all, or leave out join"
        )
    if column.hash:
        one_of(f"{where}.hash", column.hash, ("sha256", "md5", "sha256_email", "sha256_phone"))
    if column.json and column.join is not None:
        raise ConfigError(f"The column '{name}' is either joined or JSON", where=where, found="join and json")
    if column.format and not (DATE_PATTERN.fullmatch(column.format) or re.fullmatch(r"0(\.0{1,18})?", column.format)):
        raise ConfigError(
            f"The format of the column '{name}' cannot be used",
            where=f"{where}.format",
            found=column.format,
            expected="for dates yyyy yy MM dd HH mm ss SSS XXX and text in single quotes; for numbers 0 or 0.00",
        )
    layouts.check_minutes(f"{where}.format", column.format)


@dataclass
class DedupConfig:
    """How duplicates are found, beyond mapping.deduplication_key.

    `identity`: by the identities of a namespace, of which each gets a row. `scope`: `row` drops older rows of a key;
    `profile` drops every row of a profile that has an older row of any key, which is Adobe's rule. `normalize` compares
    keys trimmed and in lower case, and leaves the values as they are.
    """

    identity: str | None = None
    scope: str = "row"
    normalize: bool = False

    def __post_init__(self) -> None:
        one_of("dedup.scope", self.scope, ("row", "profile"))


def check_identities(mapping: MappingConfig, dedup: DedupConfig) -> None:
    """Raise ConfigError for what deduplication by identity would silently pass over."""
    if not dedup.identity:
        return
    if mapping.fan_out not in (None, dedup.identity):
        found = f"mapping.fan_out {mapping.fan_out} and dedup.identity {dedup.identity}"
        raise ConfigError("Rows are fanned out over one namespace", found=found, fix="leave out mapping.fan_out")
    known = [name for name, column in mapping.columns.items() if column.source == "identity.id"]
    if known and not set(mapping.deduplication_key) <= set(known):
        raise ConfigError(
            "Rows are deduplicated either by identity or by a key",
            found=f"dedup.identity {dedup.identity} and mapping.deduplication_key [{', '.join(mapping.deduplication_key)}]",
            expected=f"[] or [{', '.join(known)}]",
            fix="mapping.deduplication_key=[]",
        )


@dataclass
class ExportConfig:
    """What of an audience is sent: all of it, or what has changed since the last published run of this activation."""

    mode: str = "full"
    layout: str = "single"  # single: one file with a status column | separate: files added, changed and removed
    triggers: list[str] = field(default_factory=lambda: ["membership", "attributes"])
    reset: bool = False  # begin anew with all of it
    status_column: str = "status"  # added to incremental files of one layout where no column shows the status

    def __post_init__(self) -> None:
        one_of("export.mode", self.mode, ("full", "incremental"))
        one_of("export.layout", self.layout, ("single", "separate"))
        for trigger in self.triggers:
            one_of("export.triggers", trigger, TRIGGERS)
        _check_name("The column export.status_column", self.status_column)
        if "membership" not in self.triggers:
            raise ConfigError("export.triggers must hold membership", found=str(self.triggers), expected="[membership, …]")

    @property
    def incremental(self) -> bool:
        return self.mode == "incremental"

    @property
    def separate(self) -> bool:
        return self.incremental and self.layout == "separate"


@dataclass
class RowRuleConfig:
    """One rule about the values of one column. Null passes all but `required`.

    on_failure: keep (counted), reject (the row is not sent, and listed), hold (the audience is not sent).
    """

    column: str = ""
    required: bool = False
    regex: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    allowed: list[str] = field(default_factory=list)
    max_integer_digits: int | None = None  # of numbers: before the point
    max_decimals: int | None = None  # of numbers: after the point, without zeros at the end
    on_failure: str = "reject"

    def check(self, where: str) -> None:
        one_of(f"{where}.on_failure", self.on_failure, ("keep", "reject", "hold"))
        limits = (self.regex, self.min_length, self.max_length, self.max_integer_digits, self.max_decimals)
        if not (self.required or self.allowed or any(limit is not None for limit in limits)):
            raise ConfigError(
                "A row rule tests nothing",
                where=where,
                found=self.column,
                expected="required, regex, min_length, max_length, allowed, max_integer_digits or max_decimals",
            )
        if self.min_length is not None and self.max_length is not None and self.min_length > self.max_length:
            found = f"min_length {self.min_length} and max_length {self.max_length}"
            raise ConfigError("A row rule cannot be met", where=where, found=found)
        for key in ("max_integer_digits", "max_decimals"):
            if getattr(self, key) is not None:
                one_of(f"{where}.{key}", str(getattr(self, key)), tuple(map(str, range(19))))
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as exc:
                raise ConfigError(
                    "A row rule has no valid regular expression", where=f"{where}.regex", found=f"{self.regex!r}: {exc.msg}"
                ) from exc


@dataclass
class RulesConfig:
    """Rules about rows, by name, judged in the pass that computes them. Beyond a limit of rejects the audience is held."""

    rows: dict[str, RowRuleConfig] = field(default_factory=dict)
    max_rejected_rows: int | None = None
    max_rejected_percent: float | None = None  # of the members

    def __post_init__(self) -> None:
        for name, rule in self.rows.items():
            if not SAFE_ID.fullmatch(name):
                raise ConfigError("A row rule has a name that cannot be a reason", found=repr(name), expected="letters, digits, . _ -")
            rule.check(f"rules.rows.{name}")
        for key in ("max_rejected_rows", "max_rejected_percent"):
            if getattr(self, key) is not None:
                at_least(f"rules.{key}", getattr(self, key), 0)
