"""What an open engine is to the steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from courier.errors import SourceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


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
        """A path as this engine wants it: Spark's Hadoop client speaks S3 under the scheme s3a, which Sail's server takes as well.

        Sail takes a key of a bucket for a part of an address, where %3A is a colon, and finds no rows where there is no such file.
        Spark takes it as it is; and a path of a disk for one of whatever Hadoop's own configuration has as its file system, such as
        HDFS, if it is not told. Which of them a server of Spark Connect is, is not known.
        """
        in_bucket = path.startswith(("s3://", "s3a://"))
        if self.kind == "sail":
            return path.replace("%", "%25") if in_bucket else path
        if self.kind == "connect" and in_bucket and ENCODED.search(path):
            raise SourceError(
                "A path in a bucket has what Spark and Sail read differently", where=path, expected="a path without %3A, %20 and the like"
            )
        if self.kind == "spark" and path.startswith("/"):
            return f"file://{path}"
        return path.replace("s3://", "s3a://", 1)
