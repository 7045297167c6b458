"""What engines compute differently, by the types of an expression's parts: computed alike, or refused.

Sail lets whole numbers overflow, takes the first branch's type for that of all, and makes other decimals of doubles than
Spark; negative lengths and mixed types differ, too. So an expression is written anew, part by part, with the casts that
make both compute the same; where there are none, ConfigError says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from sqlglot import exp, parse_one
from sqlglot.tokenizer_core import TokenType

from courier import xdm
from courier.errors import ConfigError

#: A decimal of which engines know different numbers of digits.
VAGUE = pa.decimal256(76, 0)
TEXT, INT, LONG, DOUBLE, TRUTH, DATE, TIME = (
    pa.string(),
    pa.int32(),
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("us", "UTC"),
)
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
#: The type of what functions give, where it does not depend on what they are given.
RESULTS = {
    **dict.fromkeys("array_join concat_ws date_format left lower lpad ltrim md5 regexp_extract regexp_replace replace".split(), TEXT),
    **dict.fromkeys("right rpad rtrim sha1 sha2 substring translate trim upper".split(), TEXT),
    **dict.fromkeys("datediff day length month size year".split(), INT),
    **dict.fromkeys("add_months date_add date_sub".split(), DATE),
    **dict.fromkeys("from_utc_timestamp to_timestamp try_to_timestamp".split(), TIME),
    "crc32": LONG,
    "exists": TRUTH,
    "split": pa.list_(TEXT),
}
OF_TEXT = frozenset("concat concat_ws crc32 length lower lpad ltrim md5 regexp_extract regexp_replace replace reverse".split()) | frozenset(
    "left right rpad rtrim sha1 sha2 split substring translate trim upper array_join".split()
)
OF_TIME = frozenset("add_months date_add date_format date_sub datediff day from_utc_timestamp month year".split())
OF_BRANCHES = frozenset("array coalesce greatest if ifnull least nullif nvl".split())
#: Which arguments are whole numbers of 32 bits.
SMALL = {
    **dict.fromkeys("left right lpad rpad get date_add date_sub add_months sha2".split(), (1,)),
    **dict.fromkeys("substring slice".split(), (1, 2)),
    "regexp_extract": (2,),
}
#: Which of these engines read differently where they are negative, and the least that they can be.
LEAST = {("left", 1): 0, ("right", 1): 0, ("substring", 1): 1, ("substring", 2): 0, ("slice", 1): 1, ("slice", 2): 0}
ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?Z?)?")
#: Stands after a group's number in what is put in, and is taken out again: Rust would read on into what follows.
END = "\ue000\ue001\ue000"


@dataclass(frozen=True)
class Part:
    """A part of an expression: how it is written, its type (None: unknown), and its value where it is a literal."""

    sql: str
    kind: pa.DataType | None
    text: str | None = None
    number: str | None = None

    @property
    def family(self) -> str:
        kind = self.kind
        if kind is None:
            return "unknown"
        for name, test in FAMILIES.items():
            if test(kind):
                return name
        return "other"


FAMILIES: dict[str, Callable[[pa.DataType], bool]] = {
    "null": pa.types.is_null,
    "text": xdm.is_text,
    "whole number": pa.types.is_integer,
    "decimal": pa.types.is_decimal,
    "double": pa.types.is_floating,
    "boolean": pa.types.is_boolean,
    "date": pa.types.is_date,
    "timestamp": pa.types.is_timestamp,
    "array": xdm.is_array,
    "map": pa.types.is_map,
    "struct": pa.types.is_struct,
}
NUMBERS = {"whole number", "decimal", "double"}


def rewritten(
    text: str, functions: frozenset[str], kind_of: Callable[[str], pa.DataType | None], refused: Callable[..., ConfigError]
) -> tuple[str, pa.DataType | None]:
    """The expression `text` over plain columns, written so that engines compute it alike, and its type where it is known.
    `kind_of` gives a column's type; `refused` makes an error of what was found and what to write instead.
    """
    masked, literals = _masked(text, functions)
    whole = _Writer(literals, kind_of, refused).part(parse_one(masked, read="spark"))
    return whole.sql, None if whole.family == "null" else whole.kind


def _masked(text: str, functions: frozenset[str]) -> tuple[str, list[tuple[str, str]]]:
    """With names of functions that sqlglot does not know, so that it leaves them as they are, and with numbers for texts, which
    engines shall read as they are written.
    """
    from sqlglot.dialects.spark import Spark  # noqa: PLC0415  dialects load slowly

    tokens, out, at, literals = Spark().tokenize(text), "", 0, list[tuple[str, str]]()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type == TokenType.STRING:
            new = f"'{len(literals)}'"
            literals.append((text[token.start : token.end + 1], token.text))
        elif following and following.token_type == TokenType.L_PAREN and token.text.lower() in functions - {"cast", "try_cast"}:
            new = f"f_{token.text.lower()}"
        else:
            continue
        out += text[at : token.start] + new
        at = token.end + 1
    return out + text[at:], literals


class _Writer:
    """Writes an expression anew from what sqlglot has read."""

    def __init__(
        self, literals: list[tuple[str, str]], kind_of: Callable[[str], pa.DataType | None], refused: Callable[..., ConfigError]
    ) -> None:
        self._literals, self._kind_of, self._refused = literals, kind_of, refused
        self._variables: dict[str, pa.DataType | None] = {}

    def part(self, node: Any) -> Part:  # noqa: PLR0911, PLR0912  one case a kind of node
        match node:
            case exp.Paren():
                inner = self.part(node.this)
                return inner if inner.number is not None else replace(inner, sql=f"({inner.sql})")
            case exp.Literal():
                return self._literal(node)
            case exp.Null():
                return Part("null", pa.null())
            case exp.Boolean():
                return Part(str(node.this).lower(), TRUTH)
            case exp.Column() | exp.Identifier():
                return self._column(node)
            case exp.Dot():
                return self._field(self.part(node.this), node.expression.name)
            case exp.Neg():
                return self._negative(self.part(node.this))
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return self._arithmetic(SIGNS[type(node)], self.part(node.this), self.part(node.expression))
            case exp.DPipe():
                return self._texts("concat", [self.part(node.this), self.part(node.expression)])
            case exp.And() | exp.Or():
                word = "and" if isinstance(node, exp.And) else "or"
                return Part(f"({self.part(node.this).sql} {word} {self.part(node.expression).sql})", TRUTH)
            case exp.Not():
                return Part(f"(not {self.part(node.this).sql})", TRUTH)
            case exp.Cast():  # TryCast, too
                return self._cast(node)
            case exp.Case():
                return self._case(node)
            case exp.Anonymous():
                return self._function(str(node.this).removeprefix("f_"), node.expressions)
        return self._test(node)

    def _test(self, node: Any) -> Part:
        match node:
            case exp.Is():
                return Part(f"({self.part(node.this).sql} is {self.part(node.expression).sql})", TRUTH)
            case exp.Like() | exp.RegexpLike():
                value, pattern = self.part(node.this), self.part(node.expression)
                self._assert_text(value)
                word = "like" if isinstance(node, exp.Like) else "rlike"
                tested = f"({value.sql} {word} {pattern.sql})"
                return Part(f"(not {tested})" if node.args.get("negate") else tested, TRUTH)
            case exp.Between():
                value, low, high = self._compared([self.part(each) for each in (node.this, node.args["low"], node.args["high"])])
                return Part(f"({value.sql} between {low.sql} and {high.sql})", TRUTH)
            case exp.In() if node.expressions:
                value, *others = self._compared([self.part(each) for each in (node.this, *node.expressions)])
                return Part(f"({value.sql} in ({', '.join(each.sql for each in others)}))", TRUTH)
        if type(node) not in SIGNS:
            raise self._refused(f"'{node.key}'", "an operator or a function of the list")
        left, right = self._compared([self.part(node.this), self.part(node.expression)])
        return Part(f"({left.sql} {SIGNS[type(node)]} {right.sql})", TRUTH)

    def _literal(self, node: Any) -> Part:
        if node.is_string:
            written, value = self._literals[int(node.name)]
            return Part(written, TEXT, text=value)
        text = node.name
        if "e" in text.lower():
            return Part(text, DOUBLE, number=text)
        if "." in text:
            digits = len(text.partition(".")[2])
            return Part(text, pa.decimal128(min(38, max(1, len(text) - 1)), min(38, digits)), number=text)
        return Part(text, INT if int(text) < 2**31 else LONG if int(text) < 2**63 else pa.decimal128(min(38, len(text)), 0), number=text)

    def _column(self, node: Any) -> Part:
        name, table = node.name, node.args.get("table")
        written = f"`{name}`" if isinstance(node, exp.Column) and not table and node.this.quoted else name
        if table and table.name in self._variables:
            return self._field(self._double(Part(table.name, self._variables[table.name])), name)
        if not table and name in self._variables:
            return self._exact(Part(name, self._variables[name]))
        written = f"{table.name}.{name}" if table else written
        return self._exact(Part(written, self._kind_of(f"{table.name}.{name}" if table else name)))

    def _field(self, inside: Part, name: str) -> Part:
        kind = inside.kind
        found = kind.field(name).type if isinstance(kind, pa.StructType) and kind.get_field_index(name) >= 0 else None
        return self._exact(Part(f"{inside.sql}.{name}", found))

    def _exact(self, value: Part) -> Part:
        """Engines compute fractions of 32 bits as such, or as doubles; so they become the double of their digits."""
        if value.kind is not None and pa.types.is_floating(value.kind) and value.kind != DOUBLE:
            return Part(f"cast(cast({value.sql} as string) as double)", DOUBLE)
        return value

    def _negative(self, value: Part) -> Part:
        if value.number is not None:
            return Part(f"(-{value.sql})", value.kind, number=f"-{value.number}")
        if value.family == "text":
            raise self._mixed([value, Part("", INT)])
        if value.family != "whole number":
            return Part(f"(-{value.sql})", value.kind)
        if _is_small(value):
            return Part(f"(-cast({value.sql} as bigint))", LONG)
        return Part(f"cast((-cast({value.sql} as decimal(20,0))) as bigint)", LONG)

    def _arithmetic(self, sign: str, left: Part, right: Part) -> Part:
        families = {left.family, right.family}
        if left.family == "date" and sign in "+-" and right.family == "whole number":
            return Part(f"({left.sql} {sign} {self._small(right).sql})", DATE)
        if families & {"date", "timestamp"}:
            raise self._refused(f"{left.family} {sign} {right.family}", "datediff, date_add, date_sub or add_months")
        if not families <= {*NUMBERS, "null", "unknown"}:
            raise self._mixed([left, right])
        if "double" in families:
            return Part(f"({self._double(left).sql} {sign} {self._double(right).sql})", DOUBLE)
        if "decimal" in families or families != {"whole number"}:
            return Part(f"({left.sql} {sign} {right.sql})", VAGUE if "decimal" in families else None)
        if sign in "/%":
            return Part(f"({left.sql} {sign} {right.sql})", DOUBLE if sign == "/" else LONG)
        # Whole numbers that overflow are wrong on one engine and an error on the other: so there is room for each.
        if _is_small(left) and _is_small(right):
            return Part(f"(cast({left.sql} as bigint) {sign} cast({right.sql} as bigint))", LONG)
        return Part(f"cast((cast({left.sql} as decimal(20,0)) {sign} cast({right.sql} as decimal(20,0))) as bigint)", LONG)

    def _double(self, value: Part) -> Part:
        """By way of text, since engines make doubles of decimals each in its own way."""
        if value.family in ("double", "null", "unknown", "struct"):
            return value
        if value.number is not None:
            return Part(f"cast('{value.number}' as double)", DOUBLE)
        return Part(f"cast(cast({value.sql} as string) as double)" if value.family == "decimal" else f"cast({value.sql} as double)", DOUBLE)

    def _small(self, value: Part) -> Part:
        return value if value.kind != LONG else Part(f"try_cast({value.sql} as int)", INT)

    def _cast(self, node: Any) -> Part:
        value, to = self.part(node.this), node.args["to"]
        name, wanted = to.this.name, to.sql("spark").lower()
        if name == "DECIMAL":
            digits = [int(each.name) for each in to.expressions] or [10, 0]
            kind: pa.DataType | None = pa.decimal128(*digits) if len(digits) > 1 else pa.decimal128(digits[0], 0)
        else:
            kind = TYPES.get(name)
        if kind is None:
            raise self._refused(f"a cast to {wanted}", "cast(… as double)" if name == "FLOAT" else None)
        to_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if (value.family == "timestamp" and to_number) or (value.family in NUMBERS and kind == TIME):
            raise self._refused(f"a cast of {value.family} to {wanted}", "date_format, or to_timestamp of a text")
        if kind == TEXT:
            self._assert_text(value)
        if value.family == "double" and pa.types.is_decimal(kind):
            return Part(_decimal(value.sql, wanted), kind)
        word = "try_cast" if isinstance(node, exp.TryCast) else "cast"
        return Part(f"{word}({value.sql} as {wanted})", kind)

    def _case(self, node: Any) -> Part:
        tests = [self.part(each.this) for each in node.args["ifs"]]
        default = node.args.get("default")
        branches = [self.part(each.args["true"]) for each in node.args["ifs"]] + ([self.part(default)] if default is not None else [])
        operand = ""
        if node.this is not None:
            subject, *tests = self._compared([self.part(node.this), *tests])
            operand = f" {subject.sql}"
        branches = self._alike(branches)
        whens = " ".join(f"when {test.sql} then {branch.sql}" for test, branch in zip(tests, branches, strict=False))
        otherwise = f" else {branches[-1].sql}" if default is not None else ""
        return Part(f"(case{operand} {whens}{otherwise} end)", _kind_of(branches))

    def _function(self, name: str, nodes: Sequence[Any]) -> Part:
        if any(isinstance(each, exp.Lambda) for each in nodes):
            return self._over_lambda(name, nodes)
        given = [self.part(each) for each in nodes]
        if name in OF_TEXT:
            return self._texts(name, given)
        if name in OF_BRANCHES:
            return self._branches(name, given)
        if name in OF_TIME:
            self._assert_times(name, given if name == "datediff" else given[:1])
        if name == "abs" and given and given[0].family == "whole number":
            inner = "bigint" if _is_small(given[0]) else "decimal(20,0)"
            return Part(f"cast(abs(cast({given[0].sql} as {inner})) as bigint)", LONG)
        given = self._counts(name, given)
        return Part(_call(name, given), self._result(name, given))

    def _branches(self, name: str, given: list[Part]) -> Part:
        """Functions that give one of their arguments, or an array of them."""
        if name == "nullif":
            if len(given) != 2:
                return Part(_call(name, given), None)  # which engines refuse
            first, other = self._compared(
                given
            )  # by = and not by the function, to which -0.0 is not 0 in Sail, and 7 becomes 7.0 beside 0.5
            return Part(f"(case when {first.sql} = {other.sql} then null else {first.sql} end)", first.kind)
        tests, branches = (given[:1], given[1:]) if name == "if" else ([], given)
        branches = self._alike(branches)
        if name in ("greatest", "least"):  # of 0.0 and -0.0 engines take each another one
            branches = [replace(each, sql=f"({each.sql} + 0D)") if each.family == "double" else each for each in branches]
        kind = _kind_of(branches)
        return Part(_call(name, [*tests, *branches]), pa.list_(pa.null() if kind is None else kind) if name == "array" else kind)

    def _assert_times(self, name: str, given: list[Part]) -> None:
        """A text would be read by each engine in its own way, and an error show it."""
        for value in given:
            if value.family not in ("date", "timestamp", "null", "unknown"):
                raise self._refused(f"{name} of a {value.family}", "cast(… as date), or to_timestamp(…, 'dd.MM.yyyy')")

    def _result(self, name: str, given: list[Part]) -> pa.DataType | None:
        first = given[0] if given else Part("", None)
        kind = first.kind
        if name in ("floor", "ceil"):
            return LONG if first.family == "double" else VAGUE if first.family == "decimal" else kind
        if name in ("abs", "array_distinct", "array_sort", "sort_array", "slice", "filter", "reverse"):
            return kind
        if name in ("get", "flatten", "try_element_at") and first.family == "array" and kind is not None:
            return kind.value_type
        if first.family == "map" and kind is not None:
            return {"try_element_at": kind.item_type, "map_keys": pa.list_(kind.key_type), "map_values": pa.list_(kind.item_type)}.get(name)
        return RESULTS.get(name)

    def _over_lambda(self, name: str, nodes: Sequence[Any]) -> Part:
        values, written = self.part(nodes[0]), []
        element = values.kind.value_type if values.family == "array" and values.kind is not None else None
        body = values
        for node in nodes[1:]:
            if not isinstance(node, exp.Lambda):
                raise self._refused(f"{name} with a lambda and more", None)
            names, before = [each.name for each in node.expressions], self._variables
            kinds = [element, element if name == "array_sort" else INT]
            self._variables = {**before, **dict(zip(names, kinds, strict=False))}
            body = self.part(node.this)
            self._variables = before
            written.append(f"{names[0] if len(names) == 1 else '(' + ', '.join(names) + ')'} -> {body.sql}")
        kind = pa.list_(body.kind) if name == "transform" and body.kind is not None else self._result(name, [values])
        return Part(f"{name}({', '.join([values.sql, *written])})", None if name == "transform" and body.kind is None else kind)

    def _texts(self, name: str, given: list[Part]) -> Part:
        """Functions over texts. Whole numbers, decimals and dates become text by themselves; fractions and timestamps each engine writes
        in its own way, and of timestamps a cast is alike.
        """
        for value in given:
            self._assert_text(value)
            inner = value.kind.value_type if value.family == "array" and value.kind is not None else None
            if name in ("array_join", "concat_ws") and inner is not None and pa.types.is_timestamp(inner):
                raise self._refused(f"{name} of timestamps", "transform(ARRAY, x -> date_format(x, 'yyyy-MM-dd')) in its place")
        given = [Part(f"cast({each.sql} as string)", TEXT) if each.family == "timestamp" else each for each in given]
        given = self._counts(name, given)
        if name in ("concat", "reverse") and given and given[0].family == "array":
            return Part(_call(name, given), given[0].kind)
        if name == "regexp_replace":
            return self._replaced(given)
        return Part(_call(name, given), RESULTS.get(name, TEXT))

    def _counts(self, name: str, given: list[Part]) -> list[Part]:
        """Places and lengths: negative ones are refused where they are written, and the least there is where they are computed."""
        counted = list(given)
        for place in SMALL.get(name, ()):
            if place >= len(given):
                continue
            value, least = self._small(given[place]), LEAST.get((name, place))
            if least is not None and value.number is not None and value.number.startswith("-"):
                fix = "slice of reverse(ARRAY)" if name == "slice" else "right(TEXT, n) counts from the end"
                raise self._refused(f"{name} with {value.number}", fix)
            if least is not None and value.number is None:
                value = replace(value, sql=f"(case when {value.sql} < {least} then {least} else {value.sql} end)")
            counted[place] = value
        return counted

    def _replaced(self, given: list[Part]) -> Part:
        """`$n` is a group of one digit or more, in Java as many as there are groups, in Rust all letters and digits that follow."""
        if len(given) != 3 or given[1].text is None or given[2].text is None:
            raise self._refused("regexp_replace without a pattern and a text in quotes", "write both as texts")
        pattern, put = given[1].text, given[2].text
        if re.search(pattern.replace(r"\z", r"\Z"), "") and not (pattern.startswith("^") or pattern.endswith(r"\z")):
            raise self._refused("a pattern that finds nothing at all", "+ in place of *, or ^ before it")
        groups, position, new = re.compile(pattern.replace(r"\z", r"\Z")).groups, 0, ""
        while position < len(put):
            found = re.compile(r"\$(\d)").match(put, position)
            if put[position] != "$":
                new, position = new + put[position], position + 1
                continue
            if found is None or int(found[1]) > groups:
                raise self._refused(f"'{put[position : position + 2]}' in what is put in", "$1 for a group, and no other $")
            end = position + 2
            while put[end : end + 1].isdigit() and int(put[position + 1 : end + 1]) <= groups:
                end += 1
            follows = bool(re.match(r"\w", put[end : end + 1]))
            new, position = new + put[position:end] + (END if follows else ""), end
        quoted = new.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        called = f"regexp_replace({given[0].sql}, {given[1].sql}, '{quoted}')"
        return Part(f"replace({called}, '{END}', '')" if END in new else called, TEXT)

    def _assert_text(self, value: Part) -> None:
        inner = value.kind.value_type if value.family == "array" and value.kind is not None else value.kind
        if Part("", inner).family == "double":
            raise self._refused("the text of a double, which engines write each in its own way", "cast(… as decimal(18,2)) around it")

    def _compared(self, values: list[Part]) -> list[Part]:
        families = {value.family for value in values} - {"null", "unknown"}
        if families <= NUMBERS:
            return [self._double(value) for value in values] if "double" in families else values
        moments = families - {"text"}
        if moments in ({"date"}, {"timestamp"}) and all(ISO.fullmatch(each.text or "") for each in values if each.family == "text"):
            return values
        if len(families) > 1:
            raise self._mixed(values)
        return values

    def _alike(self, values: list[Part]) -> list[Part]:
        """Values of which one is taken: of one type, since Sail takes the first one's for all."""
        families = {value.family for value in values} - {"null", "unknown"}
        if families <= NUMBERS and "double" in families:
            return [self._double(value) for value in values]
        if families == {"whole number"}:
            if len({str(value.kind) for value in values if value.family != "null"}) == 1:
                return values
            return [value if value.family == "null" else Part(f"cast({value.sql} as bigint)", LONG) for value in values]
        if families and families <= {"whole number", "decimal"}:
            return self._decimals(values)
        if len(families) > 1:
            raise self._mixed(values)
        return values

    def _decimals(self, values: list[Part]) -> list[Part]:
        known = {value.kind for value in values if value.kind is not None and value.family == "decimal"}
        if len({str(value.kind) for value in values if value.family != "null"}) == 1 and (VAGUE not in known or len(values) == 1):
            return values
        if VAGUE in known:
            raise self._refused("decimals of different digits", "cast(… as decimal(18,2)) around each")
        scale = max(kind.scale for kind in known)
        whole = [len(each.number.lstrip("-")) if each.number else 20 for each in values if each.family == "whole number"]
        wanted = pa.decimal128(min(38, max([kind.precision - kind.scale for kind in known] + whole) + scale), scale)
        written = f"decimal({wanted.precision},{wanted.scale})"
        return [each if each.family == "null" else Part(f"cast({each.sql} as {written})", wanted) for each in values]

    def _mixed(self, values: list[Part]) -> ConfigError:
        names = list(dict.fromkeys(value.family for value in values if value.family not in ("null", "unknown")))
        return self._refused(f"values of different types ({' and '.join(names)})", "cast(… as …), so that all are of one type")


SIGNS: dict[type, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.NullSafeEQ: "is not distinct from",
    exp.NullSafeNEQ: "is distinct from",
}


def _call(name: str, given: Sequence[Part]) -> str:
    return f"{name}({', '.join(each.sql for each in given)})"


def _is_small(value: Part) -> bool:
    return value.kind is not None and value.kind.bit_width <= INT.bit_width and value.kind != pa.uint32()


def _kind_of(values: Sequence[Part]) -> pa.DataType | None:
    return next((value.kind for value in values if value.family != "null"), pa.null())


def _decimal(value: str, kind: str) -> str:
    """Of a double, half up: by way of its text, as formats are (see shapes), where that has no exponent."""
    whole = f"try_cast(case when {value} >= -9.2e18 and {value} < 9.2e18 then cast({value} as bigint) end as {kind})"
    exact = f"coalesce(try_cast(cast({value} as string) as {kind}), try_cast({value} as {kind}))"
    return f"(case when abs({value}) >= 1e15 then {whole} else {exact} end)"
