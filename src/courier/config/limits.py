"""What the dataclasses of the configuration check when they are constructed."""

from __future__ import annotations

import re

from courier.errors import ConfigError, nearest

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} has a value that it cannot have", found=value, expected=" | ".join(allowed), fix=nearest(value, allowed))


def at_least(key: str, value: float, least: float) -> None:
    if value < least:
        raise ConfigError(f"{key} is too small", found=str(value), expected=f"at least {least}")


def required(key: str, value: str) -> None:
    if not value.strip():
        raise ConfigError(f"{key} is not set", fix=f"set it in the activation or on the command line: {key}=…")


def key_pair(group: str, key_id: str | None, secret_key: str | None) -> None:
    """Both variables of an S3 login are named, or neither."""
    if bool(key_id) != bool(secret_key):
        raise ConfigError(f"{group}.access_key_id_env and {group}.secret_access_key_env go together", found="only one of the two")


def inside(key: str, path: str) -> None:
    if ".." in path.replace("\\", "/").split("/"):
        raise ConfigError(f"{key} may not lead out of the target folder", found=path, expected="a path without '..'")
