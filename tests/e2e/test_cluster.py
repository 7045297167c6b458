"""A Spark cluster of separate processes, in short: the executors deliver. The long form is in tests/cluster."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from activation import AS_OF, JOBS, activate
from clusters import end, standalone_cluster, submit
from servers import SftpServer
from targets import sftp_key_target
from xdm_profiles import profile, write_profiles

import courier
from courier.config import StateConfig
from courier.state import open_store


def test_the_executors_of_a_cluster_deliver_the_same_bytes_and_are_asked_before_whether_they_can(
    tmp_path: Path, openssh: SftpServer
) -> None:
    members = {"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}}
    write_profiles(tmp_path / "profiles", [profile(email=f"{number:03d}@example.com", segments=members) for number in range(90)])
    common = ["audience.segments=[a]", "file.max_rows=25", "file.name=members"]
    expected = activate(tmp_path, *common).succeeded().files()
    assert len(expected) == 4
    target, key = sftp_key_target(openssh, "ed25519"), openssh.keys["ed25519"].read_text()
    store = open_store(StateConfig(path=f"{tmp_path}/state"))
    engine = ["engine=spark", "engine.delivery=executors", "engine.shared_disk=true", f"state.path={tmp_path}/state"]
    arguments = ["activation=demo", f"source.path={tmp_path}/profiles", "checks=none", "run_id=cluster", f"as_of={AS_OF}", *common, *engine]
    source = str(Path(courier.__file__).parents[1])
    settings = {"spark.executorEnv.PYTHONPATH": source, "spark.executor.memory": "1g", "spark.ui.enabled": "false"}
    with standalone_cluster(tmp_path / "spark", workers=1) as cluster:

        def submitted(*overrides: str, **environment: str) -> tuple[int, str]:
            run = submit(
                tmp_path,
                cluster.master,
                JOBS / "activate.py",
                *arguments,
                *target.overrides(),
                *overrides,
                settings=settings | {"spark.sql.shuffle.partitions": "2"},
                python=sys.executable,
                PYTHONPATH=source,
                **environment,
            )
            try:
                return run.code(), run.text
            finally:
                end(run)

        code, text = submitted("run_id=early", "destination.key_file=null", "destination.key_env=ACME_KEY", ACME_KEY=key)
        assert (code, f"On an executor ({socket.gethostname()}): " in text, "ACME_KEY" in text) == (2, True, True), text
        assert json.loads(store.read("runs/early/record.json") or b"")["seconds"].keys() == {"read"}
        code, text = submitted()
        assert code == 0, text
    assert {name: content for name, content in target.visible().items() if not name.startswith("manifest")} == expected
    assert target.leftovers() == []
