"""Dataclasses out of stored JSON, which another version of this program may have written, or somebody's hand.

JSON has its own idea of what a value is: without a look at it, a number in the place of a text is found out in the middle of
a delivery.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")


def restored(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Without the keys that this version does not know. Raises TypeError where one is missing that has no default, or has a
    value of another type.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # mypy cannot say that a type is a dataclass's
    return checked(kind(**{key: value for key, value in values.items() if key in known}))


def checked(instance: Kind) -> Kind:
    """A dataclass as it is. Raises TypeError where a field has a value of another type than it is declared with."""
    kind: type = type(instance)
    assert_kinds(vars(instance), _hints(kind))
    return instance


def assert_kinds(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise KeyError where one of the keys is missing, and TypeError where its value is of another type."""
    for name, kind in kinds.items():
        if not _fits(values[name], kind):
            raise TypeError(f"{name} is of another type")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(key, inner[0]) and _fits(each, inner[1]) for key, each in value.items())
    if origin is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if isinstance(value, bool):  # which is a number to Python
        return kind is bool
    return isinstance(value, int | float if kind is float else origin or kind)
