"""What a user has written, before Hydra reads it: files and arguments that Hydra would ignore, change, or blame something else for.

Knows no Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from courier.errors import ConfigError, nearest
from courier.home import expanded

PACKAGE = "# @package _global_"
ABSENT = object()
UNSET = "???"
#: The parts of a key; a number is the place in a list.
Key: TypeAlias = Sequence[str | int]
#: The one that wins first, each with the key that its own keys are below.
Files: TypeAlias = list[tuple[tuple[str, ...], Path]]
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


def misplaced(own: Path, group: str, option: str) -> str | None:
    """What to do about a file that is there, and not where it is looked for."""
    if own.name == group and (own / f"{option}.yaml").is_file():
        return f"--config-dir {own.parent}"
    for file in (own / group / f"{option}.yml", own / f"{option}.yaml", own / f"{option}.yml"):
        if file.is_file():
            return f"move {file} to {own / group / option}.yaml"
    return None


def check_overrides(overrides: Iterable[str], groups: Collection[str]) -> None:
    for override in overrides:
        key, equals, value = override.partition("=")
        if override == "=" or (equals and not key):
            fix = "leave out the blanks on both sides of ="
            raise ConfigError(
                "The command line has a blank before =", found="=…" if value else "=", expected="group=option or group.key=value", fix=fix
            )
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
        name = option.rpartition(f"{group.rpartition('/')[2]}/")[2].rpartition(".")[0]  # the shell completes conf/activation/demo.yaml
        fix = f"leave out the suffix: {group}{'=' if where is None else ': '}{name}"
        raise ConfigError("A file is chosen by its name without the suffix", where=where, found=option, fix=fix)


def with_ids_as_text(overrides: Iterable[str]) -> list[str]:
    """A run id is the text that was typed."""
    return [f"{found[1]}='{found[2]}'" if (found := BARE_ID.fullmatch(override)) else override for override in overrides]


def activation_named(overrides: Iterable[str]) -> str | None:
    names = [value for key, _, value in (override.partition("=") for override in overrides) if key == "activation"]
    return names[-1] if names else None


def check_name(activation: str) -> None:
    """Locks and what is remembered of runs go by it, so it has one spelling, and leads to no other folder of the state store."""
    if any(part in (".", "..") for part in activation.split("/")):
        raise ConfigError(
            "An activation is named by its place in the folder activation", found=activation, expected="a name without . and .. as folders"
        )


def not_utf8(file: Path) -> ConfigError | None:
    """The error of a file that YAML is read from otherwise than it looks in an editor, such as those of Windows; None for all others."""
    content = file.read_bytes()
    with suppress(UnicodeDecodeError):
        if not content.decode().startswith("\ufeff"):
            return None
    return ConfigError("A configuration file is not plain UTF-8", where=str(file), fix="save it as UTF-8, without a byte order mark")


def check_activation(file: Path, groups: Set[str]) -> None:
    """Raise ConfigError for what makes Hydra put an activation's keys or choices elsewhere."""
    if error := not_utf8(file):
        raise error
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    head = takewhile(lambda line: not line or re.match(r"#\s*@", line), lines)  # where Hydra looks for it: before other comments
    if not any(re.fullmatch(r"#\s*@package\s+_global_", line) for line in head):
        raise ConfigError(
            f"An activation must begin with `{PACKAGE}`",
            where=str(file),
            fix="make it the first line: without it the keys below are taken for keys of `activation`",
        )
    for choice, option in _choices(file):
        if isinstance(option, bool):
            word = "off" if choice.endswith("consent") else "…"
            raise ConfigError(
                "A choice is read as true or false, and not as a name",
                where=f"{file}, defaults",
                found=f"- {choice}: {option}",
                fix=f"put it in quotes: - {choice}: '{word}'",
            )
        overriding, slash, group = re.fullmatch(r"(override\s+)?(/?)(.*)", choice, re.DOTALL).groups()  # type: ignore[union-attr]
        if overriding and group not in groups and "/" not in group:
            raise ConfigError(
                "An activation chooses a file of a group that there is not",
                where=f"{file}, defaults",
                found=f"- {choice}: {option}",
                fix=nearest(group, groups - {"activation"}),
            )
        if group in groups and not (overriding and slash):
            raise ConfigError(
                f"An activation chooses a file of a group by `override /{group}`",
                where=f"{file}, defaults",
                found=f"- {choice}: {option}",
                fix=f"write - override /{group}: {option}",
            )
        if group in groups:
            _check_suffix(choice, str(option), f"{file}, defaults")


@dataclass(frozen=True)
class Texts:
    """The values of a configuration as they are typed, by key: YAML and the grammar of overrides read NO, 0123 and 1.10 as something else.

    `find` looks for the files that were composed, once a value is to be looked up, which few configurations need.
    """

    find: Callable[[], Files] = list
    overrides: list[str] = field(default_factory=list)

    @cached_property
    def _files(self) -> Files:
        return self.find()

    def assert_same(self, key: Key, value: Any, *, secret: bool = False) -> None:
        """Raise ConfigError where a value that belongs to a text is a number or a boolean that is not written as it was typed.

        What is not found, as it came by an anchor, is trusted where it is a whole number.
        """
        if not isinstance(value, bool | int | float):
            return
        where, text = self._typed(key, value)
        if not isinstance(value, bool) and (text == str(value) or (text is None and isinstance(value, int))):
            return
        name = ".".join(str(part) for part in takewhile(lambda part: not isinstance(part, int), key))
        kind = "true or false" if isinstance(value, bool) else "another number"
        found = str(value) if text is None else f"{text}, which YAML reads as {value}"
        fix = f"put it in quotes: '{'…' if text is None or secret else text}'"
        raise ConfigError(f"{name} has a text that is read as {kind}", where=where, found=None if secret else found, fix=fix)

    def assert_set(self, keys: Iterable[Key]) -> None:
        """Raise ConfigError for one of the keys that is left to be set (`???`): it overrides nothing, so a default would be taken."""
        for key in keys:
            where, text = self._typed(key, UNSET)
            if text == UNSET:
                name = ".".join(map(str, key))
                raise ConfigError(f"{name} is not set", where=where, fix=f"set it there or on the command line: {name}=…")

    def _typed(self, key: Key, value: Any) -> tuple[str | None, str | None]:
        """Where a value stands, and how."""
        for override in reversed(self.overrides):
            name, _, text = override.partition("=")
            parts = name.lstrip("+~").split(".")
            if (len(parts) > 1 or len(key) == 1) and list(key[: len(parts)]) == parts:
                words = [text] if len(parts) == len(key) else re.split(r"[\s,:{}\[\]]+", text)  # inside of a list or of keys with values
                alike = next((word for word in words if word == str(value)), None)
                return "the command line", alike or (words[0] if len(words) == 1 else None)
        for prefix, file in self._files:
            if tuple(key[: len(prefix)]) == prefix:
                text = _at(content(file, yaml.BaseLoader), key[len(prefix) :])
                if text is not ABSENT:
                    return str(file), text if isinstance(text, str) else None
        return None, None


def composed(group: str, option: str, folders: Sequence[Path | None]) -> Files:
    """The file of an option and those that its `defaults` build on, each with the key that its own keys are below."""
    file = file_of(group, option, folders)
    if file is None:
        return []
    head = re.search(r"^#\s*@package\s+(\S+)", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    package = head[1] if head else "_group_"
    prefix = () if package == "_global_" else tuple((group if package == "_group_" else package).replace("/", ".").split("."))
    found, defaults = [(prefix, file)], content(file).get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, str) and entry not in ("_self_", option):
            found += composed(group, entry, folders)
    return found


def _choices(file: Path) -> Iterator[tuple[str, Any]]:
    defaults = content(file).get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, dict):
            yield from ((str(choice), option) for choice, option in entry.items())


def sets(file: Path, key: str) -> bool:
    """Whether a file sets a key, such as destination.host."""
    return _at(content(file), key.split(".")) is not ABSENT


def _at(inside: Any, key: Key) -> Any:
    """The value of a key; ABSENT where there is none."""
    for part in key:
        of_list = isinstance(part, int) and isinstance(inside, list) and part < len(inside)
        if not of_list and not (isinstance(inside, dict) and part in inside):
            return ABSENT
        inside = inside[part]
    return inside


def content(file: Path, loader: type[yaml.SafeLoader | yaml.BaseLoader] = yaml.SafeLoader) -> dict[str, Any]:
    """What a file holds; nothing where it is no YAML, which Hydra says better. The base loader leaves all values as they are typed."""
    try:
        loaded = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506  both make plain values only
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
