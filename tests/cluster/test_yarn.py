"""deploy/submit-yarn.sh to YARN in cluster mode: the driver is a container, too, and has nothing of the machine that submits."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from activation import JOBS
from clusters import SPARK_HOME, Submitted, missing_compiler, yarn_cluster
from sites import STATE_BUCKET, Site


@pytest.fixture(scope="module")
def hadoop(jars: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    reason = missing_compiler()
    if reason:
        pytest.fail(f"{reason}, or run make cluster-test")
    with yarn_cluster(tmp_path_factory.mktemp("hadoop") / "yarn") as conf:
        yield conf


def submit(site: Site, hadoop: Path, *arguments: str, **variables: str) -> Submitted:
    return site.submit(
        *arguments,
        hadoop=hadoop,
        spark__executor__instances="2",
        spark__yarn__jars=f"local:{SPARK_HOME}/jars/*",
        spark__yarn__stagingDir=f"file://{hadoop.parent / 'staging'}",
        **variables,
    )


def containers(hadoop: Path, run: Submitted) -> dict[str, str]:
    """Of one application: name of a container → all that it wrote, and how it was started."""
    (application,) = set(re.findall(r"application_(\d+_\d+)", run.text))
    found: dict[str, str] = {}
    for path in sorted(hadoop.parent.rglob(f"container_{application}_*/*")):
        if path.is_file() and not path.is_symlink():
            found[path.parent.name] = found.get(path.parent.name, "") + path.read_text(errors="replace")
    return found


def test_an_activation_in_cluster_mode_delivers_the_same_bytes(
    site: Site, hadoop: Path, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    """Its configuration goes the way of the environment: an archive, that is unpacked beside the driver."""
    with ZipFile(tmp_path / "own.zip", "w") as packed:
        packed.writestr("activation/mine.yaml", "# @package _global_\ndefaults: [demo]\nfile: {name: members}\n")
    arguments = [each.replace("activation=demo", "activation=mine") for each in site.arguments("yarn", *site.to_sftp())]
    own = ["--config-dir", "conf", *(each for each in arguments if each != "file.name=members")]
    run = submit(site, hadoop, *own, CONF_ARCHIVE=str(tmp_path / "own.zip"))
    code = run.code(timeout=480)  # a busy machine takes more than two minutes
    written = containers(hadoop, run)
    assert code == 0, run.text + "".join(text[-6000:] for text in written.values())
    found = site.delivered()
    assert {name: content for name, content in found.items() if not name.startswith("manifest-")} == local_files
    record = site.record("yarn")
    assert (record["status"], record["activation"]) == ("published", "mine")
    shown = run.text + "".join(written.values()) + (hadoop.parent / "yarn.log").read_text(errors="replace")
    assert "activate.py" in shown  # what is looked through has the command lines
    assert "Run yarn of activation 'mine' on spark: published" in shown  # and what the driver wrote
    assert [name for name, value in site.values().items() if value in shown] == []
    shutil.rmtree(hadoop.parent / "staging", ignore_errors=True)


def test_a_held_run_is_computed_once_and_its_exit_code_is_in_the_record(site: Site, hadoop: Path) -> None:
    """spark-submit ends with 1 whatever the code was, and YARN's own default is to start such a driver twice."""
    run = submit(site, hadoop, *site.arguments("held", "guard.max_rows=1", *site.to_sftp()))
    code = run.code(timeout=480)  # a busy machine takes more than two minutes
    written = containers(hadoop, run)
    assert code == 1, run.text + "".join(text[-6000:] for text in written.values())
    attempts = {name.split("_")[-2] for name in written}
    assert attempts == {"01"}
    assert site.delivered() == {}
    place = ["state=s3", f"state.path=s3://{STATE_BUCKET}/{site.inbox.name}", *site.keys("state")]
    listed = subprocess.run(
        [sys.executable, str(JOBS / "history.py"), *place, "--run", "held"], capture_output=True, text=True, timeout=60, check=False
    )
    assert listed.returncode == 0, listed.stderr
    assert "on spark: held" in listed.stdout
    assert "exit code 3" in listed.stdout
