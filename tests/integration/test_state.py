"""The state store keeps its contract on a local disk, on AWS's S3 (moto's) and on a store that ignores conditions (rclone's)."""

from __future__ import annotations

import logging
import resource
import stat
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from faulty_proxy import Answer, Break, FaultyProxy, LoseAnswer, faulty_proxy
from targets import ACCESS_KEY_ENV, SECRET_KEY_ENV

from courier import runs
from courier.config import RunConfig, StateConfig
from courier.delivery.journal import Header, Journal
from courier.errors import BusyError, ConfigError, TransientError
from courier.state import Store, open_store
from courier.state.local import LocalStore
from courier.state.lock import Lock

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_what_is_written_is_read_and_what_is_deleted_is_gone(store: Store) -> None:
    assert store.read("runs/a/record.json") is None
    store.write("runs/a/record.json", b"one")
    store.write("runs/a/record.json", b"two")
    store.write("runs/a/files/1.json", b"", durable=False)
    store.write("runs/ab/record.json", b"another")
    assert store.read("runs/a/record.json") == b"two"
    assert store.keys("runs/a/") == ["runs/a/files/1.json", "runs/a/record.json"]
    store.delete("runs/a/record.json")
    store.delete("runs/a/record.json")
    assert store.read("runs/a/record.json") is None
    assert store.keys("nothing/") == []


def test_lines_are_added_where_that_can_be_and_each_is_whole(store: Store) -> None:
    can = store.append("runs/a/files.jsonl", b"one", durable=True)
    assert can == isinstance(store, LocalStore)
    if can:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: store.append("runs/a/files.jsonl", b"%d," % number * 2_000, durable=False), range(50)))
        lines = (store.read("runs/a/files.jsonl") or b"").split()
        assert lines[0] == b"one"
        assert sorted(lines[1:]) == sorted(b"%d," % number * 2_000 for number in range(50))
    else:
        assert store.read("runs/a/files.jsonl") is None


def test_a_line_that_a_crash_has_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    store = open_store(StateConfig(path=str(tmp_path / "state")))
    header = Header("run-1", "demo", NOW, NOW, "", "", {}, False, ["a.csv", "b.csv"])
    journal = Journal(store, header)
    journal.begin()
    journal.update(0, uri="first")
    journal.update(1, uri="second")
    lines = tmp_path / "state" / "runs" / "run-1" / "files.jsonl"
    lines.write_bytes(lines.read_bytes()[:-5])
    found = Journal.load(store, "run-1")
    assert found is not None
    assert [state.uri for state in found.states] == ["first", ""]
    found.update(1, uri="again")
    found = Journal.load(store, "run-1")
    assert found is not None
    assert [state.uri for state in found.states] == ["first", "again"]
    found.enter("staging")  # from here on the header knows better than any line
    lines.write_bytes(lines.read_bytes().replace(b"again", b"older"))
    found = Journal.load(store, "run-1")
    assert found is not None
    assert [state.uri for state in found.states] == ["first", "again"]


def test_a_folder_is_deleted_with_all_that_is_below_it_and_nothing_beside_it(store: Store) -> None:
    for key in ("runs/a/record.json", "runs/a/files/1.json", "runs/ab/record.json", "runs/b/record.json"):
        store.write(key, b"one")
    store.delete_folder("runs/a")
    store.delete_folder("runs/a")
    assert store.keys("runs/") == ["runs/ab/record.json", "runs/b/record.json"]


def test_a_value_that_the_disk_takes_half_of_does_not_take_the_place_of_the_whole_one(tmp_path: Path) -> None:
    """The kernel says so by a smaller number, and by no error, where a limit or a full disk is met in the middle of a value."""
    store = open_store(StateConfig(path=str(tmp_path / "state")))
    store.write("activations/demo/published.json", b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ConfigError, match="The state store cannot be used"):
            store.write("activations/demo/published.json", b"after" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.read("activations/demo/published.json") == b"before"
    assert [path.name for path in (tmp_path / "state" / "activations" / "demo").iterdir()] == ["published.json"]


def test_a_local_folder_is_deleted_with_what_is_hidden_in_it(tmp_path: Path) -> None:
    store = open_store(StateConfig(path=str(tmp_path / "state")))
    folder = store.folder("runs/a/snapshot")
    (folder / ".part.parquet.crc").write_bytes(b"sum")
    store.delete_folder("runs/a/snapshot")
    assert list((tmp_path / "state" / "runs" / "a").iterdir()) == []


def test_a_store_that_is_only_looked_into_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"There is no state store. Where: state.path {tmp_path}/state"):
        open_store(StateConfig(path=str(tmp_path / "state")), make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_swap_needs_the_value_that_was_seen(store: Store) -> None:
    assert store.swap("key", None, b"one")
    assert not store.swap("key", None, b"two")
    assert not store.swap("key", b"other", b"two")
    assert store.swap("key", b"one", b"two")
    assert store.read("key") == b"two"


def test_a_lock_keeps_a_second_run_out(store: Store) -> None:
    first = Lock(store, "locks/demo.json", "first", 60)
    first.take()
    with pytest.raises(BusyError, match="run first"):
        Lock(store, "locks/demo.json", "second", 60).take()
    first.renew()
    first.assert_held()
    first.release()
    Lock(store, "locks/demo.json", "second", 60).take()


@pytest.fixture
def behind_a_proxy(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, FaultyProxy]]:
    """A store that heeds conditions, on a line that fails as it is told."""
    for name in (ACCESS_KEY_ENV, SECRET_KEY_ENV):
        monkeypatch.setenv(name, "any")
    keys = {"access_key_id_env": ACCESS_KEY_ENV, "secret_access_key_env": SECRET_KEY_ENV}
    with faulty_proxy(moto) as proxy:
        path = f"s3://the-state/{tmp_path.name}"
        config = StateConfig(kind="s3", path=path, region="us-east-1", endpoint_url=proxy.url, work_path=str(tmp_path), **keys)
        yield open_store(config), proxy


def test_a_lock_that_was_taken_or_renewed_is_held_though_the_answer_was_lost(behind_a_proxy: tuple[Store, FaultyProxy]) -> None:
    store, proxy = behind_a_proxy
    lock = Lock(store, "locks/demo.json", "first", 60)
    proxy.add("PUT", "locks/demo.json", LoseAnswer())
    lock.take()
    lock.assert_held()
    proxy.add("PUT", "locks/demo.json", LoseAnswer())
    lock.renew()
    assert not lock.lost
    assert proxy.count("PUT", "locks/demo.json") == 4
    proxy.add("PUT", "locks/demo.json", LoseAnswer(), times=5)
    with pytest.raises(TransientError, match="does not answer now"):
        lock.renew()
    lock.renew()
    lock.assert_held()


def test_a_value_that_is_cut_on_its_way_is_read_again(behind_a_proxy: tuple[Store, FaultyProxy]) -> None:
    store, proxy = behind_a_proxy
    value = bytes(range(256)) * 4_000
    store.write("runs/a/journal.json", value)
    proxy.add("GET", "journal.json", Break(), times=2)
    assert store.read("runs/a/journal.json") == value
    assert proxy.unused() == 0
    proxy.add("GET", "journal.json", Break(), times=5)
    with pytest.raises(TransientError, match="does not answer now"):
        store.read("runs/a/journal.json")
    assert proxy.unused() == 0


def test_a_store_that_knows_no_conditions_is_told_as_such(behind_a_proxy: tuple[Store, FaultyProxy]) -> None:
    store, proxy = behind_a_proxy
    proxy.add("PUT", "locks/demo.json", Answer(501, "NotImplemented"))
    with pytest.raises(ConfigError, match=r"no conditional writes.*keep the state elsewhere"):
        Lock(store, "locks/demo.json", "first", 60).take()


def test_a_store_that_is_overloaded_is_no_wrong_configuration(behind_a_proxy: tuple[Store, FaultyProxy]) -> None:
    store, proxy = behind_a_proxy
    proxy.add("PUT", "runs/a/record.json", Answer(503, "SlowDown"), times=5)
    with pytest.raises(TransientError, match=r"SlowDown from PutObject. What to do: start the run again"):
        store.write("runs/a/record.json", b"one")
    (store.folder("runs/a/snapshot") / "part.parquet").write_bytes(b"rows")
    proxy.add("PUT", "part.parquet", Answer(503, "SlowDown"), times=5)
    with pytest.raises(TransientError, match="SlowDown from PutObject"):
        store.keep_folder("runs/a/snapshot")
    proxy.add("PUT", "runs/a/record.json", Answer(429, "429"), times=5)
    with pytest.raises(TransientError, match="429 from PutObject"):
        store.write("runs/a/record.json", b"two")


def test_a_work_path_that_cannot_be_used_is_told(state_config: StateConfig, tmp_path: Path) -> None:
    if state_config.kind == "local":
        pytest.skip("a local store works where it is")
    store = open_store(replace(state_config, work_path=str(tmp_path / "missing")))
    with pytest.raises(ConfigError, match=f"Where: {tmp_path}/missing. Found: No such file or directory.*state.work_path"):
        store.folder("runs/a/snapshot")


def test_a_folder_comes_back_on_another_machine(store: Store, state_config: StateConfig) -> None:
    folder = store.folder("runs/a/snapshot")
    (folder / "audience=0").mkdir()
    (folder / "audience=0" / "part.parquet").write_bytes(b"rows")
    store.keep_folder("runs/a/snapshot")
    other = open_store(state_config)
    other.fetch_folder("runs/a/snapshot")
    assert (other.folder("runs/a/snapshot") / "audience=0" / "part.parquet").read_bytes() == b"rows"
    assert stat.S_IMODE(other.folder("runs/a/snapshot").stat().st_mode) == 0o700


def test_local_state_is_private(tmp_path: Path) -> None:
    store = open_store(StateConfig(path=str(tmp_path / "state")))
    store.write("runs/a/record.json", b"one")
    store.swap("locks/demo.json", None, b"one")
    found = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    modes = (
        {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()},
        {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()},
    )
    assert modes == ({0o700}, {0o600})


def test_a_folder_that_others_may_look_into_keeps_its_mode_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    with caplog.at_level(logging.WARNING):
        store = open_store(StateConfig(path=str(tmp_path / "state")))
    message = f"state.path {tmp_path}/state has mode 755; it holds personal data: chmod 700 would keep it to its owner"
    assert caplog.messages == [message]
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o755
    store.write("runs/a/record.json", b"one")
    assert stat.S_IMODE((tmp_path / "state" / "runs").stat().st_mode) == 0o700


def test_a_bucket_that_is_not_there_is_told_before_any_work(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCESS_KEY_ENV, "key")
    monkeypatch.setenv(SECRET_KEY_ENV, "hidden-secret")
    config = StateConfig(
        kind="s3",
        path="s3://no-such/state",
        region="us-east-1",
        endpoint_url=moto,
        access_key_id_env=ACCESS_KEY_ENV,
        secret_access_key_env=SECRET_KEY_ENV,
    )
    with pytest.raises(ConfigError, match="The state store cannot be used") as raised:
        open_store(config)
    assert "NoSuchBucket" in str(raised.value)
    assert "hidden-secret" not in str(raised.value)


def test_a_token_that_is_not_there_is_no_fault_of_the_work_path(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/uploader")
    with pytest.raises(ConfigError, match=r"AWS credentials cannot be read.* Found: /nowhere: No such file") as raised:
        open_store(StateConfig(kind="s3", path="s3://the-state/state", region="us-east-1", endpoint_url=moto))
    assert "work_path" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "words"), [("ExpiredToken", "keys have expired"), ("RequestTimeTooSkewed", "clock"), ("AccessDenied", "rights")]
)
def test_what_is_said_of_a_refusal(behind_a_proxy: tuple[Store, FaultyProxy], code: str, words: str) -> None:
    store, proxy = behind_a_proxy
    proxy.add("PUT", "runs/a/record.json", Answer(400, code))
    with pytest.raises(ConfigError, match=f"{code} from PutObject. What to do: .*{words}"):
        store.write("runs/a/record.json", b"one")


def test_a_bucket_with_object_lock_on_a_store_that_is_sent_no_checksums(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ACCESS_KEY_ENV, SECRET_KEY_ENV):
        monkeypatch.setenv(name, "any")
    keys = {"access_key_id_env": ACCESS_KEY_ENV, "secret_access_key_env": SECRET_KEY_ENV}
    client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    retention = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=retention)
    store = open_store(StateConfig(kind="s3", path="s3://locked/state", region="us-east-1", endpoint_url=moto, **keys))
    with pytest.raises(ConfigError, match="a bucket without object lock"):
        store.write("runs/a/record.json", b"one")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)  # as on AWS, which is sent checksums
    store = open_store(StateConfig(kind="s3", path="s3://locked/state", region="us-east-1", **keys))
    store.write("runs/a/record.json", b"one")
    assert store.swap("runs/a/record.json", b"one", b"two")
    store.delete("runs/a/record.json")
    assert store.read("runs/a/record.json") is None


def test_a_run_id_belongs_to_the_activation_that_was_first(store: Store) -> None:
    def config(activation: str) -> RunConfig:
        return types.SimpleNamespace(activation=activation, run_id="2026-11-01")  # type: ignore[return-value]

    runs.claim(store, config("mine"))
    runs.claim(store, config("mine"))
    with pytest.raises(ConfigError, match=r"belongs to another activation.*'mine'"):
        runs.claim(store, config("theirs"))


def test_a_claim_that_is_refused_while_another_one_is_under_way_is_made_again(behind_a_proxy: tuple[Store, FaultyProxy]) -> None:
    store, proxy = behind_a_proxy
    config: Any = types.SimpleNamespace(activation="mine", run_id="2026-11-01")
    proxy.add("PUT", "/activation", Answer(409, "ConditionalRequestConflict"))
    runs.claim(store, config)
    assert store.read("runs/2026-11-01/activation") == b"mine"
