"""How to reach S3: credentials, the role, and the options of botocore."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from courier.config import S3Config
from courier.secrets import referred

#: Parts of one file that are on their way at once.
PARTS_IN_FLIGHT = 4
PART_ATTEMPTS = 3
#: Where AWS itself answers: its partitions, dual-stack and private (VPC) endpoints.
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")


@dataclass(frozen=True)
class Clients:
    """`once` tries once: delivery tries again, and it alone knows what a lost answer means (a second CompleteMultipartUpload
    with If-None-Match would find the file that the first one made, and call it somebody else's). `parts` tries a part again
    by itself, since that costs one part where delivery would render the file again up to there.
    """

    once: Any
    parts: Any
    checksums: bool


def open_clients(config: S3Config) -> Clients:
    session = _session(config)
    once, parts = (
        session.client("s3", region_name=config.region, endpoint_url=config.endpoint_url, config=_options(config, attempts))
        for attempts in (1, PART_ATTEMPTS)
    )
    checksums = config.checksums == "when_supported" or (config.checksums == "auto" and _is_aws(str(once.meta.endpoint_url)))
    return Clients(once, parts, checksums)


def _options(config: S3Config, attempts: int) -> Config:
    """Checksums are `when_required`, for the parts bring theirs along where the store takes them: others refuse what newer
    clients add unasked. What travels without one is still signed with its SHA-256, which the store verifies.
    """
    return Config(
        connect_timeout=min(20.0, config.timeout_seconds),
        read_timeout=config.timeout_seconds,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        s3={"addressing_style": cast("Literal['auto', 'path', 'virtual']", config.addressing)},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=PARTS_IN_FLIGHT * config.connections,
    )


def _is_aws(endpoint_url: str) -> bool:
    return (urlsplit(endpoint_url).hostname or "").endswith(AWS_DOMAINS)


def _session(config: S3Config) -> boto3.session.Session:
    session = boto3.session.Session(
        aws_access_key_id=referred(config, "access_key_id"),
        aws_secret_access_key=referred(config, "secret_access_key"),
        aws_session_token=referred(config, "session_token"),
        region_name=config.region,
    )
    return _in_role(session, config) if config.role_arn else session


def _in_role(session: boto3.session.Session, config: S3Config) -> boto3.session.Session:
    """A session in the role. Its keys are fetched when first needed, and again some minutes before they expire."""
    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    options = Config(connect_timeout=min(20.0, config.timeout_seconds), read_timeout=config.timeout_seconds)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=functools.partial(session.client, region_name=session.region_name or "us-east-1", config=options),
        source_credentials=source,
        role_arn=str(config.role_arn),
        extra_args={"RoleSessionName": "audience-courier"} | ({"ExternalId": config.role_external_id} if config.role_external_id else {}),
    )
    inner = botocore.session.Session()
    inner.register_component("credential_provider", CredentialResolver([_Role(fetcher)]))
    return boto3.session.Session(botocore_session=inner, region_name=config.region)


class _Role(CredentialProvider):
    METHOD = "assume-role"

    def __init__(self, fetcher: AssumeRoleCredentialFetcher) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)
