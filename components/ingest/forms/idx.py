"""The IDX format of the MNIST files (yann.lecun.com/exdb/mnist): a big-endian header, then the numbers.

    train-images-idx3-ubyte  train-labels-idx1-ubyte  t10k-images-idx3-ubyte  t10k-labels-idx1-ubyte

In any spelling, gzipped or not, with any of the six types of numbers, grey or with the colours last. QMNIST's labels,
eight numbers for each image, are read for the class and, as the group, the writer.
"""

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields
from components.ingest.forms._bounds import PIXELS, at_once
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
        images, labels = (files.enter_context(_opened(*pair)) for pair in zip(paths, _KINDS, strict=True))
        if len(images) != len(labels):
            raise BadInput(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
        at_a_time = at_once(images.row, CHUNK)
        for start in range(0, len(images), at_a_time):
            chunk, of_chunk = (_native(each.read(at_a_time)) for each in (images, labels))
            origins = [f"{images_file} {i}" for i in range(start, start + len(chunk))]
            two = of_chunk.ndim == 2
            writers = [str(writer) for writer in of_chunk[:, 2].tolist()] if two else None
            yield from Rows(chunk, origins, of_chunk[:, 0] if two else of_chunk, groups=writers).batches(split)


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="))


def numbers(path: Path, kind: str) -> npt.NDArray[Any]:
    """Return the images, [n, height, width] or [n, height, width, channels], or labels, [n] or QMNIST's [n, 8].

    Raises `BadInput` saying what is wrong: another kind of file, truncated, too long, damaged, empty.
    """
    with _opened(path, kind) as file:
        return file.read(len(file))


@contextmanager
def _opened(path: Path, kind: str) -> Iterator["_Numbers"]:
    packed = _is_packed(path)
    with gzip.open(path) if packed else path.open("rb") as file:
        yield _Numbers(cast("IO[bytes]", file), path, kind, packed=packed)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


class _Numbers:
    """An IDX file that is read some rows at a time, gzipped or not: no memory is taken for what it announces alone."""

    def __init__(self, file: IO[bytes], path: Path, kind: str, *, packed: bool) -> None:
        self.path, self.kind, self._file = path, kind, file
        head = self._next(256)
        self._dtype, dimensions = _header(path, head, kind)
        self._at = 4 + 4 * dimensions  # bytes
        if len(head) < self._at:
            raise BadInput(f"{path.name} is truncated: it ends within its header")
        self._shape = struct.unpack(f">{dimensions}I", head[4 : self._at])
        self._total = self._at + math.prod(self._shape) * self._dtype.itemsize
        if not packed and path.stat().st_size != self._total:
            raise self._other(path.stat().st_size)
        self._check()
        file.seek(self._at)

    def _check(self) -> None:
        name, shape = self.path.name, self._shape
        if 0 in shape:
            raise BadInput(f"{name} is empty: its header announces {'×'.join(map(str, shape))} {self.kind}")
        if self.kind == "labels" and len(shape) == 2 and shape[1] != _QMNIST:
            raise BadInput(f"{name} has {shape[1]} numbers for each label, expected one, or the {_QMNIST} of QMNIST")
        if math.prod(shape[1:]) > PIXELS:
            raise BadInput(f"{name} announces images of more than {PIXELS:,} pixels: {'×'.join(map(str, shape[1:]))}")

    def __len__(self) -> int:
        return int(self._shape[0])

    @property
    def row(self) -> int:
        """Bytes of an image or a label."""
        return int(math.prod(self._shape[1:]) * self._dtype.itemsize)

    def read(self, rows: int) -> npt.NDArray[Any]:
        """Return the next rows, fewer at the end, where it is seen that nothing follows."""
        wanted = min(rows * self.row, self._total - self._at)
        content = self._next(wanted)
        self._at += len(content)
        if len(content) < wanted:
            raise self._other(self._at)
        if self._at == self._total and self._next(1):
            raise self._other(0)
        return np.frombuffer(content, self._dtype).reshape(-1, *self._shape[1:])

    def _other(self, size: int) -> BadInput:
        """Return what is wrong where the file has another size than its header says; 0: more than it should."""
        what = "is truncated" if 0 < size < self._total else "is longer than it should be"
        numbers = "bytes" if self._dtype.itemsize == 1 else f"numbers of {self._dtype.itemsize} bytes"
        return BadInput(
            f"{self.path.name} {what}: its header announces {'×'.join(map(str, self._shape))} {numbers} of "
            f"{self.kind}, {self._total} bytes in all, but it has {size or 'more'}"
        )

    def _next(self, size: int) -> bytes:
        try:
            return outside.exactly(self._file, size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadInput(f"{self.path.name} is a damaged gzip file: {error}") from None


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


def write(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write images, uint8 [n, height, width], or labels, uint8 [n], as an IDX file."""
    path.write_bytes(struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def unpacked(path: Path, target: Path, most: int) -> None:
    """Write the content of a file to another one, unpacked if it is gzipped; raise `BadInput` for more than `most`."""
    size = 0
    try:
        with gzip.open(path) if _is_packed(path) else path.open("rb") as file, target.open("wb") as made:
            while part := file.read(outside.PIECE):
                size += made.write(part)
                if size > most:
                    raise BadInput(f"{path.name} unpacks to more than {most:,} bytes")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path.name} is a damaged gzip file: {error}") from None
