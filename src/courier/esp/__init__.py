"""Email platforms: what each takes, and what is done about it before anything is sent.

`check_configuration` looks at keys and names, `with_row_rules` and `fitted` at values, `check_sizes` at files; `artefacts`
are what the import at the platform is made from; `described` and `lines` say in the end what happened.
"""

from courier.esp.artefacts import artefacts, delivered, delivered_names
from courier.esp.configuration import check_configuration
from courier.esp.findings import check_sizes, described, lines
from courier.esp.fitting import check_columns, fitted, marked, marks
from courier.esp.platforms import PLATFORMS, platform_of
from courier.esp.values import row_rules, value_rules, with_row_rules

__all__ = [
    "PLATFORMS",
    "artefacts",
    "check_columns",
    "check_configuration",
    "check_sizes",
    "delivered",
    "delivered_names",
    "described",
    "fitted",
    "lines",
    "marked",
    "marks",
    "platform_of",
    "row_rules",
    "value_rules",
    "with_row_rules",
]
