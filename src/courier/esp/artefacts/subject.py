"""What artefacts are about, and what each of them needs."""

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
from courier.esp.configuration import key
from courier.mapping import MappedColumn
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
        return key(self.config)

    def standard(self, column: MappedColumn) -> StandardColumn | None:
        return self.platform.column(column.name, column.source, hashed=column.hashed)

    def target(self, column: MappedColumn) -> str | None:
        """The standard field that it goes to: by its name, or by its path where no other column has the field's name. None is a field
        of the user's own.
        """
        known = self.standard(column)
        others = {each.name.casefold() for each in self.columns if each is not column}
        return known.target if known and known.name.casefold() not in others else None

    def length(self, column: MappedColumn) -> int | None:
        """Of a text: the one that its values are held to."""
        limit = self.platform.length(self.standard(column), hashed=column.hashed)
        return limit and limit[0]

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
