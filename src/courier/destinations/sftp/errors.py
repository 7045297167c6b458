"""What goes wrong with SSH and SFTP, translated once. No server's own text comes through: it may hold values."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator

import paramiko

from courier.errors import CourierError, TerminalError, TransientError

OK, END_OF_FILE, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = range(9)
#: Of later versions of SFTP, which some servers use in version 3 as well.
FILE_EXISTS, NO_SPACE, QUOTA_EXCEEDED = 11, 14, 15
MEANINGS = {
    FAILURE: "failure (a full disk or a quota is a usual cause)",
    BAD_MESSAGE: "bad message",
    UNSUPPORTED: "it does not know that operation",
    FILE_EXISTS: "the file exists",
    NO_SPACE: "its disk is full",
    QUOTA_EXCEEDED: "the quota is used up",
}
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


class Refusal(Exception):  # noqa: N818  what the server said, which is not always an error
    """The server answered a request by one of the codes above."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"SFTP status {code}")


@contextlib.contextmanager
def translated(where: str, what: str, *, fix: str | None = None) -> Iterator[None]:
    """`fix` is what to do where the server forbids it or fails without a reason."""
    try:
        yield
    except CourierError:
        raise
    except Refusal as exc:
        raise _refused(exc.code, where, what, fix) from exc
    except paramiko.ChannelException as exc:
        kind = TerminalError if exc.code == 1 else TransientError  # 1: administratively prohibited
        found = {1: "the server forbids it", 2: "no connection from there", 4: "the server is short of resources"}.get(exc.code, "refused")
        raise kind(what, where=where, found=found) from exc
    except paramiko.SSHException as exc:
        raise TransientError(what, where=where, found=str(exc)[:200] or type(exc).__name__) from exc
    except (EOFError, TimeoutError, socket.gaierror, ConnectionError) as exc:
        raise TransientError(
            what, where=where, found=_network(exc), fix="check destination.host and port, and that a firewall lets you through"
        ) from exc
    except struct.error as exc:
        raise TransientError(what, where=where, found="an answer of the server ends too early") from exc
    except OSError as exc:
        kind = TransientError if exc.errno in UNREACHABLE else TerminalError
        raise kind(what, where=where, found=exc.strerror or "the connection failed") from exc


def _refused(code: int, where: str, what: str, fix: str | None) -> CourierError:
    match code:
        case 2:
            advice = "check destination.path; folders are not created for you"
            return TerminalError(what, where=where, found="no such file or folder", fix=advice)
        case 3:
            advice = fix or "the user needs to look at files, write and rename in this folder"
            return TerminalError(what, where=where, found="permission denied", fix=advice)
        case 6 | 7:
            return TransientError(what, where=where, found="the server lost its own connection")
    return TerminalError(what, where=where, found=f"the server answered: {MEANINGS.get(code, f'status {code}')}", fix=fix)


def _network(exc: Exception) -> str:
    if isinstance(exc, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(exc, OSError) and exc.strerror:
        return str(exc)
    return str(exc) or ("no answer in time" if isinstance(exc, TimeoutError) else "the connection was lost")
