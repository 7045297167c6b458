"""`file=adobe_cloud` against Apache Spark's own CSV writer, which Adobe's options are those of."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from courier.compose import conf_folder
from courier.config import FileConfig
from courier.engine import Engine
from courier.render.dialect import Dialect

ALPHABET = ["a", "b", ",", "\n", "\r", "\r\n", "\0", "\\", " ", '"', "'", "\t", "é", "#", "👩", "null", "\ufeff"]


def preset(**changes: Any) -> FileConfig:
    return FileConfig(**{**yaml.safe_load((conf_folder() / "file" / "adobe_cloud.yaml").read_text()), **changes})


def hostile_rows(delimiter: str) -> list[list[str | None]]:
    """Every sequence of up to three characters, and longer ones by chance, always the same; with nulls and empty texts."""
    chance, alphabet = random.Random(1), list(dict.fromkeys([*ALPHABET, delimiter]))
    values: list[str | None] = [None, "", *alphabet]
    values += [one + other for one in alphabet for other in alphabet]
    values += [one + other + third for one in alphabet for other in alphabet for third in alphabet]
    values += ["".join(chance.choices(alphabet, k=chance.randint(4, 9))) for _ in range(2000)]
    others = [*values]
    chance.shuffle(others)
    return [list(pair) for pair in zip(values, others, strict=True)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"quote": '"'},
        {"escape": "apostrophe"},
        {"quote": '"', "escape": "apostrophe"},
        {"delimiter": "\t", "null_text": "", "empty_text": '""'},
        {"delimiter": ":"},
        {"delimiter": ";"},
        {"delimiter": "|"},
        {"null_text": '""'},
        {"empty_text": "null"},
    ],
    ids=lambda changes: ", ".join(changes) or "adobe_cloud",
)
def test_the_bytes_are_those_of_sparks_csv_writer(engine: Engine, tmp_path: Path, changes: dict[str, Any]) -> None:
    if engine.kind != "spark":
        pytest.skip("Spark's CSV writer is what this compares with")
    config, header = preset(**changes), ["e,mail", "say\\"]
    rows = hostile_rows(config.delimiter)
    frame = engine.session.createDataFrame([tuple(row) for row in rows], "a string, b string").toDF(*header).coalesce(1)
    options = {"sep": config.delimiter, "quote": config.quote, "escape": config.escape_character, "lineSep": "\n", "header": "true"}
    options |= {"nullValue": config.null_text, "emptyValue": config.empty_text, "encoding": "UTF-8"}
    # Adobe's documentation leaves open whether cloud destinations trim; here nothing is trimmed.
    options |= {"ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}
    frame.write.options(**options).csv(f"file://{tmp_path}/spark")
    (written,) = (tmp_path / "spark").glob("part-*")
    dialect = Dialect(config, header)
    ours = dialect.opening() + dialect.lines(pl.DataFrame(rows, schema={"c0": pl.String, "c1": pl.String}, orient="row"))[0]
    assert ours == written.read_bytes()


def test_the_preset_is_what_adobe_documents() -> None:
    config = preset()
    assert (config.delimiter, config.quote, config.escape_character) == (",", "\0", "\\")
    assert (config.null_text, config.empty_text) == ("null", "")
    assert (config.header, config.encoding, config.line_ending, config.max_rows) == (True, "utf-8", "lf", 5_000_000)
    others = {field.name for field in dataclasses.fields(FileConfig)} - {"name", "quoting", "quote", "escape", "null_text", "empty_text"}
    assert [name for name in sorted(others) if getattr(config, name) != getattr(FileConfig(), name)] == []
