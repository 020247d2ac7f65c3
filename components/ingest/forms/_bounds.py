"""How much of a source is in memory at a time, whatever it announces."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy.typing as npt

PIXELS = 50_000_000  # of an image: a larger one is more likely to be made to fill the memory than to be a digit
COLUMNS = 50_000  # of a table
FILE = 2**28  # bytes of a picture, or of a record, as it is packed
BYTES = 2**26  # of images at a time, unless a single one has more
WHOLE = 2**30  # bytes of what can only be read whole

T = TypeVar("T")


def at_once(size: int, most: int) -> int:
    """Return how many images of so many bytes are to be read at a time, `most` at most."""
    return max(1, min(most, BYTES // max(1, size)))


def portions(images: Iterable[npt.NDArray[Any]], most: int) -> Iterator[list[npt.NDArray[Any]]]:
    """Yield the images in order, so many at a time that they have at most BYTES together, or a single one."""
    portion, size = list[npt.NDArray[Any]](), 0
    for image in images:
        if portion and (size + image.nbytes > BYTES or len(portion) == most):
            yield portion
            portion, size = [], 0
        portion.append(image)
        size += image.nbytes
    if portion:
        yield portion
