"""The maps of a training: gradients by variable and step, and their histograms over the steps."""

import itertools

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.record.columns import EXPONENTS
from components.artifacts.record.reader import Record, Variable
from components.export.figures import NOTHING, by_step, kernels
from components.export.line import Floats

COLUMNS = 120  # of a map
ROWS = 60  # variables up to which each has its name in the map; of more, so many that they can be read
LABELS = 40
MOST = 500  # variables in the map
HEAT = "viridis"


def of_norms(record: Record) -> Markup:
    """Draw variable × step: the root mean square of the numbers of each gradient, in powers of ten."""
    variables = record.variables[:MOST]
    apart = rows_for_a_name(len(variables))
    edges = np.unique(np.linspace(0, len(record.steps), min(COLUMNS, len(record.steps)) + 1).astype(int))
    cells = np.array([_cells(record, index, edges) for index in range(len(variables))])
    if not (cells > 0).any():
        return NOTHING
    figure, axes = page.figure(height=1.3 + 0.2 * len(variables) / apart)
    shown = np.log10(np.where(cells > 0, cells, np.nan))
    extent = (float(record.steps[0]) - 0.5, float(record.steps[-1]) + 0.5, len(variables) - 0.5, -0.5)
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap=HEAT, extent=extent)
    axes.set_yticks(range(0, len(variables), apart), [_name(variable) for variable in variables[::apart]])
    by_step(axes, 4)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="log10 of the RMS", location="top", aspect=40, shrink=0.8)
    middle = [(np.nanmedian(row), variable.name) for row, variable in zip(cells, variables, strict=True)
              if np.isfinite(row).any()]  # fmt: skip
    (low, weakest), (high, strongest) = min(middle), max(middle)
    return page.svg(
        figure, f"Map of the gradients of {len(variables)} variables by step: the smallest are those of {weakest}, "
        f"with a median RMS of {low:.2g}, the largest those of {strongest}, with {high:.2g}",
    )  # fmt: skip


def rows_for_a_name(variables: int) -> int:
    """Return how many rows of the map there are for each name beside it."""
    return 1 if variables <= ROWS else -(-min(variables, MOST) // LABELS)


def _name(variable: Variable) -> str:
    return page.short("/".join(variable.name.split("/")[-2:]), 22)


def _cells(record: Record, index: int, edges: npt.NDArray[np.int64]) -> list[float]:
    """Return the median of the finite numbers of each part of a variable's row; NaN where there is none."""
    rms = record.norms.column(index).astype(np.float64) / np.sqrt(record.variables[index].size)
    parts = (rms[a:b] for a, b in itertools.pairwise(edges))
    known = (part[np.isfinite(part)] for part in parts)
    return [float(np.median(part)) if len(part) else np.nan for part in known]


def histograms(record: Record) -> Markup:
    """Draw how the sizes of each kernel's gradient spread over the octaves, and move with the steps."""
    chosen = kernels(record)
    # Signs are put together; zeros and what is not finite are left out.
    parts = list(record.histogram_sums(COLUMNS, chosen))
    steps = [step for step, _ in parts]
    sums = np.array([counts[:, :EXPONENTS] + counts[:, EXPONENTS:] for _, counts in parts])
    sums[:, :, [0, -1]] = 0
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
