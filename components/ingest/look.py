"""One look at every image of a split, some at a time: what statistics and rules need, and never all pixels at once."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import dataset as datasets
from components.artifacts.dataset import Split

Images = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]
PIXELS = 2**21  # values at a time
MEASURES = ("digests", "sums", "squares", "low", "high", "white", "edge_low", "edge_high", "edges")
WHITE = 250  # value from which a pixel is white
THUMBNAIL = 32  # pixels that an image is made no larger than, where its coarse look is enough


@dataclass(frozen=True)
class Look:
    """What was seen in a split: of each of its n images, and of all together.

    No sum is of fractions, so that every machine sees the same.
    `digests`, uint64 [n, 2], are equal for equal images alone. `sums` and `squares` are those of an image's values,
    `low` and `high` its least and greatest one, `white` how many are at least WHITE. `edge_low` and `edge_high` are
    those of its outermost ring, `edges` the mean there. `class_sums`, int64 [classes, h, w] (or [classes, h, w, 3]),
    are sums of thumbnails.
    """

    shape: tuple[int, ...]
    labels: npt.NDArray[np.uint8]
    digests: npt.NDArray[np.uint64]
    sums: npt.NDArray[np.int64]
    squares: npt.NDArray[np.int64]
    low: Numbers
    high: Numbers
    white: Numbers
    edge_low: Numbers
    edge_high: Numbers
    edges: npt.NDArray[np.float64]
    histogram: list[int]
    class_counts: npt.NDArray[np.int64]
    class_sums: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Values of an image."""
        return int(np.prod(self.shape))

    @cached_property
    def means(self) -> npt.NDArray[np.float64]:
        """The mean value of each image, 0 to 255."""
        return self.sums / self.size

    @cached_property
    def contrasts(self) -> npt.NDArray[np.float64]:
        """The standard deviation of each image's values."""
        made: npt.NDArray[np.float64] = (
            np.sqrt((self.squares * self.size - self.sums**2).astype(np.float64)) / self.size
        )
        return made

    @cached_property
    def blank(self) -> npt.NDArray[np.bool_]:
        """Which images are of one value."""
        found: npt.NDArray[np.bool_] = self.low == self.high
        return found

    def mean_image(self, label: int | None = None) -> npt.NDArray[np.float64]:
        """Return the mean of the thumbnails, of a class or of all."""
        total = self.class_sums.sum(axis=0) if label is None else self.class_sums[label]
        number = len(self) if label is None else int(self.class_counts[label])
        mean: npt.NDArray[np.float64] = total / max(1, number)
        return mean


def look(split: Split, classes: int) -> Look:
    """Look at every image of a split whose labels are below `classes`."""
    shape = split.images.shape[1:]
    thumbnail = small(split.images[:1], THUMBNAIL).shape[1:]
    seen: list[tuple[Numbers, ...]] = []
    histogram = np.zeros(256, np.int64)
    class_sums = np.zeros((classes, int(np.prod(thumbnail))), np.int64)
    for start, images in pieces(split.images):
        flat = images.reshape(len(images), -1)
        seen.append(_measures(images, flat))
        histogram += np.bincount(flat.reshape(-1), minlength=256)
        labels = split.labels[start : start + len(images)]
        for label in np.unique(labels):
            class_sums[label] += small(images[labels == label], THUMBNAIL).sum(axis=0, dtype=np.int64).reshape(-1)
    measured: dict[str, Any] = dict(zip(MEASURES, map(np.concatenate, zip(*seen, strict=True)), strict=True))
    return Look(
        shape=shape,
        labels=split.labels,
        **measured,
        histogram=histogram.tolist(),
        class_counts=np.bincount(split.labels, minlength=classes),
        class_sums=class_sums.reshape(classes, *thumbnail),
    )


def pieces(images: datasets.Images) -> Iterator[tuple[int, Images]]:
    """Yield the images, some at a time, with the number of the first of them."""
    step = max(1, PIXELS // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        yield start, np.ascontiguousarray(images[start : start + step])


def small(images: Images, longest: int) -> Images:
    """Return images whose sides are at most so long: means of squares of pixels, what is over at the end cut off."""
    count, height, width, *channels = images.shape
    factor = -(-max(height, width) // longest)
    factor = min(factor, height, width)
    if factor == 1:
        return images
    rows, columns = height // factor, width // factor
    cut = images[:, : rows * factor, : columns * factor]
    # Row by row and then column by column, which is far faster than a sum over two axes.
    tall = np.zeros((count, rows, *cut.shape[2:]), np.uint32)
    for each in range(factor):
        tall += cut[:, each::factor]
    both = np.zeros((count, rows, columns, *channels), np.uint32)
    for each in range(factor):
        both += tall[:, :, each::factor]
    made: Images = (both // factor**2).astype(np.uint8)
    return made


def grey(images: Images) -> Images:
    """Return images [n, height, width]: of colours their brightness (ITU-R BT.601), in whole numbers."""
    if images.ndim == 3:
        return images
    weighed = images[..., 0].astype(np.uint16) * 77 + images[..., 1].astype(np.uint16) * 150
    return ((weighed + images[..., 2].astype(np.uint16) * 29) >> 8).astype(np.uint8)


def _measures(images: Images, flat: Images) -> tuple[Numbers, ...]:
    """Return what is measured of each image, in the order of the fields of `Look`."""
    digests = b"".join(hashlib.blake2b(image, digest_size=16).digest() for image in flat)
    exact = flat.astype(np.float64)  # whole numbers below 2^53: no order of adding changes a sum
    squares = np.einsum("ij,ij->i", exact, exact).astype(np.int64)
    sides = (images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1])
    edge = np.concatenate(sides, axis=1).reshape(len(images), -1)
    return (
        np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64),
        flat.sum(axis=1, dtype=np.uint32).astype(np.int64),
        squares,
        flat.min(axis=1),
        flat.max(axis=1),
        (flat >= WHITE).sum(axis=1),
        edge.min(axis=1),
        edge.max(axis=1),
        edge.sum(axis=1, dtype=np.int64) / edge.shape[1],
    )
