"""List past runs, or show one: `python jobs/history.py [activation=NAME] [--run RUN_ID] [--json] [--limit N]`."""

import sys

from courier.cli import run_history

if __name__ == "__main__":
    sys.exit(run_history(sys.argv[1:]))
