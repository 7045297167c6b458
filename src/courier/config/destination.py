"""Where files go: group destination, but for SFTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.limits import SAFE_ID, S3Keys, at_least, check_endpoint, check_references, inside, no_login, one_of, required, seconds
from courier.errors import ConfigError
from courier.names import split_path

#: Canned ACLs of S3, https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)


@dataclass
class DestinationConfig:
    """What all destinations have. `name` appears in the manifest's name, `name` and `id` in file names."""

    kind: str = ""
    name: str = ""
    path: str = ""
    on_conflict: str = "fail"  # fail | replace: what to do where a file of that name exists
    connections: int = 4
    attempts: int = 12  # at one operation, while errors are transient
    retry_seconds: float = 300  # and no longer than this, with growing pauses in between
    manifest: bool = True
    id: str = ""

    GROUP: ClassVar[str] = "destination"

    @property
    def direct(self) -> bool:
        """Whether files are written under their final names at once."""
        return False

    @property
    def address(self) -> str:
        """The place, for people, and to be compared with where an earlier run sent its files."""
        return f"{self.kind}:{self.folder}"

    @property
    def folder(self) -> str:
        """The fixed part of `path`: its folders before the first that has a macro. Names of files begin with the rest."""
        return split_path(self.path)[0]

    def __post_init__(self) -> None:
        check_references(self)
        self.name = self.name or self.kind
        self.id = self.id or self.name
        for key, value in (("name", self.name), ("id", self.id)):
            if not SAFE_ID.fullmatch(value):
                raise ConfigError(f"destination.{key} cannot be part of a file name", found=repr(value), expected="letters, digits, . _ -")
        no_login("destination.path", self.path)
        if "://" in self.path:
            s3 = self.kind != "s3" and self.path.startswith("s3://")
            raise ConfigError(
                "destination.path is a folder, not an address",
                found=self.path,
                fix="for S3 choose destination=s3" if s3 else "the server or bucket is set apart: destination.host, destination.bucket",
            )
        one_of("destination.on_conflict", self.on_conflict, ("fail", "replace"))
        at_least("destination.connections", self.connections, 1)
        at_least("destination.attempts", self.attempts, 1)
        seconds("destination.retry_seconds", self.retry_seconds, 0)


@dataclass
class LocalConfig(DestinationConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        required("destination.path", self.path)


@dataclass
class S3Config(S3Keys, DestinationConfig):
    """An S3 bucket."""

    bucket: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    addressing: str = "auto"  # auto | path | virtual
    role_arn: str | None = None  # a role to assume by STS, with the credentials above
    role_external_id: str | None = None
    server_side_encryption: str | None = None  # AES256 (SSE-S3) | aws:kms | aws:kms:dsse; null: as the bucket does
    kms_key_id: str | None = None
    storage_class: str | None = None
    acl: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    checksums: str = "auto"  # auto | when_required | when_supported
    part_bytes: int = 16 * 1024 * 1024
    timeout_seconds: float = 60

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.folder.strip('/')}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")

    def __post_init__(self) -> None:
        super().__post_init__()
        required("destination.bucket", self.bucket)
        no_login("destination.bucket", self.bucket)
        if "/" in self.bucket and not self.bucket.startswith("arn:"):
            fix = "leave out s3://, and write the folder into destination.path"
            raise ConfigError("destination.bucket is the name of a bucket, not an address", found=self.bucket, fix=fix)
        check_endpoint("destination.endpoint_url", self.endpoint_url)
        inside("destination.path", self.path)
        one_of("destination.addressing", self.addressing, ("auto", "path", "virtual"))
        one_of("destination.checksums", self.checksums, ("auto", "when_required", "when_supported"))
        if self.server_side_encryption is not None:
            one_of("destination.server_side_encryption", self.server_side_encryption, ("AES256", "aws:kms", "aws:kms:dsse"))
        if self.kms_key_id and not (self.server_side_encryption or "").startswith("aws:kms"):
            raise ConfigError("destination.kms_key_id wants KMS", fix="set destination.server_side_encryption=aws:kms")
        if self.acl is not None:
            one_of("destination.acl", self.acl, ACLS)
        if len(self.tags) > 10:  # S3's own limit
            raise ConfigError("destination.tags has too many tags", found=str(len(self.tags)), expected="at most 10")
        if self.role_external_id and not self.role_arn:
            raise ConfigError("destination.role_external_id wants a role", fix="set destination.role_arn")
        at_least("destination.part_bytes", self.part_bytes, 5 * 1024 * 1024)  # S3's own least size of a part
        seconds("destination.timeout_seconds", self.timeout_seconds, 0.1)
        self.check_keys("destination")
