"""Starts of a run that end at once at a chosen point, in a process of their own, with no handler and no clean-up."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from deliveries import Sender, content

KILLED = 77


def in_a_process(work: Callable[[], object]) -> int:
    """Its exit code."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def end() -> Any:
    os._exit(KILLED)


def killed_while_sending(sender: Sender, name: str) -> None:
    def render(each: str) -> Iterator[bytes]:
        yield content(each)
        if each == name:
            end()

    assert in_a_process(lambda: sender.send(render)) == KILLED


def killed_before_the_intent(sender: Sender) -> None:
    assert in_a_process(lambda: sender.send(before_publishing=end)) == KILLED


def killed_after(sender: Sender, method: str, times: int, kind: type | None = None) -> None:
    """Killed when a method of the connection, or of `kind`, has been called so many times."""

    def work() -> None:
        owner = kind or type(sender.target.connect())
        original, calls = getattr(owner, method), 0

        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            result = original(*arguments, **named)
            calls += 1
            if calls == times:
                end()
            return result

        setattr(owner, method, counting)
        sender.send()

    assert in_a_process(work) == KILLED


class Watched:
    """Which files a start renders."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> Iterator[bytes]:
        self.names.append(name)
        yield content(name)
