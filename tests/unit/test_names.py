"""Macros in both spellings, layouts of times, and names that every server takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courier import layouts, names, plan
from courier.compose import load
from courier.config import AudienceConfig, LocalConfig, RunConfig, S3Config, SftpConfig, TriggerConfig, parse_as_of
from courier.delivery import manifest
from courier.destinations.base import ASIDE, hidden_name
from courier.errors import ConfigError
from courier.rows.counts import Slice

NOW = datetime(2026, 11, 1, 9, 30, 15, tzinfo=UTC)
BASE = load(["activation=demo", "run_id=r1", "as_of=2026-11-01T09:30:15Z"], now=NOW)


def config(name: str = "{segment_name}", path: str = "out", *, segment: str = "spring", s3: bool = False, **changes: Any) -> RunConfig:
    """A run of one segment with this name, to a folder or to S3."""
    audience = AudienceConfig([{"id": "seg-a", "name": segment}], organization="Acme, Inc.", sandbox="prod")
    destination = S3Config(kind="s3", bucket="b", path=path) if s3 else LocalConfig("local", "acme", path, id="d-17")
    return replace(BASE, audience=audience, file=replace(BASE.file, name=name), destination=destination, **changes)


def named(run: RunConfig, parts: int = 1) -> list[str]:
    plan.check_names(run)
    return [file.name for file in plan.planned_files(run, 0, [[Slice(n, 1) for n in range(parts)]])]


def refused(run: RunConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        plan.check_names(run)
    return str(caught.value)


# Macros


@pytest.mark.parametrize(
    ("adobes", "ours", "name"),
    [
        ("%DESTINATION_NAME%", "{destination}", "acme"),
        ("%DESTINATION%", "{destination}", "acme"),
        ("%DESTINATION_INSTANCE_NAME%", "{destination}", "acme"),
        ("%DESTINATION_INSTANCE_ID%", "{destination_id}", "d-17"),
        ("%SEGMENT_ID%", "{segment_id}", "seg-a"),
        ("%SEGMENT_NAME%", "{segment_name}", "spring"),
        ("%ORGANIZATION_NAME%", "{organization}", "Acme, Inc_"),
        ("%SANDBOX_NAME%", "{sandbox}", "prod"),
        ("%TIMESTAMP%", "{timestamp}", "1793525415"),
        ("%DATETIME%", "{datetime}", "20261101_093015"),
        ("%DATETIME(YYYYMMdd_HHmmss)%", "{datetime:YYYYMMdd_HHmmss}", "20261101_093015"),
        ("%DATETIME(MMDDYYYY_HHMMSS)%", "{datetime:MMDDYYYY_HHMMSS}", "11012026_093015"),
        ("summer %SEGMENT_ID%-%SEGMENT_NAME%", "summer {segment_id}-{segment_name}", "summer seg-a-spring"),
    ],
)
def test_adobes_spelling_and_ours_are_the_same(adobes: str, ours: str, name: str) -> None:
    assert named(config(adobes)) == named(config(ours)) == [f"{name}.csv"]


def test_adobes_own_template_gives_adobes_name() -> None:
    run = config("%DESTINATION_NAME%_segment%SEGMENT_ID%_%DATETIME(yyyymmddhhmmss)%")
    assert named(run, parts=2) == ["acme_segmentseg-a_20261101093015.csv", "acme_segmentseg-a_20261101093015_2.csv"]


def test_the_preset_for_cloud_storage_has_adobes_name() -> None:
    file = load(["activation=demo", "file=adobe_cloud", "run_id=r1"], now=NOW).file
    assert named(config(file.name)) == ["acme_segmentseg-a_20261101093015.csv"]


def test_our_own_placeholders() -> None:
    assert named(config("{activation} {run_id} {mode} {part} {parts} {as_of} {date}")) == ["demo r1 full 1 1 20261101T093015Z 20261101.csv"]


def test_every_adobe_macro_is_one_of_ours() -> None:
    assert set(names.ADOBE.values()) <= set(names.PLACEHOLDERS)


def test_part_numbers_can_be_padded_and_take_the_place_of_adobes() -> None:
    assert named(config("{segment_name}-{part:05d}-of-{parts:03d}"), parts=2) == ["spring-00001-of-002.csv", "spring-00002-of-002.csv"]


def test_a_percent_sign_that_belongs_to_no_macro_is_text() -> None:
    assert named(config("100% of {segment_name} 50%")) == ["100% of spring 50%.csv"]


def test_the_destinations_id_is_its_name_where_it_has_none() -> None:
    assert LocalConfig("local", "acme", "out").id == "acme"
    with pytest.raises(ConfigError, match=r"destination\.id cannot be part of a file name\. Found: 'a/b'"):
        LocalConfig("local", "acme", "out", id="a/b")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("%SEGMNT_NAME%", "file.name has an unknown placeholder. Found: %SEGMNT_NAME%. What to do: did you mean 'SEGMENT_NAME'?"),
        ("%segment_name%", "file.name has an unknown placeholder. Found: %segment_name%. What to do: did you mean 'SEGMENT_NAME'?"),
        ("{SEGMENT_NAME}", "file.name has an unknown placeholder. Found: {SEGMENT_NAME}. What to do: did you mean 'segment_name'?"),
        ("a_%CUSTOM_TEXT%", "file.name has an unknown placeholder. Found: %CUSTOM_TEXT%. What to do: write the text itself in its place."),
        ("%MERGE_POLICY_ID%", "file.name has an unknown placeholder. Found: %MERGE_POLICY_ID%. What to do: leave it out: profiles"),
        (
            "{date:yyyy}",
            "file.name has a placeholder that takes no format. Found: {date:yyyy}. What to do: write {date}; {datetime:…} takes",
        ),
        ("%SEGMENT_ID(5)%", "file.name has a placeholder that takes no format. Found: %SEGMENT_ID(5)%."),
        ("{part:5}", "file.name has a number with an unknown format. Found: {part:5}. Expected: {part:05d}: so many digits, 1 to 9."),
        ("{parts:>5}", "file.name has a number with an unknown format. Found: {parts:>5}. Expected: {parts:05d}"),
    ],
)
def test_a_macro_that_cannot_be_is_refused(template: str, message: str) -> None:
    assert refused(config(template)).startswith(message)


@pytest.mark.parametrize(
    ("macro", "key"), [("{organization}", "organization"), ("%ORGANIZATION_NAME%", "organization"), ("%SANDBOX_NAME%", "sandbox")]
)
def test_a_name_that_is_not_set_is_refused_where_it_is_needed(macro: str, key: str) -> None:
    run = config(f"x{macro}")
    message = (
        f"file.name has {macro}, which has no value. Expected: audience.{key}. What to do: set audience.{key}=…, or leave {macro} out."
    )
    assert refused(replace(run, audience=replace(run.audience, organization=" ", sandbox=""))) == message
    plan.check_names(run)


# Layouts of times


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("YYYYMMDD_HHMMSS", "20261101_093015"),
        ("MMDDYYYY_HHMMSS", "11012026_093015"),
        ("YYYYMMdd_HHmmss", "20261101_093015"),
        ("yyyymmddhhmmss", "20261101093015"),
        ("yyyy-MM-dd'T'HHmmss", "2026-11-01T093015"),
        ("yyyy-MM-dd HH:MM", "2026-11-01 09:30"),
        ("HHMMSS", "093015"),
        ("dd.MM.yyyy", "01.11.2026"),
        ("yyyyMM/yyyyMMdd", "202611/20261101"),
        ("yyyy 'o''clock' HH''mm", "2026 o'clock 09'30"),
        ("yyyy'年'MM", "2026年11"),
    ],
)
def test_a_layout(layout: str, text: str) -> None:
    layouts.check("file.name", layout)
    assert layouts.written(layout, NOW) == text


@pytest.mark.parametrize("layout", ["YYYYMMDD_HHMMSS", "yyyyMMdd_HHmmss", "YYYYMMdd_HHmmss"])
@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2024-12-29T00:00:00Z", "20241229_000000"),  # in Java's YYYY of the United States 2025
        ("2024-12-31T23:59:59Z", "20241231_235959"),  # in ISO's weeks 2025
        ("2025-01-01T00:00:00Z", "20250101_000000"),
        ("2026-12-31T23:59:59Z", "20261231_235959"),
        ("2027-01-01T00:00:00Z", "20270101_000000"),  # in ISO's weeks 2026
        ("2027-01-01T00:59:59+01:00", "20261231_235959"),
        ("2026-12-31T20:00:00-05:00", "20270101_010000"),
    ],
)
def test_the_turn_of_the_year_is_the_calendars_and_utc(layout: str, moment: str, text: str) -> None:
    as_of = parse_as_of(moment, NOW)
    assert layouts.written(layout, as_of) == layouts.written(layout, datetime.fromisoformat(moment)) == text
    assert named(config("{datetime} {date}", as_of=as_of)) == [f"{text} {text[:8]}.csv"]


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        ("yyyymmdd", "mm without HH before it. Expected: MM for the month"),
        ("HHMMdd", "MM after HH. Expected: mm for minutes, or the month before the hour"),
        ("yyyyDDD", "DDD"),
        ("YYMMDD", "YY"),
        ("hhmmss", "hh"),
        ("HHmmssSSS", "SSS"),
        ("HHmmssSS", "SS without the minutes before it"),
        ("yyyyMMddTHHmmss", "T. Expected: yyyy, MM, dd, HH, mm and ss, and all other letters in quotes: 'T'"),
        ("yyyyжMM", "ж"),
        ("yyyy'T", "'. Expected: a second quote that ends the text"),
        ("", "at least one of"),
        ("'text'", "at least one of"),
    ],
)
def test_a_layout_with_other_letters_or_two_readings_is_refused(layout: str, found: str) -> None:
    message = refused(config(f"{{datetime:{layout}}}"))
    assert message.startswith(f"The layout '{layout}' of a time cannot be used. Where: file.name, {{datetime:{layout}}}. ")
    assert found in message


# Safe names


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("Spring/Summer", "Spring_Summer"),
        ('a\\b:c*d?e"f<g>h|i', "a_b_c_d_e_f_g_h_i"),
        ("../../etc/passwd", "___.._etc_passwd"),
        ("..", "__"),
        (".hidden", "_hidden"),
        ("Acme Inc. ", "Acme Inc__"),
        (" x", "_x"),
        ("a\tb\nc\x00d\x7f", "a_b_c_d_"),
        ("a\u202eb", "a_b"),
        ("Luxury Audience é 50% & 'more'", "Luxury Audience é 50% & 'more'"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("{date} %SEGMENT_ID%", "{date} %SEGMENT_ID%"),
    ],
)
def test_what_servers_refuse_in_a_segments_name_becomes_an_underscore(segment: str, name: str) -> None:
    assert named(config("{segment_name}", segment=segment)) == [f"{name}.csv"]
    assert named(config("x", "out/%SEGMENT_NAME%", segment=segment)) == [f"{name}/x.csv"]


@given(segment=st.text(min_size=1, max_size=20), name=st.sampled_from(["{segment_name}", "{segment_name}_{date}", "{part}{segment_name}"]))
def test_no_name_of_a_segment_leads_out_of_the_folder(segment: str, name: str) -> None:
    file, trigger = file_and_trigger(config(name, "out/{segment_name}/{segment_name}-{date}", segment=segment))
    for path in (PurePosixPath(file), PurePosixPath(trigger)):
        assert len(path.parts) == 3
        assert not path.is_absolute()
        assert not any(part.startswith(".") or part != part.strip() or set(part) & names.REFUSED for part in path.parts)


def file_and_trigger(run: RunConfig) -> tuple[str, str]:
    """The name of the file of a run, and of its trigger."""
    run = replace(run, trigger=TriggerConfig("file", "{segment_name}-{stem}.done"))
    manifest.check_triggers(run)
    files = plan.planned_files(run, 0, [[Slice(0, 1)]])
    return files[0].name, manifest.closing_names(run, files)[-1]


@pytest.mark.parametrize("sign", [":", "*", "?", '"', "<", ">", "|", "\t", "\x00", "\u202e"])
def test_the_same_signs_in_a_template_are_refused(sign: str) -> None:
    message = refused(config(f"a{sign}{{segment_name}}"))
    assert message.startswith(f"A file name has a sign that some servers refuse or leave out. Where: file.name. Found: {sign!r} in ")
    assert refused(config("x", f"out/a{sign}{{segment_name}}")).startswith("A folder name has a sign that some servers refuse")


def test_a_layout_cannot_bring_such_a_sign_into_a_name() -> None:
    assert "Found: ':' in '09:30.csv'" in refused(config("{datetime:HH:mm}"))
    assert "folders belong into destination.path" in refused(config("{datetime:yyyy/MM}"))


def test_a_dot_at_the_end_is_refused() -> None:
    run = config("{segment_name}.")
    assert refused(replace(run, file=replace(run.file, extension=""))).startswith("A file name has a sign that some servers refuse")


@pytest.mark.parametrize(("first", "second"), [("a/b", "a:b"), ("Straße", "STRASSE"), ("Cafe\u0301", "CAF\u00c9")])
def test_audiences_whose_names_fall_together_are_refused(first: str, second: str) -> None:
    audience = AudienceConfig([{"id": "1", "name": first}, {"id": "2", "name": second}])
    assert "Two audiences would be written to one file" in refused(replace(config("{segment_name}"), audience=audience))
    assert "Two audiences would be written to one file" in refused(replace(config("x", "out/{segment_name}"), audience=audience))
    plan.check_names(replace(config("{segment_id}"), audience=audience))
    plan.check_names(replace(config("x", "out/{segment_name}/{segment_id}"), audience=audience))


def test_a_file_in_the_place_of_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Two files would have one name\. Where: file\.name\. Found: manifest\.json"):
        names.assert_distinct(["Manifest.JSON/a.csv", "manifest.json"])
    with pytest.raises(ConfigError, match="Two files would have one name"):
        names.assert_distinct(["a", "a/b/c"])
    names.assert_distinct(["a/b", "a/c", "b"])


@pytest.mark.parametrize(("stem", "size"), [("x" * 251, None), ("x" * 252, 256), ("é" * 125, None), ("é" * 126, 256), ("😀" * 63, 256)])
def test_a_name_has_at_most_255_bytes(stem: str, size: int | None) -> None:
    if size is None:
        assert named(config(stem)) == [f"{stem}.csv"]
    else:
        message = f"A file name is too long. Where: file.name. Found: {size} bytes. Expected: at most 255."
        assert refused(config("{segment_name}", segment=stem)) == refused(config(stem)) == message


@pytest.mark.parametrize("length", [1, 100, 150, 191, 192, 255])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_hidden_name_of_any_file_fits_also_while_it_is_moved_aside(length: int, letter: str) -> None:
    name = letter * (length // len(letter.encode()))
    hidden = hidden_name(name, "r" * 100)
    assert hidden.startswith(".courier-")
    assert len((hidden + ASIDE).encode()) <= 255
    assert hidden_name(f"a/b/{name}", "r" * 100) == f"a/b/{hidden}"


def test_a_short_hidden_name_tells_the_file_and_long_ones_differ() -> None:
    assert hidden_name("a.csv", "r1") == ".courier-r1-a.csv.part"
    assert hidden_name("x" * 254 + "a", "r1") != hidden_name("x" * 254 + "b", "r1")


def test_the_hidden_names_of_runs_with_long_ids_differ_also_where_the_ends_of_these_are_alike() -> None:
    ids = ["a_demo-scheduled__2026-11-26T16.00.00.000000", "b_demo-scheduled__2026-11-26T16.00.00.000000"]
    hidden = [hidden_name("a.csv", run_id) for run_id in ids]
    assert hidden[0] != hidden[1]
    assert {len(each) for each in hidden} == {len(hidden_name("a.csv", "r" * 40))}


# Folders


@pytest.mark.parametrize(
    ("path", "fixed", "name"),
    [
        ("exports/%SEGMENT_NAME%", "exports", "Luxury Audience/x.csv"),
        ("exports/%SEGMENT_ID%", "exports", "seg-a/x.csv"),
        ("exports/%SEGMENT_NAME%/%SEGMENT_ID%", "exports", "Luxury Audience/seg-a/x.csv"),
        ("exports/%SEGMENT_NAME%/", "exports", "Luxury Audience/x.csv"),
        ("%SEGMENT_ID%", "", "seg-a/x.csv"),
        ("a/b/{datetime:yyyy/MM/dd}/{mode}", "a/b", "2026/11/01/full/x.csv"),
        ("a/day={date}/c", "a", "day=20261101/c/x.csv"),
        ("a/{segment_name}/{part:03d}", "a", "Luxury Audience/001/x.csv"),
        ("a/b", "a/b", "x.csv"),
    ],
)
@pytest.mark.parametrize("s3", [False, True])
def test_folders_from_macros(path: str, fixed: str, name: str, s3: bool) -> None:
    run = config("x", path, segment="Luxury Audience", s3=s3)
    assert (run.destination.folder, named(run)) == (fixed, [name])


def test_an_absolute_path_stays_absolute() -> None:
    assert config("x", "/{date}").destination.folder == "/"
    assert config("x", "/data/{date}").destination.folder == "/data"
    assert config("x", "/data/out").destination.folder == "/data/out"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "out/{segmentname}",
            "destination.path has an unknown placeholder. Found: {segmentname}. What to do: did you mean 'segment_name'?",
        ),
        ("out/{date", "destination.path has a brace that belongs to no placeholder. Found: out/{date."),
        ("out/{organization}", "destination.path has {organization}, which has no value."),
        ("out/{date}/..", "A folder name could leave the target folder, or be hidden in it. Where: destination.path. Found: '..'."),
        ("out/{date}/../{mode}", "A folder name could leave the target folder"),
        ("out/.{date}", "A folder name could leave the target folder"),
        ("out/{date}//{mode}", "A folder name could leave the target folder"),
        ("out/{date} /x", "A folder name could leave the target folder"),
        ("out/{date}-" + "x" * 250, "A folder name is too long. Where: destination.path. Found: 259 bytes. Expected: at most 255."),
    ],
)
def test_folders_that_cannot_be_are_refused(path: str, message: str) -> None:
    run = config("x", path)
    assert refused(replace(run, audience=replace(run.audience, organization=""))).startswith(message)


def test_a_key_that_is_too_long_for_s3_is_refused() -> None:
    path = "/".join(["x" * 250] * 4)
    assert named(config("y" * 16, path, s3=True)) == ["y" * 16 + ".csv"]
    assert refused(config("y" * 17, path, s3=True)).startswith(
        "An object's key is too long for S3. Where: destination.path. Found: 1025 bytes."
    )


@pytest.mark.parametrize("path", ["in/%SEGMENT_NAME%", "in/{date}", "{unknown}"])
def test_on_sftp_a_macro_in_the_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SftpConfig(kind="sftp_key", host="h", username="u", path=path)
    assert str(caught.value).startswith("destination.path has a macro, and on SFTP folders must exist before files come. Found: " + path)


def test_parts_after_the_last_are_looked_for_in_the_same_folder() -> None:
    later = plan.later_parts(config("{segment_name}", "out/{segment_name}"), 0, 1, None)
    assert [next(later), next(later)] == ["spring/spring_2.csv", "spring/spring_3.csv"]
