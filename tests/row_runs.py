"""Profiles in, rows out: the steps read, select, map and stage as the pipeline runs them, with literal configurations.

run_rows(engine, tmp_path, [member()], {"email": "personalEmail.address"}, key=["email"]).rows()
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

from courier import computing, esp, mapping
from courier.checks import Suite
from courier.config import (
    AudienceConfig,
    ColumnConfig,
    ConsentConfig,
    DedupConfig,
    EspConfig,
    ExportConfig,
    FileConfig,
    MappingConfig,
    RulesConfig,
    SourceConfig,
    SuppressionConfig,
)
from courier.engine import Engine
from courier.members import audience, consent, suppression
from courier.reading import Ready
from courier.render import render
from courier.rows import counts, rules, snapshot
from courier.rows.counts import Counts
from courier.rows.snapshot import AudienceSnapshot
from courier.source import profiles
from courier.state.place import Place

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
EXPORTED, DEDUPLICATED = "exported", "deduplicated"
JAN, FEB, MAR = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"

Columns = MappingOf[str, ColumnConfig | str]


@dataclass(frozen=True)
class RowRun:
    """What a run has staged. Audiences by their place in the configuration."""

    ready: Ready
    snapshots: list[AudienceSnapshot]

    def rows(self, ordinal: int = 0) -> list[tuple[Any, ...]]:
        """The values of the columns and the outcome, in the order of the snapshot."""
        names = [*(column.engine_name for column in self.ready.columns.columns), "outcome"]
        return [tuple(row.values()) for batch in self.snapshots[ordinal].batches(names) for row in batch.to_pylist()]

    def counts(self, ordinal: int = 0) -> Counts:
        return counts.slices(self.snapshots[ordinal].batches(counts.COUNTED), 1_000_000)[0]

    def file(self, ordinal: int = 0) -> bytes:
        """The delivered file."""
        _, (cuts,) = counts.slices(self.snapshots[ordinal].batches(counts.COUNTED), 1_000_000)
        cut = cuts[0] if cuts else counts.Slice(0, 0)
        return b"".join(render(self.snapshots[ordinal], cut, self.ready.columns, FileConfig(null_text="null")))


def column_configs(columns: Columns) -> dict[str, ColumnConfig]:
    """A text is an XDM path."""
    return {name: ColumnConfig(column) if isinstance(column, str) else column for name, column in columns.items()}


def run_rows(
    engine: Engine,
    folder: Path,
    rows: list[dict[str, Any]] | Path,
    columns: Columns,
    *,
    key: Sequence[str] = (),
    fan_out: str | None = None,
    dedup: DedupConfig | None = None,
    consents: ConsentConfig | None = None,
    suppressed: SuppressionConfig | None = None,
    row_rules: RulesConfig | None = None,
    segments: Sequence[Any] = ("a",),
    namespace: str = "ups",
    as_of: datetime = AS_OF,
    run_folder: Path | None = None,
    schema: pa.Schema = PROFILE_SCHEMA,
) -> RowRun:
    """Full export. Consent is off where nothing else is said."""
    written = rows if isinstance(rows, Path) else write_profiles(folder / "profiles", rows, schema=schema)
    config = SimpleNamespace(
        source=SourceConfig(str(written)),
        audience=AudienceConfig(list(segments), namespace),
        mapping=MappingConfig(column_configs(columns), list(key), fan_out),
        dedup=dedup or DedupConfig(),
        consent=consents or ConsentConfig("off"),
        suppression=suppressed or SuppressionConfig(),
        rules=row_rules or RulesConfig(),
        export=ExportConfig(),
        esp=EspConfig(),
        file=FileConfig(null_text="null"),
        as_of=as_of,
    )
    ready = read(config)
    frame, ready = computing.rows(config, ready, engine)  # type: ignore[arg-type]  # what these steps look at
    return RowRun(ready, snapshot.stage(frame, Place(str(run_folder or folder / "run")), len(segments), engine, ready.columns.sorted_by))


def read(config: Any) -> Ready:
    """All that is refused before any profile is read."""
    source = profiles.inspect(config.source)
    audience.assert_memberships(source.schema)
    columns = mapping.resolve(config.mapping, config.dedup, config.export, source.schema)
    asked = consent.resolve(config.consent, source.schema, fan_out=columns.fan_out)
    profiles.assert_alike(source, [*columns.inputs.values(), *asked.paths.values(), *suppression.needed_paths(config.suppression)])
    lists = suppression.inspect(config.suppression, config.source, source.schema, columns.fan_out)
    return Ready(source, columns, asked, lists, rules.resolve(esp.row_rules(config, columns), columns), Suite({}, {}), {}, None)


def member(status: str | None = "realized", qualified: str | None = JAN, until: str | None = None, **keys: Any) -> dict[str, Any]:
    """A profile with a membership of segment `a`."""
    return profile(segments={"ups": {"a": (status, qualified, until)}}, **keys)
