"""What is known as another configuration, so that rows of one are never taken for those of the other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from courier import compose
from courier.runs import likeness

NOW = datetime(2026, 11, 1, tzinfo=UTC)
EMAIL, NAME = "email: {source: personalEmail.address}", "name: {source: person.name.firstName}"


def texts(folder: Path, *overrides: str, columns: tuple[str, ...] = (EMAIL, NAME)) -> dict[str, str]:
    own = folder / "own" / "mapping"
    own.mkdir(parents=True, exist_ok=True)
    (own / "small.yaml").write_text(f"{{columns: {{{', '.join(columns)}}}, deduplication_key: [email]}}")
    asked = ["activation=demo", "mapping=small", "run_id=run-1", "as_of=2026-11-01", *overrides]
    config = compose.load(asked, now=NOW, config_dir=str(folder / "own"))
    return {"baseline": likeness.of_rows(config), "release": likeness.of_files(config), "resumed": likeness.of_delivery(config)}


@pytest.mark.parametrize("what", ["baseline", "release", "resumed"])
def test_columns_in_another_order_are_another_mapping(tmp_path: Path, what: str) -> None:
    """A snapshot knows its columns by their place."""
    assert texts(tmp_path)[what] == texts(tmp_path)[what]
    assert texts(tmp_path)[what] != texts(tmp_path, columns=(NAME, EMAIL))[what]


@pytest.mark.parametrize("what", ["release", "resumed"])
def test_row_rules_in_another_order_are_other_rules(tmp_path: Path, what: str) -> None:
    """The first one that a row breaks is its reason."""
    one, two = "a: {column: email, required: true}", "b: {column: name, required: true}"
    assert texts(tmp_path, f"++rules.rows={{{one}, {two}}}")[what] != texts(tmp_path, f"++rules.rows={{{two}, {one}}}")[what]


def test_triggers_in_another_order_are_the_same(tmp_path: Path) -> None:
    both = [texts(tmp_path, f"export.triggers=[{triggers}]")["baseline"] for triggers in ("membership,identity", "identity,membership")]
    assert both[0] == both[1]
