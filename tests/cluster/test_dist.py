"""What `make dist` makes is what the image of Kubernetes is built from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from clusters import JARS, REPOSITORY


def test_the_image_finds_all_that_it_copies(dist: Path, jars: list[str]) -> None:
    dockerfile = (dist / "deploy" / "kubernetes" / "Dockerfile").read_text()
    sources = [word for line in dockerfile.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert [source for source in sources if not source.startswith("jars/") and not list(dist.glob(source))] == []
    # `scripts/jars dist/jars s3` fetches into dist/ what is fetched already.
    done = subprocess.run([str(REPOSITORY / "scripts" / "jars"), str(JARS), "s3"], capture_output=True, text=True, check=False)
    assert (done.returncode, len(jars)) == (0, 3), done.stdout
    assert (dist / "deploy" / "kubernetes" / "entrypoint.sh").stat().st_mode & 0o111


def test_a_cluster_that_has_spark_gets_no_second_one(dist: Path) -> None:
    own = set(re.findall(r"^([a-z0-9-]+)==", (dist / "requirements-without-spark.lock").read_text(), flags=re.MULTILINE))
    whole = set(re.findall(r"^([a-z0-9-]+)==", (dist / "requirements.lock").read_text(), flags=re.MULTILINE))
    assert whole - own == {"pyspark", "pysail"}
