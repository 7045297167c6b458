"""Resolves a mapping: the configuration and the schema of the source, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import ColumnConfig, DedupConfig, ExportConfig, MappingConfig
from courier.errors import ConfigError, SourceError, nearest
from courier.mapping import shapes
from courier.mapping.model import (
    IDENTITY,
    MARKS,
    MEMBERSHIP,
    STATUS,
    MappedColumn,
    Mapping,
    assert_default,
    assert_fanned_out,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

#: Adobe's spellings: seg_namespace and seg_id are filled in for each audience's file. The older cards have neither.
PLACEHOLDER = re.compile(r"segmentMembership\.(?:[^.\[\]]+\.seg_id\.|(?=(?:status|lastQualificationTime)(?![\w.\[])))(\w+)")


def resolve(config: MappingConfig, dedup: DedupConfig, export: ExportConfig, schema: pa.Schema) -> Mapping:
    """Resolve every column against the source. Raises SourceError for a path that the source has not, or not as a value."""
    if export.incremental:
        _check_status(config)
    inputs = Inputs(schema)
    fan_out = dedup.identity or config.fan_out
    columns = []
    for number, (name, column) in enumerate(with_status(config.columns, export).items()):
        try:
            columns.append(_resolved(name, f"c{number}", column, inputs, fan_out))
        except SourceError as error:
            if error.fix and name in config.columns and name not in config.deduplication_key:  # a path that is near, or none
                error.fix += f"{'' if error.fix.endswith('?') else '.'} Or leave the column out: '~mapping.columns.{name}'"
            raise
    key = [column for name in config.deduplication_key for column in columns if column.name == name]
    if dedup.identity:
        key = [column for column in columns if column.source == IDENTITY]
        if not key:
            raise ConfigError(
                "Deduplication by identity wants the identity as a column",
                where="dedup.identity",
                found=f"no column with the source {IDENTITY}",
                fix=f"mapping.columns.email.source={IDENTITY}",
            )
    if export.incremental and not key:
        raise ConfigError("An incremental export wants a deduplication key", where="mapping.deduplication_key", found="[]")
    if dedup.scope == "profile" and not key:
        raise ConfigError("dedup.scope=profile wants a deduplication key", where="mapping.deduplication_key", found="[]")
    if fan_out:
        inputs.add(f"identityMap['{fan_out}']", "mapping.fan_out")
    return Mapping(columns, key, inputs.paths, inputs.steps, fan_out, dedup.normalize)


def _check_status(config: MappingConfig) -> None:
    """Leavers get another status, as it is: a row would leave under another key, or in words that nobody knows."""
    for name, column in config.columns.items():
        if _plain(column.source) != STATUS:
            continue
        if name in config.deduplication_key:
            raise ConfigError(
                "The status cannot be a part of the key in incremental exports", where="mapping.deduplication_key", found=name
            )
        shown = [key for key in ("hash", "default", "format", "zone") if getattr(column, key)]
        if shown:
            raise ConfigError(
                "The status is written as it is in incremental exports: realized or exited",
                where=f"mapping.columns.{name}",
                found=", ".join(shown),
                fix=f"leave out {' and '.join(shown)}",
            )


def with_status(columns: dict[str, ColumnConfig], export: ExportConfig) -> dict[str, ColumnConfig]:
    """The columns of the files. One layout for members and leavers needs a column that tells which is which: where the mapping has
    none, it is added.
    """
    if not export.incremental:
        return columns
    for name, column in columns.items():
        if STATUS in PLACEHOLDER.sub(lambda found: f"membership.{found[1]}", column.expression):
            raise ConfigError(
                "An expression over the status cannot be computed for leavers that the source has no more",
                where=f"mapping.columns.{name}",
                fix=f"a column with the source {STATUS}, or export.layout=separate without the status",
            )
    if export.separate or any(_plain(column.source) == STATUS for column in columns.values()):
        return columns
    if export.status_column.casefold() in {name.casefold() for name in columns}:
        raise ConfigError("export.status_column is a column of the mapping already", found=export.status_column)
    return {**columns, export.status_column: ColumnConfig(STATUS)}


def _plain(source: str) -> str:
    """Our spelling of Adobe's placeholders."""
    found = PLACEHOLDER.fullmatch(source)
    return f"membership.{found[1]}" if found else source


class Inputs:
    """What is read of a profile. One path is one column, however often it is used."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.paths: dict[str, str] = {}
        self.steps: dict[str, tuple[str, list[xdm.Step]]] = {}
        self.kinds: dict[str, pa.DataType] = {}

    def add(self, path: str, where: str) -> str:
        """The column of a path. Raises SourceError where the source has no such path."""
        for name, known in self.paths.items():
            if known == path:
                return name
        steps, kind = xdm.resolve(path, self.schema, where)
        name = f"p{len(self.paths)}"
        self.paths[name], self.steps[name], self.kinds[name] = path, (str(xdm.parse(path)[0]), steps[1:]), kind
        return name


def _resolved(name: str, engine_name: str, column: ColumnConfig, inputs: Inputs, fan_out: str | None) -> MappedColumn:
    where = f"mapping.columns.{name}"
    source = _plain(column.source)
    if column.expression:
        source, (kind, build) = column.expression, _expression(column, where, inputs, fan_out)
        assert_default(name, column.default, pa.string() if _shapes(column) else kind)
        if not _shapes(column) or column.json or column.join is not None:  # the engine knows better
            kind = None
    elif column.identity:
        alias = inputs.add(f"identityMap['{column.identity}']", where)
        source, kind, build = inputs.paths[alias], pa.string(), shapes.identities(column, alias)
    elif source == IDENTITY:
        assert_fanned_out(fan_out, where)
        kind, build = pa.string(), lambda: shapes.column_named(IDENTITY.partition(".")[0])
    elif source in MEMBERSHIP:
        kind, build = MEMBERSHIP[source], _of_row(source)
    elif source.startswith("membership."):
        raise ConfigError("A source is unknown", where=where, found=source, fix=nearest(source, MEMBERSHIP))
    else:
        alias = inputs.add(source, where)
        kind, build = inputs.kinds[alias], lambda: shapes.column_named(alias)
    kind, build = shapes.shaped(name, column, kind, build)
    assert_default(name, column.default, kind)
    return MappedColumn(name, engine_name, source, kind, column.mandatory, column.default, build, hashed=bool(column.hash))


def _shapes(column: ColumnConfig) -> bool:
    """Whether a value becomes a text on its way."""
    return bool(column.json or column.join is not None or column.hash or column.format or column.zone)


def _of_row(source: str) -> Callable[[], Column]:
    if source in MARKS:
        return lambda: shapes.column_named(MARKS[source])
    return lambda: shapes.column_named("membership").getField(source.partition(".")[2])


def _expression(column: ColumnConfig, where: str, inputs: Inputs, fan_out: str | None) -> tuple[pa.DataType | None, Callable[[], Column]]:
    """Paths become inputs; `membership.…` and `identity.id` stay, since the engine has columns of these names."""
    from courier import sql  # noqa: PLC0415  with sqlglot, which loads slowly, only where there are expressions

    text = PLACEHOLDER.sub(lambda found: f"membership.{found[1]}", column.expression)
    own = {"membership", "identity"} - set(inputs.schema.names)

    def alias(path: str) -> str:
        if path == IDENTITY and "identity" in own:
            assert_fanned_out(fan_out, where)
            return "identity"
        if path.partition(".")[0] in own:
            if path not in MEMBERSHIP:
                raise ConfigError("A source is unknown", where=where, found=path, fix=nearest(path, MEMBERSHIP))
            return MARKS.get(path, path)
        return inputs.add(path, where)

    kinds = {**MEMBERSHIP, "identity": pa.string(), **dict.fromkeys(MARKS.values(), pa.string())}
    parsed, kind = sql.parse(text, where, {*inputs.schema.names, *own}, alias, lambda name: inputs.kinds.get(name) or kinds.get(name))

    def build() -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        return F.expr(parsed)

    return kind, build
