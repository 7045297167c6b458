"""The configuration: one dataclass per folder of conf/, and the only schema there is.

Unknown keys and wrong types are refused when Hydra's result is merged into these classes; limits are checked when an
object is constructed. Secrets are never values here: a key ending in `_env` holds the name of an environment variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from courier.errors import ConfigError, nearest

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SEVERITIES = ("critical", "warning", "info")


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} has a value that it cannot have", found=value, expected=" | ".join(allowed), fix=nearest(value, allowed))


def _at_least(key: str, value: float, least: float) -> None:
    if value < least:
        raise ConfigError(f"{key} is too small", found=str(value), expected=f"at least {least}")


def _required(key: str, value: str) -> None:
    if not value.strip():
        raise ConfigError(f"{key} is not set", fix=f"set it in the activation or on the command line: {key}=…")


def _inside(key: str, path: str) -> None:
    if ".." in path.replace("\\", "/").split("/"):
        raise ConfigError(f"{key} may not lead out of the target folder", found=path, expected="a path without '..'")


@dataclass
class EngineConfig:
    """Where DataFrames are computed. `settings` goes to the Spark session as it is."""

    kind: str = "sail"
    master: str | None = None  # spark only; what spark-submit gives wins
    remote: str | None = None  # connect only: sc://host:port
    driver_memory: str = "2g"  # spark only, and only where this process starts the JVM
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("engine.kind", self.kind, ("sail", "spark", "connect"))
        if self.kind == "connect":
            _required("engine.remote", self.remote or "")


@dataclass
class SourceConfig:
    """Parquet profiles: a folder, a file or a glob; on local disk or s3://. The S3 keys are ignored for local paths."""

    path: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None

    def __post_init__(self) -> None:
        _required("source.path", self.path)
        if bool(self.access_key_id_env) != bool(self.secret_access_key_env):
            raise ConfigError("source.access_key_id_env and source.secret_access_key_env go together", found="only one of the two")


@dataclass
class SegmentConfig:
    """One segment. The name is for people and file names; without one the id is used."""

    id: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        _required("audience.segments[].id", self.id)
        self.name = self.name or self.id
        for key, value in (("id", self.id), ("name", self.name)):
            if re.search(r"[\x00-\x1f\x7f/\\]", value) or value.strip(". ") != value.strip(" ") or not value.isprintable():
                raise ConfigError(
                    f"A segment's {key} cannot be part of a file name",
                    where="audience.segments",
                    found=repr(value),
                    expected="no slashes, control characters, or dots at the ends",
                    fix="give the segment a plain `name`",
                )


@dataclass
class AudienceConfig:
    """Which segments to export. `segments` takes ids, or {id, name}."""

    segments: list[Any] = field(default_factory=list)
    namespace: str = "ups"

    def __post_init__(self) -> None:
        _required("audience.namespace", self.namespace)
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
        _required("checks.expectations.*.type", self.type)
        _one_of("checks.expectations.*.severity", self.severity, SEVERITIES)


@dataclass
class ChecksConfig:
    expectations: dict[str, ExpectationConfig] = field(default_factory=dict)


@dataclass
class FileConfig:
    """How a file is written. The defaults are RFC 4180 with a header, in UTF-8."""

    name: str = "{activation}_{segment_name}_{datetime}"
    extension: str = "csv"
    delimiter: str = ","
    quoting: str = "minimal"
    escape: str = "double"
    header: bool = True
    encoding: str = "utf-8"
    line_ending: str = "lf"
    null_text: str = ""
    empty_text: str = '""'
    max_rows: int = 5_000_000
    on_empty: str = "header"

    LINE_ENDINGS: ClassVar[dict[str, str]] = {"lf": "\n", "crlf": "\r\n"}

    def __post_init__(self) -> None:
        _one_of("file.quoting", self.quoting, ("minimal", "all"))
        _one_of("file.escape", self.escape, ("double", "backslash"))
        _one_of("file.encoding", self.encoding, ("utf-8", "utf-8-sig"))
        _one_of("file.line_ending", self.line_ending, tuple(self.LINE_ENDINGS))
        _one_of("file.on_empty", self.on_empty, ("header", "skip", "fail"))
        _at_least("file.max_rows", self.max_rows, 1)
        if len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n\\\0':
            raise ConfigError(
                "file.delimiter cannot be used", found=repr(self.delimiter), expected='one ASCII character other than " \\ and line ends'
            )
        if not re.fullmatch(r"([A-Za-z0-9]{1,16}(\.[A-Za-z0-9]{1,16})?)?", self.extension):
            raise ConfigError(
                "file.extension cannot be used", found=repr(self.extension), expected="letters and digits, such as csv or txt, or nothing"
            )
        special = r'["\r\n\\]' if self.escape == "backslash" else r'["\r\n]'
        for key, text in (("null_text", self.null_text), ("empty_text", self.empty_text)):
            if (text != '""' and re.search(special, text)) or self.delimiter in text:
                raise ConfigError(
                    f"file.{key} would be read as something else",
                    found=repr(text),
                    expected='text without quotes, line ends, the delimiter and, with file.escape=backslash, backslashes; or two quotes (""), an empty quoted field',
                )


@dataclass
class StateConfig:
    """Where runs are recorded and snapshots kept: a private local folder."""

    path: str = "state"

    def __post_init__(self) -> None:
        _required("state.path", self.path)
        if "://" in self.path:
            raise ConfigError("state.path must be a folder on a local disk", found=self.path)
        if re.search(r"[*?\[\]{}]|%[0-9A-Fa-f]{2}", str(Path(self.path).absolute())):
            raise ConfigError(
                "state.path has characters that engines take for a pattern", found=self.path, expected="a path without * ? [ ] { } and %20"
            )


@dataclass
class DestinationConfig:
    """What all destinations have. `name` appears in the manifest's name and in file names."""

    kind: str = ""
    name: str = ""
    path: str = ""
    on_conflict: str = "fail"  # fail | replace: what to do where a file of that name exists
    connections: int = 4

    def __post_init__(self) -> None:
        self.name = self.name or self.kind
        if not SAFE_ID.fullmatch(self.name):
            raise ConfigError("destination.name cannot be part of a file name", found=repr(self.name), expected="letters, digits, . _ -")
        _one_of("destination.on_conflict", self.on_conflict, ("fail", "replace"))
        _at_least("destination.connections", self.connections, 1)


@dataclass
class LocalConfig(DestinationConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        _required("destination.path", self.path)


@dataclass
class S3Config(DestinationConfig):
    """Without the two `_env` keys, AWS's default credential chain is used."""

    bucket: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    addressing: str = "auto"  # auto | path | virtual
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    part_bytes: int = 32 * 1024 * 1024
    timeout_seconds: float = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        _required("destination.bucket", self.bucket)
        _inside("destination.path", self.path)
        _one_of("destination.addressing", self.addressing, ("auto", "path", "virtual"))
        _at_least("destination.part_bytes", self.part_bytes, 5 * 1024 * 1024)  # S3's own least size of a part
        _at_least("destination.timeout_seconds", self.timeout_seconds, 0.1)
        if bool(self.access_key_id_env) != bool(self.secret_access_key_env):
            raise ConfigError(
                "destination.access_key_id_env and destination.secret_access_key_env go together", found="only one of the two"
            )


@dataclass
class SftpConfig(DestinationConfig):
    """The server's key must be known: from known_hosts, or by its SHA-256 fingerprint as `ssh-keygen -lf` prints it."""

    host: str = ""
    port: int = 22
    username: str = ""
    known_hosts_file: str | None = None
    host_key_fingerprint: str | None = None
    connect_timeout_seconds: float = 20
    operation_timeout_seconds: float = 120

    def __post_init__(self) -> None:
        super().__post_init__()
        _required("destination.host", self.host)
        _required("destination.username", self.username)
        _inside("destination.path", self.path)
        _at_least("destination.connect_timeout_seconds", self.connect_timeout_seconds, 0.1)
        _at_least("destination.operation_timeout_seconds", self.operation_timeout_seconds, 0.1)
        if not 1 <= self.port <= 65535:
            raise ConfigError("destination.port is no port", found=str(self.port), expected="1 to 65535")
        pinned = self.host_key_fingerprint
        if pinned is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", pinned):
            raise ConfigError(
                "destination.host_key_fingerprint is no SHA-256 fingerprint",
                found=pinned,
                expected="SHA256:… as `ssh-keyscan HOST | ssh-keygen -lf -` prints it",
            )


@dataclass
class SftpPasswordConfig(SftpConfig):
    password_env: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _required("destination.password_env", self.password_env)


@dataclass
class SftpKeyConfig(SftpConfig):
    """The private key (RSA, ECDSA or Ed25519) comes from a file, or as text from an environment variable."""

    key_file: str | None = None
    key_env: str | None = None
    passphrase_env: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.key_file) == bool(self.key_env):
            raise ConfigError("An SFTP key comes from one place", expected="either destination.key_file or destination.key_env")


DESTINATIONS: dict[str, type[DestinationConfig]] = {
    "local": LocalConfig,
    "s3": S3Config,
    "sftp_password": SftpPasswordConfig,
    "sftp_key": SftpKeyConfig,
}


@dataclass
class RunConfig:
    """One run, resolved: what `jobs/activate.py` does."""

    activation: str
    engine: EngineConfig
    source: SourceConfig
    audience: AudienceConfig
    mapping: MappingConfig
    checks: ChecksConfig
    file: FileConfig
    destination: DestinationConfig
    state: StateConfig
    run_id: str
    as_of: datetime

    @property
    def run_folder(self) -> Path:
        return Path(self.state.path) / "runs" / self.run_id


def parse_as_of(text: str | None, now: datetime) -> datetime:
    """Read an ISO 8601 time; without an offset it is taken as UTC, without a text it is now."""
    if not text:
        return now.replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError("as_of is no ISO 8601 time", found=text, expected="for example 2026-11-01T00:00:00Z") from exc
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_run_id(text: str | None, now: datetime) -> str:
    """Without a text, the run id is made from the time, to the microsecond."""
    run_id = str(text) if text else now.strftime("%Y%m%dT%H%M%S.%fZ")
    if not SAFE_ID.fullmatch(run_id):
        raise ConfigError("run_id cannot be the name of a folder", found=repr(run_id), expected="up to 100 letters, digits, . _ -")
    return run_id
