"""One group of the composed configuration, as the dataclass that is its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    GrammarParseError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from courier import config as schema
from courier.compose import written
from courier.compose.groups import SECRETS, destinations_with
from courier.errors import ConfigError, nearest


@dataclass(frozen=True)
class Activation:
    name: str
    file: Path | None
    texts: written.Texts


def destination_type(plain: DictConfig) -> type:
    kind = str(plain.destination.get("kind"))
    if kind not in schema.DESTINATIONS:
        raise ConfigError("destination.kind is unknown", found=kind, fix=nearest(kind, schema.DESTINATIONS))
    return schema.DESTINATIONS[kind]


def assert_whole(composed: DictConfig, key: str) -> None:
    """Raise ConfigError for a value that is left to be set (`???`), or that is to be found in a place where there is none (`${…}`)."""
    try:
        if OmegaConf.is_missing(composed, key):
            raise MissingMandatoryValue
        value = composed.get(key)
        if isinstance(value, Container):
            OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as exc:
        missing = getattr(exc, "full_key", None) or key
        raise ConfigError(f"{missing} is not set", fix=f"set it in the activation or on the command line: {missing}=…") from exc
    except (InterpolationResolutionError, GrammarParseError) as exc:
        # What else a library says of it may hold the value of the variable.
        named = re.search(r"(Interpolation key|Environment variable) '[^']*' not found|Unsupported interpolation type \w+", str(exc))
        raise ConfigError(
            f"{exc.full_key or key} refers to what is not there",
            found=named[0] if named else None,
            fix="name a key by all its parts, ${destination.name}, or a variable that is set, ${oc.env:NAME}; "
            "where the text itself is meant, put a backslash before it: \\${",
        ) from exc


def typed(plain: DictConfig, group: str, kind: type, activation: Activation | None = None) -> Any:
    """Merge one group into its dataclass, which refuses unknown keys, wrong types and values out of range."""
    texts = activation.texts if activation else written.Texts()
    inside = plain.get(group) or {}
    if isinstance(inside, DictConfig):
        as_written = OmegaConf.to_container(inside, resolve=False)
        _assert_texts(as_written, kind, group, texts)
        if "${" in str(as_written):  # it may refer to keys of other groups, which are not there in what is merged
            inside = _with_escapes(OmegaConf.to_container(inside, resolve=True))
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), inside))
    except (ConfigKeyError, ConfigAttributeError) as exc:
        key = str(exc.full_key or exc.key)
        inner = exc.object_type if is_dataclass(exc.object_type) else kind
        leaf = key.rpartition(".")[2]
        fix = nearest(leaf, [field.name for field in fields(inner)])
        if group == "destination" and (kinds := destinations_with(key)):
            chosen = plain.destination.kind
            fix = f"it is a key of destination={' or '.join(kinds)}, and {chosen} is chosen: choose one of these, or leave the key out"
        if f"{leaf}_env" in {field.name for each in (inner, *schema.DESTINATIONS.values()) for field in fields(each)}:
            fix = f"a secret is never in the configuration: {leaf}_env names the variable, or {leaf}_file the file, that holds it"
        file = activation.file if activation else None
        where = str(file) if file and written.sets(file, f"{group}.{key}") else None
        raise ConfigError(f"{group} has an unknown key", where=where, found=f"{group}.{key}", fix=fix) from exc
    except OmegaConfBaseException as exc:
        raise _wrong_kind(plain, group, exc) from exc


def _with_escapes(value: Any) -> Any:
    """Values whose references have been followed, so that what looks like one in them is text."""
    if isinstance(value, dict):
        return {name: _with_escapes(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_escapes(each) for each in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _assert_texts(inside: Any, kind: type, group: str, texts: written.Texts) -> None:
    """Raise ConfigError for what YAML read as a number or a boolean where a text belongs: it would be written into files as such."""
    for key, value in _of_texts(inside, kind, (group,)):
        if key[:2] != ("engine", "settings"):  # Spark reads true and false as YAML has them
            texts.assert_same(key, value, secret=bool(SECRETS.search(str(key[-1]))))
    if group == "audience" and isinstance(inside, dict):  # what is no whole number, AudienceConfig refuses itself
        for key, value in _leaves(inside.get("segments"), ("audience", "segments")):
            if isinstance(value, int) and not isinstance(value, bool):
                texts.assert_same(key, value)


def _of_texts(value: Any, hint: Any, key: tuple[str | int, ...]) -> Iterator[tuple[written.Key, Any]]:
    """The values that a schema wants as texts."""
    inner = [each for each in get_args(hint) if each is not type(None)]
    container = get_origin(hint)
    if hint is str or (container not in (dict, list) and inner == [str]):
        yield key, value
    elif is_dataclass(hint) and isinstance(value, dict):
        hints = get_type_hints(hint)
        for name in value.keys() & hints.keys():
            yield from _of_texts(value[name], hints[name], (*key, name))
    elif container is dict and isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str):
                where = ".".join(map(str, key))
                raise ConfigError(f"{where} has a name that is no text", found=str(name), fix="put the name in quotes: 'no', '1'")
            yield from _of_texts(each, inner[1], (*key, name))
    elif container is list and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _of_texts(each, inner[0], (*key, number))
    elif container not in (dict, list) and len(inner) == 1:  # something or nothing
        yield from _of_texts(value, inner[0], key)


def _leaves(inside: Any, key: tuple[str | int, ...]) -> Iterator[tuple[written.Key, Any]]:
    below = inside.items() if isinstance(inside, dict) else enumerate(inside) if isinstance(inside, list) else None
    if below is None:
        yield key, inside
    for name, each in below or ():
        yield from _leaves(each, (*key, name))


def _wrong_kind(plain: DictConfig, group: str, exc: OmegaConfBaseException) -> ConfigError:
    key, text = f"{group}.{exc.full_key or exc.key}", one_line(exc)
    leaf, value = key.rpartition(".")[2], OmegaConf.select(plain, key, default="…")
    secret = SECRETS.search(key) or "@" in str(value)
    value = "…" if secret else value
    expected, fix = None, None
    if "is not a ListConfig" in text:
        expected, fix = "a list", f"put it in brackets: {leaf}: [{value}], on the command line '{key}=[{value}]'"
    elif "NoneType is not a subclass of" in text:
        expected, value, fix = "a value", "nothing", "write it after the -, or leave the - out"
    elif "is not a subclass of" in text:
        inside = f"source: {value}" if key.startswith("mapping.columns.") else "key: value, …"
        expected, fix = "keys with their values", f"write {leaf}: {{{inside}}}"
    elif isinstance(value, ListConfig):
        expected, fix = "one value", f"leave out the brackets, or the - before it: {leaf}: {'…' if secret or not value else value[0]}"
    elif isinstance(value, DictConfig):  # YAML reads a placeholder without quotes as a key
        fix = f"a text with braces takes quotes: {leaf}: '{{{', '.join(map(str, value))}}}'"
    elif "is not Optional" in text:
        expected, value = "keys with their values, or a list", "nothing"
        out = f"'~{key}' on the command line leaves it out" if key.startswith("mapping.columns.") else f"leave `{leaf}:` out"
        fix = f"write what belongs there, or {out}"
    elif "'None'" in text:  # YAML and the command line read NULL and null as nothing, where a text may be meant
        fix = f"for the text, use quotes: \"{key}='null'\"; for the empty text \"{key}=''\""
        fix = fix if "'str'" in text else "leave it out: it has a default"
    found = None if secret else str(value) if expected else text
    return ConfigError(f"{key} has a value of the wrong kind", found=found, expected=expected, fix=fix)


def one_line(exc: BaseException) -> str:
    """The gist of a library's many-lined message. Its context may show a value, so not for what is about a secret."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))[:400]
