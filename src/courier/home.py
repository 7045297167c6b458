"""Paths as users write them: `~` and `~user` for a home folder."""

from __future__ import annotations

from pathlib import Path

from courier.errors import ConfigError


def expanded(path: str, key: str) -> Path:
    """The path itself. Raises ConfigError, with the key that it was given as, where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as exc:
        user = path.partition("/")[0]
        raise ConfigError("A path begins with the home folder of nobody", where=key, found=user, fix="write the whole path") from exc
