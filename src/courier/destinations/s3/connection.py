"""The verbs of base.py as calls to S3."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from courier.aws_errors import code_of, status_of
from courier.config import S3Config
from courier.destinations.base import Keep, Staged, assert_size, conflict
from courier.destinations.s3.client import Clients
from courier.destinations.s3.errors import ADVICE, reason, translated
from courier.destinations.s3.parts import Body, Part, Upload, cut, encoded, size_of_parts
from courier.destinations.s3.transfer import Transfer
from courier.errors import TerminalError, TransientError

#: How far the clock of the machine that began an upload may be off this one's. Small, for what is too old is somebody else's.
CLOCK_SLACK = timedelta(minutes=1)


class S3Connection:
    """The clients are shared with other connections, and safe to share."""

    def __init__(self, clients: Clients, config: S3Config) -> None:
        self._clients, self._client, self._config = clients, clients.once, config
        self._prefix = config.folder.strip("/")

    def close(self) -> None:
        """The clients' pool of sockets closes itself."""

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _target(self, name: str) -> dict[str, str]:
        return {"Bucket": self._config.bucket, "Key": self._key(name)}

    def uri(self, name: str) -> str:
        return f"s3://{self._config.bucket}/{self._key(name)}"

    def size(self, name: str) -> int | None:
        with translated(self.uri(name)):
            try:
                return int(self._client.head_object(**self._target(name))["ContentLength"])
            except ClientError as exc:
                if code_of(exc) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise reason(self._client, self._config.bucket, exc) from None

    def existing(self, names: Sequence[str]) -> list[str] | None:
        return None

    def free_bytes(self) -> int | None:
        return None  # S3 has no end

    def begin(self, name: str) -> Staged:
        with translated(self.uri(name)):
            created = self._client.create_multipart_upload(**self._target(name), **self._options())
            return Upload(name, created["UploadId"], self._config.part_bytes, self._clients.checksums).staged()

    def _options(self) -> dict[str, str]:
        """What the object is to be: it is said when its upload begins. FULL_OBJECT: S3 verifies the whole when it completes it."""
        config = self._config
        options = {
            "ServerSideEncryption": config.server_side_encryption,
            "SSEKMSKeyId": config.kms_key_id,
            "StorageClass": config.storage_class,
            "ACL": config.acl,
            "Tagging": urlencode(config.tags),
            "ChecksumAlgorithm": "CRC32" if self._clients.checksums else None,
            "ChecksumType": "FULL_OBJECT" if self._clients.checksums else None,
        }
        return {key: value for key, value in options.items() if value}

    def resumable(self, begun: Staged) -> int:
        """What was kept ends with a whole part, and S3 still has each as it was then; or else 0."""
        upload = Upload.of(begun)
        whole = begun.size == size_of_parts(len(upload.parts), upload.part_bytes)
        found = self._listed(upload) if begun.size and whole else None
        return begun.size if found is not None and self._holds(upload, found) else 0

    def send(self, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
        """Upload while the file is still being rendered. Peak memory: the size of a part times `PARTS_IN_FLIGHT` + 1."""
        upload, where = Upload.of(begun), self.uri(begun.name)
        parts = cut(chunks, upload.part_bytes, len(upload.parts), where)
        sent = Transfer(upload, self._upload_part, keep).run(parts)
        self._verify(sent)
        return sent.staged()

    def _upload_part(self, upload: Upload, number: int, part: bytearray, stop: threading.Event) -> Part:
        where = self.uri(upload.name)
        crc32 = zlib.crc32(part) if upload.checksums else None
        checksum = {} if crc32 is None else {"ChecksumCRC32": encoded(crc32)}
        with translated(where):
            answer = self._clients.parts.upload_part(
                **self._target(upload.name), UploadId=upload.upload_id, PartNumber=number, Body=Body(part, stop), **checksum
            )
            if crc32 is not None and answer.get("ChecksumCRC32", encoded(crc32)) != encoded(crc32):
                raise TransientError(f"Part {number} did not arrive as it was sent", where=where)
            return Part(str(answer["ETag"]), len(part), crc32)

    def _verify(self, upload: Upload) -> None:
        """By what S3 lists, not by what it answered."""
        where, found = self.uri(upload.name), self._listed(upload)
        if found is None:
            raise TerminalError(f"The upload of '{upload.name}' is gone", where=where, fix=ADVICE["NoSuchUpload"])
        assert_size(upload.name, where, sent=upload.size, found=sum(size for _, size in found.values()))
        if not self._holds(upload, found):
            raise TransientError(f"'{upload.name}' did not arrive as it was sent", where=where, found="other parts than were sent")

    def _listed(self, upload: Upload) -> dict[int, tuple[str, int]] | None:
        """ETag and size of each part that S3 has. None where it does not know the upload (any more)."""
        target = self._target(upload.name)
        with translated(self.uri(upload.name)):
            try:
                pages = list(self._client.get_paginator("list_parts").paginate(**target, UploadId=upload.upload_id))
            except ClientError as exc:
                if _is_gone(exc):
                    return None
                raise
            return {part["PartNumber"]: (part["ETag"], part["Size"]) for page in pages for part in page.get("Parts", [])}

    @staticmethod
    def _holds(upload: Upload, found: dict[int, tuple[str, int]]) -> bool:
        """Whether S3 has these parts, whatever else it has. Some stores leave the quotes out in one of the two answers."""
        return all(
            number in found and (found[number][0].strip('"'), found[number][1]) == (part.etag.strip('"'), part.size)
            for number, part in enumerate(upload.parts, start=1)
        )

    def is_staged(self, staged: Staged) -> bool:
        upload = Upload.of(staged)
        found = self._listed(upload)
        return bool(upload.parts) and found is not None and len(found) == len(upload.parts) and self._holds(upload, found)

    def remains(self, staged: Staged) -> bool:
        return self._listed(Upload.of(staged)) is not None

    def publish(self, staged: Staged, *, replace: bool) -> bool:
        """The condition makes S3 itself refuse to replace a file; looking first is for stores that do not heed it."""
        where = self.uri(staged.name)
        if not replace and self.size(staged.name) is not None:
            raise conflict(staged.name, where.rpartition("/")[0])
        condition = {} if replace else {"IfNoneMatch": "*"}
        with translated(where):
            try:
                self._complete(Upload.of(staged), condition)
            except ClientError as exc:
                if not condition:
                    raise
                if status_of(exc) == 412 or code_of(exc) in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise conflict(staged.name, where.rpartition("/")[0]) from exc
                if status_of(exc) != 501:
                    raise
                self._complete(Upload.of(staged), {})
        return True

    def _complete(self, upload: Upload, condition: dict[str, str]) -> None:
        parts = [
            {"PartNumber": number, "ETag": part.etag} | ({} if part.crc32 is None else {"ChecksumCRC32": encoded(part.crc32)})
            for number, part in enumerate(upload.parts, start=1)
        ]
        checksum = {"ChecksumCRC32": encoded(upload.crc32), "ChecksumType": "FULL_OBJECT"} if upload.checksums else {}
        answer = self._client.complete_multipart_upload(
            **self._target(upload.name), UploadId=upload.upload_id, MultipartUpload={"Parts": parts}, **checksum, **condition
        )
        if "ETag" not in answer:  # it began as 200, and what came of it was lost: we look
            raise TransientError("S3 did not say whether it completed the upload", where=self.uri(upload.name))

    def publish_together(self, staged: Sequence[Staged], *, replace: bool) -> dict[str, bool] | None:
        return None

    def discard(self, staged: Staged) -> None:
        with translated(self.uri(staged.name)):
            try:
                self._client.abort_multipart_upload(**self._target(staged.name), UploadId=staged.token["upload_id"])
            except ClientError as exc:
                if not _is_gone(exc):
                    raise

    def remove(self, name: str) -> None:
        with translated(self.uri(name)):
            self._client.delete_object(**self._target(name))

    def unfinished(self, names: Collection[str], since: datetime) -> list[Staged]:
        """By exact name and by when they began, for S3 keeps no run's id on an upload. Times are the store's: `since` is moved
        by what its clock is off ours now.
        """
        keys = {self._key(name): name for name in names}
        if not keys:
            return []
        # S3 compares by characters, as this does.
        prefix = os.path.commonprefix(list(keys))  # noqa: RUF071
        found: list[Staged] = []
        with translated(f"s3://{self._config.bucket}/{prefix}"):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._config.bucket, Prefix=prefix):
                earliest = since + _clock_ahead(page) - CLOCK_SLACK
                ours = [each for each in page.get("Uploads", []) if each["Key"] in keys and each["Initiated"] >= earliest]
                found += [Upload(keys[each["Key"]], each["UploadId"], self._config.part_bytes, checksums=False).staged() for each in ours]
        return found


def _clock_ahead(answer: dict[str, Any]) -> timedelta:
    """By how much the store's clock is ahead of this machine's, from the date of its answer."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) - datetime.now(UTC) if date else timedelta()


def _is_gone(exc: ClientError) -> bool:
    return code_of(exc) in ("NoSuchUpload", "404")
