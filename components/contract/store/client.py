"""The S3 store: artifacts go up whole and come down verified.

An artifact's files are uploaded first and its manifest last, so a prefix without a manifest is nothing yet, and a
crash leaves nothing that looks finished. A location is written once: publishing the same content again does nothing,
and publishing other content there is refused.
"""

import concurrent.futures
import contextlib
import hashlib
import mimetypes
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from botocore import exceptions as boto

from components.contract.artifact import MANIFEST, File, Manifest, check
from components.contract.errors import BadInput, StoreRefused
from components.contract.store import connection, failures
from components.contract.store.connection import CONNECTIONS, Connection
from components.contract.store.failures import NotS3

T = TypeVar("T")

PART = 16 * 2**20  # a file on each connection, in parts of so many bytes: an upload takes 64 MiB of memory at most
CHUNK = 2**20


class Store:
    """An S3 store that holds artifacts."""

    def __init__(self, to: Connection) -> None:
        self.connection = to
        self.client = to.client  # botocore's, for what is not done here
        self.endpoint = to.endpoint

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Find the store and the credentials, as connection.py says; the store itself is not asked yet."""
        return cls(connection.to(environment))

    def publish(self, folder: Path, uri: str) -> None:
        """Upload the sealed artifact in `folder` to `uri`, the manifest last."""
        bucket, prefix = split(uri)
        text = (folder / MANIFEST).read_bytes()
        there = self._manifest(bucket, prefix)
        if there is not None and there != text:
            raise BadInput(_OTHER.format(uri))
        sizes = self._sizes(bucket, prefix)
        files = Manifest.parse(text, str(folder)).files
        # A file of the right size under an unfinished manifest may be a stranger's: trust sizes only if it is there.
        missing = [name for name, file in files.items() if there is None or sizes.get(name) != file.bytes]
        _in_parallel(lambda name: self._upload(folder / name, bucket, prefix + name), missing)
        if there is None and not self._create(text, bucket, prefix + MANIFEST):
            raise BadInput(_OTHER.format(uri))

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
                if error.code == "NoSuchKey":
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
        return {name: found["ETag"].strip('"') for name, found in self._objects(bucket, prefix.rstrip("/")).items()}

    def read(self, uri: str, path: Path) -> None:
        """Download the single object at `uri` to `path`."""
        bucket, key = split(uri)
        self._download(bucket, key.rstrip("/"), path)

    def remove(self, uri: str) -> None:
        """Remove the artifact at `uri`, its manifest first, so that what is left never looks finished."""
        bucket, prefix = split(uri)
        for name in sorted(self._sizes(bucket, prefix), key=lambda name: name != MANIFEST):
            delete = methodcaller("delete_object", Bucket=bucket, Key=prefix + name)
            self._call(f"remove s3://{bucket}/{prefix}{name}", delete)

    def make_bucket(self, bucket: str, prefix: str = "") -> bool | None:
        """Make a bucket; return whether it was missing, and None if these credentials may neither list nor make it.

        Those that are for a prefix see by it that the bucket is there. Another that makes it at the same time does no
        harm.
        """

        def make(s3: Any) -> bool | None:
            try:
                s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)  # unlike a HEAD, it says what is wrong
            except boto.ClientError as error:
                if (hidden := failures.code_of(error)) not in ("NoSuchBucket", "AccessDenied"):
                    raise
            else:
                return False
            try:
                s3.create_bucket(Bucket=bucket, **_location(s3))
            except boto.ClientError as error:
                code = failures.code_of(error)
                if code == hidden == "AccessDenied":
                    return None
                if code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise
                return False
            return True

        return self._call(f"make the bucket {bucket}", make)

    def _manifest(self, bucket: str, prefix: str) -> bytes | None:
        key = prefix + MANIFEST

        def get(s3: Any) -> bytes | None:
            try:
                return b"".join(_chunks(s3.get_object(Bucket=bucket, Key=key)))
            except boto.ClientError as error:
                if failures.code_of(error) == "NoSuchKey":
                    return None
                raise

        return self._call(f"read s3://{bucket}/{key}", get)

    def _sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        objects = self._objects(bucket, prefix).items()
        return {name.removeprefix(prefix): found["Size"] for name, found in objects}

    def _objects(self, bucket: str, prefix: str) -> dict[str, Any]:
        def objects(s3: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                if "IsTruncated" not in page:
                    raise NotS3(error="it is no list of objects")
                found |= {each["Key"]: each for each in page.get("Contents", ())}
            return found

        return self._call(f"list s3://{bucket}/{prefix}", objects)

    def _upload(self, path: Path, bucket: str, key: str) -> None:
        what, place = f"write s3://{bucket}/{key}", {"Bucket": bucket, "Key": key}
        kind = {"ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream"}  # browsers show pages
        with path.open("rb") as file:
            first = file.read(PART)
            if len(first) < PART:
                self._call(what, _tagged("put_object", **place, **kind, Body=first))
            else:
                upload = self._call(what, methodcaller("create_multipart_upload", **place, **kind))
                self._upload_parts(what, place | {"UploadId": upload["UploadId"]}, first, file)

    def _upload_parts(self, what: str, upload: dict[str, Any], part: bytes, file: BinaryIO) -> None:
        """Upload a file in parts, each of which is tried again by itself; what is not finished is taken away."""
        parts: list[dict[str, Any]] = []
        try:
            while part:
                number = len(parts) + 1
                tag = self._call(what, _tagged("upload_part", **upload, PartNumber=number, Body=part))
                parts.append({"PartNumber": number, "ETag": tag})
                part = file.read(PART)
            self._call(what, _tagged("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}))
        except BaseException:
            with contextlib.suppress(*failures.ERRORS):  # it may be that one may not, or that the store is away
                self.client.abort_multipart_upload(**upload)
            raise

    def _create(self, body: bytes, bucket: str, key: str) -> bool:
        """Put an object where there is none; return whether it is this one that is there then.

        Of two that do so at once one wins, wherever the store knows conditional writes; elsewhere it is the last.
        """

        def put(s3: Any) -> bool:
            place = {"Bucket": bucket, "Key": key, "ContentType": "application/json", "Body": body}
            try:
                _tag(s3.put_object(**place, IfNoneMatch="*"))
            except boto.ClientError as error:
                if failures.status_of(error) == 412:  # also where an answer was lost, and this is the second try
                    return b"".join(_chunks(s3.get_object(Bucket=bucket, Key=key))) == body
                if failures.status_of(error) != 501:
                    raise
                _tag(s3.put_object(**place))
            return True

        return self._call(f"write s3://{bucket}/{key}", put)

    def _download(self, bucket: str, key: str, path: Path) -> File:
        """Stream the object to `path`; return the size and digest of what arrived."""

        def get(s3: Any) -> File:
            digest, size = hashlib.sha256(), 0
            chunks = _chunks(s3.get_object(Bucket=bucket, Key=key))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += file.write(chunk)
            return File(sha256=digest.hexdigest(), bytes=size)

        return self._call(f"read s3://{bucket}/{key}", get)

    def _call(self, what: str, function: Callable[[Any], T]) -> T:
        return self.connection.call(what, function)


_OTHER = "{} holds another artifact already, and artifacts are never overwritten; choose another"


def _tag(answer: Mapping[str, Any]) -> str:
    """Return the ETag of what was put; without one it was no S3 store that answered, and nothing is stored."""
    if not answer.get("ETag"):
        raise NotS3(error="it has no ETag")
    return str(answer["ETag"])


def _tagged(name: str, **arguments: Any) -> Callable[[Any], str]:
    """Return a call of the client's method of that name, which gives the ETag of what it puts."""
    return lambda s3: _tag(getattr(s3, name)(**arguments))


def _chunks(answer: Mapping[str, Any]) -> Iterable[bytes]:
    """Yield the bytes of an object; those that a proxy in between, or who stored them, has packed are unpacked."""
    _tag(answer)
    packed = answer.get("ContentEncoding") in ("gzip", "x-gzip")
    with contextlib.closing(answer["Body"]) as body:
        if not packed:
            yield from body.iter_chunks(CHUNK)
            return
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        for chunk in body.iter_chunks(CHUNK):
            yield decoder.decompress(chunk)


def _location(s3: Any) -> dict[str, Any]:
    """Return what tells Amazon in which region to make a bucket; other stores have one."""
    region = s3.meta.region_name
    if region in (None, "us-east-1", "aws-global") or "amazonaws.com" not in s3.meta.endpoint_url:
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}


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
