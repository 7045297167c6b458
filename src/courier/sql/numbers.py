"""Literal numbers, arithmetic and casts."""

from __future__ import annotations

import pyarrow as pa

from courier.sql.common import assert_text, double, mixed, small
from courier.sql.parts import DATE, DOUBLE, INT, LONG, NUMBERS, TEXT, TIME, TRUTH, Part, RefusedError
from courier.xdm import DIGITS, VAGUE

#: What a cast can be to, by sqlglot's names.
TYPES = {
    "TEXT": TEXT,
    "VARCHAR": TEXT,
    "INT": INT,
    "BIGINT": LONG,
    "SMALLINT": pa.int16(),
    "TINYINT": pa.int8(),
    "DOUBLE": DOUBLE,
    "BOOLEAN": TRUTH,
    "DATE": DATE,
    "TIMESTAMP": TIME,
    "TIMESTAMPTZ": TIME,
}


def literal(text: str) -> Part:
    if "e" in text.lower():
        return Part(text, DOUBLE, number=text)
    if "." in text:
        digits = len(text.partition(".")[2])
        return Part(text, pa.decimal128(min(DIGITS, max(1, len(text) - 1)), min(DIGITS, digits)), number=text)
    kind = INT if int(text) < 2**31 else LONG if int(text) < 2**63 else pa.decimal128(min(DIGITS, len(text)), 0)
    return Part(text, kind, number=text)


def negative(value: Part) -> Part:
    if value.number is not None:
        return Part(f"(-{value.sql})", value.kind, number=f"-{value.number}")
    if value.family == "text":
        raise mixed([value, Part("", INT)])
    if value.family != "whole number":
        return Part(f"(-{value.sql})", value.kind)
    if value.is_small:
        return Part(f"(-cast({value.sql} as bigint))", LONG)
    return Part(f"cast((-cast({value.sql} as decimal(20,0))) as bigint)", LONG)


def absolute(value: Part) -> Part:
    """Of a whole number."""
    return Part(f"cast(abs(cast({value.sql} as {'bigint' if value.is_small else 'decimal(20,0)'})) as bigint)", LONG)


def arithmetic(sign: str, left: Part, right: Part) -> Part:
    families = {left.family, right.family}
    if left.family == "date" and sign in "+-" and right.family == "whole number":
        return Part(f"({left.sql} {sign} {small(right).sql})", DATE)
    if families & {"date", "timestamp"}:
        raise RefusedError(f"{left.family} {sign} {right.family}", "datediff, date_add, date_sub or add_months")
    if not families <= {*NUMBERS, "null", "unknown"}:
        raise mixed([left, right])
    if "double" in families or (sign == "/" and "decimal" in families):  # of decimals Sail cuts a quotient off after few digits
        return Part(f"({double(left).sql} {sign} {double(right).sql})", DOUBLE)
    if "decimal" in families or families != {"whole number"}:
        digits = _digits(sign, left, right)
        return Part(f"({left.sql} {sign} {right.sql})", VAGUE if "decimal" in families else None, digits=digits)
    if sign in "/%":
        return Part(f"({left.sql} {sign} {right.sql})", DOUBLE if sign == "/" else LONG)
    # Whole numbers that overflow are wrong on one engine and an error on the other: so there is room for each.
    if left.is_small and right.is_small:
        return Part(f"(cast({left.sql} as bigint) {sign} cast({right.sql} as bigint))", LONG)
    return Part(f"cast((cast({left.sql} as decimal(20,0)) {sign} cast({right.sql} as decimal(20,0))) as bigint)", LONG)


def _digits(sign: str, left: Part, right: Part) -> tuple[int, int] | None:
    """Of a sum or a product, where they are known. Beyond 38 digits Spark gives up some after the point, and Sail does not."""
    of_left, of_right = _of_decimal(left), _of_decimal(right)
    if of_left is None or of_right is None or sign == "%":
        return None
    (most, after), (other_most, other_after) = of_left, of_right
    if sign == "*":
        most, after = most + other_most + 1, after + other_after
    else:
        before, after = max(most - after, other_most - other_after), max(after, other_after)
        most = before + after + 1
    if most > DIGITS and max(DIGITS - most + after, min(after, 6)) != after:
        raise RefusedError(
            f"a decimal that has to hold {most} digits, {after} of them after the point", "cast(… as decimal(18,2)) around each"
        )
    return min(most, DIGITS), after


def _of_decimal(value: Part) -> tuple[int, int] | None:
    """Its digits, and how many of them stand after the point, as Spark counts them."""
    if value.number is not None:
        before, _, after = value.number.lstrip("-").partition(".")
        return max(1, len(before.lstrip("0")) + len(after)), len(after)
    if value.family == "whole number" and value.kind is not None:
        return {8: 3, 16: 5, 32: 10}.get(value.kind.bit_width, 20), 0
    if value.family == "decimal" and value.kind is not None and value.kind != VAGUE:
        return value.kind.precision, value.kind.scale
    return value.digits


def cast(value: Part, name: str, digits: list[str], wanted: str, word: str) -> Part:
    """To the type that sqlglot calls `name`, which is written `wanted`. `word`: cast or try_cast."""
    kind = _decimal(digits, wanted) if name == "DECIMAL" else TYPES.get(name)
    if kind is None:
        raise RefusedError(f"a cast to {wanted}", "cast(… as double)" if name == "FLOAT" else None)
    to_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if (value.family == "timestamp" and to_number) or (value.family in NUMBERS and kind == TIME):
        raise RefusedError(f"a cast of {value.family} to {wanted}", "date_format, or to_timestamp of a text")
    if value.family in ("array", "map", "struct"):
        raise RefusedError(f"a cast of {value.family} to {wanted}", "array_join, or the path of a value inside it")
    if (value.family == "date" and (to_number or kind == TRUTH)) or (value.family in {*NUMBERS, "boolean"} and kind == DATE):
        raise RefusedError(f"a cast of {value.family} to {wanted}", "datediff from a day, date_add to a day, or date_format")
    if kind == TEXT:
        assert_text(value)
    if value.family == "double" and kind == LONG:  # 2^63 is one more than there is, which Spark takes for the greatest one
        return Part(f"{word}(case when {value.sql} < 9223372036854775808D then {value.sql} end as {wanted})", kind)
    if value.family == "text" and kind == DOUBLE:  # Java reads 12d and 12f as numbers
        return Part(f"(case when {value.sql} rlike '[dDfF] *$' then null else {word}({value.sql} as double) end)", kind)
    if value.family == "double" and pa.types.is_decimal(kind):
        return Part(_decimal_of_double(value.sql, wanted), kind)
    return Part(f"{word}({value.sql} as {wanted})", kind)


def _decimal(digits: list[str], wanted: str) -> pa.DataType:
    """Spark's own is decimal(10,0)."""
    if not all(each.isdecimal() for each in digits) or not 0 < int((digits or ["10"])[0]) <= DIGITS:
        raise RefusedError(f"a cast to {wanted}", f"decimal(DIGITS, OF_THEM_AFTER_THE_POINT), such as decimal(18,2); at most {DIGITS}")
    return pa.decimal128(*(int(each) for each in digits or ["10"]))


def _decimal_of_double(value: str, kind: str) -> str:
    """Half up: by way of its text, as formats are (see shapes), where that has no exponent."""
    whole = f"try_cast(case when {value} >= -9.2e18 and {value} < 9.2e18 then cast({value} as bigint) end as {kind})"
    exact = f"coalesce(try_cast(cast({value} as string) as {kind}), try_cast({value} as {kind}))"
    return f"(case when abs({value}) >= 1e15 then {whole} else {exact} end)"
