"""Secrets are references: the configuration names an environment variable, a file or a secret of AWS Secrets Manager.

The value is read where it is used, on whatever machine that is, and is in no configuration, log, record or error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from courier.errors import ConfigError


def secret(variable: str) -> str:
    """The value of an environment variable that the configuration names. Raises ConfigError when it is unset."""
    value = os.environ.get(variable)
    if not value:
        raise ConfigError("An environment variable that holds a secret is not set", found=variable, fix=f"export {variable}=…")
    return value


def referred(config: Any, name: str) -> str | None:
    """The secret that a configuration refers to by `<name>_secret`, `<name>_file` or `<name>_env`: the first of them that is
    set. None where none is.
    """
    reference = getattr(config, f"{name}_secret", None)
    if reference:
        return _managed(reference)
    path = getattr(config, f"{name}_file", None)
    if path:
        return _from_file(path)
    variable = getattr(config, f"{name}_env", None)
    return secret(variable) if variable else None


def _from_file(path: str) -> str:
    """The whole file but for the line end that editors put there."""
    try:
        value = Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        found = getattr(exc, "strerror", None) or type(exc).__name__
        raise ConfigError("A file that holds a secret cannot be read", where=path, found=found) from exc
    if not value:
        raise ConfigError("A file that holds a secret is empty", where=path)
    return value


def _managed(reference: str) -> str:
    """`NAME`, or `NAME#KEY` for one value of a secret that is a JSON object. NAME may be an ARN, which tells the region, too."""
    import boto3  # noqa: PLC0415  loaded only where a secret is asked for
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    name, _, key = reference.partition("#")
    region = name.split(":")[3] if name.startswith("arn:") and name.count(":") >= 6 else None
    where, fix = f"AWS Secrets Manager, {name}", "check the name, the region, and the right to secretsmanager:GetSecretValue"
    try:
        answer = boto3.session.Session().client("secretsmanager", region_name=region).get_secret_value(SecretId=name)
    except ClientError as exc:
        code = str(exc.response.get("Error", {}).get("Code", "unknown"))
        raise ConfigError("A secret cannot be read", where=where, found=code, fix=fix) from exc
    except BotoCoreError as exc:
        raise ConfigError("A secret cannot be read", where=where, found=type(exc).__name__, fix=fix) from exc
    value = answer.get("SecretString")
    if value and key:
        try:
            value = json.loads(value).get(key)
        except (ValueError, AttributeError):
            raise ConfigError(
                "A secret is no JSON object", where=where, expected=f"one with the key '{key}'"
            ) from None  # it holds the secret
    if not isinstance(value, str) or not value:
        raise ConfigError("A secret is empty or no text", where=where, expected=f"a text under '{key}'" if key else "a text")
    return value
