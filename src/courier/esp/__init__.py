"""Email platforms: what each takes, and what is done about it before anything is sent.

`check_configuration` looks at keys and names, `with_row_rules` and `fitted` at values, `assert_sizes` at files,
`artefacts` writes what the import on the other side is made from, and `findings` says in the end what happened.
"""

from courier.esp.configuration import check_configuration
from courier.esp.platforms import PLATFORMS, platform_of
from courier.esp.values import check_columns, fitted, marked, marks, with_row_rules

__all__ = ["PLATFORMS", "check_columns", "check_configuration", "fitted", "marked", "marks", "platform_of", "with_row_rules"]
