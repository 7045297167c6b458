"""Rendering: rows of a snapshot → exact bytes."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courier.config import FileConfig
from courier.errors import ConfigError, CourierError
from courier.mapping import MappedColumn, Mapping
from courier.render import assert_writable, render
from courier.render.dialect import Dialect
from courier.rows import counts
from courier.rows.counts import Slice
from courier.rows.snapshot import AudienceSnapshot, LastRead

E, D = "exported", "deduplicated"
TEXT = pa.string()

Row = Sequence[Any]


def mapped(*kinds: pa.DataType, mandatory: bool = False) -> Mapping:
    """Columns a, b, c, … of these types."""
    return Mapping([MappedColumn("abcdefgh"[n], f"c{n}", "x", kind, mandatory) for n, kind in enumerate(kinds)], [])


def staged(folder: Path, files: list[list[tuple[Row, str]]], kinds: Sequence[pa.DataType], rows_per_group: int = 1000) -> AudienceSnapshot:
    """A snapshot of these (row, outcome), one list a file."""
    paths = []
    for number, rows in enumerate(files):
        columns = {f"c{n}": pa.array([row[n] for row, _ in rows], kind) for n, kind in enumerate(kinds)}
        paths.append(folder / f"part-{number}.parquet")
        marks = {"outcome": [outcome for _, outcome in rows], "change": ["added"] * len(rows), "noted": [None] * len(rows)}
        columns |= {name: pa.array(values, TEXT) for name, values in marks.items()}
        pq.write_table(pa.table(columns), paths[-1], row_group_size=rows_per_group)
    return AudienceSnapshot(0, paths)


def rendered(folder: Path, rows: list[Row], *kinds: pa.DataType, **keys: Any) -> bytes:
    """The bytes of a file of these rows, all exported."""
    types = kinds or tuple([TEXT] * len(rows[0]))
    snapshot = staged(folder, [[(row, E) for row in rows]], types)
    return b"".join(render(snapshot, Slice(0, len(rows)), mapped(*types), FileConfig(**keys)))


def test_a_file_is_rfc_4180_by_default(tmp_path: Path) -> None:
    assert rendered(tmp_path, [["x", "y"], ["1,5", 'say "hi"'], [None, ""]]) == b'a,b\nx,y\n"1,5","say ""hi"""\n,""\n'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two\nlines", b'"two\nlines"'),
        ("two\rlines", b'"two\rlines"'),
        ("two\r\nlines", b'"two\r\nlines"'),
        ('"', b'""""'),
        (",", b'","'),
        (" leading", b" leading"),
        ("trailing ", b"trailing "),
        (" ", b" "),
        ("\ttab", b"\ttab"),
        ("a\u00a0b\u00a0", "a\u00a0b\u00a0".encode()),
        ("👩\u200d👩\u200d👧 Zoë", "👩\u200d👩\u200d👧 Zoë".encode()),
        ("a\\b", b"a\\b"),
        ("NULL", b"NULL"),
        ("'quoted'", b"'quoted'"),
        ("=1+1", b"=1+1"),
        ("\u2028", "\u2028".encode()),
        ("\x00", b"\x00"),
    ],
)
def test_a_value_is_written_byte_for_byte(tmp_path: Path, value: str, written: bytes) -> None:
    assert rendered(tmp_path, [[value, "y"]], header=False) == written + b",y\n"


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ({"line_ending": "crlf"}, b'a,b,c\r\nx,"two\nlines",\r\n'),
        ({"encoding": "utf-8-sig"}, b'\xef\xbb\xbfa,b,c\nx,"two\nlines",\n'),
        ({"encoding": "utf-8-sig", "header": False}, b'\xef\xbb\xbfx,"two\nlines",\n'),
        ({"header": False}, b'x,"two\nlines",\n'),
        ({"delimiter": "\t", "extension": "txt"}, b'a\tb\tc\nx\t"two\nlines"\t\n'),
        ({"delimiter": ";"}, b'a;b;c\nx;"two\nlines";\n'),
        ({"quoting": "all"}, b'"a","b","c"\n"x","two\nlines",\n'),
        ({"escape": "backslash"}, b'a,b,c\nx,"two\nlines",\n'),
        ({"null_text": "NULL"}, b'a,b,c\nx,"two\nlines",NULL\n'),
    ],
)
def test_a_dialect_gives_these_bytes(tmp_path: Path, keys: dict[str, Any], written: bytes) -> None:
    assert rendered(tmp_path, [["x", "two\nlines", None]], **keys) == written


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ({}, b'x,,""\n'),
        ({"null_text": "NULL"}, b'x,NULL,""\n'),
        ({"empty_text": ""}, b"x,,\n"),
        ({"null_text": '""'}, b'x,"",""\n'),
        ({"null_text": '""', "empty_text": ""}, b'x,"",\n'),
        ({"null_text": "NULL", "empty_text": "EMPTY"}, b"x,NULL,EMPTY\n"),
        ({"quoting": "all"}, b'"x",,""\n'),
        ({"quoting": "all", "null_text": "NULL"}, b'"x",NULL,""\n'),
        ({"quoting": "all", "null_text": '""'}, b'"x","",""\n'),
        ({"quoting": "all", "empty_text": ""}, b'"x",,\n'),
        ({"escape": "backslash"}, b'x,,""\n'),
        ({"escape": "backslash", "null_text": "NULL", "empty_text": "EMPTY"}, b"x,NULL,EMPTY\n"),
        ({"escape": "backslash", "null_text": '""', "empty_text": ""}, b'x,"",\n'),
    ],
)
def test_null_and_empty_are_written_as_configured(tmp_path: Path, keys: dict[str, Any], written: bytes) -> None:
    assert rendered(tmp_path, [["x", None, ""]], header=False, **keys) == written


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ({"quoting": "all"}, b'"say ""hi""","a\\b","1,5","x"\n'),
        ({"escape": "backslash"}, b'"say \\"hi\\"","a\\\\b","1,5",x\n'),
        ({"escape": "backslash", "quoting": "all"}, b'"say \\"hi\\"","a\\\\b","1,5","x"\n'),
        ({"escape": "backslash", "delimiter": "|"}, b'"say \\"hi\\""|"a\\\\b"|1,5|x\n'),
        ({"escape": "backslash", "delimiter": "^"}, b'"say \\"hi\\""^"a\\\\b"^1,5^x\n'),
        ({"escape": "backslash", "delimiter": "]"}, b'"say \\"hi\\""]"a\\\\b"]1,5]x\n'),
    ],
)
def test_quotes_and_escapes(tmp_path: Path, keys: dict[str, Any], written: bytes) -> None:
    assert rendered(tmp_path, [['say "hi"', "a\\b", "1,5", "x"]], header=False, **keys) == written


def test_a_value_that_looks_like_the_text_for_null_is_quoted_so_that_it_is_not_taken_for_null(tmp_path: Path) -> None:
    assert rendered(tmp_path, [["NULL", None]], header=False, quoting="all", null_text="NULL") == b'"NULL",NULL\n'


def test_a_header_is_quoted_where_it_must_be(tmp_path: Path) -> None:
    columns = Mapping([MappedColumn(name, f"c{n}", "x", TEXT, False) for n, name in enumerate(["e,mail", 'say "x"', "é"])], [])
    opening = Dialect(FileConfig(), columns.header).opening()
    assert opening == '"e,mail","say ""x""",é\n'.encode()
    assert Dialect(FileConfig(quoting="all", line_ending="crlf"), ["a b"]).opening() == b'"a b"\r\n'


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (pa.date32(), date(2026, 1, 9), "2026-01-09"),
        (pa.timestamp("us", tz="UTC"), datetime(2026, 1, 9, 8, 7, 6, 999_999, tzinfo=UTC), "2026-01-09T08:07:06Z"),
        (pa.timestamp("ms", tz="Europe/Stockholm"), datetime(2026, 1, 9, 8, 7, 6, tzinfo=UTC), "2026-01-09T08:07:06Z"),
        (pa.timestamp("ns"), datetime(2026, 1, 9, 8, 7, 6), "2026-01-09T08:07:06Z"),  # noqa: DTZ001  a time without a zone is meant
        (pa.timestamp("us", tz="UTC"), datetime(1899, 12, 31, 23, 59, 59, tzinfo=UTC), "1899-12-31T23:59:59Z"),
        (pa.decimal128(12, 2), Decimal("1234567890.50"), "1234567890.50"),
        (pa.decimal128(5, 5), Decimal("0.00001"), "0.00001"),
        (pa.bool_(), True, "true"),
        (pa.bool_(), False, "false"),
        (pa.int64(), -9_223_372_036_854_775_808, "-9223372036854775808"),
        (pa.int8(), 7, "7"),
        (pa.uint64(), 18_446_744_073_709_551_615, "18446744073709551615"),
        (pa.float64(), 0.1, "0.1"),
        (pa.float64(), 1e-7, "0.0000001"),
        (pa.float64(), 1e21, "1000000000000000000000"),
        (pa.float64(), 123456789.125, "123456789.125"),
        (pa.float64(), 3.0, "3"),
        (pa.float32(), 0.1, "0.1"),
        (pa.float32(), 1e-7, "0.0000001"),
        (pa.large_string(), "x", "x"),
    ],
)
def test_a_value_of_any_type_has_one_text(tmp_path: Path, kind: pa.DataType, value: Any, written: str) -> None:
    rows = [[value], [None]]
    assert rendered(tmp_path, rows, kind, header=False, null_text="-").decode() == f"{written}\n-\n"
    assert rendered(tmp_path, rows, kind, header=False, null_text="-", quoting="all").decode() == f'"{written}"\n-\n'
    assert rendered(tmp_path, rows, kind, header=False, null_text="-", escape="backslash").decode() == f"{written}\n-\n"


def test_two_row_groups_with_nulls_among_numbers_stay_in_their_rows(tmp_path: Path) -> None:
    rows = [[1.5, "a"], [None, "b"], [None, "c"], [2.0, "d"], [None, "e"]]
    assert rendered(tmp_path, rows, pa.float64(), TEXT, header=False) == b"1.5,a\n,b\n,c\n2,d\n,e\n"


def test_only_exported_rows_are_written(tmp_path: Path) -> None:
    rows: list[tuple[Row, str]] = [(["1"], "excluded: missing_email"), (["2"], E), (["3"], D), (["4"], E)]
    snapshot = staged(tmp_path, [rows], [TEXT])
    assert b"".join(render(snapshot, Slice(0, 2), mapped(TEXT), FileConfig())) == b"a\n2\n4\n"


@pytest.mark.parametrize("rows_per_group", [1, 2, 3, 100])
@pytest.mark.parametrize("max_rows", [1, 2, 3, 4, 7, 100])
def test_slices_go_over_files_and_row_groups(tmp_path: Path, rows_per_group: int, max_rows: int) -> None:
    outcomes = [[E, E, D], [], [D], [E, D, E, E], [E, E]]
    numbers = iter(range(100))
    files: list[list[tuple[Row, str]]] = [[([str(next(numbers))], outcome) for outcome in file] for file in outcomes]
    snapshot = staged(tmp_path, files, [TEXT], rows_per_group)
    _, (cuts,) = counts.slices(snapshot.batches(counts.COUNTED), max_rows)
    parts = [b"".join(render(snapshot, cut, mapped(TEXT), FileConfig(header=False))).decode().split() for cut in cuts]
    exported = ["0", "1", "4", "6", "7", "8", "9"]
    assert parts == [exported[n : n + max_rows] for n in range(0, len(exported), max_rows)]


def test_small_files_read_each_row_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file read whole groups again: a million rows in files of a hundred were a million rows ten thousand times."""
    outcomes = [E, D, E, E, E] * 40
    snapshot = staged(tmp_path, [[([str(number)], outcome) for number, outcome in enumerate(outcomes)]], [TEXT], rows_per_group=50)
    _, (cuts,) = counts.slices(snapshot.batches(counts.COUNTED), 3)
    reads, read = [], pl.scan_parquet
    monkeypatch.setattr(pl, "scan_parquet", lambda *given, **named: reads.append(1) or read(*given, **named))
    shared = LastRead()
    parts = [b"".join(render(snapshot, cut, mapped(TEXT), FileConfig(header=False), shared=shared)).decode().split() for cut in cuts]
    exported = [str(number) for number, outcome in enumerate(outcomes) if outcome == E]
    assert parts == [exported[n : n + 3] for n in range(0, len(exported), 3)]
    assert len(reads) == 4


def test_threads_that_want_one_row_group_wait_for_one_reading() -> None:
    shared, reads = LastRead(), list[str]()

    def read(name: str) -> pl.DataFrame:
        time.sleep(0.05)
        reads.append(name)
        return pl.DataFrame({"name": [name]})

    with ThreadPoolExecutor(8) as pool:
        taken = [*pool.map(lambda name: shared.taken((name,), lambda: read(name))["name"][0], "aaaaaaaa")]
    assert (taken, reads) == (["a"] * 8, ["a"])
    with pytest.raises(OSError, match="gone"):
        shared.taken(("b",), _fail)
    assert shared.taken(("b",), lambda: read("b"))["name"][0] == "b"  # what could not be read is not taken for read


def _fail() -> pl.DataFrame:
    raise OSError("gone")


def test_each_part_has_the_header_and_the_byte_order_mark(tmp_path: Path) -> None:
    snapshot = staged(tmp_path, [[(["1"], E), (["2"], E)]], [TEXT])
    parts = [b"".join(render(snapshot, Slice(n, 1), mapped(TEXT), FileConfig(encoding="utf-8-sig"))) for n in range(2)]
    assert parts == [b"\xef\xbb\xbfa\n1\n", b"\xef\xbb\xbfa\n2\n"]


def test_a_file_without_rows_is_a_header(tmp_path: Path) -> None:
    snapshot = staged(tmp_path, [], [TEXT])
    assert b"".join(render(snapshot, Slice(0, 0), mapped(TEXT), FileConfig())) == b"a\n"
    assert b"".join(render(snapshot, Slice(0, 0), mapped(TEXT), FileConfig(header=False))) == b""


def test_a_snapshot_with_fewer_rows_than_planned_is_an_error(tmp_path: Path) -> None:
    snapshot = staged(tmp_path, [[(["1"], E), (["2"], D)]], [TEXT])
    with pytest.raises(CourierError, match=r"fewer rows than were planned\. Found: 2 rows are missing"):
        list(render(snapshot, Slice(0, 3), mapped(TEXT), FileConfig()))


def test_a_column_that_could_make_blank_lines_is_refused_when_it_is_alone() -> None:
    with pytest.raises(ConfigError, match="A file of one column cannot show null as an empty line"):
        assert_writable(FileConfig(), mapped(TEXT))
    assert_writable(FileConfig(null_text="NULL"), mapped(TEXT))
    assert_writable(FileConfig(), mapped(TEXT, mandatory=True))
    assert_writable(FileConfig(), mapped(TEXT, TEXT))


def test_an_empty_text_that_is_shown_as_nothing_is_refused_in_the_only_column() -> None:
    with pytest.raises(ConfigError, match="cannot show empty as an empty line"):
        assert_writable(FileConfig(null_text="NULL", empty_text=""), mapped(TEXT))


AWKWARD = st.text(
    alphabet=st.one_of(st.sampled_from(list(',;\t|"\\\r\n \u00a0\ufeffé👩N=\u2028')), st.characters(exclude_categories=["Cs"])), max_size=12
)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(st.none() | AWKWARD, min_size=width, max_size=width), min_size=1, max_size=6)
)


def lines(rows: list[list[str | None]], **keys: Any) -> bytes:
    columns = {f"c{n}": [row[n] for row in rows] for n in range(len(rows[0]))}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Dialect(FileConfig(header=False, **keys), list(columns)).lines(frame)[0]


@given(
    rows=TABLES,
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    end=st.sampled_from(["lf", "crlf"]),
    quoting=st.sampled_from(["minimal", "all"]),
)
def test_pythons_csv_reads_back_what_was_written(rows: list[list[str | None]], delimiter: str, end: str, quoting: str) -> None:
    text = lines(rows, delimiter=delimiter, line_ending=end, quoting=quoting).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    assert read == [[value or "" for value in row] for row in rows]


@given(rows=TABLES, delimiter=st.sampled_from([",", "\t", ";"]), quoting=st.sampled_from(["minimal", "all"]))
def test_pythons_csv_reads_back_what_was_written_with_backslashes(rows: list[list[str | None]], delimiter: str, quoting: str) -> None:
    text = lines(rows, delimiter=delimiter, quoting=quoting, escape="backslash").decode()
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, doublequote=False, escapechar="\\", strict=True))
    assert read == [[value or "" for value in row] for row in rows]


@given(rows=TABLES, delimiter=st.sampled_from([",", "\t", "|"]))
def test_quoting_by_expressions_gives_the_bytes_of_the_writer(rows: list[list[str | None]], delimiter: str) -> None:
    columns = {f"c{n}": [row[n] for row in rows] for n in range(len(rows[0]))}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    by_expressions = Dialect(FileConfig(header=False, delimiter=delimiter), list(columns))
    by_expressions._writer_quotes = False
    assert by_expressions.lines(frame)[0] == lines(rows, delimiter=delimiter)


@given(rows=TABLES)
def test_pandas_reads_back_what_was_written_and_tells_null_from_empty(rows: list[list[str | None]]) -> None:
    rows = [[None if value is None else value.replace("\x00", "0") for value in row] for row in rows]
    text = lines(rows, null_text="<null>")
    read = pd.read_csv(io.BytesIO(text), header=None, dtype=str, keep_default_na=False, na_values=["<null>"], skip_blank_lines=False)
    assert [[None if pd.isna(value) else value for value in row] for row in read.to_numpy().tolist()] == rows


@settings(max_examples=50)
@given(rows=TABLES, quoting=st.sampled_from(["minimal", "all"]))
def test_duckdb_reads_back_what_was_written_and_tells_null_from_empty(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str | None]], quoting: str
) -> None:
    rows = [[None if value is None else value.replace("\x00", "0") for value in row] for row in rows]
    path = tmp_path_factory.mktemp("duckdb") / "x.csv"
    path.write_bytes(lines(rows, quoting=quoting))
    columns = {f"c{n}": "VARCHAR" for n in range(len(rows[0]))}
    read = duckdb.connect().execute(
        "SELECT * FROM read_csv($path, header=false, columns=$columns, delim=',', quote='\"', escape='\"', new_line='\\n', "
        "nullstr='', allow_quoted_nulls=false, auto_detect=false, parallel=false)",
        {"path": str(path), "columns": columns},
    )
    assert [list(row) for row in read.fetchall()] == rows
