"""From conf/, the command line and the environment to one RunConfig. The only module that knows Hydra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from courier import config as schema
from courier import esp
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
SECRETS = re.compile(r"password|passphrase|secret|_env\b|_file\b")
TOP_LEVEL = {*GROUPS, "destination", "run_id", "as_of", "release"}


def conf_folder() -> Path:
    """The folder of the shipped configuration: inside an installed package, or beside src/ in a checkout."""
    installed = Path(__file__).parent / "conf"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "conf"


def load(overrides: Sequence[str], *, now: datetime, config_dir: str | None = None) -> schema.RunConfig:
    """Compose and check the configuration.

    `overrides` are Hydra's (`group=option`, `group.key=value`); `config_dir` is a folder of the user's own, with the
    same sub-folders as conf/, which is searched beside it. Raises ConfigError, and nothing else, for anything wrong.
    """
    composed = _compose(list(overrides), config_dir)
    activation = str(composed.hydra.runtime.choices["activation"])
    plain = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    unknown = {str(key) for key in plain} - TOP_LEVEL
    if unknown:
        raise ConfigError("The configuration has an unknown key", found=", ".join(sorted(unknown)), fix=nearest(min(unknown), TOP_LEVEL))
    groups = {name: _typed(plain, name, kind) for name, kind in GROUPS.items()}
    config = schema.RunConfig(
        activation=activation,
        destination=_typed(plain, "destination", _destination_type(plain)),
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
    named = any(override.startswith("activation=") for override in overrides)
    composed = _compose([*overrides, *([] if named else ["~activation"])], config_dir)
    activation = str(composed.hydra.runtime.choices["activation"]) if named else None
    state: schema.StateConfig = _typed(composed, "state", schema.StateConfig)
    return state, activation


def _text(plain: DictConfig, key: str) -> str | None:
    value = plain.get(key)
    return None if value is None else str(value)


def _compose(overrides: list[str], config_dir: str | None) -> DictConfig:
    if config_dir is not None:
        folder = Path(config_dir).expanduser().resolve()
        if not folder.is_dir():
            raise ConfigError("The configuration folder does not exist", where="--config-dir", found=str(folder))
        quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        overrides = [f"hydra.searchpath=['file://{quoted}']", *overrides]
    try:
        with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
            composed: DictConfig = compose("config", overrides=overrides, return_hydra_config=True)
            return composed
    except MissingConfigException as exc:
        raise _missing_option(exc) from exc
    except yaml.YAMLError as exc:
        raise ConfigError("A configuration file is no valid YAML", found=_one_line(exc)) from exc
    except (ConfigKeyError, ConfigAttributeError) as exc:
        raise ConfigError("The configuration has an unknown key", found=_one_line(exc)) from exc
    except OverrideParseException as exc:
        raise ConfigError(
            "The command line cannot be read",
            found=_without_secret(exc.override or ""),
            expected="group=option or group.key=value",
            fix="a value with signs such as ; | { é or a blank takes quotes inside the shell's: \"file.delimiter=';'\"",
        ) from exc
    except ConfigCompositionException as exc:
        raise _bad_override(exc) from exc
    except (HydraException, OmegaConfBaseException, ValueError) as exc:  # ValueError: `mapping=null`
        raise ConfigError("The configuration cannot be composed", found=_one_line(exc)) from exc


def _missing_option(exc: MissingConfigException) -> ConfigError:
    missing = exc.missing_cfg_file or ""
    option = Path(missing).name
    return ConfigError(
        f"There is no configuration '{missing}'",
        where=f"group {Path(missing).parent}",
        fix=nearest(option, exc.options or []),
    )


def _bad_override(exc: ConfigCompositionException) -> ConfigError:
    """Hydra says `Could not override 'file.delimeter'`; say which keys there are instead of how Hydra is built."""
    text = _one_line(exc)
    named = re.search(r"[Cc]ould not (?:override|append|find) '([^']+)'", text)
    if not named:
        return ConfigError("The command line cannot be applied to the configuration", found=text)
    key = named.group(1)
    group, _, leaf = key.partition(".")
    leaf = leaf.partition(".")[0]
    kind = GROUPS.get(group)
    known = [field.name for field in fields(kind)] if kind and leaf else sorted(TOP_LEVEL | {"activation"})
    fix = nearest(leaf if kind and leaf else group, known)
    if group == "destination" and leaf:
        kinds = [name for name, kind in schema.DESTINATIONS.items() if leaf in {field.name for field in fields(kind)}]
        others = {field.name for kind in schema.DESTINATIONS.values() for field in fields(kind)}
        fix = f"this key is of destination={' or '.join(kinds)}; choose that first" if kinds else nearest(leaf, others)
    elif kind and leaf in known:
        fix = f"to add what is not there yet, put a plus before it: +{key}=…"
    return ConfigError("The command line sets an unknown key", found=key, fix=fix)


def _destination_type(plain: DictConfig) -> type:
    kind = str(plain.destination.get("kind"))
    if kind not in schema.DESTINATIONS:
        raise ConfigError("destination.kind is unknown", found=kind, fix=nearest(kind, schema.DESTINATIONS))
    return schema.DESTINATIONS[kind]


def _typed(plain: DictConfig, group: str, kind: type) -> Any:
    """Merge one group into its dataclass, which refuses unknown keys, wrong types and values out of range."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), plain.get(group) or {}))
    except (ConfigKeyError, ConfigAttributeError) as exc:
        key = str(exc.full_key or exc.key)
        inner = exc.object_type if is_dataclass(exc.object_type) else kind
        known = [field.name for field in fields(inner)]
        raise ConfigError(f"{group} has an unknown key", found=f"{group}.{key}", fix=nearest(key.rpartition(".")[2], known)) from exc
    except OmegaConfBaseException as exc:
        # YAML and the command line read NULL and null as nothing, where a text may be meant.
        fix = f"for the text, use quotes: \"{group}.{exc.full_key or exc.key}='null'\"" if "'None'" in str(exc) else None
        key = f"{group}.{exc.full_key or exc.key}"
        found = None if SECRETS.search(key) else _one_line(exc)
        raise ConfigError(f"{key} has a value of the wrong kind", found=found, fix=fix) from exc


def _without_secret(override: str) -> str:
    """An override as it is shown: where it is about a secret, which could stand there by mistake, its key alone."""
    return f"{override.partition('=')[0]}=…" if SECRETS.search(override) else override


def _one_line(exc: BaseException) -> str:
    """The gist of a library's many-lined message. Its context may show a value, so not for what is about a secret."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))[:400]
