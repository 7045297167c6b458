"""Step map: what a row of the file is made of.

A mapping is resolved against the schema of the source once. Inside the engine the paths that are read are columns p0, p1,
…, and the columns of the file c0, c1, … (a dot or a blank in a name breaks engines and expectations in places); the names
of the header are a matter of rendering.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import expressions, shapes, xdm
from courier.config import ColumnConfig, DedupConfig, ExportConfig, MappingConfig
from courier.errors import ConfigError, SourceError, nearest

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

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
#: Adobe's spellings: seg_namespace and seg_id are filled in for each audience's file. The older cards have neither.
PLACEHOLDER = re.compile(r"segmentMembership\.(?:[^.\[\]]+\.seg_id\.|(?=(?:status|lastQualificationTime)(?![\w.\[])))(\w+)")


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


def resolve(config: MappingConfig, dedup: DedupConfig, export: ExportConfig, schema: pa.Schema) -> Mapping:
    """Resolve every column against the source. Raises SourceError for a path that the source has not, or not as a value."""
    if export.incremental:
        _check_status(config)
    inputs = Inputs(schema)
    fan_out = dedup.identity or config.fan_out
    columns = []
    for number, (name, column) in enumerate(_with_status(config.columns, export).items()):
        try:
            columns.append(_resolved(name, f"c{number}", column, inputs, fan_out))
        except SourceError as error:
            if error.fix and name in config.columns and name not in config.deduplication_key:  # a path that is near, or none
                error.fix += f" Or leave the column out: '~mapping.columns.{name}'"
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


def _with_status(columns: dict[str, ColumnConfig], export: ExportConfig) -> dict[str, ColumnConfig]:
    """One layout for members and leavers needs a column that tells which is which."""
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
        _assert_default(name, column.default, pa.string() if _shapes(column) else kind)
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
    _assert_default(name, column.default, kind)
    return MappedColumn(name, engine_name, source, kind, column.mandatory, column.default, build, hashed=bool(column.hash))


def _shapes(column: ColumnConfig) -> bool:
    """Whether a value becomes a text on its way."""
    return bool(column.json or column.join is not None or column.hash or column.format or column.zone)


def _assert_default(name: str, default: str | None, kind: pa.DataType | None) -> None:
    if default is not None and kind is not None and not xdm.is_text(kind):
        raise ConfigError(
            f"The column '{name}' cannot have a default",
            found=f"a source of type {kind}",
            expected="a source of text",
            fix="a format such as 0.00 or yyyy-MM-dd makes a text of it, in an expression cast(… as string)",
        )


def assert_fanned_out(fan_out: str | None, where: str) -> None:
    if not fan_out:
        raise ConfigError(f"{IDENTITY} wants rows fanned out", where=where, fix="set mapping.fan_out or dedup.identity to a namespace")


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


def inputs(mapping: Mapping) -> list[Column]:
    """What is read of a profile, under the engine's names."""
    return [expressions.value(root, steps).alias(name) for name, (root, steps) in mapping.steps.items()]


def values(mapping: Mapping) -> list[Column]:
    """The columns of the file over the members of `audience.members`."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    built = []
    for column in mapping.columns:
        assert column.build is not None
        value = column.build()
        built.append((value if column.default is None else F.coalesce(value, F.lit(column.default))).alias(column.engine_name))
    return built


def typed(mapping: Mapping, members: DataFrame) -> Mapping:
    """Let the engine type the expressions, without reading a row. Raises ConfigError with the name of a column that it refuses."""
    from pyspark.errors import PySparkException  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql.pandas.types import to_arrow_type  # noqa: PLC0415

    columns = []
    for column in mapping.columns:
        if column.kind is not None:
            columns.append(column)
            continue
        assert column.build is not None
        where = f"mapping.columns.{column.name}: {column.source}"
        try:
            found = members.select(column.build().alias(column.engine_name)).schema.fields[0].dataType
        except PySparkException as exc:
            raise ConfigError("An expression cannot be used", where=where, found=str(exc).strip().splitlines()[0][:300]) from exc
        kind = to_arrow_type(found)
        if not xdm.is_scalar(kind):
            raise ConfigError(
                "An expression is not one value",
                where=where,
                found=xdm.describe(kind),
                fix="array_join(…, ';'), get(…, 0), or cast(null as string) for nothing",
            )
        if pa.types.is_decimal(kind) and "/" in column.source and not column.source.lower().startswith(("cast(", "try_cast(")):
            fix = "a format such as 0.00, or cast(… as decimal(18,2)) around it"
            raise ConfigError("A quotient of decimals has not the same digits on all engines", where=where, fix=fix)
        _assert_default(column.name, column.default, kind)
        columns.append(replace(column, kind=kind))
    key = [column for known in mapping.key for column in columns if column.engine_name == known.engine_name]
    return replace(mapping, columns=columns, key=key)
