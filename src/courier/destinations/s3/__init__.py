"""Amazon S3 and stores that speak its protocol.

Unseen: a multipart upload that is not completed, which is the only thing on S3 that nobody sees. Published by completing
it, which is atomic and never partial.
"""

from __future__ import annotations

from botocore.exceptions import ClientError

from courier.aws_errors import code_of
from courier.config import S3Config
from courier.destinations.s3.client import open_clients
from courier.destinations.s3.connection import S3Connection
from courier.destinations.s3.errors import WRONG_KEYS, translated

__all__ = ["S3Connection", "S3Destination"]


class S3Destination:
    """Credentials are read when constructed, from the variables that the configuration names, or by AWS's default chain."""

    def __init__(self, config: S3Config) -> None:
        self._config = config
        with translated(f"s3://{config.bucket}"):
            self._clients = open_clients(config)

    def connect(self) -> S3Connection:
        """See that the bucket is there. A key that may write need not be allowed to look, so a refusal to say is none."""
        with translated(f"s3://{self._config.bucket}"):
            try:
                self._clients.once.head_bucket(Bucket=self._config.bucket)
            except ClientError as exc:
                if code_of(exc) != "403":
                    raise
                self._assert_known()
        return S3Connection(self._clients, self._config)

    def _assert_known(self) -> None:
        """A refusal to say has no text that tells wrong keys from right ones that may not look; that of a list has."""
        try:
            self._clients.once.list_objects_v2(Bucket=self._config.bucket, MaxKeys=1)
        except ClientError as exc:
            if code_of(exc) in WRONG_KEYS:
                raise
