"""Profiles as others write them, on both engines."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_runs import EXPORTED, member, run_rows
from xdm_profiles import write_profiles

from courier.config import ConsentConfig, SourceConfig
from courier.engine import Engine
from courier.errors import SourceError
from courier.source import profiles

EMAIL = {"email": "personalEmail.address"}

#: Of a column of structs: none can be mapped. Spark reads no file that has one of the first five, where it is not told what to read.
UNREADABLE = {
    "uuid": pa.array([b"0123456789abcdef"], pa.uuid()),
    "time": pa.array([1], pa.time32("ms")),
    "half": pa.array([1.5], pa.float16()),
    "nanoseconds": pa.array([1], pa.timestamp("ns")),
    "digits": pa.array([1], pa.decimal256(70, 2)),
    "binary": pa.array([b"\xff"]),
    "nothing": pa.nulls(1),
    "pair": pa.array([[1, 2]], pa.list_(pa.int32(), 2)),
    "category": pa.array(["x"]).dictionary_encode(),
}


@pytest.mark.parametrize("inside", [False, True])
def test_columns_that_no_engine_reads_do_no_harm_beside_others(engine: Engine, tmp_path: Path, inside: bool) -> None:
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member(email="1")]))
    names, arrays = list(UNREADABLE), list(UNREADABLE.values())
    more = [pa.StructArray.from_arrays(arrays, names)] if inside else arrays
    for name, array in zip(["more"] if inside else names, more, strict=True):
        table = table.append_column(name, array)
    pq.write_table(table, tmp_path / "profiles" / "profiles-00000.parquet")
    assert run_rows(engine, tmp_path, tmp_path / "profiles", EMAIL).rows() == [("1", EXPORTED)]


def test_categories_are_texts(engine: Engine, tmp_path: Path) -> None:
    """As pandas has them. In the file they are texts, which is all that Spark sees; Sail goes by what the writer says of them."""
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member(email="1"), member(email="2", consent="n")]))
    choice = pa.StructArray.from_arrays([pa.array(["y", "n"]).dictionary_encode()], ["val"])
    consents = pa.StructArray.from_arrays([pa.StructArray.from_arrays([choice], ["email"])], ["marketing"])
    table = table.set_column(table.schema.get_field_index("consents"), "consents", consents)
    pq.write_table(table, tmp_path / "profiles" / "profiles-00000.parquet")
    if engine.kind == "sail":
        with pytest.raises(SourceError, match=r"'consents\.marketing\.email\.val' is of a type that Sail does not read"):
            profiles.assert_read_by_sail(profiles.inspect(SourceConfig(str(tmp_path / "profiles"))), ["consents.marketing.email.val"])
        return
    staged = run_rows(engine, tmp_path, tmp_path / "profiles", EMAIL, consents=ConsentConfig())
    assert staged.rows() == [("1", EXPORTED), ("2", "excluded: no_consent")]


def test_a_text_that_is_not_in_utf_8_is_refused(engine: Engine, tmp_path: Path) -> None:
    """Spark reads and writes it as it is; the run ended in a traceback."""
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member(email="1"), member(email="2")]))
    cut = pa.array([b"Jos\xe9", b"Jo"])
    names = pa.Array.from_buffers(pa.string(), len(cut), cut.buffers())
    pq.write_table(table.append_column("name", names), tmp_path / "profiles" / "profiles-00000.parquet")
    with pytest.raises(SourceError, match=r"(?i)utf-8"):
        run_rows(engine, tmp_path, tmp_path / "profiles", {**EMAIL, "name": "name"}).file()


def test_a_file_that_the_engine_cannot_read_is_told(engine: Engine, tmp_path: Path) -> None:
    """Of Spark nothing was told but the name of Python's exception."""
    table = pq.read_table(write_profiles(tmp_path / "profiles", [member()]))
    file = tmp_path / "profiles" / "profiles-00000.parquet"
    pq.write_table(table, file, use_dictionary=False, column_encoding={"loyalty.points": "BYTE_STREAM_SPLIT"})
    config = {"email": "personalEmail.address", "points": "loyalty.points"}
    if engine.kind == "sail":
        assert run_rows(engine, tmp_path, tmp_path / "profiles", config).rows() == [("jane@example.com", None, EXPORTED)]
        return
    with pytest.raises(SourceError) as caught:
        run_rows(engine, tmp_path, tmp_path / "profiles", config)
    assert (caught.value.where, caught.value.found) == (str(file), "SparkUnsupportedOperationException from the engine")
    assert "an encoding of the file" in str(caught.value.fix)
