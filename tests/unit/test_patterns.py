"""Regular expressions are rewritten so that Java, Rust and Python read them alike, or refused."""

from __future__ import annotations

import re

import pytest

from courier.errors import ConfigError
from courier.patterns import portable


@pytest.mark.parametrize(
    ("pattern", "rewritten"),
    [
        ("^[a-z]+$", r"^[a-z]+\z"),
        (r"\d\D\w", "[0-9][^0-9][A-Za-z0-9_]"),
        (r"\s\S", r"[ \t\n\x0B\f\r][^ \t\n\x0B\f\r]"),
        (r"[^@\s]+@[\w.-]+", r"[^@ \t\n\x0B\f\r]+@[A-Za-z0-9_.-]+"),
        ("a.b", r"a[^\n\r]b"),
        (r"a\.b\$", r"a\.b\$"),
        ("[.$]", "[.$]"),
        ("[]a]", r"[\]a]"),
        ("[^]a]", r"[^\]a]"),
        (r"[\]a]", r"[\]a]"),
        ("(?:a|b){2,3}?", "(?:a|b){2,3}?"),
        (r"\t\n\r", r"\t\n\r"),
        (r"a{2}b{1,}c\{[{}~-]", r"a{2}b{1,}c\{[{}~-]"),
        (r"[^\x00-\x7f]", r"[^\x00-\x7f]"),
        ("", ""),
    ],
)
def test_a_pattern_is_written_so_that_all_read_it_alike(pattern: str, rewritten: str) -> None:
    assert portable(pattern, "here") == rewritten
    re.compile(rewritten.replace(r"\z", r"\Z"))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a(?=b)", "(?=b"),
        ("(?i)a", "(?i)"),
        ("(?P<n>a)", "(?P<"),
        (r"(a)\1", r"\1"),
        (r"\bword", r"\b"),
        (r"\p{L}", r"\p"),
        (r"[\D]", r"\D"),
        ("[a[b]]", "a class inside of a class"),
        ("[a&&b]", "a class inside of a class"),
        ("a++", "++"),
        (r"\x2", r"\x"),
        (r"\x{1F600}", r"\x"),
        ("a\\", "\\"),
        ("[+--]", "-- in a class"),
        ("[a-z--l]", "-- in a class"),
        ("[a~~b]", "~~ in a class"),
        ("a{", "{ that is no number of times"),
        ("{a}", "{ that is no number of times"),
        ("a{,3}", "{ that is no number of times"),
        ("{2}", "nothing to repeat"),
        ("(a", "unterminated subpattern"),
        ("a**", "multiple repeat"),
    ],
)
def test_what_cannot_be_written_otherwise_is_refused(pattern: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        portable(pattern, "rules.rows.mine")
    assert found in str(caught.value)
    assert "rules.rows.mine" in str(caught.value)
