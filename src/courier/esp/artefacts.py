"""What the import at the platform is made from, written for this mapping: definitions, samples, sheets. No profile is in them.

Only fields that are documented are written. The artefacts of a run are in its folder of the state store, and with
esp.deliver_artefacts beside the files, under names that begin with `artefact-<run_id>-`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from courier.config import RunConfig, SegmentConfig
from courier.esp.base import Platform, StandardColumn
from courier.esp.platforms import platform_of
from courier.mapping import MappedColumn, Mapping
from courier.names import Value, filled, parsed, safe
from courier.plan import file_values, safe_values


@dataclass(frozen=True)
class Subject:
    """What artefacts are about: one audience of a run, and the columns of its files before the platform's changes."""

    config: RunConfig
    platform: Platform
    columns: list[MappedColumn]
    ordinal: int

    @property
    def segment(self) -> SegmentConfig:
        found: SegmentConfig = self.config.audience.segments[self.ordinal]
        return found

    @property
    def key(self) -> list[str]:
        return list(self.config.mapping.deduplication_key)

    def standard(self, column: MappedColumn) -> StandardColumn | None:
        return self.platform.column(column.name, column.source)

    def length(self, column: MappedColumn) -> int | None:
        """Of a text: the one that its values are held to."""
        known = self.standard(column)
        return known.length if known else self.platform.text_length[0] if self.platform.text_length else None

    @property
    def stem(self) -> str:
        return stem(self.config, self.ordinal)

    def text_name(self, changes: dict[str, Value] | None = None) -> str:
        """The name of its file where it is neither compressed nor encrypted, of which `changes` stand for what differs from run
        to run.
        """
        values = safe_values(file_values(self.config, self.ordinal, 1, 1, None)) | (changes or {})
        file = self.config.file
        extension = file.extension if file.compression != "none" or file.encrypted else file.full_extension
        return filled(parsed("file.name", file.name), values) + (f".{extension}" if extension else "")


def stem(config: RunConfig, ordinal: int) -> str:
    """Segments may share a name, never an id."""
    segment = config.audience.segments[ordinal]
    alike = [each for each in config.audience.segments if safe(each.name).casefold() == safe(segment.name).casefold()]
    return safe(segment.name) if len(alike) == 1 else f"{safe(segment.name)}-{ordinal + 1}"


@dataclass(frozen=True)
class Maker:
    """How one artefact is made, for which configurations there is one, and what its name begins with."""

    make: Callable[[Subject], bytes]
    applies: Callable[[RunConfig], bool] = lambda _: True
    stem: Callable[[RunConfig, int], str] = stem


def makers(platform: str) -> dict[str, Maker]:
    from courier.esp import artefacts_of_adobe, artefacts_of_oracle, artefacts_of_salesforce  # noqa: PLC0415  they are made of this module

    return {
        "adobe_campaign": artefacts_of_adobe.MAKERS,
        "salesforce_marketing_cloud": artefacts_of_salesforce.MAKERS,
        "oracle_eloqua": artefacts_of_oracle.ELOQUA,
        "oracle_responsys": artefacts_of_oracle.RESPONSYS,
    }[platform]


def artefacts(config: RunConfig, mapping: Mapping) -> dict[str, bytes]:
    """The artefacts of all audiences by name, in their order; nothing without a platform."""
    platform = platform_of(config)
    return {name: maker.make(Subject(config, platform, mapping.columns, ordinal)) for name, ordinal, maker in _named(config) if platform}


def _named(config: RunConfig) -> list[tuple[str, int, Maker]]:
    platform = platform_of(config)
    of_platform = makers(platform.name) if platform else {}
    return [
        (f"{maker.stem(config, ordinal)}.{ending}", ordinal, maker)
        for ordinal in range(len(config.audience.segments))
        for ending, maker in of_platform.items()
        if maker.applies(config)
    ]


def beside(run_id: str) -> str:
    """What the names of artefacts beside the files begin with."""
    return f"artefact-{run_id}-"


def delivered_names(config: RunConfig) -> list[str]:
    """The names of those that are put beside the files: of its own for each run, since a file that is there is not replaced."""
    return [beside(config.run_id) + name for name, _, _ in _named(config)] if config.esp.deliver_artefacts else []


def delivered(config: RunConfig, mapping: Mapping) -> list[bytes]:
    """The contents of `delivered_names`."""
    return list(artefacts(config, mapping).values()) if config.esp.deliver_artefacts else []


def as_json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"


def as_sheet(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """CSV for people, by RFC 4180."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(header)
    lines.writerows(rows)
    return text.getvalue().encode()


def identifier(text: str, most: int) -> str:
    """A name out of letters, digits and _, a letter first."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return (plain if plain[:1].isalpha() else f"S_{plain}")[:most].rstrip("_")


def is_moment(column: MappedColumn) -> bool:
    return column.kind is not None and bool(pa.types.is_date(column.kind) or pa.types.is_timestamp(column.kind))
