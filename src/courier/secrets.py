"""Secrets are references: the configuration names an environment variable, and the value is read where it is used."""

from __future__ import annotations

import os

from courier.errors import ConfigError


def secret(variable: str) -> str:
    """The value of an environment variable that the configuration names. Raises ConfigError when it is unset."""
    value = os.environ.get(variable)
    if not value:
        raise ConfigError("An environment variable that holds a secret is not set", found=variable, fix=f"export {variable}=…")
    return value
