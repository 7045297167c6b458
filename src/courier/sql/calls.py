"""Calls of functions, over arguments that are written already."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import replace

import pyarrow as pa

from courier.errors import nearest
from courier.expressions import FIRST, LAST, UNCHANGED
from courier.sql.common import alike, as_text, compared, small
from courier.sql.functions import FUNCTIONS, Takes
from courier.sql.numbers import absolute
from courier.sql.parts import TEXT, TIME, Part, RefusedError, call, kind_of
from courier.sql.reader import quoted
from courier.xdm import VAGUE

#: Stands after a group's number in what is put in, and is taken out again: Rust would read on into what follows.
END = "\ue000\ue001\ue000"
#: Functions of texts that arrays are given to, too.
OF_ARRAYS = ("array_join", "concat", "concat_ws", "reverse")
#: Bits of the digests that sha2 gives.
SHA2 = ("0", "224", "256", "384", "512")
#: What is meant by a negative number.
FROM_THE_END = {"slice": "slice of reverse(ARRAY)", "lpad": "a length of 0 or more", "rpad": "a length of 0 or more"}


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
    _assert_literals(name, given)
    given = _counted(name, given)
    if name == "abs" and first.family == "whole number":
        return absolute(first)
    if name == "regexp_replace":
        return _replaced(*given)
    if name == "get":  # where the place is null, Sail finds what is at the first one
        given[1] = replace(given[1], sql=f"coalesce({given[1].sql}, -1)")
    if name == "from_utc_timestamp":
        return Part(_in_zone(*given), TIME)
    if name == "date_format":  # as `expressions.formatted`
        return Part(f"(case when year({first.sql}) between 1 and 9999 then {call(name, given)} end)", TEXT)
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
    """Numbers, dates and the like become their text, but for places and lengths. Sail would take an array for a text of brackets."""
    written = []
    for place, value in enumerate(given):
        if value.family in ("map", "struct"):
            raise RefusedError(f"{name} of a {value.family}", "the path of a value inside it")
        if value.family == "array" and name not in OF_ARRAYS:
            raise RefusedError(f"{name} of an array", f"transform(ARRAY, x -> {name}(…)), or get(ARRAY, 0) for one value of it")
        inner = value.kind.value_type if value.family == "array" and value.kind is not None else None
        if name in ("array_join", "concat_ws") and inner is not None and pa.types.is_timestamp(inner):
            raise RefusedError(f"{name} of timestamps", "transform(ARRAY, x -> date_format(x, 'yyyy-MM-dd')) in its place")
        written.append(value if place in FUNCTIONS[name].whole else as_text(value))
    return written


def _assert_times(name: str, given: list[Part]) -> None:
    """A text would be read by each engine in its own way, and an error show it."""
    for value in given:
        if value.family not in ("date", "timestamp", "null", "unknown"):
            raise RefusedError(f"{name} of a {value.family}", "cast(… as date), or to_timestamp(…, 'dd.MM.yyyy')")


def _assert_literals(name: str, given: list[Part]) -> None:
    """What one engine refuses, and the other gives null or a value for."""
    last = given[-1] if given else Part("", None)
    if name == "sha2" and last.number not in SHA2:
        raise RefusedError(f"sha2 with {last.number or 'a number of bits that is computed'}", f"one of {', '.join(SHA2)}")
    if name == "from_utc_timestamp" and last.text is not None and last.text not in zoneinfo.available_timezones():
        raise RefusedError(f"the time zone '{last.text}'", nearest(last.text, zoneinfo.available_timezones()))
    if name in ("to_timestamp", "try_to_timestamp"):
        readable = ("text", "null", "unknown") if len(given) > 1 else ("text", "date", "timestamp", "null", "unknown")
        if given[0].family not in readable:
            raise RefusedError(f"{name} of a {given[0].family}", "a text, as the value or in cast(… as string)")


def _in_zone(value: Part, zone: Part) -> str:
    """The first and the last day that there is stand for never, and stay: a zone would make them days of years that no engine writes alike."""
    moment = value.sql if value.family == "timestamp" else f"cast({value.sql} as timestamp)"
    moved = f"from_utc_timestamp({value.sql}, {zone.sql})"
    never = f"{moment} < timestamp'{FIRST}' or {moment} >= timestamp'{LAST}'"
    unchanged = f"timestamp'{UNCHANGED}'"
    later = f"{moment} + (from_utc_timestamp({unchanged}, {zone.sql}) - {unchanged})"
    return f"(case when {never} then {moment} when {moment} >= {unchanged} then {later} else {moved} end)"


def _counted(name: str, given: list[Part]) -> list[Part]:
    """Places and lengths: negative ones are refused where they are written, and the least there is where they are computed."""
    counted = list(given)
    for place, least in FUNCTIONS[name].whole.items():
        if place >= len(given):
            continue
        value = small(given[place])
        if least is not None and value.number is not None and value.number.startswith("-"):
            fix = FROM_THE_END.get(name, "right(TEXT, n) counts from the end")
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
