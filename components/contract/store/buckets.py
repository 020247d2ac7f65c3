"""Make the buckets of a store, or try whether they can be written and read.

python -m components.contract.store.buckets make|try BUCKET[/PREFIX]...

Credentials that are for a part of a bucket need its PREFIX.
"""

import secrets
import sys
import tempfile
import time
from pathlib import Path

from components.contract import artifact, location
from components.contract.command import Parser, guard
from components.contract.errors import StoreRefused
from components.contract.store.client import Store, split


def make(store: Store, place: str) -> str:
    """Make the bucket of a place, BUCKET or BUCKET/PREFIX, unless it is there; say which."""
    missing = store.make_bucket(*split(f"s3://{place}"))
    if missing is None:
        return (
            "may neither be listed nor made with these credentials, so it is taken to be there; BUCKET/PREFIX finds out"
        )
    return "made" if missing else "is there already"


def check(store: Store, place: str) -> str:
    """Put an artifact to a place, BUCKET or BUCKET/PREFIX, get it back, and remove it; say how long that took."""
    began = time.monotonic()
    uri = f"s3://{place.rstrip('/')}/tapeline-test-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "put"
        folder.mkdir()
        (folder / "bytes").write_bytes(secrets.token_bytes(2**20))
        artifact.seal(folder, component="test", output="test", parameters={}, inputs={})
        try:
            store.publish(folder, uri)
            store.fetch(uri, Path(scratch) / "got")
        except StoreRefused as error:
            if error.code == "AccessDenied" and "/" not in place:
                error.add_note("if they are for a part of the bucket, name it: BUCKET/PREFIX")
            raise
        done = "1 MiB put and got" if not location.removed(store, uri) else "1 MiB put, got and removed"
    return f"{done} in {time.monotonic() - began:.1f} s"


def main() -> None:
    """Parse the command line and run."""
    parser = Parser(prog="python -m components.contract.store.buckets", description=__doc__)
    parser.add_argument("what", choices=("make", "try"))
    parser.add_argument("place", nargs="+", metavar="BUCKET[/PREFIX]")

    def run() -> None:
        options = parser.parse_args(sys.argv[1:])
        store = Store.from_environment()
        for place in options.place:
            said = make(store, place) if options.what == "make" else check(store, place)
            print(f"{place} at {store.endpoint}: {said}", flush=True)

    guard("buckets", run)


if __name__ == "__main__":
    main()
