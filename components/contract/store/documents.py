"""Small objects that are read and written whole: manifests, and the entries of a log.

Each has the sha256 of its bytes in its metadata, so that one that was damaged is not read for what it is not.
"""

import hashlib
from operator import methodcaller
from typing import Any

from botocore import exceptions as boto

from components.contract.errors import BadInput, StoreRefused
from components.contract.store import failures, transfers
from components.contract.store.connection import Connection
from components.contract.store.transfers import Key

TRIES = 3  # to get what does not arrive as it was put
_DIGEST = "sha256"


def get(connection: Connection, key: Key) -> bytes | None:
    """Return the bytes of an object, or None where there is none; raise `BadInput` if they are not those put."""

    def once(s3: Any) -> tuple[bytes, str] | None:
        try:
            answer = s3.get_object(**key.arguments)
        except boto.ClientError as error:
            if failures.code_of(error) == "NoSuchKey":
                return None
            raise
        return b"".join(transfers.chunks_of(answer)), answer.get("Metadata", {}).get(_DIGEST, "")

    for _ in range(TRIES):
        found = connection.call(f"read {key}", once)
        if found is None:
            return None
        text, expected = found
        if expected in ("", digest := hashlib.sha256(text).hexdigest()):
            return text
    raise BadInput(
        f"{key} was changed or damaged: it was put with sha256 {expected}, found {digest}; make the artifact again"
    )


def put(connection: Connection, text: bytes, key: Key) -> str | None:
    """Put JSON where there is none and return its ETag; None where there is an object, maybe this very one.

    A store that knows no conditional writes is not asked for one: there the last of two stays.
    """
    return transfers.put(connection, text, key, {"IfNoneMatch": "*"}, **_about(text))


def create(connection: Connection, text: bytes, key: Key) -> bool:
    """Put JSON where there is none, and tell whether it was this call that did; exactly one of many at once does.

    `text` must be unlike that of every other call, as an answer may be lost and the bytes then say whose they are.
    Raises `StoreRefused` where the store does not know conditional writes, or takes no notice of them.
    """
    arguments = key.arguments | _about(text) | {"Body": text, "ContentMD5": transfers.md5_of(text), "IfNoneMatch": "*"}

    def once(s3: Any) -> bool:
        try:
            transfers.tag_of(s3.put_object(**arguments))
        except boto.ClientError as error:
            if failures.status_of(error) == 501:
                raise StoreRefused(_UNCONDITIONAL.format(key)) from error
            if failures.status_of(error) != 412:
                raise
            return False
        return True

    created = connection.call(f"write {key}", once)
    if created and connection.call(f"write {key}", once):  # the second time it has to refuse
        connection.call(f"remove {key}", methodcaller("delete_object", **key.arguments))
        raise StoreRefused(_UNCONDITIONAL.format(key))
    return created or get(connection, key) == text


_UNCONDITIONAL = (
    "cannot write {}: this store knows no conditional writes (If-None-Match), without which of two writers at once one "
    "would undo the other; use a store that does, such as MinIO, SeaweedFS or Amazon's"
)


def _about(text: bytes) -> dict[str, Any]:
    return {"ContentType": "application/json", "Metadata": {_DIGEST: hashlib.sha256(text).hexdigest()}}
