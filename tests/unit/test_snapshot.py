"""A snapshot's files follow each other in the order of the key, and hold what can be written, or the run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from courier.engine import Engine
from courier.errors import CourierError, SourceError
from courier.mapping import MappedColumn, Mapping
from courier.render.dialect import as_text
from courier.rows import footers, snapshot
from courier.rows.snapshot import AudienceSnapshot
from courier.state.place import Place


class Rows:
    """What an engine's DataFrame does when it is written: here, files that are ready."""

    def __init__(self, *files: list[Any]) -> None:
        self.files, self.write = files, self

    def partitionBy(self, _: str) -> Rows:  # noqa: N802  the engine's name
        return self

    def option(self, *_: str) -> Rows:
        return self

    def parquet(self, url: str) -> None:
        folder = Path(url.removeprefix("file://")) / "audience=0"
        folder.mkdir(parents=True)
        for number, values in enumerate(self.files):
            pq.write_table(pa.table({"c0": values}), folder / f"part-{number}.parquet", row_group_size=2)


#: Writes to the paths that it is told.
DISK = Engine(None, "sail", one_machine=True)  # no session is needed
LONG = "x" * 64


@pytest.mark.parametrize(
    "files",
    [
        [["a", "b", "c"], ["c", "d"]],
        [[None, None], ["a"], [None], ["b"]],
        [["a", "é"], ["日本"]],
        [[1, 2], [10]],
        [[LONG + "b"], [LONG + "a"]],
    ],
)
def test_files_in_order_are_taken(tmp_path: Path, files: list[list[Any]]) -> None:
    (staged,) = snapshot.stage(Rows(*files), Place(str(tmp_path / "snapshot")), 1, DISK, "c0")  # all that is asked of it
    assert staged.rows == sum(len(values) for values in files)


@pytest.mark.parametrize(
    ("kind", "most", "beyond"),
    [
        (pa.date32(), 91_500_000, 2**30),
        (pa.date32(), -91_500_000, -(2**30)),
        (pa.timestamp("us", "UTC"), 7_905_600_000_000_000_000, 2**63 - 1),
    ],
)
def test_a_date_that_cannot_be_written_is_an_error_of_the_source(tmp_path: Path, kind: pa.DataType, most: int, beyond: int) -> None:
    """It ended the delivery with a traceback."""
    columns = Mapping(
        [MappedColumn("email", "c0", "personalEmail.address", pa.string()), MappedColumn("born", "c1", "birthDate", kind)], []
    )
    for name, value in (("written", most), ("not", beyond)):
        rows = pa.table({"c0": ["a", "b"], "c1": pa.array([0, value], kind)})
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    frame = pl.from_arrow(pq.read_table(tmp_path / "written.parquet"))
    assert isinstance(frame, pl.DataFrame)
    assert frame.select(as_text("c1", frame.schema["c1"]))["c1"][1].startswith(("+252", "-248"))
    footers.assert_dates(AudienceSnapshot(0, [tmp_path / "written.parquet"]).footers, columns)
    with pytest.raises(SourceError) as caught:
        footers.assert_dates(AudienceSnapshot(0, [tmp_path / "written.parquet", tmp_path / "not.parquet"]).footers, columns)
    assert str(caught.value).startswith(
        "The column 'born' has a date that is out of range. Where: birthDate. Expected: years up to 250,000."
    )


@pytest.mark.parametrize("files", [[["b"], ["a"]], [["a", "c"], ["b", "d"]], [["c", "d", "a", "b"]], [[10], [2]]])
def test_files_out_of_order_end_the_run(tmp_path: Path, files: list[list[Any]]) -> None:
    with pytest.raises(CourierError, match="did not keep the rows in order"):
        snapshot.stage(Rows(*files), Place(str(tmp_path / "snapshot")), 1, DISK, "c0")  # all that is asked of it


def test_wide_rows_come_in_small_frames(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"c0": [f"{number} " * 1_000_000 for number in range(40)]}), path)
    frames = [len(frame) for frame in AudienceSnapshot(0, [path]).frames(["c0"], first_row=1)]
    assert sum(frames) == 39
    assert max(frames) < 20
