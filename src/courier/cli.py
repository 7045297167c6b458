"""What the jobs share: arguments, exit codes, signals, progress, and errors as one paragraph."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

from courier.compose import load, load_shown, load_state
from courier.config import RunConfig
from courier.delivery.progress import Bars, Lines
from courier.errors import CourierError
from courier.garbage import seldom_collected
from courier.pipeline import activate
from courier.preflight import preflight
from courier.runs.history import history
from courier.runs.report import report
from courier.saying import printable, say

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
    return _run("preflight.py", description, arguments, _preflight)


def run_history(arguments: Sequence[str]) -> int:
    """List past runs, or show one. It only reads; exit code 2 where the store or the run cannot be read."""
    parser = _parser("history.py", "List past runs, the newest first, or show one of them in full. Nothing is written.")
    parser.add_argument("--run", metavar="RUN_ID", help="show this run in full")
    parser.add_argument("--json", action="store_true", help="one JSON object a run and line, for machines")
    parser.add_argument("--limit", type=_at_least_one, default=20, metavar="N", help="at most so many runs (default: 20)")
    options = parser.parse_intermixed_args(arguments)

    def listed() -> str:
        state, activation = load_state(options.overrides, config_dir=options.config_dir)
        return history(state, activation, run_id=options.run, limit=options.limit, as_json=options.json)

    return _ended(listed, stopped="Stopped before the end.")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of at least 1 is needed, not {text!r}")
    return int(text)


def _activate(config: RunConfig) -> str:
    with Bars() if sys.stderr and sys.stderr.isatty() else Lines() as progress:
        run = activate(config, progress)
    if run.error is None:
        return report(run)
    say(report(run), sys.stdout)  # some of the audiences were published
    raise run.error


def _preflight(config: RunConfig) -> str:
    """Its lines are printed as they come, so that an error hides none of them."""
    with closing(preflight(config)) as lines:
        for line in lines:
            say(printable(line), sys.stdout)
    return ""


def _run(program: str, description: str, arguments: Sequence[str], job: Callable[[RunConfig], str]) -> int:
    parser = _parser(program, description)
    parser.add_argument("--show-config", action="store_true", help="print the composed configuration as YAML, and do nothing else")
    options = parser.parse_intermixed_args(arguments)
    # A scheduler's SIGTERM ends the run like Ctrl-C does: what is staged is discarded, and the record is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stopped = "Stopped before the end. What was staged is discarded; see the run's record."
    given = {"now": datetime.now(UTC), "config_dir": options.config_dir}
    if options.show_config:
        return _ended(lambda: load_shown(options.overrides, **given), stopped=stopped)
    return _ended(lambda: job(load(options.overrides, **given)), stopped=stopped)


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description, epilog=EPILOG)
    parser.add_argument("--config-dir", help="a folder of your own with the same sub-folders as conf/, searched beside it")
    parser.add_argument("overrides", nargs="*", metavar="group=option | group.key=value")
    return parser


def _ended(work: Callable[[], str], *, stopped: str) -> int:
    """Print what the work returns, or its error, and return the exit code."""
    _log_to_stderr()
    try:
        with seldom_collected():
            text = work()
        if text:  # no line at all where there is none for machines
            say(text, sys.stdout)
    except CourierError as error:
        say(printable(str(error)), sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        notes = getattr(stop, "__notes__", [])  # of what is otherwise than usual
        say(f"Stopped before the end: {' '.join(notes)}." if notes else stopped, sys.stderr)
        return INTERRUPTED
    return 0


class _OneLine(logging.Formatter):
    """A server's words, and names that are not ours, stay within the line that has them."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_to_stderr() -> None:
    """Our own log lines only: those of libraries may hold values."""
    ours = logging.getLogger("courier")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    ours.handlers[:], ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
