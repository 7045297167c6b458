"""The size of files against the limits of the platform, asked when all are staged and none is published."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from courier import compose, esp
from courier.errors import HeldError

GB = 1_000_000_000


def warned(name: str, sent: int, text: int, *overrides: str) -> list[str]:
    config = compose.load(["activation=demo", f"esp={name}", *overrides], now=datetime(2026, 11, 1, tzinfo=UTC))
    return esp.check_sizes(config, [("small.csv", 1, 1), ("large.csv", sent, text)][-len(config.audience.segments) :])


@pytest.mark.parametrize(
    ("name", "size", "overrides", "word"),
    [
        ("oracle_eloqua", 5 * GB, [], "5 GB"),
        ("adobe_campaign", 4 * GB, ["file.compression=gzip"], "4 GB"),
    ],
)
def test_a_file_above_a_documented_limit_holds_the_run(name: str, size: int, overrides: list[str], word: str) -> None:
    assert [text for text in warned(name, size, size, *overrides) if word in text] == []
    with pytest.raises(HeldError, match=f"too large.*{word}"):
        warned(name, size + 1, size + 1, *overrides)
    assert [text for text in warned(name, size + 1, size + 1, *overrides, "esp.policies.bytes=warn") if word in text]


@pytest.mark.parametrize(
    ("name", "size", "word"),
    [
        ("adobe_campaign", 150_000_000, "150 MB"),
        ("adobe_campaign", 50_000_000, "50 MB"),
        ("salesforce_marketing_cloud", GB, "imported slowly"),
        ("oracle_responsys", GB, "imported slowly"),
    ],
)
def test_a_file_above_another_limit_is_a_warning_and_held_where_the_policy_is_strict(name: str, size: int, word: str) -> None:
    assert [text for text in warned(name, size, size) if word in text] == []
    assert [text for text in warned(name, size + 1, size + 1) if word in text]
    with pytest.raises(HeldError, match="too large"):
        warned(name, size + 1, size + 1, "esp.policies.bytes=strict")


def test_what_is_loaded_of_a_compressed_file_is_its_text() -> None:
    found = warned("adobe_campaign", 1_000_000, 60_000_000, "file.compression=gzip")
    assert [text for text in found if "50 MB" in text]
    assert [text for text in found if "150 MB" in text] == []


@pytest.mark.parametrize("name", sorted(esp.PLATFORMS))
def test_several_parts_are_held_where_the_policy_is_strict(name: str) -> None:
    files = [("vip.csv", 1, 1), ("vip_2.csv", 1, 1)]

    def told(*overrides: str) -> list[str]:
        return esp.check_sizes(compose.load(["activation=demo", f"esp={name}", *overrides], now=datetime(2026, 11, 1, tzinfo=UTC)), files)

    assert [text for text in told() if "2 files of 1 audiences" in text]
    with pytest.raises(HeldError, match="2 files of 1 audiences"):
        told("esp.policies.bytes=strict")
    assert told("esp.policies.bytes=strict", "audience.segments=[a, b]") == []
