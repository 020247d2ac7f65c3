"""The gradient noise scale: how large a batch may be before its gradient has hardly any noise left."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.artifacts.record.reader import Record

SMOOTHING = 0.9  # of the moving averages, from one step with statistics to the next


@dataclass(frozen=True)
class NoiseScale:
    """B = tr Σ / |G|², in images, at the steps with statistics: float64 [m], and [m, V] for single variables.

    NaN where no estimate is: |G|² is estimated without bias, so by chance it may come out as nothing or less.
    """

    steps: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    by_variable: npt.NDArray[np.float64]
    overall: float  # over the second half of the run; NaN where no signal was found
    low: float  # two standard errors of the signal below and above it; infinite where there may be no signal
    high: float


def measure(record: Record) -> NoiseScale | None:
    """Return the noise scale (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.9), or None where nothing tells of it.

    Both estimates scatter, and a ratio of scattered numbers is biased, so each is averaged before they are divided
    (appendix A.1).
    """
    if not len(record.stats_steps):
        return None
    noise, signal = (record.stat(name).astype(np.float64) for name in ("noise", "signal"))
    if not np.isfinite(noise).any():
        return None
    late = (record.stats_steps >= record.steps[-1] / 2) & np.isfinite(noise).all(axis=1)
    trace, square = noise.sum(axis=1)[late], signal.sum(axis=1)[late]
    error = 2 * square.std() / math.sqrt(len(square)) if len(square) else math.nan
    overall, low, high = (
        _quotient(math.fsum(trace), math.fsum(square) + sign * error * len(square)) for sign in (0, 1, -1)
    )
    return NoiseScale(
        steps=record.stats_steps,
        total=_ratio(smooth(noise.sum(axis=1)), smooth(signal.sum(axis=1))),
        by_variable=_ratio(smooth(noise), smooth(signal)),
        overall=overall if math.isfinite(overall) else math.nan,
        low=low,
        high=high,
    )


def smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the exponential moving average along the first axis, without the bias of its start; NaN are passed over.

    The correction of the start is that of Adam (Kingma & Ba 2014, arXiv 1412.6980, section 3).
    """
    average, weight = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    smoothed = np.empty_like(values)
    for index, row in enumerate(values):
        known = np.isfinite(row)
        average = np.where(known, SMOOTHING * average + (1 - SMOOTHING) * np.where(known, row, 0), average)
        weight = np.where(known, SMOOTHING * weight + (1 - SMOOTHING), weight)
        smoothed[index] = np.divide(average, weight, out=np.full_like(average, np.nan), where=weight > 0)
    return smoothed


def _quotient(noise: float, signal: float) -> float:
    return noise / signal if signal > 0 else math.inf


def _ratio(noise: npt.ArrayLike, signal: npt.ArrayLike) -> npt.NDArray[np.float64]:
    above, below = np.asarray(noise, np.float64), np.asarray(signal, np.float64)
    ratio = np.full(above.shape, np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio
