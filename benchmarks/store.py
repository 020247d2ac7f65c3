"""Libraries for the S3 store, behind the same few functions: how long they take, and what memory.

uv run --with obstore==0.12.1 python -m benchmarks.store
MinIO's server is asked instead of SeaweedFS where TAPELINE_MINIO names it.
"""

import argparse
import concurrent.futures
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.conftest import SERVERS
from components.contract.store.embedded import serve

CONNECTIONS = 4
PART = 16 * 2**20
SMALL = 2000
BUCKET = "bench"
Functions = tuple[Callable[[str, Path], object], Callable[[str, Path], object], Callable[[str, bytes], object]]


def botocore() -> Functions:
    """Return how botocore alone puts and gets a file, and puts bytes where there is nothing."""
    import botocore.session
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1}, max_pool_connections=CONNECTIONS, s3={"addressing_style": "path"},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    client = botocore.session.Session().create_client("s3", config=config)

    def put(key: str, path: Path) -> None:
        with path.open("rb") as file:
            if path.stat().st_size <= PART:
                client.put_object(Bucket=BUCKET, Key=key, Body=file)
                return
            upload = {"Bucket": BUCKET, "Key": key}
            upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
            parts: list[Any] = []
            while part := file.read(PART):
                answer = client.upload_part(**upload, Body=part, PartNumber=len(parts) + 1)
                parts.append({"ETag": answer["ETag"], "PartNumber": len(parts) + 1})
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def get(key: str, path: Path) -> None:
        write(client.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(2**20), path)

    return put, get, lambda key, body: client.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")


def boto3() -> Functions:
    """Return how boto3 does, with s3transfer's parts."""
    import boto3
    from boto3.s3.transfer import TransferConfig

    client = boto3.client("s3")
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)

    def put(key: str, path: Path) -> None:
        client.upload_file(str(path), BUCKET, key, Config=config)

    def get(key: str, path: Path) -> None:
        write(client.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(2**20), path)

    return put, get, lambda key, body: client.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")


def obstore() -> Functions:
    """Return how obstore does, in Rust."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(BUCKET, client_options={"allow_http": True})

    def put(key: str, path: Path) -> None:
        obstore.put(store, key, path, chunk_size=PART, max_concurrency=1)

    def get(key: str, path: Path) -> None:
        write(obstore.get(store, key).stream(min_chunk_size=2**20), path)

    return put, get, lambda key, body: obstore.put(store, key, body, mode="create")


def write(chunks: Any, path: Path) -> None:
    """Write what arrives, with its digest, as every download here has it."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)


def memory() -> float:
    """Return the most MB that this process has held so far."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000


LIBRARIES = {"botocore": botocore, "boto3": boto3, "obstore": obstore}


def measure(library: str, scratch: Path) -> dict[str, float]:
    """Return the seconds of each piece of work, and MB of memory at most."""
    seconds = {}
    clock = [time.perf_counter()]

    def lap(what: str) -> None:
        now = time.perf_counter()
        seconds[what] = now - clock[0]
        clock[0] = now

    put, get, create = LIBRARIES[library]()
    lap("import and client")
    small = scratch / "small"
    small.write_bytes(b"x" * 1000)
    clock[0] = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda number: put(f"{library}/small/{number}", small), range(SMALL)))
        lap(f"put {SMALL} of 1 kB")
        list(pool.map(lambda number: get(f"{library}/small/{number}", scratch / f"got-{number % 4}"), range(SMALL)))
        lap(f"get {SMALL} of 1 kB")
    seconds["MB, small"] = memory()
    for size in (40, 200):
        clock[0] = time.perf_counter()
        put(f"{library}/{size}", scratch / f"{size}")
        lap(f"put {size} MB")
        get(f"{library}/{size}", scratch / "got")
        lap(f"get {size} MB")
        assert (scratch / "got").stat().st_size == size * 10**6
    seconds["MB"] = memory()
    once = f"{library}/{os.urandom(8).hex()}"
    create(once, b"first")
    try:
        create(once, b"second")
    except Exception as error:  # noqa: BLE001 - each library has its own
        print(f"{library}: a second conditional write is {type(error).__name__}", file=sys.stderr)
    else:
        print(f"{library}: a second conditional write is let through", file=sys.stderr)
    return seconds


def main() -> None:
    """Measure each library that is installed, in a process of its own, in turns; print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    libraries = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in libraries}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for size in (40, 200):
            (scratch / f"{size}").write_bytes(os.urandom(size * 10**6))
        server = list(SERVERS)[-1]
        with serve(scratch / "store", BUCKET, server=SERVERS[server]) as settings:
            environment = os.environ | {
                name: value for name, value in settings.items() if value
            }  # obstore panics at an empty one
            for _ in range(options.rounds):
                for name in libraries:
                    command = [sys.executable, "-m", "benchmarks.store", "--one", name, folder]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
                    found[name].append(json.loads(done.stdout))
    print(f"{server:22}", *(f"{name:>18}" for name in libraries))
    for what in found[libraries[0]][0]:
        medians = [sorted(each[what] for each in found[name])[options.rounds // 2] for name in libraries]
        print(f"{what:22}", *(f"{median:10.3f} ({median / medians[0]:4.2f}x)" for median in medians))


if __name__ == "__main__":
    main()
