"""What a user reads when S3 is not as configured, where credentials come from, and what becomes of a file on a bad day."""

from __future__ import annotations

import http.server
import re
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aws_server import aws_server
from faulty_proxy import Answer, Cut, Damage, Fault, FaultyProxy, Lie, LoseAnswer, Silence, Stall, faulty_proxy
from targets import ACCESS_KEY_ENV, PART_BYTES, RUN_ID, SECRET_KEY_ENV, Target, ignore, pieces

from courier.config import S3Config
from courier.destinations import Connection, Staged, open_destination
from courier.destinations.s3.client import open_clients
from courier.destinations.s3.connection import S3Connection
from courier.destinations.s3.parts import Body, StoppedError, Upload, encoded, part_size, size_of_parts
from courier.errors import ConfigError, CourierError, DeliveryError, TerminalError, TransientError

#: Two parts and a rest.
LARGE = bytes(range(251)) * 50_000
MakeTarget = Callable[[str], Target]


@pytest.fixture
def target(make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch) -> Target:
    """With nothing of the credentials of whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return make_target("s3")


def stage(connection: Connection, name: str, content: bytes = b"x") -> Staged:
    return connection.send(connection.begin(name), [content], ignore)


def refused(target: Target) -> CourierError:
    """The error of a connection that sends a file; the secret is not in it, nor in what caused it."""
    with pytest.raises(DeliveryError) as raised:
        stage(target.connect(), "audience.csv")
    shown, error = [], raised.value
    assert "\n" not in str(error)
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__
    assert not any(target.secrets[SECRET_KEY_ENV] in text for text in shown)
    return error


def test_a_missing_bucket(target: Target) -> None:
    error = refused(target.with_config(bucket="no-such-bucket"))
    assert isinstance(error, TerminalError)
    assert "s3://no-such-bucket" in str(error)
    assert "check destination.bucket" in str(error)


def test_a_wrong_secret_key(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_KEY_ENV, "wr0ng-s3cret")
    error = refused(target)
    assert isinstance(error, TerminalError)
    assert "s3://audiences" in str(error)
    assert "SignatureDoesNotMatch" in str(error)
    assert "wr0ng-s3cret" not in str(error) + repr(vars(error))


def test_an_unknown_access_key(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCESS_KEY_ENV, "AKSTRANGER")
    error = refused(target)
    assert isinstance(error, TerminalError)
    assert "s3://audiences" in str(error)
    assert "check the access key" in str(error)


def test_a_wrong_secret_key_is_told_when_connecting(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked first is answered without a body, which could say more than that it is forbidden."""
    monkeypatch.setenv(SECRET_KEY_ENV, "wr0ng-s3cret")
    with pytest.raises(TerminalError, match=r"SignatureDoesNotMatch.*check the secret access key"):
        target.connect()


def test_an_endpoint_that_is_down(target: Target) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        error = refused(target.with_config(endpoint_url=f"http://127.0.0.1:{probe.getsockname()[1]}"))
    assert isinstance(error, TransientError)
    assert "cannot be reached" in str(error)
    assert "destination.endpoint_url" in str(error)


def test_an_endpoint_that_is_no_url(target: Target) -> None:
    with pytest.raises(CourierError) as raised:
        target.with_config(endpoint_url="127.0.0.1:9000").connect()
    assert "127.0.0.1:9000" in str(raised.value)


def test_no_credentials_at_all(target: Target) -> None:
    error = refused(target.with_config(access_key_id_env=None, secret_access_key_env=None))
    assert isinstance(error, TerminalError)
    assert "There are no AWS credentials" in str(error)


def test_unset_variables_are_told_before_anything_else(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_KEY_ENV)
    with pytest.raises(ConfigError, match=SECRET_KEY_ENV):
        open_destination(target.config, RUN_ID)


def test_the_default_chain_finds_the_usual_variables(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", target.secrets[ACCESS_KEY_ENV])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", target.secrets[SECRET_KEY_ENV])
    target = target.with_config(access_key_id_env=None, secret_access_key_env=None)
    connection = target.connect()
    connection.publish(stage(connection, "audience.csv"), replace=False)
    assert target.everything() == {"audience.csv": b"x"}


@pytest.mark.parametrize(("addressing", "region"), [("path", None), ("path", "eu-central-1"), ("auto", "us-east-1")])
def test_path_style_and_any_region(target: Target, addressing: str, region: str | None) -> None:
    target = target.with_config(addressing=addressing, region=region)
    connection = target.connect()
    connection.publish(stage(connection, "audience.csv"), replace=False)
    assert target.everything() == {"audience.csv": b"x"}


@pytest.mark.parametrize("path", ["/{}/", "{}/", "/{}"])
def test_slashes_around_the_folder_make_no_difference(target: Target, path: str) -> None:
    target = target.with_config(path=path.format(target.config.path))
    connection = target.connect()
    connection.publish(stage(connection, "audience.csv"), replace=False)
    assert target.everything() == {"audience.csv": b"x"}
    assert "//" not in connection.uri("audience.csv").removeprefix("s3://")


def test_a_bucket_without_a_folder(target: Target) -> None:
    assert isinstance(target.config, S3Config)
    name = target.config.path.replace("/", "-") + ".csv"
    connection = target.with_config(path="").connect()
    connection.publish(stage(connection, name), replace=False)
    assert connection.uri(name) == f"s3://audiences/{name}"
    assert (target.folder.parents[1] / name).read_bytes() == b"x"
    connection.remove(name)
    assert connection.size(name) is None


# A store that fails: `rclone serve s3` behind a proxy that fails as it is told.


@dataclass
class Faulty:
    """A destination behind the proxy, and what was kept of what it was sent."""

    target: Target
    proxy: FaultyProxy
    kept: list[Staged] = field(default_factory=list)

    def send(self, begun: Staged | None = None, content: bytes = LARGE) -> Staged:
        connection = self.target.connect()
        begun = begun or connection.begin("audience.csv")
        return connection.send(begun, pieces(content[begun.size :]), self.kept.append)

    def arrived(self) -> bool:
        return self.target.everything() == {"audience.csv": LARGE} and self.target.uploads() == []


@pytest.fixture
def faulty(target: Target) -> Iterator[Faulty]:
    assert isinstance(target.config, S3Config)
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        yield Faulty(target.with_config(endpoint_url=proxy.url), proxy)


@pytest.mark.parametrize(
    "fault", [Answer(503, "SlowDown"), Answer(500, "InternalError"), Cut(1_000_000), LoseAnswer()], ids=["slow", "500", "cut", "lost"]
)
def test_a_part_that_fails_is_tried_again_and_no_other(faulty: Faulty, fault: Fault) -> None:
    faulty.proxy.add("PUT", "partNumber=2", fault)
    faulty.target.connect().publish(faulty.send(), replace=False)
    assert [faulty.proxy.count("PUT", f"partNumber={number}") for number in (1, 2, 3)] == [1, 2, 1]
    assert faulty.arrived()


def test_a_store_that_says_nothing_is_not_waited_for_longer_than_configured(faulty: Faulty) -> None:
    faulty.target = faulty.target.with_config(timeout_seconds=0.5)
    faulty.proxy.add("PUT", "partNumber=2", Stall())
    faulty.target.connect().publish(faulty.send(), replace=False)
    assert faulty.proxy.count("PUT", "partNumber=2") == 2
    assert faulty.arrived()


def test_a_store_that_does_it_and_does_not_say_so_is_not_waited_for_longer_than_configured(faulty: Faulty) -> None:
    faulty.target = faulty.target.with_config(timeout_seconds=0.5)
    faulty.proxy.add("GET", "uploadId=", Silence())
    with pytest.raises(TransientError, match="ReadTimeout"):
        faulty.send()


def test_what_arrived_before_a_failure_is_not_sent_again(faulty: Faulty) -> None:
    faulty.proxy.add("PUT", "partNumber=3", Answer(503, "SlowDown"), times=3)
    with pytest.raises(TransientError, match="S3 refused UploadPart"):
        faulty.send()
    assert [staged.size for staged in faulty.kept][-1:] == [2 * PART_BYTES]
    faulty.target = faulty.target.with_config(part_bytes=2 * PART_BYTES)  # the file stays cut as it was begun
    begun = faulty.kept[-1]
    assert faulty.target.connect().resumable(begun) == begun.size
    faulty.target.connect().publish(faulty.send(begun), replace=False)
    assert [faulty.proxy.count("PUT", f"partNumber={number}") for number in (1, 2, 3)] == [1, 1, 4]
    assert faulty.arrived()


def test_a_lost_answer_to_the_last_step_is_no_second_file_and_no_conflict(faulty: Faulty) -> None:
    staged = faulty.send()
    faulty.proxy.add("POST", "uploadId=", LoseAnswer())
    with pytest.raises(TransientError, match="S3 cannot be reached"):
        faulty.target.connect().publish(staged, replace=False)
    assert faulty.proxy.count("POST", "uploadId=") == 1
    assert faulty.target.connect().is_staged(staged) is False
    assert faulty.arrived()


def test_an_upload_whose_begin_was_not_answered_is_found(faulty: Faulty) -> None:
    before = datetime.now(UTC)
    faulty.proxy.add("POST", "?uploads", LoseAnswer())
    connection = faulty.target.connect()
    with pytest.raises(TransientError):
        connection.begin("audience.csv")
    assert connection.unfinished(["audience.csv"], before + timedelta(hours=1)) == []
    assert connection.unfinished(["audience"], before) == []
    (found,) = connection.unfinished(["audience.csv", "another.csv"], before)
    connection.discard(found)
    assert faulty.target.uploads() == []


@pytest.mark.parametrize(
    ("was", "is_now", "kind", "words"),
    [
        (rb"<Size>5242880</Size>", b"<Size>5242879</Size>", TerminalError, "did not arrive whole"),
        (rb"<ETag>[^<]*</ETag>", b"<ETag>another</ETag>", TransientError, "did not arrive as it was sent"),
        (rb"(?s)<Part>.*</Part>", b"", TerminalError, "did not arrive whole"),
    ],
    ids=["size", "etag", "none"],
)
def test_a_store_that_has_something_else_is_not_believed(
    faulty: Faulty, was: bytes, is_now: bytes, kind: type[CourierError], words: str
) -> None:
    faulty.proxy.add("GET", "uploadId=", Lie(lambda body: re.sub(was, is_now, body)))
    with pytest.raises(kind, match=words):
        faulty.send()
    faulty.proxy.add("GET", "uploadId=", Lie(lambda body: re.sub(was, is_now, body)), times=2)
    assert faulty.target.connect().resumable(faulty.kept[0]) == 0
    assert faulty.target.connect().is_staged(faulty.kept[0]) is False
    assert faulty.target.visible() == {}


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
def test_a_file_that_appears_at_the_last_moment_is_not_replaced(faulty: Faulty, status: int, code: str) -> None:
    staged = faulty.send(content=b"x")
    faulty.proxy.add("POST", "uploadId=", Answer(status, code))
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        faulty.target.connect().publish(staged, replace=False)
    assert faulty.target.connect().is_staged(staged)


def test_a_store_that_knows_no_conditions_is_asked_without(faulty: Faulty) -> None:
    staged = faulty.send()
    faulty.proxy.add("POST", "uploadId=", Answer(501, "NotImplemented"))
    assert faulty.target.connect().publish(staged, replace=False) is True
    assert faulty.arrived()


def test_an_error_in_an_answer_that_began_well(faulty: Faulty) -> None:
    """S3 begins to answer CompleteMultipartUpload before it knows."""
    staged = faulty.send()
    faulty.proxy.add("POST", "uploadId=", Lie(lambda _: b"<Error><Code>InternalError</Code><Message>later</Message></Error>"))
    with pytest.raises(TransientError, match="S3 refused CompleteMultipartUpload"):
        faulty.target.connect().publish(staged, replace=False)


@pytest.mark.parametrize(
    ("code", "words"),
    [("NoSuchUpload", "the store has ended the upload"), ("AccessDenied", "s3:PutObject"), ("KMS.DisabledException", "KMS key")],
)
def test_a_refusal_in_an_answer_that_began_well_is_no_passing_error(faulty: Faulty, code: str, words: str) -> None:
    """One that seemed to pass would be looked for, and an upload that is gone taken for a file that was published."""
    staged = faulty.send(content=b"x")
    faulty.proxy.add("POST", "uploadId=", Lie(lambda _: f"<Error><Code>{code}</Code><Message>late</Message></Error>".encode()))
    with pytest.raises(TerminalError, match=words):
        faulty.target.connect().publish(staged, replace=False)


def test_a_conflict_in_an_answer_that_began_well(faulty: Faulty) -> None:
    staged = faulty.send(content=b"x")
    faulty.proxy.add("POST", "uploadId=", Lie(lambda _: b"<Error><Code>PreconditionFailed</Code></Error>"))
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        faulty.target.connect().publish(staged, replace=False)


def test_an_answer_that_began_well_and_says_nothing_is_not_believed(faulty: Faulty) -> None:
    staged = faulty.send(content=b"x")
    faulty.proxy.add("POST", "uploadId=", Lie(lambda _: b""))
    with pytest.raises(TransientError, match="did not say whether"):
        faulty.target.connect().publish(staged, replace=False)


def test_an_upload_that_somebody_ended_before_it_was_verified(faulty: Faulty) -> None:
    faulty.proxy.add("GET", "uploadId=", Answer(404, "NoSuchUpload"))
    with pytest.raises(TerminalError, match="the store has ended the upload"):
        faulty.send(content=b"x")


def test_an_upload_that_the_store_has_ended(faulty: Faulty) -> None:
    staged = faulty.send()
    connection = faulty.target.connect()
    connection.discard(staged)
    with pytest.raises(TerminalError, match="the store has ended the upload"):
        connection.publish(staged, replace=False)


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", TerminalError, "s3:PutObject"),
        (403, "RequestTimeTooSkewed", TerminalError, "clock"),
        (400, "ExpiredToken", TerminalError, "have expired"),
        (400, "KMS.DisabledException", TerminalError, "destination.kms_key_id"),
        (400, "AccessControlListNotSupported", TerminalError, "destination.acl"),
        (400, "InvalidStorageClass", TerminalError, "destination.storage_class"),
        (400, "AuthorizationHeaderMalformed", TerminalError, "destination.region"),
        (507, "XMinioStorageFull", TerminalError, "free some space"),
        (503, "SlowDown", TransientError, "SlowDown"),
        (502, "BadGateway", TransientError, "502"),
        (429, "TooManyRequests", TransientError, "429"),
        (400, "RequestTimeout", TransientError, "RequestTimeout"),
    ],
)
def test_what_is_said_of_a_refusal(faulty: Faulty, status: int, code: str, kind: type[CourierError], words: str) -> None:
    faulty.proxy.add("POST", "?uploads", Answer(status, code))
    error = refused(faulty.target)
    assert isinstance(error, kind)
    assert words in str(error)
    assert "S3 refused CreateMultipartUpload" in str(error)
    assert faulty.proxy.count("POST", "?uploads") == 1


def test_a_kms_key_that_is_asked_too_often_is_no_wrong_one(faulty: Faulty) -> None:
    faulty.proxy.add("POST", "?uploads", Answer(400, "KMS.ThrottlingException"))
    error = refused(faulty.target)
    assert isinstance(error, TransientError)
    assert "destination.kms_key_id" not in str(error)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "is not authorized to perform: s3:PutObjectTagging on resource: x because no identity-based policy allows it",
            r"s3:PutObjectTagging\.",
        ),
        (
            "is not authorized to perform: s3:PutObject on resource: x with an explicit deny in a resource-based policy",
            "denies it expressly",
        ),
        ("Access Denied", "for destination.tags s3:PutObjectTagging"),
        ("is not authorized to perform: kms:GenerateDataKey on resource: x", "destination.kms_key_id"),
    ],
)
def test_the_right_that_s3_misses_is_named(faulty: Faulty, message: str, words: str) -> None:
    faulty.proxy.add("POST", "?uploads", Answer(403, "AccessDenied", message=f"User: arn:aws:iam::1:user/the-user {message}"))
    error = refused(faulty.target)
    assert re.search(words, str(error))
    assert "the-user" not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "have expired"),
        (403, "InvalidAccessKeyId", "check the access key"),
        (403, "RequestTimeTooSkewed", "clock"),
    ],
)
def test_what_an_answer_without_a_body_cannot_say_is_asked_for(faulty: Faulty, status: int, code: str, words: str) -> None:
    connection = faulty.target.connect()
    for method, text in (("HEAD", "/"), ("GET", "list-type=2")):
        faulty.proxy.add(method, text, Answer(status, code), times=2)
    for attempt in (faulty.target.connect, lambda: connection.size("audience.csv")):
        with pytest.raises(TerminalError, match=words) as raised:
            attempt()
        assert code in str(raised.value)
    assert faulty.proxy.unused() == 0


def test_a_key_that_may_neither_look_nor_list_may_still_write(faulty: Faulty) -> None:
    for method, text in (("HEAD", "/"), ("GET", "list-type=2")):
        faulty.proxy.add(method, text, Answer(403, "AccessDenied"), times=100)
    connection = faulty.target.connect()
    with pytest.raises(TerminalError, match=r"s3:GetObject and s3:ListBucket, or set destination\.on_conflict=replace"):
        connection.size("audience.csv")
    connection.publish(faulty.send(), replace=True)
    assert faulty.arrived()


def test_a_bucket_with_object_lock_on_a_store_that_wants_checksums(faulty: Faulty) -> None:
    message = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object Lock parameters"
    faulty.proxy.add("PUT", "partNumber=", Answer(400, "InvalidRequest", message=message), times=100)
    error = refused(faulty.target)
    assert "destination.checksums=when_supported" in str(error)
    assert "Content-MD5" not in str(error)


def test_something_else_that_answers(faulty: Faulty) -> None:
    faulty.proxy.add("POST", "?uploads", Lie(lambda _: b"<html>Welcome to nginx</html>"))
    error = refused(faulty.target)
    assert isinstance(error, TerminalError)
    assert "What answers is no S3" in str(error)


def test_a_stop_does_not_wait_for_parts_that_hang(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("courier.destinations.s3.transfer.STOP_SECONDS", 0.1)
    faulty.proxy.add("PUT", "partNumber=", Stall(), times=4)

    def stopped() -> Iterator[bytes]:
        yield LARGE
        raise KeyboardInterrupt

    connection = faulty.target.connect()
    with pytest.raises(KeyboardInterrupt):
        connection.send(connection.begin("audience.csv"), stopped(), ignore)
    connection.close()


def test_a_stop_ends_the_parts_in_flight_at_their_next_block() -> None:
    stop = threading.Event()
    body = Body(bytearray(b"x" * 1_000_000), stop)
    assert len(body.read(16_384)) < 1_000_000
    stop.set()
    with pytest.raises(StoppedError):
        body.read(16_384)


# How a file is cut


def test_parts_grow_so_that_ten_thousand_of_them_hold_the_largest_file() -> None:
    assert [part_size(number, PART_BYTES) // PART_BYTES for number in (1, 1_000, 1_001, 2_001)] == [1, 1, 2, 4]
    assert max(part_size(number, 1024**3) for number in (1, 5_000, 10_000)) == 5 * 1024**3
    assert size_of_parts(10_000, 16 * 1024**2) > 5 * 1024**4


def test_a_file_of_too_many_parts_is_refused_before_they_are_sent(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("courier.destinations.s3.parts.MAX_PARTS", 2)
    with pytest.raises(TerminalError, match=r"raise destination\.part_bytes, or split the file"):
        stage(target.connect(), "audience.csv", LARGE)


# What S3 is asked for. The server is moto's, which keeps what it is told.


@pytest.fixture
def moto(target: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Target, Any]]:
    """A destination, and a client to look at it from outside."""
    with aws_server("audiences") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.endpoint_url)
        yield target.with_config(endpoint_url=server.endpoint_url, path=""), server.client


def published(target: Target, content: bytes = LARGE) -> None:
    connection = target.connect()
    connection.publish(stage(connection, "audience.csv", content), replace=False)


def head(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.head_object(Bucket="audiences", Key="audience.csv", ChecksumMode="ENABLED")
    return found


@pytest.mark.parametrize(("encryption", "key"), [(None, None), ("AES256", None), ("aws:kms", "key-1"), ("aws:kms:dsse", "key-1")])
def test_server_side_encryption(moto: tuple[Target, Any], encryption: str | None, key: str | None) -> None:
    target, client = moto
    published(target.with_config(server_side_encryption=encryption, kms_key_id=key))
    found = head(client)
    if encryption != "aws:kms:dsse":  # of which moto does not show the key
        assert found.get("SSEKMSKeyId") == key
    if encryption:
        assert found["ServerSideEncryption"] == encryption


def test_storage_class_tags_and_acl(moto: tuple[Target, Any]) -> None:
    target, client = moto
    published(target.with_config(storage_class="STANDARD_IA", acl="public-read", tags={"team": "e-mail + sms", "owner": "crm"}))
    assert head(client)["StorageClass"] == "STANDARD_IA"
    tags = client.get_object_tagging(Bucket="audiences", Key="audience.csv")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "e-mail + sms", "owner": "crm"}
    grants = client.get_object_acl(Bucket="audiences", Key="audience.csv")["Grants"]
    assert ("http://acs.amazonaws.com/groups/global/AllUsers", "READ") in {
        (grant["Grantee"].get("URI"), grant["Permission"]) for grant in grants
    }


@pytest.mark.parametrize("content", [LARGE, b"x", b""], ids=["three parts", "one part", "empty"])
def test_the_whole_file_has_a_checksum_where_it_is_wanted(moto: tuple[Target, Any], content: bytes) -> None:
    target, client = moto
    published(target.with_config(checksums="when_supported"), content)
    found = head(client)
    assert (found["ChecksumType"], found["ChecksumCRC32"]) == ("FULL_OBJECT", encoded(zlib.crc32(content)))


def test_the_checksum_that_is_sent_is_that_of_the_file_also_when_it_was_sent_in_two_runs(moto: tuple[Target, Any]) -> None:
    target, _ = moto
    connection = target.with_config(checksums="when_supported").connect()
    kept: list[Staged] = []
    connection.send(connection.begin("audience.csv"), pieces(LARGE[: 2 * PART_BYTES]), kept.append)
    staged = target.connect().send(kept[-1], pieces(LARGE[2 * PART_BYTES :]), ignore)
    assert Upload.of(staged).crc32 == zlib.crc32(LARGE)


def test_checksums_are_not_sent_unasked_to_other_stores(moto: tuple[Target, Any]) -> None:
    target, _ = moto
    assert open_clients(target.config).checksums is False
    assert open_clients(target.with_config(checksums="when_supported").config).checksums is True
    for endpoint in (None, "https://bucket.vpce-1a2b.s3.eu-north-1.vpce.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"):
        assert open_clients(target.with_config(endpoint_url=endpoint).config).checksums is True
        assert open_clients(target.with_config(endpoint_url=endpoint, checksums="when_required").config).checksums is False


def test_of_two_runs_that_publish_the_same_name_at_once_the_store_lets_one(
    moto: tuple[Target, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, client = moto
    connection = target.connect()
    staged = stage(connection, "audience.csv")
    client.put_object(Bucket="audiences", Key="audience.csv", Body=b"somebody else's")
    monkeypatch.setattr(connection, "size", lambda _: None)  # it was not there when we looked
    with pytest.raises(TerminalError, match=r"A file 'audience\.csv' exists already"):
        connection.publish(staged, replace=False)
    assert client.get_object(Bucket="audiences", Key="audience.csv")["Body"].read() == b"somebody else's"
    connection.publish(staged, replace=True)
    assert client.get_object(Bucket="audiences", Key="audience.csv")["Body"].read() == b"x"


def test_a_role_is_assumed_and_its_keys_are_renewed(moto: tuple[Target, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    target, client = moto
    assert isinstance(target.config, S3Config)
    role = target.with_config(role_arn="arn:aws:iam::123456789012:role/uploader", role_external_id="acme")
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        connection = role.connect()
        connection.publish(stage(connection, "audience.csv", LARGE), replace=False)
        assert proxy.requests == ["POST /"]
        assert isinstance(connection, S3Connection)
        credentials = connection._client._request_signer._credentials  # botocore has no public way to see them
        assert credentials.access_key.startswith("ASIA")
        monkeypatch.setattr("botocore.credentials._local_now", lambda: datetime.now(UTC) + timedelta(minutes=50))
        monkeypatch.setattr(credentials, "_time_fetcher", lambda: datetime.now(UTC) + timedelta(minutes=50))
        assert connection.size("audience.csv") == len(LARGE)
        assert proxy.requests == ["POST /", "POST /"]
    assert head(client)["ContentLength"] == len(LARGE)


def test_a_role_is_assumed_with_its_external_id(moto: tuple[Target, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    target, _ = moto
    assert isinstance(target.config, S3Config)
    asked: list[bytes] = []

    def noted(body: bytes) -> bytes:
        asked.append(body)
        return body

    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        proxy.add("POST", "/", Damage(noted))
        published(target.with_config(role_arn="arn:aws:iam::123456789012:role/uploader", role_external_id="acme=1"))
    (body,) = asked
    assert parse_qs(body.decode())["ExternalId"] == ["acme=1"]


def test_a_role_that_may_not_be_assumed(moto: tuple[Target, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    target, _ = moto
    assert isinstance(target.config, S3Config)
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        proxy.add("POST", "/", Answer(403, "AccessDenied", service="sts"))
        error = refused(target.with_config(role_arn="arn:aws:iam::123456789012:role/uploader"))
    assert isinstance(error, TerminalError)
    assert "STS refused AssumeRole" in str(error)
    assert "destination.role_arn" in str(error)


def test_a_host_that_is_not_s3s_is_named_where_it_cannot_be_reached(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network may let only S3 through."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{host}")
        error = refused(target.with_config(role_arn="arn:aws:iam::123456789012:role/uploader"))
    assert isinstance(error, TransientError)
    assert f"EndpointConnectionError at {host}" in str(error)


def test_a_role_without_credentials_to_assume_it(target: Target) -> None:
    role = target.with_config(access_key_id_env=None, secret_access_key_env=None, role_arn="arn:aws:iam::123456789012:role/uploader")
    assert "There are no AWS credentials" in str(refused(role))


# What AWS's default chain is told of, and is not there


@pytest.mark.parametrize(
    ("variables", "profile", "missing"),
    [
        ({"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/uploader", "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/token"}, "", "/no/token"),
        ({"AWS_PROFILE": "uploader"}, "[profile uploader]\ncredential_process = /no/tool --login me", "/no/tool"),
    ],
)
def test_credentials_that_cannot_be_read_are_told(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], profile: str, missing: str
) -> None:
    (tmp_path / "config").write_text(profile)
    for name, value in (variables | {"AWS_CONFIG_FILE": str(tmp_path / "config")}).items():
        monkeypatch.setenv(name, value)
    error = refused(target.with_config(access_key_id_env=None, secret_access_key_env=None))
    assert isinstance(error, TerminalError)
    assert f"AWS credentials cannot be read. Where: s3://audiences. Found: {missing}: No such file or directory" in str(error)


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException"])
def test_a_token_that_sts_does_not_take(moto: tuple[Target, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    target, _ = moto
    (tmp_path / "token").write_text("the-token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/uploader")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    assert isinstance(target.config, S3Config)
    with faulty_proxy(str(target.config.endpoint_url)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        proxy.add("POST", "/", Answer(403, code, service="sts"), times=10)
        error = refused(target.with_config(access_key_id_env=None, secret_access_key_env=None))
    assert isinstance(error, TerminalError)
    assert f"STS refused AssumeRoleWithWebIdentity. Where: s3://audiences. Found: {code}" in str(error)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in str(error)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server that speaks TLS: its port, and the certificate of its authority, which is for `localhost` alone."""
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2", *names]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.server_port, certificate
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("url", "authorities", "words"),
    [
        ("https://localhost:{port}", "", "certificate is not trusted"),
        ("https://127.0.0.1:{port}", "tls.crt", "certificate is not trusted"),
        ("https://localhost:{port}", "nowhere", "AWS_CA_BUNDLE"),
        ("https://localhost:{port}", "tls.key", "AWS_CA_BUNDLE"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_not_asked_for_again(
    target: Target, secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, url: str, authorities: str, words: str
) -> None:
    port, certificate = secure
    if authorities:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.with_name(authorities)))
    error = refused(target.with_config(endpoint_url=url.format(port=port)))
    assert isinstance(error, TerminalError)
    assert words in str(error)


def test_a_store_without_tls_is_told_as_such(target: Target) -> None:
    assert isinstance(target.config, S3Config)
    error = refused(target.with_config(endpoint_url=str(target.config.endpoint_url).replace("http:", "https:")))
    assert isinstance(error, TerminalError)
    assert "What answers speaks no TLS" in str(error)
