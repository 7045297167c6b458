"""What the jobs share: arguments, exit codes, signals, progress, and errors as one paragraph."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from courier.compose import load
from courier.config import RunConfig
from courier.errors import CourierError
from courier.pipeline import activate
from courier.preflight import preflight
from courier.progress import Bars, Lines
from courier.report import report

#: The shell's own code for a process that was interrupted.
INTERRUPTED = 130
EPILOG = "Overrides choose a file of conf/ (destination=s3) or set a key (destination.bucket=exports). See docs/configuration.md."


def run_activation(arguments: Sequence[str]) -> int:
    """Run one activation and return the exit code: 0 published, 2 configuration, 3 held, 4 source, 5 delivery."""
    description = "Export audiences from profiles in Parquet as checked files to a folder, S3 or SFTP."
    return _run("activate.py", description, arguments, _activate)


def run_preflight(arguments: Sequence[str]) -> int:
    """Try an activation out without publishing anything. The exit codes are those of the activation."""
    description = "Try an activation out: configuration, source, checks, keys, login, folder and rights. Nothing is published."
    return _run("preflight.py", description, arguments, preflight)


def _activate(config: RunConfig) -> str:
    with Bars() if sys.stderr.isatty() else Lines() as progress:
        run = activate(config, progress)
    if run.error is None:
        return report(run)
    print(report(run))  # some of the audiences were published
    raise run.error


def _run(program: str, description: str, arguments: Sequence[str], job: Callable[[RunConfig], str]) -> int:
    parser = argparse.ArgumentParser(prog=program, description=description, epilog=EPILOG)
    parser.add_argument("--config-dir", help="a folder of your own with the same sub-folders as conf/, searched beside it")
    parser.add_argument("overrides", nargs="*", metavar="group=option | group.key=value")
    options = parser.parse_intermixed_args(arguments)
    # A scheduler's SIGTERM ends the run like Ctrl-C does: what is staged is discarded, and the record is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _log_to_stderr()
    try:
        print(job(load(options.overrides, now=datetime.now(UTC), config_dir=options.config_dir)))
    except CourierError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped before the end. What was staged is discarded; see the run's record.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _log_to_stderr() -> None:
    """Our own log lines only: those of libraries may hold values."""
    ours = logging.getLogger("courier")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    ours.handlers[:], ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
