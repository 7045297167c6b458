"""Dataclasses out of stored JSON that another version of this program may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def restored(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Without the keys that this version does not know. Raises TypeError where one is missing that has no default."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # mypy cannot say that a type is a dataclass's
    return kind(**{key: value for key, value in values.items() if key in known})
