"""The columns of a resolved mapping, in the engine."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import expressions, xdm
from courier.errors import ConfigError
from courier.mapping.model import Mapping, assert_default

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def inputs(mapping: Mapping) -> list[Column]:
    """What is read of a profile, under the engine's names."""
    return [expressions.value(root, steps).alias(name) for name, (root, steps) in mapping.steps.items()]


def parts_read(mapping: Mapping) -> list[str]:
    """The parts of a profile that hold what is read, by the names of their fields, joined with dots: of a list or a map the whole."""
    parts = []
    for root, steps in mapping.steps.values():
        names = takewhile(lambda step: isinstance(step, xdm.Field), steps)
        parts.append(".".join([root, *(step.name for step in names if isinstance(step, xdm.Field))]))
    return parts


def values(mapping: Mapping) -> list[Column]:
    """The columns of the file over the members of `audience.members`."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    built = []
    for column in mapping.columns:
        assert column.build is not None
        value = column.build()
        if column.kind is not None and pa.types.is_floating(column.kind):  # of 0.0 and -0.0 engines take each another one for the lower
            value = value + F.lit(0.0).cast("float" if pa.types.is_float32(column.kind) else "double")
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
        assert_default(column.name, column.default, kind)
        columns.append(replace(column, kind=kind))
    key = [column for known in mapping.key for column in columns if column.engine_name == known.engine_name]
    return replace(mapping, columns=columns, key=key)
