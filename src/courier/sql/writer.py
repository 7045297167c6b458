"""Writes an expression anew, so that engines compute it alike.

Sail lets whole numbers overflow, takes the first branch's type for that of all, and makes other decimals of doubles than
Spark; negative lengths and mixed types differ, too. So each part is written with the casts that make both compute the same;
where there are none, RefusedError says what to write instead. sqlglot's own types would not do: it takes literals such as
0.5 for doubles, sums of integers for integers, and knows neither lambdas nor the fields of what is inside an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from sqlglot import exp

from courier.sql import numbers
from courier.sql.calls import assert_number, called
from courier.sql.common import alike, as_text, compared, double, exact
from courier.sql.functions import FUNCTIONS, Takes
from courier.sql.parts import INT, TEXT, TRUTH, Part, RefusedError, kind_of
from courier.sql.reader import UNKNOWN

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


class Writer:
    """`literals`: the texts, by the numbers that the reader has put in their places. `kind_of`: the type of a column."""

    def __init__(self, literals: list[tuple[str, str]], kind_of: Callable[[str], pa.DataType | None]) -> None:
        self._literals, self._kind_of = literals, kind_of
        self._variables: dict[str, pa.DataType | None] = {}

    def part(self, node: Any) -> Part:  # noqa: PLR0911, PLR0912  one case a kind of node
        match node:
            case exp.Paren():
                inner = self.part(node.this)
                return inner if inner.number is not None else replace(inner, sql=f"({inner.sql})")
            case exp.Literal() if node.is_string:
                written, value = self._literals[int(node.name)]
                return Part(written, TEXT, text=value)
            case exp.Literal():
                return numbers.literal(node.name)
            case exp.Null():
                return Part("null", pa.null())
            case exp.Boolean():
                return Part(str(node.this).lower(), TRUTH)
            case exp.Column() | exp.Identifier():
                return self._column(node)
            case exp.Dot():
                return _field(self.part(node.this), node.expression.name)
            case exp.Neg():
                return numbers.negative(self.part(node.this))
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return numbers.arithmetic(SIGNS[type(node)], self.part(node.this), self.part(node.expression))
            case exp.DPipe():
                return called("concat", [self.part(node.this), self.part(node.expression)])
            case exp.And() | exp.Or():
                word = "and" if isinstance(node, exp.And) else "or"
                return Part(f"({self.part(node.this).sql} {word} {self.part(node.expression).sql})", TRUTH)
            case exp.Not():
                return Part(f"(not {self.part(node.this).sql})", TRUTH)
            case exp.Cast():  # TryCast, too
                to, word = node.args["to"], "try_cast" if isinstance(node, exp.TryCast) else "cast"
                return numbers.cast(
                    self.part(node.this), to.this.name, [each.name for each in to.expressions], to.sql("spark").lower(), word
                )
            case exp.Case():
                return self._case(node)
            case exp.Anonymous():
                return self._function(str(node.this).removeprefix(UNKNOWN), node.expressions)
        return self._test(node)

    def _test(self, node: Any) -> Part:
        match node:
            case exp.Is():
                return Part(f"({self.part(node.this).sql} is {self.part(node.expression).sql})", TRUTH)
            case exp.Like() | exp.RegexpLike():
                value, pattern = as_text(self.part(node.this)), as_text(self.part(node.expression))
                word = "like" if isinstance(node, exp.Like) else "rlike"
                tested = f"({value.sql} {word} {pattern.sql})"
                return Part(f"(not {tested})" if node.args.get("negate") else tested, TRUTH)
            case exp.Between():
                value, low, high = compared([self.part(each) for each in (node.this, node.args["low"], node.args["high"])])
                return Part(f"({value.sql} between {low.sql} and {high.sql})", TRUTH)
            case exp.In() if node.expressions:
                value, *others = compared([self.part(each) for each in (node.this, *node.expressions)])
                return Part(f"({value.sql} in ({', '.join(each.sql for each in others)}))", TRUTH)
        if type(node) not in SIGNS:
            raise RefusedError(f"'{node.key}'", "an operator or a function of the list")
        left, right = compared([self.part(node.this), self.part(node.expression)])
        return Part(f"({left.sql} {SIGNS[type(node)]} {right.sql})", TRUTH)

    def _column(self, node: Any) -> Part:
        name, table = node.name, node.args.get("table")
        if table and table.name in self._variables:
            return _field(double(Part(table.name, self._variables[table.name])), name)
        if not table and name in self._variables:
            return exact(Part(name, self._variables[name]))
        full = f"{table.name}.{name}" if table else name
        is_quoted = isinstance(node, exp.Column) and not table and node.this.quoted
        return exact(Part(f"`{name}`" if is_quoted else full, self._kind_of(full)))

    def _case(self, node: Any) -> Part:
        tests = [self.part(each.this) for each in node.args["ifs"]]
        default = node.args.get("default")
        branches = [self.part(each.args["true"]) for each in node.args["ifs"]] + ([self.part(default)] if default is not None else [])
        operand = ""
        if node.this is not None:
            subject, *tests = compared([self.part(node.this), *tests])
            operand = f" {subject.sql}"
        branches = alike(branches)
        whens = " ".join(f"when {test.sql} then {branch.sql}" for test, branch in zip(tests, branches, strict=False))
        otherwise = f" else {branches[-1].sql}" if default is not None else ""
        return Part(f"(case{operand} {whens}{otherwise} end)", kind_of(branches))

    def _function(self, name: str, nodes: Sequence[Any]) -> Part:
        if name not in FUNCTIONS:  # decimal(…), which is an error where it cannot be read
            raise RefusedError(f"the function {name}", "cast(… as decimal(18,2))")
        if not any(isinstance(each, exp.Lambda) for each in nodes):
            return called(name, [self.part(each) for each in nodes])
        if FUNCTIONS[name].takes != Takes.LAMBDA:
            raise RefusedError(f"a lambda in {name}", "transform(ARRAY, x -> …), filter, exists or array_sort")
        return self._over_lambda(name, nodes)

    def _over_lambda(self, name: str, nodes: Sequence[Any]) -> Part:
        assert_number(name, len(nodes))
        values, written = self.part(nodes[0]), []
        element = values.kind.value_type if values.family == "array" and values.kind is not None else None
        body = values
        for node in nodes[1:]:
            if not isinstance(node, exp.Lambda):
                raise RefusedError(f"{name} with a lambda and more")
            names, before = [each.name for each in node.expressions], self._variables
            kinds = [element, element if name == "array_sort" else INT]
            self._variables = {**before, **dict(zip(names, kinds, strict=False))}
            body = self.part(node.this)
            self._variables = before
            written.append(f"{names[0] if len(names) == 1 else '(' + ', '.join(names) + ')'} -> {body.sql}")
        kind = FUNCTIONS[name].kind(values.kind)
        if name == "transform" and body.kind is not None:
            kind = pa.list_(body.kind)
        return Part(f"{name}({', '.join([values.sql, *written])})", kind)


def _field(inside: Part, name: str) -> Part:
    kind = inside.kind
    found = kind.field(name).type if isinstance(kind, pa.StructType) and kind.get_field_index(name) >= 0 else None
    return exact(Part(f"{inside.sql}.{name}", found))
