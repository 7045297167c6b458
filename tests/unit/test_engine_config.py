"""What an engine may be given."""

from __future__ import annotations

import pytest

from courier.config import EngineConfig
from courier.errors import ConfigError


@pytest.mark.parametrize(("text", "size"), [("2g", 2 << 30), ("512m", 512 << 20), ("3G", 3 << 30)])
def test_memory_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert EngineConfig(driver_memory=text).driver_memory_bytes == size


@pytest.mark.parametrize("text", ["2", "2x", "", "0g", "-1g", "1.5g", "2 g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.driver_memory is no size"):
        EngineConfig(driver_memory=text)
