"""What the jobs share: arguments, exit codes, and errors as one paragraph."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from courier.compose import load
from courier.errors import CourierError
from courier.pipeline import activate
from courier.report import report

#: The shell's own code for a process that was interrupted.
INTERRUPTED = 130


def run_activation(arguments: Sequence[str]) -> int:
    """Run one activation and return the exit code: 0 published, 2 configuration, 3 held, 4 source, 5 delivery."""
    parser = argparse.ArgumentParser(
        prog="activate.py",
        description="Export audiences from profiles in Parquet as checked files to a folder, S3 or SFTP.",
        epilog="Overrides choose a file of conf/ (destination=s3) or set a key (destination.bucket=exports). See docs/configuration.md.",
    )
    parser.add_argument("--config-dir", help="a folder of your own with the same sub-folders as conf/, searched beside it")
    parser.add_argument("overrides", nargs="*", metavar="group=option | group.key=value")
    options = parser.parse_args(arguments)
    # A scheduler's SIGTERM ends the run like Ctrl-C does: what is staged is discarded, and the record is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config = load(options.overrides, now=datetime.now(UTC), config_dir=options.config_dir)
        run = activate(config)
    except CourierError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped before the end. What was staged is discarded; see the run's record.", file=sys.stderr)
        return INTERRUPTED
    print(report(run))
    return 0
