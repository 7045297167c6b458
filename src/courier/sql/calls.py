"""Calls of functions, over arguments that are written already."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa

from courier.sql.common import alike, assert_text, compared, small
from courier.sql.functions import FUNCTIONS, Takes
from courier.sql.numbers import absolute
from courier.sql.parts import TEXT, Part, RefusedError, call, kind_of
from courier.sql.reader import quoted
from courier.xdm import VAGUE

#: Stands after a group's number in what is put in, and is taken out again: Rust would read on into what follows.
END = "\ue000\ue001\ue000"


def assert_number(name: str, given: int) -> None:
    """Of arguments."""
    function = FUNCTIONS[name]
    if given < function.least or (function.most is not None and given > function.most):
        further = "" if function.most == function.least else " or more" if function.most is None else f" or {function.most}"
        raise RefusedError(f"{name} of {given or 'no'} values", f"it takes {function.least}{further}")


def called(name: str, given: list[Part]) -> Part:
    assert_number(name, len(given))
    first = given[0] if given else Part("", None)
    function = FUNCTIONS[name]
    match function.takes:
        case Takes.BRANCHES:
            return _branches(name, given)
        case Takes.TEXTS:
            given = _texts(name, given)
        case Takes.TIMES:
            _assert_times(name, given if name == "datediff" else given[:1])
        case Takes.ANYTHING | Takes.LAMBDA:
            pass
    given = _counted(name, given)
    if name == "abs" and first.family == "whole number":
        return absolute(first)
    if name == "regexp_replace":
        return _replaced(*given)
    with_digits = name in ("ceil", "floor") and len(given) > 1
    return Part(call(name, given), VAGUE if with_digits else function.kind(first.kind))


def _branches(name: str, given: list[Part]) -> Part:
    """Functions that give one of their arguments, or an array of them."""
    if name == "nullif":  # by = and not by the function, to which -0.0 is not 0 in Sail, and 7 becomes 7.0 beside 0.5
        value, other = compared(given)
        return Part(f"(case when {value.sql} = {other.sql} then null else {value.sql} end)", value.kind)
    tests, branches = (given[:1], given[1:]) if name == "if" else ([], given)
    branches = alike(branches)
    if name in ("greatest", "least"):  # of 0.0 and -0.0 engines take each another one
        branches = [replace(each, sql=f"({each.sql} + 0D)") if each.family == "double" else each for each in branches]
    kind = kind_of(branches)
    return Part(call(name, [*tests, *branches]), pa.list_(pa.null() if kind is None else kind) if name == "array" else kind)


def _texts(name: str, given: list[Part]) -> list[Part]:
    """Numbers without fractions and dates become text by themselves; timestamps each engine writes in its own way, and a cast is alike."""
    for value in given:
        if value.family in ("map", "struct"):
            raise RefusedError(f"{name} of a {value.family}", "the path of a value inside it")
        assert_text(value)
        inner = value.kind.value_type if value.family == "array" and value.kind is not None else None
        if name in ("array_join", "concat_ws") and inner is not None and pa.types.is_timestamp(inner):
            raise RefusedError(f"{name} of timestamps", "transform(ARRAY, x -> date_format(x, 'yyyy-MM-dd')) in its place")
    return [Part(f"cast({each.sql} as string)", TEXT) if each.family == "timestamp" else each for each in given]


def _assert_times(name: str, given: list[Part]) -> None:
    """A text would be read by each engine in its own way, and an error show it."""
    for value in given:
        if value.family not in ("date", "timestamp", "null", "unknown"):
            raise RefusedError(f"{name} of a {value.family}", "cast(… as date), or to_timestamp(…, 'dd.MM.yyyy')")


def _counted(name: str, given: list[Part]) -> list[Part]:
    """Places and lengths: negative ones are refused where they are written, and the least there is where they are computed."""
    counted = list(given)
    for place, least in FUNCTIONS[name].whole.items():
        if place >= len(given):
            continue
        value = small(given[place])
        if least is not None and value.number is not None and value.number.startswith("-"):
            fix = "slice of reverse(ARRAY)" if name == "slice" else "right(TEXT, n) counts from the end"
            raise RefusedError(f"{name} with {value.number}", fix)
        if least is not None and value.number is None:
            value = replace(value, sql=f"(case when {value.sql} < {least} then {least} else {value.sql} end)")
        counted[place] = value
    return counted


def _replaced(value: Part, pattern: Part, new: Part) -> Part:
    """`$n` is a group of one digit or more, in Java as many as there are groups, in Rust all letters and digits that follow."""
    if pattern.text is None or new.text is None:
        raise RefusedError("regexp_replace without a pattern and a text in quotes", "write both as texts")
    in_python = pattern.text.replace(r"\z", r"\Z")
    if re.search(in_python, "") and not (pattern.text.startswith("^") or pattern.text.endswith(r"\z")):
        raise RefusedError("a pattern that finds nothing at all", "+ in place of *, or ^ before it")
    put = quoted(_with_ends(new.text, re.compile(in_python).groups))
    written = f"regexp_replace({value.sql}, {pattern.sql}, {put})"
    return Part(f"replace({written}, '{END}', '')" if END in put else written, TEXT)


def _with_ends(put: str, groups: int) -> str:
    """What is put in, with END after the number of each group that a letter or a digit follows."""
    position, new = 0, ""
    while position < len(put):
        found = re.compile(r"\$(\d)").match(put, position)
        if put[position] != "$":
            new, position = new + put[position], position + 1
            continue
        if found is None or int(found[1]) > groups:
            raise RefusedError(f"'{put[position : position + 2]}' in what is put in", "$1 for a group, and no other $")
        end = position + 2
        while put[end : end + 1].isdigit() and int(put[position + 1 : end + 1]) <= groups:
            end += 1
        follows = bool(re.match(r"\w", put[end : end + 1]))
        new, position = new + put[position:end] + (END if follows else ""), end
    return new
