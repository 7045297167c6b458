"""Try one activation out and publish nothing: `.venv/bin/python jobs/preflight.py activation=NAME [group.key=value …]`."""

import sys

try:
    from courier.cli import run_preflight
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}. Run `make install` once (after moving this folder: rm -r .venv first), and start this with .venv/bin/python.")
except KeyboardInterrupt:  # loading takes a second
    print("Stopped before the beginning.", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(run_preflight(sys.argv[1:]))
