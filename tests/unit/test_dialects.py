"""Dialects other than the default, and what is done to values that a file cannot hold: rows → exact bytes, and counts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courier.config import FileConfig
from courier.errors import ConfigError, HeldError
from courier.mapping import MappedColumn, Mapping
from courier.render import assert_writable, render
from courier.render.dialect import Dialect
from courier.render.policies import Notes
from courier.rows.counts import Slice
from courier.rows.snapshot import AudienceSnapshot

Row = Sequence[str | None]
NUL_QUOTES: dict[str, Any] = {"quoting": "spark", "quote": "\0", "escape": "backslash", "null_text": "null", "empty_text": ""}


def batch(rows: Sequence[Row], **keys: Any) -> tuple[bytes, Notes]:
    """The lines of these rows, whose columns are called a, b, c, …, and what was done to them."""
    columns = [f"c{n}" for n in range(len(rows[0]))]
    frame = pl.DataFrame([list(row) for row in rows], schema=dict.fromkeys(columns, pl.String), orient="row")
    return Dialect(FileConfig(**keys), list("abcdefghij"[: len(columns)])).lines(frame)


def lines(rows: Sequence[Row], **keys: Any) -> bytes:
    return batch(rows, **keys)[0]


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ({"quote": "'"}, b"a b,'c,d',say \"x\",,'','it''s'\n"),
        ({"quote": "'", "quoting": "all"}, b"'a b','c,d','say \"x\"',,'','it''s'\n"),
        ({"quote": "'", "delimiter": '"'}, b"a b\"c,d\"'say \"x\"'\"\"''\"'it''s'\n"),
        ({"quote": "\0"}, b'a b,\x00c,d\x00,say "x",,\x00\x00,it\'s\n'),
        ({"quote": "\0", "null_text": '""'}, b'a b,\x00c,d\x00,say "x",\x00\x00,\x00\x00,it\'s\n'),
        ({"escape": "apostrophe"}, b'a b,"c,d","say \'"x\'"",,"","it\'\'s"\n'),
        ({"escape": "apostrophe", "quoting": "all"}, b'"a b","c,d","say \'"x\'"",,"","it\'\'s"\n'),
        ({"escape": "backslash", "quote": "'"}, b"a b,'c,d',say \"x\",,'','it\\'s'\n"),
        ({"delimiter": "||"}, b'a b||c,d||"say ""x"""||||""||it\'s\n'),
        ({"delimiter": ", "}, b'a b, c,d, "say ""x""", , "", it\'s\n'),
        ({"delimiter": "¦"}, 'a b¦c,d¦"say ""x"""¦¦""¦it\'s\n'.encode()),
        ({"delimiter": "\x01"}, b'a b\x01c,d\x01"say ""x"""\x01\x01""\x01it\'s\n'),
        ({"delimiter": "||", "null_text": "NULL", "line_ending": "crlf"}, b'a b||c,d||"say ""x"""||NULL||""||it\'s\r\n'),
        ({"delimiter": "||", "quoting": "all"}, b'"a b"||"c,d"||"say ""x"""||||""||"it\'s"\n'),
        ({"quoting": "spark", "escape": "apostrophe"}, b'a b,"c,d","say \'"x\'"",,"",it\'s\n'),
        ({"quoting": "none", "empty_text": "", "delimiter": "|", "quote": ""}, b'a b|c,d|say "x"|||it\'s\n'),
        ({"quoting": "none", "empty_text": "EMPTY", "delimiter": "~~", "quote": ""}, b'a b~~c,d~~say "x"~~~~EMPTY~~it\'s\n'),
        (NUL_QUOTES, b'a b,\x00c,d\x00,say "x",null,,it\'s\n'),
    ],
)
def test_a_dialect_gives_these_bytes(keys: dict[str, Any], written: bytes) -> None:
    assert lines([["a b", "c,d", 'say "x"', None, "", "it's"]], **keys) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\\b", b"a\\b"),
        ("a\\,b", b"\x00a\\\\,b\x00"),
        ("a\nb", b"\x00a\nb\x00"),
        ("a\rb", b"\x00a\rb\x00"),
        ("a\0b", b"\x00a\\\0b\x00"),
        (" a ", b" a "),
        ('"a"', b'"a"'),
        ("#1", b"\x00#1\x00"),
    ],
)
def test_adobes_quote_is_nul_and_its_escape_is_doubled_only_inside_of_quotes(value: str, written: bytes) -> None:
    assert lines([[value, "x"]], **NUL_QUOTES) == written + b",x\n"


@pytest.mark.parametrize(
    ("delimiter", "value", "written"),
    [
        ("||", "a|", b'"a|"'),
        ("||", "|a", b"|a"),
        ("||", "a|b", b"a|b"),
        ("|~|", "a|~", b'"a|~"'),
        ("|~|", "a|", b"a|"),
        ("<>", "a<", b"a<"),
        ("::", "12:30", b"12:30"),
    ],
)
def test_a_value_that_would_move_a_long_delimiter_is_quoted(delimiter: str, value: str, written: bytes) -> None:
    assert lines([[value, "x"]], delimiter=delimiter) == written + delimiter.encode() + b"x\n"


@pytest.mark.parametrize(
    ("encoding", "codec", "mark"),
    [
        ("utf-16", "utf-16-le", b"\xff\xfe"),
        ("utf-16-le", "utf-16-le", b""),
        ("utf-16-be", "utf-16-be", b""),
        ("iso-8859-1", "iso-8859-1", b""),
        ("cp1252", "cp1252", b""),
    ],
)
def test_a_file_is_of_one_encoding_and_has_at_most_one_mark(tmp_path: Path, encoding: str, codec: str, mark: bytes) -> None:
    paths = [tmp_path / f"{n}.parquet" for n in range(2)]
    for path in paths:
        pq.write_table(pa.table({"c0": ["é", "ü"], "c1": ["x", None], "outcome": ["exported"] * 2}), path, row_group_size=1)
    file = b"".join(render(AudienceSnapshot(0, paths), Slice(0, 4), mapped("ä", "b"), FileConfig(encoding=encoding, delimiter="§")))
    assert file == mark + "ä§b\né§x\nü§\né§x\nü§\n".encode(codec)
    assert file.decode(encoding) == "ä§b\né§x\nü§\né§x\nü§\n"


def mapped(*names: str) -> Mapping:
    return Mapping([MappedColumn(name, f"c{n}", "x", pa.string(), False) for n, name in enumerate(names)], [])


def test_characters_that_the_encoding_has_not_are_replaced_and_counted() -> None:
    rows = [["ő", "é"], ["日本", "x"], [None, ""]]
    expected = Notes({("a", "unencodable_characters_replaced"): 2})
    assert batch(rows, encoding="iso-8859-1", on_unencodable="replace") == (b'?,\xe9\n??,x\n,""\n', expected)
    assert batch([["\x81", "€"]], encoding="cp1252", on_unencodable="replace")[0] == b"?,\x80\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("őű Šimić", b"ou Simic"),
        ("é", b"\xe9"),
        ("e\u0301", b"\xe9"),
        ("ő é", b"o \xe9"),
        ("Łódź", b"L\xf3dz"),
        ("đ", b"d"),
        ("ﬁ", b"fi"),
        ("it’s", b"it's"),
        ("“x”", b'"""x"""'),
        ("a，b", b'"a,b"'),
        ("日本", b"??"),
        ("\u0301", b'""'),
        ("…", b"..."),
        ("한", b"?"),
        ("№ 5", b"No 5"),
        ("❤\ufe0f", b"?"),
    ],
)
def test_characters_are_transliterated_before_anything_is_quoted(value: str, written: bytes) -> None:
    text, notes = batch([[value, "x"]], encoding="iso-8859-1", on_unencodable="transliterate")
    assert text == written + b",x\n"
    assert notes == Notes({} if value == "é" else {("a", "unencodable_characters_transliterated"): 1})


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ({"newlines": "keep"}, b'"a\r\nb","\n","x\r"\nc,d,e\n'),
        ({"newlines": "replace"}, b"a b, ,x \nc,d,e\n"),
        ({"newlines": "replace", "newline_text": "$1, "}, b'"a$1, b","$1, ","x$1, "\nc,d,e\n'),
        ({"newlines": "replace", "newline_text": ""}, b'ab,"",x\nc,d,e\n'),
    ],
)
def test_line_ends_inside_of_values(keys: dict[str, Any], written: bytes) -> None:
    text, notes = batch([["a\r\nb", "\n", "x\r"], ["c", "d", "e"]], **keys)
    assert text == written
    assert notes == Notes({} if keys == {"newlines": "keep"} else {(column, "line_ends_replaced"): 1 for column in "abc"})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("=1+1", True),
        ("+cmd|' /C calc'!A0", True),
        ("-2+3", True),
        ("@SUM(1)", True),
        ("\tx", True),
        ("\rx", True),
        ("+1+1", True),
        ("+", True),
        ("-A1", True),
        ("+46701234567", False),
        ("+46 (0)70-123 45.67", False),
        ("-1.5", False),
        ("-1,5", False),
        ("-.5", False),
        ("-7", False),
        ("a=b", False),
        (" =1", False),
        ("", False),
    ],
)
def test_formulas_are_told_from_telephone_and_negative_numbers(value: str, found: bool) -> None:
    plain, of_plain = batch([[value, "x"]], formula_guard="off")
    reported, of_reported = batch([[value, "x"]], formula_guard="report")
    _, of_prefixed = batch([[value, "x"]], formula_guard="prefix")
    assert (reported, of_plain) == (plain, Notes())
    assert of_reported == Notes({("a", "formulas_reported"): 1} if found else {})
    assert of_prefixed == Notes({("a", "formulas_prefixed"): 1} if found else {})


def test_a_formula_gets_an_apostrophe_and_is_quoted_as_any_value() -> None:
    rows = [["=1", "@a,b"], ["-1", None], ["\n=1", "＝1"]]
    assert lines(rows, formula_guard="prefix") == '\'=1,"\'@a,b"\n-1,\n"\n=1",＝1\n'.encode()
    assert lines(rows[:1], formula_guard="prefix", quote="'") == b"'''=1','''@a,b'\n"
    assert lines(
        rows[2:], formula_guard="prefix", newlines="replace", newline_text="", encoding="cp1252", on_unencodable="transliterate"
    ) == (b"'=1,'=1\n")


def test_without_quotes_what_is_special_is_replaced_and_counted() -> None:
    keys: dict[str, Any] = {"quoting": "none", "on_special": "replace", "empty_text": ""}
    rows = [["a,b", 'say "x"', "c\r\nd"], ["x", None, ""]]
    expected = Notes({(column, "special_characters_replaced"): 1 for column in "abc"})
    assert batch(rows, **keys) == (b"a b,say  x ,c d\nx,,\n", expected)
    assert lines(rows, **keys, special_text="_") == b"a_b,say _x_,c_d\nx,,\n"
    assert lines([["a||b", "c|", "|||"]], **keys, delimiter="||", special_text="$0") == b"a$0b||c$0||$0$0\n"
    assert lines([['"a"', "b\n"]], **keys, quote="", newlines="replace") == b'"a",b \n'


@pytest.mark.parametrize(
    ("keys", "what", "found", "fix"),
    [
        (
            {"encoding": "cp1252"},
            "characters that cp1252 has not",
            "column 'b' 2",
            "file.on_unencodable=replace or transliterate, or file.encoding=utf-8",
        ),
        ({"newlines": "fail"}, "line ends", "column 'a' 1, column 'b' 1", "file.newlines=keep or replace"),
        (
            {"quoting": "none", "empty_text": "-"},
            "delimiters, line ends or quotes, with file.quoting=none",
            "column 'a' 2, column 'b' 1",
            "file.on_special=replace, another file.delimiter, or file.quoting=minimal",
        ),
    ],
)
def test_a_value_that_cannot_be_written_holds_the_files_back_and_is_not_shown(
    keys: dict[str, Any], what: str, found: str, fix: str
) -> None:
    with pytest.raises(HeldError) as caught:
        batch([["a\nb", "日"], ["a,b", "日\r"], [None, None]], **keys)
    told = f"Values cannot be written, so nothing was delivered: {what}. Found: in one batch of 3 rows: {found}. What to do: {fix}."
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("naïve ő", {"encoding": "iso-8859-1"}),
        ("ő", {"encoding": "cp1252", "on_unencodable": "replace"}),
        ("a\nb", {"newlines": "replace"}),
        ("a,b", {"quoting": "none", "empty_text": ""}),
        ("a,b", {"quoting": "none", "empty_text": "", "on_special": "replace"}),
    ],
)
def test_a_name_of_a_column_that_would_have_to_be_changed_is_refused(name: str, keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="The name of a column cannot be written"):
        assert_writable(FileConfig(**keys), mapped("x", name))
    assert_writable(FileConfig(**keys, header=False), mapped("x", name))
    assert_writable(FileConfig(**keys), mapped("x", "=1"))


def test_a_header_is_of_the_dialect_of_its_rows() -> None:
    assert Dialect(FileConfig(**NUL_QUOTES), ["e,mail", "a\\b"]).opening() == b"\x00e,mail\x00,a\\b\n"
    assert Dialect(FileConfig(delimiter="||", quote="'"), ["a||b", "c"]).opening() == b"'a||b'||c\n"
    assert Dialect(FileConfig(encoding="utf-16"), ["é", "b"]).opening() == b"\xff\xfe" + "é,b\n".encode("utf-16-le")
    assert Dialect(FileConfig(formula_guard="prefix"), ["=a", "b"]).opening() == b"=a,b\n"


def test_a_column_that_could_become_empty_is_refused_when_it_is_alone() -> None:
    alone = Mapping([MappedColumn("a", "c0", "x", pa.string(), True)], [])
    assert_writable(FileConfig(empty_text=""), alone)
    with pytest.raises(ConfigError, match="cannot show empty as an empty line"):
        assert_writable(FileConfig(empty_text="", newlines="replace", newline_text=""), alone)


HOSTILE = st.text(
    alphabet=st.one_of(st.sampled_from(list(",;|~¦\t\"'\\\r\n \x00\x01\ufeffé👩=+@-\u2028")), st.characters(exclude_categories=["Cs"])),
    max_size=10,
)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(st.none() | HOSTILE, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(
    rows=TABLES,
    delimiter=st.sampled_from([",", "¦", "\x01", "|"]),
    quote=st.sampled_from(['"', "'", "~", "\0"]),
    escape=st.sampled_from(["double", "backslash", "apostrophe"]),
    quoting=st.sampled_from(["minimal", "all"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_pythons_csv_reads_back_every_quoted_dialect(
    rows: list[Row], delimiter: str, quote: str, escape: str, quoting: str, encoding: str
) -> None:
    if (quote, escape) == ("'", "apostrophe"):
        return
    written = lines(rows, delimiter=delimiter, quote=quote, escape=escape, quoting=quoting, encoding=encoding)
    text = written.decode("utf-16-le" if encoding == "utf-16" else encoding)
    known: dict[str, Any] = {} if escape == "double" else {"doublequote": False, "escapechar": FileConfig.ESCAPES[escape]}
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True, **known))
    assert read == [[value or "" for value in row] for row in rows]


@given(
    rows=TABLES,
    encoding=st.sampled_from(["iso-8859-1", "cp1252"]),
    policy=st.sampled_from(["replace", "transliterate"]),
    delimiter=st.sampled_from([",", "¦"]),
)
def test_in_small_encodings_only_what_cannot_be_written_changes(rows: list[Row], encoding: str, policy: str, delimiter: str) -> None:
    text = lines(rows, encoding=encoding, on_unencodable=policy, delimiter=delimiter).decode(encoding)
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    assert [len(row) for row in read] == [len(row) for row in rows]
    for row, found in zip(rows, read, strict=True):
        for value, cell in zip(row, found, strict=True):
            assert cell == (value or "") or (value or "").encode(encoding, "ignore").decode(encoding) != value


@given(rows=TABLES, delimiter=st.sampled_from([",", "||", "|~|", "¦", "->", "=="]))
def test_without_quotes_every_reader_finds_the_same_rows_and_columns(rows: list[Row], delimiter: str) -> None:
    text = lines(rows, delimiter=delimiter, quoting="none", empty_text="", on_special="replace", special_text="_").decode()
    found = [line.split(delimiter) for line in text.removesuffix("\n").split("\n")]
    assert [len(row) for row in found] == [len(row) for row in rows]
    special = ["\r", "\n", '"', *delimiter]
    for row, read in zip(rows, found, strict=True):
        for value, cell in zip(row, read, strict=True):
            assert cell == (value or "") or any(character in (value or "") for character in special)


@settings(max_examples=60)
@given(
    rows=TABLES,
    delimiter=st.sampled_from([",", "||", "|~|", "¦", "::", "\x01"]),
    quote=st.sampled_from(['"', "'", "~"]),
    quoting=st.sampled_from(["minimal", "all"]),
)
def test_duckdb_reads_back_any_delimiter_and_quote_and_tells_null_from_empty(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], delimiter: str, quote: str, quoting: str
) -> None:
    if quote in delimiter:
        return
    rows = [[None if value is None else value.replace("\x00", "0") for value in row] for row in rows]
    assert (
        read_by_duckdb(tmp_path_factory, lines(rows, delimiter=delimiter, quote=quote, quoting=quoting), rows, delimiter, quote, quote)
        == rows
    )


@settings(max_examples=40)
@given(rows=TABLES, quoting=st.sampled_from(["minimal", "all", "spark"]), escape=st.sampled_from(["backslash", "apostrophe"]))
def test_duckdb_reads_back_escapes(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], quoting: str, escape: str) -> None:
    rows = [[None if value is None else value.replace("\x00", "0") for value in row] for row in rows]
    written = lines(rows, quoting=quoting, escape=escape)
    assert read_by_duckdb(tmp_path_factory, written, rows, ",", '"', FileConfig.ESCAPES[escape]) == rows


def read_by_duckdb(
    folders: pytest.TempPathFactory, written: bytes, rows: list[Row], delimiter: str, quote: str, escape: str
) -> list[list[str | None]]:
    path = folders.mktemp("duckdb") / "x.csv"
    path.write_bytes(written)
    read = duckdb.connect().execute(
        "SELECT * FROM read_csv($path, header=false, columns=$columns, delim=$delimiter, quote=$quote, escape=$escape, new_line='\\n', "
        "nullstr='', allow_quoted_nulls=false, auto_detect=false, parallel=false)",
        {
            "path": str(path),
            "columns": {f"c{n}": "VARCHAR" for n in range(len(rows[0]))},
            "delimiter": delimiter,
            "quote": quote,
            "escape": escape,
        },
    )
    return [list(row) for row in read.fetchall()]
