"""TFRecord files of tf.train.Example (tensorflow.org/tutorials/load_data/tfrecord), gzipped, zlib'd or plain.

    mnist-train.tfrecord-00000-of-00001  mnist-test.tfrecord-00000-of-00001
    image    a PNG or JPEG, raw bytes with height, width (and depth), or numbers
    label    a whole number or a text

Each record is a length and the bytes of a message, each with its checksum (CRC32C, masked), which are checked.
TensorFlow is not needed: the few fields of the message are declared below.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields, _rows
from components.ingest.forms._bounds import FILE
from components.ingest.forms._heads import disguise
from components.ingest.forms._names import ending, find, in_order, listed, split_of_path
from components.ingest.forms._pictures import Pictures
from components.ingest.forms._rows import collected, narrowed, squared
from components.ingest.place import Place

_USUAL = {
    "image": ("image/encoded", "image", "image_raw", "image/raw", *_rows.IMAGE), "label": _rows.LABEL,
    "split": _rows.SPLIT, "group": _rows.GROUP, "weight": _rows.WEIGHT,
}  # fmt: skip
_SIZES = (("height", "image/height", "rows"), ("width", "image/width", "cols"), ("depth", "image/channels", "channels"))
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


def recognised(place: Place) -> str:
    """Return which files there are."""
    names = _files(place)
    return f"TFRecord files {listed(names)}" if names else ""


def _files(place: Place) -> list[str]:
    return in_order(ending(place.names, r"\.tf_?rec(?:ord)?s?(?:[-_.]\d+-of-\d+)?(?:\.(?:gz|gzip|zlib|z))?"))


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the images of each file."""
    pictures = Pictures()
    for name in _files(place):
        with place.file(name) as path:
            yield from collected(_samples(name, path, fields, pictures), split_of_path(name))
    pictures.say()


def _samples(
    name: str, path: Path, fields: Fields, pictures: Pictures
) -> Iterator[tuple[npt.NDArray[Any], str, dict[str, Any]]]:
    for number, record in enumerate(_records(name, path)):
        origin = f"{name} {number}"
        example = _example(record, origin)
        said = _chosen(example, fields, origin)
        yield _image(said.pop("image"), example, pictures, origin), origin, said


def _chosen(example: dict[str, Any], fields: Fields, origin: str) -> dict[str, Any]:
    """Return the values of image, label and what else there is; raise `BadInput` if the first two are not there."""
    found = {}
    for kind, usual in _USUAL.items():
        name = find(example, getattr(fields, kind), usual, f"{kind}_field", origin)
        if name:
            value = example[name]
            if kind != "image" and len(value) != 1:
                raise BadInput(f"{origin}: the feature {name} has {len(value)} values, expected one")
            found[f"{kind}s" if kind != "image" else kind] = value if kind == "image" else _single(value)
        elif kind in ("image", "label"):
            raise BadInput(
                f"{origin}: no feature is the {kind}; there are {', '.join(sorted(example))}; name it with "
                f"`{kind}_field`"
            )
    return found


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value[0].item()


def _image(value: Any, example: dict[str, Any], pictures: Pictures, origin: str) -> npt.NDArray[Any]:
    if isinstance(value, list):
        if len(value) != 1:
            raise BadInput(f"{origin}: the image has {len(value)} values of bytes, expected one")
        if value[0].startswith(_PICTURES):
            return pictures(value[0], origin)
        value = np.frombuffer(value[0], np.uint8)
    sizes = [
        _size(example[name], name, origin)
        for names in _SIZES if (name := next((n for n in names if n in example), ""))
    ]  # fmt: skip
    if len(sizes) < 2:
        return np.asarray(squared(narrowed(value)[np.newaxis], origin)[0])
    if math.prod(sizes) != value.size:
        raise BadInput(
            f"{origin}: the image has {value.size} {'bytes' if value.dtype == np.uint8 else 'numbers'}, expected "
            f"{'×'.join(map(str, sizes))}, as its features say; give a byte for each pixel, or a list of numbers"
        )
    return narrowed(value).reshape(sizes)


def _size(value: Any, name: str, origin: str) -> int:
    if isinstance(value, list) or value.dtype != np.int64 or value.size != 1 or value[0] < 0:
        raise BadInput(f"{origin}: the feature {name} is no size of an image, one whole number from 0 on")
    return int(value[0])


def _records(name: str, path: Path) -> Iterator[bytes]:
    """Yield the bytes of each record; raise `BadInput` with the place of the one that is truncated or damaged."""
    offset = 0
    try:
        with path.open("rb") as plain, _unpacked(name, plain) as file:
            while head := file.read(12):
                length, checksum = struct.unpack("<QI", head.ljust(12, b"\0"))
                if len(head) == 12 and _masked(head[:8]) != checksum:
                    raise BadInput(f"{name} is damaged: the length of the record at byte {offset} has another checksum")
                if length > FILE:
                    raise BadInput(
                        f"{name}: the record at byte {offset} announces {length:,} bytes, too many for an image"
                    )
                content = outside.exactly(file, length + 4) if len(head) == 12 else b""
                if len(head) < 12 or len(content) < length + 4:
                    raise BadInput(
                        f"{name} is truncated: it ends within the record that begins at byte {offset}, after "
                        f"{len(head) + len(content)} bytes of it"
                    )
                if _masked(content[:-4]) != int.from_bytes(content[-4:], "little"):
                    raise BadInput(f"{name} is damaged: the record at byte {offset} has another checksum")
                yield content[:-4]
                offset += 16 + length
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{name} is damaged where it is compressed, after {offset} bytes: {error}") from None
    if not offset:
        raise BadInput(f"{name} is empty: it has no records")


def _masked(content: bytes) -> int:
    """Return the checksum of some bytes as TFRecord has it."""
    import google_crc32c  # noqa: PLC0415 - every form is asked what it recognises, and few need this

    checksum: int = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _unpacked(name: str, file: IO[bytes]) -> Any:
    """Return the file, or what is in it if it is compressed."""
    head = file.read(256)
    file.seek(0)
    if len(head) < 12 or _masked(head[:8]) == int.from_bytes(head[8:12], "little"):
        return file
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return io.BufferedReader(_Zlib(file))
    what = disguise(head) or f"starts with {head[:12].hex()}, expected a length of 8 bytes and its checksum of 4"
    raise BadInput(f"{name} is no TFRecord file: it {what}")


class _Zlib(io.RawIOBase):
    """Reads what zlib has packed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.inflate = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.inflate.eof:
            packed = self.inflate.unconsumed_tail or self.file.read(65536)
            if content := self.inflate.decompress(packed, len(buffer)):
                buffer[: len(content)] = content
                return len(content)
            if not packed:
                raise EOFError("it ends too early")
        return 0


def _example(record: bytes, origin: str) -> dict[str, Any]:
    """Return the features: bytes as a list, numbers as an array; raise `BadInput` if it is no tf.train.Example."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        features = _message().FromString(record).features.feature
    except DecodeError:
        raise BadInput(f"{origin}: the record is no tf.train.Example") from None
    found: dict[str, Any] = {}
    for name in sorted(features):
        kind = features[name].WhichOneof("kind")
        if kind == "bytes_list":
            found[name] = list(features[name].bytes_list.value)
        elif kind:
            dtype = np.float32 if kind == "float_list" else np.int64
            found[name] = np.array(getattr(features[name], kind).value, dtype)
    return found


@cache
def _message() -> Any:
    """Return the class of tf.train.Example, as tensorflow/core/example/{example,feature}.proto declare it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tf", syntax="proto3")

    def declare(parent: Any, name: str, *fields: tuple[str, int, Any], repeated: bool = False) -> Any:
        message = parent.add(name=name)
        for number, (called, kind, of) in enumerate(fields, 1):
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            message.field.add(name=called, number=number, type=kind, label=label, type_name=of)
        return message

    messages = file.message_type
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        declare(messages, name, ("value", kind, None), repeated=True)
    lists = (("bytes_list", ".tf.BytesList"), ("float_list", ".tf.FloatList"), ("int64_list", ".tf.Int64List"))
    feature = declare(messages, "Feature", *((called, field.TYPE_MESSAGE, of) for called, of in lists))
    feature.oneof_decl.add(name="kind")
    for each in feature.field:
        each.oneof_index = 0
    features = declare(
        messages, "Features", ("feature", field.TYPE_MESSAGE, ".tf.Features.FeatureEntry"), repeated=True
    )
    entry = declare(
        features.nested_type,
        "FeatureEntry",
        ("key", field.TYPE_STRING, None),
        ("value", field.TYPE_MESSAGE, ".tf.Feature"),
    )
    entry.options.map_entry = True
    declare(messages, "Example", ("features", field.TYPE_MESSAGE, ".tf.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Example"))
