"""What an open engine is to the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Engine:
    """An open engine. `one_machine` computes everything column by column (Sail): a single sorted stream is the fastest way
    there, and lists are filtered before they are exploded. Spark compiles loops over rows, and sorts ranges side by side.
    What answers by Spark Connect may be either, and only the first way keeps the order on both.

    `remote`: it computes on other machines. `spread`: and these see none of this one's disks.
    """

    session: SparkSession
    kind: str
    one_machine: bool
    remote: bool = False
    spread: bool = False

    def path(self, path: str) -> str:
        """A path as this engine wants it: Spark's Hadoop client speaks S3 under the scheme s3a, which Sail's server takes as well."""
        return path if self.kind == "sail" else path.replace("s3://", "s3a://", 1)
