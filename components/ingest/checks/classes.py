"""Rules that look at how many images each class has."""

from collections.abc import Iterator

import numpy as np

from components.artifacts.findings import Rule
from components.artifacts.words import classes, count, percent
from components.ingest.validation import Data, Evidence

RARE = 10  # times fewer images than the most frequent class has
UNLIKE = 0.1  # share of the images that would have to change class to make two splits alike
ENOUGH = 20  # images a class on average, below which two splits differ that much by chance
SEVERAL = 5  # images that a class has, from which it is odd that all are equal


def missing(data: Data) -> Iterator[Evidence]:
    """Find classes that have no image to learn from, or none to be judged by."""
    for split, word, consequence in (("train", "training", "never learned"), ("test", "test", "never judged")):
        absent = [data.class_names[i] for i, number in enumerate(data.looks[split].class_counts) if not number]
        if absent:
            which, have, are = classes(absent)
            yield Evidence(
                f"{which[0].upper()}{which[1:]} {have} no {word} image, and so {are} {consequence}.",
                {"classes": len(absent)},
            )


def rare(data: Data) -> Iterator[Evidence]:
    """Find classes with far fewer training images than another."""
    counts = data.looks["train"].class_counts.tolist()
    few = {data.class_names[i]: number for i, number in enumerate(counts) if 0 < number * RARE < max(counts)}
    if few:
        which, _, are = classes(list(few))
        yield Evidence(
            f"{which[0].upper()}{which[1:]} {are} rare: as few as {count(min(few.values()), 'training image')}, where "
            f"the most frequent class has {max(counts):,}.",
            {"classes": len(few), "fewest": min(few.values()), "most": max(counts)},
        )


def shares(data: Data) -> Iterator[Evidence]:
    """Find a test split whose classes are shared out otherwise: by the total variation distance of the shares."""
    train, test = data.looks["train"], data.looks["test"]
    if min(len(train), len(test)) < ENOUGH * len(data.class_names):
        return
    these, those = train.class_counts.tolist(), test.class_counts.tolist()
    differing = sum(abs(a * len(test) - b * len(train)) for a, b in zip(these, those, strict=True))
    distance = differing / (2 * len(train) * len(test))
    if distance > UNLIKE:
        yield Evidence(
            f"The classes are shared out otherwise in test than in training: {percent(distance)} of its images would "
            "have to change.",
            {"share": distance},
        )


def one_image(data: Data) -> Iterator[Evidence]:
    """Find classes whose images are all the same one."""
    look = data.looks["train"]
    for label, name in enumerate(data.class_names):
        chosen = np.flatnonzero(look.labels == label)
        if len(chosen) >= SEVERAL and (look.digests[chosen] == look.digests[chosen[0]]).all():
            yield Evidence(
                f"All {len(chosen):,} training images of class {name} are the same image.",
                {"images": len(chosen)},
                data.at("train", chosen[:2]),
            )


RULES = (
    Rule("missing-class", "warning", "images of each class in train and test",
         "Add images of every class, or set `classes` to their number.", missing),
    Rule("one-image-class", "warning", "whether the images of a class differ",
         "Check how the images of that class were made: what is learned is that one image.", one_image),
    Rule("rare-class", "warning", "images of each class in train",
         "Set `class_weight` to balanced, and judge by `min_recall`; more images of it are better.", rare),
    Rule("class-shares", "warning", "shares of the classes in test against train",
         "Draw both splits from the same images, unless the difference is meant.", shares),
)  # fmt: skip
