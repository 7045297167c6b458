"""Amazon S3 and stores that speak its protocol.

Unseen: a multipart upload that is not completed. Published by completing it, which is atomic and never partial.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from courier.config import S3Config
from courier.destinations.base import Staged, assert_size, conflict
from courier.errors import CourierError, TerminalError, TransientError
from courier.secrets import secret

MAX_PARTS = 10_000
PARTS_IN_FLIGHT = 4
TRANSIENT_CODES = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "Throttling",
    "RequestTimeTooSkewed",
    "500",
    "502",
    "503",
    "504",
}
ADVICE = {
    "NoSuchBucket": "check destination.bucket and destination.region; the bucket is not created for you",
    "InvalidAccessKeyId": "check the access key",
    "SignatureDoesNotMatch": "check the secret access key",
    "AccessDenied": "the key may not write here: it needs s3:PutObject, s3:AbortMultipartUpload and s3:GetObject",
    "403": "the key may not look here: it needs s3:GetObject and s3:ListBucket, or set destination.on_conflict=replace",
    "404": "check destination.bucket",
}


class S3Destination:
    """Credentials are read when constructed, from the variables that the configuration names, or by AWS's default chain."""

    def __init__(self, config: S3Config) -> None:
        key_id = secret(config.access_key_id_env) if config.access_key_id_env else None
        secret_key = secret(config.secret_access_key_env) if config.secret_access_key_env else None
        # Stores other than AWS's own refuse the checksums that newer clients send unasked.
        checksums: Literal["when_required", "when_supported"] = "when_required" if config.endpoint_url else "when_supported"
        options = Config(
            connect_timeout=min(20.0, config.timeout_seconds),
            read_timeout=config.timeout_seconds,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": cast("Literal['auto', 'path', 'virtual']", config.addressing)},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            max_pool_connections=PARTS_IN_FLIGHT,
        )
        self._config = config
        with _translated(f"s3://{config.bucket}"):
            self._client = boto3.session.Session().client(
                "s3",
                region_name=config.region,
                endpoint_url=config.endpoint_url,
                config=options,
                aws_access_key_id=key_id,
                aws_secret_access_key=secret_key,
            )

    def connect(self) -> S3Connection:
        """See that the bucket is there. A key that may write need not be allowed to look, so a refusal to say is none."""
        with _translated(f"s3://{self._config.bucket}"):
            try:
                self._client.head_bucket(Bucket=self._config.bucket)
            except ClientError as exc:
                if _code(exc) != "403":
                    raise
        return S3Connection(self._client, self._config)


class S3Connection:
    def __init__(self, client: Any, config: S3Config) -> None:
        self._client, self._config = client, config
        self._prefix = config.path.strip("/")

    def close(self) -> None:
        """The client's pool closes itself."""

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _uri(self, name: str) -> str:
        return f"s3://{self._config.bucket}/{self._key(name)}"

    def exists(self, name: str) -> bool:
        with _translated(self._uri(name)):
            try:
                self._client.head_object(Bucket=self._config.bucket, Key=self._key(name))
            except ClientError as exc:
                if _code(exc) in ("404", "NoSuchKey", "NotFound"):
                    return False
                raise
            return True

    def stage(self, name: str, chunks: Iterable[bytes]) -> Staged:
        where, target = self._uri(name), {"Bucket": self._config.bucket, "Key": self._key(name)}
        with _translated(where):
            upload = self._client.create_multipart_upload(**target)["UploadId"]
        try:
            sent, parts = self._upload_parts(where, {**target, "UploadId": upload}, chunks)
            with _translated(where):
                listed = self._client.get_paginator("list_parts").paginate(**target, UploadId=upload)
                found = sum(part["Size"] for page in listed for part in page.get("Parts", []))
            assert_size(name, where, sent=sent, found=found)
        except BaseException:
            self._abort(target, upload)
            raise
        return Staged(name, sent, {"upload_id": upload, "parts": json.dumps(parts)})

    def _upload_parts(self, where: str, target: dict[str, str], chunks: Iterable[bytes]) -> tuple[int, list[dict[str, Any]]]:
        """Upload while the file is still being rendered. Peak memory: `part_bytes` times `PARTS_IN_FLIGHT` + 1."""
        sent, running, parts = 0, dict[int, Future[str]](), list[dict[str, Any]]()
        with ThreadPoolExecutor(PARTS_IN_FLIGHT) as pool:
            for number, body in enumerate(_regroup(chunks, self._config.part_bytes), start=1):
                if number > MAX_PARTS:
                    raise TerminalError(
                        "The file needs more parts than S3 allows",
                        where=where,
                        expected=f"at most {MAX_PARTS}",
                        fix="raise destination.part_bytes",
                    )
                if len(running) == PARTS_IN_FLIGHT:
                    oldest = min(running)
                    parts.append({"PartNumber": oldest, "ETag": running.pop(oldest).result()})
                running[number] = pool.submit(self._upload_part, where, target, number, body)
                sent += len(body)
            parts += [{"PartNumber": number, "ETag": future.result()} for number, future in sorted(running.items())]
        return sent, parts

    def _upload_part(self, where: str, target: dict[str, str], number: int, body: bytes) -> str:
        with _translated(where):
            return str(self._client.upload_part(**target, PartNumber=number, Body=body)["ETag"])

    def publish(self, staged: Staged, *, replace: bool) -> str:
        uri, key = self._uri(staged.name), self._key(staged.name)
        if not replace and self.exists(staged.name):
            raise conflict(staged.name, uri.rpartition("/")[0])
        with _translated(uri):
            self._client.complete_multipart_upload(
                Bucket=self._config.bucket,
                Key=key,
                UploadId=staged.token["upload_id"],
                MultipartUpload={"Parts": json.loads(staged.token["parts"])},
            )
        return uri

    def discard(self, staged: Staged) -> None:
        with _translated(self._uri(staged.name)):
            self._client.abort_multipart_upload(Bucket=self._config.bucket, Key=self._key(staged.name), UploadId=staged.token["upload_id"])

    def remove(self, name: str) -> None:
        with _translated(self._uri(name)):
            self._client.delete_object(Bucket=self._config.bucket, Key=self._key(name))

    def _abort(self, target: dict[str, str], upload: str) -> None:
        """Best effort: the error that led here is the one to report."""
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(**target, UploadId=upload)


def _regroup(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Chunks of exactly `size` bytes, but for the last; one empty chunk for an empty file."""
    buffer = bytearray()
    yielded = False
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
            yielded = True
    if buffer or not yielded:
        yield bytes(buffer)


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", "unknown"))


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except CourierError:
        raise
    except ClientError as exc:
        code = _code(exc)
        status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        kind = TransientError if code in TRANSIENT_CODES or status >= 500 else TerminalError
        raise kind(f"S3 refused {exc.operation_name}", where=where, found=f"{code} (HTTP {status})", fix=ADVICE.get(code)) from exc
    except (NoCredentialsError, PartialCredentialsError) as exc:
        raise TerminalError(
            "There are no AWS credentials",
            where=where,
            fix="set destination.access_key_id_env and .secret_access_key_env, or AWS's own variables",
        ) from exc
    except (EndpointConnectionError, BotoConnectionError, HTTPClientError) as exc:
        raise TransientError(
            "S3 cannot be reached", where=where, found=type(exc).__name__, fix="check destination.endpoint_url and region"
        ) from exc
    except (BotoCoreError, ValueError) as exc:
        raise TerminalError("S3 cannot be used", where=where, found=str(exc)[:200]) from exc
