"""What the README shows is what a user gets."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from activation import start_job

from courier.compose import load
from courier.config import S3Config, SftpKeyConfig

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ACTIVATIONS = re.findall(r"```yaml\n(# @package _global_\n.*?)```", README, flags=re.DOTALL)


def test_the_first_screen_shows_what_a_run_says(tmp_path: Path) -> None:
    """All of it, but for the seconds that it took."""
    (shown,) = re.findall(r"```text\n(Run .*?)```", README, re.DOTALL)
    (run_id,) = re.findall(r"^Run (\S+)", shown)
    start_job("make_profiles.py", tmp_path, "data/profiles", "--profiles", "200000").succeeded()
    as_of = datetime.strptime(run_id, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC).isoformat()
    job = start_job("activate.py", tmp_path, "activation=demo", f"run_id={run_id}", f"as_of={as_of}").succeeded()
    said, readme = (re.sub(r"\d+\.\d(,|$)", r"…\1", text, flags=re.MULTILINE) for text in (job.stdout, shown))
    assert said.replace(str(tmp_path), "/home/you/audience-courier") == readme


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
