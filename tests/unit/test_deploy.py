"""What is in deploy/ runs, and what it starts finds its configuration where the cluster puts it.

Spark, AWS's command line, Airflow and Kubernetes are stood in for: by programs that write down how they were called, and by the
rules by which a volume shows a ConfigMap.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import types
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml
from packaging.specifiers import SpecifierSet

from courier.compose import load
from courier.config import RunConfig
from courier.delivery.cluster import assert_possible
from courier.engine import Engine
from courier.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
JOBS = REPOSITORY / "jobs"
MANIFESTS = ["sparkapplication.yaml", "scheduled.yaml", "cronjob.yaml"]
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
TEXTS = {file.name: file.read_text() for file in DEPLOY.rglob("*") if file.is_file() and file.suffix != ".pyc"}

#: What the user has written for the examples, which all start the activation `spring`.
SPRING = """\
# @package _global_
defaults:
  - override /destination: sftp_password
audience:
  segments: [{id: a, name: spring}]
destination: {host: sftp.example.com, username: acme, path: inbox}
"""


# Files, and what they name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_may_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_job_that_is_named_exists(name: str) -> None:
    assert [job for job in re.findall(r"jobs/(\w+\.py)", TEXTS[name]) if not (JOBS / job).exists()] == []


def test_the_image_and_the_manifests_are_of_the_spark_and_the_python_that_were_locked() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    (spark,) = re.findall(r"^pyspark==(\S+)", lock, flags=re.MULTILINE)
    assert {version for text in TEXTS.values() for version in re.findall(r"sparkVersion: (\S+)", text)} == {spark}
    (python,) = set(re.findall(r"python:?(3\.\d+)", TEXTS["Dockerfile"]))
    (wanted,) = re.findall(r'requires-python = "(.*)"', (REPOSITORY / "pyproject.toml").read_text())
    assert SpecifierSet(wanted).contains(python)


def test_what_the_image_takes_from_the_repository_is_there() -> None:
    """The wheel and the jars are made; tests/cluster looks for them."""
    sources = [word for line in TEXTS["Dockerfile"].splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    kept = [source for source in sources if "*" not in source]
    assert kept == ["requirements.lock", "jobs", "deploy/kubernetes/entrypoint.sh"]
    assert [source for source in kept if not (REPOSITORY / source).exists()] == []


def test_the_jars_are_of_the_hadoop_that_pyspark_carries() -> None:
    (hadoop,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    version = hadoop.stem.removeprefix("hadoop-client-api-")
    named = re.findall(r"org\.apache\.hadoop:hadoop-[\w-]+:(\S+?)[\s)]", (REPOSITORY / "scripts" / "jars").read_text())
    assert named == [version, version]


# Kubernetes


@pytest.mark.parametrize("name", ["sparkapplication.yaml", "scheduled.yaml"])
def test_a_spark_application_has_what_the_operator_requires(name: str) -> None:
    content: dict[str, Any] = yaml.safe_load(TEXTS[name])
    assert content["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
    spec = content["spec"]["template"] if content["kind"] == "ScheduledSparkApplication" else content["spec"]
    assert {"type", "mode", "image", "sparkVersion", "mainApplicationFile", "driver", "executor"} <= set(spec)


def test_the_scheduled_application_is_the_single_one() -> None:
    assert yaml.safe_load(TEXTS["scheduled.yaml"])["spec"]["template"] == yaml.safe_load(TEXTS["sparkapplication.yaml"])["spec"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_pod_finds_the_activation_that_its_arguments_name(name: str, tmp_path: Path) -> None:
    """The ConfigMap is what `kubectl create configmap courier-config --from-file=spring.yaml` makes of the user's file."""
    arguments, volumes, (mounts, *_) = parts(yaml.safe_load(TEXTS[name]))
    disk = pod_disk(tmp_path, volumes, mounts, {"courier-config": {"spring.yaml": SPRING}, "courier-secrets": {"password": "secret"}})
    config = composed(arguments, lambda path: disk / path.lstrip("/"))
    assert (config.activation, config.audience.segments[0].name, config.destination.kind) == ("spring", "spring", "sftp_password")
    assert_needs_no_disk(config)


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_pod_that_uses_a_secret_has_it(name: str, tmp_path: Path) -> None:
    arguments, volumes, all_mounts = parts(yaml.safe_load(TEXTS[name]))
    (password,) = [text.partition("=")[2] for text in arguments if text.startswith("destination.password_file=")]
    for number, mounts in enumerate(all_mounts):
        disk = pod_disk(tmp_path / str(number), volumes, mounts, {"courier-config": {}, "courier-secrets": {"password": "secret"}})
        assert (disk / password.lstrip("/")).read_text() == "secret"


def parts(content: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """The arguments of the job, the volumes, and what of them each kind of pod mounts, the one that starts the job first."""
    spec = content["spec"]
    if content["kind"] == "CronJob":
        pod = spec["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        return container["args"], pod["volumes"], [container["volumeMounts"]]
    spec = spec["template"] if content["kind"] == "ScheduledSparkApplication" else spec
    return spec["arguments"], spec["volumes"], [spec[part]["volumeMounts"] for part in ("driver", "executor")]


def pod_disk(root: Path, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]], content: dict[str, dict[str, str]]) -> Path:
    """A folder with what a pod sees: each key is a file of its name, or with `items` those that are listed, at their paths."""
    named = {volume["name"]: volume for volume in volumes}
    for mount in mounts:
        volume = named[mount["name"]]
        source = volume.get("configMap") or volume["secret"]
        keys = content[source.get("name") or source["secretName"]]
        assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)  # what Kubernetes takes as a key
        items = source.get("items") or [{"key": key, "path": key} for key in keys]
        for item in items:
            if item["key"] not in keys:
                continue
            file = root / mount["mountPath"].lstrip("/") / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(keys[item["key"]])
    return root


# The image's entry point


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Spark's home, with a java, a spark-submit and a tini that write down their arguments."""
    stub(tmp_path / "bin" / "java", 'printf "%s\\n" java "$@"')
    stub(tmp_path / "bin" / "tini", '[ "$1 $2" = "-s --" ] && shift 2 && exec "$@"')
    stub(tmp_path / "spark" / "bin" / "spark-submit", 'printf "%s\\n" spark-submit "$@"')
    return tmp_path


def enter(image: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{image}/bin:{os.environ['PATH']}", "SPARK_HOME": f"{image}/spark", **variables}
    command = [str(DEPLOY / "kubernetes" / "entrypoint.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_entry_point_starts_a_driver(image: Path) -> None:
    wanted = ["--properties-file", "/opt/spark/conf/spark.properties", "--class", "org.apache.spark.deploy.PythonRunner", "local:///a b.py"]
    done = enter(image, "driver", *wanted, SPARK_DRIVER_BIND_ADDRESS="10.0.0.1")
    begin = ["spark-submit", "--conf", "spark.driver.bindAddress=10.0.0.1", "--deploy-mode", "client"]
    assert done.stdout.splitlines() == [*begin, *wanted], done.stderr


#: As Spark 4.1.4 sets them: org.apache.spark.deploy.k8s.Constants.
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://driver:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "4096m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_EXECUTOR_POD_NAME": "exec-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
}


def test_the_entry_point_starts_an_executor(image: Path) -> None:
    options = [f"-Doption={number} %s" for number in range(11)]  # the tenth comes after the second
    given = {f"SPARK_JAVA_OPT_{number}": option for number, option in enumerate(options)}
    done = enter(image, "executor", SPARK_CONF_DIR="/opt/spark/conf", SPARK_CLASSPATH="/extra/*", **EXECUTOR, **given)
    classes = f"/opt/spark/conf:/extra/*:{image}/spark/jars/*"
    own = ["--driver-url", "spark://driver:7078", "--executor-id", "3", "--cores", "2", "--app-id", "spark-1", "--hostname", "10.0.0.2"]
    backend = ["org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend", *own, "--resourceProfileId", "0", "--podName", "exec-3"]
    assert done.stdout.splitlines() == ["java", *options, "-Xms4096m", "-Xmx4096m", "-cp", classes, *backend], done.stderr


def test_the_entry_point_does_without_what_is_not_set(image: Path) -> None:
    done = enter(image, "executor", **EXECUTOR)
    assert done.stdout.splitlines()[:5] == ["java", "-Xms4096m", "-Xmx4096m", "-cp", f"{image}/spark/conf:{image}/spark/jars/*"], (
        done.stderr
    )


def test_the_entry_point_runs_anything_else_and_ends_with_its_code(image: Path) -> None:
    done = enter(image, "bash", "-c", 'echo "$0 $1"; exit 3', "a b", "*")
    assert (done.returncode, done.stdout) == (3, "a b *\n")


# Scripts that submit


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """An unpacked dist/ with an environment of one file, and a spark-submit and an aws that write down how they were called."""
    folder = tmp_path / "dist"
    shutil.copytree(DEPLOY, folder / "deploy")
    shutil.copytree(JOBS, folder / "jobs")
    pack(folder, "first")
    stub(tmp_path / "spark" / "bin" / "spark-submit", 'printf "%s\\0" "$@" > "$CALLS"; "${PYSPARK_DRIVER_PYTHON:-true}"')
    stub(tmp_path / "bin" / "aws", 'printf "%s\\0" "$@" >> "$CALLS"')
    return folder


def pack(folder: Path, says: str) -> None:
    stub(folder / "packed" / "bin" / "python", f"echo {says}")
    with tarfile.open(folder / "environment.tar.gz", "w:gz") as packed:
        packed.add(folder / "packed", ".")
    shutil.rmtree(folder / "packed")


def run(dist: Path, script: str, *arguments: str, cwd: Path | None = None, **variables: str) -> tuple[list[str], str]:
    """The arguments of the last program that the script called, and what was written to standard output."""
    calls = dist.parent / "calls"
    calls.unlink(missing_ok=True)
    place = {"PATH": f"{dist.parent}/bin:{os.environ['PATH']}", "SPARK_HOME": f"{dist.parent}/spark", "CALLS": str(calls)}
    command = [str(dist / "deploy" / script), *arguments]
    done = subprocess.run(command, cwd=cwd or dist.parent, env=place | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return calls.read_text().split("\0")[:-1], done.stdout.strip()


def option(call: list[str], name: str) -> str:
    """Of an option that spark-submit takes once: it forgets all but the last."""
    assert call.count(name) == 1
    return call[call.index(name) + 1]


def settings(call: list[str]) -> dict[str, str]:
    return dict(call[place + 1].split("=", 1) for place, word in enumerate(call) if word == "--conf")


ARGUMENTS = ["activation=spring", "source.path=s3://crm/profiles", "state=s3", "state.path=s3://crm/state"]


def test_a_standalone_cluster_gets_the_environment_and_the_arguments(dist: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    write_activation(own)
    extra = "--conf spark.executor.extraClassPath=/jars/* --executor-memory 4g"
    given = [f"--config-dir={own}", *ARGUMENTS, "file.delimiter=';'"]
    call, _ = run(dist, "submit-standalone.sh", "spark://master:7077", *given, SUBMIT_OPTIONS=extra, cwd=tmp_path)
    assert option(call, "--master") == "spark://master:7077"
    assert option(call, "--archives") == "environment.tar.gz#environment"
    assert settings(call) == {"spark.executor.extraClassPath": "/jars/*"}
    assert option(call, "--executor-memory") == "4g"
    assert_needs_no_disk(composed(after_job(call), Path))


def test_the_drivers_environment_is_renewed_with_the_archive_and_the_old_one_left(dist: Path) -> None:
    assert run(dist, "submit-standalone.sh", "spark://m:1")[1] == "first"
    old = environments(dist)
    pack(dist, "second")
    os.utime(dist / "environment.tar.gz", (0, 0))  # a copy may keep the age of a file that was built before
    assert run(dist, "submit-standalone.sh", "spark://m:1")[1] == "second"
    assert old < environments(dist)
    assert run(dist, "submit-standalone.sh", "spark://m:1")[1] == "second"
    assert len(environments(dist)) == 2


def test_an_environment_is_used_only_when_it_is_whole(dist: Path) -> None:
    whole = (dist / "environment.tar.gz").read_bytes()
    (dist / "environment.tar.gz").write_bytes(whole[:-20])
    with pytest.raises(AssertionError):
        run(dist, "submit-standalone.sh", "spark://m:1")
    assert environments(dist) == set()
    (dist / "environment.tar.gz").write_bytes(whole)
    assert run(dist, "submit-standalone.sh", "spark://m:1")[1] == "first"
    assert [path.name for path in dist.iterdir() if path.name.startswith(".")] == []


def environments(dist: Path) -> set[str]:
    return {path.name for path in dist.iterdir() if path.is_dir() and "environment" in path.name}


def test_yarn_gets_the_environment_one_attempt_and_the_arguments(dist: Path, tmp_path: Path) -> None:
    call, _ = run(dist, "submit-yarn.sh", *ARGUMENTS, SUBMIT_OPTIONS="--conf spark.yarn.queue=night")
    assert option(call, "--archives") == "environment.tar.gz#environment"
    assert (option(call, "--master"), option(call, "--deploy-mode")) == ("yarn", "cluster")
    python = "./environment/bin/python"
    environment = {"spark.pyspark.python": python, "spark.yarn.appMasterEnv.PYSPARK_PYTHON": python}
    assert settings(call) == {**environment, "spark.yarn.maxAppAttempts": "1", "spark.yarn.queue": "night"}
    assert after_job(call) == ["engine=spark", "engine.delivery=executors", *ARGUMENTS]


@pytest.mark.parametrize("given", ["conf.zip", "hdfs:///apps/conf.zip"])
def test_yarn_gets_the_configuration_beside_the_environment(given: str, dist: Path, tmp_path: Path) -> None:
    (tmp_path / "conf.zip").write_bytes(b"")
    call, _ = run(dist, "submit-yarn.sh", "--config-dir", "conf", *ARGUMENTS, CONF_ARCHIVE=given, cwd=tmp_path)
    found = given if ":" in given else f"{tmp_path}/conf.zip"
    assert option(call, "--archives") == f"environment.tar.gz#environment,{found}#conf"
    assert_needs_no_disk(composed_in_a_container(call, tmp_path))


@pytest.mark.parametrize("given", [None, "conf.zip", "s3://crm/conf.zip"])
def test_emr_gets_a_step_that_submits_what_was_copied(given: str | None, dist: Path, tmp_path: Path) -> None:
    (tmp_path / "conf.zip").write_bytes(b"")
    place, own = "s3://crm/dist", ["--config-dir", "conf"] if given else []
    variables = {"CONF_ARCHIVE": given} if given else {}
    calls, _ = run(dist, "submit-emr.sh", "j-1", place, *own, *ARGUMENTS, "file.delimiter=';'", cwd=tmp_path, **variables)
    copied = [calls[at + 2 : at + 4] for at, word in enumerate(calls) if word == "s3"]
    wanted = [["environment.tar.gz", f"{place}/environment.tar.gz"], ["jobs/activate.py", f"{place}/jobs/activate.py"]]
    assert copied == [*wanted, *([[f"{tmp_path}/conf.zip", f"{place}/conf.zip"]] if given == "conf.zip" else [])]
    assert calls[-6:-1] == ["emr", "add-steps", "--cluster-id", "j-1", "--steps"]
    (step,) = json.loads(calls[-1])
    conf = {None: "", "conf.zip": f",{place}/conf.zip#conf", "s3://crm/conf.zip": ",s3://crm/conf.zip#conf"}[given]
    assert option(step["Args"], "--archives") == f"{place}/environment.tar.gz#environment{conf}"
    assert settings(step["Args"])["spark.yarn.maxAppAttempts"] == "1"
    assert f"{place}/jobs/activate.py" in step["Args"]
    if given:
        assert_needs_no_disk(composed_in_a_container(step["Args"], tmp_path))


# Airflow


def test_the_dag_submits_what_finds_its_activation_and_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    operators: list[dict[str, Any]] = []
    dags: list[dict[str, Any]] = []

    class Dag:
        def __init__(self, **words: Any) -> None:
            dags.append(words)

        def __enter__(self) -> Dag:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    for name in ("airflow", "airflow.sdk", "airflow.providers.apache.spark.operators.spark_submit"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow.sdk"].DAG = Dag  # type: ignore[attr-defined]
    spark_submit = sys.modules["airflow.providers.apache.spark.operators.spark_submit"]
    spark_submit.SparkSubmitOperator = lambda **words: operators.append(words)  # type: ignore[attr-defined]
    runpy.run_path(str(DEPLOY / "airflow_dag.py"))
    (dag,), (operator,) = dags, operators
    assert dag["default_args"]["retries"] == 0
    assert operator["conf"]["spark.yarn.maxAppAttempts"] == "1"
    macros = {"{{ ds_nodash }}": "20261101", "{{ ts }}": "2026-11-01T02:30:00+00:00"}
    arguments = [re.sub(r"{{.*?}}", lambda macro: macros[macro[0]], text) for text in operator["application_args"]]
    config = composed_in_a_container(["--archives", operator["archives"], operator["application"], *arguments], tmp_path)
    assert (config.run_id, config.as_of) == ("spring-20261101", datetime(2026, 11, 1, 2, 30, tzinfo=UTC))
    assert_needs_no_disk(config)


# What the above share


def stub(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(0o755)


def write_activation(folder: Path) -> None:
    (folder / "activation").mkdir(parents=True)
    (folder / "activation" / "spring.yaml").write_text(SPRING)


def after_job(call: list[str]) -> list[str]:
    (place,) = [place for place, word in enumerate(call) if word.endswith("jobs/activate.py")]
    return call[place + 1 :]


def composed_in_a_container(call: list[str], tmp_path: Path) -> RunConfig:
    """With the folder that YARN unpacks beside the driver of the archive that is no environment."""
    container = tmp_path / "container"
    container.mkdir()
    names = [archive.partition("#")[2] for archive in option(call, "--archives").split(",")]
    assert names[0] == "environment"
    for name in names[1:]:
        write_activation(container / name)
    return composed(after_job(call), lambda path: container / path)


def composed(arguments: Iterable[str], place: Callable[[str], Path]) -> RunConfig:
    """The configuration that a job makes of its arguments, on a disk where --config-dir is at another place."""
    words = " ".join(arguments)  # none of them has a blank
    (folder,) = re.findall(r"--config-dir[= ](\S+)", words)
    overrides = [word for word in re.sub(r"--config-dir[= ]\S+", "", words).split() if word]
    return load(overrides, now=datetime.now(UTC), config_dir=str(place(folder)))


def assert_needs_no_disk(config: RunConfig) -> None:
    """Nothing that is read, written or remembered is on the disk of one pod or node."""
    session: Any = None
    assert_possible(Engine(session, config.engine.kind, one_machine=False, spread=True), config)


def test_a_state_on_a_pods_own_disk_would_be_seen() -> None:
    with pytest.raises(ConfigError, match="do not see the driver's disk"):
        assert_needs_no_disk(
            load(["activation=demo", "source.path=s3://crm/profiles", "destination=s3", "destination.bucket=b"], now=datetime.now(UTC))
        )
