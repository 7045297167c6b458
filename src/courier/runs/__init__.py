"""Runs, and what is kept of them: records, baselines, what a start finds of those before it."""

from courier.runs.claims import claim, mark_released, published_before, released_by, was_held
from courier.runs.record import (
    UNFIT,
    as_json,
    assert_whole,
    audiences,
    has_snapshot,
    instant,
    key,
    load,
    moment,
    recorded,
    restore,
    save,
    write,
)
from courier.runs.run import PUBLISHED_BEFORE, AudienceRecord, DeliveredFile, Run, noted

__all__ = [
    "PUBLISHED_BEFORE",
    "UNFIT",
    "AudienceRecord",
    "DeliveredFile",
    "Run",
    "as_json",
    "assert_whole",
    "audiences",
    "claim",
    "has_snapshot",
    "instant",
    "key",
    "load",
    "mark_released",
    "moment",
    "noted",
    "published_before",
    "recorded",
    "released_by",
    "restore",
    "save",
    "was_held",
    "write",
]
