"""Rows → delimited text, by RFC 4180 or as configured. Values are byte-exact: nothing is trimmed, nothing replaced.

polars' own CSV writer does the work. It quotes minimally and doubles quotes; for `quoting=all` (where null must stay
apart from the empty text) and `escape=backslash` the values are quoted by expressions first and the writer quotes none.
"""

from __future__ import annotations

import io
import re

import polars as pl

from courier.config import FileConfig

DATE_FORMAT = "%Y-%m-%d"
TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Dialect:
    """How one file is written. One object serves a whole file."""

    def __init__(self, config: FileConfig) -> None:
        self._config = config
        self._line_end = config.LINE_ENDINGS[config.line_ending]
        self._writer_quotes = config.quoting == "minimal" and config.escape == "double"

    def opening(self, header: list[str]) -> bytes:
        """The byte order mark, where asked for, and the header line."""
        mark = b"\xef\xbb\xbf" if self._config.encoding == "utf-8-sig" else b""
        if not self._config.header:
            return mark
        names = pl.DataFrame([header], schema=[f"c{n}" for n in range(len(header))], orient="row")
        return mark + self.lines(names)

    def lines(self, rows: pl.DataFrame) -> bytes:
        """One line a row, each ended."""
        texts = rows.select(self._text(column, kind).alias(column) for column, kind in rows.schema.items())
        buffer = io.BytesIO()
        texts.write_csv(
            buffer,
            include_header=False,
            separator=self._config.delimiter,
            line_terminator=self._line_end,
            quote_style="necessary" if self._writer_quotes else "never",
            null_value="" if self._writer_quotes else self._config.null_text,
        )
        return buffer.getvalue()

    def _text(self, column: str, kind: pl.DataType) -> pl.Expr:
        value = pl.col(column)
        if kind == pl.Date:
            value = value.dt.strftime(DATE_FORMAT)
        elif isinstance(kind, pl.Datetime):
            value = (value.dt.convert_time_zone("UTC") if kind.time_zone else value).dt.strftime(TIMESTAMP_FORMAT)
        elif kind != pl.String:
            value = self._plain(value, kind)
        if self._writer_quotes:
            return self._substituted(value)
        return self._quoted(value)

    def _plain(self, value: pl.Expr, kind: pl.DataType) -> pl.Expr:
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

    def _substituted(self, value: pl.Expr) -> pl.Expr:
        """The writer shows null as nothing and the empty text as two quotes. Where another text is configured, what shows as it goes in."""
        shown_as = {"": None, '""': ""}
        written = value
        if self._config.null_text != "":
            written = pl.when(value.is_null()).then(pl.lit(shown_as.get(self._config.null_text, self._config.null_text))).otherwise(written)
        if self._config.empty_text != '""':
            written = pl.when(value == "").then(pl.lit(shown_as.get(self._config.empty_text, self._config.empty_text))).otherwise(written)
        return written

    def _quoted(self, value: pl.Expr) -> pl.Expr:
        if self._config.escape == "double":
            escaped = value.str.replace_all('"', '""', literal=True)
        else:
            escaped = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        quoted = pl.lit('"') + escaped + pl.lit('"')
        empty = pl.lit(self._config.empty_text)
        if self._config.quoting == "all":
            return pl.when(value == "").then(empty).otherwise(quoted)
        special = "[" + re.escape('"\r\n\\' + self._config.delimiter) + "]"
        return pl.when(value == "").then(empty).when(value.str.contains(special)).then(quoted).otherwise(value)
