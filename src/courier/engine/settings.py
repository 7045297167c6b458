"""Every setting that can change the delivered bytes; all others are left to the cluster."""

from __future__ import annotations

#: A row group is what a renderer holds in memory at once.
ROWS_PER_ROW_GROUP = 131_072
ROW_GROUP_BYTES = 16 * 1024 * 1024

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
    # It would take a constant part of a key out of a window but not out of the ranges below it, and have the rows spread anew.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.FoldablePropagation",
}
SAIL_SETTINGS = {
    "SAIL_PARQUET__MAX_ROW_GROUP_SIZE": str(ROWS_PER_ROW_GROUP),
    # Sorts that need more than engine.driver_memory are spilled to disk, so that memory does not grow with the audience.
    "SAIL_RUNTIME__MEMORY_POOL__TYPE": "fair",
    # These two change no result; they make the sort of an audience about a tenth faster.
    "SAIL_EXECUTION__BATCH_SIZE": "32768",
    "SAIL_PARQUET__SCHEMA_FORCE_VIEW_TYPES": "true",
    "RUST_LOG": "off",
}
