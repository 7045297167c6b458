"""Everything that can go wrong, as one tree. The exit codes are part of the contract with scripts.

    CourierError
    ├── ConfigError        exit 2   the configuration, or a secret that it refers to
    ├── HeldError          exit 3   held back by checks, rules or the size guard; nothing, or only other audiences, was published
    ├── SourceError        exit 4   the profiles cannot be read, or have not the needed shape
    └── DeliveryError      exit 5   the destination
        ├── TransientError          may go well when tried again
        ├── TerminalError           will fail again until somebody changes something
        │   └── RefusedLoginError       or while as many are logged in as the server bears
        └── BusyError               another run of the activation is under way

A message says what, where, found, expected and what to do. It holds names, counts and ids; never a value of a profile
and never a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CourierError(Exception):
    """An error that a user can act on. `str()` of it is one paragraph."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.where, self.found, self.expected, self.fix = what, where, found, expected, fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what if self.what.endswith((".", "!", "?")) else f"{self.what}."]
        labelled = {"Where": self.where, "Found": self.found, "Expected": self.expected, "What to do": self.fix}
        parts += [f"{label}: {text}" if text.endswith((".", "!", "?")) else f"{label}: {text}." for label, text in labelled.items() if text]
        return " ".join(parts)


class ConfigError(CourierError):
    exit_code = 2


class HeldError(CourierError):
    exit_code = 3


class SourceError(CourierError):
    exit_code = 4


class MissingPathError(SourceError):
    """The schema of the profiles, of one file of them at least, has not this XDM path."""

    def __init__(self, path: str, missing: str, *, where: str, fix: str) -> None:
        self.path = path
        super().__init__(f"The source has no '{missing}'", where=f"{where}: {path}", fix=fix)


class DeliveryError(CourierError):
    exit_code = 5


class TransientError(DeliveryError):
    pass


class TerminalError(DeliveryError):
    pass


class RefusedLoginError(TerminalError):
    """Some servers say so, too, where a user has logged in too often at once."""


class BusyError(DeliveryError):
    pass


def nearest(name: str, existing: Iterable[str]) -> str:
    """Say which existing name is meant, for a message: `did you mean 'x'?`, or the whole list when nothing is near."""
    names = sorted(existing)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are: {', '.join(names) or 'none'}"
