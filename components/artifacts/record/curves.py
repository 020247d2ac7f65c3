"""The course of a training as curves of some hundred points, for whoever keeps such."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.record.reader import Record, read

POINTS = 300  # on a curve; of a longer run the mean of so many equal parts


def curves(outputs: Mapping[str, Path]) -> dict[str, list[tuple[int, float]]]:
    """Return, by name, steps and values: each step's scalars, and those of the validation images after each epoch."""
    record = read(outputs["gradients"])
    found = {name: _thinned(record.steps, record.column(name)) for name in record.scalars}
    return found | _by_epoch(record)


def _by_epoch(record: Record) -> dict[str, list[tuple[int, float]]]:
    names = dict.fromkeys(name for epoch in record.epochs for name in epoch if name.startswith("validation_"))
    per_epoch = int(record.settings["steps_per_epoch"])
    steps = np.array([int(epoch["epoch"]) * per_epoch for epoch in record.epochs], np.int64)
    values = {name: np.array([epoch[name] for epoch in record.epochs], np.float64) for name in names}
    return {name: _thinned(steps, each) for name, each in values.items()}


def _thinned(steps: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> list[tuple[int, float]]:
    """Return at most POINTS points: the last step of each equal part, and the mean of its finite values."""
    edges = np.unique(np.linspace(0, len(steps), min(POINTS, len(steps)) + 1).astype(int))
    points = []
    for begin, end in itertools.pairwise(edges):
        known = values[begin:end][np.isfinite(values[begin:end])]
        if len(known):
            points.append((int(steps[end - 1]), float(known.mean(dtype=np.float64))))
    return points
