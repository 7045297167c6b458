"""What an engine says when it fails, without the values of rows that it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from courier.errors import SourceError
from courier.masking import without_values

ZERO = "an expression of the mapping divides by zero: write a / nullif(b, 0) there"
OVERFLOW = "a whole number of an expression has more digits than it can have: cast(… as decimal(38,0)) in what is computed"
#: A file that Spark says it was reading.
FILE = re.compile(r"Encountered error while reading file (?:file:(?://)?)?(.+?\.parquet)\b")
#: What Java has failed of, without its message.
CAUSE = re.compile(r"^Caused by: (?:\w+\.)*(\w+)", re.MULTILINE)
DAMAGED = "a file of the source may be damaged: write it again"
#: What to do, by what is in an engine's message; the first that is there.
ADVICE = {
    "Failed to allocate": "give it more than it has: engine.driver_memory",
    "No space left": "free some space where the state store is (state.path), or where sorts are spilled to (TMPDIR)",
    # A temporary file that could not be made: what Sail spills. Where it is full, the line above says so.
    'at path "': "what sorts spill goes to the temporary folder: set TMPDIR to one that is there and may be written",
    "File too large": "raise the limit for the size of one file (ulimit -f)",
    "incorrect number of fields": "a line of a suppression list in CSV has more or fewer values than its header has names: mend that file",
    "DIVIDE_BY_ZERO": ZERO,
    "Division by zero": ZERO,
    "CAST_OVERFLOW": OVERFLOW,
    "out of range Int64": OVERFLOW,
    "TIMESTAMP(NANOS": "timestamps in nanoseconds are read by engine=sail alone: write them in microseconds",
    "Codec was not found": "this Spark cannot read the file's compression: write it with zstd, snappy or gzip, or engine=sail",
    "Unsupported encoding": "Spark cannot read an encoding of the file: write it as Spark or pyarrow do by default, or engine=sail",
    "Relative path in absolute URI": "Spark takes no file with : in its name: rename it, or engine=sail",
    "cast Date64": "a date is written in milliseconds (date64): write it in days, or engine=spark",
    "Parquet error": DAMAGED,
    "Parquet argument error": DAMAGED,
    "DATA_TYPE_MISMATCH": "write the column in another type, or engine=spark",
    "FAILED_READ_FILE": DAMAGED,
    "Fail to merge schema": "a column is not of the same type in all files, or its fields have not the same order: write the files alike, or engine=spark",
}


@contextmanager
def source_errors(what: str) -> Iterator[None]:
    """Translate what an engine raises while it reads profiles. The message's first line only, without what it quotes: values."""
    from pyspark.errors import PySparkException  # noqa: PLC0415  an engine is loaded only by the steps that need one

    try:
        yield
    except PySparkException as exc:
        raise _failed(what, exc, without_values(str(exc))[:300] or type(exc).__name__) from exc
    except Exception as exc:
        if type(exc).__module__.split(".")[0] not in ("py4j", "grpc"):
            raise
        causes = CAUSE.findall(str(exc))
        raise _failed(what, exc, f"{causes[-1] if causes else type(exc).__name__} from the engine") from exc


def _failed(what: str, exc: Exception, gist: str) -> SourceError:
    text = str(exc)
    file = FILE.search(text)
    fix = next((advice for sign, advice in ADVICE.items() if sign in text), "")
    return SourceError(f"The engine failed while {what}", where=file[1] if file else None, found=gist, fix=fix)
