# mypy: allow-untyped-defs, allow-untyped-calls
"""From batches to one set, and from labels of any kind to numbers from 0 on."""

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.component import IngestParameters
from components.ingest.forms import Batch
from components.ingest.gather import classes_of, gather
from components.ingest.pixels import Shaper

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)


def gathered(tmp_path, *batches):
    return gather(iter(batches), Shaper(IngestParameters()), tmp_path / "images")


def batch(labels, first=0, **more):
    images = IMAGES[first : first + len(labels)]
    return Batch(images, labels, [f"file {first + i}" for i in range(len(images))], **more)


def test_batches_become_one_set(tmp_path):
    found = gathered(
        tmp_path,
        batch(np.array([1, 0], np.uint8), split="train", groups=["ann", "bob"], weights=[1.0, 0.5]),
        batch([1, 1], 2, split="test", groups=["cy", "cy"], weights=[2, 2]),
    )
    assert (found.labels, found.shape) == ([1, 0, 1, 1], (2, 2))
    assert found.splits == ["train", "train", "test", "test"]
    assert (found.groups, found.weights) == (["ann", "bob", "cy", "cy"], [1.0, 0.5, 2, 2])
    assert found.origins == ["file 0", "file 1", "file 2", "file 3"]
    assert [part.tolist() for part in found.images(np.array([3, 0]))] == [IMAGES[[3, 0]].tolist()]


def test_no_images_at_all(tmp_path):
    with pytest.raises(BadInput, match="the source has no images"):
        gathered(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"weights": [1, 1]}, {}, "file 2: the image has no weight, but those before it have one; give one to all"),
        ({}, {"groups": ["a", "a"]}, "file 2: the image has a group, but those before it have none"),
        (
            {"class_names": ["a", "b"]},
            {"class_names": ["b", "a"]},
            "file 2: its classes are b, a, but before they were a, b",
        ),
        ({"weights": [1, float("nan")]}, {}, "file 1: the weight is nan; expected a number from 0 on"),
        ({"weights": [-1, 1]}, {}, "file 0: the weight is -1; expected a number from 0 on"),
    ],
)
def test_what_some_have_and_others_not(tmp_path, first, second, message):
    with pytest.raises(BadInput) as error:
        gathered(tmp_path, batch([0, 1], **first), batch([0, 1], 2, **second))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("labels", "given", "numbers", "names"),
    [
        ([0, 2, 1], {}, [0, 2, 1], ["0", "1", "2"]),
        ([1, 2, 1], {"first": 1}, [0, 1, 0], ["1", "2"]),
        ([0, 1, 0], {"classes": 3}, [0, 1, 0], ["0", "1", "2"]),
        ([0, 1, 0], {"names": "cat, dog"}, [0, 1, 0], ["cat", "dog"]),
        (["dog", "cat", "dog"], {}, [1, 0, 1], ["cat", "dog"]),
        (["10", "9", "1"], {}, [2, 1, 0], ["1", "9", "10"]),
        (["dog", "cat", "dog"], {"names": "dog,cat"}, [0, 1, 0], ["dog", "cat"]),
        (["dog", "cat", "dog"], {"names": "dog,cat,owl"}, [0, 1, 0], ["dog", "cat", "owl"]),
    ],
)
def test_labels_become_numbers_from_0_on(tmp_path, labels, given, numbers, names):
    found = gathered(tmp_path, batch(labels))
    made, known = classes_of(found, **({"classes": 0, "names": "", "first": 0} | given))
    assert (made.tolist(), known) == (numbers, names)


def test_names_that_the_source_has(tmp_path):
    found = gathered(tmp_path, batch([0, 1, 1], class_names=["cat", "dog", "owl"]))
    assert classes_of(found, 0, "", 0)[1] == ["cat", "dog", "owl"]
    assert classes_of(found, 4, "", 0)[1] == ["cat", "dog", "owl", "3"]


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        ([1, 2, 3], {}, "set `first_label` to 1, or, if those before it only have no images here, `classes` to 4"),
        ([1, 2, 3], {"classes": 3}, "labels go from 1 to 3, and none is 0: set `first_label` to 1"),
        ([0, 1, 5], {"classes": 3}, "file 2: label 5 is out of range: with 3 classes labels are 0 to 2; set `classes`"),
        ([0, 1, 5], {"first": 1}, "file 0: label 0 is less than first_label, 1"),
        ([0, 0, 0], {}, "there are 1 classes, but they must be 2 to 256: see `label_field`, or set `classes`"),
        ([0, 1, 300], {}, "there are 301 classes, but they must be 2 to 256"),
        ([0, 1, 2], {"names": "a,b"}, "file 2: label 2 is out of range: with 2 classes labels are 0 to 1"),
        ([0, 1, 2], {"names": "a,b", "classes": 3}, "class_names: there are 2 names, but 3 classes"),
        ([0, 1, 1], {"names": "a,a"}, "class_names: 'a,a' has a name twice"),
        (["cat", "owl", "cat"], {"names": "cat,dog"}, "file 1: label 'owl' is none of `class_names`, cat, dog"),
        (["cat", "owl", "cat"], {"first": 1}, "first_label: 1, but the labels are texts, which have no first one"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit(tmp_path, labels, given, message):
    found = gathered(tmp_path, batch(labels))
    with pytest.raises(BadInput) as error:
        classes_of(found, **({"classes": 0, "names": "", "first": 0} | given))
    assert message in str(error.value)
