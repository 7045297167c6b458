"""The configuration reference says what the configuration is."""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from courier import config as schema
from courier import mapping
from courier.compose import GROUPS, conf_folder, load
from courier.config.sftp import ALGORITHM_KINDS
from courier.names import ADOBE, ELSEWHERE, PLACEHOLDERS
from courier.synthetic import profiles

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z_0-9.]+)` \| (?:`(.*?)`|see the file) \|", REFERENCE, flags=re.MULTILINE))
CLASSES = {**GROUPS, **{f"destination.{kind}": cls for kind, cls in schema.DESTINATIONS.items()}}


def keys(group: str) -> set[str]:
    return {f"{group.partition('.')[0]}.{field.name}" for field in dataclasses.fields(CLASSES[group])}


@pytest.mark.parametrize("group", CLASSES)
def test_every_key_of_the_schema_is_in_the_reference(group: str) -> None:
    assert keys(group) - set(ROWS) == set()


def test_the_reference_names_no_key_that_does_not_exist() -> None:
    known = set().union(*(keys(group) for group in CLASSES)) | {"run_id", "as_of", "release"}
    assert set(ROWS) - known == set()


#: The option whose file shows a group's documented defaults; the first that has the key.
OPTIONS = {"engine": ["sail"], "source": ["parquet"], "audience": ["segments"], "mapping": ["email_marketing"], "checks": ["email"]}
OPTIONS |= {"consent": ["auto"], "suppression": ["none"], "dedup": ["key"], "rules": ["none"], "guard": ["none"], "export": ["full"]}
OPTIONS |= {
    "esp": ["none"],
    "file": ["csv"],
    "state": ["local"],
    "trigger": ["none"],
    "destination": ["local", "s3", "sftp_password", "sftp_key"],
}


@pytest.mark.parametrize("key", sorted(key for key, default in ROWS.items() if default))  # the others point to a file
def test_the_default_in_the_reference_is_the_default_of_the_configuration(key: str) -> None:
    group, _, leaf = key.partition(".")
    files = [conf_folder() / group / f"{option}.yaml" for option in OPTIONS.get(group, [])] or [conf_folder() / "config.yaml"]
    contents = [yaml.safe_load(file.read_text()) for file in files]
    default = next(content[leaf or group] for content in contents if (leaf or group) in content)
    # `""` in the reference is the empty text; any other text stands as it is.
    documented = "" if ROWS[key] == '""' else '""' if ROWS[key] == '""""' else ROWS[key]
    assert documented == default or yaml.safe_load(documented) == default


def test_the_exit_codes_in_the_reference_are_those_of_the_errors() -> None:
    from courier.cli import INTERRUPTED
    from courier.errors import ConfigError, CourierError, DeliveryError, HeldError, SourceError

    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE, flags=re.MULTILINE)]
    errors = (CourierError, ConfigError, HeldError, SourceError, DeliveryError)
    assert documented == [0, *(error.exit_code for error in errors), INTERRUPTED]
    readme = (ROOT / "README.md").read_text().partition("## Exit codes\n\n")[2].partition(". Errors")[0]
    assert [int(code) for code in re.findall(r"(?:^|· )(\d+) ", readme)] == documented


def test_the_headings_of_the_reference_name_every_shipped_file() -> None:
    platforms = {file.stem for file in (conf_folder() / "esp").glob("*.yaml")} - {"none"}
    for group, options in re.findall(r"^## (\w+) = (.*)$", REFERENCE, flags=re.MULTILINE):
        named = set(options.split(" | "))
        named = named - {"those of esp"} | (platforms if "those of esp" in named else set())
        assert named == {file.stem for file in (conf_folder() / group).glob("*.yaml")}, group


def test_the_reference_names_every_key_of_a_jump_host_and_every_kind_of_algorithm() -> None:
    rows = dict(re.findall(r"^\| `(destination\.\w+)` (.*)$", REFERENCE, flags=re.MULTILINE))
    jump = set(re.findall(r"\w+", rows["destination.jump"]))
    assert {field.name for field in dataclasses.fields(schema.JumpConfig)} - jump == set()
    assert set(ALGORITHM_KINDS) - set(re.findall(r"`(\w+)`", rows["destination.disabled_algorithms"])) == set()


def test_the_pages_name_what_a_column_and_a_signature_can_have() -> None:
    columns = {field.name for field in dataclasses.fields(schema.ColumnConfig)}
    comment = (conf_folder() / "mapping" / "email_marketing.yaml").read_text().partition("\ncolumns:")[0]
    section = REFERENCE.partition("\n## mapping =")[2].partition("\n## ")[0]
    encryption = (ROOT / "docs" / "encryption.md").read_text()
    signing = {field.name for field in dataclasses.fields(schema.FileConfig) if field.name.startswith("sign_")}
    for names, text in ((columns, comment), (columns, section), (signing, encryption)):
        assert names - set(re.findall(r"\w+", text)) == set()


def test_the_example_of_a_mapping_fits_the_sample_profiles_and_is_the_whole_file(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "mapping.md").read_text(), flags=re.DOTALL)[0]
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "mine.yaml").write_text(example)
    config = load(["activation=demo", "mapping=mine"], now=datetime(2026, 1, 1, tzinfo=UTC), config_dir=str(tmp_path))
    columns = mapping.resolve(config.mapping, config.dedup, config.export, next(profiles(1)).schema)
    assert columns.header == list(yaml.safe_load(example)["columns"])


def test_columns_of_an_activation_add_to_the_chosen_mapping(tmp_path: Path) -> None:
    (tmp_path / "activation").mkdir()
    text = (
        "# @package _global_\naudience: {segments: [a]}\nmapping:\n  columns:\n    tier: {source: _acme.tier}\n    city: {default: none}\n"
    )
    (tmp_path / "activation" / "mine.yaml").write_text(text)
    config = load(["activation=mine", "~mapping.columns.phone"], now=datetime(2026, 1, 1, tzinfo=UTC), config_dir=str(tmp_path))
    assert list(config.mapping.columns) == ["email", "first_name", "last_name", "city", "state", "postal_code", "birthday", "tier"]
    assert (config.mapping.columns["city"].source, config.mapping.columns["city"].default) == ("homeAddress.city", "none")


def test_the_readme_leads_to_every_page_for_users() -> None:
    links = re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text())
    assert {"docs/configuration.md", "docs/mapping.md", "docs/encryption.md", "docs/incremental.md", "docs/cluster.md"} <= set(links)


def test_the_reference_has_every_macro_in_both_spellings() -> None:
    table = REFERENCE.partition("\n| ours | Adobe's | becomes |\n")[2].partition("\n\n")[0]
    rows = [[set(re.findall(r"[{%](\w+)", cell)) for cell in row.split("|")[1:3]] for row in table.splitlines()]
    assert set().union(*(ours for ours, _ in rows)) == set(PLACEHOLDERS)
    assert {adobes: name for ours, spellings in rows for name in ours for adobes in spellings} == ADOBE
    assert "CUSTOM_TEXT" in ELSEWHERE


ADOBE_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parents[2] / "docs" / "adobe-compatibility.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| feature")
]


def test_each_row_about_adobe_that_claims_something_names_tests_that_exist() -> None:
    wrong = []
    for row in ADOBE_ROWS:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row[3]) if len(row) > 3 else []
        claims = row[1].startswith(("same", "better"))
        missing = [
            f"{file}::{test}" for file, test in named if f"\ndef {test}(" not in "\n" + (Path(__file__).parents[1] / file).read_text()
        ]
        if missing or (claims and not named) or not row[1].startswith(("same", "better", "not")):
            wrong.append((row[0], missing))
    assert wrong == []
    assert len(ADOBE_ROWS) > 80


def test_the_modules_that_the_pages_name_exist() -> None:
    """Those of the package by their place in it; jobs, scripts and tests by theirs in the project."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {name for page in pages for name in re.findall(r"`([a-z_/]+\.py)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert [
        name for name in sorted(named) if not any((folder / name).is_file() for folder in (ROOT, ROOT / "src/courier", ROOT / "tests"))
    ] == []
