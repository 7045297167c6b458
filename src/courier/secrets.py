"""Secrets are references: the configuration names an environment variable, a file or a secret of AWS Secrets Manager.

The value is read where it is used, on whatever machine that is, and is in no configuration, log, record or error.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from courier.errors import ConfigError
from courier.home import expanded

#: What references usually begin with or look like. Of others nothing is shown: they may be the secret itself, put there by mistake.
USUAL = {"env": re.compile(r"[A-Z_][A-Z0-9_]*\Z"), "file": re.compile(r"[/~.]"), "secret": re.compile(r"arn:|[^#]*/")}
#: Names of settings of Spark whose values are secrets: those that it shows nowhere itself, and some more.
SECRET_SETTING = re.compile(r"(?i)secret|password|token|access[.]?key|account[.]?key|credential")


def secret(variable: str, key: str) -> str:
    """The value of the environment variable that a key of the configuration names. Raises ConfigError when it is unset."""
    value = os.environ.get(variable)
    if not value:
        usual = USUAL["env"].match(variable)
        raise ConfigError(
            "An environment variable that holds a secret is not set",
            where=key,
            found=variable if usual else "a name that is not shown, since it could be the secret itself",
            fix=f"export {variable}=…" if usual else f"{key} is the name of a variable: export the one that it names",
        )
    return value


def referred(config: Any, name: str) -> str | None:
    """The secret that a configuration refers to by `<name>_secret`, `<name>_file` or `<name>_env`: the first of them that is
    set. None where none is.
    """
    for form, read in (("secret", _managed), ("file", _from_file), ("env", secret)):
        reference = getattr(config, f"{name}_{form}", None)
        if reference:
            return read(reference, f"{config.GROUP}.{name}_{form}")
    return None


def _shown(key: str, form: str, reference: str) -> str:
    return f"{key} {reference}" if USUAL[form].match(reference) else key


def _from_file(path: str, key: str) -> str:
    """The whole file but for the line end that editors put there."""
    where = _shown(key, "file", path)
    try:
        value = expanded(path, key).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        found = getattr(exc, "strerror", None) or "no UTF-8 text"
        raise ConfigError("A file that holds a secret cannot be read", where=where, found=found) from exc
    if not value:
        raise ConfigError("A file that holds a secret is empty", where=where)
    return value


def _managed(reference: str, origin: str) -> str:
    """`NAME`, or `NAME#KEY` for one value of a secret that is a JSON object. NAME may be an ARN, which tells the region, too."""
    import boto3  # noqa: PLC0415  loaded only where a secret is asked for
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from courier.aws_errors import CHAIN, code_of, unreadable  # noqa: PLC0415  loaded only where a secret is asked for

    name, _, key = reference.partition("#")
    region = name.split(":")[3] if name.startswith("arn:") and name.count(":") >= 6 else None
    where, fix = (
        f"{_shown(origin, 'secret', name)} in AWS Secrets Manager",
        "check the name, the region, and the right to secretsmanager:GetSecretValue",
    )
    try:
        answer = boto3.session.Session().client("secretsmanager", region_name=region).get_secret_value(SecretId=name)
    except ClientError as exc:
        raise ConfigError("A secret cannot be read", where=where, found=code_of(exc), fix=fix) from exc
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError("A secret cannot be read", where=where, found=type(exc).__name__, fix=fix) from exc
    except OSError as exc:
        raise ConfigError("A secret cannot be read, for want of AWS credentials", where=where, found=unreadable(exc), fix=CHAIN) from exc
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
