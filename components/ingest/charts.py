"""The figures of the page: classes, pixels, and how bright images are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page

NAMED = 24  # classes up to which each name fits below its bars


def classes(counts: Mapping[str, tuple[Sequence[int], int]], class_names: Sequence[str]) -> Markup:
    """Draw the shares of the classes: of each set of images the number of each class, and of all."""
    figure, axes = page.figure()
    width = 0.8 / len(counts)
    positions = np.arange(len(class_names))
    for index, (name, (numbers, total)) in enumerate(counts.items()):
        shares = 100 * np.array(numbers) / total
        axes.bar(positions + (index - (len(counts) - 1) / 2) * width, shares, width, label=name)
    places = range(0, len(class_names), -(-len(class_names) // NAMED))
    texts = [page.labels(class_names)[i] for i in places]
    upright = len(places) > 12 or max(map(len, texts)) > 2
    axes.set_xticks(places, texts, rotation=90 if upright else 0)
    axes.set_ylabel("share, %")
    figure.legend(loc="outside upper center", ncols=len(counts))
    first, (numbers, _) = next(iter(counts.items()))
    return page.svg(
        figure, f"Bar chart of the share of {len(class_names)} classes in {', '.join(counts)}; in {first} the least "
        f"frequent has {min(numbers):,} images and the most frequent {max(numbers):,}",
    )  # fmt: skip


def pixels(split: Mapping[str, Any]) -> Markup:
    """Draw how often each value occurs."""
    figure, axes = page.figure()
    histogram = np.array(split["pixel_histogram"])
    axes.stairs(histogram, np.arange(257), fill=True)
    axes.set_yscale("log")
    axes.set_ylim(0.8, 3 * histogram.max())  # the uppermost label needs room
    axes.set_xlabel("pixel value")
    axes.set_ylabel("pixels")
    black, white = (100 * histogram[value] / histogram.sum() for value in (0, 255))
    return page.svg(
        figure, f"Histogram of the pixel values of the training images: {black:.0f} % are 0 and {white:.0f} % are 255"
    )  # fmt: skip


def brightness(now: npt.NDArray[np.float64], before: npt.NDArray[np.float64]) -> Markup:
    """Draw the distributions of the mean value of images."""
    figure, axes = page.figure(height=2.4)
    edges = np.linspace(min(now.min(), before.min()), max(now.max(), before.max()) + 1e-9, 41)
    for values, name in ((now, "this data set"), (before, "reference")):
        axes.stairs(100 * np.histogram(values, edges)[0] / len(values), edges / 255, label=name, linewidth=1.5)
    axes.set_xlabel("mean of an image's pixels, 0 to 1")
    axes.set_ylabel("share, %")
    figure.legend(loc="outside upper center", ncols=2)
    return page.svg(
        figure, f"How bright the training images are: {now.mean() / 255:.3f} on average, and {before.mean() / 255:.3f} "
        "in the reference",
    )  # fmt: skip
