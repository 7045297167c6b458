"""From conf/, the command line and the environment to one RunConfig."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
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
from courier.compose import refusals, shape, written
from courier.compose.groups import CHOSEN, GROUPS, SWITCHES, TOP_LEVEL
from courier.compose.typed import Activation, assert_whole, destination_type, one_line, typed
from courier.errors import ConfigError, nearest
from courier.secrets import SECRET_SETTING

#: Hydra composes one configuration at a time in a process, and refuses a second thread.
_COMPOSING = threading.Lock()


def conf_folder() -> Path:
    """The folder of the shipped configuration: inside an installed package, or beside src/ in a checkout."""
    installed = Path(__file__).parents[1] / "conf"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "conf"


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
    for name in filter(SECRET_SETTING.search, map(str, plain.engine.settings)):  # what Spark is given as it is may be a secret all the same
        plain.engine.settings[name] = "…"
    return f"# activation: {activation.name}\n{OmegaConf.to_yaml(plain)}".rstrip()


def _composed(overrides: Sequence[str], config_dir: str | None) -> tuple[DictConfig, Activation]:
    """What Hydra makes of it, without Hydra's own keys, and the activation that was chosen."""
    composed, own = _compose(list(overrides), config_dir)
    name = str(composed.hydra.runtime.choices["activation"])
    written.check_name(name)
    plain = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    for key in plain:
        assert_whole(plain, str(key))
    for key in SWITCHES:
        if OmegaConf.select(plain, key) is False:
            OmegaConf.update(plain, key, "off")
    texts, files = _texts(composed, overrides, own), [file for _, file in written.composed("activation", name, [conf_folder(), own])]
    for file in files:
        texts.assert_set(_left_open(written.content(file)))
    return plain, Activation(name, next(iter(files), None), texts)


def _left_open(inside: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of a file whose values are to be set elsewhere."""
    for name, value in inside.items():
        if isinstance(value, dict):
            yield from _left_open(value, (*above, name))
        elif value == written.UNSET:
            yield (*above, name)


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
        where = str(activation.file) if activation.file and unknown & written.content(activation.file).keys() else None
        found, fix = ", ".join(sorted(unknown)), nearest(min(unknown), TOP_LEVEL)
        raise ConfigError("The configuration has an unknown key", where=where, found=found, fix=fix)
    for key in ("run_id", "release"):
        if isinstance(plain.get(key), int):
            activation.texts.assert_same([key], plain.get(key))
    groups = {name: typed(plain, name, kind, activation) for name, kind in GROUPS.items()}
    config = schema.RunConfig(
        activation=activation.name,
        destination=typed(plain, "destination", destination_type(plain), activation),
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
    written.check_name(activation or "")
    assert_whole(composed, "state")
    state: schema.StateConfig = typed(composed, "state", schema.StateConfig)
    return state, activation


def _text(plain: DictConfig, key: str) -> str | None:
    value = plain.get(key)
    if isinstance(value, float | bool):  # YAML reads 1e5 and true as no text
        raise ConfigError(f"{key} is no text", found=str(value), fix=f"put it in quotes: {key}: '…'")
    if value == "":  # a variable of the shell that is not set: a new run would be sent in place of the one that was meant
        raise ConfigError(f"{key} is empty", fix=f"give it a value, or leave it out: {key}=null is as if it were not there")
    return None if value is None else str(value)


def _compose(overrides: list[str], config_dir: str | None) -> tuple[DictConfig, Path | None]:
    """What Hydra composes, and the user's own folder."""
    try:
        with _COMPOSING:
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
        shape.check_defaults(activation, written.content(activation))
    overrides = written.with_ids_as_text(overrides)
    if own is not None:
        quoted = str(own).replace("\\", "\\\\").replace("'", "\\'")
        overrides = [f"hydra.searchpath=['file://{quoted}']", *overrides]
    try:
        with initialize_config_dir(str(shipped), version_base="1.3"):
            composed: DictConfig = compose("config", overrides=overrides, return_hydra_config=True)
    except MissingConfigException as exc:
        raise refusals.missing_option(exc.missing_cfg_file or "", exc.options or [], shipped, own) from exc
    except yaml.YAMLError as exc:
        raise shape.no_yaml(exc, one_line(exc)) from exc
    except (ConfigKeyError, ConfigAttributeError) as exc:
        raise ConfigError("The configuration has an unknown key", found=one_line(exc)) from exc
    except OverrideParseException as exc:
        raise refusals.unreadable(exc.override or "") from exc
    except ConfigCompositionException as exc:
        mixed = shape.misshapen(activation, written.content(activation)) if activation and "Cannot merge" in str(exc) else None
        raise mixed or refusals.bad_override(one_line(exc)) from exc
    except UnicodeDecodeError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as exc:  # ValueError: `mapping=null`
        raise ConfigError("The configuration cannot be composed", found=one_line(exc)) from exc
    _assert_groups(composed, activation, [shipped, own])
    return composed, own


def _assert_groups(composed: DictConfig, activation: Path | None, folders: list[Path | None]) -> None:
    """Raise ConfigError for a group that is no keys any more: with `suppression:` and nothing below it nobody would be suppressed."""
    for group in sorted(CHOSEN - {"activation"}):
        value = "${…}" if OmegaConf.is_interpolation(composed, group) else composed.get(group)
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
