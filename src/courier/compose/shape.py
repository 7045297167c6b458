"""What a file looks like that cannot be composed at all: no YAML, or a list where keys belong. Libraries say it in their own terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from courier import config as schema
from courier.compose.groups import GROUPS
from courier.errors import ConfigError

#: What PyYAML says of it, and what helps, the first that fits.
ADVICE = {
    "character '\\t'": "indent with blanks: YAML takes no tabs there",
    "found undefined alias": "a text that begins with such a sign takes quotes: '*…'",
    "constructor for the tag": "a text that begins with such a sign takes quotes: '!…'",
    "that cannot start any token": "a text that begins with such a sign takes quotes: '…'",
    "duplicate key": "write the key once, with all that belongs below it",
    "but found '<scalar>'": 'a text that begins with a brace, a bracket or a quote takes quotes as a whole: "{segment_name}_{date}"',
    "mapping values are not allowed": "each key ends with a colon, and is on a line of its own; a text with a colon and a blank takes quotes",
    "expected ',' or": "close each bracket and brace, and put commas between what is in it",
    "could not find expected ':'": "each key ends with a colon and a blank",
    "<block end>": "keys that belong together begin in the same column, and so do the - of a list",
}


def no_yaml(exc: yaml.YAMLError, text: str) -> ConfigError:
    found = re.sub(r"(alias|tag) '.*?'(?= in )", r"\1 '…'", text)  # it may be a password that begins with * or !
    return ConfigError(
        "A configuration file is no valid YAML", found=found, fix=next((fix for said, fix in ADVICE.items() if said in str(exc)), None)
    )


def check_defaults(file: Path, inside: dict[str, Any]) -> None:
    """Raise ConfigError for choices that are none to Hydra."""
    for key in inside:
        if key != "defaults" and str(key).lower() in ("default", "defaults"):
            raise ConfigError("An activation has an unknown key", where=str(file), found=f"{key}:", fix="write defaults:")
    if not isinstance(inside.get("defaults", []), list):
        raise ConfigError(
            "The choices of an activation are no list", where=f"{file}, defaults", fix="put a - before each: - override /destination: s3"
        )


def misshapen(file: Path, inside: dict[str, Any]) -> ConfigError | None:
    """The error of an activation with a list where the configuration has keys, or keys where it has a list; None where it has neither."""
    for group, kinds in {**{name: [kind] for name, kind in GROUPS.items()}, "destination": list(schema.DESTINATIONS.values())}.items():
        for kind in kinds:
            for key, expected, fix in _misshapen(inside.get(group), kind, group):
                return ConfigError(f"{key} has a value of the wrong kind", where=str(file), expected=expected, fix=fix)
    return None


def _misshapen(value: Any, hint: Any, key: str) -> Iterator[tuple[str, str, str]]:
    leaf, container = key.rpartition(".")[2], get_origin(hint)
    if isinstance(value, list) and (is_dataclass(hint) or container is dict):
        yield key, "keys with their values", f"write them below {leaf}, with no brackets and no - before them: {leaf}: {{key: value, …}}"
    elif isinstance(value, dict) and container is list:
        yield key, "a list", f"put it in brackets, {leaf}: [{{…}}], or a - before each"
    elif isinstance(value, dict) and is_dataclass(hint):
        hints = get_type_hints(hint)
        for name in value.keys() & hints.keys():
            yield from _misshapen(value[name], hints[name], f"{key}.{name}")
    elif isinstance(value, dict) and container is dict:
        for name, each in value.items():
            yield from _misshapen(each, get_args(hint)[1], f"{key}.{name}")
