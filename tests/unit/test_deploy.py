"""What is in deploy/ can be read by what reads it, and speaks of keys and jobs that exist."""

from __future__ import annotations

import ast
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from courier.compose import load

DEPLOY = Path(__file__).parents[2] / "deploy"
JOBS = Path(__file__).parents[2] / "jobs"
TEXTS = {file.name: file.read_text() for file in DEPLOY.rglob("*") if file.is_file()}


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda script: script.name)
def test_a_script_is_valid_and_may_be_run(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_job_that_is_named_exists(name: str) -> None:
    assert [job for job in re.findall(r"jobs/(\w+\.py)", TEXTS[name]) if not (JOBS / job).exists()] == []


@pytest.mark.parametrize("name", ["sparkapplication.yaml", "scheduled.yaml"])
def test_a_spark_application_has_what_the_operator_requires(name: str) -> None:
    content: dict[str, Any] = yaml.safe_load(TEXTS[name])
    spec = content["spec"]["template"] if content["kind"] == "ScheduledSparkApplication" else content["spec"]
    assert content["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
    assert {"type", "mode", "image", "sparkVersion", "mainApplicationFile", "driver", "executor"} <= set(spec)
    mounted = {mount["name"] for part in ("driver", "executor") for mount in spec[part]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    _assert_composes(spec["arguments"])


def test_the_cron_job_mounts_what_its_arguments_name() -> None:
    pod = yaml.safe_load(TEXTS["cronjob.yaml"])["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    _assert_composes(container["args"])


def test_the_dag_is_python_and_its_arguments_compose() -> None:
    calls = [node for node in ast.walk(ast.parse(TEXTS["airflow_dag.py"])) if isinstance(node, ast.Call)]
    (arguments,) = [word.value for call in calls for word in call.keywords if word.arg == "application_args"]
    filled = [
        text.replace("{{ ds_nodash }}", "20261101").replace("{{ ts }}", "2026-11-01T02:30:00+00:00") for text in ast.literal_eval(arguments)
    ]
    _assert_composes(filled)


def _assert_composes(arguments: list[str]) -> None:
    """With the demo's activation in the place of the user's own, and a server that the user's would name."""
    own = [text.replace("activation=spring", "activation=demo") for text in arguments if not text.startswith("--config-dir")]
    config = load([own[0], "destination=sftp_password", "destination.host=h", "destination.username=u", *own[1:]], now=datetime.now(UTC))
    assert config.engine.kind in ("spark", "sail")
