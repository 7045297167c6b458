"""Copies of rows do not outlive the process that made them for longer than until the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from courier.state.scratch import scratch_folder

HOLDER = """
import sys
from courier.state.scratch import scratch_folder
folder = scratch_folder(sys.argv[1])
(folder / "rows.parquet").write_text("rows")
print(folder, flush=True)
sys.stdin.read()
"""


def started(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a folder with rows, until its standard input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_goes_with_its_process(tmp_path: Path) -> None:
    process, folder = started(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    process.communicate("")
    assert not folder.exists()


def test_that_of_a_killed_process_goes_at_the_next_start_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    killed, left = started(tmp_path)
    killed.kill()
    killed.communicate()
    assert (left / "rows.parquet").exists()
    living, kept = started(tmp_path)
    assert not left.exists()
    mine = scratch_folder(str(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([kept, mine])
    assert (kept / "rows.parquet").exists()
    living.communicate("")


@pytest.mark.parametrize("name", ["courier-work-of-somebody", "other"])
def test_what_has_no_lock_is_not_touched(tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.mkdir()
    (other / "file").write_text("x")
    scratch_folder(str(tmp_path))
    assert (other / "file").exists()


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    lock = tmp_path / "elsewhere"
    lock.touch()
    trap = tmp_path / "courier-work-trap"
    trap.mkdir()
    (trap / ".alive").symlink_to(lock)
    scratch_folder(str(tmp_path))
    assert trap.exists()
