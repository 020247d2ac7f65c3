"""The page that shows how good a model is: the answer in words, then what it mistakes, then how sure it is."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special
from markupsafe import Markup

from components.artifacts import dataset as datasets
from components.artifacts import page
from components.artifacts.words import count, percent
from components.evaluate import charts
from components.evaluate.answer import answer
from components.evaluate.component import EvaluateParameters
from components.evaluate.inside import Seen

WORST = 24  # mistakes shown as pictures
CONFUSIONS = 12  # rows of the table

Images = datasets.Images
Pixels = npt.NDArray[np.uint8]


def write_report(  # noqa: PLR0913 - all that is shown
    path: Path,
    parameters: EvaluateParameters,
    figures: Mapping[str, Any],
    images: Images,
    labels: npt.NDArray[np.int64],
    logits: npt.NDArray[np.float32],
    seen: Seen,
    dataset: Path,
) -> None:
    """Write the page; `figures` are all in metrics.json, and what was `seen` inside."""
    low, high = figures["accuracy_interval"]
    facts = [
        ("verdict", figures["verdict"]),
        ("accuracy", percent(figures["accuracy"])),
        *([("accuracy, weighted", percent(figures["weighted_accuracy"]))] if "weighted_accuracy" in figures else []),
        ("95 % interval", f"{100 * low:.2f}–{percent(high)}"),
        ("mistakes", f"{figures['mistakes']:,} of {figures['images']:,}"),
        ("loss", f"{figures['loss']:.4f}"),
        ("calibration error", f"{figures['calibration_error']:.4f}"),
        ("ROC area, micro", f"{figures['roc_auc']:.6f}"),
    ]
    names = page.labels([each["name"] for each in figures["classes"]], 24)
    matrix = np.array(figures["confusion_matrix"])
    sections = [
        page.Section(
            "Confusion matrix", "Rows: labels. Columns: predictions. Right ones are on the diagonal, without colour; "
            "mistakes are the darker, the more there are.",
            charts.confusion(matrix, names),
        ),
        *_confusions(figures, names),
        page.Section(
            "Classes", "Precision: of the predictions of a class, how many are right. Recall: of its images, how many "
            "are found. F1: the harmonic mean of both.",
            _classes(figures),
        ),
        page.Section(
            "Confidence", "A calibrated model is right as often as it says: its points are on the line. The larger a "
            "point, the more images.",
            charts.reliability(figures["calibration"]),
        ),
        page.Section(
            "ROC curve", "Of all pairs of an image and a class: how many right ones are found, by how many wrong ones "
            "are let in. The sooner it is at 1, the better.",
            charts.roc(figures["roc"]),
        ),
        page.Section(
            "Classes that pull apart", "Cosine between the mean gradients of the classes. Red: a step that helps the "
            "one hurts the other. A class without test images is blank." + _missing(seen, "cosines of the classes"),
            charts.cosines(np.array(figures["class_gradient_cosines"], np.float64), names),
        ),
        page.Section(
            "The worst mistakes", "Wrong predictions, the surest first: label → prediction, and how sure it was.",
            _mistakes(images, labels, logits, names), wide=True,
        ),
        page.Section(
            "Suspected labels", _suspicion(figures) + _missing(seen, "suspected labels"),
            _suspects(images, figures["suspected_labels"], names), wide=True,
        ),
        *_doubted(dataset, figures["labels_to_look_at"], names),
        page.Section(
            "What moves the prediction", _movement(seen), _salient(images, seen.saliency), wide=True,
        ),
    ]  # fmt: skip
    page.write(path, "Judged on the test set", answer(parameters, figures), facts, sections)


def _confusions(figures: Mapping[str, Any], names: Sequence[str]) -> list[page.Section]:
    """Return the most frequent mistakes as a table, if there are any."""
    matrix = np.array(figures["confusion_matrix"])
    mistakes = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:CONFUSIONS]
    places = [(int(row), int(column)) for row, column in zip(*np.unravel_index(order, matrix.shape), strict=True)]
    rows = [
        (f"{names[i]} → {names[j]}", f"{mistakes[i, j]:,}", f"{100 * mistakes[i, j] / matrix[i].sum():.1f} %")
        for i, j in places
        if mistakes[i, j]
    ]
    if not rows:
        return []
    return [
        page.Section(
            "What is taken for what", "The most frequent mistakes: label → prediction.",
            page.table("The most frequent mistakes", ("mistake", "images", "of the label's images"), rows),
        )
    ]  # fmt: skip


def _mistakes(
    images: Images, labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float32], names: Sequence[str]
) -> Markup:
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:WORST]
    if not len(worst):
        return Markup("<p>There are none.</p>")
    return page.pictures(
        _captioned(images, int(i), f"{names[labels[i]]} → {names[predicted[i]]}",
                   f"{100 * probabilities[i, predicted[i]]:.1f} %")
        for i in worst
    )  # fmt: skip


def _captioned(images: Images, index: int, caption: str, more: str) -> tuple[Markup, tuple[str, ...]]:
    """Return a test image, and what is said below it."""
    return page.picture(images[index], f"test image {index}: {caption}", _scale(images)), (
        caption,
        more,
        f"image {index}",
    )


def _missing(seen: Seen, what: str) -> str:
    return f" The {what} {seen.missing[what]}." if what in seen.missing else ""


def _movement(seen: Seen) -> str:
    text = "Each image, and beside it how much each pixel moves its largest logit: the brighter, the more."
    if seen.saliency and not any(pixels.any() for pixels in seen.saliency.values()):
        text += " Here none does: the model has no gradient at its pixels; it rounds them, say, or looks them up."
    return text + _missing(seen, "saliency")


def _suspicion(figures: Mapping[str, Any]) -> str:
    text = (
        "The test images with the largest gradient of their own: label → prediction, and the gradient's norm. A "
        "trained model is rarely as wrong as where the label is."
    )
    if known := figures["known_label_errors"]:
        text += (
            f" Of {count(known['known'], 'image')} that people found mislabelled (arXiv 2103.14749), "
            f"{known['among_suspects']} are among the first {len(figures['suspected_labels'])}."
        )
    return text


def _suspects(images: Images, suspects: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Markup:
    return page.pictures(
        _captioned(
            images, each["image"], f"{names[each['label']]} → {names[each['answer']]}", f"{each['gradient_norm']:.3g}"
        )
        for each in suspects[:WORST]
    )


def _doubted(dataset: Path, doubted: Mapping[str, Any], names: Sequence[str]) -> Iterator[page.Section]:
    """Yield a section for each split that was looked at, with the labels in it that the model contradicts."""
    for split, found in doubted.items():
        text = (
            f"The model contradicts {found['contradicted']:,} of the {found['images']:,} {split} images: label → "
            "answer, and by how much more probable it is. Look at them, and correct what is wrong at its source."
        )
        if split == "train":
            text += " It has learned these very labels, so that there may be more."
        images = datasets.read(dataset, split).images
        shown = (
            (
                page.picture(images[each["image"]], f"{split} image {each['image']}", _scale(images)),
                (f"{names[each['label']]} → {names[each['answer']]}", f"{100 * each['margin']:.1f} %", each["origin"]),
            )
            for each in found["first"][:WORST]
        )
        body = page.pictures(shown) if found["first"] else Markup("<p>There are none.</p>")
        yield page.Section(f"Labels to look at again: {split}", text, body, wide=True)


def _like(images: Images, grey: Pixels) -> Pixels:
    """Return a grey picture with as many channels as the images have."""
    return grey if images.ndim == 3 else np.repeat(grey[..., np.newaxis], 3, axis=-1)


def _salient(images: Images, saliency: Mapping[int, Pixels]) -> Markup:
    return page.pictures(
        (
            page.picture(
                np.hstack([images[index], _like(images, pixels)]),
                f"test image {index} and its saliency",
                _scale(images),
            ),
            [f"image {index}"],
        )
        for index, pixels in saliency.items()
    )


def _scale(images: Images) -> int:
    """Return how many times as large as it is an image is shown."""
    return max(1, 68 // int(images.shape[2]))


def _classes(figures: Mapping[str, Any]) -> Markup:
    rows = [
        (each["name"], f"{each['images']:,}", *(f"{each[name]:.4f}" for name in ("precision", "recall", "f1")))
        for each in figures["classes"]
    ]
    return page.table("Classes", ("class", "images", "precision", "recall", "F1"), rows)
