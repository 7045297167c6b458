"""Run one activation: `python jobs/activate.py activation=NAME [group.key=value …]`."""

import sys

from courier.cli import run_activation

if __name__ == "__main__":
    sys.exit(run_activation(sys.argv[1:]))
