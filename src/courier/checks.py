"""Step check: the rows that will be sent, judged by Great Expectations. The only module that imports it.

A failed expectation of severity `critical` holds the files back; `warning` and `info` are recorded.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from courier.config import ChecksConfig, ExpectationConfig
from courier.errors import ConfigError, nearest
from courier.mapping import Mapping
from courier.masking import without_values
from courier.patterns import MistakenPatternError, portable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Arguments of expectations that hold names of columns.
COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")
PROPORTION_OF_UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"
#: Expectations of how many rows there are.
ROW_COUNTS = (
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
    "expect_table_row_count_to_equal_other_table",
)


@dataclass(frozen=True)
class CheckResult:
    """The result of one expectation on one audience. `unexpected` rows of `rows`, where the expectation counts rows."""

    name: str
    expectation: str
    column: str
    severity: str
    success: bool
    unexpected: int | None
    observed: str | None

    def describe(self) -> str:
        """What was found, in a few words and without a value of a profile."""
        found = f"{self.unexpected} rows" if self.unexpected is not None else self.observed or "no result"
        return f"{self.name} ({self.expectation}{f' on {self.column}' if self.column else ''}): {found}"


@dataclass(frozen=True)
class Suite:
    """The expectations that apply to a mapping, by name, with engine names for columns."""

    expectations: dict[str, ExpectationConfig]
    arguments: dict[str, dict[str, Any]]


def without_row_counts(suite: Suite) -> Suite:
    """For an incremental run that adds and changes nobody: that there are no rows is no fault then. The audience's size is the
    guard's matter.
    """
    return Suite({name: each for name, each in suite.expectations.items() if each.type not in ROW_COUNTS}, suite.arguments)


def load_ahead() -> None:
    """Import Great Expectations beside other work: it takes seconds. Asked for twice, it is done once."""
    if "great_expectations" not in sys.modules:
        threading.Thread(target=_load, daemon=True).start()


def _load() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    _leave_for_later("scipy.stats")  # a third of the time, for two expectations that compare distributions
    import great_expectations as gx  # noqa: PLC0415  importing takes seconds, so only where checks run

    return gx


def _leave_for_later(name: str) -> None:
    """Have a module imported when something of it is used first."""
    if name in sys.modules:  # asked first: to look for the spec of one that waits is to use it
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)
    spec.loader.exec_module(module)


def resolve(config: ChecksConfig, mapping: Mapping) -> Suite:
    """Check every expectation's name and columns, without importing the library. Raises ConfigError."""
    known = _known_expectations() if config.expectations else {}
    expectations: dict[str, ExpectationConfig] = {}
    arguments: dict[str, dict[str, Any]] = {}
    for name, expectation in config.expectations.items():
        where = f"checks.expectations.{name}"
        if expectation.type not in known:
            raise ConfigError("An expectation is unknown", where=where, found=expectation.type, fix=nearest(expectation.type, known))
        resolved = {key: _columns(value, mapping) if key in COLUMN_ARGUMENTS else value for key, value in expectation.arguments.items()}
        unmapped = [str(expectation.arguments[key]) for key, value in resolved.items() if key in COLUMN_ARGUMENTS and value is None]
        if unmapped and expectation.optional:
            continue
        if unmapped:
            choices = [*mapping.header, *(column.source for column in mapping.columns)]
            raise ConfigError(
                "An expectation is about a column that the mapping has not",
                where=where,
                found=unmapped[0],
                fix=nearest(unmapped[0], choices),
            )
        expectations[name], arguments[name] = expectation, _alike(resolved, where)
    return Suite(expectations, arguments)


def _columns(value: Any, mapping: Mapping) -> Any:
    """Engine names for column names or XDM paths; None where there is no such column. What is said of a path is not of its digests."""
    if isinstance(value, list):
        names = [_columns(entry, mapping) for entry in value]
        return None if None in names else names
    by_name = {column.name: column.engine_name for column in mapping.columns}
    by_source = {column.source: column.engine_name for column in mapping.columns if not column.hashed}
    return by_name.get(value) or by_source.get(value)


def _alike(arguments: dict[str, Any], where: str) -> dict[str, Any]:
    """With regular expressions that engines read alike; where one cannot be written so, it is read as the engine at hand does."""
    patterns = {key: arguments[key] for key in ("regex", "regex_list") if key in arguments}
    try:
        alike: dict[str, Any] = {
            key: [portable(str(each), where) for each in value] if isinstance(value, list) else portable(str(value), where)
            for key, value in patterns.items()
        }
    except MistakenPatternError:
        raise
    except ConfigError:
        return arguments
    return {**arguments, **alike}


def _known_expectations() -> set[str]:
    """Great Expectations keeps each expectation in a module of its name, so the names can be read without importing it."""
    spec = importlib.util.find_spec("great_expectations")
    listings = [Path(folder, "expectations", "core", "__init__.py") for folder in (spec.submodule_search_locations if spec else None) or []]
    exported = {
        name for listing in listings for name in re.findall(r"^from \.(\w+) import", listing.read_text(encoding="utf-8"), re.MULTILINE)
    }
    return exported - {"expect_multicolumn_values_to_be_unique"}  # not registered; expect_compound_columns_to_be_unique is


class Checks:
    """Great Expectations on the engine at hand: set up when it is first asked, for all audiences of a run."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._rows: Any = None  # the definition of a batch, as Great Expectations calls what it is given

    def check(self, rows: DataFrame, suite: Suite) -> list[CheckResult]:
        """Run the suite on one audience's exported rows. Raises ConfigError for arguments that an expectation does not take."""
        if not suite.expectations:
            return []
        built = [_expectation(name, suite) for name in suite.expectations]
        gx = _load()
        self._rows = self._rows or _batch_definition(gx)
        outcome = self._rows.get_batch({"dataframe": rows}).validate(
            gx.ExpectationSuite(name="checks", expectations=built),
            result_format={"result_format": "BASIC", "partial_unexpected_count": 0},  # no values of profiles
        )
        found = {result.expectation_config.meta["name"]: result for result in outcome.results}
        return [_result(name, suite, self._mapping, found[name]) for name in suite.expectations]


def _batch_definition(gx: Any) -> Any:
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415  see load_ahead()

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_spark("snapshot", persist=False).add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all")


def _expectation(name: str, suite: Suite) -> Any:
    _load()
    from great_expectations.expectations.registry import get_expectation_impl  # noqa: PLC0415  see load_ahead()
    from pydantic import ValidationError  # noqa: PLC0415
    from pydantic.v1 import ValidationError as OldValidationError  # noqa: PLC0415

    kind = get_expectation_impl(suite.expectations[name].type)
    try:
        return kind(**suite.arguments[name], meta={"name": name})
    except (ValidationError, OldValidationError, TypeError, ValueError) as exc:
        problems = [f"{error['loc'][0] if error['loc'] else ''}: {error['msg']}" for error in getattr(exc, "errors", list)()]
        raise ConfigError(
            "An expectation's arguments are wrong", where=f"checks.expectations.{name}", found="; ".join(problems)[:300] or str(exc)[:300]
        ) from exc


def _result(name: str, suite: Suite, mapping: Mapping, result: Any) -> CheckResult:
    expectation = suite.expectations[name]
    engine_names = {column.engine_name: column.name for column in mapping.columns}
    column = str(suite.arguments[name].get("column"))
    failure = next((str(info.get("exception_message")) for info in _exceptions(result.exception_info)), None)
    if failure:
        return CheckResult(
            name,
            expectation.type,
            engine_names.get(column, ""),
            expectation.severity,
            False,
            None,
            "could not be computed: " + without_values(failure)[:200],
        )
    observed = result.result.get("observed_value")
    # Where there is no value, Great Expectations calls the proportion of unique values 0, as if all were repeated.
    no_values = expectation.type == PROPORTION_OF_UNIQUE and observed == 0
    return CheckResult(
        name=name,
        expectation=expectation.type,
        column=engine_names.get(column, ""),
        severity=expectation.severity,
        success=bool(result.success) or no_values,
        unexpected=result.result.get("unexpected_count"),
        observed=str(observed) if isinstance(observed, int | float) else None,  # lists and extremes are values of profiles
    )


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Great Expectations gives one record, or one for each metric that failed."""
    records = [info] if "raised_exception" in info else list(info.values())
    return [record for record in records if isinstance(record, dict) and record.get("raised_exception")]
