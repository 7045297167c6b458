"""Changes of values, as expressions of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from courier.expressions import formatted
from courier.mapping import MappedColumn, Mapping

if TYPE_CHECKING:
    from pyspark.sql import Column


@dataclass(frozen=True)
class Fixed:
    """How a column is built where a change comes last. `rule` is the row rule that counts it, `alias` its mark's column."""

    rule: str
    alias: str
    before: Callable[[], Column]
    change: Callable[[Column], Column]

    def __call__(self) -> Column:
        return self.change(self.before())

    def mark(self, text: str) -> Column:
        """`text` where the value was changed, else null."""
        from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

        return F.when(~self().eqNullSafe(self.before()), F.lit(text)).alias(self.alias)


def fixes(mapping: Mapping) -> Iterator[tuple[MappedColumn, Fixed]]:
    """All counted changes of a mapping, each with its column."""
    for column in mapping.columns:
        build = column.build
        while isinstance(build, Fixed):
            yield column, build
            build = build.before


def cut(value: Column, most: int) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return F.substring(value, 1, most)


def matching(value: Column, pattern: str) -> Column:
    """Null in place of what does not match."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    return F.when(value.rlike(pattern), value)


def phone(value: Column, form: str) -> Column:
    """E.164, or its digits alone. What is no number with a country code stays as it is: nobody knows which country it is of."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    international = F.regexp_replace(F.trim(value), r"^00|\(0\)", "")
    written = F.regexp_replace(international, "[ \u00a0()./-]", "")
    with_plus = F.when(F.trim(value).startswith("00"), F.concat(F.lit("+"), written)).otherwise(written)
    number = F.when(with_plus.rlike(r"^\+[1-9][0-9]{6,14}$"), with_plus)
    return F.coalesce(number if form == "plus" else F.substring(number, 2, 15), value)


def dated(build: Callable[[], Column], pattern: str) -> Callable[[], Column]:
    """A date or timestamp as text, in UTC."""
    return lambda: formatted(build(), pattern)
