"""The state store in a folder of a bucket, so that a run can go on on another machine.

A write to S3 is atomic. A swap is a conditional write (If-Match, If-None-Match), which AWS honours; a store that ignores
conditions leaves a moment in which two may succeed, and that is why the lock reads what it wrote.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, SSLError
from botocore.exceptions import ConnectionError as BotoConnectionError

from courier.aws_errors import CHAIN, code_of, message_of, unreadable, will_pass
from courier.config import StateConfig
from courier.errors import ConfigError, CourierError, TransientError
from courier.secrets import referred
from courier.state.place import Place
from courier.state.scratch import scratch_folder

ABSENT = ("404", "NoSuchKey", "NotFound")
#: What S3 answers where a condition does not hold, or another conditional write is under way.
NOT_SO = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", *ABSENT)

#: At one request.
ATTEMPTS = 5
UNUSABLE = "The state store cannot be used"
CONDITIONS = "keep the state elsewhere (state.path): without them nothing keeps two runs of an activation apart"
RIGHTS = "check the bucket, the region, the keys, and the rights to list, get, put and delete there"
EXPIRED = "the keys have expired: start the run again with new ones"
ADVICE = {
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "RequestTimeTooSkewed": "set this machine's clock: it is more than 15 minutes off the store's",
}


class S3Store:
    """Credentials are read when constructed. botocore tries again by itself, and every operation here is safe to repeat; only,
    a `swap` that was done and whose answer was lost says False.
    """

    def __init__(self, config: StateConfig) -> None:
        self._config = config
        self._bucket, _, prefix = config.path.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._work: Path | None = None
        with self._errors(reached=False):
            self._client: Any = boto3.session.Session().client(
                "s3",
                region_name=config.region,
                endpoint_url=config.endpoint_url,
                aws_access_key_id=referred(config, "access_key_id"),
                aws_secret_access_key=referred(config, "secret_access_key"),
                aws_session_token=referred(config, "session_token"),
                config=Config(
                    connect_timeout=10,
                    read_timeout=30,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    request_checksum_calculation="when_required" if config.endpoint_url else "when_supported",
                    response_checksum_validation="when_required" if config.endpoint_url else "when_supported",
                ),
            )
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    def shown(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def read(self, key: str) -> bytes | None:
        return self._read(key)[0]

    def _read(self, key: str) -> tuple[bytes | None, str]:
        """The value, and the tag by which S3 knows this version of it."""
        with self._errors():
            attempts = 0
            while True:
                attempts += 1
                try:
                    answer = self._client.get_object(**self._object(key))
                except ClientError as exc:
                    if code_of(exc) in ABSENT:
                        return None, ""
                    raise
                try:
                    return bytes(answer["Body"].read()), str(answer["ETag"])
                except (HTTPClientError, IncompleteReadError):  # cut on its way, where botocore tries nothing again
                    if attempts == ATTEMPTS:
                        raise

    def write(self, key: str, value: bytes, *, durable: bool = True) -> None:
        with self._errors():
            self._client.put_object(**self._object(key), Body=value)

    def append(self, key: str, line: bytes, *, durable: bool) -> bool:
        return False

    def swap(self, key: str, before: bytes | None, after: bytes) -> bool:
        found, tag = self._read(key)
        if found != before:
            return False
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": tag}
        with self._errors():
            try:
                self._client.put_object(**self._object(key), Body=after, **condition)
            except ClientError as exc:
                if code_of(exc) in NOT_SO:
                    return False
                if code_of(exc) in ("NotImplemented", "501"):
                    raise ConfigError(
                        UNUSABLE, where=self.shown(key), found="the store knows no conditional writes", fix=CONDITIONS
                    ) from exc
                raise
        return True

    def keys(self, prefix: str) -> list[str]:
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            return sorted(str(each["Key"]).removeprefix(self._prefix) for page in pages for each in page.get("Contents", []))

    def delete(self, key: str) -> None:
        with self._errors():
            self._client.delete_object(**self._object(key))

    def delete_folder(self, key: str) -> None:
        for each in self.keys(f"{key}/"):
            self.delete(each)

    def folder(self, key: str) -> Path:
        with self._errors():
            if self._work is None:
                self._work = scratch_folder(self._config.work_path)
            (self._work / key).mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._work / key

    def place(self, key: str) -> Place:
        return Place(f"{self._bucket}/{self._prefix}{key}", self._config)

    def keep_folder(self, key: str) -> None:
        folder = self.folder(key)
        with self._errors():
            self.delete_folder(key)
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                self._client.upload_file(str(file), self._bucket, f"{self._prefix}{key}/{file.relative_to(folder)}")

    def fetch_folder(self, key: str) -> None:
        folder = self.folder(key)
        for stored in self.keys(f"{key}/"):
            path = folder / stored.removeprefix(f"{key}/")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._errors():
                self._client.download_file(self._bucket, self._prefix + stored, str(path))

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @contextlib.contextmanager
    def _errors(self, *, reached: bool = True) -> Iterator[None]:
        """`reached`: the store has answered before, so that its silence will pass, and is not a wrong address."""
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error, OSError, ValueError) as exc:
            raise self._translated(exc, reached=reached) from exc

    def _translated(self, exc: Exception, *, reached: bool) -> CourierError:
        what, where = UNUSABLE, f"state.path {self._config.path}"
        cause = exc.__context__ if isinstance(exc, Boto3Error) and isinstance(exc.__context__, ClientError) else exc
        if isinstance(cause, ClientError):
            found = f"{code_of(cause)} from {cause.operation_name}"
            passing = will_pass(cause)
        elif isinstance(cause, OSError) and not isinstance(cause, BotoCoreError) and not reached:
            return ConfigError("AWS credentials cannot be read", where=where, found=unreadable(cause), fix=CHAIN)
        elif isinstance(cause, OSError) and cause.strerror:  # this machine's disk, where copies of the store's files are
            folder = self._config.work_path or tempfile.gettempdir()
            fix = "state.work_path is where copies of the snapshot go"
            return ConfigError(what, where=folder, found=cause.strerror, fix=fix)
        else:
            found, passing = type(cause).__name__, isinstance(cause, BotoConnectionError | HTTPClientError | IncompleteReadError)
        if passing and reached:
            return TransientError("The state store does not answer now", where=where, found=found, fix="start the run again")
        return ConfigError(what, where=where, found=found, fix=_advice(cause))


def _advice(exc: Exception) -> str:
    if isinstance(exc, SSLError):
        return "check state.endpoint_url, and the file with authorities' certificates that AWS_CA_BUNDLE names"
    if not isinstance(exc, ClientError):
        return RIGHTS
    if "content-md5" in message_of(exc).lower():
        return "choose a bucket without object lock: what is deleted here should be gone"
    return ADVICE.get(code_of(exc), RIGHTS)
