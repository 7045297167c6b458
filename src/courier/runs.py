"""Step record: what a run did, as `runs/<run_id>/record.json` of the state store. Written for failed runs too.

A record is first written when a run begins, so that a killed run has one. It holds names, counts and hashes; no value of
a profile.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from courier import esp
from courier.checks import CheckResult
from courier.config import RunConfig
from courier.counts import Counts
from courier.errors import ConfigError, CourierError
from courier.manifest import timestamp
from courier.restoring import restored
from courier.state import Store

#: The status of what an earlier run, or an earlier start of this one, has sent.
PUBLISHED_BEFORE = "published before"
#: Attempts at taking a run's id for its activation.
CLAIMS = 5


@dataclass(frozen=True)
class DeliveredFile:
    """A file that is published: where, and proof of its content. `confirmed` is False where the platform had taken it
    before it could be seen there. `notes`: column → what was changed in its values, or found → rows.
    """

    uri: str
    rows: int
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str
    confirmed: bool
    notes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class AudienceRecord:
    """What happened to one audience."""

    segment_id: str
    segment_name: str
    namespace: str
    counts: Counts | None = None
    status: str = "failed"  # published | published before | empty | held | failed
    held: str | None = None  # why
    baseline: str | None = None  # the run that an incremental export was compared with; None: everything was sent
    last: str | None = None  # the run that had been published last, in full exports, too
    checks: list[CheckResult] = field(default_factory=list)
    files: list[DeliveredFile] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """The segment as people know it: its id, and its name where it has one of its own."""
        return self.segment_id if self.segment_name == self.segment_id else f"{self.segment_id} ({self.segment_name})"

    @property
    def left_out(self) -> bool:
        """This run sends no file of it."""
        return self.held is not None or self.status == PUBLISHED_BEFORE


@dataclass
class Run:
    """A run as it goes: filled step by step, so that a failed run's record says how far it came."""

    config: RunConfig
    store: Store
    started_at: datetime
    earlier: Store | None = None  # where earlier runs are looked up, if that is not `store`
    status: str = "failed"
    profiles: int | None = None
    audiences: list[AudienceRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)  # of the columns, once the engine has typed them
    consent: dict[str, str] = field(default_factory=dict)
    shape: str = ""  # of everything that shapes the rows; a held run is released under the same only
    rejects: str | None = None  # where the rejected rows are listed
    manifest: str | None = None
    triggers: list[str] = field(default_factory=list)
    artefacts: list[str] = field(default_factory=list)  # in the state store; and names of those beside the files
    error: CourierError | None = None
    finished_at: datetime | None = None
    held_before: bool = False  # by an earlier start: its record can be released until its rows are computed anew

    @property
    def history(self) -> Store:
        """The store that knows the earlier runs of the activation."""
        return self.earlier or self.store

    @property
    def snapshot_key(self) -> str:
        """Where in the state store the rows are that this run sends."""
        return f"runs/{self.config.snapshot_run_id}/snapshot"

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long a step takes, also where it raises."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - started


def key(run_id: str) -> str:
    return f"runs/{run_id}/record.json"


def recorded(store: Store) -> dict[str, list[str]]:
    """The ids of all runs that have a record, each with the keys of what is stored of it."""
    found: dict[str, list[str]] = {}
    for each in store.keys("runs/"):
        found.setdefault(each.split("/")[1], []).append(each)
    return {run_id: keys for run_id, keys in found.items() if key(run_id) in keys}


def has_snapshot(run_id: str, keys: list[str]) -> bool:
    return any(each.startswith(f"runs/{run_id}/snapshot/") for each in keys)


def published_before(store: Store, config: RunConfig) -> dict[str, Any] | None:
    """The record of a run of this id that has published its files already. Raises ConfigError where another activation uses the id."""
    record = _before(store, config)
    return record if record and record["status"] in ("published", "empty") else None


def was_held(store: Store, config: RunConfig) -> bool:
    """Whether a run of this id was held, all of it."""
    record = _before(store, config)
    return record is not None and record["status"] == "held"


def _before(store: Store, config: RunConfig) -> dict[str, Any] | None:
    text = store.read(key(config.run_id))
    if text is None:
        return None
    try:
        record = dict(json.loads(text))
        activation, _ = record["activation"], record["status"]
    except (ValueError, TypeError, KeyError) as exc:
        raise ConfigError(
            "The record of an earlier run with this run_id cannot be read",
            where=store.shown(key(config.run_id)),
            found=type(exc).__name__,
            fix="use another run_id",
        ) from exc
    if activation != config.activation:
        raise _of_another(config, activation)
    return record


def claim(store: Store, config: RunConfig) -> None:
    """Take the id for the activation: of two that start at once with the same one, the first. Raises ConfigError for the other."""
    where, mine = f"runs/{config.run_id}/activation", config.activation.encode()
    for _ in range(CLAIMS):  # S3 refuses one while another is under way, and there is nothing to be read then
        if store.swap(where, None, mine) or (owner := store.read(where)) == mine:
            return
        if owner is not None:
            raise _of_another(config, owner.decode(errors="replace"))


def _of_another(config: RunConfig, activation: str) -> ConfigError:
    return ConfigError(
        "This run_id belongs to another activation, whose runs share this state store",
        found=f"run_id {config.run_id} of activation '{activation}'",
        fix=f"put the activation into the id: run_id={config.activation}-{config.run_id}",
    )


def mark_released(store: Store, held: str, by: str) -> None:
    """A held run is released once, whatever is published after that."""
    store.write(f"runs/{held}/released", by.encode())


def released_by(store: Store, held: str) -> str | None:
    """The run that has published what this one had held."""
    text = store.read(f"runs/{held}/released")
    return None if text is None else text.decode(errors="replace")


def save(run: Run) -> None:
    """Write the record, atomically."""
    if run.held_before:
        return
    write(run.store, run.config.run_id, as_json(run))


def write(store: Store, run_id: str, record: dict[str, Any]) -> None:
    store.write(key(run_id), json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n")


def load(store: Store, run_id: str) -> dict[str, Any] | None:
    """A run's record as it was written; None where there is none.

    Raises ValueError for one that is cut, or not ours: only the keys that tell whose and when it is are looked at.
    """
    text = store.read(key(run_id))
    if text is None:
        return None
    record = json.loads(text)
    if not isinstance(record, dict) or record.get("run_id") != run_id:
        raise ValueError("it is no record of this run")
    for name in ("activation", "status", "started_at"):
        if not isinstance(record.get(name), str):
            raise ValueError(f"it has no {name}")  # noqa: TRY004  one kind of error for whatever is wrong with it
    moment(record["started_at"])
    return record


def moment(text: str) -> datetime:
    """A time of a record. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def restore(run: Run, record: dict[str, Any]) -> None:
    """Take over what an earlier start of the run had found out when it began to deliver."""
    run.profiles, run.columns, run.warnings, run.consent = record["profiles"], record["columns"], record["warnings"], record["consent"]
    run.shape, run.rejects, run.types = record["shape"], record["rejects"], record.get("types", {})
    run.audiences = audiences(record)
    run.artefacts = run.artefacts or record.get("esp", {}).get("artefacts", [])


def audiences(record: dict[str, Any]) -> list[AudienceRecord]:
    """The audiences of a record, with their checks and files."""
    return [
        AudienceRecord(
            audience["segment_id"],
            audience["segment_name"],
            audience["namespace"],
            restored(Counts, audience["counts"]) if audience["counts"] else None,
            status=audience["status"],
            checks=[
                restored(CheckResult, check)
                for check in record["checks"]
                if (check["segment_id"], check["namespace"]) == (audience["segment_id"], audience["namespace"])
            ],
            held=audience["held"],
            baseline=audience["baseline"],
            last=audience.get("last"),
            files=[restored(DeliveredFile, file) for file in audience["files"]],
        )
        for audience in record["audiences"]
    ]


def noted(run: Run) -> list[str]:
    """What was changed in values while they were written, or found: a line for each column and kind, over all files."""
    rows: Counter[tuple[str, str]] = Counter()
    for file in (file for audience in run.audiences for file in audience.files):
        rows.update({(column, what): count for column, kinds in file.notes.items() for what, count in kinds.items()})
    order = {column: number for number, column in enumerate(run.columns)}
    return [
        f"column '{column}': {what.replace('_', ' ')} in {count:,} rows"
        for (column, what), count in sorted(rows.items(), key=lambda entry: (order[entry[0][0]], entry[0][1]))
    ]


def as_json(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.config.run_id,
        "activation": run.config.activation,
        "status": run.status,
        "engine": run.config.engine.kind,
        "as_of": timestamp(run.config.as_of),
        "started_at": timestamp(run.started_at),
        "finished_at": timestamp(run.finished_at) if run.finished_at else None,
        "released": run.config.release,
        "shape": run.shape,
        "consent": run.consent,
        "profiles": run.profiles,
        "columns": run.columns,
        "types": run.types,
        "audiences": [_audience(audience, run.config.export.mode) for audience in run.audiences],
        "checks": [
            {"segment_id": audience.segment_id, "namespace": audience.namespace, **asdict(check)}
            for audience in run.audiences
            for check in audience.checks
        ],
        "rejects": run.rejects,
        **_platform(run),
        "manifest": run.manifest,
        "triggers": run.triggers,
        "warnings": run.warnings,
        "seconds": {step: round(seconds, 3) for step, seconds in run.seconds.items()},
        "error": {"type": type(run.error).__name__, "exit_code": run.error.exit_code, "message": str(run.error)} if run.error else None,
    }


def _platform(run: Run) -> dict[str, Any]:
    found = esp.described(run.config, [audience.counts for audience in run.audiences if audience.counts])
    return {"esp": {**found, "artefacts": run.artefacts}} if found else {}


def _audience(audience: AudienceRecord, mode: str) -> dict[str, Any]:
    return {
        "segment_id": audience.segment_id,
        "segment_name": audience.segment_name,
        "namespace": audience.namespace,
        "status": audience.status,
        "held": audience.held,
        "mode": mode,
        "baseline": audience.baseline,
        "last": audience.last,
        "counts": asdict(audience.counts) if audience.counts else None,
        "files": [asdict(file) for file in audience.files],
    }
