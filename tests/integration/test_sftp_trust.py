"""What an SFTP login gives away, and to whom: nothing to a server that has not shown its key. And what a user reads when it fails."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives import serialization
from recording_server import PASSWORD, USERNAME, RecordingServer, config_of, recording_server
from servers import SftpServer, can_mount, small_disk
from targets import KEY_ENV, PASSPHRASE_ENV, PASSWORD_ENV, RUN_ID, Target, new_inbox, sftp_key_target

from courier.config import SftpKeyConfig, SftpPasswordConfig
from courier.destinations import Connection, Staged, open_destination
from courier.errors import ConfigError, CourierError, TerminalError, TransientError

MakeTarget = Callable[[str], Target]


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    monkeypatch.setenv("HOME", str(tmp_path))  # where no known_hosts is
    with recording_server(tmp_path / "served") as server:
        yield server


def connect(server: RecordingServer, **trust: Any) -> Connection:
    return open_destination(config_of(server, **({"host_key_fingerprint": None} | trust)), RUN_ID).connect()


def stage(connection: Connection, name: str, content: bytes) -> Staged:
    return connection.send(connection.begin(name), [content], lambda _: None)


def assert_says(error: CourierError, *words: str, secrets: tuple[str, ...] = (PASSWORD,)) -> None:
    text = str(error)
    assert "\n" not in text
    for word in words:
        assert word in text
    shown = [text, repr(error), repr(vars(error))]
    cause = error.__cause__
    while cause is not None:
        shown += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__
    for secret in secrets:
        assert secret
        assert not any(secret in text for text in shown)


def test_an_unknown_server_gets_no_password(recorder: RecordingServer) -> None:
    with pytest.raises(TerminalError) as raised:
        connect(recorder)
    assert_says(raised.value, "unknown", recorder.fingerprint, f"[127.0.0.1]:{recorder.port}", "destination.host_key_fingerprint")
    assert recorder.logins == []


def test_a_server_that_is_named_by_its_number(recorder: RecordingServer) -> None:
    connection = open_destination(config_of(recorder, host="::ffff:127.0.0.1"), RUN_ID).connect()
    assert connection.uri("a.csv") == f"sftp://[::ffff:127.0.0.1]:{recorder.port}/a.csv"
    connection.close()


def test_a_server_whose_key_has_changed_gets_no_password(recorder: RecordingServer, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{recorder.port} {other}")
    with pytest.raises(TerminalError) as raised:
        connect(recorder, known_hosts_file=str(tmp_path / "known_hosts"))
    assert_says(raised.value, "key has changed", recorder.fingerprint, f"127.0.0.1:{recorder.port}")
    assert recorder.logins == []


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["ed25519", "ecdsa", "rsa"])
def test_a_pinned_key_may_be_of_any_kind_that_the_server_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    keys = [asyncssh.generate_private_key(name) for name in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")]
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    with recording_server(tmp_path / "root", server_host_keys=keys) as server:
        connect(server, host_key_fingerprint=keys[kind].get_fingerprint()).close()
        with pytest.raises(TerminalError) as raised:
            connect(server, host_key_fingerprint="SHA256:" + 43 * "A")
        assert_says(raised.value, "not the pinned one", *(key.get_fingerprint() for key in keys))
        assert len(server.logins) == 1


@pytest.mark.parametrize("host", ["sftp..example.com", f"{'a' * 64}.example.com"])
def test_what_no_host_can_be_called_is_told(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    config = SftpPasswordConfig(kind="sftp_password", host=host, username=USERNAME, password_env=PASSWORD_ENV, path="/")
    with pytest.raises(TerminalError) as raised:
        open_destination(config, RUN_ID).connect()
    assert_says(raised.value, "no name that a host can have", "destination.host")


def test_a_server_with_another_key_than_the_pinned_one_gets_no_password(recorder: RecordingServer) -> None:
    pinned = "SHA256:" + "A" * 43
    with pytest.raises(TerminalError) as raised:
        connect(recorder, host_key_fingerprint=pinned)
    assert_says(raised.value, "not the pinned one", recorder.fingerprint, pinned)
    assert recorder.logins == []


@pytest.mark.parametrize("padding", ["", "="])
def test_the_pinned_server_gets_the_password(recorder: RecordingServer, padding: str) -> None:
    connect(recorder, host_key_fingerprint=recorder.fingerprint + padding).close()
    assert recorder.logins == [(USERNAME, PASSWORD)]


def test_a_known_server_gets_the_password_also_by_the_default_file(recorder: RecordingServer, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{recorder.port} {recorder.public_key}\n")
    connect(recorder).close()
    assert recorder.logins == [(USERNAME, PASSWORD)]


def test_another_port_of_a_known_host_is_another_server(recorder: RecordingServer, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(f"127.0.0.1 {recorder.public_key}\n")
    with pytest.raises(TerminalError, match="unknown"):
        connect(recorder, known_hosts_file=str(tmp_path / "known_hosts"))
    assert recorder.logins == []


@pytest.mark.parametrize(
    "damaged",
    [
        "other ssh-ed25519 AAAA",
        "other ssh-ed25519 éè",
        "other ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAQE=",
        "other ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAABB",
        "other ssh-rsa {key}",
        "other ssh-ed25519",
        "|1|AAAA|BB= ssh-ed25519 {key}",
        "|1|AAAA ssh-ed25519 {key}",
        "# a comment, written long ago é",
    ],
)
def test_a_damaged_line_of_known_hosts_keeps_from_no_other_server(recorder: RecordingServer, tmp_path: Path, damaged: str) -> None:
    known = tmp_path / "known_hosts"
    text = f"{damaged.format(key=recorder.public_key.split()[1])}\n[127.0.0.1]:{recorder.port} {recorder.public_key}\n"
    known.write_text(text, encoding="latin-1")
    connect(recorder, known_hosts_file=str(known)).close()
    assert recorder.logins == [(USERNAME, PASSWORD)]


@pytest.mark.parametrize(
    ("hosts", "trusted"),
    [
        ("[LocalHost]:{port}", True),
        ("other,[localhost]:{port}", True),
        ("[local*]:{port}", True),
        ("[localhos?]:{port}", True),
        ("*", True),
        ("local*", False),
        ("*,![localhost]:{port}", False),
        ("[localhost]:{port},!*", False),
        ("!other", False),
        ("[l.*]:{port}", False),
    ],
)
def test_names_in_known_hosts_are_patterns_as_ssh_has_them(recorder: RecordingServer, tmp_path: Path, hosts: str, *, trusted: bool) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{hosts.format(port=recorder.port)} {recorder.public_key}\n")
    found = subprocess.run(["ssh-keygen", "-F", f"[localhost]:{recorder.port}", "-f", str(known)], capture_output=True, check=False)
    assert (found.returncode == 0) is trusted
    for host in ("localhost", "LOCALHOST"):
        with contextlib.nullcontext() if trusted else pytest.raises(TerminalError, match="unknown"):
            connect(recorder, host=host, known_hosts_file=str(known)).close()
    assert len(recorder.logins) == 2 * trusted


def test_a_name_in_known_hosts_may_be_a_hash(recorder: RecordingServer, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"other {recorder.public_key}\n[localhost]:{recorder.port} {recorder.public_key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], capture_output=True, check=True)
    assert "localhost" not in known.read_text()
    connect(recorder, host="LocalHost", known_hosts_file=str(known)).close()
    with pytest.raises(TerminalError, match="unknown"):
        connect(recorder, host="127.0.0.1", known_hosts_file=str(known))
    assert len(recorder.logins) == 1


def test_a_server_that_only_an_authority_vouches_for_is_told_as_such(recorder: RecordingServer, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"@cert-authority * {recorder.public_key}\n")
    with pytest.raises(TerminalError) as raised:
        connect(recorder, known_hosts_file=str(known))
    assert_says(raised.value, "unknown", "@cert-authority", "certificates of servers are not read")
    assert recorder.logins == []


def test_a_missing_known_hosts_file_is_named(recorder: RecordingServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        connect(recorder, known_hosts_file=str(tmp_path / "nowhere"))
    assert_says(raised.value, "known_hosts", str(tmp_path / "nowhere"))
    assert recorder.connections == 0


def test_a_wrong_password_is_tried_once(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    with pytest.raises(TerminalError) as raised:
        connect(recorder, host_key_fingerprint=recorder.fingerprint)
    assert_says(raised.value, "refused the login", f"127.0.0.1:{recorder.port}", secrets=("wr0ng-pa55word",))
    assert len(recorder.logins) == 1


def test_an_unset_password_is_told_before_anything_else(recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_ENV)
    with pytest.raises(ConfigError, match=PASSWORD_ENV):
        connect(recorder, host_key_fingerprint=recorder.fingerprint)
    assert recorder.connections == 0


def test_the_password_is_in_no_repr(make_target: MakeTarget) -> None:
    target = make_target("sftp_password_rclone")
    destination = open_destination(target.config, RUN_ID)
    connection = destination.connect()
    staged = stage(connection, "a.csv", b"x")
    assert target.secrets[PASSWORD_ENV] not in repr([target.config, destination, connection, staged])
    connection.discard(staged)
    connection.close()


@pytest.mark.parametrize("kind", ["sftp_password_openssh", "sftp_password_rclone"])
def test_a_wrong_password_on_real_servers(make_target: MakeTarget, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(kind)
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    with pytest.raises(TerminalError) as raised:
        target.connect()
    assert_says(raised.value, "refused the login", "wrong password, key or user", "127.0.0.1", secrets=("wr0ng-pa55word",))


# Keys


def test_a_key_that_the_server_does_not_know(openssh: SftpServer) -> None:
    target = sftp_key_target(openssh, "stranger")
    with pytest.raises(TerminalError) as raised:
        target.connect()
    assert_says(raised.value, "refused the login", "127.0.0.1", secrets=(openssh.keys["stranger"].read_text(),))


def test_a_password_where_only_keys_are_taken_is_told(make_target: MakeTarget, rclone_sftp: SftpServer, openssh: SftpServer) -> None:
    """rclone's server takes passwords alone, so the other way round."""
    target = sftp_key_target(replace(rclone_sftp, keys=openssh.keys), "ed25519")
    with pytest.raises(TerminalError) as raised:
        target.connect()
    assert_says(raised.value, "refused the login", "127.0.0.1", secrets=(openssh.keys["ed25519"].read_text(),))


def key_error(openssh: SftpServer, **changes: Any) -> ConfigError:
    config = sftp_key_target(openssh, "ed25519_passphrase").config
    assert isinstance(config, SftpKeyConfig)
    with pytest.raises(ConfigError) as raised:
        open_destination(replace(config, **changes), RUN_ID)
    return raised.value


def test_a_key_with_a_passphrase_that_is_not_given(openssh: SftpServer) -> None:
    error = key_error(openssh, passphrase_env=None)
    assert_says(error, "needs a passphrase", str(openssh.keys["ed25519_passphrase"]), "destination.passphrase_env")


def test_a_key_with_a_wrong_passphrase(openssh: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE_ENV, "wr0ng-pa55phrase")
    error = key_error(openssh)
    assert_says(error, "not usable", str(openssh.keys["ed25519_passphrase"]), "passphrase", secrets=("wr0ng-pa55phrase",))


@pytest.mark.parametrize("passphrase", [None, "a passphrase"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_in_the_form_of_openssl(openssh: SftpServer, monkeypatch: pytest.MonkeyPatch, kind: str, passphrase: str | None) -> None:
    key = serialization.load_ssh_private_key(openssh.keys[kind].read_bytes(), None)
    cipher = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher).decode()
    monkeypatch.setenv(KEY_ENV, text)
    target = sftp_key_target(openssh, kind, by_variable=True)
    if passphrase:
        with pytest.raises(ConfigError, match="needs a passphrase"):
            target.connect()
        target = target.with_config(passphrase_env=PASSPHRASE_ENV)
        monkeypatch.setenv(PASSPHRASE_ENV, "wr0ng-pa55phrase")
        with pytest.raises(ConfigError) as raised:
            target.connect()
        assert_says(raised.value, "not usable", "passphrase", secrets=("wr0ng-pa55phrase", text.splitlines()[1]))
        monkeypatch.setenv(PASSPHRASE_ENV, passphrase)
    target.connect().close()


def test_a_key_of_a_cipher_that_paramiko_does_not_know(openssh: SftpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    shutil.copy(openssh.keys["ed25519"], path)
    change = ["ssh-keygen", "-q", "-p", "-Z", "aes256-gcm@openssh.com", "-N", "a passphrase", "-f", str(path)]
    subprocess.run(change, check=True, capture_output=True)
    target = sftp_key_target(openssh, "ed25519").with_config(key_file=str(path))
    with pytest.raises(ConfigError, match="needs a passphrase"):
        target.connect()
    target = target.with_config(passphrase_env=PASSPHRASE_ENV)
    monkeypatch.setenv(PASSPHRASE_ENV, "wr0ng-pa55phrase")
    with pytest.raises(ConfigError, match="not usable"):
        target.connect()
    monkeypatch.setenv(PASSPHRASE_ENV, "a passphrase")
    target.connect().close()


def test_a_variable_whose_text_is_no_key(openssh: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = openssh.keys["ed25519"].read_text()
    broken = whole.replace("\n", " ")[:200]  # as pasted into a form
    monkeypatch.setenv(KEY_ENV, broken)
    error = key_error(openssh, key_file=None, key_env=KEY_ENV, passphrase_env=None)
    assert_says(error, "not usable", KEY_ENV, secrets=(broken, whole.splitlines()[1]))


def test_a_public_key_is_no_private_key(openssh: SftpServer) -> None:
    error = key_error(openssh, key_file=str(openssh.keys["ed25519"]) + ".pub", passphrase_env=None)
    assert_says(error, "not usable", "ed25519.pub", "private key")


def test_a_key_file_that_is_missing(openssh: SftpServer, tmp_path: Path) -> None:
    assert_says(key_error(openssh, key_file=str(tmp_path / "nowhere"), passphrase_env=None), "cannot be read", str(tmp_path / "nowhere"))


# The way there


def unreachable(host: str, port: int, seconds: float = 5, login_seconds: float = 20) -> TransientError:
    config = SftpPasswordConfig(
        kind="sftp_password",
        host=host,
        port=port,
        username=USERNAME,
        password_env=PASSWORD_ENV,
        connect_timeout_seconds=5,
        banner_timeout_seconds=seconds,
        login_timeout_seconds=login_seconds,
    )
    with pytest.raises(TransientError) as raised:
        open_destination(config, RUN_ID).connect()
    return raised.value


@pytest.fixture
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)


@pytest.mark.usefixtures("_password")
def test_a_closed_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert_says(unreachable("127.0.0.1", port), "cannot be reached", f"127.0.0.1:{port}", "refused")


@pytest.mark.usefixtures("_password")
def test_a_name_that_is_not_known() -> None:
    error = unreachable("sftp.example.invalid", 22)
    assert_says(error, "cannot be reached", "sftp.example.invalid", "the name cannot be resolved", "destination.host")


@pytest.mark.usefixtures("_password")
def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = unreachable("127.0.0.1", silent.getsockname()[1], seconds=0.5, login_seconds=600)  # which would end the wait as well
        assert_says(error, "127.0.0.1", "no answer within 0.5 seconds")


@pytest.mark.usefixtures("_password")
def test_a_server_that_speaks_something_else(rclone_s3: Any) -> None:
    port = int(rclone_s3.endpoint_url.rpartition(":")[2])
    assert_says(unreachable("127.0.0.1", port, seconds=1), f"127.0.0.1:{port}")


# The folder


@pytest.mark.parametrize("kind", ["sftp_password_rclone", "sftp_key_ed25519"])
def test_a_missing_folder_is_told_at_once(make_target: MakeTarget, kind: str) -> None:
    target = make_target(kind)
    target = target.with_config(path=target.config.path + "/no/such/folder")
    with pytest.raises(TerminalError) as raised:
        target.connect()
    secrets = tuple(target.secrets.values())
    assert_says(raised.value, "no such file or folder", "127.0.0.1", "/no/such/folder", "destination.path", secrets=secrets)


def test_a_folder_that_may_not_be_written(openssh: SftpServer) -> None:
    target = sftp_key_target(openssh, "ed25519")
    target.folder.chmod(0o555)
    connection = target.connect()
    with pytest.raises(TerminalError) as raised:
        stage(connection, "audience.csv", b"x")
    assert_says(raised.value, "audience.csv", "permission denied", "127.0.0.1", target.config.path, secrets=())
    connection.close()
    assert target.everything() == {}


def test_a_path_that_is_relative_starts_where_the_login_leads(openssh: SftpServer) -> None:
    target = sftp_key_target(openssh, "ed25519")
    connection = target.with_config(path=f"inbox/{target.folder.name}/").connect()
    connection.publish(stage(connection, "audience.csv", b"x"), replace=False)
    connection.close()
    assert target.everything() == {"audience.csv": b"x"}


def test_a_full_disk(openssh: SftpServer) -> None:
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    target = sftp_key_target(openssh, "ed25519")
    with small_disk(target.folder):
        connection = target.connect()
        begun = connection.begin("audience.csv")
        with pytest.raises(TerminalError) as raised:
            connection.send(begun, [b"x" * 500_000] * 5, lambda _: None)
        assert_says(raised.value, "audience.csv", "cannot be written", "full disk", "127.0.0.1", secrets=())
        connection.discard(begun)  # on the same connection, which the refusal has left in order
        assert target.everything() == {}
        connection.close()


def test_a_disk_that_is_full_at_the_last_bytes(openssh: SftpServer) -> None:
    """So that the refusal comes when all has been written already, and nothing but its answer tells of it."""
    if not can_mount():
        pytest.skip("a small disk cannot be mounted here")
    target = sftp_key_target(openssh, "ed25519")
    with small_disk(target.folder):
        connection = target.connect()
        with pytest.raises(TerminalError, match="full disk"):
            stage(connection, "audience.csv", b"x" * (1024 * 1024 + 1))
        connection.close()


def test_the_inbox_of_another_user_stays_untouched(openssh: SftpServer) -> None:
    """Two runs in one folder have hidden names of their own, so neither disturbs the other."""
    target = sftp_key_target(openssh, "ed25519")
    folder, _ = target.folder, new_inbox(openssh)
    one, two = (open_destination(target.config, run_id).connect() for run_id in ("run-1", "run-2"))
    first, second = stage(one, "audience.csv", b"one"), stage(two, "audience.csv", b"two")
    one.publish(first, replace=False)
    with pytest.raises(TerminalError, match="exists already"):
        two.publish(second, replace=False)
    two.discard(second)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"audience.csv": b"one"}
    one.close()
    two.close()
