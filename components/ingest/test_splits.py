# mypy: allow-untyped-defs, allow-untyped-calls
"""Splits that are made: their size, the classes in them, and what stays together."""

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.splits import complete, pick, together


def made(labels, *, splits=None, groups=None, validation=0, test=0, seed=0):
    labels = np.array(labels)
    units = together(range(len(labels)), groups)
    return complete(splits or [""] * len(labels), labels, units, validation, test, seed)


def counts(names, labels, classes):
    labels = np.array(labels)
    return {name: np.bincount(labels[names == name], minlength=classes).tolist() for name in np.unique(names)}


def test_each_class_has_its_share_to_an_image():
    labels = [0] * 840 + [1] * 84 + [2] * 42 + [3] * 7
    assert counts(made(labels), labels, 4) == {
        "train": [660, 66, 33, 6],  # 973 // 7 = 139 of all for the test, and 834 // 12 = 69 of the rest
        "validation": [60, 6, 3, 0],
        "test": [120, 12, 6, 1],
    }


def test_the_seed_decides_which():
    labels = [0, 1] * 50
    first, again, other = made(labels), made(labels), made(labels, seed=1)
    assert (first == again).all()
    assert (first != other).any()
    assert counts(first, labels, 2) == counts(other, labels, 2)


def test_what_the_source_says_is_kept():
    labels = [0, 1] * 12
    names = made(labels, splits=["train"] * 20 + ["test"] * 4, validation=4)
    assert counts(names, labels, 2) == {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}
    assert (names[20:] == "test").all()
    names = made(labels, splits=["train"] * 18 + ["validation"] * 6)
    assert counts(names, labels, 2) == {"train": [8, 8], "validation": [3, 3], "test": [1, 1]}


def test_no_group_is_parted_and_sizes_are_about_right():
    random = np.random.default_rng(3)
    writers = random.integers(0, 60, 1000)
    labels = random.integers(0, 10, 1000)
    names = made(labels, groups=writers.tolist())
    assert all(len(set(names[writers == writer])) == 1 for writer in range(60))
    assert {name: int((names == name).sum()) for name in np.unique(names)} == {
        "train": 779,
        "validation": 78,
        "test": 143,
    }


def test_what_is_equal_or_of_one_group_is_together_also_by_way_of_others():
    assert together("aabcd", "12232") == [0, 0, 0, 3, 0]
    assert together("abc", None) == [0, 1, 2]


def test_whole_units_only():
    chosen = pick(np.array([0, 0, 0, 0, 1, 1]), [0, 0, 0, 0, 4, 4], 3, np.random.default_rng(0))
    assert chosen.tolist() in ([True] * 4 + [False] * 2, [False] * 4 + [True] * 2, [False] * 6, [True] * 6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"splits": ["test"] * 4}, "the source has no images to train on, only some to validate or test with"),
        ({"splits": ["", "train", "train", "test"]}, "1 images are in no split, but 2 are in train"),
        ({"splits": ["train", "train", "test", "test"], "test": 1},
         "test_size: the source has 2 images for that already; leave it at 0, or give a source without them"),
        ({"test": 4}, "test_size: 4 leaves nothing of the 4 training images"),
        ({"test": 1, "validation": 3}, "validation_size: 3 leaves nothing of the 3 training images"),
        ({"groups": "aaaa"}, "test_size: 1 of 4 images cannot be set apart without parting what belongs together"),
    ],
)  # fmt: skip
def test_what_cannot_be_parted(given, message):
    with pytest.raises(BadInput) as error:
        made([0, 0, 1, 1], **given)
    assert message in str(error.value)
