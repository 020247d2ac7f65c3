"""The S3 store: artifacts go up whole and come down verified.

An artifact's files are uploaded first and its manifest last, so a prefix without a manifest is nothing yet, and a
crash leaves nothing that looks finished. A location is written once: publishing the same content again does nothing,
and publishing other content there is refused.
"""

import concurrent.futures
import hashlib
import mimetypes
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from minio import Minio
from minio.error import S3Error

from components.contract.artifact import MANIFEST, File, Manifest, check
from components.contract.errors import BadInput, StoreRefused
from components.contract.store.connection import CONNECTIONS, call, connect

T = TypeVar("T")

PART = 16 * 2**20  # a file on each connection, in parts of so many bytes: an upload takes 64 MiB of memory at most
CHUNK = 2**20


class Store:
    """An S3 store that holds artifacts."""

    def __init__(self, client: Minio, endpoint: str) -> None:
        self.client = client
        self.endpoint = endpoint

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Describe the store, as connection.py says; no connection is made yet."""
        return cls(*connect(environment))

    def publish(self, folder: Path, uri: str) -> None:
        """Upload the sealed artifact in `folder` to `uri`, the manifest last."""
        bucket, prefix = split(uri)
        text = (folder / MANIFEST).read_bytes()
        there = self._manifest(bucket, prefix)
        if there is not None and there != text:
            raise BadInput(f"{uri} holds another artifact already, and artifacts are never overwritten; choose another")
        sizes = self._sizes(bucket, prefix)
        files = Manifest.parse(text, str(folder)).files
        # A file of the right size under an unfinished manifest may be a stranger's: trust sizes only if it is there.
        missing = [name for name, file in files.items() if there is None or sizes.get(name) != file.bytes]
        _in_parallel(lambda name: self._upload(folder / name, bucket, prefix + name), missing)
        if there is None:
            self._upload(folder / MANIFEST, bucket, prefix + MANIFEST)

    def fetch(self, uri: str, folder: Path) -> None:
        """Download the artifact at `uri` into `folder`, checking the digest of each file on its way."""
        bucket, prefix = split(uri)
        text = self._manifest(bucket, prefix)
        if text is None:
            raise BadInput(f"{uri} is not an artifact: it has no {MANIFEST} (never made, or not finished)")
        folder.mkdir(parents=True, exist_ok=True)

        def one(item: tuple[str, File]) -> None:
            name, expected = item
            try:
                found = self._download(bucket, prefix + name, folder / name)
            except StoreRefused as error:
                if isinstance(error.__cause__, S3Error) and error.__cause__.code == "NoSuchKey":
                    raise BadInput(f"{uri}/{name} is missing, but the manifest lists it") from error
                raise
            check(name, expected, found.sha256, found.bytes, uri)

        _in_parallel(one, Manifest.parse(text, uri).files.items())
        (folder / MANIFEST).write_bytes(text)

    def manifest(self, uri: str) -> bytes | None:
        """Return the manifest of the artifact at `uri`, or None where there is no finished one."""
        return self._manifest(*split(uri))

    def names(self, uri: str) -> list[str]:
        """Return the keys below `uri`, relative to it, sorted."""
        return sorted(self._sizes(*split(uri)))

    def digests(self, uri: str) -> dict[str, str]:
        """Return the ETag, which changes with the content, of each object that begins with `uri`, by its key."""
        bucket, prefix = split(uri)
        return {name: found.etag or "" for name, found in self._objects(bucket, prefix.rstrip("/")).items()}

    def read(self, uri: str, path: Path) -> None:
        """Download the single object at `uri` to `path`."""
        bucket, key = split(uri)
        self._download(bucket, key.rstrip("/"), path)

    def remove(self, uri: str) -> None:
        """Remove the artifact at `uri`, its manifest first, so that what is left never looks finished."""
        bucket, prefix = split(uri)
        for name in sorted(self._sizes(bucket, prefix), key=lambda name: name != MANIFEST):
            self._call(f"remove s3://{bucket}/{prefix}{name}", self.client.remove_object, bucket, prefix + name)

    def make_bucket(self, bucket: str) -> bool:
        """Make a bucket; return whether it was missing. Another that makes it at the same time does no harm."""

        def make() -> bool:
            try:
                next(iter(self.client.list_objects(bucket)), None)  # unlike a HEAD, it says what is wrong
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
            else:
                return False
            try:
                self.client.make_bucket(bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise
            return True

        return self._call(f"make the bucket {bucket}", make)

    def _manifest(self, bucket: str, prefix: str) -> bytes | None:
        key = prefix + MANIFEST

        def get() -> bytes | None:
            try:
                response = self.client.get_object(bucket, key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            try:
                return response.read()
            finally:
                response.close()
                response.release_conn()

        return self._call(f"read s3://{bucket}/{key}", get)

    def _sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        objects = self._objects(bucket, prefix).items()
        return {name.removeprefix(prefix): found.size or 0 for name, found in objects}

    def _objects(self, bucket: str, prefix: str) -> dict[str, Any]:
        def objects() -> dict[str, Any]:
            return {str(found.object_name): found for found in self.client.list_objects(bucket, prefix, recursive=True)}

        return self._call(f"list s3://{bucket}/{prefix}", objects)

    def _upload(self, path: Path, bucket: str, key: str) -> None:
        def put() -> None:
            with path.open("rb") as file:
                size = path.stat().st_size
                kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"  # so that browsers show pages
                self.client.put_object(bucket, key, file, size, kind, part_size=PART, num_parallel_uploads=1)

        self._call(f"write s3://{bucket}/{key}", put)

    def _download(self, bucket: str, key: str, path: Path) -> File:
        """Stream the object to `path`; return the size and digest of what arrived."""

        def get() -> File:
            digest, size = hashlib.sha256(), 0
            response = self.client.get_object(bucket, key)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    for chunk in response.stream(CHUNK):
                        digest.update(chunk)
                        size += file.write(chunk)
            finally:
                response.close()
                response.release_conn()
            return File(sha256=digest.hexdigest(), bytes=size)

        return self._call(f"read s3://{bucket}/{key}", get)

    def _call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        return call(f"{what} at {self.endpoint}", function, *arguments)


def split(uri: str) -> tuple[str, str]:
    """Return bucket and prefix of `s3://bucket/prefix`; the prefix ends in a slash or is empty."""
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise BadInput(f"{uri!r} is not of the form s3://bucket/prefix")
    prefix = prefix.strip("/")
    return bucket, prefix + "/" if prefix else ""


def _in_parallel(function: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call `function` for each item, CONNECTIONS at a time; the first failure ends it."""
    pool = concurrent.futures.ThreadPoolExecutor(CONNECTIONS)
    try:
        for future in [pool.submit(function, item) for item in items]:
            future.result()
    except BaseException:
        # Not waiting: a SIGTERM must not sit behind an upload of gigabytes. The process is about to end.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
