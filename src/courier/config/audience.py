"""Who is exported: groups audience, consent and suppression."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from courier.config.limits import SAFE_ID, at_least, no_login, one_of, required
from courier.errors import ConfigError

#: Adobe's own limit for one destination.
MOST_SEGMENTS = 250


@dataclass
class SegmentConfig:
    """One segment. The name is for people and file names, where signs that servers refuse become `_`; without one the id is
    used. `namespace`: the audience's, if empty.
    """

    id: str = ""
    name: str = ""
    namespace: str = ""

    def __post_init__(self) -> None:
        if not self.id.strip():
            named = f"the segment named '{self.name}'" if self.name else "a segment with neither id nor name"
            raise ConfigError("A segment of audience.segments has no id", found=named, expected="{id: SEGMENT_ID, name: NAME}")
        self.name = self.name or self.id
        if re.search(r"[\x00-\x1f\x7f/\\]", self.id) or self.id.strip(". ") != self.id.strip(" ") or not self.id.isprintable():
            raise ConfigError(
                "A segment's id cannot be part of a file name",
                where="audience.segments",
                found=repr(self.id),
                expected="no slashes, control characters, or dots at the ends",
            )

    @property
    def key(self) -> str:
        """What tells this audience from the others of its activation, from one run to the next."""
        return f"{self.namespace}/{self.id}"


@dataclass
class AudienceConfig:
    """Which segments to export. `segments` takes ids, or {id, name, namespace}. `organization` and `sandbox` are for file names."""

    segments: list[Any] = field(default_factory=list)
    namespace: str = "ups"
    organization: str = ""
    sandbox: str = ""
    all_or_nothing: bool = False  # one audience that is held holds the others, too

    def __post_init__(self) -> None:
        required("audience.namespace", self.namespace)
        if not self.segments:
            raise ConfigError("audience.segments is empty", expected="one segment id or more", fix="audience.segments=[SEGMENT_ID]")
        if len(self.segments) > MOST_SEGMENTS:
            raise ConfigError("audience.segments has too many segments", found=str(len(self.segments)), expected=f"at most {MOST_SEGMENTS}")
        self.segments = [self._segment(entry) for entry in self.segments]
        keys = [segment.key for segment in self.segments]
        if len(set(keys)) < len(keys):
            raise ConfigError("audience.segments names a segment twice", found=next(key for key in keys if keys.count(key) > 1))

    def _segment(self, entry: Any) -> SegmentConfig:
        if isinstance(entry, SegmentConfig):
            return entry
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if not isinstance(value, str | int) or isinstance(value, bool):  # YAML reads 12e4, true and null as no text
                raise ConfigError("audience.segments has a value that is no text", found=str(value), fix="put the id or the name in quotes")
        if not isinstance(entry, dict):
            return SegmentConfig(id=str(entry), namespace=self.namespace)
        unknown = set(entry) - {"id", "name", "namespace"}
        if unknown:
            raise ConfigError("audience.segments has an unknown key", found=", ".join(map(str, unknown)), expected="id, name, namespace")
        return SegmentConfig(**{"namespace": self.namespace, **{key: str(value) for key, value in entry.items()}})


@dataclass
class ConsentConfig:
    """Who may be written to. Codes are those of XDM's consents (data type Consents and Preferences).

    `auto` applies the rule where the source has consents; `required` refuses a source that has none; `off` sends
    without asking, and the run's record says so.
    """

    rule: str = "auto"  # auto | required | off
    channel: str = "email"
    unknown: str = "exclude"  # exclude | include: profiles that have said neither yes nor no
    #: `y` yes, `dy` yes by default, and the legal bases besides consent: legitimate interest, contract, compliance with
    #: a law, vital interest, public interest.
    granted: list[str] = field(default_factory=lambda: ["y", "dy", "LI", "CT", "CP", "VI", "PI"])
    denied: list[str] = field(default_factory=lambda: ["n", "dn"])

    def __post_init__(self) -> None:
        one_of("consent.rule", self.rule, ("auto", "required", "off"))
        one_of("consent.unknown", self.unknown, ("exclude", "include"))
        required("consent.channel", self.channel)
        both = set(self.granted) & set(self.denied)
        if both:
            raise ConfigError("A code cannot both grant and deny consent", where="consent", found=", ".join(sorted(both)))


@dataclass
class SuppressionListConfig:
    """Addresses that get nothing: a Parquet or CSV file, folder or glob with one column of emails or of hashes of them."""

    path: str = ""
    column: str = ""
    form: str = "plain"  # plain | sha256 | md5; a hash is of the trimmed, lower-case text, in hexadecimal digits

    def check(self, where: str) -> None:
        required(f"{where}.path", self.path)
        no_login(f"{where}.path", self.path)
        required(f"{where}.column", self.column)
        one_of(f"{where}.form", self.form, ("plain", "sha256", "md5"))


@dataclass
class SuppressionConfig:
    """Lists by name. `source`: the XDM path whose value is looked up, trimmed and in lower case."""

    lists: dict[str, SuppressionListConfig] = field(default_factory=dict)
    source: str = "personalEmail.address"

    def __post_init__(self) -> None:
        for name, listed in self.lists.items():
            if not SAFE_ID.fullmatch(name):
                raise ConfigError(
                    "A suppression list has a name that cannot be a reason", found=repr(name), expected="letters, digits, . _ -"
                )
            listed.check(f"suppression.lists.{name}")


@dataclass
class GuardConfig:
    """The size of each audience that is let through. What is beyond is held (exit code 3) and can be released.

    The size is the number of rows that a full file has; `max_change_percent` compares it with the last published run.
    """

    min_rows: int | None = None
    max_rows: int | None = None
    max_change_percent: float | None = None

    def __post_init__(self) -> None:
        for key in ("min_rows", "max_rows", "max_change_percent"):
            if getattr(self, key) is not None:
                at_least(f"guard.{key}", getattr(self, key), 0)
        if self.min_rows is not None and self.max_rows is not None and self.min_rows > self.max_rows:
            raise ConfigError("guard.min_rows is above guard.max_rows", found=f"{self.min_rows} > {self.max_rows}")
