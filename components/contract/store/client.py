"""The S3 store: artifacts go up whole and come down verified.

An artifact's files are uploaded first and its manifest last, so a prefix without a manifest is nothing yet, and a
crash leaves nothing that looks finished. A location is written once: publishing the same content again does nothing,
and publishing other content there is refused.
"""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any, Self, TypeVar

from botocore import exceptions as boto

from components.contract import later
from components.contract.artifact import MANIFEST, File, Manifest, check
from components.contract.errors import BadInput, StoreRefused, StoreUnavailable
from components.contract.store import connection, documents, failures, transfers
from components.contract.store.connection import Connection
from components.contract.store.failures import NotS3
from components.contract.store.transfers import Key

T = TypeVar("T")

TRIES = 3  # to put what a store says that it has, and has not; to get what does not arrive as it was put
_OTHER = "{} holds another artifact already, and artifacts are never overwritten; choose another"
_BUSY = "another run, of other content, is at work at {}; choose another place, or wait for its end and call again"


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
        """Upload the sealed artifact in `folder` to `uri`, the manifest last.

        What is there is whole at any time, also where two do so at once: of each file that is put or replaced is said
        which one, if any, was there before. What a store says that it has is looked for before the manifest, which
        promises it, and after.
        """
        bucket, prefix = split(uri)
        text = (folder / MANIFEST).read_bytes()
        there = self._manifest(bucket, prefix)
        if there is not None and there != text:
            raise BadInput(_OTHER.format(uri))
        found, files = self._objects(bucket, prefix), Manifest.parse(text, str(folder)).files
        keys = {name: Key(bucket, prefix + name) for name in files}
        if there is not None:  # such as there are of the right size are those of the manifest
            missing = [name for name, file in files.items() if found.get(keys[name].name, {}).get("Size") != file.bytes]
            transfers.in_parallel(lambda name, _: self._replace(folder / name, keys[name]), missing)
            return
        tags: dict[str, str] = {}

        def one(name: str, _: threading.Event) -> None:
            if keys[name].name in found and self._manifest(bucket, prefix) not in (None, text):
                raise BadInput(_OTHER.format(uri))  # it was not left unfinished, but has been finished since
            tags[name] = self._place(folder / name, keys[name], files[name], found.get(keys[name].name))

        names = list(files)
        transfers.in_parallel(one, names[:1])  # of two unlike publishers one gives way before both have put some
        transfers.in_parallel(one, names[1:])
        for name in self._unconfirmed(bucket, prefix, tags):
            self._place(folder / name, keys[name], files[name], None)
        self._create(text, Key(bucket, prefix + MANIFEST), uri)
        for name in self._unconfirmed(bucket, prefix, tags):  # one that saw no manifest yet was late
            held = transfers.look(self.connection, keys[name])
            if held is None or held[0] != files[name]:
                self._replace(folder / name, keys[name])

    def fetch(self, uri: str, folder: Path, put_off: Collection[str] = ()) -> Manifest:
        """Download the artifact at `uri` into `folder`, checking the digest of each file on its way.

        Files that match one of the patterns `put_off` are left for `fetch_file`. Returns the manifest.
        """
        bucket, prefix = split(uri)
        text = self._manifest(bucket, prefix)
        if text is None:
            raise BadInput(f"{uri} is not an artifact: it has no {MANIFEST} (never made, or not finished)")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = Manifest.parse(text, uri)
        left = later.chosen(manifest.files, put_off)
        transfers.in_parallel(
            lambda item, stopped: self.fetch_file(uri, folder, *item, stopped),
            [(name, file) for name, file in manifest.files.items() if name not in left],
        )
        (folder / MANIFEST).write_bytes(text)
        return manifest

    def fetch_file(self, uri: str, folder: Path, name: str, expected: File, stopped: threading.Event) -> None:
        """Download one file of the artifact at `uri` into `folder`, checking its digest on its way."""
        bucket, prefix = split(uri)
        for _ in range(TRIES):  # it may have been damaged on its way only
            try:
                found = transfers.download(self.connection, Key(bucket, prefix + name), folder / name, stopped)
            except StoreRefused as error:
                if error.code == "NoSuchKey":
                    raise BadInput(f"{uri}/{name} is missing, but the manifest lists it") from error
                raise
            if found == expected:
                return
        check(name, expected, found.sha256, found.bytes, uri)

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

    def read(self, uri: str, path: Path, stopped: threading.Event | None = None) -> None:
        """Download the single object at `uri` to `path`, unless it is of no use any more."""
        bucket, key = split(uri)
        transfers.download(self.connection, Key(bucket, key.rstrip("/")), path, stopped)

    def read_all(self, items: Sequence[tuple[str, Path]]) -> None:
        """Download single objects, each to its path, several at a time."""
        transfers.in_parallel(lambda item, stopped: self.read(*item, stopped), items)

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
        return documents.get(self.connection, Key(bucket, prefix + MANIFEST))

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

    def _place(self, path: Path, key: Key, file: File, before: Mapping[str, Any] | None) -> str:
        """Put a file where there is none, or where there is still the one of `before`; return its ETag."""
        for _ in range(TRIES):
            condition = {"IfMatch": before["ETag"]} if before else {"IfNoneMatch": "*"}
            if tag := transfers.upload(self.connection, path, key, condition):
                return tag
            if held := transfers.look(self.connection, key):  # of another run, or of this one: an answer was lost
                if held[0] != file:
                    raise BadInput(_BUSY.format(key))
                return held[1]
            before = None
        raise StoreUnavailable(f"cannot write {key} at {self.endpoint}: it is there and is not there by turns")

    def _replace(self, path: Path, key: Key) -> None:
        transfers.upload(self.connection, path, key, {})

    def _unconfirmed(self, bucket: str, prefix: str, tags: Mapping[str, str]) -> list[str]:
        """Return which files the store does not list as those that were put."""
        found = self._objects(bucket, prefix)
        return [name for name, tag in tags.items() if found.get(prefix + name, {}).get("ETag") != tag]

    def _create(self, text: bytes, key: Key, uri: str) -> None:
        """Put a manifest where there is none, and see that it is there.

        Of two that do so at once one wins, wherever the store knows conditional writes; elsewhere it is the last.
        """
        for _ in range(TRIES):
            documents.put(self.connection, text, key)
            if there := self._manifest(*split(uri)):
                if there != text:
                    raise BadInput(_OTHER.format(uri))
                return
        raise StoreUnavailable(f"cannot write {key} at {self.endpoint}: the store says that it is there, but it is not")

    def _call(self, what: str, function: Callable[[Any], T]) -> T:
        return self.connection.call(what, function)


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
