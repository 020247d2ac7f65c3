"""What is drawn of a curve: as much of a run of a million steps as of one of a hundred, with every spike."""

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from components.artifacts import page
from components.artifacts.record.reader import Steps

Floats = npt.NDArray[np.floating]

POINTS = 150  # on a curve; a longer run is shown by so many equal parts
BAND = " In the band around a curve are nine of ten steps; a thin line leads to one that is far away from it."
FAR = 3  # times as far from the band as the band is wide


@dataclass(frozen=True)
class Line:
    """What is drawn of a curve, and said of it: of one with more than POINTS points each of so many equal parts.

    A part has its middle step, and its smallest, its 5 % quantile, its mean, its 95 % quantile, and its largest number.
    """

    steps: npt.NDArray[Any]  # [k]
    values: Floats  # float64 [k, 5] of parts, or [k]; NaN where there is no finite number
    span: Floats  # the smallest and the largest number above 0, if there are any
    told: str  # for those who cannot see it

    @classmethod
    def of(cls, steps: Steps, values: Floats) -> Self:
        """Return what is drawn of so many steps, and a number at each."""
        finite = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        positive = finite[finite > 0]
        span = np.array([positive.min(), positive.max()] if len(positive) else [])
        if len(steps) <= POINTS:
            return cls(steps, finite, span, told(steps, values))
        places, parts = _parts(steps, finite, POINTS)
        return cls(np.array(places), np.array([_five(part) for part in parts]), span, told(steps, values))

    @property
    def empty(self) -> bool:
        """Whether there is no finite number to draw."""
        return not np.isfinite(self.values).any()


def curve(axes: Any, line: Line, label: str, number: int = 0) -> None:
    """Draw the curve of that number; one of parts as their mean, in a band, with a thin line to what is far from it."""
    color = page.PALETTE[number % len(page.PALETTE)]
    style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": label}
    style["linestyle"] = "-" if number < len(page.PALETTE) else "--"
    if line.values.ndim == 1:
        axes.plot(line.steps, line.values, marker="." if len(line.steps) < 12 else "", **style)
        return
    known = np.isfinite(line.values[:, 0])
    middle, (least, low, mean, high, most) = line.steps[known], line.values[known].T
    below, above = (distance > FAR * (high - low) for distance in (low - least, most - high))
    spikes = np.column_stack([np.where(below, least, low), np.where(above, most, high), np.full_like(mean, np.nan)])
    axes.plot(
        np.repeat(middle, 3)[np.repeat(below | above, 3)], spikes[below | above].ravel(), color=color, linewidth=0.8
    )
    axes.fill_between(middle, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(middle, mean, **style)


def _five(part: Floats) -> list[float]:
    known = part[np.isfinite(part)]
    if not len(known):
        return [np.nan] * 5
    low, high = (float(np.quantile(known, share)) for share in (0.05, 0.95))
    return [float(known.min()), low, float(known.mean()), high, float(known.max())]


def _parts(steps: Steps, values: Floats, count: int) -> tuple[list[float], list[Floats]]:
    """Cut a curve into `count` equal parts; return the middle step of each, and its values."""
    edges = np.unique(np.linspace(0, len(steps), min(count, len(steps)) + 1).astype(int))
    pairs = list(itertools.pairwise(edges))
    return [float(steps[a:b].mean()) for a, b in pairs], [values[a:b] for a, b in pairs]


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
