"""spark-submit to a Spark cluster in client mode, from a folder that holds the deployable and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sites import Site
from targets import s3_client


def without_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith("manifest-")}


def test_the_same_bytes_as_on_one_machine_over_sftp_and_to_s3(
    site: Site, local_files: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    expected = local_files()
    before = {path.name for path in site.folder.iterdir()}
    events = tmp_path / "events"
    events.mkdir()
    run = site.submit(*site.arguments("to-sftp", *site.to_sftp()), spark__eventLog__enabled="true", spark__eventLog__dir=f"file://{events}")
    assert run.code() == 0, run.text
    assert without_manifest(site.delivered()) == expected
    assert {path.name for path in site.folder.iterdir()} == before  # no outputs/, no spark-warehouse/, no state/
    secrets = [path.read_text().strip() for path in site.secrets.values()]
    logged = "".join(path.read_text(errors="replace") for path in events.rglob("*") if path.is_file())
    assert '"spark.app.name":"audience-courier"' in logged  # what is looked through is an event log
    assert [name for name, value in zip(site.secrets, secrets, strict=True) if value in logged + run.text] == []

    prefix = f"exports/{site.inbox.name}"
    run = site.submit(*site.arguments("to-s3", *site.to_s3(prefix)))
    assert run.code() == 0, run.text
    objects = {path.name: path.read_bytes() for path in (site.s3.folder / prefix).rglob("*") if path.is_file()}
    assert without_manifest(objects) == expected
    assert "Uploads" not in s3_client(site.s3).list_multipart_uploads(Bucket=site.s3.bucket)
    record = json.loads((site.s3.folder / "state" / site.inbox.name / "runs/to-s3/record.json").read_text())
    assert (record["status"], record["engine"]) == ("published", "spark")
