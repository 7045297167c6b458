"""What is exported: groups source, audience, mapping and checks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from courier.config.limits import key_pair, one_of, required
from courier.errors import ConfigError, nearest

SEVERITIES = ("critical", "warning", "info")


@dataclass
class SourceConfig:
    """Parquet profiles: a folder, a file or a glob; on local disk or s3://. The S3 keys are ignored for local paths."""

    path: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None

    def __post_init__(self) -> None:
        required("source.path", self.path)
        key_pair("source", self.access_key_id_env, self.secret_access_key_env)


@dataclass
class SegmentConfig:
    """One segment. The name is for people and file names, where signs that servers refuse become `_`; without one the id is used."""

    id: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        required("audience.segments[].id", self.id)
        self.name = self.name or self.id
        if re.search(r"[\x00-\x1f\x7f/\\]", self.id) or self.id.strip(". ") != self.id.strip(" ") or not self.id.isprintable():
            raise ConfigError(
                "A segment's id cannot be part of a file name",
                where="audience.segments",
                found=repr(self.id),
                expected="no slashes, control characters, or dots at the ends",
            )


@dataclass
class AudienceConfig:
    """Which segments to export. `segments` takes ids, or {id, name}. `organization` and `sandbox` are for file names."""

    segments: list[Any] = field(default_factory=list)
    namespace: str = "ups"
    organization: str = ""
    sandbox: str = ""

    def __post_init__(self) -> None:
        required("audience.namespace", self.namespace)
        if not self.segments:
            raise ConfigError("audience.segments is empty", expected="one segment id or more", fix="audience.segments=[SEGMENT_ID]")
        self.segments = [self._segment(entry) for entry in self.segments]
        ids = [segment.id for segment in self.segments]
        if len(set(ids)) < len(ids):
            raise ConfigError("audience.segments names a segment twice", found=next(i for i in ids if ids.count(i) > 1))

    @staticmethod
    def _segment(entry: Any) -> SegmentConfig:
        if isinstance(entry, SegmentConfig):
            return entry
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if not isinstance(value, str | int) or isinstance(value, bool):  # YAML reads 12e4, true and null as no text
                raise ConfigError("audience.segments has a value that is no text", found=str(value), fix="put the id or the name in quotes")
        if not isinstance(entry, dict):
            return SegmentConfig(id=str(entry))
        unknown = set(entry) - {"id", "name"}
        if unknown:
            raise ConfigError("audience.segments has an unknown key", found=", ".join(map(str, unknown)), expected="id, name")
        return SegmentConfig(**{key: str(value) for key, value in entry.items()})


@dataclass
class ColumnConfig:
    """One column of the file: the XDM path that it comes from. `default` replaces null (not the empty text)."""

    source: str = ""
    default: str | None = None
    mandatory: bool = False


@dataclass
class MappingConfig:
    """The columns of the file, in order, by name. One row per `deduplication_key`; with none, one row per profile."""

    columns: dict[str, ColumnConfig] = field(default_factory=dict)
    deduplication_key: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.columns:
            raise ConfigError("mapping.columns is empty", expected="one column or more: {name: {source: XDM path}}")
        folded: dict[str, str] = {}
        for name, column in self.columns.items():
            if not name.strip() or not name.isprintable():
                raise ConfigError("A column of the mapping has an empty or unprintable name", found=repr(name))
            if not column.source.strip():
                raise ConfigError(f"The column '{name}' has no source", where="mapping.columns", expected=f"{name}: {{source: XDM path}}")
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


@dataclass
class ExpectationConfig:
    """One Great Expectations expectation.

    An argument `column` (or `column_A`, `column_list`, …) is a column name of the mapping or the XDM path it comes from.
    With `optional`, the expectation is left out where the mapping has no such column.
    """

    type: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    severity: str = "critical"
    optional: bool = False

    def __post_init__(self) -> None:
        required("checks.expectations.*.type", self.type)
        one_of("checks.expectations.*.severity", self.severity, SEVERITIES)


@dataclass
class ChecksConfig:
    expectations: dict[str, ExpectationConfig] = field(default_factory=dict)
