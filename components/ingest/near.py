"""Pairs of images that are nearly the same: recompressed, brightened, noisy, or moved by a pixel.

Images of like hashes are candidates: all hashes are sorted, once for each of sixteen rotations of their bits, and each
is compared with the few that follow it. So the work grows with the number of images, not with its square. Candidates
are then compared pixel by pixel, as the same shape may have the same hash.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.artifacts import dataset as datasets
from components.ingest.hashes import Hashes, hashes
from components.ingest.look import THUMBNAIL, grey, small

ALIKE = 0.99  # the correlation of two images from which they are nearly the same
CANDIDATE = 0.988  # that of their lowest frequencies
BITS = 8  # by which two hashes may differ
FOLLOWERS = 4  # that each hash is compared with, in each order
STEP = 4  # bits between two rotations
MOST = 40_000  # pairs that are compared pixel by pixel, the likest first
PLAIN = 6.0  # standard deviation of the values of an image, below which there is nothing to compare
WHITEST = 127  # white, in 7 bits
GLARE = 0.2  # of an image that is white, from which what is not white has to be alike as well
REST_ALIKE = 0.97  # how much, then
MOVED = 1  # pixels by which one of them may be moved

SAMPLE = 512  # images of a class among which neighbours are looked for
ASKED = 64  # images of a class whose neighbours are
AT_ONCE = 2048  # pairs that are compared

Pairs = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Near:
    """Pairs of near-duplicates, int64 [n, 2], numbered through all splits, and how many candidates were left out."""

    pairs: Pairs
    left_out: int


def near_duplicates(
    images: Sequence[datasets.Images], labels: npt.NDArray[np.uint8], kept: npt.NDArray[np.bool_]
) -> Near:
    """Find pairs among the images of all splits, in turn, that are `kept`; labels and `kept` are of all of them."""
    chosen = np.flatnonzero(kept)
    if len(chosen) < 2:
        return Near(np.zeros((0, 2), np.int64), 0)
    both = [hashes(each) for each in images]
    codes, likest = [], []
    for kind in (0, 1):
        bits = np.concatenate([each[kind].bits for each in both])[chosen]
        frequencies = np.concatenate([each[kind].frequencies for each in both])[chosen]
        pairs, products = _candidates(Hashes(bits, frequencies))
        codes.append(pairs[:, 0] * len(chosen) + pairs[:, 1])
        likest.append(products)
    pairs = chosen[_likest(np.concatenate(codes), np.concatenate(likest), len(chosen))]
    left_out = max(0, len(pairs) - MOST)
    pairs = pairs[:MOST]
    all_of_them = _All(images, np.cumsum([0, *map(len, images)]))
    needed = _needed(all_of_them, labels, chosen)
    nearly = np.zeros(len(pairs), bool)
    for number, some in enumerate(_some(pairs)):
        nearly[number * AT_ONCE :][: len(some)] = _likeness(some, all_of_them) >= needed[labels[some[:, 0]]]
    found = pairs[nearly]
    return Near(found[np.lexsort((found[:, 1], found[:, 0]))], left_out)


def _likest(codes: npt.NDArray[np.int64], products: npt.NDArray[np.int64], count: int) -> Pairs:
    """Return each pair once, those whose frequencies are the likest first."""
    order = np.lexsort((codes, -products))
    _, first = np.unique(codes[order], return_index=True)
    chosen = codes[order][np.sort(first)]
    return np.stack([chosen // count, chosen % count], axis=1)


def _candidates(hashed: Hashes) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Return pairs of like hashes [n, 2], the first below the second, and how like their frequencies are."""
    bits, found = hashed.bits, []
    for turn in range(0, 64, STEP):
        turned = (bits << np.uint64(turn)) | (bits >> np.uint64(64 - turn)) if turn else bits
        order = np.argsort(turned, kind="stable")
        ordered = bits[order]
        for distance in range(1, min(FOLLOWERS, len(bits) - 1) + 1):
            like = np.flatnonzero(np.bitwise_count(ordered[distance:] ^ ordered[:-distance]) <= BITS)
            found.append(np.stack([order[like], order[like + distance]], axis=1))
    pairs = _different(np.sort(np.concatenate(found), axis=1), len(bits))
    frequencies = hashed.frequencies.astype(np.float32)  # whole numbers of length 127
    products = np.concatenate(
        [
            np.zeros(0, np.float32),
            *(np.vecdot(frequencies[some[:, 0]], frequencies[some[:, 1]]) for some in _some(pairs)),
        ]
    ).astype(np.int64)
    enough = products >= CANDIDATE * 127**2
    return pairs[enough], products[enough]


def _different(pairs: Pairs, count: int) -> Pairs:
    """Return each pair once, in order."""
    codes = np.sort(pairs[:, 0] * count + pairs[:, 1])  # far faster than `np.unique`
    codes = codes[np.diff(codes, prepend=-1) != 0]
    return np.stack([codes // count, codes % count], axis=1)


def _some(pairs: Pairs) -> Iterator[Pairs]:
    for start in range(0, len(pairs), AT_ONCE):
        yield pairs[start : start + AT_ONCE]


class _All(NamedTuple):
    """The images of all splits, and the number of the first of each split."""

    images: Sequence[datasets.Images]
    starts: npt.NDArray[np.int64]

    def thumbnails(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return grey thumbnails [n, h, w] of 7 bits: no sum over one is more than a float32 holds exactly."""
        splits = np.searchsorted(self.starts, numbers, side="right") - 1
        made = np.empty((len(numbers), *grey(small(self.images[0][:1], THUMBNAIL)).shape[1:]), np.float32)
        for split in np.unique(splits):
            there = np.flatnonzero(splits == split)
            size = int(np.prod(self.images[split].shape[1:]))
            for some in np.array_split(there, -(-len(there) * size // 2**22)):
                images = self.images[split][numbers[some] - self.starts[split]]
                made[some] = grey(small(images, THUMBNAIL)) >> 1
        return made


def _needed(all_of_them: _All, labels: npt.NDArray[np.uint8], chosen: npt.NDArray[np.int64]) -> Numbers:
    """Return the correlation that two images of each class need to be nearly the same.

    Where different images of a class are all alike, as trousers are, it is more than `ALIKE`: the distance is to be a
    quarter of that to the third nearest of a few hundred images, which is hardly ever a duplicate as well.
    """
    needed = np.full(int(labels.max()) + 1, ALIKE)
    for label in np.unique(labels[chosen]):
        members = chosen[labels[chosen] == label]
        sample = members[:: -(-len(members) // SAMPLE)]
        if len(sample) < 8:
            continue
        values = all_of_them.thumbnails(sample).reshape(len(sample), -1)
        usual = np.sort(correlations(values[:: -(-len(sample) // ASKED)], values), axis=1)[:, -4]  # the last is itself
        needed[label] = max(ALIKE, 1 - (1 - float(np.median(usual))) / 4)
    return needed


def correlations(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> Numbers:
    """Return the correlation of each row with each of the other, 0 for plain ones; the rows are whole numbers."""
    size = first.shape[1]
    sums = [rows.sum(axis=1).astype(np.float64) for rows in (first, second)]
    squares = [np.vecdot(rows, rows).astype(np.float64) for rows in (first, second)]
    one, other = (square * size - total**2 for square, total in zip(squares, sums, strict=True))
    product = (first @ second.T).astype(np.float64) * size - np.outer(*sums)
    plain = np.minimum.outer(one, other) < (PLAIN / 2 * size) ** 2
    made: Numbers = np.where(plain, 0, product / np.sqrt(np.maximum(1, np.outer(one, other))))
    return made


def _likeness(pairs: Pairs, all_of_them: _All) -> Numbers:
    """Return the correlation of each pair at the best of the places to which the second may have moved."""
    first, second = (all_of_them.thumbnails(pairs[:, side]) for side in (0, 1))
    height, width = first.shape[1:]
    margin = MOVED if min(height, width) > 8 * MOVED else 0
    best = np.zeros(len(pairs))
    inner = first[:, margin : height - margin, margin : width - margin].reshape(len(pairs), -1)
    for down in range(2 * margin + 1):
        for right in range(2 * margin + 1):
            moved = second[:, down : down + height - 2 * margin, right : right + width - 2 * margin]
            moved = moved.reshape(len(pairs), -1)
            like = _correlation(inner, moved)
            glaring = np.flatnonzero((like >= ALIKE) & ((inner == WHITEST).mean(axis=1) > GLARE))
            like[glaring] *= _without_white(inner[glaring], moved[glaring]) >= REST_ALIKE
            best = np.maximum(best, like)
    return best


def _without_white(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> Numbers:
    """Return the correlations of what is not white in both rows, so that the same glare makes no two images alike."""
    kept = ~((first == WHITEST) & (second == WHITEST))
    counts = np.maximum(1, kept.sum(axis=1, keepdims=True))
    one, other = (
        np.where(kept, each - (each * kept).sum(axis=1, keepdims=True) / counts, 0) for each in (first, second)
    )
    made: Numbers = np.vecdot(one, other) / np.sqrt(np.maximum(1, np.vecdot(one, one) * np.vecdot(other, other)))
    return made


def _correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the correlation of each row with that of the other, 0 for plain ones; the rows are whole numbers."""
    size = first.shape[1]
    one, other = (each.sum(axis=1).astype(np.float64) for each in (first, second))
    product, first_square, second_square = (
        np.vecdot(these, those).astype(np.float64) * size
        for these, those in ((first, second), (first, first), (second, second))
    )
    variances = first_square - one**2, second_square - other**2
    plain = np.minimum(*variances) < (PLAIN / 2 * size) ** 2
    made: npt.NDArray[np.float64] = np.where(
        plain, 0, (product - one * other) / np.sqrt(np.maximum(1, variances[0] * variances[1]))
    )
    return made
