"""What becomes of each member: excluded, rejected, deduplicated or exported.

One sort puts the rows of one key next to each other, those that may be exported first, and each row is judged by the one
before it. With leavers there are rows of memberships that have ended, too: they are nobody's, and tell incremental exports
what a leaver looks like now.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import xdm
from courier.config import DedupConfig, ExportConfig, RulesConfig
from courier.expressions import normalized, trimmed
from courier.mapping import MARK, MappedColumn, Mapping
from courier.members import consent
from courier.members.consent import Consent
from courier.rows import rules

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXPORTED, DEDUPLICATED, EXCLUDED = "exported", "deduplicated", "excluded: "
#: Of memberships that have ended. What a row rule rejects is not shown of them.
LEFT, LEFT_REJECTED = "left", "left, rejected"
ADDED, CHANGED, REMOVED = "added", "changed", "removed"
ELIGIBLE, OTHERS = 1, 2
#: Of a snapshot, besides the columns of the file.
IDENTITIES = "identities"


@dataclass(frozen=True)
class Rules:
    """All that judges a row by itself."""

    consent: Consent
    config: RulesConfig
    columns: dict[str, MappedColumn]


def judged(members: DataFrame, mapping: Mapping, values: list[Column], by: Rules, *, identities: bool) -> DataFrame:
    """One row per (member, audience[, identity]): the columns of the file, `audience`, `active`, `qualified_at`, `identities`
    (a digest of the profile's identities, where asked for), `noted`, and `excluded`: the first reason against it, or null.

    Reasons, in this order: consent, suppression, a mandatory attribute or a part of the key that is null or blank, row rules.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    carried = [F.col(MARK), F.col("membership.audience").alias("audience"), F.col("membership.active").alias("active")]
    verdict = consent.excluded(by.consent.config) if by.consent.applies else F.lit(None).cast("string")
    rows = members.select(
        *values,
        *carried,
        F.col("membership.lastQualificationTime").alias("qualified_at"),
        verdict.alias("verdict"),
        (F.col(IDENTITIES) if identities else F.lit(None).cast("string")).alias(IDENTITIES),
    )
    reasons = [F.concat(F.lit(EXCLUDED), F.col("verdict")), F.concat(F.lit(f"{EXCLUDED}suppressed_"), F.col(MARK))]
    reasons += [F.when(_absent(column), F.lit(f"{EXCLUDED}missing_{column.name}")) for column in _needed(mapping)]
    reasons.append(rules.rejected(by.config, by.columns))
    return rows.select(
        *[column.engine_name for column in mapping.columns],
        "audience",
        "active",
        "qualified_at",
        IDENTITIES,
        rules.noted(by.config, by.columns).alias("noted"),
        F.coalesce(*reasons).alias("excluded"),
    )


def _needed(mapping: Mapping) -> list[MappedColumn]:
    return [column for column in mapping.columns if column.mandatory or column in mapping.key]


def _absent(column: MappedColumn) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    value = F.col(column.engine_name)
    if column.kind is not None and pa.types.is_floating(column.kind):  # what is no number is like nothing, itself not always among it
        return value.isNull() | F.isnan(value)
    blank = column.mandatory and column.kind is not None and xdm.is_text(column.kind)
    return value.isNull() | (trimmed(value) == "") if blank else value.isNull()


def with_outcomes(rows: DataFrame, mapping: Mapping, dedup: DedupConfig, *, one_stream: bool) -> DataFrame:
    """Give each row its `outcome`, and put the rows in the order of the snapshot: by the key, as it is compared
    (`mapping.compared`).

    Of the rows with one deduplication key the latest `lastQualificationTime` is exported; ties go to the lowest values
    of the mapped columns, in order, with null last, and then of the identities. Excluded rows take no part. Without a key nothing
    is deduplicated.
    The order is total but for rows that are equal in all their bytes, so the result never depends on chance.

    With `one_stream`, the sorted rows pass through one stream that compares each with the one before it: several times
    faster than a hash partitioning where there is one machine, and impossible to spread over many. Without it, rows are
    spread by ranges of the key, which Spark finds by reading the profiles once more, and sorted within each: half the time of
    spreading them by hash first, and by ranges for the order.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    columns, marks = [column.engine_name for column in mapping.columns], [IDENTITIES, "noted", "outcome", "change", "audience"]
    kind = F.when(F.col("excluded").isNull() & F.col("active"), F.lit(ELIGIBLE)).otherwise(F.lit(OTHERS))
    rows = rows.withColumn("kind", kind)
    if not mapping.key:
        outcome = F.coalesce(F.col("excluded"), F.lit(EXPORTED))
        order = [F.col("audience"), F.col("kind"), *[F.col(name).asc_nulls_last() for name in columns]]
        return rows.withColumn("outcome", outcome).withColumn("change", F.lit(ADDED)).orderBy(*order).select(*columns, *marks)
    rows = _with_keys(rows, mapping)
    if dedup.scope == "profile" and mapping.fan_out:  # else each profile has one row
        rows = _without_older_profiles(rows, mapping)
    return _by_neighbours(rows, mapping, one_stream=one_stream).select(*dict.fromkeys([*columns, *mapping.compared]), *marks)


def _with_keys(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Add the parts of the key that are not compared as they are."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    own = {name: normalized(F.col(column.engine_name)) for name, column in mapping.compared.items() if name != column.engine_name}
    return rows.withColumns(own) if own else rows


def _ties(mapping: Mapping) -> list[Column]:
    """Which of several rows of one key comes first."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    shown = [column.engine_name for column in (*mapping.key, *mapping.columns)]
    names = [*(name for name in dict.fromkeys(shown) if name not in mapping.compared), IDENTITIES]
    return [F.col("qualified_at").desc_nulls_last(), *[F.col(name).asc_nulls_last() for name in names]]


def _without_older_profiles(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Adobe's rule: a profile that is not the latest for each of its keys is dropped with all its rows.

    A profile is known by its identities; one that has none has one row, and is nobody else. It also loses to one that is dropped itself: of a chain A, B, C of shared keys the
    latest alone stays.
    """
    from pyspark.sql import Window  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    by_key = Window.partitionBy("audience", "kind", *mapping.compared).orderBy(*_ties(mapping))
    by_profile = Window.partitionBy("audience", "kind", IDENTITIES)
    beaten = (~F.first(IDENTITIES).over(by_key).eqNullSafe(F.col(IDENTITIES))).cast("int")
    of_profile = F.when(F.col(IDENTITIES).isNull(), F.col("beaten")).otherwise(F.max("beaten").over(by_profile))
    older = rows.withColumn("beaten", beaten).withColumn("beaten", of_profile)
    lost = (F.col("kind") == ELIGIBLE) & (F.col("beaten") == 1)
    ended = F.when(lost, F.lit(DEDUPLICATED)).otherwise(F.col("excluded"))
    return older.withColumn("excluded", ended).withColumn("kind", F.when(lost, F.lit(OTHERS)).otherwise(F.col("kind"))).drop("beaten")


def _by_neighbours(rows: DataFrame, mapping: Mapping, *, one_stream: bool) -> DataFrame:
    from pyspark.sql import Window  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    groups, sort = ["audience", *mapping.compared], one_stream
    within = [F.col("kind"), *_ties(mapping)]
    order = [*[F.col(name).asc_nulls_first() for name in groups], *within]
    if one_stream:
        window = Window.orderBy(*order)
        same = [F.lag(name).over(window).eqNullSafe(F.col(name)) for name in groups]
        repeated = reduce(operator.and_, same) & (F.lag("kind").over(window) == ELIGIBLE)
    else:
        # Spark compares fractions in a form of its own, would not know the ranges for it, and spread the rows anew by hash.
        sort = any(column.kind is not None and pa.types.is_floating(column.kind) for column in mapping.compared.values())
        rows = rows if sort else rows.repartitionByRange(*order[: len(groups)])
        window = Window.partitionBy(*groups).orderBy(*within)  # which sorts each range, and keeps the ranges as they are
        repeated = F.row_number().over(window) > 1
    eligible = F.col("kind") == ELIGIBLE
    outcome = F.when(eligible & repeated, F.lit(DEDUPLICATED)).when(eligible, F.lit(EXPORTED)).otherwise(F.col("excluded"))
    left = F.when(F.col("excluded").startswith(rules.REJECTED), F.lit(LEFT_REJECTED)).otherwise(F.lit(LEFT))
    marked = rows.withColumn("outcome", F.when(F.col("active"), outcome).otherwise(left)).withColumn("change", F.lit(ADDED))
    return marked.orderBy(*order) if sort else marked


def needs_identities(dedup: DedupConfig, export: ExportConfig) -> bool:
    """Whether the identities of a profile are compared, so that each file of the source has to have them."""
    return dedup.scope == "profile" or "identity" in export.triggers


def identities(identity_map: Column) -> Column:
    """A digest of all identities of a profile, alike for equal ones: SHA-256 of the sorted namespaces and ids. Null for none."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    def of_namespace(entry: Column) -> Column:
        ids = F.array_sort(F.transform(entry["value"], lambda identity: F.coalesce(identity["id"], F.lit(""))))
        return F.concat(entry["key"], F.lit("\x1f"), F.coalesce(F.array_join(ids, "\x1e"), F.lit("")))

    text = F.array_join(F.array_sort(F.transform(F.map_entries(identity_map), of_namespace)), "\x1d")
    return F.when(F.size(F.flatten(F.map_values(identity_map))) > 0, F.sha2(text, 256))
