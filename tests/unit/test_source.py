"""The source and the mapping against it, before any engine starts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

from courier import mapping
from courier.config import ColumnConfig, DedupConfig, ExportConfig, MappingConfig, SourceConfig
from courier.errors import ConfigError, CourierError, SourceError
from courier.members import audience
from courier.source.profiles import assert_alike, assert_read_by_sail, inspect, told_of_others


def refused(path: Path | str, *paths: str) -> str:
    with pytest.raises(SourceError) as caught:
        assert_alike(inspect(SourceConfig(str(path))), paths)
    return str(caught.value)


def test_files_are_found_in_folders_and_sorted_and_counted(tmp_path: Path) -> None:
    for name in ("day=2", "day=1", "_temporary", ".hidden"):
        write_profiles(tmp_path / name, [profile()] * 3, files=2)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").write_text("x")
    source = inspect(SourceConfig(str(tmp_path)))
    assert [str(Path(file).relative_to(tmp_path)) for file in source.files] == [
        f"day={day}/profiles-0000{number}.parquet" for day in (1, 2) for number in (0, 1)
    ]
    assert source.profiles == 6


def test_one_file_or_a_glob_may_be_named(tmp_path: Path) -> None:
    write_profiles(tmp_path / "a", [profile()] * 3, files=3)
    write_profiles(tmp_path / "b", [profile()])
    assert inspect(SourceConfig(str(tmp_path / "a" / "profiles-00001.parquet"))).profiles == 1
    assert inspect(SourceConfig(f"{tmp_path}/*/profiles-00000.parquet")).profiles == 2
    assert inspect(SourceConfig(f"{tmp_path}/a/profiles-0000[12].parquet")).profiles == 2


@pytest.mark.parametrize("name", ["[2026]", "{a}"])
def test_a_name_that_engines_take_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_profiles(tmp_path / name, [profile()])
    message = f"A file of the source has a name that engines take for a pattern. Where: {folder}/profiles-00000.parquet."
    assert refused(folder).startswith(message)
    assert refused(tmp_path).startswith(message)
    assert refused(folder / "profiles-00000.parquet").startswith(message)


def test_a_name_with_a_control_character_is_refused(tmp_path: Path) -> None:
    """In a bucket Sail leaves a tab out, and finds no rows where there is no file of that name."""
    folder = write_profiles(tmp_path / "a\tb", [profile()])
    assert refused(folder).startswith("A file of the source has a control character in its name.")


def test_a_folder_of_a_partition_is_read_whatever_its_name_begins_with(tmp_path: Path) -> None:
    """As Spark does: whoever is in it would get nothing."""
    write_profiles(tmp_path, [profile()])
    write_profiles(tmp_path / "_day=1", [profile()] * 2)
    assert inspect(SourceConfig(str(tmp_path))).profiles == 3


@pytest.mark.parametrize(
    ("kind", "alike"),
    [
        (pa.large_string(), True),
        (pa.dictionary(pa.int32(), pa.string()), True),
        (pa.string_view(), True),
        (pa.binary(), False),
        (pa.null(), False),
        (pa.int64(), False),
    ],
)
def test_texts_are_alike_whatever_their_writer_calls_them(tmp_path: Path, kind: pa.DataType, alike: bool) -> None:
    pq.write_table(pa.table({"x": pa.array([None], pa.string())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([None], kind)}), tmp_path / "b.parquet")
    if alike:
        assert_alike(inspect(SourceConfig(str(tmp_path))), ["x"])
    else:
        assert refused(tmp_path, "x").startswith("Files of the source disagree about the type of 'x'.")


def test_a_source_that_is_not_there_is_answered_with_what_to_do(tmp_path: Path) -> None:
    message = refused(tmp_path / "none")
    assert message == f"The source does not exist. Where: {tmp_path}/none. What to do: check source.path; `make profiles` writes a sample."
    assert "has no Parquet files" in refused(f"{tmp_path}/*.parquet")
    assert "has no Parquet files" in refused(tmp_path)


@pytest.mark.parametrize(
    "denied", [PermissionError(13, "Permission denied"), OSError("AWS Error ACCESS_DENIED during HeadObject operation")]
)
def test_a_file_that_may_not_be_read_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: OSError
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise denied

    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pq, "ParquetFile", refusing)
    message = refused(tmp_path)
    assert message.startswith(f"A file of the source may not be read. Where: {tmp_path}/x.parquet. Found: {denied}.")
    assert message.endswith("What to do: give this user the right to.")


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but not really")
    message = refused(tmp_path)
    assert message.startswith(f"A file of the source is no readable Parquet file. Where: {tmp_path}/x.parquet.")
    assert message.endswith("What to do: write it again, whole and as Parquet: no other format is read.")


def test_a_path_that_one_of_the_files_has_not_is_answered_with_the_file(tmp_path: Path) -> None:
    write_profiles(tmp_path, [profile()])
    pq.write_table(pa.table({"personalEmail": pa.array([{"adress": "x"}])}), tmp_path / "second.parquet")
    message = refused(tmp_path, "personalEmail.address")
    assert message.startswith(f"The source has no 'personalEmail.address'. Where: {tmp_path}/second.parquet")
    assert message.endswith("What to do: did you mean 'personalEmail.adress'?")


def test_a_path_that_the_first_file_alone_has_not_is_answered_with_that(tmp_path: Path) -> None:
    """The error spoke of the source, in which the user sees the column."""
    pq.write_table(pa.table({"personalEmail": pa.array([{"adress": "x"}])}), tmp_path / "a.parquet")
    write_profiles(tmp_path, [profile()])
    source = inspect(SourceConfig(str(tmp_path)))
    with pytest.raises(SourceError) as caught, told_of_others(source):
        assert_alike(source, ["personalEmail.address"])
    assert str(caught.value).startswith(
        f"A file of the source has no 'personalEmail.address', which others have. Where: {tmp_path}/a.parquet. "
        f"Found: it is in {tmp_path}/profiles-00000.parquet."
    )
    with pytest.raises(SourceError, match=r"The source has no 'personalEmail\.street'"), told_of_others(source):
        assert_alike(source, ["personalEmail.street"])


@pytest.mark.parametrize("name", ["b.PARQUET", "b.parq", "b.pq", "part-00001", "day=1/b.Parquet"])
def test_a_file_that_would_be_overlooked_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever is in it would get nothing, and nothing would be said."""
    write_profiles(tmp_path, [profile()])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert inspect(SourceConfig(str(tmp_path))).profiles == 1
    (tmp_path / name).write_bytes(b"PAR1")
    assert refused(tmp_path).startswith(f"The source has a file that would not be read. Where: {tmp_path}/{name}.")
    assert inspect(SourceConfig(f"{tmp_path}/*.parquet")).profiles == 1  # what is asked for is no oversight


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "Delta"),
        (".hoodie/hoodie.properties", "Hudi"),
        ("metadata/v1.metadata.json", "Iceberg"),
    ],
)
def test_a_table_is_refused_whose_files_are_not_all_of_its_rows(tmp_path: Path, log: str, kind: str) -> None:
    """Its folder was read as plain files: who was deleted of it, or has said no since, was exported."""
    table = tmp_path / "lake" / "profiles"
    write_profiles(table / "day=1", [profile()])
    write_profiles(tmp_path / "lake" / "plain" / "day=1", [profile()])
    (table / log).parent.mkdir()
    (table / log).write_text("{}")
    message = f"The source is a table of {kind}, which keeps files with rows that it has no more. Where: {table}."
    parts = [table / "day=1", table / "day=1" / "profiles-00000.parquet"] if kind != "Iceberg" else []
    for path in [table, tmp_path / "lake", f"{table}/*/*.parquet", f"{tmp_path}/lake/*/day=1/*.parquet", *parts]:
        assert refused(path).startswith(message)
    assert inspect(SourceConfig(str(tmp_path / "lake" / "plain"))).profiles == 1
    assert inspect(SourceConfig(f"{tmp_path}/lake/pl*/day=1/*.parquet")).profiles == 1


def test_a_folder_without_parquet_is_answered_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "profiles.json").write_text("{}")
    found = "Found: other files, such as profiles.json. Expected: files that end in .parquet."
    assert refused(tmp_path) == f"The source has no Parquet files. Where: {tmp_path}. {found}"


def test_files_that_disagree_about_a_type_are_refused(tmp_path: Path) -> None:
    write_profiles(tmp_path, [profile()])
    pq.write_table(pa.table({"personalEmail": pa.array([{"address": 5}])}), tmp_path / "second.parquet")
    message = refused(tmp_path, "personalEmail.address")
    assert message.startswith("Files of the source disagree about the type of 'personalEmail.address'.")
    assert message.endswith("Found: int64. Expected: string.")


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (pa.array([1], pa.int32()), pa.array([1], pa.int64()), "'more'. Where: {file}. Found: int64. Expected: int32."),
        (pa.array([{"a": [{"b": 1}]}]), pa.array([{"a": [{"b": "x"}]}]), "'more.a[].b'. Where: {file}. Found: string. Expected: int64."),
        (
            pa.array([[("k", "x")]], pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))),
            pa.array([[("k", "x")]], pa.map_(pa.string(), pa.string())),
            "'more'. Where: {file}. Found: string. Expected: string, never null.",
        ),
        (pa.array([{"a": "x", "b": 1}]), pa.array([{"b": 2, "c": 3, "a": "y"}]), None),
        (pa.array([None], pa.null()), pa.array(["x"]), None),
    ],
)
def test_a_column_that_is_not_mapped_is_told_where_sail_could_not_read_the_files_together(
    tmp_path: Path, one: pa.Array, other: pa.Array, told: str | None
) -> None:
    for name, more in (("first", one), ("second", other)):
        pq.write_table(pa.table({"more": more}), tmp_path / f"{name}.parquet")
    source = inspect(SourceConfig(str(tmp_path)))
    if told is None:
        assert_read_by_sail(source, [])
        return
    with pytest.raises(SourceError) as caught:
        assert_read_by_sail(source, [])
    message = f"Files of the source disagree about the type of {told.format(file=tmp_path / 'second.parquet')}"
    assert str(caught.value) == f"{message} What to do: write the files alike, or engine=spark."


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"source\.path has a scheme that is not known\. Found: gs://"):
        inspect(SourceConfig("gs://bucket/profiles"))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (ColumnConfig("person.name"), "'person.name' is a struct, not one value."),
        (ColumnConfig("identityMap"), "'identityMap' is a map, not one value."),
        (ColumnConfig("other"), "'other' is of a type that has no text. Where: mapping.columns.x. Found: binary. Expected: text,"),
        (
            ColumnConfig("loyalty.loyaltyID"),
            "'loyalty.loyaltyID' is an array, not one value. Where: mapping.columns.x. Expected: loyalty.loyaltyID[0], or join: ';' or json: true.",
        ),
        (ColumnConfig("loyalty.points", default="0"), "The column 'x' cannot have a default. Found: a source of type int64."),
    ],
)
def test_a_column_without_one_value_is_refused(column: ColumnConfig, message: str) -> None:
    with pytest.raises(CourierError) as caught:
        mapping.resolve(MappingConfig({"x": column}), DedupConfig(), ExportConfig(), PROFILE_SCHEMA.append(pa.field("other", pa.binary())))
    assert str(caught.value).startswith(message)


def membership_schema(**fields: pa.DataType) -> pa.Schema:
    return pa.schema({"segmentMembership": pa.map_(pa.string(), pa.map_(pa.string(), pa.struct(fields)))})


TIME = pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema({"segmentMemberships": pa.string()}), "The source has no 'segmentMembership'."),
        (
            pa.schema({"segmentMembership": pa.string()}),
            "'segmentMembership' has not the shape of XDM. Where: by namespace. Found: string.",
        ),
        (
            pa.schema({"segmentMembership": pa.map_(pa.string(), pa.list_(pa.string()))}),
            "'segmentMembership' has not the shape of XDM. Where: by segment id. Found: an array.",
        ),
        (membership_schema(status=pa.string(), validUntil=TIME), "'segmentMembership' has not the shape of XDM."),
        (
            membership_schema(status=pa.string(), lastQualificationTime=TIME, validUntil=pa.string()),
            "'segmentMembership' has not the shape of XDM. Where: segmentMembership.<namespace>.<segment id>.validUntil. Found: string. Expected: a timestamp.",
        ),
    ],
)
def test_memberships_in_another_shape_are_refused(schema: pa.Schema, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        audience.assert_memberships(schema)
    assert str(caught.value).startswith(message)


def test_memberships_in_another_shape_are_told_with_their_file() -> None:
    with pytest.raises(SourceError) as caught:
        audience.assert_memberships(membership_schema(status=pa.string(), validUntil=TIME), "second.parquet")
    assert "Where: second.parquet: segmentMembership.<namespace>.<segment id>.lastQualificationTime. Found: no such field." in str(
        caught.value
    )


def test_memberships_in_the_shape_of_xdm_are_taken() -> None:
    audience.assert_memberships(PROFILE_SCHEMA)


def test_what_a_row_takes_is_known_from_the_footers(tmp_path: Path) -> None:
    for number in range(2):
        write_profiles(tmp_path / str(number), [profile(last_name=f"{number}{letter}" * 5000) for letter in "abc"])
    source = inspect(SourceConfig(str(tmp_path)))
    assert 10_000 < source.row_bytes(["person"], 8) < 11_500
    assert source.row_bytes(["person.name"], 1008) == source.row_bytes(["person.name"], 8) + 16_000
    assert source.row_bytes(["person.nam", "homeAddress"], 8) < 500  # what is not read counts for nothing
