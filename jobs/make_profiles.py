"""Write synthetic XDM profiles: `.venv/bin/python jobs/make_profiles.py FOLDER [--profiles N] [--seed N]`."""

import argparse
import sys
from pathlib import Path

try:
    from courier.saying import say
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
    for name, number, least in (("profiles", options.profiles, 1), ("seed", options.seed, 0)):
        if number < least:
            parser.error(f"--{name}: a number of at least {least} is needed, not {number}")
    try:
        files = write_profiles(options.folder, options.profiles, options.seed)
    except (ValueError, OSError) as error:
        say(str(error) if isinstance(error, ValueError) else f"The profiles cannot be written to {options.folder}: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("Stopped before the end. No profiles are left there.", sys.stderr)
        return 130
    say(f"{options.profiles:,} profiles in {len(files)} file(s) under {options.folder}", sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
