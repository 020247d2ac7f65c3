"""The curves of a training, each sensible for ten steps as for a hundred thousand; heat.py has the maps."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib import ticker

from components.artifacts import page
from components.artifacts.record.columns import GLOBAL_NORM, layer_of
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record, Steps

Floats = npt.NDArray[np.floating]

POINTS = 150  # on a curve; a longer run is shown by the mean and the range of so many equal parts
SHOWN = 12  # variables or layers that get a picture or a curve of their own: the first ones
USUAL_RATIO = (1e-4, 1e-2)
NOTHING = Markup("<p>There is nothing to draw: no finite numbers, or only zeros.</p>")
# The statistic that shows what a rule found, and what it is.
STATISTIC_OF = {
    "update-ratio": ("update_ratio", "update / weight"),
    "dead-relu": ("zeros", "share of zeros in the gradient"),
    "oscillation": ("cosine", "cosine to the gradient before"),
}
BAND = " In the band around a curve are nine of ten steps."


def curve(axes: Any, steps: Steps, values: Floats, label: str, number: int = 0) -> None:
    """Draw the curve of that number; one with more than POINTS points as the mean of equal parts, in a band."""
    color = page.PALETTE[number % len(page.PALETTE)]
    style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": label}
    style["linestyle"] = "-" if number < len(page.PALETTE) else "--"
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    if len(steps) <= POINTS:
        axes.plot(steps, values, marker="." if len(steps) < 12 else "", **style)
        return
    middle, low, mean, high = [], [], [], []
    for place, part in zip(*_parts(steps, values, POINTS), strict=True):
        known = part[np.isfinite(part)]
        if len(known):
            middle.append(place)
            mean.append(known.mean())
            low.append(np.quantile(known, 0.05))
            high.append(np.quantile(known, 0.95))
    axes.fill_between(middle, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(middle, mean, **style)


def _parts(steps: Steps, values: Floats, count: int) -> tuple[list[float], list[Floats]]:
    """Cut a curve into `count` equal parts; return the middle step of each, and its values."""
    edges = np.unique(np.linspace(0, len(steps), min(count, len(steps)) + 1).astype(int))
    pairs = list(itertools.pairwise(edges))
    return [float(steps[a:b].mean()) for a, b in pairs], [values[a:b] for a, b in pairs]


def _nothing(values: Floats) -> bool:
    return not np.isfinite(values).any()


def band(steps: Steps) -> str:
    """Return the sentence on the band, where a curve of so many steps has one."""
    return BAND if len(steps) > POINTS else ""


def told(steps: Steps, values: Floats) -> str:
    """Say what a curve does, for those who cannot see it."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return "no number at any step"
    first, last = known[0], known[-1]
    ends = f"{values[first]:.3g} at step {steps[first]:,}, {values[last]:.3g} at step {steps[last]:,}"
    lost = f", no number at {len(values) - len(known):,} steps" if len(known) < len(values) else ""
    return f"{ends}, between {values[known].min():.3g} and {values[known].max():.3g}{lost}"


def _by_step(axes: Any) -> None:
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))


def _legend(figure: Any, columns: int) -> None:
    """Say above the axes what each line is: there it covers none of them."""
    figure.legend(loc="outside upper center", ncols=columns)


def by_epoch(record: Record, what: str) -> Markup:
    """Draw loss or accuracy: each step's, and the validation split's after each epoch."""
    ends = [epoch["epoch"] * record.settings["steps_per_epoch"] for epoch in record.epochs]
    after = np.array([epoch[f"validation_{what}"] for epoch in record.epochs], np.float64)
    if _nothing(record.column(what)) and _nothing(after):
        return NOTHING
    figure, axes = page.figure(height=3.1)
    curve(axes, record.steps, record.column(what), "training, by step")
    if what == "loss" and "objective" in record.columns:
        curve(axes, record.steps, record.column("objective"), "with all that is minimised", 2)
    if not _nothing(after):
        axes.plot(ends, after, "o-", color=page.PALETTE[1], markersize=4, label="validation, by epoch")
    _by_step(axes)
    axes.set_ylabel(what)
    if what == "loss":
        page.scale_by_log(axes, record.column(what))
    else:
        # Of a long run the first steps, which are hardly right at all, are not to press the rest together.
        lowest = np.min if len(record.steps) <= POINTS else np.median
        shown = record.column(what)[np.isfinite(record.column(what))]
        known = [*after[np.isfinite(after)], *([lowest(shown)] if len(shown) else [])]
        bottom = float(min(known)) - 0.05
        axes.set_ylim(bottom, 1 + 0.03 * (1 - bottom))
    _legend(figure, 2)
    validated = f"; of the validation images {after[-1]:.3g} after the last epoch" if len(after) else ""
    return page.svg(
        figure, f"Curve of the {what} of each step's images: {told(record.steps, record.column(what))}{validated}"
    )  # fmt: skip


def layer_norms(record: Record) -> dict[str, Floats]:
    """Return the length of each layer's gradient, float64 [n], by the layer's name."""
    squares: dict[str, Floats] = {}
    for index, variable in enumerate(record.variables):
        square = np.square(record.norms[:, index].astype(np.float64))
        name = layer_of(variable.name)
        squares[name] = squares.get(name, np.zeros_like(square)) + square
    return {name: np.sqrt(each) for name, each in squares.items()}


def norms_by_layer(record: Record) -> Markup:
    """Draw the length of each layer's gradient over the steps."""
    layers = dict(itertools.islice(layer_norms(record).items(), SHOWN))
    return _lines(record.steps, layers, "L2 norm of the gradient", "Curves of the norm of each layer's gradient")


def kernels(record: Record) -> list[int]:
    """Return which variables get a picture of their own: kernels and embeddings, or any where there are none."""
    chosen = [i for i, variable in enumerate(record.variables) if variable.role in ("kernel", "embedding")]
    return (chosen or list(range(len(record.variables))))[:SHOWN]


def update_ratios(record: Record) -> Markup:
    """Draw by how much of its length each step changes each kernel, over the band that is usual."""
    ratios = record.stat("update_ratio")
    curves = {record.variables[i].name: ratios[:, i] for i in kernels(record)}
    return _lines(record.stats_steps, curves, "update / weight", "Curves of update to weight", USUAL_RATIO)


def _lines(
    steps: Steps, curves: dict[str, Floats], ylabel: str, title: str, usual: tuple[float, float] | None = None
) -> Markup:
    if all(_nothing(values) for values in curves.values()):
        return NOTHING
    rows = -(-len(curves) // 3)
    figure, axes = page.figure(height=2.8 + 0.18 * rows)
    for number, (name, values) in enumerate(curves.items()):
        curve(axes, steps, values, page.short(layer_of(name), 16), number)
    if usual:
        axes.axhspan(*usual, color="#3f9b57", alpha=0.2, linewidth=0, label="usual")
    page.scale_by_log(axes, np.concatenate([*curves.values(), usual or ()]))
    _by_step(axes)
    axes.set_ylabel(ylabel)
    _legend(figure, 3)
    return page.svg(figure, f"{title}: " + "; ".join(f"{name}: {told(steps, v)}" for name, v in curves.items()))


def noise_scale(record: Record, scale: NoiseScale) -> Markup:
    """Draw the gradient noise scale over the steps, beside the batch that was used."""
    if _nothing(scale.total):
        return Markup("<p>There is nothing to draw: chance hid the signal at every step.</p>")
    figure, axes = page.figure()
    batch = record.settings["images_per_step"]
    curve(axes, scale.steps, scale.total, "noise scale")
    axes.axhline(batch, color=page.PALETTE[1], linestyle="--", label=f"images in a step: {batch:,}")
    page.scale_by_log(axes, scale.total)
    _by_step(axes)
    axes.set_ylabel("images")
    _legend(figure, 2)
    return page.svg(
        figure, f"Curve of the gradient noise scale in images: {told(scale.steps, scale.total)}; a step has {batch:,}"
    )  # fmt: skip


def learning_rate(record: Record) -> Markup:
    """Draw the learning rate over the steps."""
    figure, axes = page.figure()
    shown = np.unique(np.linspace(0, len(record.steps) - 1, POINTS).astype(int))
    rates = record.column("learning_rate")
    axes.plot(record.steps[shown], rates[shown], marker="." if len(shown) < 12 else "")
    axes.set_ylim(0, 1.1 * float(rates.max()))
    _by_step(axes)
    axes.set_ylabel("learning rate")
    return page.svg(figure, f"Curve of the learning rate: {told(record.steps, rates)}")


def small(steps: Steps, values: Floats, label: str, first: int, last: int) -> tuple[Markup, str]:
    """Draw a small curve, with the steps from `first` to `last` shaded; return it and its caption."""
    if _nothing(values):
        return NOTHING, f"{label}, by step"
    figure, axes = page.figure(width=2.5, height=1.3)
    curve(axes, steps, values, label)
    axes.axvspan(first, max(last, first + 1), color=page.PALETTE[3], alpha=0.15, linewidth=0)
    if (values[np.isfinite(values)] > 0).all():
        page.scale_by_log(axes, values)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True, min_n_ticks=1))
    return page.svg(figure, f"Curve of {label}: {told(steps, values)}"), f"{label}, by step; shaded: where it is seen"


def of_finding(record: Record, scale: NoiseScale | None, rule: str, variable: str) -> tuple[Steps, Floats, str]:
    """Return the curve that shows best what a rule found: steps, values, and what they are."""
    names = [each.name for each in record.variables]
    largest = int(np.argmax([each.size for each in record.variables]))
    index = names.index(variable) if variable in names else largest
    if rule == "batch-size" and scale is not None:
        return scale.steps, scale.total, "noise scale, images"
    if rule in STATISTIC_OF and len(record.stats_steps):
        statistic, said = STATISTIC_OF[rule]
        return record.stats_steps, record.stat(statistic)[:, index], f"{said} of {layer_of(names[index])}"
    if rule in ("plateau", "shuffled-labels") or record.level == "off":
        return record.steps, record.column("loss"), "loss"
    if variable in names:
        return record.steps, record.norms[:, index], f"gradient norm of {layer_of(variable)}"
    return record.steps, record.column(GLOBAL_NORM), "global norm"


def first(shown: int, of: int, what: str) -> str:
    """Return the sentence that only the first of the variables or layers are shown, where it is so."""
    return f" Shown are the first {shown} of {of} {what}." if of > shown else ""
