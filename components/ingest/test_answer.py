# mypy: allow-untyped-defs, allow-untyped-calls
"""The answer in words, for data sets with nothing wrong, one thing wrong, and everything."""

import numpy as np

from components.artifacts.dataset import Split
from components.ingest.answer import answer
from components.ingest.validation import inspect, validate

NAMES = ["cat", "dog", "owl"]
LABELS = np.array([0, 1, 2] * 40, np.uint8)
LOOKED_AT = "Looked at: classes, pixels, and images that are equal or nearly so, within and across the splits."


def noise(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5), np.uint8)


def data(fail_on="never", **changed):
    """Return the answer for sound splits of noise, with some of them changed."""
    given = {
        "train": (noise(120, 0), LABELS), "validation": (noise(60, 1), LABELS[:60]), "test": (noise(90, 2), LABELS[:90])
    } | changed  # fmt: skip
    splits = {name: Split(*arrays) for name, arrays in given.items()}
    origins = {name: [f"{name}.npz {i}" for i in range(len(split.labels))] for name, split in splits.items()}
    made = inspect(splits, origins, NAMES)
    return answer(made, validate(made), fail_on)


def test_sound():
    said = data()
    assert (said.tone, said.headline) == ("good", "Sound: nothing odd in 270 images.")
    assert said.why == [
        "120 images to train on, 60 to validate with and 90 to test with, of 4×5 pixels, in 3 classes.",
        LOOKED_AT,
    ]
    assert said.advice == ["Nothing needs doing: train."]


def test_what_is_little_is_said_too():
    images = noise(120, 2)
    said = data(train=(np.concatenate([images[:1], noise(200, 3)]), np.resize(LABELS, 201)),
                test=(np.concatenate([images[:1], noise(200, 4)]), np.resize(LABELS, 201)))  # fmt: skip
    assert said.tone == "good"
    assert said.why[1:] == [LOOKED_AT, "What was found is little, and told below."]


def test_a_leak_into_the_test_split_comes_first():
    train, test = noise(120, 0), noise(90, 2)
    train[:12], train[12:14] = test[:12], noise(60, 1)[:2]
    said = data(train=(train, LABELS), test=(test, LABELS[:90]))
    assert said.tone == "warning"
    assert said.headline == (
        "Look at this before training: 12 different images of the test split are also in the train split, which makes "
        "the verdict too kind."
    )
    assert said.why[1] == (
        "2 different images of the validation split are also in the train split, which makes the validation too kind."
    )
    assert said.advice[0] == "Take the shared images out of one of the splits."


def test_classes_that_are_missing_or_rare():
    said = data(train=(noise(120, 0), np.array([0] * 114 + [1] * 6, np.uint8)))
    assert said.headline == "Look at this before training: class owl has no training image, and so is never learned."
    assert said.why[1:] == [
        "Class dog is rare: as few as 6 training images, where the most frequent class has 114.",
        "The classes are shared out otherwise in test than in training: 61.67 % of its images would have to change.",
    ]
    assert said.advice == [
        "Add images of every class, or set `classes` to their number.",
        "Set `class_weight` to balanced, and judge by `min_recall`; more images of it are better.",
        "Draw both splits from the same images, unless the difference is meant.",
    ]
    said = data(test=(noise(90, 2), np.zeros(90, np.uint8)))
    assert (
        said.headline
        == "Look at this before training: classes dog and owl have no test image, and so are never judged."
    )


def test_pixels_that_are_equal_or_of_another_scale():
    blank = np.full((120, 4, 5), 7, np.uint8)
    said = data(train=(blank, LABELS))
    assert (said.tone, said.headline) == ("error", "This is wrong: all pixels of the training images are equal.")
    dark = noise(120, 0) // 3
    said = data(train=(dark, LABELS), validation=(noise(60, 1) // 3, LABELS[:60]))
    assert said.headline == (
        f"Look at this before training: the test images are brighter than the training images: "
        f"{noise(90, 2).mean() / 255:.2f} on average instead of {dark.mean() / 255:.2f}."
    )
    assert said.advice == ["Check whether one of the files is scaled otherwise."]


def test_repeated_images():
    images = noise(120, 0)
    images[60:72] = images[:12]
    said = data(train=(images, LABELS))
    assert said.headline == (
        "Look at this before training: 12 of the 120 train images repeat an earlier one of that split."
    )
    assert said.advice == ["Keep one of each, unless they are meant to weigh more."]


def test_where_the_run_ends_it_is_said():
    images = noise(120, 0)
    images[60:72] = images[:12]
    said = data("warning", train=(images, LABELS))
    assert said.advice[-1] == "The run ends here, as `fail_on` is warning: the data set is not published."
    assert data("error", train=(images, LABELS)).advice == data(train=(images, LABELS)).advice
