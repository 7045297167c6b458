"""Logins by questions (keyboard-interactive): the password is given once, and nothing else is answered.

A server whose password has expired asks for a new one in the same way, twice; it must never get the old one for that. One
that asks for the password again and again counts each answer as a failed login.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import paramiko

#: What paramiko says where a server answers a password by wanting another one (RFC 4252, 8: the same number as a question's).
ASKED_FOR_ANOTHER = "Illegal info request"
WANTS_MORE = "the server wants more than the password: a new password, since this one has expired, a code, or it does not take this one"
LOG_IN_BY_HAND = "log in by hand once, and see what it asks for"


class WantsMoreError(paramiko.SSHException):
    """The server has asked for a second secret."""


def wants_more(exc: Exception) -> bool:
    return isinstance(exc, WantsMoreError) or ASKED_FOR_ANOTHER in str(exc)


def answering(password: str) -> Callable[[str, str, Sequence[tuple[str, bool]]], list[str]]:
    """Given a title, instructions and questions (and whether their answers are shown), by paramiko; whatever their words are."""
    left = [password]

    def answers(_title: str, _instructions: str, questions: Sequence[tuple[str, bool]]) -> list[str]:
        if sum(not shown for _, shown in questions) > len(left):
            raise WantsMoreError(WANTS_MORE)
        return ["" if shown else left.pop() for _, shown in questions]

    return answers
