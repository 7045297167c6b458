"""Checks by Great Expectations, on both engines: what passes, what is reported, and that no value of a profile is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from courier import checks
from courier.checks import CheckResult
from courier.config import ChecksConfig, ExpectationConfig
from courier.engine import Engine
from courier.errors import ConfigError
from courier.mapping import MappedColumn, Mapping
from courier.rows import snapshot
from courier.rows.snapshot import AudienceSnapshot

TEXT = pa.string()
COLUMNS = Mapping(
    [MappedColumn("email", "c0", "personalEmail.address", TEXT, True), MappedColumn("phone", "c1", "x.y", TEXT, False)],
    [],
)
ROWS = [("a@example.com", "1"), ("secret@value", None), ("a@example.com", "333")]


def check(
    engine: Engine, kind: str, rows: Sequence[tuple[str | None, str | None]] = ROWS, severity: str = "critical", **arguments: Any
) -> CheckResult:
    suite = checks.resolve(ChecksConfig({"mine": ExpectationConfig(kind, arguments, severity)}), COLUMNS)
    frame = engine.session.createDataFrame(rows, "c0 string, c1 string")
    (result,) = checks.Checks(COLUMNS).check(frame, suite)
    return result


def test_a_check_that_holds_passes(engine: Engine) -> None:
    result = check(engine, "expect_column_values_to_not_be_null", column="personalEmail.address", severity="warning")
    assert (result.success, result.name, result.column, result.severity, result.unexpected) == (True, "mine", "email", "warning", 0)


@pytest.mark.parametrize(
    ("kind", "arguments", "found"),
    [
        ("expect_column_values_to_not_be_null", {"column": "phone"}, "1 rows"),
        ("expect_column_values_to_match_regex", {"column": "email", "regex": r"\.com$"}, "1 rows"),
        ("expect_column_value_lengths_to_be_between", {"column": "phone", "max_value": 2}, "1 rows"),
        ("expect_column_values_to_be_unique", {"column": "email"}, "2 rows"),
        ("expect_table_row_count_to_be_between", {"min_value": 4}, "3"),
        ("expect_column_pair_values_to_be_equal", {"column_A": "email", "column_B": "phone"}, "3 rows"),
    ],
)
def test_a_check_that_fails_counts_and_shows_no_value(engine: Engine, kind: str, arguments: dict[str, Any], found: str) -> None:
    result = check(engine, kind, **arguments)
    assert not result.success
    assert result.describe().endswith(f": {found}")
    assert "secret@value" not in repr(result)
    assert "@" not in repr(result)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("expect_column_distinct_values_to_be_in_set", {"value_set": ["x"]}),
        ("expect_column_mean_to_be_between", {"max_value": 1}),
    ],
)
def test_what_a_check_observes_is_not_shown_where_it_is_a_value_of_a_profile(engine: Engine, kind: str, arguments: dict[str, Any]) -> None:
    result = check(engine, kind, column="email", **arguments)
    assert not result.success
    assert "@" not in repr(result)


@pytest.mark.parametrize(("weights", "success"), [([0.5, 0.5], True), ([0.01, 0.99], False)])
def test_a_distribution_can_be_compared_though_its_library_is_imported_late(engine: Engine, weights: list[float], success: bool) -> None:
    result = check(
        engine,
        "expect_column_kl_divergence_to_be_less_than",
        column="phone",
        partition_object={"values": ["1", "333"], "weights": weights},
        threshold=0.1,
    )
    assert (result.success, result.observed is not None) == (success, True)


def test_the_proportion_of_unique_values_is_observed(engine: Engine) -> None:
    result = check(engine, "expect_column_proportion_of_unique_values_to_be_between", column="email", min_value=1)
    assert (result.success, (result.observed or "")[:6]) == (False, "0.6666")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("expect_column_values_to_match_regex", {"column": "email", "regexp": "x"}),
        ("expect_column_value_lengths_to_be_between", {"column": "email", "max_value": "many"}),
        ("expect_column_value_lengths_to_be_between", {"column": "email", "max": 3}),
        ("expect_column_values_to_not_be_null", {}),
    ],
)
def test_wrong_arguments_are_answered_with_the_name_of_the_check(engine: Engine, kind: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"An expectation's arguments are wrong\. Where: checks\.expectations\.mine\. Found: "):
        check(engine, kind, **arguments)


def test_a_check_that_cannot_be_computed_fails_and_says_so(engine: Engine) -> None:
    result = check(engine, "expect_column_values_to_match_regex", column="email", regex="(")
    assert not result.success
    assert "could not be computed" in result.describe()
    assert "secret@value" not in repr(result)


@pytest.mark.parametrize("value", ["O'Secret secret@value", "O'Secret\nsecret@value", "secret@value"])
def test_a_value_that_the_engine_quotes_is_not_shown_whatever_is_in_it(engine: Engine, value: str) -> None:
    result = check(engine, "expect_column_sum_to_be_between", rows=[(value, "1")], column="email", max_value=1)
    assert not result.success
    assert "could not be computed" in result.describe()
    assert "ecret" not in repr(result)
    assert "\n" not in result.describe()


def test_those_that_may_break_a_rule_are_counted_when_it_holds(engine: Engine) -> None:
    result = check(engine, "expect_column_values_to_match_regex", column="email", regex=r"\.com$", mostly=0.5)
    assert (result.success, result.unexpected) == (True, 1)


def test_each_audience_is_judged_by_its_own_rows(engine: Engine) -> None:
    kinds = {
        "rows": ExpectationConfig("expect_table_row_count_to_be_between", {"min_value": 2}),
        "shape": ExpectationConfig("expect_column_values_to_match_regex", {"column": "email", "regex": "@"}),
        "unique": ExpectationConfig("expect_column_proportion_of_unique_values_to_be_between", {"column": "email", "min_value": 1}),
        "phone": ExpectationConfig("expect_column_values_to_not_be_null", {"column": "phone"}, "warning"),
    }
    suite, judging = checks.resolve(ChecksConfig(kinds), COLUMNS), checks.Checks(COLUMNS)
    audiences: list[list[tuple[str | None, str | None]]] = [
        [("a@b.com", "1"), ("c@d.com", "2")],
        [("a@b.com", "1"), ("c", None), ("d", None)],
        [("a@b.com", None)],
        [("a@b.com", "1"), ("c@d.com", "2")],
    ]
    found = [judging.check(engine.session.createDataFrame(rows, "c0 string, c1 string"), suite) for rows in audiences]
    assert [[(each.name, each.success, each.unexpected, each.observed) for each in results] for results in found] == [
        [("rows", True, None, "2"), ("shape", True, 0, None), ("unique", True, None, "1.0"), ("phone", True, 0, None)],
        [("rows", True, None, "3"), ("shape", False, 2, None), ("unique", True, None, "1.0"), ("phone", False, 2, None)],
        [("rows", False, None, "1"), ("shape", True, 0, None), ("unique", True, None, "1.0"), ("phone", False, 1, None)],
        [("rows", True, None, "2"), ("shape", True, 0, None), ("unique", True, None, "1.0"), ("phone", True, 0, None)],
    ]


@pytest.mark.parametrize(
    ("kind", "arguments", "success"),
    [
        ("expect_column_values_to_not_be_null", {"column": "email"}, True),
        ("expect_column_values_to_match_regex", {"column": "email", "regex": "x"}, True),
        ("expect_column_value_lengths_to_be_between", {"column": "email", "max_value": 3}, True),
        ("expect_column_proportion_of_unique_values_to_be_between", {"column": "email", "min_value": 1}, True),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, False),
    ],
)
def test_an_empty_audience_can_be_checked(engine: Engine, kind: str, arguments: dict[str, Any], success: bool) -> None:
    suite = checks.resolve(ChecksConfig({"mine": ExpectationConfig(kind, arguments)}), COLUMNS)
    (result,) = checks.Checks(COLUMNS).check(snapshot.exported_rows(engine, AudienceSnapshot(0, []), COLUMNS), suite)
    assert result.success is success


def test_the_names_that_are_known_are_those_of_the_library() -> None:
    program = (
        "import great_expectations.expectations.core\n"
        "from great_expectations.expectations.registry import list_registered_expectation_implementations\n"
        "from courier.checks import _known_expectations\n"
        "print(sorted(set(list_registered_expectation_implementations()) ^ _known_expectations()))\n"
    )
    environment = {**os.environ, "GX_ANALYTICS_ENABLED": "false"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.splitlines()[-1] == "[]"
