"""What is known, and a mirror of one's own of it.

python -m components.ingest.known
python -m components.ingest.known mirror FOLDER NAME…
"""

import argparse
import sys
from pathlib import Path

from components.contract.errors import StepError
from components.ingest.known import KNOWN, NAMES, find, nearest


def main() -> None:
    """List the known data sets; with `mirror`, download some, verified, into a folder for TAPELINE_MIRROR."""
    parser = argparse.ArgumentParser(prog="python -m components.ingest.known", description=main.__doc__)
    mirror = parser.add_subparsers(dest="command").add_parser(
        "mirror", help="download data sets, verified, into a folder for TAPELINE_MIRROR"
    )
    mirror.add_argument("folder", type=Path, metavar="FOLDER")
    mirror.add_argument("names", nargs="+", metavar="NAME", help=", ".join(NAMES))
    given = parser.parse_args()
    if not given.command:
        for known in KNOWN.values():
            print(f"{known.name:22} {known.title}")
        return
    for name in given.names:
        if not find(name):
            parser.error(f"there is no data set {name}{nearest(name)}; there are {', '.join(NAMES)}")
    try:
        for name in given.names:
            for file, path in KNOWN[name].obtain(given.folder).items():
                print(f"{name}: {file} is verified, at {path}")
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
