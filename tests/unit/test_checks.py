"""The checks' configuration, before any work."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from courier import checks, mapping
from courier.compose import load
from courier.config import ChecksConfig, ExpectationConfig
from courier.errors import ConfigError
from courier.mapping import MappedColumn, Mapping
from courier.synthetic import profiles

COLUMNS = Mapping(
    [
        MappedColumn("email", "c0", "personalEmail.address", pa.string(), True),
        MappedColumn("phone", "c1", "mobilePhone.number", pa.string(), False),
    ],
    [],
)
ROOT = Path(__file__).parents[2]
NOT_NULL = "expect_column_values_to_not_be_null"


def resolve(kind: str = NOT_NULL, *, optional: bool = False, **arguments: Any) -> checks.Suite:
    return checks.resolve(ChecksConfig({"mine": ExpectationConfig(kind, arguments, optional=optional)}), COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "resolved"),
    [
        ({"column": "phone"}, {"column": "c1"}),
        ({"column": "mobilePhone.number"}, {"column": "c1"}),
        ({"column_A": "email", "column_B": "mobilePhone.number"}, {"column_A": "c0", "column_B": "c1"}),
        ({"column_list": ["email", "phone"]}, {"column_list": ["c0", "c1"]}),
        ({"column": "email", "mostly": 0.9}, {"column": "c0", "mostly": 0.9}),
    ],
)
def test_a_column_is_named_by_its_name_or_its_path(arguments: dict[str, Any], resolved: dict[str, Any]) -> None:
    assert resolve(**arguments).arguments == {"mine": resolved}


def test_an_unknown_expectation_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("expect_column_values_to_not_be_nul", column="email")
    assert str(caught.value) == (
        "An expectation is unknown. Where: checks.expectations.mine. Found: expect_column_values_to_not_be_nul. "
        "What to do: did you mean 'expect_column_values_to_not_be_null'?"
    )


def test_a_column_that_the_mapping_has_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(column="personalEmail.adress")
    assert str(caught.value) == (
        "An expectation is about a column that the mapping has not. Where: checks.expectations.mine. Found: personalEmail.adress. "
        "What to do: did you mean 'personalEmail.address'?"
    )


@pytest.mark.parametrize("arguments", [{"column": "city"}, {"column_list": ["email", "city"]}])
def test_an_optional_expectation_is_left_out_where_the_mapping_has_no_such_column(arguments: dict[str, Any]) -> None:
    assert resolve(optional=True, **arguments).expectations == {}
    with pytest.raises(ConfigError, match="a column that the mapping has not"):
        resolve(**arguments)


def test_a_severity_is_one_of_three() -> None:
    with pytest.raises(
        ConfigError, match=r"severity has a value that it cannot have\. Found: fatal\. Expected: critical \| warning \| info"
    ):
        ExpectationConfig(NOT_NULL, severity="fatal")


@pytest.mark.parametrize("regex", ["[+--]", "a{,3}"])
def test_a_regular_expression_that_no_engine_reads_as_it_is_meant_is_refused(regex: str) -> None:
    with pytest.raises(ConfigError, match="A regular expression has what engines read differently"):
        resolve("expect_column_values_to_match_regex", column="email", regex=regex)


@pytest.mark.parametrize("option", ["email_marketing", "email_marketing_loyalty", "adobe_default"])
def test_the_shipped_checks_fit_every_shipped_mapping(option: str) -> None:
    config = load(["activation=demo", f"mapping={option}", "checks=email"], now=datetime(2026, 1, 1, tzinfo=UTC))
    suite = checks.resolve(config.checks, mapping.resolve(config.mapping, config.dedup, config.export, next(profiles(1)).schema))
    assert list(suite.expectations) == list(config.checks.expectations)


@pytest.mark.parametrize("platform", ["adobe_campaign", "salesforce_marketing_cloud", "oracle_eloqua", "oracle_responsys"])
def test_the_checks_of_a_platform_fit_its_mapping(platform: str) -> None:
    config = load(["activation=demo", f"esp={platform}"], now=datetime(2026, 1, 1, tzinfo=UTC))
    suite = checks.resolve(config.checks, mapping.resolve(config.mapping, config.dedup, config.export, next(profiles(1)).schema))
    assert list(suite.expectations) == list(config.checks.expectations)
    assert [name for name, each in suite.expectations.items() if each.severity == "critical"] == ["email_present", "email_is_an_address"]


def test_what_is_said_of_addresses_is_not_said_of_their_digests() -> None:
    """A platform may find people by a digest alone."""
    hashed = "+mapping.columns.EMAIL_SHA256_HASH_={source: personalEmail.address, hash: sha256_email}"
    config = load(
        [
            "activation=demo",
            "esp=oracle_responsys",
            hashed,
            "~mapping.columns.EMAIL_ADDRESS_",
            "mapping.deduplication_key=[EMAIL_SHA256_HASH_]",
        ],
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    suite = checks.resolve(config.checks, mapping.resolve(config.mapping, config.dedup, config.export, next(profiles(1)).schema))
    assert list(suite.expectations) == ["has_rows"]


@pytest.mark.parametrize("suite", ["email", "email_platform"])
def test_the_quick_half_of_the_shape_of_addresses_says_nothing_of_its_own(suite: str) -> None:
    """ASCII is decided by the first half, which accepts nothing that the whole rule, behind it, does not."""
    written = yaml.safe_load((ROOT / "conf" / "checks" / f"{suite}.yaml").read_text(encoding="utf-8"))["expectations"]["email_shape"][
        "arguments"
    ]
    quick, whole = (re.compile(half) for half in written["regex"].split("|"))

    @given(st.text('aZ09.@-_+,/!~"\x01\x1f\x7f \t\n\u00a0\u200bé', max_size=12))
    @example("a@b.c")
    @example(f"{'a' * 65}@b.c")
    def compare(text: str) -> None:
        if quick.search(text):
            assert whole.search(text)
        elif whole.search(text):  # what is left to the second half: other characters
            assert any(not "!" <= character <= "~" for character in text)

    compare()


def test_what_no_check_has_used_is_not_imported_with_great_expectations() -> None:
    """Not by asking for the library again either, as every check does."""
    program = "import sys; from courier import checks; checks._load(); checks._load(); "
    program += "print('scipy.stats' in sys.modules, 'scipy.stats._stats_py' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]  # it waits, and none of its own modules is there
