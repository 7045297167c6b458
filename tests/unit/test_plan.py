"""The plan: the names of files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from courier import plan
from courier.compose import load
from courier.config import AudienceConfig, RunConfig
from courier.errors import ConfigError
from courier.names import assert_distinct
from courier.plan import PlannedFile
from courier.rows.counts import Slice

BASE = load(["activation=demo", "run_id=r1", "as_of=2026-11-01T09:30:15Z"], now=datetime(2026, 11, 1, tzinfo=UTC))


def config(*segments: tuple[str, str], **file: Any) -> RunConfig:
    """A run of these (segment id, name), with these keys of `file`."""
    entries = [{"id": segment, "name": name} for segment, name in segments or (("seg-a", "spring"),)]
    return replace(BASE, audience=AudienceConfig(entries), file=replace(BASE.file, **file))


def names(name: str, parts: int = 1, **file: Any) -> list[str]:
    return [file.name for file in plan.planned_files(config(name=name, **file), 0, [[Slice(n, 1) for n in range(parts)]])]


def test_parts_are_numbered_as_adobe_numbers_them() -> None:
    assert names("{segment_name}", parts=3) == ["spring.csv", "spring_2.csv", "spring_3.csv"]


@pytest.mark.parametrize(
    ("file", "endings"),
    [
        ({"compression": "gzip"}, [".csv.gz", "_2.csv.gz"]),
        ({"compression": "zstd"}, [".csv.zst", "_2.csv.zst"]),
        ({"compression": "zip"}, [".zip", "_2.zip"]),
        ({"encrypt_to": ["acme.asc"]}, [".csv.gpg", "_2.csv.gpg"]),
        ({"encrypt_to": ["acme.asc"], "compression": "gzip"}, [".csv.gz.gpg", "_2.csv.gz.gpg"]),
        ({"encrypt_to": ["acme.asc"], "compression": "gzip", "final_extension": "pgp"}, [".pgp", "_2.pgp"]),
    ],
)
def test_the_number_of_a_part_stands_before_all_extensions(file: dict[str, Any], endings: list[str]) -> None:
    assert names("{segment_name}", parts=2, **file) == [f"spring{ending}" for ending in endings]


def test_the_part_can_be_placed_in_the_name() -> None:
    assert names("{segment_name}-{part}-of-{parts}", extension="txt", parts=2) == [
        "spring-1-of-2.txt",
        "spring-2-of-2.txt",
    ]


def test_the_number_of_parts_alone_does_not_tell_two_parts_apart() -> None:
    assert names("{segment_name}-of-{parts}", parts=2) == ["spring-of-2.csv", "spring-of-2_2.csv"]


def test_every_placeholder_has_its_value() -> None:
    template = "{activation} {destination} {segment_id} {segment_name} {datetime} {date} {timestamp} {run_id} {mode}"
    assert names(template) == ["demo local seg-a spring 20261101_093015 20261101 1793525415 r1 full.csv"]


def test_a_name_may_have_no_extension() -> None:
    assert names("{segment_name}", extension="") == ["spring"]


def test_an_empty_audience_gives_a_file_with_no_rows_or_none() -> None:
    assert plan.planned_files(config(name="x"), 0, [[]]) == [PlannedFile("x.csv", 0, 1, 1, Slice(0, 0))]
    assert plan.planned_files(config(name="x", on_empty="skip"), 0, [[]]) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "{segmentname}",
            "file.name has an unknown placeholder. Found: {segmentname}. What to do: did you mean 'segment_name'?",
        ),
        ("{}", "file.name has an unknown placeholder. Found: {}."),
        ("a{date", "file.name has a brace that belongs to no placeholder. Found: a{date."),
        ("a}", "file.name has a brace that belongs to no placeholder."),
        ("../{date}", "A file name could leave the target folder, or be hidden in it."),
        ("a/b", "A file name could leave the target folder"),
        (".{date}", "A file name could leave the target folder"),
        (" {date}", "A file name could leave the target folder"),
        ("", "A file name could leave the target folder"),
        ("x" * 252, "A file name is too long. Where: file.name. Found: 256 bytes. Expected: at most 255."),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_before_any_work(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan.check_names(config(name=name))
    assert str(caught.value).startswith(message)


def test_two_audiences_in_one_file_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Two audiences would be written to one file\. Found: 20261101\.csv\."):
        plan.check_names(config(("a", "spring"), ("b", "summer"), name="{date}"))
    plan.check_names(config(("a", "spring"), ("b", "summer"), name="{segment_name}"))


def test_two_audiences_whose_files_are_one_on_windows_and_macos_are_refused() -> None:
    with pytest.raises(ConfigError, match="Two audiences would be written to one file"):
        plan.check_names(config(("a", "Spring"), ("b", "spring"), name="{segment_name}"))


def test_a_second_part_that_would_have_another_audiences_name_is_refused() -> None:
    run = config(("a", "spring"), ("b", "Spring_2"), name="{segment_name}")
    files = [*plan.planned_files(run, 0, [[Slice(0, 1), Slice(1, 1)]]), *plan.planned_files(run, 1, [[Slice(0, 1)]])]
    with pytest.raises(ConfigError, match="Two files would have one name"):
        assert_distinct([file.name for file in files])
    assert_distinct([files[1].name])


def test_the_names_that_later_parts_would_have() -> None:
    later = plan.later_parts(config(name="{segment_name}"), 0, 2, None)
    assert [next(later), next(later)] == ["spring_3.csv", "spring_4.csv"]


@pytest.mark.parametrize(
    ("name", "compression", "said"),
    [
        ("x.csv", "none", "file.name ends with .csv, to which .csv is added"),
        ("X.CSV", "gzip", "file.name ends with .csv, to which .csv.gz is added"),
        ("x.csv.gz", "gzip", "file.name ends with .csv.gz, to which .csv.gz is added"),
        ("x", "gzip", None),
        ("csv", "none", None),
    ],
)
def test_a_name_that_has_its_ending_already_is_a_warning(name: str, compression: str, said: str | None) -> None:
    found = plan.warnings(config(name=name, compression=compression))
    assert [text.partition(":")[0] for text in found] == ([said] if said else [])
    assert plan.warnings(config(name="x.csv", extension="")) == []
