"""What the dataclasses of the configuration check when they are constructed."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from courier.errors import ConfigError, nearest

#: How a secret is referred to: `<name>_env`, `<name>_file` or `<name>_secret`.
FORMS = ("env", "file", "secret")

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: What the three forms look like. A private key begins with five dashes, which are LS0tLS1CRUdJ in base64.
REFERENCES = {
    "env": (re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "the name of an environment variable", "letters, digits and _, such as SFTP_PASSWORD"),
    "file": (re.compile(r"(?=.*\S)(?!.*(-----|LS0tLS1CRUdJ)).+"), "the path of a file", "one line"),
    "secret": (
        re.compile(r"(?!.*(-----|LS0tLS1CRUdJ))[A-Za-z0-9/_+=.@:!-]+(#.+)?"),
        "the name of a secret of AWS Secrets Manager",
        "NAME, NAME#KEY or an ARN",
    ),
}
#: Seconds that are waited: a year. Systems take no time that is far beyond it.
LONGEST = 31_536_000
#: `//user:password@host`, where the password may have slashes, as AWS's keys have.
LOGIN = re.compile(r"//(?!arn:)([^/@\s]*|[^/@\s:]*:[^@\s]*)@")


def one_of(key: str, value: str, allowed: tuple[str, ...], *, meant: str | None = None) -> None:
    """`meant`: which of them the value is another name of, where that is known."""
    if value not in allowed:
        fix = f"did you mean '{meant}'?" if meant else nearest(value, allowed)
        raise ConfigError(f"{key} has a value that it cannot have", found=value, expected=" | ".join(allowed), fix=fix)


def at_least(key: str, value: float, least: float) -> None:
    if not value >= least:  # nor is what is no number (.nan), which would be no limit
        raise ConfigError(f"{key} is too small", found=str(value), expected=f"at least {least}")


def seconds(key: str, value: float, least: float) -> None:
    at_least(key, value, least)
    if value > LONGEST:
        raise ConfigError(f"{key} is too large", found=str(value), expected=f"at most {LONGEST}, which is a year")


def required(key: str, value: str) -> None:
    if not value.strip():
        raise ConfigError(f"{key} is not set", fix=f"set it in the activation or on the command line: {key}=…")


def refers(config: Any, name: str) -> bool:
    """Whether a secret is referred to in any of the forms."""
    return any(getattr(config, f"{name}_{form}", None) for form in FORMS)


def one_form(group: str, config: Any, name: str) -> None:
    """A file and a managed secret contradict each other. Either wins over the variable, which may be a default."""
    if getattr(config, f"{name}_file", None) and getattr(config, f"{name}_secret", None):
        raise ConfigError(f"{group}.{name}_file and {group}.{name}_secret are both set", expected="one of the two")


def check_references(config: Any) -> None:
    """Refuse a secret itself where what holds it is to be named. Nothing that was found is shown."""
    for name in (each.name for each in fields(config)):
        form, value = name.rpartition("_")[2], getattr(config, name)
        if form in FORMS and value:
            for text in [value] if isinstance(value, str) else value:
                check_reference(f"{config.GROUP}.{name}", form, text)


def check_reference(key: str, form: str, text: str) -> None:
    pattern, what, expected = REFERENCES[form]
    if not pattern.fullmatch(text):
        raise ConfigError(f"{key} must be {what}, never the secret itself", expected=expected)


def required_secret(group: str, config: Any, name: str) -> None:
    one_form(group, config, name)
    if not refers(config, name):
        forms = [f"{group}.{name}_{form}" for form in FORMS]
        raise ConfigError(f"{group}.{name} is not referred to", expected=f"one of {', '.join(forms)}")


@dataclass(kw_only=True)
class S3Keys:
    """A login at S3. Without a reference, AWS's default credential chain is used. Temporary keys have a session token as well."""

    access_key_id_env: str | None = None
    access_key_id_file: str | None = None
    access_key_id_secret: str | None = None
    secret_access_key_env: str | None = None
    secret_access_key_file: str | None = None
    secret_access_key_secret: str | None = None
    session_token_env: str | None = None
    session_token_file: str | None = None
    session_token_secret: str | None = None

    def check_keys(self, group: str) -> None:
        """Both halves are referred to, or neither; a session token with them only."""
        for name in ("access_key_id", "secret_access_key", "session_token"):
            one_form(group, self, name)
        if refers(self, "access_key_id") != refers(self, "secret_access_key"):
            raise ConfigError(f"{group}.access_key_id_… and {group}.secret_access_key_… go together", found="only one of the two")
        if refers(self, "session_token") and not self.has_keys:
            raise ConfigError(
                f"{group}.session_token_… belongs to keys", fix=f"set {group}.access_key_id_… and {group}.secret_access_key_… as well"
            )

    @property
    def has_keys(self) -> bool:
        return refers(self, "access_key_id")


def no_login(key: str, address: str | None) -> None:
    """Refuse a user or a password in an address. It would be in each message, record and journal that says where something is."""
    if address and LOGIN.search(address):
        raise ConfigError(
            f"{key} has a login in it, which is not shown", fix="leave out what stands before the @: a login has keys of its own"
        )


def check_endpoint(key: str, url: str | None) -> None:
    no_login(key, url)
    if url and not re.fullmatch(r"https?://[^/\s]+\S*", url):
        raise ConfigError(f"{key} is no address", found=None if "@" in url else url, expected="https://HOST or https://HOST:PORT")


def on_this_machine(url: str) -> bool:
    """Whether it leads to this machine by one of its usual names. Other names of it are as good as another machine's."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def in_the_clear(key: str, url: str | None) -> list[str]:
    """A warning where rows go over a network that anybody on the way may read. On this machine nobody is."""
    if not url or not url.startswith("http://") or on_this_machine(url):
        return []
    return [f"{key} is http, so rows go over the network unencrypted: use https where the store has it"]


def inside(key: str, path: str) -> None:
    if ".." in path.replace("\\", "/").split("/"):
        raise ConfigError(f"{key} may not lead out of the target folder", found=path, expected="a path without '..'")
