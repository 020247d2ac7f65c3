"""Curves of several runs over each other."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib import ticker

from components.artifacts import page
from components.artifacts.record.columns import GLOBAL_NORM
from components.compare.runs import Run

POINTS = 150  # on a curve; a longer one is shown by the means of so many equal parts
NOTHING = Markup("<p>There is nothing to draw: no run has any.</p>")
Floats = npt.NDArray[np.float64]


def by_epoch(runs: Sequence[Run], what: str) -> Markup:
    """Draw the loss or accuracy of the validation split after each epoch, and dotted of the training images."""
    curves = []
    for run in runs:
        for split, style in (("validation", "-"), ("train", ":")):
            epochs = run.course.epochs if run.course else []
            x, y = (_numbers(epochs, name) for name in ("epoch", f"{split}_{what}"))
            curves.append((run, x, y, style, f"{what} of the {split} images"))
    return _draw(curves, "epoch", what, log=what == "loss")


def norms(runs: Sequence[Run]) -> Markup:
    """Draw the norm of the whole gradient over the steps."""
    curves = []
    for run in runs:
        if run.record is not None and GLOBAL_NORM in run.record.columns:
            steps, values = thinned(run.record.steps, run.record.column(GLOBAL_NORM))
            curves.append((run, steps, values, "-", "gradient norm"))
    return _draw(curves, "step", "L2 norm of the gradient", log=True)


def thinned(steps: npt.NDArray[Any], values: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return a curve of at most POINTS points: the middle of each equal part, and the mean of its finite values."""
    edges = np.unique(np.linspace(0, len(steps), min(POINTS, len(steps)) + 1).astype(int))
    parts = [(steps[a:b], values[a:b][np.isfinite(values[a:b])]) for a, b in itertools.pairwise(edges)]
    means = [float(part.mean(dtype=np.float64)) if len(part) else np.nan for _, part in parts]
    return np.array([float(place.mean()) for place, _ in parts]), np.array(means)


def _numbers(epochs: Sequence[dict[str, float | None]], name: str) -> Floats:
    return np.array([np.nan if (value := epoch.get(name)) is None else value for epoch in epochs], np.float64)


def _draw(curves: Sequence[tuple[Run, Floats, Floats, str, str]], xlabel: str, ylabel: str, *, log: bool) -> Markup:
    drawn = [curve for curve in curves if np.isfinite(curve[2]).any()]
    if not drawn:
        return NOTHING
    figure, axes = page.figure(height=3.2)
    for run, x, y, style, _ in drawn:
        label = f"{run.letter}: {page.short(run.name, 20)}" if style == "-" else None
        color = page.PALETTE["ABCDEFGH".index(run.letter)]
        axes.plot(x, y, style, color=color, linewidth=1.3, label=label, marker="." if len(x) < 12 else "")
    if log:
        page.scale_by_log(axes, np.concatenate([y for _, _, y, _, _ in drawn]))
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_ylabel(ylabel)
    figure.legend(loc="outside upper center", ncols=2)
    told = "; ".join(f"{run.letter}, {what}: {_told(x, y, xlabel)}" for run, x, y, _, what in drawn)
    return page.svg(figure, f"Curves by {xlabel}: {told}")


def _told(x: Floats, y: Floats, unit: str) -> str:
    """Say what a curve does, for those who cannot see it."""
    known = np.flatnonzero(np.isfinite(y))
    first, last = known[0], known[-1]
    return f"{y[first]:.3g} at {unit} {x[first]:,.0f}, {y[last]:.3g} at {unit} {x[last]:,.0f}"
