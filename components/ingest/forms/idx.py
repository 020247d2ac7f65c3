"""The IDX format of the MNIST files (yann.lecun.com/exdb/mnist): a big-endian header, then the numbers.

    train-images-idx3-ubyte  train-labels-idx1-ubyte  t10k-images-idx3-ubyte  t10k-labels-idx1-ubyte

In any spelling, gzipped or not, with any of the six types of numbers, grey or with the colours last. QMNIST's labels,
eight numbers for each image, are read for the class and, as the group, the writer.
"""

import gzip
import math
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields
from components.ingest.forms._heads import disguise
from components.ingest.forms._names import ending, split_of
from components.ingest.forms._rows import Rows
from components.ingest.place import Place

CHUNK = 8192  # images at a time
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_QMNIST = 8  # columns of its labels: the class, the series, the writer, …
_KINDS = ("images", "labels")


def recognised(place: Place) -> str:
    """Return what IDX files there are."""
    return f"IDX files {', '.join(names)}" if (names := sorted({name.split("/")[-1] for name in _files(place)})) else ""


def read(place: Place, _: Fields) -> Iterator[Batch]:
    """Yield the images of each pair of files."""
    for split in ("train", "validation", "test", ""):
        found = {kind: _of(place, split, kind) for kind in _KINDS}
        if any(found.values()):
            yield from _pair(place, split, *(found[kind] or _missing(place, found, kind) for kind in _KINDS))


def _files(place: Place) -> list[str]:
    typed = r"[-._]idx\d?(?:-?u?(?:byte|short|int|float|double))?|-ubyte"
    named = r"(?:^|[-_/])(?:train|t10k|test|valid(?:ation)?)-(?:images|labels)"
    return ending(place.names, rf"(?:{typed}|{named})(?:\.gz)?")


def _of(place: Place, split: str, kind: str) -> str:
    """Return the file of a split's images or labels; raise `BadInput` if several may be meant."""
    other = _KINDS[1 - _KINDS.index(kind)]
    found: dict[str, list[str]] = {}
    for name in _files(place):
        folder, _, file = name.rpartition("/")
        has_kind = kind[:-1] in file.lower() or (
            other[:-1] not in file.lower() and (kind == "images") == ("idx3" in file)
        )
        if has_kind and (split_of(file) or split_of(folder.rpartition("/")[2])) == split:
            # Some archives hold folders of the files' names, with the same file in them.
            above, _, last = folder.rpartition("/")
            found.setdefault(f"{above if _plain(last) == _plain(file) else folder}/{_plain(file)}", []).append(name)
    if len(found) > 1:
        raise BadInput(
            f"{place.source} has more than one file of {split or 'all'} {kind}: "
            f"{', '.join(names[0] for names in found.values())}; give the folder of one data set"
        )
    return min(next(iter(found.values()), [""]), key=lambda name: (name.count("/"), name.lower().endswith(".gz"), name))


def _plain(file: str) -> str:
    return re.sub(r"[._]", "-", re.sub(r"\.gz$", "", file.lower()))


def _missing(place: Place, found: dict[str, str], kind: str) -> str:
    other = found["images" if kind == "labels" else "labels"]
    pair = re.sub("idx[13]", "idx3" if kind == "images" else "idx1", re.sub("images|labels", kind, other))
    pair = re.sub(r"\.gz$", "", pair)
    raise BadInput(f"{place.source} has no {pair} (nor {pair}.gz), which belongs to {other}")


def _pair(place: Place, split: str, images_file: str, labels_file: str) -> Iterator[Batch]:
    with ExitStack() as files:
        paths = [files.enter_context(place.file(name)) for name in (images_file, labels_file)]
        images, labels = (numbers(path, kind) for path, kind in zip(paths, _KINDS, strict=True))
        if len(images) != len(labels):
            raise BadInput(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
        for start in range(0, len(images), CHUNK):
            chunk, of_chunk = (_native(array[start : start + CHUNK]) for array in (images, labels))
            origins = [f"{images_file} {i}" for i in range(start, start + len(chunk))]
            two = of_chunk.ndim == 2
            writers = [str(writer) for writer in of_chunk[:, 2].tolist()] if two else None
            yield from Rows(chunk, origins, of_chunk[:, 0] if two else of_chunk, groups=writers).batches(split)


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="))


def numbers(path: Path, kind: str) -> npt.NDArray[Any]:
    """Return the images, [n, height, width] or [n, height, width, channels], or labels, [n] or QMNIST's [n, 8].

    What is not gzipped is mapped from the file. Raises `BadInput` saying what is wrong: another kind of file,
    truncated, too long, damaged, empty.
    """
    content = _content(path)
    dtype, dimensions = _header(path, bytes(content[:256]), kind)
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise BadInput(f"{path.name} is truncated: it ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        what = "is truncated" if len(content) < expected else "is longer than it should be"
        size = "bytes" if dtype.itemsize == 1 else f"numbers of {dtype.itemsize} bytes"
        raise BadInput(
            f"{path.name} {what}: its header announces {'×'.join(map(str, shape))} {size} of {kind}, "
            f"{expected} bytes in all, but it has {len(content)}"
        )
    if 0 in shape:
        raise BadInput(f"{path.name} is empty: its header announces {'×'.join(map(str, shape))} {kind}")
    if kind == "labels" and dimensions == 2 and shape[1] != _QMNIST:
        raise BadInput(f"{path.name} has {shape[1]} numbers for each label, expected one, or the {_QMNIST} of QMNIST")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _header(path: Path, head: bytes, kind: str) -> tuple[np.dtype[Any], int]:
    """Return the type and the number of dimensions that a file's first bytes say."""
    expected = {"images": "00000803", "labels": "00000801"}[kind]
    if what := disguise(head):
        raise BadInput(f"{path.name} is no IDX file of {kind}: it {what}")
    zeros, code, dimensions = head[:2], *head[2:4].ljust(2, b"\0")
    if len(head) < 4 or zeros != b"\0\0" or code not in _TYPES or not 0 < dimensions < 5:
        little = len(head) >= 4 and head[2:4] == b"\0\0" and head[1] in _TYPES
        why = ", as if it was written little-endian; write its header and numbers big-endian" if little else ""
        raise BadInput(
            f"{path.name} is no IDX file of {kind}: it starts with {head[:4].hex()}, expected {expected}{why}"
        )
    if (holds := "images" if dimensions > 2 else "labels") != kind:
        raise BadInput(f"{path.name} holds {holds}, expected {kind}: are two files swapped?")
    return np.dtype(_TYPES[code]), dimensions


def _content(path: Path) -> Any:
    """Return a file's bytes, mapped; unpacked, in memory, if it is gzipped."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return decoded(path)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def write(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write images, uint8 [n, height, width], or labels, uint8 [n], as an IDX file."""
    path.write_bytes(struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def decoded(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzipped."""
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path.name} is a damaged gzip file: {error}") from None
