"""Write synthetic XDM profiles: `.venv/bin/python jobs/make_profiles.py FOLDER [--profiles N] [--seed N]`."""

import argparse
import sys
from pathlib import Path

try:
    from courier.synthetic import write_profiles
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}. Run `make install` once (after moving this folder: rm -r .venv first), and start this with .venv/bin/python.")
except KeyboardInterrupt:  # loading takes a second
    print("Stopped before the beginning.", file=sys.stderr)
    sys.exit(130)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write synthetic customer profiles as Parquet, in the shape of Adobe's XDM.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profiles", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.profiles < 1:
        parser.error(f"--profiles: a number of at least 1 is needed, not {options.profiles}")
    try:
        files = write_profiles(options.folder, options.profiles, options.seed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The profiles cannot be written to {options.folder}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped before the end. No profiles are left there.", file=sys.stderr)
        return 130
    print(f"{options.profiles:,} profiles in {len(files)} file(s) under {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
