"""Perceptual hashes: 64 bits that stay nearly the same when an image is recompressed, brightened, or moved a little.

The hash of Zauner 2010 ("Implementation and benchmarking of perceptual image hash functions"), made for many images at
once: the signs of the 64 lowest frequencies of the discrete cosine transform. The cosines are whole numbers, and what
is summed stays below what a float holds exactly, so that every machine gets the same bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.artifacts import dataset as datasets
from components.ingest.look import Images, grey, pieces, small

SIDE = 8  # frequencies in each direction
LONGEST = 64  # pixels of an image's longer side: larger ones are made smaller
# Neighbouring frequencies flip together; in another order, runs of equal bits are long enough to sort by.
_ORDER = np.argsort(np.arange(SIDE**2) * 37 % 64, kind="stable")


@dataclass(frozen=True)
class Hashes:
    """Of each of n images its `bits`, uint64 [n], and the frequencies, int8 [n, 64], of length 127 together."""

    bits: npt.NDArray[np.uint64]
    frequencies: npt.NDArray[np.int8]


def hashes(images: datasets.Images) -> tuple[Hashes, Hashes]:
    """Return the hashes of images as they are, and of images moved so that their centre is in the middle.

    The second are the same for images that differ in where on a plain ground something is.
    """
    kinds: tuple[list[Hashes], list[Hashes]] = ([], [])
    for _, some in pieces(images):
        for kind, made in zip(kinds, _both(grey(small(some, LONGEST))), strict=True):
            kind.append(made)
    plain, centred = (
        Hashes(np.concatenate([each.bits for each in kind]), np.concatenate([each.frequencies for each in kind]))
        for kind in kinds
    )
    return plain, centred


def _both(images: Images) -> tuple[Hashes, Hashes]:
    values = images.astype(np.float32)
    sides = (values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1])
    ground = np.rint(np.concatenate(sides, axis=1).mean(axis=1, dtype=np.float64)).astype(np.float32)
    values -= ground[:, None, None]
    still = np.zeros(len(values), np.int64)
    weights = np.abs(values)
    return (
        _hash(values, still, still),
        _hash(values, _off_centre(weights.sum(axis=2)), _off_centre(weights.sum(axis=1))),
    )


def _off_centre(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return by how many pixels the centre of mass is off the middle; `weights` [n, size] are whole numbers."""
    exact = weights.astype(np.int64)
    size = exact.shape[1]
    total = np.maximum(1, exact.sum(axis=1))
    off: npt.NDArray[np.int64] = (2 * (exact @ np.arange(size)) + total) // (2 * total) - size // 2
    return off


def _hash(values: npt.NDArray[np.float32], down: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Hashes:
    """Transform images [n, height, width] by cosines that are moved `down` and to the `right`, by image."""
    count, height, width = values.shape
    half = np.empty((count, SIDE, height), np.float64)
    for offset in np.unique(right):
        chosen = right == offset
        cosines = _cosines(width, offset).astype(np.float32)
        half[chosen] = (values[chosen].reshape(-1, width) @ cosines.T).reshape(-1, height, SIDE).transpose(0, 2, 1)
    whole = np.empty((count, SIDE, SIDE))
    for offset in np.unique(down):
        chosen = down == offset
        whole[chosen] = (half[chosen].reshape(-1, height) @ _cosines(height, offset).T).reshape(-1, SIDE, SIDE)
    frequencies = whole.reshape(count, -1)[:, _ORDER]
    bits = np.ascontiguousarray(np.packbits(frequencies > 0, axis=1)).view(">u8").astype(np.uint64).reshape(-1)
    coarse = np.rint(frequencies / 2**16)
    length = np.sqrt(np.maximum(1, np.vecdot(coarse, coarse)))
    return Hashes(bits, np.rint(127 * coarse / length[:, None]).astype(np.int8))


def _cosines(size: int, offset: int) -> npt.NDArray[np.float64]:
    """Return the first cosines of the transform [SIDE, size], as whole numbers up to 127."""
    places = 2 * (np.arange(size) - offset) + 1
    made: npt.NDArray[np.float64] = np.rint(127 * np.cos(np.pi * np.arange(SIDE)[:, None] * places / (2 * size)))
    return made
