"""spark-submit to YARN in cluster mode: the driver is a container, too, and has nothing of the machine that submits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import SPARK_HOME, missing_compiler, yarn_cluster
from sites import Site


@pytest.fixture
def hadoop(jars: list[str], tmp_path: Path) -> Iterator[Path]:
    reason = missing_compiler()
    if reason:
        pytest.skip(reason)
    with yarn_cluster(tmp_path / "yarn") as conf:
        yield conf


def test_an_activation_in_cluster_mode_delivers_the_same_bytes(site: Site, hadoop: Path, local_files: dict[str, bytes]) -> None:
    python = "./environment/bin/python"
    staging = hadoop.parent / "staging"
    run = site.submit(
        *site.arguments("yarn", *site.to_sftp()),
        master="yarn",
        hadoop=hadoop,
        spark__submit__deployMode="cluster",
        spark__executor__instances="2",
        spark__yarn__jars=f"local:{SPARK_HOME}/jars/*",
        spark__yarn__stagingDir=f"file://{staging}",
        spark__yarn__appMasterEnv__PYSPARK_PYTHON=python,
        spark__pyspark__python=python,
    )
    code = run.code()
    containers = "".join(path.read_text(errors="replace")[-6000:] for path in hadoop.parent.rglob("container_*/std*"))
    assert code == 0, run.text + containers
    found = site.delivered()
    assert {name: content for name, content in found.items() if not name.startswith("manifest-")} == local_files
    assert site.record("yarn")["status"] == "published"
    shown = run.text + containers + "".join(path.read_text(errors="replace") for path in hadoop.parent.rglob("launch_container.sh"))
    assert "activate.py" in shown  # what is looked through has the command lines
    assert [name for name, value in site.values().items() if value in shown] == []
    shutil.rmtree(staging, ignore_errors=True)
