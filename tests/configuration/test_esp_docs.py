"""The guides to platforms have each rule as the code has it, and the table names tests that exist."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
import yaml
from xdm_profiles import PROFILE_SCHEMA

from courier import compose, esp, mapping
from courier.config import POLICIES, RunConfig
from courier.esp.base import Confidence, Source

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "platforms"
INDEX = (GUIDES / "index.md").read_text()
NAMES = sorted(esp.PLATFORMS)


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")]


#: As the table has its columns.
COLUMNS = ["adobe_campaign", "salesforce_marketing_cloud", "oracle_eloqua", "oracle_responsys"]


def cells(what: str) -> dict[str, str]:
    """One row of the table, by platform."""
    (row,) = (row for row in rows(INDEX) if row[0] == what)
    return dict(zip(COLUMNS, row[1:], strict=False))


def loaded(name: str) -> RunConfig:
    return compose.load(["activation=demo", f"esp={name}"], now=datetime(2026, 11, 1, tzinfo=UTC))


def test_the_table_has_the_rows_of_the_presets() -> None:
    assert cells("rows in a file") == {name: f"{loaded(name).file.max_rows:,}" for name in COLUMNS}


def test_the_table_has_what_an_empty_audience_gives() -> None:
    words = {"header": "a file with the header", "fail": "**the audience is held**"}
    assert cells("an audience without a row") == {name: words[loaded(name).file.on_empty] for name in COLUMNS}


def test_the_table_has_every_rule() -> None:
    assert {found for row in rows(INDEX) for found in re.findall(r"^`([a-z_]+)`", row[0])} == {*POLICIES, *NAMES}


def test_what_a_source_is_worth_has_the_words_of_the_output() -> None:
    section = INDEX.partition("## What a source is worth")[2].partition("\n## ")[0]
    assert [row[0] for row in rows(section)[2:]] == list(get_args(Confidence))
    assert str(Source("a page", "our choice")) == "a page (our choice)"


def test_the_tests_that_the_table_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", INDEX))
    known = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert named - known == set()
    table = [row for row in rows(INDEX.partition("## Every rule")[2]) if len(row) == 6]
    assert [row for row in table if "test_" not in row[-1]] == [row for row in table if row[-1] == "test"]


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_has_each_rule_with_its_source(name: str) -> None:
    text = (GUIDES / f"{name}.md").read_text()
    platform = esp.PLATFORMS[name]
    for setting in platform.settings:
        assert f"`{setting.key}`: {setting.why}" in text
        assert str(setting.source) in text
    for note in (platform.name_on_s3, platform.fixed_name, platform.one_file, platform.dates.own):
        assert note is None or (note.text in text and note.source.document in text)
    for column in platform.columns:
        assert not column.required or f"`{column.name}`" in text.partition("the import is made with this column")[2].partition("\n")[0]
    if platform.number:
        assert f"at most {platform.number.integer_digits} digits before the point, {platform.number.decimals} after it" in text
    assert platform.key.why in text
    assert platform.email.expected in text
    for limit in platform.bytes:
        assert f"at most {limit.most:,} bytes" in text
    for rule in (platform.key, platform.phone, platform.email, platform.dates, platform.exits):
        assert str(rule.source) in text
    assert f"`{platform.dates.date}` and `{platform.dates.timestamp}`" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_has_each_column(name: str) -> None:
    found = {row[0]: row[1:5] for row in rows((GUIDES / f"{name}.md").read_text()) if len(row) == 6}
    for column in esp.PLATFORMS[name].columns:
        assert found[f"`{column.name}`"] == [f"`{column.path}`", column.kind, str(column.length or ""), column.target]
    further = {row[0]: row[1:] for row in rows((GUIDES / f"{name}.md").read_text()) if len(row) == 5}
    for field in esp.PLATFORMS[name].fields:
        kind, length, shown, source = further[f"`{field.name}`"]
        assert [kind, length, source] == [field.kind, str(field.length or ""), str(field.source)]
        assert shown == " ".join(f"`{text}`" for text in field.allowed) or shown == field.target


@pytest.mark.parametrize("name", NAMES)
def test_the_activation_in_a_guide_is_a_shipped_one(name: str) -> None:
    """Word for word what conf/activation has, but for its comments."""
    blocks = re.findall(r"```yaml\n(.*?)```", (GUIDES / f"{name}.md").read_text(), re.DOTALL)
    shipped = [yaml.safe_load(file.read_text()) for file in (compose.conf_folder() / "activation").glob(f"{name}_*.yaml")]
    assert blocks
    assert [block for block in blocks if yaml.safe_load(block) not in shipped] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_expression_for_states_of_two_letters_is_one_that_the_preset_takes(name: str) -> None:
    (found,) = re.findall(r"`(\w+: \{source: \"\", expression: \"[^\"]+\"\})`", (GUIDES / f"{name}.md").read_text())
    ((column, keys),) = yaml.safe_load(found).items()
    config = compose.load(
        [
            "activation=demo",
            f"esp={name}",
            f"mapping.columns.{column}.source=''",
            f'+mapping.columns.{column}.expression="{keys["expression"]}"',
        ],
        now=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert esp.PLATFORMS[name].column(column, "", hashed=False).path == "homeAddress.stateProvince"  # type: ignore[union-attr]
    resolved = mapping.resolve(config.mapping, config.dedup, config.export, PROFILE_SCHEMA)
    assert keys["expression"] in [each.source for each in resolved.columns]
