"""The shipped activations for platforms as they are, to live servers: with their own checks, files and triggers; and with artefacts
beside the files, also of a run that is killed and started again.

Only what is the test's own differs: host, port, login, bucket.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from activation import JOBS, Job, command, start_job
from platform_loaders import LOADERS, Row
from servers import S3Server, SftpServer
from targets import hidden, s3_client
from xdm_profiles import profile, write_profiles

from courier import compose

SEGMENT = "8f7b1c2e-5d3a-4b6f-9a10-2c4e6f8a0b1d"
MEMBER = {"ups": {SEGMENT: ("realized", "2026-01-01T00:00:00Z", None)}}
FILES = {
    "adobe_campaign_s3": "spring_sale_20261101_000000.txt",
    "adobe_campaign_sftp_key": "spring_sale_20261101_000000.txt",
    "adobe_campaign_sftp_password": "spring_sale_20261101_000000.txt",
    "oracle_eloqua_sftp_key": "spring_sale.csv",
    "oracle_eloqua_sftp_password": "spring_sale.csv",
    "oracle_responsys_sftp_key": "spring_sale.csv",
    "oracle_responsys_sftp_password": "spring_sale.csv",
    "salesforce_marketing_cloud_s3": "spring_sale_20261101.csv",
    "salesforce_marketing_cloud_sftp_key": "spring_sale_20261101_000000.csv",
    "salesforce_marketing_cloud_sftp_password": "spring_sale_20261101_000000.csv",
}
ARTEFACTS = {
    "adobe_campaign": {"sample.txt", "columns.csv"},
    "oracle_eloqua": {"bulk-import.json", "mapping.csv"},
    "oracle_responsys": {"mapping.csv", "supplemental-table.json", "connect-trigger.json"},
    "salesforce_marketing_cloud": {"dataExtension-meta.json", "importFile-meta.json", "importDefinition.json"},
}


def member(email: str | None, number: int | None, **columns: Any) -> dict[str, Any]:
    return profile(email=email, segments=MEMBER, loyalty_ids=None if number is None else [f"{number:04d}"], **columns)


#: What a CRM holds: odd addresses, shared ones, names that are too long, telephone numbers as people write them.
PROFILES = [
    member("a@example.com", 1, first_name="Anna", phone="+46 (0)70-123 45 67", birthday="02-29", postal_code="01234"),
    member("b@example.com", 2, first_name='Comma, "quote"\ttab', last_name="line\r\nend", phone="070"),
    member("\u00a0c@example.com ", 3, first_name="å" * 300, birthday="13-01"),
    member("d\u00a0d@example.com", 4, first_name="No-break space"),
    member("a@example.com", 5, first_name="Shares Anna's address"),
    member("e@localhost", 6, last_name="=SUM(A1)"),
    member(f"{'f' * 70}@example.com", 7, city="é😀"),
]
#: Campaign and Responsys only warn of addresses; Eloqua and Marketing Cloud reject what their documentation says is refused.
SENT = {
    "adobe_campaign": (6, {}),
    "oracle_responsys": (6, {}),
    "oracle_eloqua": (5, {"esp_email_EmailAddress": 1}),
    "salesforce_marketing_cloud": (5, {"esp_email_EmailAddress": 2}),
}


@dataclass(frozen=True)
class Place:
    """Where one shipped activation delivers to in a test: a folder on this disk, and what leads there."""

    activation: str
    folder: Path
    overrides: list[str]
    secrets: dict[str, str]
    uploads: Callable[[], list[str]] = field(default=list)

    @property
    def platform(self) -> str:
        return self.activation.partition("_s")[0]

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def content(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_profiles(tmp_path / "profiles", PROFILES)
    return tmp_path


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    name = str(request.param)
    shipped = yaml.safe_load((compose.conf_folder() / "activation" / f"{name}.yaml").read_text())["destination"]
    if name.endswith("_s3"):
        yield _bucket(name, shipped, request.getfixturevalue("rclone_s3"))
        return
    server: SftpServer = request.getfixturevalue("openssh")
    if name.endswith("password") and server.password is None:
        pytest.skip("only root can make the user whom OpenSSH knows by a password")
    home = server.inbox.parent  # where the login leads, and the shipped path is relative to
    folder = home / shipped["path"]
    owner = home.stat()
    for part in [folder, *folder.parents][: len(Path(shipped["path"]).parts)]:
        part.mkdir(parents=True, exist_ok=True)
        os.chown(part, owner.st_uid, owner.st_gid)
    own = [f"destination.host={server.host}", f"destination.port={server.port}", f"destination.username={server.username}"]
    own.append(f"destination.host_key_fingerprint='{server.host_key_fingerprint}'")
    kind = "rsa" if "responsys" in name else "ed25519"
    own += ["esp.policies.transport=warn"] if "eloqua" in name else []  # which reads from port 22, and not from that of a test
    own += [f"destination.key_file={server.keys[kind]}"] if name.endswith("key") else []
    yield Place(name, folder, own, {"SFTP_PASSWORD": server.password or ""})
    shutil.rmtree(home / Path(shipped["path"]).parts[0])


def _bucket(name: str, shipped: dict[str, str], server: S3Server) -> Place:
    path = f"{shipped['path']}/{uuid.uuid4().hex}"
    own = [f"destination.bucket={server.bucket}", f"destination.endpoint_url={server.endpoint_url}", f"destination.path={path}"]
    secrets = {shipped["access_key_id_env"]: server.access_key, shipped["secret_access_key_env"]: server.secret_key}

    def uploads() -> list[str]:
        listed = s3_client(server).list_multipart_uploads(Bucket=server.bucket)
        return [upload["Key"] for upload in listed.get("Uploads", []) if upload["Key"].startswith(path)]

    return Place(name, server.folder / path, own, secrets, uploads)


def arguments(place: Place, *overrides: str, run_id: str = "run-1") -> list[str]:
    """No word of checks: they are those of the activation."""
    return command(f"activation={place.activation}", *place.overrides, *overrides, run_id=run_id)


def run(folder: Path, place: Place, *overrides: str, run_id: str = "run-1") -> Job:
    return start_job("activate.py", folder, *arguments(place, *overrides, run_id=run_id), **place.secrets)


def loaded(folder: Path, place: Place, run_id: str = "run-1") -> list[Row]:
    content = place.content(FILES[place.activation])
    if place.platform != "salesforce_marketing_cloud":
        return LOADERS[place.platform](content)
    definition = json.loads((folder / f"state/runs/{run_id}/artefacts/spring_sale.dataExtension-meta.json").read_text())
    return LOADERS[place.platform](content, definition)


def test_every_shipped_activation_is_tried() -> None:
    assert set(FILES) == {path.stem for path in (compose.conf_folder() / "activation").glob("*.yaml")} - {"demo"}


@pytest.mark.parametrize("place", FILES, indirect=True)
def test_a_shipped_activation_delivers_with_its_own_checks_what_the_platform_takes(folder: Path, place: Place) -> None:
    job = run(folder, place).succeeded()
    record, (exported, rejected) = job.record(), SENT[place.platform]
    (audience,) = record["audiences"]
    assert (audience["counts"]["exported"], audience["counts"]["rejected_by"]) == (exported, rejected)
    assert len(loaded(folder, place)) == exported
    assert [check["name"] for check in record["checks"]] == [
        "has_rows",
        "email_present",
        "email_shape",
        "email_unique",
        "email_is_an_address",
    ]
    triggers = ["spring_sale.csv.ready"] if place.platform == "oracle_responsys" else []
    manifest = f"manifest-{place.activation.removeprefix(place.platform + '_')}-run-1.json"
    assert place.names() == sorted([FILES[place.activation], manifest, *triggers])
    assert place.uploads() == []
    warned = [text for text in record["warnings"] if text.startswith(("Adobe", "Oracle", "Salesforce"))]
    assert [text for text in warned if "destination.port" not in text] == []  # a test's server has another than Eloqua's


GUIDES = Path(__file__).parents[2] / "docs" / "platforms"
FIRST = ["adobe_campaign_s3", "salesforce_marketing_cloud_sftp_key", "oracle_eloqua_sftp_key", "oracle_responsys_sftp_key"]


@pytest.mark.parametrize("place", FIRST, indirect=True)
def test_the_steps_of_a_guide_lead_where_it_says(folder: Path, place: Place) -> None:
    """Its YAML as a file of the user's own, its commands, and the artefacts that it names."""
    guide = (GUIDES / f"{place.platform}.md").read_text()
    yaml_block, commands = (re.findall(rf"```{kind}\n(.*?)```", guide, re.DOTALL)[0] for kind in ("yaml", "bash"))
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "spring_sale.yaml").write_text(yaml_block)
    started = [shlex.split(line, comments=True)[1:] for line in commands.splitlines() if line.startswith(".venv/bin/python jobs/")]
    assert [Path(words[0]).name for words in started] == ["preflight.py", "activate.py"]
    done = []
    for script, *words in started:
        there = place.names()
        done.append(start_job(Path(script).name, folder, *command(*words, *place.overrides), **place.secrets).succeeded())
        assert script.endswith("activate.py") or place.names() == there == []
    assert "Ready: the activation can run" in done[0].stdout
    artefacts = {path.name for path in (folder / "state/runs/run-1/artefacts").iterdir()}
    named = set(re.findall(r"`(spring_sale\.[A-Za-z-]+\.[a-z]+)`", guide)) - set(place.names())
    assert named == artefacts
    assert len(loaded(folder, place)) == SENT[place.platform][0]


def test_a_column_that_holds_no_addresses_holds_the_audience(tmp_path: Path) -> None:
    """The checks of a platform leave odd rows to its rules, and still see that a wrong column is sent."""
    write_profiles(tmp_path / "profiles", PROFILES)
    wrong = ["audience.segments=[" + SEGMENT + "]", "mapping.columns.EMAIL_ADDRESS_.source=person.name.firstName"]
    job = start_job("activate.py", tmp_path, *command("esp=oracle_responsys", *wrong))
    job.refused(3, "email_is_an_address")


def test_the_stricter_checks_are_there_for_who_asks_for_them(folder: Path) -> None:
    job = start_job("activate.py", folder, *command("esp=oracle_responsys", "checks=email", f"audience.segments=[{SEGMENT}]"))
    job.refused(3, "email_shape")


def test_the_checks_of_a_platform_say_the_same_on_spark(folder: Path) -> None:
    found = {}
    for engine in ("sail", "spark"):
        given = command("esp=adobe_campaign", f"engine={engine}", f"audience.segments=[{SEGMENT}]", "file.name=x", run_id=f"run-{engine}")
        job = start_job("activate.py", folder, *given, f"destination.path=out-{engine}").succeeded(quiet=engine == "sail")
        checks = job.record(f"run-{engine}")["checks"]
        found[engine] = [(check["name"], check["severity"], check["success"], check["unexpected"]) for check in checks]
    assert found["sail"] == found["spark"]
    assert [name for name, _, success, _ in found["sail"] if not success] == ["email_shape"]


# Artefacts beside the files

WITH_ARTEFACTS = ["adobe_campaign_s3", "salesforce_marketing_cloud_sftp_key", "oracle_eloqua_sftp_password", "oracle_responsys_sftp_key"]
DELIVERED = "esp.deliver_artefacts=true"


def beside(place: Place, run_id: str = "run-1") -> dict[str, bytes]:
    prefix = f"artefact-{run_id}-spring_sale."
    return {name.removeprefix(prefix): place.content(name) for name in place.names() if name.startswith(prefix)}


def assert_complete(folder: Path, place: Place, job: Job) -> None:
    """The file, the manifest, the trigger and each artefact once, whole, and nothing else; and the record names them all."""
    kept = {path.name.removeprefix("spring_sale."): path.read_bytes() for path in (folder / "state/runs/run-1/artefacts").iterdir()}
    assert set(kept) == ARTEFACTS[place.platform]
    assert beside(place) == kept
    triggers = int(place.platform == "oracle_responsys")
    assert len(place.names()) == 2 + len(kept) + triggers
    assert [name for name in place.names() if hidden(name)] == place.uploads() == []
    record = job.record()
    assert record["status"] == "published"
    names = sorted(Path(each).name for each in record["esp"]["artefacts"])
    assert names == sorted([*(f"spring_sale.{name}" for name in kept), *(f"artefact-run-1-spring_sale.{name}" for name in kept)])
    assert len(record["triggers"]) == triggers
    assert len(loaded(folder, place)) == SENT[place.platform][0]


@pytest.mark.parametrize("place", WITH_ARTEFACTS, indirect=True)
def test_artefacts_are_delivered_beside_the_files(folder: Path, place: Place) -> None:
    assert_complete(folder, place, run(folder, place, DELIVERED, "checks=none").succeeded())


@pytest.mark.parametrize("place", ["adobe_campaign_sftp_key"], indirect=True)
def test_a_workflow_of_campaign_may_wait_for_a_file_that_comes_last(folder: Path, place: Place) -> None:
    job = run(folder, place, "trigger=adobe_campaign", "checks=none").succeeded()
    assert [name for name in place.names() if name.endswith(".done")] == ["spring_sale_20261101_000000.done"]
    published = [line for line in job.stderr.splitlines() if line.endswith(": published")]
    assert "spring_sale_20261101_000000.done" in published[-1]


KILL = """
import os, signal, sys
from courier import cli
from courier.delivery import journal
from courier.delivery import publishing
owner, name = {owner}, {name!r}
original, calls = getattr(owner, name), 0
def killed(*arguments, **named):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **named)
setattr(owner, name, killed)
sys.exit(cli.run_activation(sys.argv[1:]))
"""
#: Before the decision to publish; before the manifest, when the file is there; and in the midst of the artefacts.
MOMENTS = {
    "all is staged": ("journal.Journal", "enter", 1, 0),
    "the file is published": ("publishing.Publishing", "_publish", 2, 1),
    "one artefact is published": ("publishing.Publishing", "_publish", 4, 3),
}


def killed(folder: Path, place: Place, moment: str) -> None:
    owner, name, call, _ = MOMENTS[moment]
    program = KILL.format(owner=owner, name=name, call=call)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments(place, DELIVERED, "checks=none")],
        cwd=folder,
        env={**os.environ, **place.secrets, "PYTHONPATH": os.pathsep.join([str(JOBS), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", WITH_ARTEFACTS[:3], indirect=True)
def test_a_killed_run_is_finished_with_its_artefacts(folder: Path, place: Place, moment: str) -> None:
    killed(folder, place, moment)
    visible = [name for name in place.names() if not hidden(name)]
    if "direct" not in (compose.conf_folder() / "activation" / f"{place.activation}.yaml").read_text():
        assert len(visible) == MOMENTS[moment][3]
    there = {name: (place.folder / name).stat().st_mtime_ns for name in visible}
    assert_complete(folder, place, run(folder, place, DELIVERED, "checks=none").succeeded())
    assert there.items() <= {name: (place.folder / name).stat().st_mtime_ns for name in place.names()}.items()  # none is sent again
