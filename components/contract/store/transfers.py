"""One object on its way up or down: whole, unharmed, and only where nobody else has put another one."""

import concurrent.futures
import contextlib
import hashlib
import mimetypes
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore import exceptions as boto

from components.contract.artifact import File
from components.contract.ending import held
from components.contract.store import failures
from components.contract.store.connection import CONNECTIONS, Connection
from components.contract.store.failures import NotS3

T = TypeVar("T")

PART = 16 * 2**20  # a file on each connection, in parts of so many bytes: an upload takes 64 MiB of memory at most
CHUNK = 2**20
GRACE_SECONDS = 2  # for the other transfers to notice that one has failed


@dataclass(frozen=True)
class Key:
    """An object's place."""

    bucket: str
    name: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.name}"

    @property
    def arguments(self) -> dict[str, str]:
        """As botocore takes it."""
        return {"Bucket": self.bucket, "Key": self.name}


class Stopped(Exception):
    """Another transfer has failed, so this one is of no use."""


def upload(connection: Connection, path: Path, key: Key, condition: Mapping[str, str]) -> str | None:
    """Put a file and return its ETag, which changes with the content; None where the condition is not met.

    `condition` is botocore's `IfMatch` or `IfNoneMatch`, or empty; a store that knows none is not asked for it.
    """
    kind = {"ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream"}  # browsers show pages
    with path.open("rb") as file:
        first = file.read(PART)
        if len(first) < PART:
            return put(connection, first, key, condition, **kind)
        begin = _named("create_multipart_upload", **key.arguments, **kind)
        started = connection.call(f"write {key}", begin)["UploadId"]
        return _upload_parts(connection, key, started, first, file, condition)


def put(connection: Connection, body: bytes, key: Key, condition: Mapping[str, str], **more: Any) -> str | None:
    """Put an object, and return what `upload` does."""
    # Not every store looks at the digest that is signed, but each knows this one.
    arguments = key.arguments | more | {"Body": body, "ContentMD5": md5_of(body)}
    return _conditionally(connection, key, "put_object", arguments, condition)


def _upload_parts(  # noqa: PLR0913 - where, what, and on which condition
    connection: Connection, key: Key, started: str, part: bytes, file: BinaryIO, condition: Mapping[str, str]
) -> str | None:
    """Upload a file in parts, each of which is tried again by itself; what is not finished is taken away."""
    upload: dict[str, Any] = key.arguments | {"UploadId": started}
    parts: list[dict[str, Any]] = []
    try:
        while part:
            number = len(parts) + 1
            arguments = {**upload, "PartNumber": number, "Body": part, "ContentMD5": md5_of(part)}
            tag = connection.call(f"write {key}", _tagged("upload_part", **arguments))
            parts.append({"PartNumber": number, "ETag": tag})
            part = file.read(PART)
        arguments = {**upload, "MultipartUpload": {"Parts": parts}}
        return _conditionally(connection, key, "complete_multipart_upload", arguments, condition)
    except BaseException:
        with contextlib.suppress(*failures.ERRORS):  # it may be that one may not, or that the store is away
            connection.client.abort_multipart_upload(**upload)
        raise


def _conditionally(
    connection: Connection, key: Key, name: str, arguments: Mapping[str, Any], condition: Mapping[str, str]
) -> str | None:
    def once(s3: Any) -> str | None:
        try:
            return _tagged(name, **arguments, **condition)(s3)
        except boto.ClientError as error:
            if failures.status_of(error) == 412:  # also where an answer was lost, and this is the second try
                return None
            if failures.status_of(error) != 501 or not condition:
                raise
            return _tagged(name, **arguments)(s3)

    return connection.call(f"write {key}", once)


def download(connection: Connection, key: Key, path: Path, stopped: threading.Event | None = None) -> File:
    """Stream the object to `path`; return the size and digest of what arrived.

    Raises `Stopped` as soon as `stopped` is set.
    """

    def get(s3: Any) -> File:
        _go_on(stopped)
        chunks = chunks_of(s3.get_object(**key.arguments))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            return _measured(_written(chunk, file, stopped) for chunk in chunks)

    return connection.call(f"read {key}", get)


def look(connection: Connection, key: Key) -> tuple[File, str] | None:
    """Return size, digest and ETag of an object, which is read for it; None where there is none."""

    def get(s3: Any) -> tuple[File, str] | None:
        try:
            answer = s3.get_object(**key.arguments)
        except boto.ClientError as error:
            if failures.code_of(error) == "NoSuchKey":
                return None
            raise
        return _measured(chunks_of(answer)), tag_of(answer)

    return connection.call(f"read {key}", get)


def in_parallel(function: Callable[[T, threading.Event], None], items: Iterable[T]) -> None:
    """Call `function` for each item, CONNECTIONS at a time; the first failure ends it, and sets the event.

    Then the others have a moment to notice, so that none writes on into a folder that is being removed. They are not
    waited for longer: a SIGTERM must not sit behind an upload of gigabytes, and the process is about to end.
    """
    pool, stopped = concurrent.futures.ThreadPoolExecutor(CONNECTIONS), threading.Event()
    futures: list[concurrent.futures.Future[None]] = []
    try:
        with held():  # a signal may come as soon as the first is on its way, and each is to be waited for below
            futures.extend(pool.submit(function, item, stopped) for item in items)
        for future in futures:
            future.result()
    except BaseException:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        concurrent.futures.wait([future for future in futures if not future.cancelled()], GRACE_SECONDS)
        raise
    pool.shutdown()


def tag_of(answer: Mapping[str, Any]) -> str:
    """Return the ETag of what was put; without one it was no S3 store that answered, and nothing is stored."""
    if not answer.get("ETag"):
        raise NotS3(error="it has no ETag")
    return str(answer["ETag"])


def chunks_of(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the bytes of an object; those that a proxy in between, or who stored them, has packed are unpacked."""
    packed = answer.get("ContentEncoding") in ("gzip", "x-gzip")
    with contextlib.closing(answer["Body"]) as body:
        tag_of(answer)
        if not packed:
            yield from body.iter_chunks(CHUNK)
            return
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        for chunk in body.iter_chunks(CHUNK):
            try:
                yield decoder.decompress(chunk)
            except zlib.error:
                raise NotS3(error="its header says gzip, and its body is none") from None


def _measured(chunks: Iterable[bytes]) -> File:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return File(sha256=digest.hexdigest(), bytes=size)


def _written(chunk: bytes, file: BinaryIO, stopped: threading.Event | None) -> bytes:
    _go_on(stopped)
    file.write(chunk)
    return chunk


def _go_on(stopped: threading.Event | None) -> None:
    if stopped is not None and stopped.is_set():
        raise Stopped


def md5_of(body: bytes) -> str:
    """Return the digest of a request's body that every store checks it by."""
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _named(name: str, **arguments: Any) -> Callable[[Any], Any]:
    return lambda s3: getattr(s3, name)(**arguments)


def _tagged(name: str, **arguments: Any) -> Callable[[Any], str]:
    """Return a call of the client's method of that name, which gives the ETag of what it puts."""
    return lambda s3: tag_of(getattr(s3, name)(**arguments))
