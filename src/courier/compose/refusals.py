"""What Hydra refuses, in words of this program: what is wrong, which keys and options there are, what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

from courier import config as schema
from courier.compose import written
from courier.compose.groups import CHOSEN, GROUPS, SECRETS, TOP_LEVEL, destinations_with
from courier.errors import ConfigError, nearest


def unreadable(override: str) -> ConfigError:
    """Of the command line, what Hydra cannot parse."""
    return ConfigError(
        "The command line cannot be read",
        found=without_secret(override),
        expected="group=option or group.key=value",
        fix=f"a value with signs such as ~ = [ ; | {{ é or a blank takes quotes inside the shell's: {_quoted(override)}",
    )


def _quoted(override: str) -> str:
    """The override itself with quotes, where these are likely to be all that it lacks, or an example."""
    found = re.fullmatch(r"""(\+{0,2}[\w.]+)=([^\['"$`\\][^'"$`\\]*)""", override)
    if not found:
        return "\"file.delimiter=';'\""
    return f"\"{found[1]}='{'…' if may_be_secret(override) else found[2]}'\""


def missing_option(missing: str, options: Sequence[str], shipped: Path, own: Path | None) -> ConfigError:
    group, _, option = missing.rpartition("/")
    longer = [name for name in options if name.startswith(f"{option}_")]
    fix = f"there are: {', '.join(longer)}" if option and len(longer) > 1 else nearest(option, options)
    where = f"group {group}"
    if own is not None:
        where += f", in {shipped / group} and {own / group}{'' if (own / group).is_dir() else ', which is no folder'}"
        fix = written.misplaced(own, group, option) or fix
    elif group == "activation" and fix.startswith("there are"):
        fix += "; one of your own is found with --config-dir DIR, in DIR/activation"
    return ConfigError(f"There is no configuration '{missing}'", where=where, fix=fix)


def bad_override(text: str) -> ConfigError:
    """Hydra says `Could not override 'file.delimeter'`; say which keys there are instead of how Hydra is built."""
    if text.startswith("You must specify 'activation'"):
        names = text.partition("Available options: ")[2].split()
        return ConfigError("No activation is named", expected="activation=NAME", fix=f"choose one: {', '.join(names)}")
    named = re.search(r"[Cc]ould not (?:override|append|find) '([^']+)'", text)
    if not named:
        return ConfigError("The command line cannot be applied to the configuration", found=text)
    key = named.group(1)
    group, *parts = key.split(".")
    if group == "destination" and parts:
        kinds = destinations_with(parts[0])
        others = {field.name for kind in schema.DESTINATIONS.values() for field in fields(kind)}
        fix = f"this key is of destination={' or '.join(kinds)}; choose that first" if kinds else nearest(parts[0], others)
    else:
        fix = _fix_of_unknown(group, parts) or f"to add what is not there yet, put a plus before it: +{key}=…"
    return ConfigError("The command line sets an unknown key", found=key, fix=fix)


def _fix_of_unknown(group: str, parts: list[str]) -> str | None:
    """The nearest to the first part of a key that no configuration can have; None where there is no such part."""
    kind = GROUPS.get(group)
    if kind is None or not parts:
        return nearest(group, TOP_LEVEL | {"activation"})
    key, *inside = parts
    hints = get_type_hints(kind)
    if key not in hints:
        return nearest(key, [field.name for field in fields(kind)])
    if (group, key) == ("esp", "policies") and inside and inside[0] not in schema.POLICIES:
        return nearest(inside[0], schema.POLICIES)
    if (group, key) == ("esp", "policies"):
        return f"policies are a platform's: choose one, such as esp={schema.EspConfig.PLATFORMS[1]}"
    entry = (None, *get_args(hints[key]))[-1]
    known = [field.name for field in fields(entry)] if is_dataclass(entry) else []
    return nearest(inside[1], known) if len(inside) > 1 and known and inside[1] not in known else None


def may_be_secret(override: str) -> bool:
    """Whether what is set may be a secret: of such a key, of one that there is not, which may be such a key misspelt, or with a login."""
    key, _, value = override.lstrip("+~").partition("=")
    group, _, inside = key.partition(".")
    kinds = schema.DESTINATIONS.values() if group == "destination" else [GROUPS[group]] if group in GROUPS else []
    known = {f"{group}.{field.name}" for kind in kinds for field in fields(kind)} | TOP_LEVEL | CHOSEN
    name = f"{group}.{inside.partition('.')[0]}" if inside else group
    return name not in known or "@" in value or bool(SECRETS.search(override))


def without_secret(override: str) -> str:
    """An override as it is shown: where a secret could stand there, by mistake, its key alone."""
    key, equals, _ = override.partition("=")
    word, blank, _ = key.partition(" ")
    if blank:
        return f"{word} …"
    return f"{key}=…" if equals and may_be_secret(override) else override
