"""What is said of rows without their values."""

from __future__ import annotations

import pytest

from courier.masking import without_values


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Cannot cast string 'secret' to value of Int32 type", "Cannot cast string '…' to value of … type"),
        ("Cannot cast string 'O'Secret' to Int32", "Cannot cast string '…' to Int32"),
        ("Cannot cast string 'O'Secret\nsecret' to Int32\nat engine.rs", "Cannot cast string '…' to Int32"),
        ("Cannot cast string 'secret\nsecret", "Cannot cast string '…'"),
        ("\n  A worker failed\nTraceback:\n  secret", "A worker failed"),
        ("Overflow happened on: 9223372036854775807 * 2", "Overflow happened on: … * 2"),
        ("", ""),
    ],
)
def test_an_engines_message_is_shown_without_values(message: str, shown: str) -> None:
    assert without_values(message) == shown
