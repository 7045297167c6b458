"""List past runs, or show one: `.venv/bin/python jobs/history.py [activation=NAME] [--run RUN_ID] [--json] [--limit N]`."""

import sys

try:
    from courier.cli import run_history
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}. Run `make install` once (after moving this folder: rm -r .venv first), and start this with .venv/bin/python.")
except KeyboardInterrupt:  # loading takes a second
    print("Stopped before the beginning.", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(run_history(sys.argv[1:]))
