"""The maps of a training: gradients by variable and step, and their histograms over the steps."""

import itertools
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.record.reader import Record, Variable
from components.export.figures import NOTHING, Floats, kernels

COLUMNS = 120  # of a map
ROWS = 60  # variables in the map
HEAT = "viridis"


def of_norms(record: Record) -> Markup:
    """Draw variable × step: the root mean square of the numbers of each gradient, in powers of ten."""
    variables = record.variables[:ROWS]
    sizes = np.sqrt([variable.size for variable in variables])
    edges = np.unique(np.linspace(0, len(record.steps), min(COLUMNS, len(record.steps)) + 1).astype(int))
    rms = record.norms[:, : len(variables)].astype(np.float64) / sizes
    cells = np.array([_median_of_known(rms[a:b]) for a, b in itertools.pairwise(edges)]).T
    if not (cells > 0).any():
        return NOTHING
    figure, axes = page.figure(height=1.3 + 0.2 * len(variables))
    shown = np.log10(np.where(cells > 0, cells, np.nan))
    extent = (float(record.steps[0]) - 0.5, float(record.steps[-1]) + 0.5, len(variables) - 0.5, -0.5)
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap=HEAT, extent=extent)
    axes.set_yticks(range(len(variables)), [_name(variable) for variable in variables])
    axes.set_xlabel("step")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="log10 of the RMS", location="top", aspect=40, shrink=0.8)
    middle = [(np.nanmedian(row), variable.name) for row, variable in zip(cells, variables, strict=True)
              if np.isfinite(row).any()]  # fmt: skip
    (low, weakest), (high, strongest) = min(middle), max(middle)
    return page.svg(
        figure, f"Map of the gradients of {len(variables)} variables by step: the smallest are those of {weakest}, "
        f"with a median RMS of {low:.2g}, the largest those of {strongest}, with {high:.2g}",
    )  # fmt: skip


def _name(variable: Variable) -> str:
    return page.short("/".join(variable.name.split("/")[-2:]), 22)


def _median_of_known(rows: Floats) -> Floats:
    """Return the median of the finite numbers of each column; NaN where there is none."""
    known = np.isfinite(rows)
    return np.array([np.median(rows[known[:, i], i]) if known[:, i].any() else np.nan for i in range(rows.shape[1])])


def histograms(record: Record) -> Markup:
    """Draw how the sizes of each kernel's gradient spread over the octaves, and move with the steps."""
    chosen = kernels(record)
    steps, sums = _octaves(record, chosen)
    whole = sums.sum(axis=0)
    used = np.flatnonzero((whole > 2e-3 * np.maximum(whole.sum(axis=1, keepdims=True), 1)).any(axis=0))
    if not len(used):
        return NOTHING
    low, high = int(used[0]), int(used[-1]) + 1
    drawn = [
        _histogram(record.variables[i], steps, sums[:, number, low:high].astype(np.float64), low - 127)
        for number, i in enumerate(chosen)
    ]
    colors = [mpl.colors.to_hex(color) for color in mpl.colormaps[HEAT](np.linspace(0, 1, 5))]
    return page.scale_of(colors, "few numbers", "many numbers") + page.pictures(drawn)


def _histogram(variable: Variable, steps: list[int], counts: Floats, lowest: int) -> tuple[Markup, list[str]]:
    """Draw one variable's; counts are [steps, octaves], the first octave from 2 to the power of `lowest` on."""
    figure, axes = page.figure(width=1.9, height=1.9)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    extent = (-0.5, len(steps) - 0.5, float(lowest), float(lowest + counts.shape[1]))
    axes.imshow(np.where(shares > 0, shares, np.nan).T, aspect="auto", origin="lower", cmap=HEAT, extent=extent,
                interpolation="nearest", vmin=0)  # fmt: skip
    shown = np.unique(np.linspace(0, len(steps) - 1, min(3, len(steps))).astype(int))
    axes.set_xticks(shown, [f"{steps[i]}" for i in shown])
    axes.set_xlabel("step")
    axes.set_ylabel("log2 |g|")
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="y", integer=True, nbins=6)
    axes.grid(visible=False)
    said = "nothing but zeros, or no numbers"
    if counts.sum():
        said = f"most numbers are near 2 to the power of {lowest + int(counts.sum(axis=0).argmax())}"
    return page.svg(figure, f"Histogram of the gradient of {variable.name} by step: {said}"), [_name(variable)]


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
