"""Imports point one way: jobs → pipeline → steps → config, errors. What no engine needs loads none."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import courier

PACKAGE = Path(courier.__file__).parent
JOBS = Path(__file__).parents[2] / "jobs"
MODULES = {str(file.relative_to(PACKAGE).with_suffix("")): file for file in PACKAGE.rglob("*.py") if "conf" not in file.parts}

#: The only modules that may name an engine, all of them before the plan; and the only ones that may name a transport.
ENGINE = {
    *(
        "members/audience",
        "checks",
        "computing",
        "members/consent",
        "engine/connect",
        "engine/failures",
        "engine/base",
        "engine/spark",
        "engine/sail",
        "esp/changes",
        "esp/fitting",
        "expressions",
        "mapping/columns",
        "mapping/model",
        "mapping/resolving",
        "rows/outcomes",
        "source/kinds",
        "source/profiles",
    ),
    *("rows/rules", "mapping/shapes", "rows/snapshot", "members/suppression"),
}
TRANSPORTS = {"paramiko": {"destinations/sftp"}, "boto3": {"destinations/s3", "state/s3", "secrets", "aws_errors"}}
#: Packages that are one thing, whose modules may know each other's.
ROOM = {name: name.partition("/")[0] for name in MODULES}
LOWEST = {
    "errors": set[str](),
    "saying": set[str](),
    "stored": set[str](),
    "xdm": {"errors"},
    "home": {"errors"},
    "secrets": {"aws_errors", "errors", "home"},
    "compose/written": {"errors", "home"},
    "layouts": {"errors"},
    "names": {"errors", "layouts"},
    "config/limits": {"errors"},
    "config/dialect": {"config/limits", "errors"},
    "config/file": {"config/dialect", "config/limits", "errors"},
}


def imported(file: Path) -> set[str]:
    """Every module that a file imports, also inside functions and for type checkers only, with its dots."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(file)}


def own(file: Path) -> set[str]:
    """The modules of this package that a file imports, without `courier.`."""
    names = {name.removeprefix("courier.").replace(".", "/") for name in imported(file) if name.startswith("courier.")}
    return {name for name in names if name in MODULES or f"{name}/__init__" in MODULES}


def those_of(*steps: str) -> list[Path]:
    return [file for name, file in MODULES.items() if name.partition("/")[0] in steps]


def importers(*libraries: str) -> set[str]:
    return {name for name, file in MODULES.items() if roots(file) & set(libraries)}


def test_every_module_that_is_spoken_of_here_exists() -> None:
    assert {*MODULES} >= {*LOWEST, *ENGINE}


def test_only_steps_before_the_plan_know_an_engine() -> None:
    assert importers("pyspark", "pysail", "py4j") == ENGINE


@pytest.mark.parametrize("library", ["paramiko", "boto3"])
def test_each_transport_is_known_to_one_package_and_no_step(library: str) -> None:
    known = importers(library, *(["botocore"] if library == "boto3" else []))
    assert {name if name in TRANSPORTS[library] else name.rpartition("/")[0] for name in known} == TRANSPORTS[library]


def test_imports_go_one_way() -> None:
    """A package counts as one. CycleError names the modules that know each other."""
    graph: dict[str, set[str]] = {}
    for name, file in MODULES.items():
        others = {room for each in own(file) if (room := each.partition("/")[0]) != ROOM[name]}
        graph.setdefault(ROOM[name], set()).update(others)
    assert len(list(TopologicalSorter(graph).static_order())) > 30


def test_no_two_modules_know_each_other() -> None:
    """Whatever package they are in. What a package hands on is not looked at."""
    graph = {name: own(file) - {name} for name, file in MODULES.items() if not name.endswith("__init__")}
    assert len(list(TopologicalSorter(graph).static_order())) > 130


def test_only_checks_knows_great_expectations() -> None:
    assert importers("great_expectations") == {"checks"}


def test_only_compose_knows_hydra() -> None:
    assert importers("hydra", "omegaconf") == {"compose/loading", "compose/typed"}


def test_rendering_knows_no_destination_and_a_destination_no_rendering() -> None:
    assert [file.name for file in those_of("render") if any(name.startswith("destinations") for name in own(file))] == []
    assert [file.name for file in those_of("destinations") if any(name.startswith("render") for name in own(file))] == []


def test_no_step_knows_the_pipeline() -> None:
    assert {name for name, file in MODULES.items() if "pipeline" in own(file)} == {"cli"}


@pytest.mark.parametrize(("module", "allowed"), LOWEST.items())
def test_the_lowest_modules_know_little(module: str, allowed: set[str]) -> None:
    assert own(MODULES[module]) <= allowed


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda job: job.name)
def test_a_job_only_calls(job: Path) -> None:
    assert roots(job) <= {"courier", *sys.stdlib_module_names}
    assert len(job.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize(
    "module",
    ["delivery", "render", "plan", "destinations", "checks", "source.profiles", "compose", "runs.retention", "runs.history", "esp"],
)
def test_importing_a_step_loads_no_engine_and_nothing_slow(module: str) -> None:
    program = f"import courier.{module}, sys; print(sorted({{'pyspark', 'pysail', 'great_expectations', 'pandas'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_importing_a_delivery_does_not_load_what_reads_parquet() -> None:
    program = "import courier.delivery, sys; print(sorted({'pyarrow', 'numpy', 'polars'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
