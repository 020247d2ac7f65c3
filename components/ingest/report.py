"""The page that shows what is in the data set: the answer in words, then the images, then numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.dataset import Split
from components.artifacts.words import count
from components.ingest.answer import answer

EXAMPLES = 14  # of each class, if the images are small
WIDTH = 812  # of a row of them, in CSS pixels
CLASSES = 30  # shown with examples
NAMED = 24  # classes up to which each name fits below its bars

Images = npt.NDArray[np.uint8]


def write_report(
    path: Path,
    source: str,
    splits: Mapping[str, Split],
    statistics: Mapping[str, Any],
    class_names: Sequence[str],
) -> None:
    """Write the page; `statistics` are those of `describe`, and there is a name for each class."""
    by_split, shape = statistics["splits"], splits["train"][0].shape[1:]
    facts = [(f"{name} images", f"{split['count']:,}") for name, split in by_split.items()]
    facts += [
        ("classes", str(len(class_names))),
        ("pixels", "×".join(map(str, shape))),
        ("training mean ± sd", f"{by_split['train']['pixel_mean']:.4f} ± {_sd(by_split['train']):.4f}"),
    ]
    cut = f" The first {CLASSES} of {len(class_names)} classes." if len(class_names) > CLASSES else ""
    sections = [
        page.Section(
            "A look at it", "The first training images of each class." + cut,
            _examples(splits["train"].images, splits["train"].labels, class_names), wide=True,
        ),
        page.Section(
            "Classes", "The share of each class in each split; a good split keeps them alike.",
            _class_chart(by_split, class_names),
        ),
        page.Section(
            "Pixels", "How often each value from black (0) to white (255) occurs in the training images; the scale is "
            "logarithmic.",
            _pixel_chart(by_split["train"]),
        ),
        page.Section(
            "Splits", "Pixels are in 0 to 1. Repeated: images equal to an earlier one of the same split. Shared: "
            "different images that two splits have; any in test makes its verdict too kind.",
            _splits(by_split) + _shared(statistics["across"]),
        ),
    ]  # fmt: skip
    page.write(path, f"Data set: {source}", answer(statistics, class_names, shape), facts, sections)


def _sd(split: Mapping[str, Any]) -> float:
    return float(split["pixel_standard_deviation"])


def _splits(by_split: Mapping[str, Any]) -> Markup:
    rows = [
        (name, f"{split['count']:,}", f"{split['pixel_mean']:.4f}", f"{_sd(split):.4f}", f"{split['repeated']:,}")
        for name, split in by_split.items()
    ]
    return page.table("Splits", ("split", "images", "mean", "sd", "repeated"), rows)


def _shared(across: Mapping[str, int]) -> Markup:
    return page.table("Shared images", ("splits", "shared"), [(pair, f"{shared:,}") for pair, shared in across.items()])


def _examples(images: Images, labels: npt.NDArray[np.uint8], class_names: Sequence[str]) -> Markup:
    """Return a row of images for each class that has any."""
    scale = max(1, 56 // images.shape[2])
    most = max(2, min(EXAMPLES, WIDTH // (scale * (images.shape[2] + 1))))
    rows = []
    for label, name in list(enumerate(class_names))[:CLASSES]:
        found = images[labels == label][:most]
        if not len(found):
            rows.append((name, Markup("none")))
            continue
        sheet = page.contact_sheet(found, most)
        rows.append((name, page.picture(sheet, f"{count(len(found), 'image')} of class {name}", scale)))
    return page.rows(rows)


def _class_chart(by_split: Mapping[str, Any], class_names: Sequence[str]) -> Markup:
    figure, axes = page.figure()
    width = 0.8 / len(by_split)
    positions = np.arange(len(class_names))
    for index, (name, split) in enumerate(by_split.items()):
        shares = 100 * np.array(split["class_counts"]) / split["count"]
        axes.bar(positions + (index - (len(by_split) - 1) / 2) * width, shares, width, label=name)
    places = range(0, len(class_names), -(-len(class_names) // NAMED))
    texts = [page.labels(class_names)[i] for i in places]
    upright = len(places) > 12 or max(map(len, texts)) > 2
    axes.set_xticks(places, texts, rotation=90 if upright else 0)
    axes.set_ylabel("share of the split, %")
    figure.legend(loc="outside upper center", ncols=len(by_split))
    train = by_split["train"]["class_counts"]
    return page.svg(
        figure, f"Bar chart of the share of {len(class_names)} classes in each split; in training the least frequent "
        f"has {min(train):,} images and the most frequent {max(train):,}",
    )  # fmt: skip


def _pixel_chart(split: Mapping[str, Any]) -> Markup:
    figure, axes = page.figure()
    histogram = np.array(split["pixel_histogram"])
    axes.stairs(histogram, np.arange(257), fill=True)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)
    axes.set_xlabel("pixel value")
    axes.set_ylabel("pixels")
    black, white = (100 * histogram[value] / histogram.sum() for value in (0, 255))
    return page.svg(
        figure, f"Histogram of the pixel values of the training images: {black:.0f} % are 0 and {white:.0f} % are 255"
    )  # fmt: skip
