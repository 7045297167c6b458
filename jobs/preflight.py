"""Try one activation out and publish nothing: `python jobs/preflight.py activation=NAME [group.key=value …]`."""

import sys

from courier.cli import run_preflight

if __name__ == "__main__":
    sys.exit(run_preflight(sys.argv[1:]))
