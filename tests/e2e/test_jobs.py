"""The jobs and make's targets where a user does not start them as meant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from activation import JOBS, start_job

ROOT = JOBS.parent


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda job: job.name)
def test_a_python_without_the_project_is_answered_with_the_right_one(job: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", str(job)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "No module named 'courier'. Run `make install` once (after moving this folder: rm -r .venv first), and start this with .venv/bin/python."
    )


@pytest.mark.parametrize("count", ["-5", "0"])
def test_a_sample_has_one_profile_or_more(tmp_path: Path, count: str) -> None:
    job = start_job("make_profiles.py", tmp_path, "profiles", "--profiles", count)
    assert (job.code, job.stdout) == (2, "")
    assert f"at least 1 is needed, not {count}" in job.stderr
    assert not (tmp_path / "profiles").exists()


def test_a_seed_that_cannot_be_is_named(tmp_path: Path) -> None:
    job = start_job("make_profiles.py", tmp_path, "profiles", "--seed", "-5")
    assert (job.code, job.stdout) == (2, "")
    assert "--seed: a number of at least 0 is needed, not -5" in job.stderr


def test_a_sample_is_written_also_where_nothing_can_be_printed(tmp_path: Path) -> None:
    command = f"'{sys.executable}' '{JOBS / 'make_profiles.py'}' profiles --profiles 10 >/dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sample_that_cannot_be_written_is_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    job = start_job("make_profiles.py", tmp_path, "file/profiles")
    assert (job.code, job.stdout) == (2, "")
    assert job.stderr.startswith("The profiles cannot be written to file/profiles: ")
    assert "Traceback" not in job.stderr


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda job: job.name)
def test_ctrl_c_in_the_first_second_is_no_traceback(job: Path, tmp_path: Path) -> None:
    """While the modules are loaded."""
    (tmp_path / "courier").mkdir()
    (tmp_path / "courier" / "__init__.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, str(job)], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped before the beginning.\n")


@pytest.mark.parametrize("job", ["activate.py", "preflight.py"])
def test_the_composed_configuration_is_shown_and_nothing_is_run(job: str, tmp_path: Path) -> None:
    done = start_job(job, tmp_path, "activation=demo", "--show-config", "file=txt", "destination.path=elsewhere").succeeded()
    shown = yaml.safe_load(done.stdout)
    assert (shown["file"]["delimiter"], shown["destination"]["path"]) == ("\t", "elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    """Of a pipe that nobody reads any more."""
    command = [sys.executable, str(JOBS / "activate.py"), "activation=demo", "--show-config"]
    job = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout is not None
    assert job.stderr is not None
    job.stdout.close()
    said = job.stderr.read()
    assert (job.wait(), said) == (0, "")


def test_a_locale_without_the_letters_of_a_name_is_no_error(tmp_path: Path) -> None:
    """It would end a run that has published with exit code 1, and a scheduler would start another."""
    name = "audience.segments=[{id: a, name: 'Vår'}]"
    shown = start_job("activate.py", tmp_path, "activation=demo", "--show-config", name, PYTHONIOENCODING="ascii").succeeded().stdout
    assert "name: V\\xe5r" in shown


@pytest.mark.parametrize(
    ("code", "override", "before", "after"),
    [
        (0, "file=txt", "", ">/dev/full"),
        (0, "file=txt", "", ">&-"),
        (0, 'audience.segments=[{id: a, name: "ä"}]', "PYTHONIOENCODING=ascii", ""),
        (2, "file=nothing", "", "2>/dev/full"),
        (2, "file=nothing", "", ">&- 2>&-"),
    ],
)
def test_the_exit_code_is_true_also_where_nothing_can_be_printed(tmp_path: Path, code: int, override: str, before: str, after: str) -> None:
    """As on a full disk of logs: who takes what was published for failed sends it twice."""
    command = f"{before} '{sys.executable}' '{JOBS / 'activate.py'}' activation=demo --show-config '{override}' {after}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")


def test_make_says_that_the_sample_is_there_already(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("bin/python", ".installed"):
        (tmp_path / ".venv" / name).touch()
    (tmp_path / "data" / "profiles").mkdir(parents=True)
    done = subprocess.run(["make", "profiles", "PROFILES=9"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "data/profiles is there already, and stays as it is. To write others: rm -r data/profiles" in done.stdout
