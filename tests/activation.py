"""Jobs as a user starts them: `python jobs/activate.py …` in a folder, and what it leaves there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job_server import SECONDS, job_server

JOBS = Path(__file__).parents[1] / "jobs"
AS_OF = "2026-11-01T00:00:00Z"
RUN_ID = "run-1"
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")


@dataclass(frozen=True)
class Job:
    """One ended job, and the folder that it ran in."""

    folder: Path
    code: int
    stdout: str
    stderr: str

    def record(self, run_id: str = RUN_ID) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "state" / "runs" / run_id / "record.json").read_text())
        return content

    def delivered(self) -> dict[str, bytes]:
        """All that the default destination holds, hidden files and those in folders too."""
        out = self.folder / "out"
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def files(self) -> dict[str, bytes]:
        return {name: content for name, content in self.delivered().items() if not name.startswith("manifest-")}

    def said(self) -> list[str]:
        """What it wrote to stderr besides its log lines, which begin with a time."""
        return [line for line in self.stderr.splitlines() if not LOG_LINE.match(line)]

    def refused(self, code: int, *words: str) -> None:
        """It ended with this exit code, said one paragraph with these words, and delivered nothing."""
        assert (self.code, self.stdout) == (code, ""), self.stderr
        assert "Traceback" not in self.stderr
        assert len(self.said()) == 1, self.stderr
        for word in words:
            assert word in self.stderr
        assert self.delivered() == {}

    def succeeded(self, *, quiet: bool = True) -> Job:
        """Only Spark's JVM may talk on stderr."""
        assert self.code == 0, self.stderr
        assert "Traceback" not in self.stderr
        assert self.said() == [] or not quiet
        return self


def command(*overrides: str, run_id: str = RUN_ID, as_of: str = AS_OF) -> list[str]:
    """The activation is the demo's, whose segments a test replaces, where none is named."""
    named = [] if any(override.startswith("activation=") for override in overrides) else ["activation=demo"]
    return [*named, "source.path=profiles", f"run_id={run_id}", f"as_of={as_of}", *overrides]


def activate(
    folder: Path, *overrides: str, run_id: str = RUN_ID, as_of: str = AS_OF, launcher: list[str] | None = None, **environment: str
) -> Job:
    """Run the main job in `folder` until it ends. Without `checks=` nothing is checked, which is much faster."""
    return run_job("activate.py", folder, *overrides, run_id=run_id, as_of=as_of, launcher=launcher, **environment)


def run_job(
    job: str,
    folder: Path,
    *overrides: str,
    run_id: str = RUN_ID,
    as_of: str = AS_OF,
    launcher: list[str] | None = None,
    **environment: str,
) -> Job:
    """Run one of jobs/ as `activate` does."""
    checks = [] if any(override.startswith("checks") for override in overrides) else ["checks=none"]
    return start_job(job, folder, *command(*checks, *overrides, run_id=run_id, as_of=as_of), launcher=launcher, **environment)


def start_job(job: str, folder: Path, *arguments: str, launcher: list[str] | None = None, **environment: str) -> Job:
    """Run one of jobs/ with these arguments alone. What only a new interpreter can have gets one."""
    everything = {**os.environ, **environment}
    if launcher is None and not _needs_interpreter(arguments, environment):
        return Job(folder, *job_server().run(JOBS / job, [*arguments], folder, everything))
    done = subprocess.run(
        [*(launcher or [sys.executable]), str(JOBS / job), *arguments],
        cwd=folder,
        env=everything,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Job(folder, done.returncode, done.stdout, done.stderr)


def _needs_interpreter(arguments: tuple[str, ...], environment: dict[str, str]) -> bool:
    """A JVM is started by what has loaded nothing before, and some variables are read when Python or a library begins."""
    return "engine=spark" in arguments or any(name.startswith(("PYTHON", "SPARK", "TZ")) for name in environment)
