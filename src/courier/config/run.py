"""The run as a whole, and groups engine and state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from courier.config.audience import AudienceConfig, ConsentConfig, GuardConfig, SuppressionConfig
from courier.config.destination import DestinationConfig
from courier.config.esp import EspConfig
from courier.config.file import FileConfig
from courier.config.limits import (
    SAFE_ID,
    S3Keys,
    at_least,
    check_endpoint,
    check_references,
    inside,
    no_login,
    one_form,
    one_of,
    required,
    seconds,
)
from courier.config.mapping import DedupConfig, ExportConfig, MappingConfig, RulesConfig, check_identities
from courier.config.profiles import ChecksConfig, SourceConfig
from courier.errors import ConfigError
from courier.names import changes_in_time

#: Of Spark Connect's address: only what is no secret.
REMOTE = re.compile(r"sc://([^/;:@\s]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?(/?|/(;(use_ssl|user_id|user_agent|session_id)=[^;=\s]+)+)")
BY_REFERENCE = "a token is referred to by engine.token_env, .token_file or .token_secret"
MEMORY = re.compile(r"[1-9][0-9]*[mMgG]")


@dataclass
class EngineConfig:
    """Where DataFrames are computed. `settings` goes to the Spark session as it is."""

    kind: str = "sail"
    master: str | None = None  # spark only; what spark-submit gives wins
    remote: str | None = None  # connect only: sc://host:port
    token_env: str | None = None  # connect only, where the server wants one
    token_file: str | None = None
    token_secret: str | None = None
    driver_memory: str = "2g"  # spark: Java's heap, where this process starts it; sail: what sorts and joins may hold
    settings: dict[str, str] = field(default_factory=dict)
    delivery: str = "driver"  # driver | executors: who renders and uploads files
    shared_disk: bool = False  # local paths are one disk for driver and executors

    GROUP: ClassVar[str] = "engine"
    KINDS: ClassVar[tuple[str, ...]] = ("sail", "spark", "connect")

    def __post_init__(self) -> None:
        check_references(self)
        one_form("engine", self, "token")
        one_of("engine.kind", self.kind, self.KINDS)
        one_of("engine.delivery", self.delivery, ("driver", "executors"))
        if not MEMORY.fullmatch(self.driver_memory):
            raise ConfigError("engine.driver_memory is no size", found=repr(self.driver_memory), expected="a number and m or g, such as 2g")
        if self.delivery == "executors" and self.kind != "spark":
            raise ConfigError("engine.delivery=executors wants Apache Spark", found=f"engine={self.kind}", fix="set engine=spark")
        if self.kind == "connect":
            required("engine.remote", self.remote or "")
            address = REMOTE.fullmatch(self.remote or "")
            if address is None:  # what else it holds may be a token, and is not shown
                raise ConfigError(
                    "engine.remote is no address", expected="sc://host:port, or sc://host:port/;use_ssl=true", fix=BY_REFERENCE
                )
            if address[2] and not 1 <= int(address[2][1:]) <= 65535:
                raise ConfigError("engine.remote has no port that can be", found=address[2][1:], expected="1 to 65535")

    @property
    def driver_memory_bytes(self) -> int:
        unit = 1024 * 1024 if self.driver_memory[-1] in "mM" else 1024 * 1024 * 1024
        return int(self.driver_memory[:-1]) * unit


@dataclass
class StateConfig(S3Keys):
    """Where runs are recorded, journalled and locked, and snapshots kept: a private local folder, or a folder of a bucket.

    A lock is renewed while its run lives; `lease_seconds` after the last sign of life another run may take it over.
    The limits of what is kept are for each activation; None is no limit, and what is beyond one of two is removed.
    """

    kind: str = "local"
    path: str = "state"
    lease_seconds: float = 120
    keep_snapshots: int | None = 10  # published runs
    keep_snapshots_days: int | None = 30
    keep_records: int | None = 1000  # runs of any kind
    keep_records_days: int | None = 400
    region: str | None = None  # s3 only, as all that follows
    endpoint_url: str | None = None
    work_path: str | None = None  # folder for snapshots while they are written; default: the system's temporary folder

    GROUP: ClassVar[str] = "state"

    def __post_init__(self) -> None:
        check_references(self)
        one_of("state.kind", self.kind, ("local", "s3"))
        required("state.path", self.path)
        no_login("state.path", self.path)
        seconds("state.lease_seconds", self.lease_seconds, 1)
        for key in ("keep_snapshots", "keep_snapshots_days", "keep_records", "keep_records_days"):
            if getattr(self, key) is not None:
                at_least(f"state.{key}", getattr(self, key), 1)
        check_endpoint("state.endpoint_url", self.endpoint_url)
        self.check_keys("state")
        if self.kind == "s3":
            if not re.fullmatch(r"s3://[^/]+(/.*)?", self.path):
                raise ConfigError("state.path names no folder of a bucket", found=self.path, expected="s3://bucket/folder")
            inside("state.path", self.path)
        elif "://" in self.path:
            raise ConfigError("state.path must be a folder on a local disk", found=self.path, fix="for S3 choose state=s3")
        folder = self.path if self.kind == "local" else self.work_path or ""
        if re.search(r"[*?\[\]{}]|%[0-9A-Fa-f]{2}", str(Path(folder).absolute())):
            raise ConfigError(
                "state.path has characters that engines take for a pattern", found=folder, expected="a path without * ? [ ] { } and %20"
            )


@dataclass
class TriggerConfig:
    """A small file that tells the platform to start. It comes last, after the manifest.

    `name` and `content` take the placeholders of file.name, and {rows} {files} {bytes}; with per=file also {file} (the
    name of the file that it belongs to), {stem} (that without its extension) and {sha256}.
    """

    per: str = "none"  # none | run | file
    name: str = ""
    content: str = ""

    def __post_init__(self) -> None:
        one_of("trigger.per", self.per, ("none", "run", "file"))
        if self.per != "none":
            required("trigger.name", self.name)


@dataclass
class RunConfig:
    """One run, resolved: what `jobs/activate.py` does."""

    activation: str
    engine: EngineConfig
    source: SourceConfig
    audience: AudienceConfig
    consent: ConsentConfig
    suppression: SuppressionConfig
    mapping: MappingConfig
    dedup: DedupConfig
    rules: RulesConfig
    checks: ChecksConfig
    guard: GuardConfig
    export: ExportConfig
    file: FileConfig
    destination: DestinationConfig
    trigger: TriggerConfig
    state: StateConfig
    run_id: str
    as_of: datetime
    as_of_given: bool  # False: `as_of` is the time of this start
    esp: EspConfig = field(default_factory=EspConfig)
    release: str | None = None  # the run whose held audiences are published as they are

    def __post_init__(self) -> None:
        check_identities(self.mapping, self.dedup)
        replaced = self.export.incremental and self.destination.on_conflict == "replace"
        if replaced and not (changes_in_time("file.name", self.file.name) or changes_in_time("destination.path", self.destination.path)):
            raise ConfigError(
                "An incremental export that replaces its last file loses the changes that the platform has not imported yet",
                where="file.name, destination.on_conflict",
                found=f"'{self.file.name}', the same a minute later, and replace",
                fix="destination.on_conflict=fail: a run then fails until the platform has taken the file, and the next one has its changes; "
                "or a name with the time: file.name='{segment_name}_{datetime}'",
            )

    @property
    def snapshot_run_id(self) -> str:
        """The run whose snapshot is sent."""
        return self.release or self.run_id


def parse_as_of(text: str | None, now: datetime) -> datetime:
    """Read an ISO 8601 time; without an offset it is taken as UTC, without a text it is now."""
    if not text:
        return now.replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:  # the last one: a day that UTC has no year for
        raise ConfigError("as_of is no ISO 8601 time", found=text, expected="for example 2026-11-01T00:00:00Z") from exc


def parse_release(text: str | None) -> str | None:
    """The id of a run that was held."""
    if text and not SAFE_ID.fullmatch(text):
        raise ConfigError("release is no run id", found=repr(text), expected="the run_id of a run that was held")
    return text or None


def parse_run_id(text: str | None, now: datetime) -> str:
    """Without a text, the run id is made from the time, to the microsecond."""
    run_id = str(text) if text else now.strftime("%Y%m%dT%H%M%S.%fZ")
    if not SAFE_ID.fullmatch(run_id):
        raise ConfigError("run_id cannot be the name of a folder", found=repr(run_id), expected="up to 100 letters, digits, . _ -")
    return run_id
