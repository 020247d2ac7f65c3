"""The pictures of a training: curves, heat maps, bands; each sensible for ten steps as for a hundred thousand."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.record.columns import GLOBAL_NORM, layer_of
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record, Steps

Floats = npt.NDArray[np.floating]

POINTS = 150  # on a curve; a longer run is shown by the mean and the range of so many equal parts
COLUMNS = 120  # of a heat map
SHOWN = 12  # variables or layers that get a picture or a curve of their own: the first ones
HEAT = "viridis"
USUAL_RATIO = (1e-4, 1e-2)


def curve(axes: Any, steps: Steps, values: Floats, color: str, label: str) -> None:
    """Draw a curve; one with more than POINTS points as the mean of equal parts, in a band from low to high."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    if len(steps) <= POINTS:
        axes.plot(steps, values, color=color, linewidth=1.2, label=label, marker="." if len(steps) < 12 else "")
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
    axes.plot(middle, mean, color=color, linewidth=1.2, label=label)


def _parts(steps: Steps, values: Floats, count: int) -> tuple[list[float], list[Floats]]:
    """Cut a curve into `count` equal parts; return the middle step of each, and its values."""
    edges = np.unique(np.linspace(0, len(steps), min(count, len(steps)) + 1).astype(int))
    pairs = list(itertools.pairwise(edges))
    return [float(steps[a:b].mean()) for a, b in pairs], [values[a:b] for a, b in pairs]


def by_epoch(record: Record, what: str) -> Markup:
    """Draw loss or accuracy: each step's, and the validation split's after each epoch."""
    figure, axes = page.figure(width=4.8, height=3.4)
    curve(axes, record.steps, record.column(what), page.PALETTE[0], "training, by step")
    if what == "loss" and "objective" in record.columns:
        curve(axes, record.steps, record.column("objective"), page.PALETTE[2], "with all that is minimised")
    ends = [epoch["epoch"] * record.settings["steps_per_epoch"] for epoch in record.epochs]
    after = [epoch[f"validation_{what}"] for epoch in record.epochs]
    axes.plot(ends, after, "o-", color=page.PALETTE[1], markersize=4, label="validation, by epoch")
    axes.set_xlabel("step")
    axes.set_ylabel(what)
    if what == "loss":
        _log(axes, record.column(what))
    else:
        known = [value for value in (*after, float(np.median(record.column(what)))) if np.isfinite(value)]
        axes.set_ylim(min(known, default=0.05) - 0.05, 1.0)
    axes.legend()
    return page.svg(figure, f"{what} over the steps")


def norms_by_layer(record: Record) -> Markup:
    """Draw the length of each layer's gradient over the steps."""
    figure, axes = page.figure(height=3.6)
    layers: dict[str, Floats] = {}
    for index, variable in enumerate(record.variables):
        squares = np.square(record.norms[:, index].astype(np.float64))
        name = layer_of(variable.name)
        layers[name] = layers.get(name, np.zeros_like(squares)) + squares
    for index, (layer, squares) in enumerate(itertools.islice(layers.items(), SHOWN)):
        curve(axes, record.steps, np.sqrt(squares), page.PALETTE[index % len(page.PALETTE)], layer)
    _log(axes, np.concatenate(list(layers.values())))
    axes.set_xlabel("step")
    axes.set_ylabel("L2 norm of the gradient")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.2), fontsize=9)
    return page.svg(figure, "Norm of each layer's gradient over the steps")


def heat_of_norms(record: Record) -> Markup:
    """Draw variable × step: the root mean square of the numbers of each gradient, in powers of ten."""
    sizes = np.sqrt([variable.size for variable in record.variables])
    edges = np.unique(np.linspace(0, len(record.steps), min(COLUMNS, len(record.steps)) + 1).astype(int))
    rms = record.norms.astype(np.float64) / sizes
    cells = np.array([_median_of_known(rms[a:b]) for a, b in itertools.pairwise(edges)]).T
    figure, axes = page.figure(width=7.6, height=0.9 + 0.26 * len(record.variables))
    shown = np.log10(np.where(cells > 0, cells, np.nan))
    extent = (float(record.steps[0]) - 0.5, float(record.steps[-1]) + 0.5, len(record.variables) - 0.5, -0.5)
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap=HEAT, extent=extent)
    axes.set_yticks(range(len(record.variables)), ["/".join(v.name.split("/")[-2:]) for v in record.variables])
    axes.set_xlabel("step")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("log10 RMS")
    return page.svg(figure, "Root mean square of each variable's gradient over the steps")


def _median_of_known(rows: Floats) -> Floats:
    """Return the median of the finite numbers of each column; NaN where there is none."""
    known = np.isfinite(rows)
    return np.array([np.median(rows[known[:, i], i]) if known[:, i].any() else np.nan for i in range(rows.shape[1])])


def _kernels(record: Record) -> list[int]:
    """Return which variables get a picture of their own: kernels and embeddings, or any where there are none."""
    chosen = [i for i, variable in enumerate(record.variables) if variable.role in ("kernel", "embedding")]
    return (chosen or list(range(len(record.variables))))[:SHOWN]


def histograms(record: Record) -> Markup:
    """Draw how the sizes of each kernel's gradient spread over the octaves, and move with the steps."""
    chosen = _kernels(record)
    steps, sums = _octaves(record, chosen)
    whole = sums.sum(axis=0)
    used = np.flatnonzero((whole > 2e-3 * np.maximum(whole.sum(axis=1, keepdims=True), 1)).any(axis=0))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, grid = page.figure(width=9.6, height=0.5 + 2.1 * rows, nrows=rows, ncols=columns, squeeze=False)
    for axes, number in itertools.zip_longest(grid.flat, range(len(chosen))):
        if number is None:
            axes.set_visible(False)
            continue
        counts = sums[:, number, low:high].astype(np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        extent = (-0.5, len(steps) - 0.5, low - 127.0, high - 127.0)
        axes.imshow(np.where(shares > 0, shares, np.nan).T, aspect="auto", origin="lower", cmap=HEAT, extent=extent,
                    interpolation="nearest")  # fmt: skip
        shown = np.unique(np.linspace(0, len(steps) - 1, min(4, len(steps))).astype(int))
        axes.set_xticks(shown, [f"{steps[i]:,}" for i in shown], fontsize=8)
        axes.set_title("/".join(record.variables[chosen[number]].name.split("/")[-2:]), fontsize=9)
        axes.grid(visible=False)
    for axes in grid[:, 0]:
        axes.set_ylabel("log2 |g|", fontsize=9)
    return page.svg(figure, "Histograms of the gradients over the steps")


def _octaves(record: Record, chosen: Sequence[int]) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return at most COLUMNS groups of steps: the first step of each, and histograms, int64 [groups, chosen, 256].

    Signs are put together, zeros and what is not finite are left out. Histograms add up: that is what fixed bins are
    for, so however long the run was, only the sums are held.
    """
    total = sum(len(steps) for steps, _ in record.histograms())
    size = -(-total // COLUMNS)
    first, sums = [], np.zeros((-(-total // size), len(chosen), 256), np.int64)
    seen = 0
    for steps, counts in record.histograms():
        both = counts[:, chosen, :256].astype(np.int64) + counts[:, chosen, 256:]
        both[:, :, [0, -1]] = 0
        for step, row in zip(steps.tolist(), both, strict=True):
            if seen % size == 0:
                first.append(step)
            sums[seen // size] += row
            seen += 1
    return first, sums


def update_ratios(record: Record) -> Markup:
    """Draw by how much of its length each step changes each kernel, over the band that is usual."""
    figure, axes = page.figure(height=3.4)
    ratios = record.stat("update_ratio")
    kernels = _kernels(record)
    for index, i in enumerate(kernels):
        name = layer_of(record.variables[i].name)
        curve(axes, record.stats_steps, ratios[:, i], page.PALETTE[index % len(page.PALETTE)], name)
    axes.axhspan(*USUAL_RATIO, color="#3f9b57", alpha=0.12, linewidth=0)
    _log(axes, ratios[:, kernels])
    axes.set_xlabel("step")
    axes.set_ylabel("update / weight")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.2), fontsize=9)
    return page.svg(figure, "Ratio of update to weight over the steps")


def noise_scale(record: Record, scale: NoiseScale) -> Markup:
    """Draw the gradient noise scale over the steps, beside the batch that was used."""
    figure, axes = page.figure(height=3.0)
    curve(axes, scale.steps, scale.total, page.PALETTE[0], "noise scale")
    axes.axhline(record.settings["images_per_step"], color=page.PALETTE[1], linestyle="--", label="batch")
    _log(axes, scale.total)
    axes.set_xlabel("step")
    axes.set_ylabel("images")
    axes.legend()
    return page.svg(figure, "Gradient noise scale over the steps")


def learning_rate(record: Record) -> Markup:
    """Draw the learning rate over the steps."""
    figure, axes = page.figure(height=1.8)
    shown = np.unique(np.linspace(0, len(record.steps) - 1, POINTS).astype(int))
    axes.plot(record.steps[shown], record.column("learning_rate")[shown])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    return page.svg(figure, "Learning rate over the steps")


def small(steps: Steps, values: Floats, label: str, first: int, last: int) -> Markup:
    """Draw a small curve, with the steps from `first` to `last` shaded."""
    figure, axes = page.figure(width=3.0, height=1.6)
    curve(axes, steps, values, page.PALETTE[0], label)
    axes.axvspan(first, max(last, first + 1), color=page.PALETTE[3], alpha=0.15, linewidth=0)
    if (values[np.isfinite(values)] > 0).all():
        _log(axes, values)
    axes.set_title(label, fontsize=8)
    axes.tick_params(labelsize=7)
    return page.svg(figure, f"{label} over the steps")


def of_finding(record: Record, scale: NoiseScale | None, rule: str, variable: str) -> tuple[Steps, Floats, str]:
    """Return the curve that shows best what a rule found: steps, values, and what they are."""
    names = [each.name for each in record.variables]
    largest = int(np.argmax([each.size for each in record.variables]))
    index = names.index(variable) if variable in names else largest
    if rule == "batch-size" and scale is not None:
        return scale.steps, scale.total, "noise scale, images"
    if statistic := {"update-ratio": "update_ratio", "dead-relu": "zeros", "oscillation": "cosine"}.get(rule):
        return record.stats_steps, record.stat(statistic)[:, index], f"{statistic} of {layer_of(names[index])}"
    if rule in ("plateau", "shuffled-labels") or record.level == "off":
        return record.steps, record.column("loss"), "loss"
    if variable in names:
        return record.steps, record.norms[:, index], f"gradient norm of {layer_of(variable)}"
    return record.steps, record.column(GLOBAL_NORM), "global norm"


def _log(axes: Any, values: Floats) -> None:
    """Scale the axis by logarithm if there is anything to show on it."""
    if (values[np.isfinite(values)] > 0).any():
        axes.set_yscale("log")
