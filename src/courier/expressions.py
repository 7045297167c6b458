"""XDM paths as expressions of the engine, alike on all engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from courier import xdm
from courier.patterns import EVERY_BLANK

if TYPE_CHECKING:
    from pyspark.sql import Column


#: What is before the second day of all, or on the last, is in no other zone: it stands for never.
FIRST, LAST = "0001-01-02 00:00:00", "9999-12-31 00:00:00"
#: From here on Sail's tables know no changes of clocks: zones keep the time that they have then.
UNCHANGED = "2100-01-01 00:00:00"


def in_zone(moment: Column, zone: str) -> Column:
    """A timestamp of UTC as the clocks of a zone show it. Never stays: in a zone it would be of a year that no engine writes alike."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    first, last, unchanged = (F.lit(each).cast("timestamp") for each in (FIRST, LAST, UNCHANGED))
    later = moment + (F.from_utc_timestamp(unchanged, zone) - unchanged)
    moved = F.when(moment >= unchanged, later).otherwise(F.from_utc_timestamp(moment, zone))
    return F.when((moment < first) | (moment >= last), moment).otherwise(moved)


def formatted(time: Column, pattern: str) -> Column:
    """A date or a timestamp as text; null where its year has not four digits, which engines write each in its own way."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return F.when(F.year(time).between(1, 9999), F.date_format(time, pattern))


def entry(map_column: Column, key: str | Column) -> Column:
    """The value of one key of a map; null where there is no such key.

    By the key's position: `map[key]` copies and compares entry by entry on Sail, which takes three times as long for
    memberships of five million profiles.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return beside(F.lit(key) if isinstance(key, str) else key, F.map_keys(map_column), F.map_values(map_column))


def beside(key: Column, keys: Column, values: Column) -> Column:
    """The value that has the place of `key` among `keys`; null where it has none."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    # By its name: the function of Spark 3.5's client looks for plain values only.
    position = F.call_function("array_position", keys, key).cast("int")
    # `get` gives null for an index out of range, and no key has position 0.
    return F.get(values, position - 1)


def value(root: str, steps: list[xdm.Step]) -> Column:
    """The value at the end of a path that starts at the column `root`; null where a profile has less."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    column = F.col("`" + root.replace("`", "``") + "`")
    for step in steps:
        match step:
            case xdm.Field(name):
                column = column.getField(name)
            case xdm.Key(name):
                column = entry(column, name)
            case xdm.Index(number):
                column = F.try_element_at(column, F.lit(number + 1))
    return column


def trimmed(written: Column) -> Column:
    """Without blanks of any kind at the ends."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    # By its name: the function of Spark 3.5's client takes no characters of one's own.
    return F.call_function("btrim", written, F.lit(EVERY_BLANK))


def normalized(written: Column) -> Column:
    """An address, or a key, as it is compared with another: without the blanks that those who import it take off, and in lower case."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return F.lower(trimmed(written))


def root(name: str) -> Column:
    """A column of the source."""
    return value(name, [])
