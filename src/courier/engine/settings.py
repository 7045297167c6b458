"""Every setting that can change the delivered bytes; all others are left to the cluster."""

from __future__ import annotations

import os

#: A row group is what a renderer holds in memory at once.
ROWS_PER_ROW_GROUP = 131_072
ROW_GROUP_BYTES = 16 * 1024 * 1024
#: On Sail rows are counted, so wide ones, of hundreds of columns or of long texts, are fewer: at most so many bytes in memory.
WIDE_ROW_GROUP_BYTES = 128 * 1024 * 1024
#: What one step of Sail hands to the next. A sort holds several of each core, and can spill nothing smaller.
ROWS_PER_STEP = 32_768
STEPS_IN_MEMORY = 64

SPARK_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    # Spark's own default writes nanoseconds, which end in the year 2262.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.binaryAsString": "false",
    # What cannot be read would be left out without a word: members of a file, or all whom a suppression list holds.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # By its name, a task's file after the thousandth does not come after the others.
    "spark.sql.files.maxRecordsPerFile": "0",
    # Of texts in expressions: what a backslash is, and that ${…} is no variable, of the environment as well, whose value is put there.
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",
    # It would take a constant part of a key out of a window but not out of the ranges below it, and have the rows spread anew.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.FoldablePropagation",
}
SAIL_SETTINGS = {
    # Sorts that need more than engine.driver_memory are spilled to disk, so that memory does not grow with the audience.
    "SAIL_RUNTIME__MEMORY_POOL__TYPE": "fair",
    # This changes no result; it makes the sort of an audience faster, as batches larger than Sail's own do.
    "SAIL_PARQUET__SCHEMA_FORCE_VIEW_TYPES": "true",
    # It would take a column for constant whose least and greatest values are one, and read NaN, which writers leave out there, as that.
    "SAIL_EXECUTION__COLLECT_STATISTICS": "false",
    "RUST_LOG": "off",
}


def sail_settings(memory: int, row_bytes: int) -> dict[str, str]:
    """Sail's variables, for sorts of at most `memory` bytes and rows of about `row_bytes`, 0 where that is not known."""
    step = memory // (STEPS_IN_MEMORY * (os.cpu_count() or 1))
    return {
        **SAIL_SETTINGS,
        "SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE": str(memory),
        "SAIL_EXECUTION__BATCH_SIZE": str(_rows(step, row_bytes, ROWS_PER_STEP)),
        "SAIL_PARQUET__MAX_ROW_GROUP_SIZE": str(_rows(WIDE_ROW_GROUP_BYTES, row_bytes, ROWS_PER_ROW_GROUP)),
    }


def _rows(size: int, row_bytes: int, most: int) -> int:
    return min(most, max(1, size // max(1, row_bytes)))
