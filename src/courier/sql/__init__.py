"""Expressions of a mapping: Spark SQL over XDM paths, with a checked list of functions.

A path inside an expression is read as the paths of columns are (null where a profile has less), so it is taken out and
computed first; the engine sees the expression over plain columns. What is not on the lists is refused before any work:
aggregates and windows would change the grain of rows, and clocks, random numbers and the like the bytes from run to run.
What engines compute differently is written anew, or refused with an advice.

    text → tokens, checked, paths taken out (`reader`) → tree (sqlglot) → text that engines compute alike (`writer`)

`functions` has what may be called; `parts`, `common`, `numbers` and `calls` what the writer knows of types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError

from courier.errors import ConfigError
from courier.sql.functions import FUNCTIONS
from courier.sql.parts import RefusedError
from courier.sql.reader import Reader
from courier.sql.writer import Writer

__all__ = ["FUNCTIONS", "parse"]


def parse(
    text: str, where: str, roots: Collection[str], alias: Callable[[str], str], kind_of: Callable[[str], pa.DataType | None]
) -> tuple[str, pa.DataType | None]:
    """Check an expression and give it as engines compute it alike, with its paths replaced, and its type where it is known.

    `roots` are the columns that a path may begin with; `alias` names a path's column, and `kind_of` gives that one's type.
    Raises ConfigError with the name of what is not allowed.
    """
    dialect = Spark()
    try:
        reader = Reader(text, where, dialect.tokenize(text), roots, alias)
        trees = dialect.parser().parse(reader.tokens(), text)
        if trees[:1] in ([], [None]):
            raise RefusedError("nothing but blanks and comments")
        whole = Writer(reader.literals, kind_of).part(trees[0])
    except RefusedError as refused:
        raise ConfigError("An expression cannot be used", where=f"{where}: {text}", found=refused.found, fix=refused.fix) from refused
    except RecursionError:  # whose own traceback has a thousand lines
        fix = "one case with a when for each of them; concat(…) for a chain of ||; in (…) for a chain of or"
        raise ConfigError("An expression has too many levels inside of each other", where=where, found=f"{text[:100]}…", fix=fix) from None
    except SqlglotError as exc:
        raise ConfigError("An expression cannot be used", where=f"{where}: {text}", found=str(exc).splitlines()[0][:200]) from exc
    return whole.sql, None if whole.family == "null" else whole.kind
