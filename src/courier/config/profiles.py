"""What is read, and how its rows are judged: groups source and checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from courier.config.limits import S3Keys, check_endpoint, check_references, no_login, one_of, required

SEVERITIES = ("critical", "warning", "info")


@dataclass
class SourceConfig(S3Keys):
    """Parquet profiles: a folder, a file or a glob; on local disk or s3://. The S3 keys are ignored for local paths."""

    path: str = ""
    region: str | None = None
    endpoint_url: str | None = None

    GROUP: ClassVar[str] = "source"

    def __post_init__(self) -> None:
        check_references(self)
        required("source.path", self.path)
        no_login("source.path", self.path)
        check_endpoint("source.endpoint_url", self.endpoint_url)
        self.check_keys("source")


@dataclass
class ExpectationConfig:
    """One Great Expectations expectation.

    An argument `column` (or `column_A`, `column_list`, …) is a column name of the mapping or the XDM path it comes from.
    With `optional`, the expectation is left out where the mapping has no such column.
    """

    type: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    severity: str = "critical"
    optional: bool = False

    def __post_init__(self) -> None:
        required("checks.expectations.*.type", self.type)
        one_of("checks.expectations.*.severity", self.severity, SEVERITIES)


@dataclass
class ChecksConfig:
    expectations: dict[str, ExpectationConfig] = field(default_factory=dict)
