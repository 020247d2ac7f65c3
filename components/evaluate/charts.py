"""The figures of a judgement: matrices over the classes, and curves of confidence; for two classes as for a hundred."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page

COUNTED = 12  # classes up to which a count fits into its cell
NAMED = 24  # classes up to which each name fits at its row


def confusion(matrix: npt.NDArray[np.int64], names: Sequence[str]) -> Markup:
    """Draw the confusion matrix; the counts are in the cells where they fit."""
    figure, axes = page.figure(height=4.4)
    right = np.eye(len(matrix), dtype=bool)
    most = max(1, int(np.where(right, 0, matrix).max()))
    # Dark text is readable on these oranges.
    colors = mpl.colormaps["Oranges"].resampled(256)(np.linspace(0.1, 0.64, 256))
    shown = np.ma.masked_where(right | (matrix == 0), matrix)
    image = axes.imshow(shown, cmap=mpl.colors.ListedColormap(colors), vmin=0, vmax=most, interpolation="nearest")
    if len(matrix) <= COUNTED:
        for (row, column), number in np.ndenumerate(matrix):
            if number:
                color = {} if row == column else {"color": "#222222"}
                axes.text(column, row, f"{number}", ha="center", va="center", fontsize=8, **color)
    _name(axes, names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("label")
    figure.colorbar(image, ax=axes, label="mistakes", location="bottom", shrink=0.7, aspect=40, pad=0.02)
    mistakes = int(matrix.sum() - np.trace(matrix))
    return page.svg(
        figure, f"Confusion matrix of {len(names)} classes: {np.trace(matrix):,} images on the diagonal, {mistakes:,} "
        f"beside it, at most {np.where(right, 0, matrix).max():,} in one cell",
    )  # fmt: skip


def _name(axes: Any, names: Sequence[str]) -> None:
    """Name the rows and columns of a matrix over the classes: all of them, or so many as fit."""
    places = range(0, len(names), -(-len(names) // NAMED))
    texts = [page.labels(names)[i] for i in places]
    axes.set_xticks(places, texts, rotation=90 if max(map(len, texts)) > 3 or len(names) > COUNTED else 0)
    axes.set_yticks(places, texts)
    if len(names) > COUNTED:
        axes.tick_params(labelsize=7)
    axes.grid(visible=False)


def cosines(matrix: npt.NDArray[np.float64], names: Sequence[str]) -> Markup:
    """Draw the cosine of each two classes; the diagonal, which is 1, is left out, as is what is no number."""
    figure, axes = page.figure(height=4.4)
    shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
    image = axes.imshow(shown, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    _name(axes, names)
    bar = figure.colorbar(image, ax=axes, label="cosine", location="bottom", shrink=0.7, aspect=40, pad=0.02)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1])
    said = "none is known"
    if np.isfinite(shown).any():
        row, column = np.unravel_index(int(np.nanargmin(shown)), shown.shape)
        said = f"the lowest is {shown[row, column]:.2f}, of {names[int(row)]} and {names[int(column)]}"
    return page.svg(figure, f"Cosines between the mean gradients of {len(names)} classes: {said}")


def reliability(bins: Sequence[Mapping[str, float]]) -> Markup:
    """Draw how often the model is right by how sure it is."""
    figure, axes = page.figure(height=3.2)
    axes.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1, label="as often as it says")
    sizes = [15 + 15 * np.log10(each["count"]) for each in bins]
    places = [each["confidence"] for each in bins], [each["accuracy"] for each in bins]
    axes.scatter(*places, s=sizes, color=page.PALETTE[0], label="the model", zorder=3)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    figure.legend(loc="outside upper center", ncols=2)
    farthest = max(bins, key=lambda each: abs(each["confidence"] - each["accuracy"]))
    return page.svg(
        figure, f"Accuracy by confidence, in {len(bins)} groups of images; the farthest from the line is "
        f"{farthest['accuracy']:.2f} right at a confidence of {farthest['confidence']:.2f}",
    )  # fmt: skip


def roc(curve: Sequence[Mapping[str, float]]) -> Markup:
    """Draw the ROC curve: its first tenth where that holds nearly all of it."""
    figure, axes = page.figure(height=3.2)
    rates, recalls = [point["falsePositiveRate"] for point in curve], [point["recall"] for point in curve]
    at_tenth = float(np.interp(0.1, rates, recalls))
    limit = 0.1 if at_tenth >= 0.9 else 1.0
    axes.plot(rates, recalls, label="the model")
    axes.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1, label="guessing")
    axes.set_xlim(-0.02 * limit, limit)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("false positive rate" + (", the first tenth" if limit < 1 else ""))
    axes.set_ylabel("recall")
    figure.legend(loc="outside upper center", ncols=2)
    return page.svg(figure, f"ROC curve over all classes: recall {at_tenth:.3f} at a false positive rate of 0.1")
