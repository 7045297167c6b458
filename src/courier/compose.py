"""From conf/, the command line and the environment to one RunConfig. The only module that knows Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from courier import config as schema
from courier import esp, written
from courier.errors import ConfigError, nearest

GROUPS: dict[str, type] = {
    "engine": schema.EngineConfig,
    "source": schema.SourceConfig,
    "audience": schema.AudienceConfig,
    "consent": schema.ConsentConfig,
    "suppression": schema.SuppressionConfig,
    "mapping": schema.MappingConfig,
    "dedup": schema.DedupConfig,
    "rules": schema.RulesConfig,
    "checks": schema.ChecksConfig,
    "guard": schema.GuardConfig,
    "export": schema.ExportConfig,
    "file": schema.FileConfig,
    "trigger": schema.TriggerConfig,
    "esp": schema.EspConfig,
    "state": schema.StateConfig,
}
#: Keys that refer to secrets, and those that users guess for them.
SECRETS = re.compile(r"password|passphrase|secret|_env\b|_file\b|encrypt_to")
#: The groups of which a file is chosen.
CHOSEN = {*GROUPS, "destination", "activation"}
#: Keys whose `off` YAML reads as false.
SWITCHES = ("consent.rule", "file.formula_guard")
TOP_LEVEL = {*GROUPS, "destination", "run_id", "as_of", "release"}


@dataclass(frozen=True)
class Activation:
    name: str
    file: Path | None
    texts: written.Texts


def conf_folder() -> Path:
    """The folder of the shipped configuration: inside an installed package, or beside src/ in a checkout."""
    installed = Path(__file__).parent / "conf"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "conf"


def load(overrides: Sequence[str], *, now: datetime, config_dir: str | None = None) -> schema.RunConfig:
    """Compose and check the configuration.

    `overrides` are Hydra's (`group=option`, `group.key=value`); `config_dir` is a folder of the user's own, with the
    same sub-folders as conf/, which is searched beside it. Raises ConfigError, and nothing else, for anything wrong.
    """
    return _checked(*_composed(overrides, config_dir), now)


def load_shown(overrides: Sequence[str], *, now: datetime, config_dir: str | None = None) -> str:
    """The composed configuration as YAML, once it is found to be valid: no secret is in it then, only what holds them."""
    plain, activation = _composed(overrides, config_dir)
    _checked(plain, activation, now)
    return f"# activation: {activation.name}\n{OmegaConf.to_yaml(plain)}".rstrip()


def _composed(overrides: Sequence[str], config_dir: str | None) -> tuple[DictConfig, Activation]:
    """What Hydra makes of it, without Hydra's own keys, and the activation that was chosen."""
    composed, own = _compose(list(overrides), config_dir)
    name = str(composed.hydra.runtime.choices["activation"])
    plain = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    for key in SWITCHES:
        if OmegaConf.select(plain, key) is False:
            OmegaConf.update(plain, key, "off")
    return plain, Activation(name, written.file_of("activation", name, [conf_folder(), own]), _texts(composed, overrides, own))


def _texts(composed: DictConfig, overrides: Sequence[str], own: Path | None) -> written.Texts:
    """What the files that were composed and the command line have, as it is typed. An activation wins over the files of groups."""
    choices = composed.hydra.runtime.choices
    groups = ["activation", *(str(group) for group in choices if group != "activation")]

    def files() -> written.Files:
        return [file for group in groups for file in written.composed(group, str(choices[group]), [conf_folder(), own])]

    return written.Texts(files, list(overrides))


def _checked(plain: DictConfig, activation: Activation, now: datetime) -> schema.RunConfig:
    unknown = {str(key) for key in plain} - TOP_LEVEL
    if unknown:
        raise ConfigError("The configuration has an unknown key", found=", ".join(sorted(unknown)), fix=nearest(min(unknown), TOP_LEVEL))
    for key in ("run_id", "release"):
        if isinstance(plain.get(key), int):
            activation.texts.assert_same([key], plain.get(key))
    groups = {name: _typed(plain, name, kind, activation) for name, kind in GROUPS.items()}
    config = schema.RunConfig(
        activation=activation.name,
        destination=_typed(plain, "destination", _destination_type(plain), activation),
        run_id=schema.parse_run_id(_text(plain, "run_id"), now),
        as_of=schema.parse_as_of(_text(plain, "as_of"), now),
        as_of_given=plain.get("as_of") is not None,
        release=schema.parse_release(_text(plain, "release")),
        **groups,
    )
    esp.check_configuration(config)  # its warnings are the run's
    return esp.with_row_rules(config)


def load_state(overrides: Sequence[str], *, config_dir: str | None = None) -> tuple[schema.StateConfig, str | None]:
    """The state store alone, for those who look into it, and the activation where one is named.

    An activation may say where its state is. Without one, none is composed, and nothing of it must be there.
    """
    named = written.activation_named(overrides) is not None
    composed, _ = _compose([*overrides, *([] if named else ["~activation"])], config_dir)
    activation = str(composed.hydra.runtime.choices["activation"]) if named else None
    state: schema.StateConfig = _typed(composed, "state", schema.StateConfig)
    return state, activation


def _text(plain: DictConfig, key: str) -> str | None:
    value = plain.get(key)
    if isinstance(value, float | bool):  # YAML reads 1e5 and true as no text
        raise ConfigError(f"{key} is no text", found=str(value), fix=f"put it in quotes: {key}: '…'")
    return None if value is None else str(value)


def _compose(overrides: list[str], config_dir: str | None) -> tuple[DictConfig, Path | None]:
    """What Hydra composes, and the user's own folder."""
    try:
        return _compose_files(overrides, config_dir)
    except UnicodeDecodeError as exc:
        files = Path(config_dir or conf_folder()).expanduser().glob("*/*.yaml")
        raise next(filter(None, map(written.not_utf8, files)), ConfigError("A configuration file is not plain UTF-8")) from exc
    except OSError as exc:
        where = None if exc.filename is None else str(exc.filename)
        raise ConfigError("The configuration cannot be read", where=where, found=exc.strerror or type(exc).__name__) from exc


def _compose_files(overrides: list[str], config_dir: str | None) -> tuple[DictConfig, Path | None]:
    shipped = conf_folder().resolve()
    own = written.own_folder(config_dir, shipped)
    written.check_overrides(overrides, CHOSEN)
    activation = written.file_of("activation", written.activation_named(overrides) or "", [shipped, own])
    if activation:
        written.check_activation(activation, CHOSEN)
    overrides = written.with_ids_as_text(overrides)
    if own is not None:
        quoted = str(own).replace("\\", "\\\\").replace("'", "\\'")
        overrides = [f"hydra.searchpath=['file://{quoted}']", *overrides]
    try:
        with initialize_config_dir(str(shipped), version_base="1.3"):
            composed: DictConfig = compose("config", overrides=overrides, return_hydra_config=True)
    except MissingConfigException as exc:
        raise _missing_option(exc, shipped, own) from exc
    except yaml.YAMLError as exc:
        raise ConfigError("A configuration file is no valid YAML", found=_one_line(exc)) from exc
    except (ConfigKeyError, ConfigAttributeError) as exc:
        raise ConfigError("The configuration has an unknown key", found=_one_line(exc)) from exc
    except OverrideParseException as exc:
        raise ConfigError(
            "The command line cannot be read",
            found=_without_secret(exc.override or ""),
            expected="group=option or group.key=value",
            fix=f"a value with signs such as ~ = [ ; | {{ é or a blank takes quotes inside the shell's: {_quoted(exc.override or '')}",
        ) from exc
    except ConfigCompositionException as exc:
        raise _bad_override(exc) from exc
    except UnicodeDecodeError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as exc:  # ValueError: `mapping=null`
        raise ConfigError("The configuration cannot be composed", found=_one_line(exc)) from exc
    _assert_groups(composed, activation, [shipped, own])
    return composed, own


def _assert_groups(composed: DictConfig, activation: Path | None, folders: list[Path | None]) -> None:
    """Raise ConfigError for a group that is no keys any more: with `suppression:` and nothing below it nobody would be suppressed."""
    for group in sorted(CHOSEN - {"activation"}):
        value = composed.get(group)
        if isinstance(value, DictConfig) and len(value):
            continue
        where = activation if activation and written.sets(activation, group) else None
        if isinstance(value, DictConfig):
            option = str(composed.hydra.runtime.choices[group])
            chosen = written.file_of(group, option, folders)
            raise ConfigError(
                f"A file that is chosen has nothing in it: {group}={option}", where=str(chosen), expected="keys with their values"
            )
        if value is None:
            raise ConfigError(
                f"{group} is set to nothing, which would take away all that was chosen for it",
                where=str(where) if where else None,
                found=f"{group}: with no key below it",
                expected="keys with their values",
                fix=f"write keys below it, or leave `{group}:` out",
            )
        option = "off" if value is False else value
        shown = f"'{option}'" if option == "off" else option
        raise ConfigError(
            f"{group} is set to a value, and has keys",
            where=str(where) if where else None,
            found=f"{group}: {option}",
            fix=f"a file of a group is chosen below `defaults`: - override /{group}: {shown}; or on the command line: {group}={option}",
        )


def _quoted(override: str) -> str:
    """The override itself with quotes, where these are likely to be all that it lacks, or an example."""
    found = re.fullmatch(r"""(\+{0,2}[\w.]+)=([^\['"$`\\][^'"$`\\]*)""", override)
    return f"\"{found[1]}='{found[2]}'\"" if found and not SECRETS.search(override) else "\"file.delimiter=';'\""


def _missing_option(exc: MissingConfigException, shipped: Path, own: Path | None) -> ConfigError:
    missing = exc.missing_cfg_file or ""
    group, _, option = missing.rpartition("/")
    longer = [name for name in exc.options or [] if name.startswith(f"{option}_")]
    fix = f"there are: {', '.join(longer)}" if option and len(longer) > 1 else nearest(option, exc.options or [])
    where = f"group {group}"
    if own is not None:
        where += f", in {shipped / group} and {own / group}{'' if (own / group).is_dir() else ', which is no folder'}"
        if own.name == group and (own / f"{option}.yaml").is_file():
            fix = f"--config-dir {own.parent}"
    return ConfigError(f"There is no configuration '{missing}'", where=where, fix=fix)


def _bad_override(exc: ConfigCompositionException) -> ConfigError:
    """Hydra says `Could not override 'file.delimeter'`; say which keys there are instead of how Hydra is built."""
    text = _one_line(exc)
    if text.startswith("You must specify 'activation'"):
        names = text.partition("Available options: ")[2].split()
        return ConfigError("No activation is named", expected="activation=NAME", fix=f"choose one: {', '.join(names)}")
    named = re.search(r"[Cc]ould not (?:override|append|find) '([^']+)'", text)
    if not named:
        return ConfigError("The command line cannot be applied to the configuration", found=text)
    key = named.group(1)
    group, *parts = key.split(".")
    if group == "destination" and parts:
        kinds = _destinations_with(parts[0])
        others = {field.name for kind in schema.DESTINATIONS.values() for field in fields(kind)}
        fix = f"this key is of destination={' or '.join(kinds)}; choose that first" if kinds else nearest(parts[0], others)
    else:
        fix = _fix_of_unknown(group, parts) or f"to add what is not there yet, put a plus before it: +{key}=…"
    return ConfigError("The command line sets an unknown key", found=key, fix=fix)


def _destinations_with(key: str) -> list[str]:
    return [name for name, kind in schema.DESTINATIONS.items() if key in {field.name for field in fields(kind)}]


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


def _destination_type(plain: DictConfig) -> type:
    kind = str(plain.destination.get("kind"))
    if kind not in schema.DESTINATIONS:
        raise ConfigError("destination.kind is unknown", found=kind, fix=nearest(kind, schema.DESTINATIONS))
    return schema.DESTINATIONS[kind]


def _typed(plain: DictConfig, group: str, kind: type, activation: Activation | None = None) -> Any:
    """Merge one group into its dataclass, which refuses unknown keys, wrong types and values out of range."""
    texts = activation.texts if activation else written.Texts()
    if isinstance(plain.get(group), DictConfig):
        _assert_texts(OmegaConf.to_container(plain[group], resolve=False), kind, group, texts)
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), plain.get(group) or {}))
    except (ConfigKeyError, ConfigAttributeError) as exc:
        key = str(exc.full_key or exc.key)
        inner = exc.object_type if is_dataclass(exc.object_type) else kind
        leaf = key.rpartition(".")[2]
        fix = nearest(leaf, [field.name for field in fields(inner)])
        if group == "destination" and (kinds := _destinations_with(key)):
            chosen = plain.destination.kind
            fix = f"it is a key of destination={' or '.join(kinds)}, and {chosen} is chosen: choose one of these, or leave the key out"
        if f"{leaf}_env" in {field.name for each in (inner, *schema.DESTINATIONS.values()) for field in fields(each)}:
            fix = f"a secret is never in the configuration: {leaf}_env names the variable, or {leaf}_file the file, that holds it"
        file = activation.file if activation else None
        where = str(file) if file and written.sets(file, f"{group}.{key}") else None
        raise ConfigError(f"{group} has an unknown key", where=where, found=f"{group}.{key}", fix=fix) from exc
    except OmegaConfBaseException as exc:
        raise _wrong_kind(plain, group, exc) from exc


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
    key, text = f"{group}.{exc.full_key or exc.key}", _one_line(exc)
    leaf, secret = key.rpartition(".")[2], SECRETS.search(key)
    value = "…" if secret else OmegaConf.select(plain, key, default="…")
    expected, fix = None, None
    if "is not a ListConfig" in text:
        expected, fix = "a list", f"put it in brackets: {leaf}: [{value}], on the command line '{key}=[{value}]'"
    elif "is not a subclass of" in text:
        inside = f"source: {value}" if key.startswith("mapping.columns.") else "key: value, …"
        expected, fix = "keys with their values", f"write {leaf}: {{{inside}}}"
    elif isinstance(value, DictConfig):  # YAML reads a placeholder without quotes as a key
        fix = f"a text with braces takes quotes: {leaf}: '{{{', '.join(map(str, value))}}}'"
    elif "is not Optional" in text:
        expected, value = "keys with their values, or a list", "nothing"
        out = f"'~{key}' on the command line leaves it out" if key.startswith("mapping.columns.") else f"leave `{leaf}:` out"
        fix = f"write what belongs there, or {out}"
    elif "'None'" in text:  # YAML and the command line read NULL and null as nothing, where a text may be meant
        fix = f"for the text, use quotes: \"{key}='null'\"; for the empty text \"{key}=''\""
    found = None if secret else str(value) if expected else text
    return ConfigError(f"{key} has a value of the wrong kind", found=found, expected=expected, fix=fix)


def _without_secret(override: str) -> str:
    """An override as it is shown: where it is about a secret, which could stand there by mistake, its key alone."""
    return f"{override.partition('=')[0]}=…" if SECRETS.search(override) else override


def _one_line(exc: BaseException) -> str:
    """The gist of a library's many-lined message. Its context may show a value, so not for what is about a secret."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))[:400]
