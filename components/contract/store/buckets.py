"""Make the buckets of a store, or try whether they can be written and read.

python -m components.contract.store.buckets make|try BUCKET...
"""

import secrets
import sys
import tempfile
import time
from pathlib import Path

from components.contract import artifact
from components.contract.command import Parser, guard
from components.contract.store.client import Store


def make(store: Store, bucket: str) -> str:
    """Make a bucket unless it is there; say which."""
    return "made" if store.make_bucket(bucket) else "is there already"


def check(store: Store, bucket: str) -> str:
    """Put an artifact into a bucket, get it back, and remove it; say how long that took."""
    began = time.monotonic()
    uri = f"s3://{bucket}/tapeline-test-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "put"
        folder.mkdir()
        (folder / "bytes").write_bytes(secrets.token_bytes(2**20))
        artifact.seal(folder, component="test", output="test", parameters={}, inputs={})
        store.publish(folder, uri)
        try:
            store.fetch(uri, Path(scratch) / "got")
        finally:
            store.remove(uri)
    return f"1 MiB put, got and removed in {time.monotonic() - began:.1f} s"


def main() -> None:
    """Parse the command line and run."""
    parser = Parser(prog="python -m components.contract.store.buckets", description=__doc__)
    parser.add_argument("what", choices=("make", "try"))
    parser.add_argument("bucket", nargs="+")

    def run() -> None:
        options = parser.parse_args(sys.argv[1:])
        store = Store.from_environment()
        for bucket in options.bucket:
            said = make(store, bucket) if options.what == "make" else check(store, bucket)
            print(f"{bucket} at {store.endpoint}: {said}", flush=True)

    guard("buckets", run)


if __name__ == "__main__":
    main()
