"""The page that shows what is in the data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page

EXAMPLES = 14  # of each class on the contact sheet


def write_report(
    path: Path,
    source: str,
    splits: Mapping[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]],
    statistics: Mapping[str, Any],
    class_names: Sequence[str],
) -> None:
    """Write the page; `statistics` are those of `describe`."""
    by_split = statistics["splits"]
    facts = [(f"{name} images", f"{split['count']:,}") for name, split in by_split.items()]
    facts += [
        ("classes", str(len(by_split["train"]["class_counts"]))),
        ("pixels", "×".join(map(str, splits["train"][0].shape[1:]))),
        ("training mean ± sd", f"{by_split['train']['pixel_mean']:.4f} ± {_sd(by_split['train']):.4f}"),
    ]
    sections = [
        page.Section(
            "A look at it", "The first training images of each class, a class a row.", _sheet(splits["train"])
        ),
        page.Section(
            "Classes", "The share of each class in each split; a good split keeps them alike.",
            _class_chart(by_split, class_names),
        ),
        page.Section(
            "Pixels", "How often each value from black (0) to white (255) occurs in the training images.",
            _pixel_chart(by_split["train"]),
        ),
        page.Section(
            "Splits", "Pixels are in 0…1. Repeated: images equal to an earlier one of the same split.",
            page.table(
                ("split", "images", "mean", "sd", "repeated"),
                [
                    (name, f"{s['count']:,}", f"{s['pixel_mean']:.4f}", f"{_sd(s):.4f}", s["repeated"])
                    for name, s in by_split.items()
                ],
            ),
        ),
        page.Section(
            "Leaks", "Different images that two splits share; any in test makes its verdict too kind.",
            page.table(("splits", "shared images"), list(statistics["across"].items())),
        ),
    ]  # fmt: skip
    page.write(path, f"Data set: {source}", facts, sections)


def _sd(split: Mapping[str, Any]) -> float:
    return float(split["pixel_standard_deviation"])


def _sheet(split: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]) -> Markup:
    images, labels = split
    blank = np.zeros((EXAMPLES, *images.shape[1:]), np.uint8)
    rows = []
    for label in np.unique(labels):
        found = images[labels == label][:EXAMPLES]
        rows.append(np.concatenate([found, blank[len(found) :]]))
    sheet = page.contact_sheet(np.concatenate(rows), EXAMPLES)
    return page.picture(sheet, f"{EXAMPLES} training images of each class", scale=max(1, 56 // images.shape[2]))


def _class_chart(by_split: Mapping[str, Any], class_names: Sequence[str]) -> Markup:
    figure, axes = page.figure(height=2.6)
    width = 0.8 / len(by_split)
    positions = np.arange(len(by_split["train"]["class_counts"]))
    for index, (name, split) in enumerate(by_split.items()):
        shares = 100 * np.array(split["class_counts"]) / split["count"]
        axes.bar(positions + (index - (len(by_split) - 1) / 2) * width, shares, width, label=name)
    axes.set_xticks(positions, class_names[: len(positions)], rotation=30 if max(map(len, class_names)) > 3 else 0)
    axes.set_ylabel("share of the split, %")
    axes.set_ylim(top=1.3 * max(max(split["class_counts"]) / split["count"] for split in by_split.values()) * 100)
    axes.legend(ncols=len(by_split), loc="upper center")
    return page.svg(figure, "Share of each class in each split")


def _pixel_chart(split: Mapping[str, Any]) -> Markup:
    figure, axes = page.figure(height=2.2)
    axes.stairs(split["pixel_histogram"], np.arange(257), fill=True)
    axes.set_yscale("log")
    axes.set_xlabel("pixel value")
    axes.set_ylabel("pixels")
    return page.svg(figure, "Histogram of the pixel values of the training images")
