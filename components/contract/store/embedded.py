"""A real S3 server on this machine's loopback, for laptops and tests: SeaweedFS's `weed`, from a wheel."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.contract.errors import BadInput, StoreUnavailable
from components.contract.processes import tied
from components.contract.store.connection import Connection

READY_SECONDS = 60
ANSWER_SECONDS = 5  # another process on the port may never answer
STARTS = 3  # between finding a free port and using it, another process may take it
PORT_TAKEN = b"address already in use"
STOP_SECONDS = 1  # weed may sit on a SIGTERM for minutes; what it has answered for is on disk by then


def seaweedfs(folder: Path, ports: list[int]) -> list[str]:
    """Return the command of a server that keeps its files in `folder`, S3 being on the first of these free ports."""
    s3, master, volume, filer, master_grpc, volume_grpc, filer_grpc, s3_grpc = ports
    return [
        _weed(), "-logtostderr=true", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=1024",
        f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=0",
        "-volume.minFreeSpace=10MiB",  # else it refuses to write when a disk of 1 TB has 10 GB left
        "-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
        "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.iam=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0", "-master.telemetry=false",
    ]  # fmt: skip


@contextlib.contextmanager
def serve(
    folder: Path, *buckets: str, server: Callable[[Path, list[int]], list[str]] = seaweedfs
) -> Iterator[dict[str, str]]:
    """Serve S3 from `folder` and yield the environment variables that lead there; stopped in every case.

    The credentials are random and live only as long as the server. Raises `StoreUnavailable` if it does not start,
    and `BadInput` if the folder is in use.
    """
    with _alone(folder), contextlib.ExitStack() as stack:
        for attempt in range(1, STARTS + 1):
            try:
                settings = stack.enter_context(_serve(folder, buckets, server))
            except StoreUnavailable:
                if attempt == STARTS or PORT_TAKEN not in (folder / "server.log").read_bytes():
                    raise
            else:
                break
        yield settings


@contextlib.contextmanager
def _serve(
    folder: Path, buckets: tuple[str, ...], command: Callable[[Path, list[int]], list[str]]
) -> Iterator[dict[str, str]]:
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    with _free_ports(8) as ports:
        arguments, s3 = command(folder, ports), ports[0]
    # By the names that SeaweedFS reads, and those that MinIO does.
    names = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    environment = os.environ | names | {"MINIO_ROOT_USER": key, "MINIO_ROOT_PASSWORD": secret}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            tied(arguments, signal.SIGKILL), env=environment, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,  # so that Ctrl-C in the terminal reaches the caller first
        )  # fmt: skip
    profile = folder / "aws-config"
    profile.write_text("[default]\n", encoding="utf-8")
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        # What would lead elsewhere if the environment has it.
        "AWS_ENDPOINT_URL_S3": "",
        "AWS_SESSION_TOKEN": "",
        "AWS_PROFILE": "default",
        "AWS_CONFIG_FILE": str(profile.absolute()),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    try:
        _wait(server, settings, buckets, folder / "server.log")
        yield settings
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)
        server.kill()
        server.wait()
        for port in ports:  # weed leaves its local sockets behind when it is killed
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - where weed puts them
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two servers on the same files would ruin them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"{folder} cannot be made: a file is in its way; give another --folder") from None
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise BadInput(
                f"another run, process {holder}, is at work in {folder}; wait for it, end it (kill {holder}), or give "
                "another --folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _wait(server: subprocess.Popen[bytes], settings: dict[str, str], buckets: tuple[str, ...], log: Path) -> None:
    client = Connection(settings, ANSWER_SECONDS).client
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
            for bucket in set(buckets) - there:
                client.create_bucket(Bucket=bucket)
            for bucket in there & set(buckets):
                _read_something(client, bucket)
        except Exception as error:  # noqa: BLE001 - whatever the client makes of a server that is half up
            reason = error
        else:
            return
        if server.poll() is not None or PORT_TAKEN in log.read_bytes() or time.monotonic() > end:
            raise StoreUnavailable(f"the embedded S3 server did not start: {reason}; its log is {log}")
        time.sleep(0.1)


def _read_something(client: Any, bucket: str) -> None:
    """Read a byte of the first object; it fails for some seconds after a start, while lists are answered already."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", ()):
            if found["Size"]:
                client.get_object(Bucket=bucket, Key=found["Key"], Range="bytes=0-0")["Body"].read()
                return


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    """Yield free ports of the loopback, held until the block ends."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in sockets]


def _weed() -> str:
    beside_python = Path(sys.executable).parent
    if found := shutil.which("weed", path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}"):
        return found
    raise StoreUnavailable("the S3 server `weed` is not installed; install the group `store`: uv sync --group store")
