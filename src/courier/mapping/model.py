"""A resolved mapping: what the columns of the file are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column

#: Sources that are not in the profile but of the row: which audience, and what became of the member in it.
MEMBERSHIP = {
    "membership.status": pa.string(),
    "membership.lastQualificationTime": pa.timestamp("us", "UTC"),
    "membership.segmentId": pa.string(),
    "membership.segmentName": pa.string(),
    "membership.segmentNamespace": pa.string(),
    "membership.suppressed": pa.string(),
    "membership.consent": pa.string(),
}
#: The engine's columns of two of them: the name of the list that has the member, and what it has said: yes, no or null.
MARK, SAID = "suppressed", "said"
MARKS = {"membership.suppressed": MARK, "membership.consent": SAID}
STATUS = "membership.status"
IDENTITY = "identity.id"


@dataclass(frozen=True)
class MappedColumn:
    """One column of the file: its header, its name inside the engine, and where its values come from."""

    name: str
    engine_name: str
    source: str
    kind: pa.DataType | None  # None until the engine has typed an expression
    mandatory: bool = False
    default: str | None = None
    build: Callable[[], Column] | None = None  # over the columns p0, p1, … and those of the row
    hashed: bool = False  # its values are digests of those of the source

    @property
    def of_membership(self) -> bool:
        return self.source in MEMBERSHIP

    @property
    def may_be_empty(self) -> bool:
        return self.kind is None or xdm.is_text(self.kind)


@dataclass(frozen=True)
class Mapping:
    """The resolved mapping: columns in the order of the file, and those of them that make up the deduplication key.

    `inputs`: what is read of a profile (column of the engine → XDM path). With `fan_out` a member has one row for each
    identity of that namespace. With `normalize` keys are compared trimmed and in lower case.
    """

    columns: list[MappedColumn]
    key: list[MappedColumn]
    inputs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, tuple[str, list[xdm.Step]]] = field(default_factory=dict)
    fan_out: str | None = None
    normalize: bool = False

    @property
    def header(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def types(self) -> dict[str, str]:
        """Column → its type, once the engine has typed expressions."""
        return {column.name: "string" if column.kind and xdm.is_text(column.kind) else str(column.kind) for column in self.columns}

    @property
    def compared(self) -> dict[str, MappedColumn]:
        """The key as it is compared: the engine's names for it. A text that is compared trimmed and in lower case has a column
        of its own beside the value.
        """
        return {
            f"key{number}" if self.normalize and column.kind is not None and xdm.is_text(column.kind) else column.engine_name: column
            for number, column in enumerate(self.key)
        }

    @property
    def sorted_by(self) -> str | None:
        """What the rows of an audience are sorted by first, in the engine's order of texts: that of their bytes."""
        return next(iter(self.compared), None)


def assert_fanned_out(fan_out: str | None, where: str) -> None:
    if not fan_out:
        raise ConfigError(f"{IDENTITY} wants rows fanned out", where=where, fix="set mapping.fan_out or dedup.identity to a namespace")


def assert_default(name: str, default: str | None, kind: pa.DataType | None) -> None:
    if default is not None and kind is not None and not xdm.is_text(kind):
        raise ConfigError(
            f"The column '{name}' cannot have a default",
            found=f"a source of type {kind}",
            expected="a source of text",
            fix="a format such as 0.00 or yyyy-MM-dd makes a text of it, in an expression cast(… as string)",
        )
