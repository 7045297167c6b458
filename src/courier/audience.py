"""Step select: profiles → members of the audiences, for all audiences of the run in one scan.

A member has the status `realized` or `existing` (XDM's enum still lists both) and a `validUntil` that is absent or
after `as_of`. Source of the rule: Adobe's XDM field group "Segment Membership Details" and the product's contract.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import expressions, xdm
from courier.config import AudienceConfig
from courier.errors import SourceError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MEMBERSHIPS = "segmentMembership"
ACTIVE = ("realized", "existing")

#: What a membership must have, and of which kind; further fields are left alone.
MEMBERSHIP_FIELDS = {"status": xdm.is_text, "lastQualificationTime": pa.types.is_timestamp, "validUntil": pa.types.is_timestamp}


def assert_memberships(schema: pa.Schema) -> None:
    """Raise SourceError unless `segmentMembership` has the shape of XDM."""
    kind = xdm.resolve(MEMBERSHIPS, schema, "audience")[1]
    for level in ("namespace", "segment id"):
        if not pa.types.is_map(kind):
            raise SourceError(
                f"'{MEMBERSHIPS}' has not the shape of XDM",
                where=f"by {level}",
                found=xdm.describe(kind),
                expected="a map of maps of structs",
            )
        kind = kind.item_type
    found = {field.name: field.type for field in kind} if pa.types.is_struct(kind) else {}
    for name, test in MEMBERSHIP_FIELDS.items():
        if name not in found or not test(found[name]):
            raise SourceError(
                f"'{MEMBERSHIPS}' has not the shape of XDM",
                where=f"{MEMBERSHIPS}.<namespace>.<segment id>.{name}",
                found=xdm.describe(found[name]) if name in found else "no such field",
                expected="text" if test is xdm.is_text else "a timestamp",
            )


def members(profiles: DataFrame, audience: AudienceConfig, as_of: datetime, carried: list[Column]) -> DataFrame:
    """One row per (member, audience): the `carried` expressions over the profile, and a struct `membership` of `audience`
    (the ordinal of the segment in the configuration) and `qualified_at`.

    What is carried is named here and not selected afterwards, because engines prune nested columns no further than the
    explode.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    by_segment = expressions.entry(F.col(MEMBERSHIPS), audience.namespace)

    def membership(ordinal: int, segment_id: str) -> Column:
        entry = expressions.entry(by_segment, segment_id)
        return F.struct(
            F.lit(ordinal).alias("audience"),
            entry["status"].alias("status"),
            entry["validUntil"].alias("valid_until"),
            entry["lastQualificationTime"].alias("qualified_at"),
        )

    def is_active(entry: Column) -> Column:
        still_valid = entry["valid_until"].isNull() | (entry["valid_until"] > F.lit(as_of.isoformat()).cast("timestamp"))
        return entry["status"].isin(*ACTIVE) & still_valid

    # One array of structs that is filtered and exploded reads the nested map once, whatever the number of segments;
    # a plain `where` on the map makes both engines evaluate the look-up again after the filter.
    entries = F.array(*[membership(ordinal, segment.id) for ordinal, segment in enumerate(audience.segments)])
    return profiles.select(*carried, F.explode(F.filter(entries, is_active)).alias("membership"))
