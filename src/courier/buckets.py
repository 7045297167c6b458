"""S3 as pyarrow reads it: the profiles and the snapshot."""

from __future__ import annotations

import pyarrow.fs as pafs

from courier.config import SourceConfig, StateConfig
from courier.secrets import referred


def region_of(config: SourceConfig | StateConfig) -> str | None:
    """None: AWS's own variables and profiles tell it, as they do elsewhere. A store of one's own has none to tell, and whoever
    reads there has to sign for the same one: pyarrow the footers, and the engine the rows.
    """
    return config.region or ("us-east-1" if config.endpoint_url else None)


def open_bucket(config: SourceConfig | StateConfig) -> pafs.S3FileSystem:
    """The filesystem of all buckets that this login sees. Secrets are read here. Raises OSError where it cannot be used."""
    options: dict[str, str] = {}
    if config.has_keys:
        options = {"access_key": referred(config, "access_key_id") or "", "secret_key": referred(config, "secret_access_key") or ""}
        options["session_token"] = referred(config, "session_token") or ""
    if config.endpoint_url:
        options["scheme"], _, options["endpoint_override"] = config.endpoint_url.rpartition("://")
    if region := region_of(config):
        options["region"] = region
    return pafs.S3FileSystem(request_timeout=30, connect_timeout=10, **options)


def files_in(config: SourceConfig | StateConfig, folder: str) -> list[str]:
    """The files right in a folder, as `bucket/key`; none where there is no such folder. Raises OSError."""
    entries = open_bucket(config).get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return [entry.path for entry in entries if entry.type == pafs.FileType.File]
