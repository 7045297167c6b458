"""What a user reads when something is wrong: the right exit code, one paragraph that names it, and nothing delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from activation import activate
from targets import ACCESS_KEY_ENV, PASSWORD_ENV, SECRET_KEY_ENV, Target
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

SEGMENTS = "audience.segments=[seg-a]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [profile(email=f"{n}@example.com", segments={"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}) for n in range(4)]
    write_profiles(tmp_path / "profiles", rows, files=2, compression="none")
    return tmp_path


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([SEGMENTS, "file.delimeter=;"], ["delim"]),
        ([SEGMENTS, "'file.delimeter=;'"], ["delim"]),
        ([SEGMENTS, "file.max_row=5"], ["file.max_row", "did you mean 'max_rows'?"]),
        ([SEGMENTS, "file.max_rows=many"], ["file.max_rows"]),
        ([SEGMENTS, "file.max_rows=0"], ["file.max_rows", "at least 1"]),
        ([SEGMENTS, "destination=s4"], ["destination", "did you mean 's3'?"]),
        ([SEGMENTS, "mapping=email_marketting"], ["mapping", "did you mean 'email_marketing'?"]),
        ([SEGMENTS, "activation=demoo"], ["activation", "did you mean 'demo'?"]),
        ([SEGMENTS, "destination=s3"], ["destination.bucket is not set"]),
        (
            [SEGMENTS, "destination=sftp_key", "destination.host=h", "destination.username=u"],
            ["destination.key_file", ".key_env or .key_secret"],
        ),
        ([SEGMENTS, "destination=sftp_password", "destination.host=h", "destination.username=u"], ["SFTP_PASSWORD", "not set"]),
        ([SEGMENTS, "file.quoting=some"], ["file.quoting", "minimal | all"]),
        ([SEGMENTS, "as_of=yesterday"], ["as_of", "yesterday"]),
        ([SEGMENTS, "run_id=../../elsewhere"], ["run_id"]),
        ([SEGMENTS, "file.name='{activation}_{segmnt_name}'"], ["{segmnt_name}", "did you mean 'segment_name'?"]),
        ([SEGMENTS, "file.name='../{segment_name}'"], ["file.name", "../seg-a"]),
        ([SEGMENTS, "file.name='{activation'"], ["file.name", "brace"]),
        (["audience.segments=[seg-a, seg-b]", "file.name=all"], ["one file", "{segment_id}"]),
        (["audience.segments=[]"], ["audience.segments is empty"]),
        ([SEGMENTS, "release="], ["release is empty", "leave it out"]),  # of a variable that is not set: all would be sent anew
        ([SEGMENTS, "run_id="], ["run_id is empty"]),
        ([SEGMENTS, "as_of="], ["as_of is empty"]),
        ([SEGMENTS, "file.name=${oc.env:NOT_THERE}"], ["file.name refers to what is not there", "or a variable that is set"]),
        ([SEGMENTS, "file.name=${file.nam}"], ["file.name refers to what is not there"]),
        (["audience.segments=['${file.name}','${audience.segments[1]}']"], ["audience.segments[1] refers to what is not there"]),
        ([SEGMENTS, "file.name='{datetime:yyyymmdd}'"], ["file.name, {datetime:yyyymmdd}", "MM for the month"]),
        ([SEGMENTS, "file.name='%ORGANIZATION_NAME%'"], ["file.name", "audience.organization"]),
        ([SEGMENTS, "destination.path='out/{segment}'"], ["destination.path", "{segment}", "did you mean 'segment_id'?"]),
        (["audience.segments=[../seg]"], ["id", "file name"]),
        ([SEGMENTS, "+mapping.columns.Email.source=personalEmail.address"], ["Two columns have one name", "'email' and 'Email'"]),
        ([SEGMENTS, "mapping.deduplication_key=[e_mail]"], ["mapping.deduplication_key", "did you mean 'email'?"]),
        ([SEGMENTS, "mapping.columns.city.source=homeAddress..city"], ["homeAddress..city"]),
        (
            [SEGMENTS, "checks=email", "checks.expectations.email_present.type=expect_column_values_to_not_be_nul"],
            ["email_present", "did you mean 'expect_column_values_to_not_be_null'?"],
        ),
        (
            [SEGMENTS, "checks=email", "checks.expectations.email_present.arguments.column=person.gender"],
            ["email_present", "person.gender"],
        ),
        ([SEGMENTS, "state.path=profiles/profiles-00000.parquet"], ["state"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and "=" in value[-1] else "",
)
def test_configurations_that_cannot_be(folder: Path, overrides: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFTP_PASSWORD", raising=False)
    activate(folder, *overrides).refused(2, *words)


@pytest.mark.parametrize("pasted", ["Hunter2 !secret", "Hunter2secret"], ids=["no name", "a name that is not set"])
def test_a_password_in_place_of_its_variables_name_is_shown_and_recorded_nowhere(folder: Path, pasted: str) -> None:
    login = ["destination=sftp_password", "destination.host=localhost", "destination.username=u"]
    job = activate(folder, SEGMENTS, *login, f"destination.password_env='{pasted}'")
    job.refused(2, "destination.password_env")
    assert_unseen(pasted, folder, job.stdout, job.stderr)


# Sources


def test_a_source_that_is_missing(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "source.path=nowhere")
    job.refused(4, "nowhere", "does not exist")
    record = job.record()
    assert (record["status"], record["error"]["type"], record["error"]["exit_code"]) == ("failed", "SourceError", 4)
    assert record["error"]["message"] == job.stderr.rstrip("\n")


def test_a_suppression_list_that_is_not_there(folder: Path) -> None:
    job = activate(folder, SEGMENTS, "++suppression.lists={optouts: {path: nowhere.csv, column: email}}")
    job.refused(
        4,
        "The suppression list does not exist. Where: suppression.lists.optouts.path: nowhere.csv. What to do: check the path of the list.",
    )


def test_a_source_without_files(folder: Path) -> None:
    (folder / "empty").mkdir()
    activate(folder, SEGMENTS, "source.path=empty").refused(4, "no Parquet files", "empty")


def test_a_channel_of_consent_that_the_source_has_not(folder: Path) -> None:
    """It must not be taken for a source without consents: those who said no would get mail."""
    activate(folder, SEGMENTS, "consent.channel=emial").refused(4, "consents.marketing has no 'emial'", "did you mean 'email'?")


def test_files_of_which_only_the_later_ones_have_consents(folder: Path) -> None:
    path = folder / "profiles" / "profiles-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["consents"]), path)
    activate(folder, SEGMENTS).refused(4, "disagree about consents", "profiles-00001.parquet", "consents.marketing.any.val")


def test_a_file_whose_end_is_cut_off(folder: Path) -> None:
    path = folder / "profiles" / "profiles-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    activate(folder, SEGMENTS).refused(4, "profiles-00001.parquet", "no readable Parquet")


def test_a_file_that_is_no_parquet(folder: Path) -> None:
    (folder / "profiles" / "profiles-00002.parquet").write_text("email\njane@example.com\n")
    job = activate(folder, SEGMENTS)
    job.refused(4, "profiles-00002.parquet", "no readable Parquet")
    assert "jane@example.com" not in job.stderr


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_a_date_that_cannot_be_written(folder: Path, engine: str) -> None:
    file = folder / "profiles" / "profiles-00000.parquet"
    for each in sorted(file.parent.iterdir()):
        rows = pq.read_table(each)
        days = pa.array([2**30 if each == file and not number else 0 for number in range(len(rows))], pa.date32())
        pq.write_table(rows.append_column("born", days), each)
    born = "+mapping.columns.born.source=born"
    job = activate(folder, SEGMENTS, born, f"engine={engine}")
    assert (job.code, job.delivered()) == (4, {})
    assert "The column 'born' has a date that is out of range. Where: born. Expected: years up to 250,000." in job.stderr
    assert "Traceback" not in job.stderr


def test_a_file_with_a_damaged_page(folder: Path) -> None:
    """Its footer is whole, so this shows only when the engine reads it."""
    path = folder / "profiles" / "profiles-00001.parquet"
    metadata = pq.read_metadata(path)
    group = metadata.row_group(0)
    (column,) = [group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "personalEmail.address"]
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    job = activate(folder, SEGMENTS)
    job.refused(4, "The engine failed while reading the profiles")
    assert job.record()["status"] == "failed"


@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_an_expression_that_divides_by_zero_is_told_with_what_helps(folder: Path, engine: str) -> None:
    job = activate(folder, SEGMENTS, "+mapping.columns.x.expression='1 / (length(personalEmail.address) - 13)'", f"engine={engine}")
    assert job.code == 4
    assert "What to do: an expression of the mapping divides by zero: write a / nullif(b, 0) there." in job.stderr
    assert '"class"' not in job.stderr  # pyspark's own log of it


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("person.name.fistName", ["person.name.fistName", "mapping.columns.city", "did you mean 'person.name.firstName'?"]),
        ("homeAdress.city", ["homeAdress", "did you mean 'homeAddress'?"]),
        ("homeAddress", ["'homeAddress' is a struct", "mapping.columns.city"]),
        ("loyalty.loyaltyID", ["an array", "loyalty.loyaltyID[0]"]),
    ],
)
def test_a_path_that_the_source_has_not(folder: Path, path: str, words: list[str]) -> None:
    activate(folder, SEGMENTS, f"mapping.columns.city.source={path}").refused(4, *words)


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.map_(pa.string(), pa.struct({"status": pa.int32()})))],
    ids=["text", "flat map", "number as status"],
)
def test_memberships_of_another_shape(tmp_path: Path, kind: pa.DataType) -> None:
    index = PROFILE_SCHEMA.get_field_index("segmentMembership")
    schema = PROFILE_SCHEMA.set(index, pa.field("segmentMembership", kind))
    (tmp_path / "profiles").mkdir()
    pq.write_table(schema.empty_table(), tmp_path / "profiles" / "profiles.parquet")
    activate(tmp_path, SEGMENTS).refused(4, "segmentMembership", "shape of XDM")


SECOND = "profiles/profiles-00001.parquet"


def rewritten(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / SECOND)), folder / SECOND)


def with_memberships(*fields: tuple[str, pa.DataType]) -> Callable[[pa.Table], pa.Table]:
    """No profile is a member in a table whose memberships are of this kind."""
    kind = pa.map_(pa.string(), pa.map_(pa.string(), pa.struct(list(fields))))
    place = PROFILE_SCHEMA.get_field_index("segmentMembership")
    return lambda table: table.set_column(place, "segmentMembership", pa.nulls(len(table), kind))


TIME = pa.timestamp("us", tz="UTC")
STATUS, SINCE, UNTIL = ("status", pa.string()), ("lastQualificationTime", TIME), ("validUntil", TIME)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop_columns(["segmentMembership"]), ["The source has no 'segmentMembership'", SECOND]),
        (with_memberships(STATUS, SINCE), ["has not the shape of XDM", "validUntil", "no such field", SECOND]),
        (with_memberships(UNTIL, SINCE, STATUS), ["Files of the source disagree about the type of 'segmentMembership'", SECOND]),
    ],
)
def test_memberships_that_one_of_the_files_has_not_or_not_alike(
    folder: Path, change: Callable[[pa.Table], pa.Table], words: list[str]
) -> None:
    """Its members would be gone, and exited where changes are sent."""
    rewritten(folder, change)
    activate(folder, SEGMENTS).refused(4, *words)


def test_spark_reads_memberships_whose_fields_stand_elsewhere(folder: Path) -> None:
    rewritten(folder, with_memberships(UNTIL, SINCE, STATUS))
    assert activate(folder, SEGMENTS, "engine=spark").succeeded(quiet=False).record()["audiences"][0]["counts"]["members"] == 2


@pytest.mark.parametrize("first", [False, True])
def test_identities_that_the_files_have_not_where_they_trigger_exports(folder: Path, first: bool) -> None:
    for name in [*(["profiles/profiles-00000.parquet"] if first else []), SECOND]:
        pq.write_table(pq.read_table(folder / name).drop_columns(["identityMap"]), folder / name)
    asked = ["export=incremental", "export.triggers=[membership,identity]"]
    activate(folder, SEGMENTS, *asked).refused(4, "The source has no 'identityMap'", *([] if first else [SECOND]))
    activate(folder, SEGMENTS).succeeded()


def test_what_an_engine_cannot_read_together_is_told_without_a_traceback(folder: Path) -> None:
    """Sail merges all columns of all files, also those that are not read."""
    place = PROFILE_SCHEMA.get_field_index("_acme")
    rewritten(folder, lambda table: table.set_column(place, "_acme", pa.array([1] * len(table))))
    words = ["disagree about the type of '_acme'", SECOND, "Found: int64.", "write the files alike, or engine=spark"]
    activate(folder, SEGMENTS).refused(4, *words)


def test_profiles_without_memberships(tmp_path: Path) -> None:
    schema = PROFILE_SCHEMA.remove(PROFILE_SCHEMA.get_field_index("segmentMembership"))
    (tmp_path / "profiles").mkdir()
    pq.write_table(schema.empty_table(), tmp_path / "profiles" / "profiles.parquet")
    activate(tmp_path, SEGMENTS).refused(4, "The source has no 'segmentMembership'")


# Destinations


def assert_unseen(secret: str, folder: Path, *texts: str) -> None:
    assert secret
    assert not any(secret in text for text in texts)
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_wrong_password_is_told_before_the_work(
    folder: Path, make_target: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target("sftp_password_rclone")
    monkeypatch.setenv(PASSWORD_ENV, "wr0ng-pa55word")
    job = activate(folder, SEGMENTS, *target.overrides())
    job.refused(5, "refused the login", "127.0.0.1")
    assert list(job.record()["seconds"]) == ["read"]
    assert target.everything() == {}
    assert_unseen("wr0ng-pa55word", folder, job.stdout, job.stderr)


@pytest.mark.parametrize(
    ("variable", "words"), [(ACCESS_KEY_ENV, ["check the access key"]), (SECRET_KEY_ENV, ["check the secret access key"])]
)
def test_wrong_keys_of_s3_are_told_before_the_work(
    folder: Path, make_target: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch, variable: str, words: list[str]
) -> None:
    """The bucket's refusal was taken for that of keys that may not look: the preflight said that the login is as it should be."""
    target = make_target("s3")
    monkeypatch.setenv(variable, "WR0NGKEY")
    job = activate(folder, SEGMENTS, *target.overrides())
    job.refused(5, *words)
    assert list(job.record()["seconds"]) == ["read"]
    assert target.everything() == {}


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("sftp_key_ed25519", {"host_key_fingerprint": "SHA256:" + "A" * 43}, ["not the pinned one", "nothing was sent"]),
        ("sftp_key_ed25519", {"path": "/no/such/folder"}, ["no such file or folder", "/no/such/folder"]),
        ("s3", {"bucket": "no-such-bucket"}, ["s3://no-such-bucket", "check destination.bucket"]),
    ],
    ids=["host key", "folder", "bucket"],
)
def test_destinations_that_are_not_as_configured(
    folder: Path, make_target: Callable[[str], Target], kind: str, changes: dict[str, Any], words: list[str]
) -> None:
    target = make_target(kind)
    job = activate(folder, SEGMENTS, *target.with_config(**changes).overrides())
    job.refused(5, *words)
    assert job.record()["error"]["exit_code"] == 5
    assert target.everything() == {}
