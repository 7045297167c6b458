"""What the README shows is what a user gets."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from courier.compose import load
from courier.config import S3Config, SftpKeyConfig

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ACTIVATIONS = re.findall(r"```yaml\n(# @package _global_\n.*?)```", README, flags=re.DOTALL)


def test_the_first_screen_shows_the_output_of_a_run_with_counts_that_reconcile() -> None:
    shown = re.findall(r"^ {4}(excluded: \S+|[a-z]+) +(-?[\d,]+)$", README, re.MULTILINE)
    numbers = {name: int(number.replace(",", "")) for name, number in shown}
    assert sum(name.startswith("excluded: ") for name in numbers) == 3
    assert sum(number for name, number in numbers.items() if name != "exported") == numbers["exported"]
    assert re.search(r"sha256 [0-9a-f]{64}", README)


@pytest.mark.parametrize(("text", "kind"), list(zip(ACTIVATIONS, [SftpKeyConfig, S3Config], strict=True)))
def test_the_activations_of_the_readme_compose(text: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / "activation").mkdir()
    (tmp_path / "activation" / "spring_sale.yaml").write_text(text)
    config = load(["activation=spring_sale"], now=datetime.now(UTC), config_dir=str(tmp_path))
    assert isinstance(config.destination, kind)
    assert [segment.name for segment in config.audience.segments] == ["spring_sale"]


def test_the_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z-]+)`|\$ make ([a-z-]+)", README)):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


def test_the_links_of_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
