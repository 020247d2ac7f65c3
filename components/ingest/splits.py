"""The splits that a source does not have: made by seed, with the classes' shares kept and nothing parted that belongs
together: images of one group, and images that are equal.
"""  # noqa: D205 - one sentence

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput

Ints = npt.NDArray[np.int64]


def complete(  # noqa: PLR0913 - a value for each image, and how they are parted
    splits: Sequence[str], labels: Ints, units: Sequence[int], validation_size: int, test_size: int, seed: int
) -> npt.NDArray[np.str_]:
    """Return the split of each image, where `splits` has those that the source says, or empty texts.

    `units` are numbers: images with the same one stay together. Raises `BadInput` if nothing would be left.
    """
    found = np.array(splits, "U10")
    there = {name: int((found == name).sum()) for name in ("", "train", "validation", "test")}
    if there[""]:
        if there["train"]:
            raise BadInput(
                f"{there['']:,} images are in no split, but {there['train']:,} are in train; name the split of all"
            )
        found[found == ""] = "train"
    if not (found == "train").any():
        raise BadInput("the source has no images to train on, only some to validate or test with")
    for name, wanted, share in (("test", test_size, 7), ("validation", validation_size, 12)):
        if there[name]:
            if wanted:
                raise BadInput(
                    f"{name}_size: the source has {there[name]:,} images for that already; leave it at 0, or "
                    "give a source without them"
                )
            continue
        pool = np.flatnonzero(found == "train")
        size = wanted or max(1, len(pool) // share)
        if size >= len(pool):
            raise BadInput(f"{name}_size: {size} leaves nothing of the {len(pool)} training images")
        chosen = pick(labels[pool], [units[i] for i in pool.tolist()], size, np.random.default_rng(seed))
        if not chosen.any() or chosen.all():
            raise BadInput(
                f"{name}_size: {size} of {len(pool)} images cannot be set apart without parting what belongs together "
                "(images of a group, and images that are equal)"
            )
        found[pool[chosen]] = name
    return found


def pick(labels: Ints, units: Sequence[int], size: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which images to set apart: about `size` of them, as many of each class as its share, whole units only.

    Units come in a random order; one is taken if what is taken is then nearer to what is wanted of each class.
    """
    missing = _shares(np.bincount(labels), size)
    members: dict[int, list[int]] = {}
    for image, unit in enumerate(units):
        members.setdefault(unit, []).append(image)
    numbered = list(members.values())
    chosen = np.zeros(len(labels), bool)
    for index in random.permutation(len(numbered)).tolist():
        counts = Counter(labels[numbered[index]].tolist())
        if sum(abs(missing[c]) - abs(missing[c] - n) for c, n in counts.items()) > 0:
            chosen[numbered[index]] = True
            for label, number in counts.items():
                missing[label] -= number
    return chosen


def _shares(counts: Ints, size: int) -> list[int]:
    """Return how many of each class make up `size`: its share in whole numbers, the rest by remainder."""
    exact = [int(count) * size for count in counts]
    total = int(counts.sum())
    shares = [each // total for each in exact]
    order = sorted(range(len(exact)), key=lambda i: (-(exact[i] % total), i))
    for i in order[: size - sum(shares)]:
        shares[i] += 1
    return shares


def together(*keys: Sequence[object] | None) -> list[int]:
    """Return a number for each image, the same for those that any of the keys has in common, also by way of others."""
    count = len(next(each for each in keys if each is not None))
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for key in keys:
        first: dict[object, int] = {}
        for i, value in enumerate(key or ()):
            parent[root(i)] = root(first.setdefault(value, i))
    return [root(i) for i in range(count)]
