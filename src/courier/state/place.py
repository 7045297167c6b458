"""Where the Parquet files of a snapshot are, as every process of a run can open them, on whatever machine.

pyarrow is imported where a bucket is opened: with numpy it takes a tenth of a second, and who only sends needs neither.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        from courier.buckets import open_bucket  # noqa: PLC0415  see above

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
        from courier.buckets import files_in  # noqa: PLC0415  see above

        with _readable(self.url):
            found = files_in(self.state, self.path)
        return [StoredFile(path, self.state) for path in sorted(found) if path.endswith(".parquet")]


@contextlib.contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Around what writes to a folder of the store by itself. Raises ConfigError where the disk refuses."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free some space there" if full else "set state.path to a folder that this user may write to"
        found = exc.strerror or type(exc).__name__
        raise ConfigError("The state store cannot be used", where=f"state.path {folder}", found=found, fix=fix) from exc


@contextlib.contextmanager
def _readable(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigError("The snapshot cannot be read", where=url, found=str(exc)[:200]) from exc
