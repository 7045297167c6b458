"""SFTP, by password or SSH key.

Unseen: a hidden temporary name in the target folder. Published by a rename. Only SFTP itself is used: many servers have
no shell. The server's key is always checked.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import paramiko

from courier.config import SftpConfig, SftpKeyConfig, SftpPasswordConfig
from courier.destinations.base import Staged, assert_size, conflict, hidden_name
from courier.errors import ConfigError, CourierError, TerminalError, TransientError
from courier.secrets import secret

KEY_TYPES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
#: Its threads log every lost connection with a traceback, which Python prints where nobody has configured logging.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
#: paramiko writes at most this much in one request.
REQUEST_BYTES = 32 * 1024


class SftpDestination:
    """Secrets are read when constructed. Each connection is its own transport."""

    def __init__(self, config: SftpConfig, run_id: str) -> None:
        self._config, self._run_id = config, run_id
        self._password = secret(config.password_env) if isinstance(config, SftpPasswordConfig) else None
        self._key = _private_key(config) if isinstance(config, SftpKeyConfig) else None
        self._known_hosts = None if config.host_key_fingerprint else _known_hosts(config)

    def connect(self) -> SftpConnection:
        where = f"sftp://{self._config.host}:{self._config.port}"
        transport = self._transport(where)
        try:
            with _translated(where, "The SFTP server refused the login"):
                if self._password is not None:
                    transport.auth_password(self._config.username, self._password)
                else:
                    transport.auth_publickey(self._config.username, self._key)  # type: ignore[arg-type]  # one of the two is set
            with _translated(where, "The SFTP session cannot be opened"):
                channel = transport.open_session(timeout=self._config.connect_timeout_seconds)
                channel.settimeout(self._config.operation_timeout_seconds)
                channel.invoke_subsystem("sftp")
                return SftpConnection(transport, paramiko.SFTPClient(channel), self._config, self._run_id)
        except BaseException:
            transport.close()
            raise

    def _transport(self, where: str) -> paramiko.Transport:
        """A transport whose server has shown the key that it must have. No credential is sent before."""
        timeout = self._config.connect_timeout_seconds
        with _translated(where, "The SFTP server cannot be reached"):
            connected = socket.create_connection((self._config.host, self._config.port), timeout)
        transport = paramiko.Transport(connected)
        try:
            transport.auth_timeout = timeout
            transport.banner_timeout = 2 * timeout  # so that start_client gives up first, always with the same message
            expected = self._expected_keys(where)
            if expected:  # ask for a kind of key that we can check
                options = transport.get_security_options()
                options.key_types = [kind for kind in options.key_types if _family(kind) in expected] or list(options.key_types)
            with _translated(where, "The SSH connection cannot be negotiated"):
                transport.start_client(timeout=timeout)
                if not transport.initial_kex_done:  # start_client gives up in silence
                    raise TimeoutError(f"no answer within {timeout:g} seconds")
            self._check_host_key(transport.get_remote_server_key(), expected, where)
        except BaseException:
            transport.close()
            raise
        return transport

    def _host_name(self) -> str:
        return self._config.host if self._config.port == 22 else f"[{self._config.host}]:{self._config.port}"

    def _expected_keys(self, where: str) -> dict[str, paramiko.PKey]:
        if self._known_hosts is None:
            return {}
        return dict(self._known_hosts.lookup(self._host_name()) or {})

    def _check_host_key(self, key: paramiko.PKey, expected: dict[str, paramiko.PKey], where: str) -> None:
        shown = "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        pinned = self._config.host_key_fingerprint
        if pinned is not None:
            if shown != pinned.rstrip("="):
                raise TerminalError(
                    "The SFTP server's key is not the pinned one; nothing was sent",
                    where=where,
                    found=shown,
                    expected=pinned,
                    fix="ask the server's owner for the new fingerprint before you change destination.host_key_fingerprint",
                )
        elif not expected:
            raise TerminalError(
                "The SFTP server is unknown; nothing was sent",
                where=where,
                found=f"{key.get_name()} {shown}",
                expected=f"an entry for {self._host_name()} in known_hosts",
                fix=f"compare the fingerprint with the owner's, then add it to known_hosts or set destination.host_key_fingerprint={shown}",
            )
        elif key.get_name() not in expected or expected[key.get_name()].asbytes() != key.asbytes():
            raise TerminalError(
                "The SFTP server's key has changed; nothing was sent",
                where=where,
                found=f"{key.get_name()} {shown}",
                expected="the key in known_hosts",
                fix="ask the server's owner whether the key was changed; it may be another machine",
            )


class SftpConnection:
    def __init__(self, transport: paramiko.Transport, client: paramiko.SFTPClient, config: SftpConfig, run_id: str) -> None:
        self._transport, self._client, self._run_id = transport, client, run_id
        self._folder = config.path.rstrip("/") or ("/" if config.path.startswith("/") else ".")
        self._where = f"sftp://{config.host}:{config.port}/{self._folder.lstrip('/')}"
        try:
            with _translated(self._where, "The remote folder cannot be used"):
                self._client.stat(self._folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._transport.close()

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        return self._size(self._path(name)) is not None

    def _size(self, path: str) -> int | None:
        with _translated(self._where, "The remote folder cannot be looked at"):
            try:
                return self._client.stat(path).st_size or 0
            except FileNotFoundError:
                return None

    def stage(self, name: str, chunks: Iterable[bytes]) -> Staged:
        path = self._path(hidden_name(name, self._run_id))
        sent = 0
        try:
            with _translated(self._where, f"'{name}' cannot be written"), self._client.open(path, "wb") as file:
                file.set_pipelined(True)
                held = memoryview(b"")
                for block in _blocks(chunks):
                    file.write(held)
                    held = block
                    sent += len(block)
                file.set_pipelined(False)  # so the last write waits for the answers to all, and raises what the server refused
                file.write(held)
            assert_size(name, self._where, sent=sent, found=self._size(path))
        except BaseException:
            self._forget(path)
            raise
        return Staged(name, sent, {"path": path})

    def publish(self, staged: Staged, *, replace: bool) -> str:
        hidden, final = staged.token["path"], self._path(staged.name)
        with _translated(self._where, f"'{staged.name}' cannot be renamed to its final name"):
            if replace:
                self._client.posix_rename(hidden, final)
            else:
                if self.exists(staged.name):
                    raise conflict(staged.name, self._where)
                self._client.rename(hidden, final)
        return f"{self._where.rstrip('/')}/{staged.name}"

    def discard(self, staged: Staged) -> None:
        with _translated(self._where, "A temporary file cannot be removed"), contextlib.suppress(FileNotFoundError):
            self._client.remove(staged.token["path"])

    def remove(self, name: str) -> None:
        with _translated(self._where, f"'{name}' cannot be removed"), contextlib.suppress(FileNotFoundError):
            self._client.remove(self._path(name))

    def _forget(self, path: str) -> None:
        """Best effort: the error that led here is the one to report, and the connection may be gone."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._client.remove(path)


def _blocks(chunks: Iterable[bytes]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), REQUEST_BYTES):
            yield view[start : start + REQUEST_BYTES]


def _family(kind: str) -> str:
    """`rsa-sha2-512` is a way of signing with an `ssh-rsa` key, and known_hosts names the key."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _known_hosts(config: SftpConfig) -> paramiko.HostKeys:
    path = Path(config.known_hosts_file or "~/.ssh/known_hosts").expanduser()
    hosts = paramiko.HostKeys()
    if not path.exists():
        if config.known_hosts_file:
            raise ConfigError("The known_hosts file does not exist", where="destination.known_hosts_file", found=str(path))
        return hosts
    try:
        hosts.load(str(path))
    except (OSError, paramiko.SSHException) as exc:
        raise ConfigError("The known_hosts file cannot be read", where=str(path), found=type(exc).__name__) from exc
    return hosts


def _private_key(config: SftpKeyConfig) -> paramiko.PKey:
    passphrase = secret(config.passphrase_env) if config.passphrase_env else None
    where = f"destination.key_file {config.key_file}" if config.key_file else f"destination.key_env {config.key_env}"
    try:
        text = Path(config.key_file).expanduser().read_text() if config.key_file else secret(str(config.key_env))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError("The SSH key cannot be read", where=where, found=type(exc).__name__) from exc
    for kind in KEY_TYPES:
        try:
            return kind.from_private_key(io.StringIO(text), passphrase)
        except paramiko.PasswordRequiredException as exc:
            raise ConfigError("The SSH key needs a passphrase", where=where, fix="set destination.passphrase_env") from exc
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise ConfigError(
        "The SSH key is not usable",
        where=where,
        expected="an RSA, ECDSA or Ed25519 private key in PEM or OpenSSH form" + (", and its passphrase" if passphrase else ""),
    )


@contextlib.contextmanager
def _translated(where: str, what: str) -> Iterator[None]:
    """Vendor errors, most specific first. paramiko's own texts hold no values and no secrets; the server's may, so they stay out."""
    try:
        yield
    except CourierError:
        raise
    except paramiko.BadAuthenticationType as exc:
        allowed = ", ".join(exc.allowed_types)
        raise TerminalError(
            what, where=where, found=f"the server allows only: {allowed}", fix="use the destination for that kind of login"
        ) from exc
    except paramiko.AuthenticationException as exc:
        raise TerminalError(
            what, where=where, found="wrong password, key or user", fix="check destination.username and the secret"
        ) from exc
    except paramiko.SSHException as exc:
        incompatible = isinstance(exc, paramiko.ssh_exception.IncompatiblePeer)
        kind = TerminalError if incompatible else TransientError
        raise kind(what, where=where, found=str(exc)[:200] or type(exc).__name__) from exc
    except FileNotFoundError as exc:
        raise TerminalError(
            what, where=where, found="no such file or folder", fix="check destination.path; folders are not created for you"
        ) from exc
    except PermissionError as exc:
        raise TerminalError(what, where=where, found="permission denied", fix="the user needs to write and rename in this folder") from exc
    except (EOFError, TimeoutError, socket.gaierror, ConnectionError) as exc:
        name = "the name cannot be resolved" if isinstance(exc, socket.gaierror) else str(exc) or "the connection was lost"
        raise TransientError(
            what, where=where, found=name, fix="check destination.host and port, and that a firewall lets you through"
        ) from exc
    except OSError as exc:
        network = exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
        full = "a full disk or a quota is a usual cause" if exc.errno is None else os.strerror(exc.errno)
        raise (TransientError if network else TerminalError)(what, where=where, found=f"the server answered: failure ({full})") from exc
