"""A Spark cluster of separate processes, in short: the executors deliver. The long form is in tests/cluster."""

from __future__ import annotations

import sys
from pathlib import Path

from activation import AS_OF, JOBS, activate
from clusters import end, standalone_cluster, submit
from servers import SftpServer
from targets import sftp_key_target
from xdm_profiles import profile, write_profiles

import courier


def test_the_executors_of_a_cluster_deliver_the_same_bytes(tmp_path: Path, openssh: SftpServer) -> None:
    members = {"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(tmp_path / "profiles", [profile(email=f"{number:03d}@example.com", segments=members) for number in range(90)])
    common = ["audience.segments=[a]", "file.max_rows=25", "file.name=members"]
    expected = activate(tmp_path, *common).succeeded().files()
    assert len(expected) == 4
    target = sftp_key_target(openssh, "ed25519")
    engine = ["engine=spark", "engine.delivery=executors", "engine.shared_disk=true", f"state.path={tmp_path}/state"]
    arguments = ["activation=demo", f"source.path={tmp_path}/profiles", "checks=none", "run_id=cluster", f"as_of={AS_OF}", *common, *engine]
    source = str(Path(courier.__file__).parents[1])
    settings = {"spark.executorEnv.PYTHONPATH": source, "spark.executor.memory": "1g", "spark.ui.enabled": "false"}
    with standalone_cluster(tmp_path / "spark", workers=1) as cluster:
        run = submit(
            tmp_path,
            cluster.master,
            JOBS / "activate.py",
            *arguments,
            *target.overrides(),
            settings=settings | {"spark.sql.shuffle.partitions": "2"},
            python=sys.executable,
            PYTHONPATH=source,
        )
        try:
            assert run.code() == 0, run.text
        finally:
            end(run)
    assert {name: content for name, content in target.visible().items() if not name.startswith("manifest")} == expected
    assert target.leftovers() == []
