"""Rows → delimited text → bytes, by RFC 4180 or as configured. Values are byte-exact but for what the policies change.

polars' own CSV writer does the work. It quotes minimally and doubles quotes; for all else the values are quoted by
expressions first and the writer quotes none. It knows delimiters of one byte; for others the columns are joined first.
"""

from __future__ import annotations

import io

import polars as pl

from courier.config import FileConfig
from courier.config.dialect import EMPTY_QUOTED
from courier.render.policies import Notes, Policies, special

DATE_FORMAT = "%Y-%m-%d"
TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Dialect:
    """How one file is written. One object serves a whole file, in any number of threads."""

    def __init__(self, config: FileConfig, header: list[str]) -> None:
        self._config, self._header = config, header
        self._policies = Policies(config)
        self._line_end = config.LINE_ENDINGS[config.line_ending]
        self._joined = len(config.delimiter.encode()) > 1
        rfc_4180 = (config.quoting, config.escape, config.quote) == ("minimal", "double", '"')
        self._writer_quotes = rfc_4180 and not self._joined

    def opening(self) -> bytes:
        """The byte order mark, where there is one, and the header line."""
        if not self._config.header:
            return self._config.mark
        names = pl.DataFrame([self._header], schema=[f"c{n}" for n in range(len(self._header))], orient="row")
        return self._config.mark + self._written(names)

    def lines(self, rows: pl.DataFrame) -> tuple[bytes, Notes]:
        """One line a row, each ended, and what was done to values. Raises HeldError where one cannot be written."""
        texts = rows.select(as_text(column, kind).alias(column) for column, kind in rows.schema.items())
        texts, notes = self._policies.applied(texts, self._header)
        return self._written(texts), notes

    def _written(self, texts: pl.DataFrame) -> bytes:
        shown = self._substituted if self._writer_quotes else self._quoted
        texts = texts.select(shown(pl.col(column), number).alias(column) for number, column in enumerate(texts.columns))
        null_text = self._shown(self._config.null_text)
        if self._joined:
            bare = [pl.col(column).fill_null(pl.lit(null_text)) for column in texts.columns]
            texts = texts.select(pl.concat_str(bare, separator=self._config.delimiter).alias("line"))
        buffer = io.BytesIO()
        texts.write_csv(
            buffer,
            include_header=False,
            separator="," if self._joined else self._config.delimiter,
            line_terminator=self._line_end,
            quote_style="necessary" if self._writer_quotes else "never",
            null_value="" if self._writer_quotes else null_text,
        )
        written = buffer.getvalue()
        return written if self._config.codec == "utf-8" else written.decode().encode(self._config.codec)

    def _shown(self, text: str) -> str:
        return self._config.quoted_empty if text == EMPTY_QUOTED else text

    def _substituted(self, value: pl.Expr, _: int) -> pl.Expr:
        """The writer shows null as nothing and the empty text as two quotes. Where another text is configured, what shows as it goes in."""
        shown_as = {"": None, '""': ""}
        written = value
        if self._config.null_text != "":
            written = pl.when(value.is_null()).then(pl.lit(shown_as.get(self._config.null_text, self._config.null_text))).otherwise(written)
        if self._config.empty_text != '""':
            written = pl.when(value == "").then(pl.lit(shown_as.get(self._config.empty_text, self._config.empty_text))).otherwise(written)
        return written

    def _quoted(self, value: pl.Expr, number: int) -> pl.Expr:
        """The value of column `number` (from 0) between quotes, where it needs them.

        Spark, and so Adobe, leaves a value with a lone escape character bare, which others would read as an escape; and it
        quotes what would make a line begin with `#`, which it would read as a comment.
        """
        config = self._config
        empty = pl.lit(self._shown(config.empty_text))
        if config.quoting == "none":
            return pl.when(value == "").then(empty).otherwise(value)
        quote, escape = config.quote, config.escape_character
        escaped = value if escape == quote else value.str.replace_all(escape, escape * 2, literal=True)
        quoted = pl.lit(quote) + escaped.str.replace_all(quote, escape + quote, literal=True) + pl.lit(quote)
        if config.quoting == "all":
            return pl.when(value == "").then(empty).otherwise(quoted)
        pattern = special(config, escape) if config.quoting == "minimal" else special(config) + ("|^#" if number == 0 else "")
        return pl.when(value == "").then(empty).when(value.str.contains(pattern)).then(quoted).otherwise(value)


def as_text(column: str, kind: pl.DataType) -> pl.Expr:
    """Any value as text, null as null."""
    value = pl.col(column)
    if kind == pl.Date:
        return value.dt.strftime(DATE_FORMAT)
    if isinstance(kind, pl.Datetime):
        return (value.dt.convert_time_zone("UTC") if kind.time_zone else value).dt.strftime(TIMESTAMP_FORMAT)
    return value if kind == pl.String else _plain(value, kind)


def _plain(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Numbers and booleans as text, without scientific notation."""
    if not kind.is_float():
        return value.cast(pl.String)

    def positional(numbers: pl.Series) -> pl.Series:
        if numbers.dtype == pl.Float32:  # by way of its shortest text, so that 0.1 does not become 0.10000000149011612
            numbers = numbers.cast(pl.String).cast(pl.Float64)
        text = numbers.to_frame("x").write_csv(include_header=False, float_scientific=False, null_value="")
        lines = pl.Series(text.split("\n")[: len(numbers)], dtype=pl.String)
        return pl.select(pl.when(lines != "").then(lines)).to_series()

    return value.map_batches(positional, return_dtype=pl.String)
