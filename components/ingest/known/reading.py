"""How the known data sets are read: some thousand images at a time, from files that were verified before."""

import bz2
import gzip
import io
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from components.ingest.forms import Batch
from components.ingest.known.declaration import Known
from components.ingest.known.mnist import FILES
from components.ingest.known.qmnist import MATCHED

Array = npt.NDArray[Any]

ROWS = 5_000  # images at a time
_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x0C: np.dtype(">i4"),
}  # what the third byte of an IDX file says


def four_files(known: Known, files: Mapping[str, Path]) -> Iterator[Batch]:
    """Read the four IDX files of MNIST."""
    for split, images, labels in (("train", *FILES[:2]), ("test", *FILES[2:])):
        with _unpacked(files[images]) as left, _unpacked(files[labels]) as right:
            for start, pixels, numbers in _paired(left, right):
                yield Batch(pixels, numbers, _origins(images, start, pixels), split, class_names=known.class_names)


def emnist(known: Known, files: Mapping[str, Path]) -> Iterator[Batch]:
    """Read a split of EMNIST out of its archive, of which nothing else is unpacked."""
    (part,) = known.parts
    lowest = np.uint8(1 if part == "letters" else 0)
    with zipfile.ZipFile(files["gzip.zip"]) as archive:
        for split in ("train", "test"):
            images, labels = (f"emnist-{part}-{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
            with _member(archive, f"gzip/{images}") as left, _member(archive, f"gzip/{labels}") as right:
                for start, pixels, numbers in _paired(left, right):
                    origins = _origins(images, start, pixels)
                    upright = pixels.transpose(0, 2, 1)
                    yield Batch(upright, numbers - lowest, origins, split, class_names=known.class_names)


def qmnist(known: Known, files: Mapping[str, Path]) -> Iterator[Batch]:
    """Read QMNIST; of the test images, `test10k` is the first 10,000, and `test50k` the others."""
    for split in ("train", "test"):
        images, labels = (f"qmnist-{split}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx2-int"))
        with _unpacked(files[images]) as left, _unpacked(files[labels]) as right:
            for start, pixels, about in _paired(left, right):
                part = "test10k" if start < MATCHED else "test50k"  # no batch has both, as ROWS divides MATCHED
                if split == "train" or not known.parts or part in known.parts:
                    writers = [f"writer {writer}" for writer in about[:, 2].tolist()]
                    origins = _origins(images, start, pixels)
                    yield Batch(pixels, about[:, 0], origins, split, writers, class_names=known.class_names)


def usps(known: Known, files: Mapping[str, Path]) -> Iterator[Batch]:
    """Read the lines of USPS; a value v becomes (v + 1) / 2 · 255, cut to a whole number, as torchvision does it."""
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        with bz2.open(files[name], "rt", encoding="ascii") as file:
            lines, start = cast("IO[str]", file), 0
            while some := list(islice(lines, ROWS)):
                values, labels = np.zeros((len(some), math.prod(known.size)), np.float32), np.zeros(len(some), np.uint8)
                for row, line in enumerate(some):
                    label, *pairs = line.split()
                    labels[row] = int(label) - 1
                    for pair in pairs:
                        index, _, value = pair.partition(":")
                        values[row, int(index) - 1] = float(value)
                pixels = ((values + 1) / 2 * 255).astype(np.uint8).reshape(-1, *known.size)
                yield Batch(pixels, labels, _origins(name, start, pixels), split, class_names=known.class_names)
                start += len(some)


def mnist_c(known: Known, files: Mapping[str, Path]) -> Iterator[Batch]:
    """Read the training images of MNIST, then the corrupted test images."""
    yield from (batch for batch in four_files(known, files) if batch.split == "train")
    with zipfile.ZipFile(files["mnist_c.zip"]) as archive:
        for corruption in known.parts:
            images, labels = (f"mnist_c/{corruption}/test_{kind}.npy" for kind in ("images", "labels"))
            pixels, numbers = _array(archive, images), _array(archive, labels)
            origins = _origins(images, 0, pixels)
            pixels = pixels.reshape(pixels.shape[:3])  # without their one channel
            yield Batch(pixels, numbers, origins, "test", class_names=known.class_names)


def _origins(file: str, start: int, images: Array) -> list[str]:
    return [f"{file} {row}" for row in range(start, start + len(images))]


def _paired(images: IO[bytes], labels: IO[bytes]) -> Iterator[tuple[int, Array, Array]]:
    """Yield the number of the first row, images and labels of two IDX files, `ROWS` at a time."""
    start = 0
    for left, right in zip(_rows(images), _rows(labels), strict=True):
        yield start, left, right
        start += len(left)


def _rows(file: IO[bytes]) -> Iterator[Array]:
    """Yield the content of an IDX file, [n, …], `ROWS` at a time."""
    _, _, kind, dimensions = file.read(4)
    number, *shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    size = math.prod(shape) * _TYPES[kind].itemsize
    for start in range(0, number, ROWS):
        content = file.read(min(ROWS, number - start) * size)
        yield np.frombuffer(content, _TYPES[kind]).reshape(-1, *shape)


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open a gzipped file in an archive."""
    with archive.open(name) as packed, gzip.open(packed) as file:
        yield cast("IO[bytes]", file)


def _unpacked(path: Path) -> IO[bytes]:
    """Open a file that may be gzipped."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path) if packed else path.open("rb"))


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    return cast("Array", np.load(io.BytesIO(archive.read(name)), allow_pickle=False))
