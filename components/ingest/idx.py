"""The IDX format of the MNIST files (yann.lecun.com/exdb/mnist): a big-endian header, then unsigned bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput

IMAGES, LABELS = 0x803, 0x801  # unsigned bytes in three dimensions, and in one
_HOLDS = {IMAGES: "images", LABELS: "labels"}


def read(path: Path, magic: int) -> npt.NDArray[np.uint8]:
    """Return the images, uint8 [n, height, width], or labels, uint8 [n], of an IDX file, gzipped or not.

    Raises `BadInput` saying what is wrong: another kind of file, truncated, too long, damaged, empty.
    """
    content = decoded(path)
    found = int.from_bytes(content[:4], "big") if len(content) >= 4 else None
    if found != magic:
        if found in _HOLDS:
            raise BadInput(f"{path.name} holds {_HOLDS[found]}, expected {_HOLDS[magic]}: are two files swapped?")
        shown = content[:4].hex() or "nothing"
        raise BadInput(f"{path.name} is no IDX file of {_HOLDS[magic]}: it starts with {shown}, expected {magic:08x}")
    dimensions = magic & 0xFF
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise BadInput(f"{path.name} is truncated: it ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        what = "is truncated" if len(content) < expected else "is longer than it should be"
        raise BadInput(
            f"{path.name} {what}: its header announces {'×'.join(map(str, shape))} bytes of {_HOLDS[magic]}, "
            f"{expected} bytes in all, but it has {len(content)}"
        )
    if 0 in shape:
        raise BadInput(f"{path.name} is empty: its header announces {'×'.join(map(str, shape))} {_HOLDS[magic]}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def write(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write images or labels as an IDX file."""
    magic = IMAGES if array.ndim == 3 else LABELS
    path.write_bytes(struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes())


def decoded(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzipped."""
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path.name} is a damaged gzip file: {error}") from None
