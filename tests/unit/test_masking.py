"""What is said of rows without their values."""

from __future__ import annotations

import pytest

from courier.masking import masked, without_values
from courier.saying import printable


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


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Jane-1, Zoë", "xxxx-9, xxx"),
        ("किरण", "xxxx"),  # of which the second sign is a vowel, and no letter
        ("e\u0301", "xx"),
        ("½ Ⅷ ①", "9 9 9"),
        ("_\U0001f600", "_\U0001f600"),
    ],
)
def test_of_a_value_only_the_shape_is_shown(value: str, shown: str) -> None:
    assert masked(value) == shown


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\x0e", "\x7f", "\x9b", "\n", "\r", "\u2028", "\u202e", "\u2067"])
def test_what_a_terminal_would_obey_is_not_printed(sign: str) -> None:
    assert printable(f"a{sign}[31m\tb\u00a0é\U0001f600") == "a?[31m\tb\u00a0é\U0001f600"
