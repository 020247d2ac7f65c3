"""What a data set is fit for, in words: the answer that the report begins with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.artifacts.page import Answer
from components.artifacts.words import classes, count, percent

MANY = 0.01  # a share of images, repeated or leaked, that is worth a warning
RARE = 10  # times fewer images than the most frequent class has
SHIFTED = 0.5  # standard deviations between the mean pixels of two splits
UNLIKE = 0.1  # share of the images that would have to change class to make two splits alike
ENOUGH = 20  # images a class on average, below which two splits differ that much by chance

Statistics = Mapping[str, Any]


@dataclass(frozen=True)
class Oddity:
    """What is odd, as the rest of a sentence, and what to do about it."""

    what: str
    advice: str


def answer(statistics: Statistics, class_names: Sequence[str], shape: Sequence[int]) -> Answer:
    """Say whether the data set is sound, what is in it, and what to do; `statistics` are those of `describe`."""
    splits = statistics["splits"]
    train, validation, test = (splits[name]["count"] for name in ("train", "validation", "test"))
    contents = (
        f"{count(train, 'image')} to train on, {validation:,} to validate with and {test:,} to test with, of "
        f"{'×'.join(map(str, shape))} pixels, in {count(len(class_names), 'class', 'classes')}."
    )
    odd = [*_pixels(splits), *_absent(splits, class_names), *_leaks(statistics), *_shares(splits, class_names),
           *_repeated(splits)]  # fmt: skip
    if not odd:
        why = [contents, "Looked at: classes, pixels, repeated images, and images that two splits share."]
        if any(statistics["across"].values()) or any(split["repeated"] for split in splits.values()):
            why.append(
                f"Some images are repeated or shared, less than {100 * MANY:.0f} % of a split: see the tables below."
            )
        headline = f"Sound: nothing odd in {count(train + validation + test, 'image')}."
        return Answer("good", headline, why, ["Nothing needs doing: train."])
    first, *others = (each.what for each in odd)
    why = [contents, *(what[0].upper() + what[1:] for what in others)]
    return Answer(
        "warning", f"Look at this before training: {first}", why, list(dict.fromkeys(each.advice for each in odd))
    )


def _pixels(splits: Statistics) -> Iterator[Oddity]:
    train = splits["train"]
    if not train["pixel_standard_deviation"]:
        yield Oddity("all pixels of the training images are equal.", "Check the file of the training images.")
        return
    for name in ("validation", "test"):
        distance = (splits[name]["pixel_mean"] - train["pixel_mean"]) / train["pixel_standard_deviation"]
        if abs(distance) > SHIFTED:
            than = "brighter" if distance > 0 else "darker"
            yield Oddity(
                f"the {name} images are {than} than the training images: {splits[name]['pixel_mean']:.2f} on average "
                f"instead of {train['pixel_mean']:.2f}.",
                "Check whether one of the files is inverted, or scaled otherwise.",
            )


def _absent(splits: Statistics, class_names: Sequence[str]) -> Iterator[Oddity]:
    for split, word, consequence in (("train", "training", "never learned"), ("test", "test", "never judged")):
        absent = [class_names[i] for i, number in enumerate(splits[split]["class_counts"]) if not number]
        if absent:
            which, have, are = classes(absent)
            yield Oddity(
                f"{which} {have} no {word} image, and so {are} {consequence}.",
                "Add images of every class, or set `classes` to their number.",
            )


def _shares(splits: Statistics, class_names: Sequence[str]) -> Iterator[Oddity]:
    counts = splits["train"]["class_counts"]
    most = max(counts)
    if rare := {class_names[i]: number for i, number in enumerate(counts) if 0 < number * RARE < most}:
        which, _, are = classes(list(rare))
        yield Oddity(
            f"{which} {are} rare: as few as {count(min(rare.values()), 'training image')}, where the most frequent "
            f"class has {most:,}.",
            "Set `class_weight` to balanced, and judge by `min_recall`.",
        )
    distance = _distance(counts, splits["test"]["class_counts"])
    if distance > UNLIKE and all(splits[name]["count"] >= ENOUGH * len(class_names) for name in ("train", "test")):
        yield Oddity(
            f"the classes are shared out otherwise in test than in training: {percent(distance)} of its images would "
            "have to change.",
            "Draw both splits from the same images, unless the difference is meant.",
        )


def _distance(these: Sequence[int], those: Sequence[int]) -> float:
    """Return the total variation distance of two distributions, given by counts; in whole numbers but for the last."""
    total, other = sum(these), sum(those)
    return sum(abs(a * other - b * total) for a, b in zip(these, those, strict=True)) / (2 * total * other)


def _leaks(statistics: Statistics) -> Iterator[Oddity]:
    for pair, shared in sorted(statistics["across"].items(), key=lambda each: not each[0].endswith("test")):
        first, second = pair.split(" and ")
        if shared >= MANY * statistics["splits"][second]["count"]:
            yield Oddity(
                f"{count(shared, 'different image')} of the {second} split {'is' if shared == 1 else 'are'} also in "
                f"the {first} split, which makes {'the verdict' if second == 'test' else 'the validation'} too kind.",
                "Take the shared images out of one of the splits.",
            )


def _repeated(splits: Statistics) -> Iterator[Oddity]:
    for name, split in splits.items():
        if split["repeated"] >= MANY * split["count"]:
            yield Oddity(
                f"{split['repeated']:,} of the {split['count']:,} {name} images repeat an earlier one of that split.",
                "Keep one of each, unless they are meant to weigh more.",
            )
