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
        texts = rows.select(self._text(column, kind) for column, kind in rows.schema.items())
        buffer = io.BytesIO()
        texts.write_csv(
            buffer,
            include_header=False,
            separator=self._config.delimiter,
            line_terminator=self._line_end,
            quote_style="necessary" if self._writer_quotes else "never",
            null_value=self._config.empty_text if self._empty_is_bare else self._config.null_text,
        )
        return buffer.getvalue()

    @property
    def _empty_is_bare(self) -> bool:
        """The writer shows an empty text as two quotes. Where something else is wanted, null and empty change places in it."""
        return self._writer_quotes and self._config.empty_text != '""'

    def _text(self, column: str, kind: pl.DataType) -> pl.Expr:
        value = pl.col(column)
        if kind == pl.Date:
            value = value.dt.strftime(DATE_FORMAT)
        elif isinstance(kind, pl.Datetime):
            value = (value.dt.convert_time_zone("UTC") if kind.time_zone else value).dt.strftime(TIMESTAMP_FORMAT)
        elif kind != pl.String:
            value = self._plain(value, kind)
        if self._writer_quotes:
            return self._swapped(value) if self._empty_is_bare else value
        return self._quoted(value)

    def _plain(self, value: pl.Expr, kind: pl.DataType) -> pl.Expr:
        """Numbers and booleans as text, without scientific notation."""
        if not kind.is_float():
            return value.cast(pl.String)

        def positional(numbers: pl.Series) -> pl.Series:
            text = numbers.to_frame("x").write_csv(include_header=False, float_scientific=False, null_value="")
            lines = pl.Series(text.split("\n")[: len(numbers)], dtype=pl.String)
            return pl.select(pl.when(lines != "").then(lines)).to_series()

        return value.map_batches(positional, return_dtype=pl.String)

    def _swapped(self, value: pl.Expr) -> pl.Expr:
        return pl.when(value.is_null()).then(pl.lit(self._config.null_text)).when(value != "").then(value)

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
