"""What a user has written, before Hydra reads it: files and arguments that Hydra would ignore, change, or blame something else for.

Knows no Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from courier.errors import ConfigError
from courier.home import expanded

PACKAGE = "# @package _global_"
ABSENT = object()
#: Ids that the grammar of overrides would take for numbers, such as 1e5.
BARE_ID = re.compile(r"(run_id|release)=(?!(?i:null)$)([A-Za-z0-9._-]+)")


def own_folder(config_dir: str | None, shipped: Path) -> Path | None:
    """The user's own folder of configuration. Raises ConfigError where it is not there, or has a name that a shipped file has."""
    if config_dir is None:
        return None
    folder = expanded(config_dir, "--config-dir").resolve()
    if not folder.is_dir():
        raise ConfigError("The configuration folder does not exist", where="--config-dir", found=str(folder))
    names = [] if folder == shipped else [file.relative_to(shipped) for file in (*shipped.glob("*.yaml"), *shipped.glob("*/*.yaml"))]
    for name in sorted(names):
        if (folder / name).exists():
            raise ConfigError(
                "A file of --config-dir has the name of a shipped one, which would be used in its place",
                found=str(folder / name),
                fix="give it another name",
            )
    return folder


def file_of(group: str, option: str, folders: Iterable[Path | None]) -> Path | None:
    """The file of an option, in the first of the folders that has it."""
    files = (folder / group / f"{option}.yaml" for folder in folders if folder)
    return next((file for file in files if file.is_file()), None)


def check_overrides(overrides: Iterable[str], groups: Collection[str]) -> None:
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals and re.fullmatch(r"[\w-]+", override) and override not in groups:
            raise ConfigError(
                "The command line cannot be read",
                found=override,
                expected="group=option or group.key=value",
                fix=f"did you mean activation={override}?",
            )
        if key in groups:
            _check_suffix(key, value)


def _check_suffix(group: str, option: str, where: str | None = None) -> None:
    if option.endswith((".yaml", ".yml")):
        fix = f"leave out the suffix: {group}{'=' if where is None else ': '}{option.rpartition('.')[0]}"
        raise ConfigError("A file is chosen by its name without the suffix", where=where, found=option, fix=fix)


def with_ids_as_text(overrides: Iterable[str]) -> list[str]:
    """A run id is the text that was typed."""
    return [f"{found[1]}='{found[2]}'" if (found := BARE_ID.fullmatch(override)) else override for override in overrides]


def activation_named(overrides: Iterable[str]) -> str | None:
    names = [value for key, _, value in (override.partition("=") for override in overrides) if key == "activation"]
    return names[-1] if names else None


def check_activation(file: Path, groups: Collection[str]) -> None:
    """Raise ConfigError for what makes Hydra put an activation's keys or choices elsewhere."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    head = takewhile(lambda line: not line or re.match(r"#\s*@", line), lines)  # where Hydra looks for it: before other comments
    if not any(re.fullmatch(r"#\s*@package\s+_global_", line) for line in head):
        raise ConfigError(
            f"An activation must begin with `{PACKAGE}`",
            where=str(file),
            fix="make it the first line: without it the keys below are taken for keys of `activation`",
        )
    for choice, option in _choices(file):
        overriding, slash, group = re.fullmatch(r"(override\s+)?(/?)(.*)", choice, re.DOTALL).groups()  # type: ignore[union-attr]
        if group in groups and not (overriding and slash):
            raise ConfigError(
                f"An activation chooses a file of a group by `override /{group}`",
                where=f"{file}, defaults",
                found=f"- {choice}: {option}",
                fix=f"write - override /{group}: {option}",
            )
        if group in groups:
            _check_suffix(choice, str(option), f"{file}, defaults")

    _check_ids(file)


def _check_ids(file: Path) -> None:
    """Raise ConfigError for an id without quotes that YAML takes for another number: 007 for 7, 010 for 8, 1_000 for 1000."""
    read, typed = content(file), content(file, yaml.BaseLoader)
    for key in ("run_id", "release", "audience.segments"):
        for value, text in zip(_leaves(_at(read, key)), _leaves(_at(typed, key)), strict=True):
            if isinstance(value, int) and not isinstance(value, bool) and str(value) != text:
                found = f"{text}, which YAML reads as {value}"
                raise ConfigError(
                    f"{key} has a text that is read as another number", where=str(file), found=found, fix=f"put it in quotes: '{text}'"
                )


def _leaves(inside: Any) -> list[Any]:
    below = inside.values() if isinstance(inside, dict) else inside if isinstance(inside, list) else None
    return [inside] if below is None else [leaf for each in below for leaf in _leaves(each)]


def _choices(file: Path) -> Iterator[tuple[str, Any]]:
    defaults = content(file).get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, dict):
            yield from ((str(choice), option) for choice, option in entry.items())


def sets(file: Path, key: str) -> bool:
    """Whether a file sets a key, such as destination.host."""
    return _at(content(file), key, ABSENT) is not ABSENT


def _at(inside: Any, key: str, default: Any = None) -> Any:
    for part in key.split("."):
        if not isinstance(inside, dict) or part not in inside:
            return default
        inside = inside[part]
    return inside


def content(file: Path, loader: type[yaml.SafeLoader | yaml.BaseLoader] = yaml.SafeLoader) -> dict[str, Any]:
    """What a file holds; nothing where it is no YAML, which Hydra says better. The base loader leaves all values as they are typed."""
    try:
        loaded = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506  both make plain values only
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
