"""Step map: members → rows of the file, with the outcome of each.

Inside the engine columns are called c0, c1, … (a dot or a blank in a name breaks engines and expectations in places);
the names of the header are a matter of rendering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import expressions, xdm
from courier.config import MappingConfig
from courier.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXPORTED, DEDUPLICATED, EXCLUDED = "exported", "deduplicated", "excluded: "


@dataclass(frozen=True)
class MappedColumn:
    """One column of the file: its header, its name inside the engine, and where its values come from."""

    name: str
    engine_name: str
    source: str
    steps: list[xdm.Step]
    kind: pa.DataType
    default: str | None
    mandatory: bool

    @property
    def root(self) -> str:
        """The column of the source that the path starts at."""
        return str(xdm.parse(self.source)[0])


@dataclass(frozen=True)
class Mapping:
    """The resolved mapping: columns in the order of the file, and those of them that make up the deduplication key."""

    columns: list[MappedColumn]
    key: list[MappedColumn]

    @property
    def header(self) -> list[str]:
        return [column.name for column in self.columns]

    def order(self) -> list[MappedColumn]:
        """The columns in the order that rows are sorted by: the key first, then the rest."""
        return self.key + [column for column in self.columns if column not in self.key]


def needed_paths(config: MappingConfig) -> dict[str, str]:
    """Where needed → XDM path, for the assertion of the source."""
    return {f"mapping.columns.{name}": column.source for name, column in config.columns.items()}


def resolve(config: MappingConfig, schema: pa.Schema) -> Mapping:
    """Resolve every column against the source. Raises SourceError for a path that the source has not, or not as a value."""
    columns = []
    for number, (name, column) in enumerate(config.columns.items()):
        steps, kind = xdm.resolve(column.source, schema, f"mapping.columns.{name}")
        if not xdm.is_scalar(kind):
            raise SourceError(
                f"'{column.source}' is {xdm.describe(kind)}, not one value",
                where=f"mapping.columns.{name}",
                expected=f"{column.source}[0]" if xdm.is_array(kind) else "a path that goes on to one of its fields",
            )
        if column.default is not None and not xdm.is_text(kind):
            raise ConfigError(f"The column '{name}' cannot have a default", found=f"a source of type {kind}", expected="a source of text")
        columns.append(MappedColumn(name, f"c{number}", column.source, steps, kind, column.default, column.mandatory))
    return Mapping(columns, [column for key in config.deduplication_key for column in columns if column.name == key])


def values(mapping: Mapping) -> list[Column]:
    """The mapped columns as expressions over a profile, under their engine names."""
    return [_value(column).alias(column.engine_name) for column in mapping.columns]


def _value(column: MappedColumn) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    found = expressions.value(column.root, column.steps[1:])
    return found if column.default is None else F.coalesce(found, F.lit(column.default))


def with_exclusions(members: DataFrame, mapping: Mapping) -> DataFrame:
    """One row per (member, audience): the mapped columns in order, `audience`, `qualified_at`, and `excluded`: the first
    mandatory attribute that is null or blank, or null.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    excluded: Column = F.lit(None).cast("string")
    for column in reversed([column for column in mapping.columns if column.mandatory]):
        value = F.col(column.engine_name)
        absent = value.isNull() | (F.trim(value) == "") if xdm.is_text(column.kind) else value.isNull()
        excluded = F.when(absent, F.lit(f"{EXCLUDED}missing_{column.name}")).otherwise(excluded)
    return members.select(
        *[column.engine_name for column in mapping.columns],
        F.col("membership.audience").alias("audience"),
        F.col("membership.qualified_at").alias("qualified_at"),
        excluded.alias("excluded"),
    )


def with_outcomes(mapped: DataFrame, mapping: Mapping, *, one_stream: bool) -> DataFrame:
    """Give each row its `outcome` and put the rows in the order of the snapshot.

    Of the rows with one deduplication key the latest `lastQualificationTime` is exported; ties go to the lowest values
    of the mapped columns, in order, with null last. Excluded rows take no part. Without a key nothing is deduplicated.
    The order is total but for rows that are equal in all their bytes, so the result never depends on chance.

    With `one_stream`, the sorted rows pass through one stream that compares each with the one before it: several times
    faster than a hash partitioning where there is one machine, and impossible to spread over many. Without it, rows are
    spread by ranges of the key, which keeps the order of the files and needs one shuffle.
    """
    from pyspark.sql import Window  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    names = [column.engine_name for column in mapping.order()]
    key = [column.engine_name for column in mapping.key]
    groups = ["audience", "excluded", *key]
    latest_first = [F.col("qualified_at").desc_nulls_last()] if key else []
    ties = latest_first + [F.col(name).asc_nulls_last() for name in names if name not in key]
    order = [F.col(name).asc_nulls_first() for name in groups] + ties

    if not key:
        repeated = F.lit(False)
        spread = mapped
    elif one_stream:
        stream = Window.orderBy(*order)
        spread = mapped
        # Rows that are not excluded come first within an audience, so the one before has the same group.
        repeated = F.lag("audience").over(stream).eqNullSafe(F.col("audience"))
        for name in key:
            repeated = repeated & F.lag(name).over(stream).eqNullSafe(F.col(name))
    else:
        spread = mapped.repartitionByRange(*groups)
        repeated = F.row_number().over(Window.partitionBy(*groups).orderBy(*ties)) > 1
    outcome = F.when(F.col("excluded").isNotNull(), F.col("excluded")).when(repeated, F.lit(DEDUPLICATED)).otherwise(F.lit(EXPORTED))
    marked = spread.withColumn("outcome", outcome)
    ordered = marked.orderBy(*order) if one_stream or not key else marked.sortWithinPartitions(*order)
    return ordered.select(*[column.engine_name for column in mapping.columns], "outcome", "audience")
