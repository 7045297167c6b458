"""Where the Parquet files of a snapshot are, as every process of a run can open them, on whatever machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from courier.buckets import open_bucket
from courier.config import StateConfig
from courier.errors import ConfigError


@dataclass(frozen=True)
class StoredFile:
    """A file in a bucket, as `bucket/key`. It holds no secret: only how to reach the bucket."""

    path: str
    state: StateConfig

    @property
    def url(self) -> str:
        return f"s3://{self.path}"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def open(self) -> Any:
        with _readable(self.url):
            return open_bucket(self.state).open_input_file(self.path)


@dataclass(frozen=True)
class Place:
    """A folder on a disk, or of a bucket as `bucket/folder`."""

    path: str
    state: StateConfig | None = None  # None: a disk

    @property
    def url(self) -> str:
        return f"s3://{self.path}" if self.state else f"file://{self.path}"

    def below(self, name: str) -> Place:
        return Place(f"{self.path}/{name}", self.state)

    def files(self) -> list[Path | StoredFile]:
        """The Parquet files right in this folder, by name; none where there is no such folder."""
        if self.state is None:
            return [*sorted(Path(self.path).glob("*.parquet"))]
        with _readable(self.url):
            entries = open_bucket(self.state).get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        found = sorted(entry.path for entry in entries if entry.type == pafs.FileType.File and entry.path.endswith(".parquet"))
        return [StoredFile(path, self.state) for path in found]


@contextlib.contextmanager
def _readable(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigError("The snapshot cannot be read", where=url, found=str(exc)[:200]) from exc
