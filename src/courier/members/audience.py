"""Step select: profiles → members of the audiences, for all audiences of the run in one scan.

A member has the status `realized` or `existing` (XDM's enum still lists both) and a `validUntil` that is absent or
after `as_of`. Source of the rule: Adobe's XDM field group "Segment Membership Details" and the product's contract.
"""

from __future__ import annotations

import operator
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from courier import expressions, xdm
from courier.config import AudienceConfig
from courier.errors import SourceError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MEMBERSHIPS = "segmentMembership"
ACTIVE = ("realized", "existing")
#: Shown in a message.
MOST_NAMESPACES = 20

#: What a membership must have, and of which kind; further fields are left alone.
MEMBERSHIP_FIELDS = {"status": xdm.is_text, "lastQualificationTime": pa.types.is_timestamp, "validUntil": pa.types.is_timestamp}
#: The paths of these.
READ = [f"{MEMBERSHIPS}['namespace']['segment'].{name}" for name in MEMBERSHIP_FIELDS]


def assert_memberships(schema: pa.Schema, file: str = "") -> None:
    """Raise SourceError unless `segmentMembership` has the shape of XDM. `file`: where the schema is that of one file alone."""
    kind = xdm.resolve(MEMBERSHIPS, schema, file or "audience")[1]
    of_file = f"{file}: " if file else ""
    for level in ("namespace", "segment id"):
        if not pa.types.is_map(kind):
            raise SourceError(
                f"'{MEMBERSHIPS}' has not the shape of XDM",
                where=f"{of_file}by {level}",
                found=xdm.describe(kind),
                expected="a map of maps of structs",
            )
        kind = kind.item_type
    found = {field.name: field.type for field in kind} if pa.types.is_struct(kind) else {}
    for name, test in MEMBERSHIP_FIELDS.items():
        if name not in found or not test(found[name]):
            raise SourceError(
                f"'{MEMBERSHIPS}' has not the shape of XDM",
                where=f"{of_file}{MEMBERSHIPS}.<namespace>.<segment id>.{name}",
                found=xdm.describe(found[name]) if name in found else "no such field",
                expected="text" if test is xdm.is_text else "a timestamp",
            )


def members(
    profiles: DataFrame,
    audience: AudienceConfig,
    as_of: datetime,
    *,
    carried: list[Column],
    leavers: bool,
    columnar: bool,
    fan_out: Column | None = None,
) -> DataFrame:
    """One row per (member, audience): the `carried` expressions over the profile, and a struct `membership`.

    `membership` has the ordinal of the segment in the configuration (`audience`), `active`, and what a mapping may show:
    `status` (realized or exited), `lastQualificationTime`, `segmentId`, `segmentNamespace`, `segmentName`. With `leavers`
    there are rows of memberships that are no longer active, too. With `fan_out`, an array of identities, there is one row for
    each of them (and one with null for a profile that has none), in a column `identity`.

    What is carried is named here and not selected afterwards, because engines prune nested columns no further than the
    explode. The same entries are found in two ways, because engines differ: `columnar` ones would copy all that is carried for
    each entry that they explode, and others do not compile functions over lists, which makes them three times slower.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    wanted: dict[str, list[str]] = {}
    for segment in audience.segments:
        wanted.setdefault(segment.namespace, []).append(segment.id)
    wider = [] if fan_out is None else [F.transform(fan_out, lambda identity: identity["id"]).alias("identities_of_row")]
    of = _filtered_first if columnar else _exploded_first
    found = of(profiles, [*carried, *wider], wanted, None if leavers else as_of)
    if fan_out is not None:
        kept = [name for name in found.columns if name != "identities_of_row"]
        found = found.select(*kept, F.explode_outer("identities_of_row").alias("identity"))
    entry = F.col("entry")
    audience_number, name = _of_segments(audience, entry)
    active = _is_active(entry["value"], as_of) if leavers else F.lit(True)
    membership = F.struct(
        audience_number.alias("audience"),
        active.alias("active"),
        F.when(active, F.lit("realized")).otherwise(F.lit("exited")).alias("status"),
        entry["value"]["lastQualificationTime"].alias("lastQualificationTime"),
        entry["key"].alias("segmentId"),
        entry["namespace"].alias("segmentNamespace"),
        name.alias("segmentName"),
    )
    return found.select(*[name for name in found.columns if name != "entry"], membership.alias("membership"))


def namespaces(profiles: DataFrame, column: str, first: int) -> list[str]:
    """The keys that a map has in the first profiles, sorted; at most `MOST_NAMESPACES`."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    keys = profiles.limit(first).select(F.explode(F.map_keys(column)).alias("key")).distinct().orderBy("key")
    return [row["key"] for row in keys.limit(MOST_NAMESPACES).collect()]


def _of_segments(audience: AudienceConfig, entry: Column) -> tuple[Column, Column]:
    """The ordinal and the name of an entry's segment. Each is one flat CASE: nested ones are too deep for Spark Connect."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    number: Any = F
    name: Any = F
    for ordinal, segment in enumerate(audience.segments):
        here = (entry["key"] == segment.id) & (entry["namespace"] == segment.namespace)
        number, name = number.when(here, F.lit(ordinal)), name.when(here, F.lit(segment.name))
    return number, name


def _filtered_first(profiles: DataFrame, kept: list[Column], wanted: dict[str, list[str]], active_at: datetime | None) -> DataFrame:
    """`kept`, and an `entry` (namespace, key, value) for each wanted one: all of them in one array, which is exploded."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    def of_namespace(namespace: str, ids: list[str]) -> Column:
        def is_wanted(entry: Column) -> Column:
            wanted = entry["key"].isin(*ids) & entry["value"].isNotNull()
            return wanted if active_at is None else wanted & _is_active(entry["value"], active_at)

        entries = F.filter(F.map_entries(expressions.entry(F.col(MEMBERSHIPS), namespace)), is_wanted)
        return F.transform(
            entries, lambda entry: F.struct(F.lit(namespace).alias("namespace"), entry["key"].alias("key"), entry["value"].alias("value"))
        )

    lists = [of_namespace(namespace, ids) for namespace, ids in wanted.items()]
    together = lists[0] if len(lists) == 1 else F.flatten(F.filter(F.array(*lists), lambda entries: entries.isNotNull()))
    return profiles.select(*kept, F.explode(together).alias("entry"))


def _exploded_first(profiles: DataFrame, kept: list[Column], wanted: dict[str, list[str]], active_at: datetime | None) -> DataFrame:
    """The same rows: both levels of the map are exploded, and what is not wanted is dropped in the same loop."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    if len(wanted) == 1:
        namespace = next(iter(wanted))
        below = profiles.select(*kept, F.lit(namespace).alias("namespace"), F.col(MEMBERSHIPS)[namespace].alias("below"))
    else:
        below = profiles.select(*kept, F.explode(MEMBERSHIPS).alias("namespace", "below"))
    entries = below.select(*[name for name in below.columns if name != "below"], F.explode("below").alias("key", "value"))
    in_one = [(F.col("namespace") == namespace) & F.col("key").isin(*ids) for namespace, ids in wanted.items()]
    found = entries.where(reduce(operator.or_, in_one) & F.col("value").isNotNull())
    if active_at is not None:
        found = found.where(_is_active(F.col("value"), active_at))
    names = ("namespace", "key", "value")
    return found.select(*[name for name in found.columns if name not in names], F.struct(*names).alias("entry"))


def _is_active(entry: Column, as_of: datetime) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    still_valid = entry["validUntil"].isNull() | (entry["validUntil"] > F.lit(as_of.isoformat()).cast("timestamp"))
    return F.coalesce(entry["status"].isin(*ACTIVE) & still_valid, F.lit(False))
