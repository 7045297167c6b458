"""Keys and names of columns against the rules of the platform, before any profile is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from courier.config import RunConfig
from courier.errors import ConfigError
from courier.esp.base import Platform, Source
from courier.esp.platforms import platform_of
from courier.mapping import with_status
from courier.names import macros, parsed

#: Placeholders of file.name that make another name of each run.
CHANGING = {"datetime", "date", "timestamp", "as_of", "run_id"}

#: What is no key of its own.
LABELS = {"file.encrypted": "encryption (file.encrypt_to)"}


@dataclass(frozen=True)
class Violation:
    """One key or name that breaks a rule."""

    rule: str
    where: str
    found: str
    expected: str
    why: str
    source: Source

    def __str__(self) -> str:
        return f"{self.why}: {self.where} is {self.found}, expected {self.expected} [{self.rule}; {self.source}]"


def check_configuration(config: RunConfig) -> list[str]:
    """Warnings about what the platform may not take. Raises ConfigError for the first thing that the policy of its rule refuses:
    with `fail` what documentation says is not taken, with `strict` also what others say, with `warn` nothing.
    """
    platform = platform_of(config)
    if platform is None:
        return []
    found = list(violations(config, platform))
    for violation in found:
        if violation.source.refuses(config.esp.policy(violation.rule)):
            taken = "does not take this" if violation.source.documented else "may not take this"
            raise ConfigError(
                f"{platform.title} {taken}: {violation.why}",
                where=violation.where,
                found=violation.found,
                expected=violation.expected,
                fix=f"change it, or esp.policies.{violation.rule}=warn. Source: {violation.source}",
            )
    warnings = [f"{platform.title}: {violation}" for violation in found]
    if config.export.incremental:
        warnings.append(f"{platform.title}: {platform.exits.text} [{platform.exits.source}]")
    return warnings


def violations(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    yield from _settings(config, platform)
    yield from _both(config, platform)
    yield from _headers(config, platform)
    yield from _columns(config, platform)
    yield from _key(config, platform)
    yield from _name(config, platform)
    yield from _formats(config, platform)


def _settings(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    for setting in platform.settings:
        value: Any = config
        for part in setting.key.split("."):
            value = getattr(value, part, None)
        # A transport without this key has no choice there; what is said of quotes is for dialects that have them.
        unquoted = config.file.quoting == "none" and setting.key in ("file.quote", "file.escape")
        if value is not None and value not in setting.allowed and not unquoted:
            expected = " or ".join(map(_shown, setting.allowed))
            yield Violation(setting.rule, LABELS.get(setting.key, setting.key), _shown(value), expected, setting.why, setting.source)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _both(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    source = platform.compression_or_encryption
    if source and config.file.compression != "none" and config.file.encrypted:
        found = f"{config.file.compression} and encryption"
        why = "the import decompresses or decrypts, and never does both (OpenPGP compresses by itself)"
        yield Violation("compression", "file.compression", found, "'none' with encryption", why, source)


def header(config: RunConfig) -> list[str]:
    """The columns of the files: those of the mapping, and the status where an incremental export adds it."""
    return list(with_status(config.mapping.columns, config.export))


def _headers(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    names = header(config)
    if platform.max_columns and len(names) > platform.max_columns[0]:
        most, note = platform.max_columns
        yield Violation("header", "mapping.columns", f"{len(names)} columns", f"at most {most}", note.text, note.source)
    rule = platform.header
    for name in names if rule else ():
        assert rule is not None
        if name.upper() in rule.system:
            continue
        if not re.fullmatch(rule.pattern, name) or len(name) > rule.max_length or name.casefold() in rule.reserved:
            yield Violation("header", f"mapping.columns.{name}", repr(name), rule.expected, "the name cannot be a field's", rule.source)


def _columns(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    folded = {name.casefold(): name for name in header(config)}
    for wanted, note in platform.expected_columns:
        if wanted.casefold() not in folded:
            # A rule of another way of import, documented there: it tells what to expect here, and refuses nothing.
            source = Source(note.source.document, "our choice")
            yield Violation("columns", "mapping.columns", f"no column {wanted}", wanted, note.text, source)
    standard = {column.name.casefold(): column.name for column in platform.columns}
    if platform.exact_header:
        for key, name in folded.items():
            if key in standard and standard[key] != name:
                why = "names of columns have to be those of the fields, in upper and lower case"
                yield Violation("header", f"mapping.columns.{name}", repr(name), repr(standard[key]), why, platform.exact_header)
    paths = {column.source for column in config.mapping.columns.values()}
    for column in platform.columns:
        if column.required and column.name.casefold() not in folded and column.path not in paths:
            why = "the import is made with this column, and without it finds or reaches nobody"
            yield Violation("columns", "mapping.columns", f"no column {column.name}", column.name, why, Source("the presets", "our choice"))
    known = {*standard, *(field.name.casefold() for field in platform.fields)}
    strange = [name for name in config.mapping.columns if name.casefold() not in known]
    added = [name for name in header(config) if name not in config.mapping.columns and name.casefold() not in known]
    if added:
        why = f"column `{added[0]}` needs a field of that name at the platform"
        yield Violation("columns", "export.status_column", added[0], "a field that is there", why, Source("the presets", "our choice"))
    if strange:
        why = "columns of your own are imported only where the platform has such fields"
        shown = ", ".join(strange[:10])
        yield Violation(
            "columns", "mapping.columns", shown, "fields that are there, mapped in the import", why, Source("the presets", "our choice")
        )


def key(config: RunConfig) -> list[str]:
    """The columns that a row is found by: with deduplication by identity that of the identity, as it is in the files."""
    if config.dedup.identity:
        return [name for name, column in config.mapping.columns.items() if column.source == "identity.id"]
    return list(config.mapping.deduplication_key)


def _key(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    names, rule = key(config), platform.key
    if not names:
        yield Violation("key", "mapping.deduplication_key", "[]", "a key that is there and unique in each row", rule.why, rule.source)
    if len(names) > rule.most:
        yield Violation("key", "mapping.deduplication_key", ", ".join(names), f"at most {rule.most} columns", rule.why, rule.source)
    for apart in rule.apart:
        both = [name for name in names if name.upper() in apart]
        if len(both) > 1:
            yield Violation(
                "key", "mapping.deduplication_key", ", ".join(both), "one of them", "they are not matched together", rule.source
            )
    strange = [name for name in names if rule.columns and name.upper() not in rule.columns]
    if strange:
        yield Violation("key", "mapping.deduplication_key", ", ".join(strange), " or ".join(rule.columns), rule.why, rule.source)


def _name(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    read = macros(parsed("file.name", config.file.name))
    on_s3, changing = platform.name_on_s3, [macro.written for macro in read if macro.name in CHANGING]
    timed = [macro.written for macro in read if macro.name in CHANGING - {"date"}]
    if on_s3 and timed and config.destination.kind == "s3":
        yield Violation("name", "file.name", ", ".join(timed), "{date}, or a name that stays", on_s3.text, on_s3.source)
    note = platform.fixed_name
    if note is None:
        return
    if changing:
        yield Violation("name", "file.name", ", ".join(changing), "a name that stays", note.text, note.source)
    elif config.destination.on_conflict == "fail" and not config.export.incremental:  # which would lose changes by replacing
        why = "the name stays the same, so a second run finds the file of the first where the import has not removed it"
        yield Violation("name", "destination.on_conflict", "fail", "'replace'", why, note.source)


def _formats(config: RunConfig, platform: Platform) -> Iterator[Violation]:
    """A format of the user's own is kept, so it has to be one that the import reads."""
    dates = platform.dates
    for name, column in config.mapping.columns.items():
        number = column.format.startswith("0")
        if column.format and not number and not dates.reads(column.format):
            expected = " or ".join(dict.fromkeys((dates.date, dates.timestamp)))
            yield Violation("date", f"mapping.columns.{name}.format", column.format, expected, dates.own.text, dates.own.source)
