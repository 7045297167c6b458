"""The synthetic profiles: the same everywhere, in the shape that the shipped mappings want."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from courier import mapping, synthetic
from courier.compose import load
from courier.config import SourceConfig
from courier.members import audience
from courier.source.profiles import inspect


def digest(tables: list[pa.Table]) -> str:
    return hashlib.sha256("".join(str(table.to_pylist()) for table in tables).encode()).hexdigest()


def test_the_same_seed_gives_the_same_profiles() -> None:
    assert digest(list(synthetic.profiles(500, seed=7))) == digest(list(synthetic.profiles(500, seed=7)))
    assert digest(list(synthetic.profiles(500, seed=7))) != digest(list(synthetic.profiles(500, seed=8)))


def test_full_chunks_are_the_same_in_a_larger_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "PROFILES_PER_CHUNK", 100)
    small = pa.concat_tables(synthetic.profiles(300)).to_pylist()
    large = pa.concat_tables(synthetic.profiles(550)).to_pylist()
    assert (len(small), len(large)) == (300, 550)
    assert large[:300] == small


def test_every_profile_has_its_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "PROFILES_PER_CHUNK", 100)
    ids = pa.concat_tables(synthetic.profiles(250))["_id"]
    assert pc.count_distinct(ids).as_py() == 250


def test_the_values_are_awkward_as_real_ones_are() -> None:
    table = next(synthetic.profiles(20_000))
    emails = pc.struct_field(table["personalEmail"], "address")
    last_names = pc.struct_field(table["person"], ["name", "lastName"])
    present = emails.drop_null()
    assert emails.null_count > 0
    assert pc.count_distinct(present).as_py() < len(present)
    assert [pc.any(pc.match_substring(last_names, text)).as_py() for text in (",", '"', "'", "\u00a0", "ü")] == [True] * 5
    assert set(pc.struct_field(table["consents"], ["marketing", "email", "val"]).unique().to_pylist()) == {"y", "n", "p", "u"}


def test_most_telephone_numbers_are_as_platforms_and_hashes_want_them_and_some_are_as_people_write_them() -> None:
    phones = pc.struct_field(next(synthetic.profiles(20_000))["mobilePhone"], "number").drop_null()
    share = {
        form: pc.sum(pc.match_substring_regex(phones, pattern)).as_py() / len(phones)
        for form, pattern in {
            "E.164": r"^\+1408[0-9]{7}$",
            "spaced": r"^\+1 \(408\) [0-9]{3}-[0-9]{4}$",
            "no plus": r"^1-408-[0-9]{3}-[0-9]{4}$",
        }.items()
    }
    assert share == {"E.164": pytest.approx(0.8, abs=0.02), "spaced": pytest.approx(0.1, abs=0.02), "no plus": pytest.approx(0.1, abs=0.02)}


@pytest.mark.parametrize("option", ["email_marketing", "email_marketing_loyalty", "adobe_default"])
def test_every_shipped_mapping_fits(option: str) -> None:
    schema = next(synthetic.profiles(1)).schema
    config = load(["activation=demo", f"mapping={option}"], now=datetime(2026, 1, 1, tzinfo=UTC))
    audience.assert_memberships(schema)
    assert mapping.resolve(config.mapping, config.dedup, config.export, schema).header == list(config.mapping.columns)


def test_the_demos_segment_has_members() -> None:
    config = load(["activation=demo"], now=datetime(2026, 1, 1, tzinfo=UTC))
    assert [segment.id for segment in config.audience.segments if segment.id not in synthetic.SEGMENTS] == []


def test_files_are_cut_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "PROFILES_PER_CHUNK", 100)
    monkeypatch.setattr(synthetic, "PROFILES_PER_FILE", 200)
    files = synthetic.write_profiles(tmp_path / "new" / "folder", 450)
    assert [pq.read_metadata(file).num_rows for file in files] == [200, 200, 50]
    source = inspect(SourceConfig(str(tmp_path / "new" / "folder")))
    assert (source.files, source.profiles) == ([str(file) for file in files], 450)


def test_a_folder_that_has_profiles_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(ValueError, match="already holds Parquet files; remove them or choose another folder"):
        synthetic.write_profiles(tmp_path, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.parquet"]


@pytest.mark.parametrize("there", [False, True])
def test_a_sample_that_is_cut_short_leaves_nothing_that_make_takes_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def interrupted(count: int, seed: int) -> Iterator[pa.Table]:
        yield from whole(count, seed)
        raise KeyboardInterrupt

    whole = synthetic.profiles
    monkeypatch.setattr(synthetic, "profiles", interrupted)
    monkeypatch.setattr(synthetic, "PROFILES_PER_CHUNK", 10)
    monkeypatch.setattr(synthetic, "PROFILES_PER_FILE", 20)
    folder = tmp_path / "profiles"
    if there:
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        synthetic.write_profiles(folder, 30)
    assert list(folder.glob("*")) == []
    assert folder.exists() == there
