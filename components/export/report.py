"""The page that shows a training and its gradients."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.export.record import Record
from components.export.tables import layer_of
from components.step import page

POINTS = 150  # on a curve; a longer run is shown by the mean and the range of so many equal parts


def write_report(path: Path, record: Record) -> None:
    """Write the page."""
    last = record.epochs[-1]
    facts = [
        ("validation accuracy", f"{100 * last['validation_accuracy']:.2f} %"),
        ("validation loss", f"{last['validation_loss']:.4f}"),
        ("training loss", f"{last['train_loss']:.4f}"),
        ("epochs", str(len(record.epochs))),
        ("steps", f"{len(record.steps):,}"),
        ("variables", str(len(record.variables))),
    ]
    sections = [
        page.Section(
            "Loss and accuracy", "Of each step's images before it learned from them, and of the validation split.",
            page.pair(_by_epoch(record, "loss"), _by_epoch(record, "accuracy")),
        ),
    ]  # fmt: skip
    if record.level != "off":
        sections += [
            page.Section(
                "Gradient norm by layer",
                "The length of each layer's gradient at each step. A layer that stays far below the others learns "
                "little; one that climbs may diverge.",
                _norms(record),
            ),
            page.Section(
                "Gradient norm by variable", "Over all steps, and the median of the last epoch.", _norm_table(record)
            ),
        ]  # fmt: skip
    sections += [
        page.Section("Learning rate", "As the schedule gave it.", _learning_rate(record)),
        page.Section("Epochs", "What the training printed.", _epoch_table(record)),
    ]
    page.write(path, "Training and gradients", facts, sections)


def _by_epoch(record: Record, what: str) -> Markup:
    figure, axes = page.figure(width=4.8, height=3.4)
    _curve(axes, record.steps, record.column(what), page.PALETTE[0], "training, by step")
    ends = [epoch["epoch"] * record.steps_per_epoch for epoch in record.epochs]
    axes.plot(ends, [epoch[f"validation_{what}"] for epoch in record.epochs], "o-", color=page.PALETTE[1],
              markersize=4, label="validation, by epoch")  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylabel(what)
    if what == "loss":
        axes.set_yscale("log")
    else:
        low = min(epoch[f"validation_{what}"] for epoch in record.epochs)
        axes.set_ylim(min(low, float(np.median(record.column(what)))) - 0.05, 1.0)
    axes.legend()
    return page.svg(figure, f"{what} over the steps")


def _norms(record: Record) -> Markup:
    figure, axes = page.figure(height=3.6)
    layers: dict[str, npt.NDArray[np.float32]] = {}
    for name in record.variables:
        squares = np.square(record.column(name))
        layers[layer_of(name)] = layers.get(layer_of(name), np.zeros_like(squares)) + squares
    for index, (layer, squares) in enumerate(layers.items()):
        _curve(axes, record.steps, np.sqrt(squares), page.PALETTE[index % len(page.PALETTE)], layer)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("L2 norm of the gradient")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15), fontsize=9)
    return page.svg(figure, "Norm of each layer's gradient over the steps")


def _curve(axes: Any, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float32], color: str, label: str) -> None:
    """Draw a curve; one with more than POINTS points as the mean of equal parts, in a band from low to high."""
    if len(steps) <= POINTS:
        axes.plot(steps, values, color=color, linewidth=1.2, label=label)
        return
    edges = np.linspace(0, len(steps), POINTS + 1).astype(int)
    parts = [values[a:b] for a, b in itertools.pairwise(edges)]
    middle = [float(steps[a:b].mean()) for a, b in itertools.pairwise(edges)]
    low, high = ([float(np.quantile(part, q)) for part in parts] for q in (0.05, 0.95))
    axes.fill_between(middle, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(middle, [float(part.mean()) for part in parts], color=color, linewidth=1.2, label=label)


def _learning_rate(record: Record) -> Markup:
    figure, axes = page.figure(height=1.8)
    shown = np.unique(np.linspace(0, len(record.steps) - 1, POINTS).astype(int))
    axes.plot(record.steps[shown], record.column("learning_rate")[shown])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    return page.svg(figure, "Learning rate over the steps")


def _norm_table(record: Record) -> Markup:
    final = slice(-record.steps_per_epoch, None)
    rows = []
    for name in ("global_norm", *record.variables):
        values = record.column(name)
        shown = (np.median(values), values.min(), values.max(), np.median(values[final]))
        rows.append((name, *(f"{value:.3g}" for value in shown)))
    return page.table(("variable", "median", "smallest", "largest", "last epoch"), rows)


def _epoch_table(record: Record) -> Markup:
    names = list(record.epochs[0])
    rows = [[epoch["epoch"], *(f"{epoch[name]:.4f}" for name in names if name != "epoch")] for epoch in record.epochs]
    return page.table([name.replace("_", " ") for name in names], rows)
