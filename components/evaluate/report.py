"""The page that shows how good a model is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special
from markupsafe import Markup

from components.artifacts import page
from components.evaluate.inside import Seen

WORST = 24  # mistakes shown as pictures


def write_report(  # noqa: PLR0913 - all that is shown
    path: Path,
    figures: Mapping[str, Any],
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    logits: npt.NDArray[np.float32],
    seen: Seen,
) -> None:
    """Write the page; `figures` are all in metrics.json, and what was `seen` inside."""
    low, high = figures["accuracy_interval"]
    facts = [
        ("verdict", figures["verdict"]),
        ("accuracy", f"{100 * figures['accuracy']:.2f} %"),
        ("95 % interval", f"{100 * low:.2f} … {100 * high:.2f} %"),
        ("mistakes", f"{figures['mistakes']:,} of {figures['images']:,}"),
        ("loss", f"{figures['loss']:.4f}"),
        ("calibration error", f"{figures['calibration_error']:.4f}"),
        ("ROC area, micro", f"{figures['roc_auc']:.6f}"),
    ]
    names = [each["name"] for each in figures["classes"]]
    sections = [
        page.Section("Verdict", _reason(figures), _checks(figures)),
        page.Section(
            "Confusion matrix", "Rows: labels. Columns: predictions. Right ones are not coloured.",
            _confusion(np.array(figures["confusion_matrix"]), names),
        ),
        page.Section(
            "The worst mistakes", "Wrong predictions, the most confident first: label → prediction.",
            _mistakes(images, labels, logits, names),
        ),
        page.Section(
            "Classes", "Precision: of the predictions, how many are right. Recall: of the images, how many are found.",
            _classes(figures),
        ),
        page.Section(
            "Confidence", "Left: a calibrated model is right as often as it says. Right: the ROC curve's first tenth.",
            page.pair(_reliability(figures["calibration"]), _roc(figures["roc"])),
        ),
        page.Section(
            "Suspected labels", _suspicion(figures) + _missing(seen, "suspected labels"),
            _suspects(images, figures["suspected_labels"], names),
        ),
        page.Section(
            "What moves the prediction", _movement(seen), _salient(images, seen.saliency),
        ),
        page.Section(
            "Classes that pull apart", "Cosine between the mean gradients of the classes. Red: a step that helps the "
            "one hurts the other." + _missing(seen, "cosines of the classes"),
            _cosines(np.array(figures["class_gradient_cosines"], np.float64), names),
        ),
    ]  # fmt: skip
    page.write(path, "Judged on the test set", facts, sections)


def _reason(figures: Mapping[str, Any]) -> str:
    if figures["verdict"] == "unjudged":
        return "No threshold was given, so nothing is blessed: give --min-accuracy, for one."
    return "Every check must pass."


def _checks(figures: Mapping[str, Any]) -> Markup:
    rows = [(check["what"], "passed" if check["passed"] else "failed") for check in figures["checks"]]
    return page.table(("check", ""), rows) if rows else Markup("")


def _confusion(matrix: npt.NDArray[np.int64], names: list[str]) -> Markup:
    figure, axes = page.figure(height=5.2)
    mistakes = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, int(mistakes.max())) * 1.3)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            # On a coloured cell dark text is readable in a dark page too.
            color = {"color": "#222222"} if mistakes[row, column] else {}
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, **color)
    axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("label")
    axes.grid(visible=False)
    figure.axes[0].images[0].set_alpha(np.where(mistakes > 0, 1.0, 0.0))
    return page.svg(figure, "Confusion matrix")


def _mistakes(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float32], names: list[str]
) -> Markup:
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:WORST]
    if not len(worst):
        return Markup("<p>There are none.</p>")
    shown = []
    for i in worst:
        caption = f"{names[labels[i]]} → {names[predicted[i]]}"
        image = page.picture(images[i], f"test image {i}: {caption}", _scale(images))
        sure = f"{100 * probabilities[i, predicted[i]]:.1f} %, image {i}"
        shown.append(Markup("<figure>{}<figcaption>{}<br>{}</figcaption></figure>").format(image, caption, sure))
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(shown))


def _missing(seen: Seen, what: str) -> str:
    return f" The {what} {seen.missing[what]}." if what in seen.missing else ""


def _movement(seen: Seen) -> str:
    text = "Each image, and beside it how much each pixel moves its largest logit."
    if seen.saliency and not any(pixels.any() for pixels in seen.saliency.values()):
        text += " Here none does: the model has no gradient at its pixels; it rounds them, say, or looks them up."
    return text + _missing(seen, "saliency")


def _suspicion(figures: Mapping[str, Any]) -> str:
    text = "The images with the largest gradient of their own: label → prediction."
    if known := figures["known_label_errors"]:
        text += (
            f" Of {known['known']} images that people found mislabelled (arXiv 2103.14749), {known['among_suspects']} "
            f"are among the first {len(figures['suspected_labels'])}."
        )
    return text


def _suspects(images: npt.NDArray[np.uint8], suspects: list[dict[str, Any]], names: list[str]) -> Markup:
    shown = []
    for each in suspects[:WORST]:
        caption = f"{names[each['label']]} → {names[each['answer']]}"
        image = page.picture(images[each["image"]], f"test image {each['image']}: {caption}", _scale(images))
        size = f"{each['gradient_norm']:.3g}, image {each['image']}"
        shown.append(Markup("<figure>{}<figcaption>{}<br>{}</figcaption></figure>").format(image, caption, size))
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(shown))


def _salient(images: npt.NDArray[np.uint8], saliency: Mapping[int, npt.NDArray[np.uint8]]) -> Markup:
    shown = []
    for index, pixels in saliency.items():
        both = page.picture(np.hstack([images[index], pixels]), f"test image {index} and its saliency", _scale(images))
        shown.append(Markup("<figure>{}<figcaption>image {}</figcaption></figure>").format(both, index))
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(shown))


def _scale(images: npt.NDArray[np.uint8]) -> int:
    """Return how many times as large as it is an image is shown."""
    return max(1, 68 // int(images.shape[2]))


def _cosines(matrix: npt.NDArray[np.float64], names: list[str]) -> Markup:
    figure, axes = page.figure(height=4.6)
    shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
    image = axes.imshow(shown, cmap="RdBu", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes)
    return page.svg(figure, "Cosine between the mean gradients of the classes")


def _classes(figures: Mapping[str, Any]) -> Markup:
    rows = [
        (each["name"], f"{each['images']:,}", *(f"{each[name]:.4f}" for name in ("precision", "recall", "f1")))
        for each in figures["classes"]
    ]
    return page.table(("class", "images", "precision", "recall", "F1"), rows)


def _reliability(bins: list[dict[str, float]]) -> Markup:
    figure, axes = page.figure(width=4.6, height=3.4)
    axes.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1)
    sizes = [15 + 15 * np.log10(each["count"]) for each in bins]
    axes.scatter([each["confidence"] for each in bins], [each["accuracy"] for each in bins], s=sizes)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    return page.svg(figure, "Reliability diagram: accuracy by confidence")


def _roc(curve: list[dict[str, float]]) -> Markup:
    figure, axes = page.figure(width=4.6, height=3.4)
    axes.plot([point["falsePositiveRate"] for point in curve], [point["recall"] for point in curve])
    axes.set_xlim(-0.002, 0.1)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("recall")
    return page.svg(figure, "ROC curve, micro-averaged over the classes")
