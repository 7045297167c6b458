"""What is done to values that the file cannot hold as they are, or that a spreadsheet would run, and how often it was done.

Rules work on whole columns of text, before anything is quoted: what a replacement brings in is quoted like any other text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from courier.config import FileConfig
from courier.errors import ConfigError, HeldError
from courier.render.characters import likeness, one_of, unencodable

#: (name of the column, what was done) → rows.
Notes = Counter[tuple[str, str]]

LINE_END = "\r\n|\r|\n"
FORMULA = r"^[=+\-@\t\r]"
#: A number with a plus for a telephone, or one below zero: neither names a cell nor calls a function.
NO_FORMULA = r"^(\+[0-9][0-9 ().\-]*|-[0-9]*[.,]?[0-9]+)$"


@dataclass(frozen=True)
class Rule:
    """One thing to look for in values. `change` is what is done about it: None reports it. `fix`: it is refused instead."""

    what: str
    found: Callable[[pl.Expr], pl.Expr]
    change: Callable[[pl.Series], pl.Series] | None = None
    fix: str = ""


class Policies:
    """The rules of one file, in their order: characters, line ends, formulas, and last what would break the row.

    A character can be transliterated into a delimiter, and a value without its first line end can be a formula.
    """

    def __init__(self, config: FileConfig) -> None:
        shape = [*_characters(config), *_line_ends(config)]
        special = [*_specials(config)]
        self._of_names = [*shape, *special]
        self._rules = [*shape, *_formulas(config), *special]

    def applied(self, texts: pl.DataFrame, header: list[str]) -> tuple[pl.DataFrame, Notes]:
        """The same rows as they can be written. `header` names the columns. Raises HeldError where a rule refuses."""
        notes = Notes()
        for rule in self._rules:
            rows = texts.select(rule.found(pl.col(column)).sum() for column in texts.columns).row(0)
            hit = {number: count for number, count in enumerate(rows) if count}
            if hit and rule.fix:
                found = ", ".join(f"column '{header[number]}' {count:,}" for number, count in hit.items())
                raise HeldError(
                    f"Values cannot be written, so nothing was delivered: {rule.what}",
                    found=f"in one batch of {len(texts):,} rows: {found}",
                    fix=rule.fix,
                )
            notes.update({(header[number], rule.what): count for number, count in hit.items()})
            if rule.change is not None:
                texts = texts.with_columns(rule.change(texts.to_series(number)).alias(texts.columns[number]) for number in hit)
        return texts, notes

    def assert_header(self, header: list[str]) -> None:
        """Refuse names of columns that would have to be changed."""
        names = pl.DataFrame({"name": header}, schema={"name": pl.String})
        for rule in self._of_names:
            unfit = names.filter(rule.found(pl.col("name"))).to_series().to_list()
            if unfit:
                raise ConfigError("The name of a column cannot be written", where="file", found=repr(unfit[0]), fix="rename the column")


def _characters(config: FileConfig) -> list[Rule]:
    pattern = unencodable(config.codec)
    if pattern is None:
        return []

    def found(value: pl.Expr) -> pl.Expr:
        return value.str.contains(pattern)

    def transliterated(values: pl.Series) -> pl.Series:
        composed = values.str.normalize("NFC")
        distinct = composed.str.extract_all(pattern).explode().drop_nulls().unique().sort().to_list()
        if not distinct:
            return composed
        return composed.str.replace_many(distinct, [likeness(character, config.codec) for character in distinct])

    if config.on_unencodable == "replace":
        return [Rule("unencodable_characters_replaced", found, lambda values: values.str.replace_all(pattern, "?"))]
    if config.on_unencodable == "transliterate":
        return [Rule("unencodable_characters_transliterated", found, transliterated)]
    fix = "file.on_unencodable=replace or transliterate, or file.encoding=utf-8"
    return [Rule(f"characters that {config.encoding} has not", found, fix=fix)]


def _line_ends(config: FileConfig) -> list[Rule]:
    def found(value: pl.Expr) -> pl.Expr:
        return value.str.contains("[\r\n]")

    if config.newlines == "keep":
        return []
    if config.newlines == "fail":
        return [Rule("line ends", found, fix="file.newlines=keep or replace")]
    text = _literal(config.newline_text)
    return [Rule("line_ends_replaced", found, lambda values: values.str.replace_all(LINE_END, text))]


def _formulas(config: FileConfig) -> list[Rule]:
    def found(value: pl.Expr) -> pl.Expr:
        return value.str.contains(FORMULA) & ~value.str.contains(NO_FORMULA)

    def prefixed(values: pl.Series) -> pl.Series:
        value = pl.col(values.name)
        return values.to_frame().select(pl.when(found(value)).then(pl.lit("'") + value).otherwise(value)).to_series()

    rules = {"off": [], "report": [Rule("formulas_reported", found)], "prefix": [Rule("formulas_prefixed", found, prefixed)]}
    return rules[config.formula_guard]


def _specials(config: FileConfig) -> list[Rule]:
    """Without quotes nothing may look like a delimiter or a line end, nor like the quote that a reader may know."""
    if config.quoting != "none":
        return []
    pattern = f"{LINE_END}|{special(config)}"

    def found(value: pl.Expr) -> pl.Expr:
        return value.str.contains(pattern)

    if config.on_special == "replace":
        text = _literal(config.special_text)
        return [Rule("special_characters_replaced", found, lambda values: values.str.replace_all(pattern, text))]
    return [
        Rule(
            "delimiters, line ends or quotes, with file.quoting=none",
            found,
            fix="file.on_special=replace, another file.delimiter, or file.quoting=minimal",
        )
    ]


def special(config: FileConfig, escape: str = "") -> str:
    """The pattern of what makes a bare value be read as something else."""
    ends = "".join(f"|{one_of(end, each=True)}$" for end in config.early_ends)
    return f"{one_of(chr(13) + chr(10) + config.quote + escape)}|{one_of(config.delimiter, each=True)}{ends}"


def _literal(text: str) -> str:
    """A text as replacement, in which `$` has no meaning."""
    return text.replace("$", "$$")
