"""What becomes of each member: excluded, rejected, deduplicated, exported or unchanged, and who has left since the last run.

One sort puts the rows of one key next to each other, and each row is judged by its neighbours. Kinds of rows, in the order
in which they come within a key: what the last published run had (incremental exports only), rows that may be exported, all
others. Excluded rows, and those of memberships that have ended, tell no more than what a leaver looks like now.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from courier import consent, rules, xdm
from courier.config import DedupConfig, ExportConfig, RulesConfig
from courier.consent import Consent
from courier.mapping import STATUS, MappedColumn, Mapping

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

EXPORTED, DEDUPLICATED, UNCHANGED, EXCLUDED = "exported", "deduplicated", "unchanged", "excluded: "
ADDED, CHANGED, REMOVED = "added", "changed", "removed"
BEFORE, ELIGIBLE, OTHERS = 0, 1, 2
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

    carried = [F.col("suppressed"), F.col("membership.audience").alias("audience"), F.col("membership.active").alias("active")]
    verdict = consent.excluded(by.consent) if by.consent.applies else F.lit(None).cast("string")
    rows = members.select(
        *values,
        *carried,
        F.col("membership.lastQualificationTime").alias("qualified_at"),
        verdict.alias("verdict"),
        (F.col(IDENTITIES) if identities else F.lit(None).cast("string")).alias(IDENTITIES),
    )
    reasons = [F.concat(F.lit(EXCLUDED), F.col("verdict")), F.concat(F.lit(f"{EXCLUDED}suppressed_"), F.col("suppressed"))]
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
    blank = column.mandatory and column.kind is not None and xdm.is_text(column.kind)
    return value.isNull() | (F.trim(value) == "") if blank else value.isNull()


def with_outcomes(
    rows: DataFrame, mapping: Mapping, dedup: DedupConfig, export: ExportConfig, before: DataFrame | None, *, one_stream: bool
) -> DataFrame:
    """Give each row its `outcome` and, where it is exported, its `change`; put the rows in the order of the snapshot.

    Of the rows with one deduplication key the latest `lastQualificationTime` is exported; ties go to the lowest values
    of the mapped columns, in order, with null last. Excluded rows take no part. Without a key nothing is deduplicated.
    The order is total but for rows that are equal in all their bytes, so the result never depends on chance.

    `before` has the rows of the last published run: the columns of the file, `audience` and `identities`.

    With `one_stream`, the sorted rows pass through one stream that compares each with its neighbours: several times
    faster than a hash partitioning where there is one machine, and impossible to spread over many. Without it, rows are
    spread by ranges of the key, which keeps the order of the files and needs one shuffle.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    columns = [column.engine_name for column in mapping.columns]
    kind = F.when(F.col("excluded").isNull() & F.col("active"), F.lit(ELIGIBLE)).otherwise(F.lit(OTHERS))
    rows = rows.withColumn("kind", kind)
    if not mapping.key:
        outcome = F.coalesce(F.col("excluded"), F.lit(EXPORTED))
        order = [F.col("audience"), F.col("kind"), *[F.col(name).asc_nulls_last() for name in columns]]
        ended = rows.withColumn("outcome", outcome).withColumn("change", F.lit(ADDED))
        return ended.orderBy(*order).select(*columns, IDENTITIES, "noted", "outcome", "change", "audience")
    rows = _with_keys(rows, mapping, dedup)
    if dedup.scope == "profile" and mapping.fan_out:  # else each profile has one row
        rows = _without_older_profiles(rows, mapping)
    if before is not None:
        rows = rows.unionByName(_as_before(before, mapping, dedup), allowMissingColumns=True)
    return _by_neighbours(rows, mapping, export, incremental=before is not None, one_stream=one_stream)


def key_names(mapping: Mapping) -> list[str]:
    return [f"key{number}" for number in range(len(mapping.key))]


def _with_keys(rows: DataFrame, mapping: Mapping, dedup: DedupConfig) -> DataFrame:
    """Add the key as it is compared: the values themselves, or trimmed and in lower case."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    def compared(column: MappedColumn) -> Column:
        value = F.col(column.engine_name)
        return F.lower(F.trim(value)) if dedup.normalize and column.kind is not None and xdm.is_text(column.kind) else value

    return rows.withColumns(dict(zip(key_names(mapping), map(compared, mapping.key), strict=True)))


def _as_before(before: DataFrame, mapping: Mapping, dedup: DedupConfig) -> DataFrame:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return _with_keys(before, mapping, dedup).withColumn("kind", F.lit(BEFORE))


def _ties(mapping: Mapping) -> list[Column]:
    """Which of several rows of one key comes first."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return [F.col("qualified_at").desc_nulls_last(), *[F.col(column.engine_name).asc_nulls_last() for column in mapping.order()]]


def _without_older_profiles(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Adobe's rule: a profile that is not the latest for each of its keys is dropped with all its rows.

    A profile is known by its identities; one that has none has one row, and is nobody else. It also loses to one that is dropped itself: of a chain A, B, C of shared keys the
    latest alone stays.
    """
    from pyspark.sql import Window  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    by_key = Window.partitionBy("audience", "kind", *key_names(mapping)).orderBy(*_ties(mapping), F.col(IDENTITIES))
    by_profile = Window.partitionBy("audience", "kind", IDENTITIES)
    beaten = (~F.first(IDENTITIES).over(by_key).eqNullSafe(F.col(IDENTITIES))).cast("int")
    of_profile = F.when(F.col(IDENTITIES).isNull(), F.col("beaten")).otherwise(F.max("beaten").over(by_profile))
    older = rows.withColumn("beaten", beaten).withColumn("beaten", of_profile)
    lost = (F.col("kind") == ELIGIBLE) & (F.col("beaten") == 1)
    ended = F.when(lost, F.lit(DEDUPLICATED)).otherwise(F.col("excluded"))
    return older.withColumn("excluded", ended).withColumn("kind", F.when(lost, F.lit(OTHERS)).otherwise(F.col("kind"))).drop("beaten")


class Neighbours:
    """The row before and the row after, where they have the same key."""

    def __init__(self, keys: list[str], window: WindowSpec, *, one_stream: bool) -> None:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        self._window = window
        same = ["audience", *keys] if one_stream else ["audience"]
        self.same_before = reduce(operator.and_, [F.lag(name).over(window).eqNullSafe(F.col(name)) for name in same])
        self.same_after = reduce(operator.and_, [F.lead(name).over(window).eqNullSafe(F.col(name)) for name in same])

    def before(self, name: str) -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        return F.lag(name).over(self._window)

    def after(self, name: str) -> Column:
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        return F.lead(name).over(self._window)


def _by_neighbours(rows: DataFrame, mapping: Mapping, export: ExportConfig, *, incremental: bool, one_stream: bool) -> DataFrame:
    from pyspark.sql import Window  # noqa: PLC0415  engines are loaded only by the steps that need one
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    keys = key_names(mapping)
    groups = ["audience", *keys]
    order = [*[F.col(name).asc_nulls_first() for name in groups], F.col("kind"), *_ties(mapping)]
    within = [F.col("kind"), *_ties(mapping)]
    spread = rows if one_stream else rows.repartitionByRange(*groups)
    window = Window.orderBy(*order) if one_stream else Window.partitionBy(*groups).orderBy(*within)
    near = Neighbours(keys, window, one_stream=one_stream)
    eligible = F.col("kind") == ELIGIBLE
    repeated = near.same_before & (near.before("kind") == ELIGIBLE)
    outcome = F.when(eligible & repeated, F.lit(DEDUPLICATED)).when(eligible, F.lit(EXPORTED)).otherwise(F.col("excluded"))
    marks = {"outcome": outcome, "change": F.lit(ADDED)}
    if incremental:
        marks |= _against_before(near, mapping, export, outcome) | _as_leaver(near, mapping)
        order = order[: len(groups) + 1]  # the ties are over columns that leavers change, and each key has one exported row
    columns = [column.engine_name for column in mapping.columns]
    marked = spread.withColumns(marks)
    ordered = marked.orderBy(*order) if one_stream else marked.sortWithinPartitions(*order)
    kept = ordered.where(F.col("outcome").isNotNull()) if incremental else ordered
    return kept.select(*columns, IDENTITIES, "noted", "outcome", "change", "audience")


def _against_before(near: Neighbours, mapping: Mapping, export: ExportConfig, outcome: Column) -> dict[str, Column]:
    """An exported row that the last run had, too, is sent only where a trigger says so; what only the last run had has left.

    No outcome: rows that are nobody's, such as those of ended memberships.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    had = near.same_before & (near.before("kind") == BEFORE)
    compared = [column.engine_name for column in mapping.columns if not column.of_membership] if "attributes" in export.triggers else []
    compared += [IDENTITIES] if "identity" in export.triggers else []
    differs = reduce(operator.or_, [~near.before(name).eqNullSafe(F.col(name)) for name in compared], F.lit(False))
    stays = near.same_after & (near.after("kind") == ELIGIBLE)
    was = F.col("kind") == BEFORE
    nobody = F.lit(None).cast("string")
    kept = F.when(was & stays, nobody).when(was, F.lit(EXPORTED)).when(~F.col("active"), nobody)
    kept = kept.when((outcome == EXPORTED) & had & ~differs, F.lit(UNCHANGED)).otherwise(outcome)
    change = F.when(was, F.lit(REMOVED)).when(had, F.lit(CHANGED)).otherwise(F.lit(ADDED))
    return {"outcome": kept, "change": change}


def _as_leaver(near: Neighbours, mapping: Mapping) -> dict[str, Column]:
    """A leaver is shown as the source has it now, as far as it has it and nothing rejects it; else as the last run showed it.

    The key stays as the platform knows it, and the status says that it has left.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    was = F.col("kind") == BEFORE
    rejected = F.coalesce(near.after("excluded").startswith(rules.REJECTED), F.lit(False))
    newer = was & near.same_after & ~rejected
    shown = {}
    for column in mapping.columns:
        name = column.engine_name
        if column.source == STATUS:
            shown[name] = F.when(was, F.lit("exited")).otherwise(F.col(name))
        elif column in mapping.key:
            shown[name] = F.col(name)
        else:
            shown[name] = F.when(newer, near.after(name)).otherwise(F.col(name))
    return shown


def identities(identity_map: Column) -> Column:
    """A digest of all identities of a profile, alike for equal ones: SHA-256 of the sorted namespaces and ids. Null for none."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    def of_namespace(entry: Column) -> Column:
        ids = F.array_sort(F.transform(entry["value"], lambda identity: F.coalesce(identity["id"], F.lit(""))))
        return F.concat(entry["key"], F.lit("\x1f"), F.coalesce(F.array_join(ids, "\x1e"), F.lit("")))

    text = F.array_join(F.array_sort(F.transform(F.map_entries(identity_map), of_namespace)), "\x1d")
    return F.when(F.size(F.flatten(F.map_values(identity_map))) > 0, F.sha2(text, 256))
