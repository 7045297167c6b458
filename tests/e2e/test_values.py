"""What a user sees of values that a file cannot hold: nothing delivered, or what was changed, counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from activation import activate, run_job
from targets import Target
from xdm_profiles import profile, write_profiles

SEGMENTS = "audience.segments=[seg-a]"
CITIES = ["Łódź", "Åre, Jämtland", None, "Two\nlines", "Győr\n\n", "=1+1"]
NO_QUOTES = ["file.quoting=none", "file.empty_text=''"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One member for each of `CITIES`, a@… to f@…"""
    membership = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
    rows = [profile(email=f"{letter}@example.com", city=city, segments=membership) for letter, city in zip("abcdef", CITIES, strict=True)]
    write_profiles(tmp_path / "profiles", rows, files=2)
    return tmp_path


@pytest.mark.parametrize("kind", ["local", "s3", "sftp_password_rclone"])
def test_a_value_that_cannot_be_written_holds_all_files_back(folder: Path, make_target: Callable[[str], Target], kind: str) -> None:
    target = make_target(kind)
    # The first file could be written; the second could not.
    job = activate(folder, SEGMENTS, *NO_QUOTES, "file.max_rows=1", "file.compression=gzip", *target.overrides())
    job.refused(3, "file.quoting=none", "column 'city' 1", "file.on_special=replace")
    assert "Jämtland" not in job.stderr
    record = job.record()
    assert (record["status"], record["error"]["type"], record["audiences"][0]["files"]) == ("held", "HeldError", [])
    assert target.everything() == {}
    again = activate(folder, SEGMENTS, *NO_QUOTES, "file.max_rows=1", "file.on_special=replace", *target.overrides()).succeeded()
    assert len(again.record()["audiences"][0]["files"]) == 6


def test_preflight_tells_what_would_hold_the_files_back(folder: Path) -> None:
    job = run_job("preflight.py", folder, SEGMENTS, "file.encoding=iso-8859-1")
    assert job.code == 3, job.stderr
    (paragraph,) = job.said()
    assert "characters that iso-8859-1 has not" in paragraph
    assert "column 'city' 2" in paragraph
    assert "    exported                               6\n" in job.stdout
    assert job.delivered() == {}


def test_what_was_changed_is_counted_for_each_file_and_told_for_each_column(folder: Path) -> None:
    rules = ["file.encoding=cp1252", "file.on_unencodable=transliterate", "file.newlines=replace", "file.formula_guard=prefix"]
    job = activate(folder, SEGMENTS, "file.max_rows=4", *rules).succeeded()
    assert b"".join(job.files().values()).count(b"'=1+1") == 1
    record = job.record()
    assert [file["notes"] for file in record["audiences"][0]["files"]] == [
        {"city": {"unencodable_characters_transliterated": 1, "line_ends_replaced": 1}},
        {"city": {"unencodable_characters_transliterated": 1, "line_ends_replaced": 1, "formulas_prefixed": 1}},
    ]
    assert [text for text in record["warnings"] if "is empty" not in text] == [
        "column 'city': formulas prefixed in 1 rows",
        "column 'city': line ends replaced in 2 rows",
        "column 'city': unencodable characters transliterated in 2 rows",
    ]
    assert "  warning: column 'city': line ends replaced in 2 rows\n" in job.stdout


def test_the_report_shows_the_shape_of_the_first_lines_in_their_encoding(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "file.encoding=utf-16", "file.delimiter='||'").succeeded()
    assert "    x@xxxxxxx.xxx||||xxxx||xxx||xxxx||||||\n" in job.stdout
    (content,) = job.files().values()
    assert content.decode("utf-16").startswith("email||phone||")


@pytest.mark.parametrize("job", ["activate.py", "preflight.py"])
def test_a_terminal_obeys_nothing_that_a_value_or_a_name_has(folder: Path, job: str) -> None:
    row = profile(email="a@example.com", city="\x1b[31mRiga\x9b2J\r\u202e", segments={"ups": {"seg-a": ("realized", None, None)}})
    write_profiles(folder / "profiles", [row])
    done = run_job(job, folder, 'audience.segments=[{id: seg-a, name: "spring\x1b]0;"}]').succeeded()
    assert '"?[99xxxxx?9x' in done.stdout
    assert "spring?]0;" in done.stdout
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & {*done.stdout, *done.stderr}


def test_preflight_shows_masked_lines_in_their_encoding(folder: Path) -> None:
    job = run_job("preflight.py", folder, SEGMENTS, "file.encoding=utf-16").succeeded()
    assert "    email,phone,first_name,last_name,city,state,postal_code,birthday\n" in job.stdout
    assert "    x@xxxxxxx.xxx,,xxxx,xxx,xxxx,,,\n" in job.stdout


def test_long_values_fit_into_little_memory(folder: Path) -> None:
    """Rows are taken by their bytes: by their number alone, what sorts hand on was larger than all that they may hold."""
    membership = {"ups": {"seg-a": ("realized", None, None)}}
    write_profiles(folder / "profiles", [profile(email=f"{n}@x.com", last_name=f"{n} " * 20_000, segments=membership) for n in range(1500)])
    job = activate(folder, SEGMENTS, "engine.driver_memory=256m").succeeded()
    (content,) = job.files().values()
    assert content.count(b"@x.com") == 1500
    assert max(map(len, job.stdout.splitlines())) < 1100
