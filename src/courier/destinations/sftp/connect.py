"""The way to the server: sockets, SSH, the jump host, the login."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import paramiko
from paramiko.auth_handler import AuthOnlyHandler

from courier.config import JumpConfig, SftpConfig
from courier.config.sftp import PrivateKey
from courier.destinations.sftp.connection import Memory, SftpConnection
from courier.destinations.sftp.errors import translated
from courier.destinations.sftp.packets import TOO_MANY_CONNECTIONS, Packets
from courier.destinations.sftp.protocol import Session
from courier.destinations.sftp.questions import LOG_IN_BY_HAND, WANTS_MORE, answering, wants_more
from courier.destinations.sftp.trust import HostTrust, private_key
from courier.errors import RefusedLoginError, TerminalError, TransientError
from courier.secrets import referred

#: Its threads log every lost connection with a traceback, which Python prints where nobody has configured logging.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
#: Several times faster than what paramiko would ask for first, and just as safe.
FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
#: OpenSSH's own server has it, and refuses to rename to an existing name.
OPENSSH_EXTENSION = b"lsetstat@openssh.com"
OLD_RSA = "for a server that knows only ssh-rsa, with paramiko 4: destination.disabled_algorithms={pubkeys: [rsa-sha2-512, rsa-sha2-256]}"
NO_SFTP = (
    "the login went well: ask the server's owner whether this user may use SFTP, and whether a start file of its shell prints something"
)


class SftpDestination:
    """Secrets are read when constructed. Each connection is its own transport, and its own through the jump host."""

    def __init__(self, config: SftpConfig, run_id: str, attempt: str = "") -> None:
        self._config, self._run_id, self._memory = config, run_id, Memory(attempt)
        self._hops = [Hop(config.jump, config, "destination.jump")] if config.jump else []
        self._hops.append(Hop(config, config, "destination"))

    def connect(self) -> SftpConnection:
        config, transports = self._config, list[paramiko.Transport]()

        def close() -> None:
            for transport in transports:  # the jump host's first: what runs through it can then wait for nothing
                transport.close()

        try:
            for hop in self._hops:
                hop.arrive(transports)
            what, where = "The SFTP session cannot be opened", self._hops[-1].where
            with translated(where, what):
                with limited(config.operation_timeout_seconds, close):
                    channel = transports[-1].open_session()
                    channel.invoke_subsystem("sftp")
                try:
                    session = Session(channel, close, config.operation_timeout_seconds)
                except ConnectionError as exc:
                    raise TransientError(what, where=where, found=str(exc), fix=NO_SFTP) from exc
            openssh = "OpenSSH" in transports[-1].remote_version and OPENSSH_EXTENSION in session.extensions
            return SftpConnection(session, config, self._run_id, self._memory, refuses_existing=openssh)
        except BaseException:
            close()
            raise


class Hop:
    """One SSH server on the way: the jump host, or the destination itself. The timeouts are the destination's."""

    def __init__(self, config: SftpConfig | JumpConfig, timeouts: SftpConfig, prefix: str) -> None:
        self._config, self._timeouts, self._prefix = config, timeouts, prefix
        self._password = referred(config, "password")
        self._key = private_key(config, prefix) if isinstance(config, PrivateKey) and not self._password else None
        self._trust = HostTrust(config, prefix)
        self.where = f"sftp://{config.authority}" if prefix == "destination" else f"ssh://{config.authority} (jump host)"

    def arrive(self, transports: list[paramiko.Transport]) -> None:
        """Add a transport that is logged in, through the last of those before. No credential is sent before the key is checked."""
        packets = self._negotiated(transports)
        shown = [transports[-1].get_remote_server_key()]
        for kind in self._trust.other_kinds(shown[0], packets.offered("host key")):
            self._trust.ask_for(kind)
            transports.pop().close()
            packets = self._negotiated(transports)
            shown.append(transports[-1].get_remote_server_key())
            if self._trust.is_pinned(shown[-1]):
                break
        self._trust.check(shown[-1], self.where, shown[:-1])
        self._log_in(transports[-1], packets)
        transports[-1].set_keepalive(self._timeouts.keepalive_seconds)

    def _negotiated(self, transports: list[paramiko.Transport]) -> Packets:
        """Add a transport whose server has shown its key."""
        transport = paramiko.Transport(
            self._connected(transports[-1] if transports else None),
            disabled_algorithms={kind: list(names) for kind, names in self._timeouts.disabled_algorithms.items()},
            packetizer_class=Packets,
        )
        transports.append(transport)
        packets = transport.packetizer
        assert isinstance(packets, Packets)
        packets.stall_seconds = self._timeouts.operation_timeout_seconds
        self._negotiate(transport, packets)
        return packets

    def _connected(self, outer: paramiko.Transport | None) -> Any:
        timeout = self._timeouts.connect_timeout_seconds
        with translated(self.where, "The SFTP server cannot be reached"):
            address = (self._config.host, self._config.port)
            if outer is not None:
                return outer.open_channel("direct-tcpip", address, ("127.0.0.1", 0), timeout=timeout)
            try:
                connected = socket.create_connection(address, timeout)
            except UnicodeError as exc:  # such as an empty part between two dots
                what, fix = "The SFTP server cannot be reached", f"check {self._prefix}.host"
                raise TerminalError(what, where=self.where, found="no name that a host can have", fix=fix) from exc
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected

    def _negotiate(self, transport: paramiko.Transport, packets: Packets) -> None:
        patience = self._timeouts.banner_timeout_seconds
        transport.banner_timeout = patience
        transport.handshake_timeout = transport.auth_timeout = self._timeouts.login_timeout_seconds
        options = transport.get_security_options()
        options.ciphers = [*FAST_CIPHERS, *(name for name in options.ciphers if name not in FAST_CIPHERS)]
        self._trust.ask_for_known_kinds(options)
        what, began = "The SSH connection cannot be negotiated", time.monotonic()
        try:
            with translated(self.where, what):
                transport.start_client(timeout=patience + self._timeouts.login_timeout_seconds)
                if not transport.initial_kex_done:  # start_client gives up in silence
                    raise TimeoutError("no agreement on keys in time")
        except TransientError as exc:
            if isinstance(exc.__cause__, paramiko.ssh_exception.IncompatiblePeer):
                raise self._incompatible(what, exc.__cause__, options, packets) from exc.__cause__
            if transport.remote_version:
                raise
            if time.monotonic() - began >= patience:
                raise TransientError(what, where=self.where, found=f"no answer within {patience:g} seconds") from exc.__cause__
            if "banner" in str(exc.found):
                raise TransientError(
                    what,
                    where=self.where,
                    found="the server hung up at once",
                    fix="it may have too many connections, or not let this address in",
                ) from exc.__cause__
            raise

    def _incompatible(self, what: str, exc: Exception, options: paramiko.transport.SecurityOptions, packets: Packets) -> TerminalError:
        """paramiko says on what there is no agreement; what each side offers is the other half of it."""
        ours: dict[str, Sequence[str]] = {
            "kex": options.kex,
            "host key": options.key_types,
            "ciphers": options.ciphers,
            "macs": options.digests,
        }
        missed = next((kind for kind in ours if f"acceptable {kind}" in str(exc)), None)
        if missed is None:
            return TerminalError(what, where=self.where, found=str(exc)[:200])
        offered = ", ".join(packets.offered(missed))[:400]
        return TerminalError(
            what,
            where=self.where,
            found=f"the server offers only these {missed} algorithms: {offered}",
            expected=f"one of: {', '.join(ours[missed])}",
            fix="ask the server's owner for a newer one, or install paramiko 4, which has some old ones; see also destination.disabled_algorithms",
        )

    def _log_in(self, transport: paramiko.Transport, packets: Packets) -> None:
        what = "The SFTP server refused the login"
        with translated(self.where, what):
            try:
                remaining = self._authenticated(transport)
            except paramiko.BadAuthenticationType as exc:
                raise TerminalError(
                    what,
                    where=self.where,
                    found=f"the server allows only: {', '.join(exc.allowed_types)}",
                    fix="use the destination for that kind of login",
                ) from exc
            except paramiko.AuthenticationException as exc:
                raise self._refused(what, transport, packets, exc) from exc
            except paramiko.SSHException as exc:
                if wants_more(exc):
                    raise TerminalError(what, where=self.where, found=WANTS_MORE, fix=LOG_IN_BY_HAND) from exc
                if "no RSA pubkey algorithms" not in str(exc):
                    raise
                advice = "leave rsa-sha2-512 or rsa-sha2-256 out of destination.disabled_algorithms"
                raise TerminalError(what, where=self.where, found="every way to sign with an RSA key is switched off", fix=advice) from exc
        if remaining:
            raise TerminalError(
                what,
                where=self.where,
                found=f"the server also wants: {', '.join(remaining)}",
                fix="ask the server's owner for a login by a password or a key alone",
            )

    def _authenticated(self, transport: paramiko.Transport) -> list[str]:
        """What the server wants besides; nothing where it lets us in."""
        if self._key is not None:
            return transport.auth_publickey(self._config.username, self._key)
        try:
            return transport.auth_password(self._config.username, self._password or "", fallback=False)
        except paramiko.BadAuthenticationType as exc:
            if "keyboard-interactive" not in exc.allowed_types:
                raise
        # Transport.auth_interactive would ask for the service a second time, at which some servers hang up.
        transport.auth_handler = questions = AuthOnlyHandler(transport)
        return questions.auth_interactive(self._config.username, answering(self._password or ""))

    def _refused(self, what: str, transport: paramiko.Transport, packets: Packets, exc: Exception) -> TerminalError | TransientError:
        """A server that says no, also by hanging up with that message, will say no again. One that is lost may come back."""
        if "timeout" in str(exc).lower():
            return TransientError(what, where=self.where, found=f"no answer within {self._timeouts.login_timeout_seconds:g} seconds")
        if not transport.is_active() and packets.hung_up in (None, TOO_MANY_CONNECTIONS):
            return TransientError(what, where=self.where, found="the connection was lost")
        rsa = self._key is not None and self._key.get_name() == "ssh-rsa"
        return RefusedLoginError(
            what,
            where=self.where,
            found="wrong password, key or user",
            fix=f"check {self._prefix}.username and the secret" + (f"; {OLD_RSA}" if rsa else ""),
        )


@contextlib.contextmanager
def limited(seconds: float, close: Callable[[], None]) -> Iterator[None]:
    """Hang up when calls take longer that paramiko lets wait for ever. What they then raise depends on which thread notices first."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        close()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (paramiko.SSHException, EOFError, OSError) as exc:
        if late.is_set():
            raise TimeoutError(f"no answer within {seconds:g} seconds") from exc
        raise
    finally:
        timer.cancel()
