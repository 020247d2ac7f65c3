"""The curves of a training, each sensible for ten steps as for a hundred thousand; heat.py has the maps."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from markupsafe import Markup
from matplotlib import ticker

from components.artifacts import page
from components.artifacts.record.columns import GLOBAL_NORM, layer_of
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record, Steps
from components.export.line import POINTS, Floats, Line, curve, told

T = TypeVar("T")

SHOWN = 12  # variables or layers that get a picture or a curve of their own
LONG = 100_000  # steps
USUAL_RATIO = (1e-4, 1e-2)
NOTHING = Markup("<p>There is nothing to draw: no finite numbers, or only zeros.</p>")
# The statistic that shows what a rule found, and what it is.
STATISTIC_OF = {
    "update-ratio": ("update_ratio", "update / weight"),
    "dead-relu": ("zeros", "share of zeros in the gradient"),
    "oscillation": ("cosine", "cosine to the gradient before"),
}


def by_step(axes: Any, ticks: int = 6) -> None:
    """Have steps from left to right, with at most so many ticks, or two fewer where the numbers are long."""
    axes.set_xlabel("step")
    most = ticks if axes.get_xlim()[1] < LONG else ticks - 2
    axes.xaxis.set_major_locator(ticker.MaxNLocator(most, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _legend(figure: Any, columns: int) -> None:
    """Say above the axes what each line is: there it covers none of them."""
    figure.legend(loc="outside upper center", ncols=columns)


def by_epoch(record: Record, what: str) -> Markup:
    """Draw loss or accuracy: each step's, and the validation split's after each epoch."""
    values = record.column(what)
    line, after = Line.of(record.steps, values), _after_epochs(record, f"validation_{what}")
    if line.empty and after.empty:
        return NOTHING
    figure, axes = page.figure(height=3.1)
    curve(axes, line, "training, by step")
    if what == "loss" and "objective" in record.columns:
        curve(axes, Line.of(record.steps, record.column("objective")), "with all that is minimised", 2)
    if not after.empty:
        _by_epoch(axes, after)
    by_step(axes)
    axes.set_ylabel(what)
    if what == "loss":
        page.scale_by_log(axes, line.span)
    else:
        # Of a long run the first steps, which are hardly right at all, are not to press the rest together.
        lowest = np.min if len(record.steps) <= POINTS else np.median
        shown = values[np.isfinite(values)]
        known = [*after.values[np.isfinite(after.values)].ravel(), *([lowest(shown)] if len(shown) else [])]
        bottom = float(min(known)) - 0.05
        axes.set_ylim(bottom, 1 + 0.03 * (1 - bottom))
    _legend(figure, 2)
    last = record.epochs[-1][f"validation_{what}"] if record.epochs else 0
    validated = f"; of the validation images {last:.3g} after the last epoch" if record.epochs else ""
    return page.svg(figure, f"Curve of the {what} of each step's images: {line.told}{validated}")


def _after_epochs(record: Record, name: str) -> Line:
    ends = np.array([int(epoch["epoch"]) for epoch in record.epochs], np.int64) * record.settings["steps_per_epoch"]
    return Line.of(ends, np.array([epoch[name] for epoch in record.epochs], np.float64))


def _by_epoch(axes: Any, after: Line) -> None:
    """Draw the epochs: each as a dot, or, if there are very many, as any other curve."""
    if after.values.ndim > 1:
        curve(axes, after, "validation, by epoch", 1)
    else:
        axes.plot(after.steps, after.values, "o-", color=page.PALETTE[1], markersize=4, label="validation, by epoch")


def layers(record: Record) -> dict[str, list[int]]:
    """Return which variables each layer has, by its name."""
    found: dict[str, list[int]] = {}
    for index, variable in enumerate(record.variables):
        found.setdefault(layer_of(variable.name), []).append(index)
    return found


def layer_norm(record: Record, variables: Sequence[int]) -> Floats:
    """Return the length of the gradient of some variables together, float64 [n]."""
    squares = np.zeros(len(record.steps))
    for index in variables:
        squares += np.square(record.norms.column(index).astype(np.float64))
    return np.sqrt(squares, out=squares)


def norms_by_layer(record: Record) -> Markup:
    """Draw the length of each layer's gradient over the steps; of very many layers some, and that of all together."""
    named = list(layers(record).items())
    lines = {name: Line.of(record.steps, layer_norm(record, variables)) for name, variables in spread(named)}
    if len(named) > SHOWN:
        lines["all together"] = Line.of(record.steps, record.column(GLOBAL_NORM))
    return _lines(lines, "L2 norm of the gradient", "Curves of the norm of each layer's gradient")


def kernels(record: Record) -> list[int]:
    """Return which variables get a picture of their own: kernels and embeddings, or any where there are none."""
    chosen = [i for i, variable in enumerate(record.variables) if variable.role in ("kernel", "embedding")]
    return spread(chosen or list(range(len(record.variables))))


def spread(items: Sequence[T]) -> list[T]:
    """Return SHOWN of the items at even distances, with the first and the last; all, where there are not more."""
    return [items[i * (len(items) - 1) // (SHOWN - 1)] for i in range(SHOWN)] if len(items) > SHOWN else list(items)


def update_ratios(record: Record) -> Markup:
    """Draw by how much of its length each step changes each kernel, over the band that is usual."""
    ratios = record.stat("update_ratio")
    lines = {record.variables[i].name: Line.of(record.stats_steps, ratios.column(i)) for i in kernels(record)}
    return _lines(lines, "update / weight", "Curves of update to weight", USUAL_RATIO)


def _lines(lines: Mapping[str, Line], ylabel: str, title: str, usual: tuple[float, float] | tuple[()] = ()) -> Markup:
    if all(line.empty for line in lines.values()):
        return NOTHING
    rows = -(-len(lines) // 3)
    figure, axes = page.figure(height=2.8 + 0.18 * rows)
    for number, (name, line) in enumerate(lines.items()):
        curve(axes, line, page.short(layer_of(name), 16), number)
    if usual:
        axes.axhspan(*usual, color="#3f9b57", alpha=0.2, linewidth=0, label="usual")
    page.scale_by_log(axes, np.concatenate([*(line.span for line in lines.values()), usual]))
    by_step(axes)
    axes.set_ylabel(ylabel)
    _legend(figure, 3)
    return page.svg(figure, f"{title}: " + "; ".join(f"{name}: {line.told}" for name, line in lines.items()))


def noise_scale(record: Record, scale: NoiseScale) -> Markup:
    """Draw the gradient noise scale over the steps, beside the batch that was used."""
    line = Line.of(scale.steps, scale.total)
    if line.empty:
        return Markup("<p>There is nothing to draw: chance hid the signal at every step.</p>")
    figure, axes = page.figure()
    batch = record.settings["images_per_step"]
    curve(axes, line, "noise scale")
    axes.axhline(batch, color=page.PALETTE[1], linestyle="--", label=f"images in a step: {batch:,}")
    page.scale_by_log(axes, line.span)
    by_step(axes)
    axes.set_ylabel("images")
    _legend(figure, 2)
    return page.svg(figure, f"Curve of the gradient noise scale in images: {line.told}; a step has {batch:,}")


def learning_rate(record: Record) -> Markup:
    """Draw the learning rate over the steps."""
    figure, axes = page.figure()
    shown = np.unique(np.linspace(0, len(record.steps) - 1, POINTS).astype(int))
    rates = record.column("learning_rate")
    axes.plot(record.steps[shown], rates[shown], marker="." if len(shown) < 12 else "")
    axes.set_ylim(0, 1.1 * float(rates.max()))
    by_step(axes)
    axes.set_ylabel("learning rate")
    return page.svg(figure, f"Curve of the learning rate: {told(record.steps, rates)}")


def small(steps: Steps, values: Floats, label: str, first: int, last: int) -> tuple[Markup, str]:
    """Draw a small curve, with the steps from `first` to `last` shaded; return it and its caption."""
    line = Line.of(steps, values)
    if line.empty:
        return NOTHING, f"{label}, by step"
    figure, axes = page.figure(width=2.5, height=1.3)
    curve(axes, line, label)
    axes.axvspan(first, max(last, first + 1), color=page.PALETTE[3], alpha=0.15, linewidth=0)
    if (values[np.isfinite(values)] > 0).all():
        page.scale_by_log(axes, line.span)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(labelsize=8)
    by_step(axes, 4)
    axes.set_xlabel("")
    return page.svg(figure, f"Curve of {label}: {line.told}"), f"{label}, by step; shaded: where it is seen"


def of_finding(record: Record, scale: NoiseScale | None, rule: str, variable: str) -> tuple[Steps, Floats, str]:
    """Return the curve that shows best what a rule found: steps, values, and what they are."""
    names = [each.name for each in record.variables]
    largest = int(np.argmax([each.size for each in record.variables]))
    index = names.index(variable) if variable in names else largest
    if rule == "batch-size" and scale is not None:
        return scale.steps, scale.total, "noise scale, images"
    if rule in STATISTIC_OF and len(record.stats_steps):
        statistic, said = STATISTIC_OF[rule]
        return record.stats_steps, record.stat(statistic).column(index), f"{said} of {layer_of(names[index])}"
    if rule in ("plateau", "shuffled-labels") or record.level == "off":
        return record.steps, record.column("loss"), "loss"
    if variable in names:
        return record.steps, record.norms.column(index), f"gradient norm of {layer_of(variable)}"
    return record.steps, record.column(GLOBAL_NORM), "global norm"


def first(shown: int, of: int, what: str) -> str:
    """Return the sentence that only the first of the variables are shown, where it is so."""
    return f" Shown are the first {shown} of {of} {what}." if of > shown else ""


def some(of: int, what: str) -> str:
    """Return the sentence that `spread` has chosen among kernels or layers, where it is so."""
    return f" Shown are {SHOWN} of {of} {what}, from the first to the last." if of > SHOWN else ""
