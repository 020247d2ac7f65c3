"""The gradient noise scale: how large a batch may be before its gradient has hardly any noise left."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.artifacts.record.reader import Record
from components.artifacts.record.table import Table

SMOOTHING = 0.9  # of the moving averages, from one step with statistics to the next


@dataclass(frozen=True)
class NoiseScale:
    """B = tr Σ / |G|², in images, at the m steps with statistics, of all V variables together and of each.

    NaN where no estimate is: |G|² is estimated without bias, so by chance it may come out as nothing or less.
    """

    steps: npt.NDArray[np.int64]  # [m]
    values: Table  # float64 [m, 1 + V], the first column that of all together
    overall: float  # over the second half of the run; NaN where no signal was found
    low: float  # two standard errors of the signal below and above it; infinite where there may be no signal
    high: float

    @property
    def total(self) -> npt.NDArray[np.float64]:
        """That of all variables together, float64 [m]."""
        return self.values.column(0)


def measure(record: Record) -> NoiseScale | None:
    """Return the noise scale (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.9), or None where nothing tells of it.

    Both estimates scatter, and a ratio of scattered numbers is biased, so each is averaged before they are divided
    (appendix A.1).
    """
    if not len(record.stats_steps):
        return None
    parts = [
        (np.isfinite(noise).any(), np.isfinite(noise).all(axis=1), noise.sum(axis=1), signal.sum(axis=1))
        for noise, signal in _estimates(record)
    ]
    if not any(known for known, *_ in parts):
        return None
    finite, traces, squares = (np.concatenate(each) for each in list(zip(*parts, strict=True))[1:])
    late = (record.stats_steps >= record.steps[-1] / 2) & finite
    trace, square = traces[late], squares[late]
    error = 2 * square.std() / math.sqrt(len(square)) if len(square) else math.nan
    overall, low, high = (
        _quotient(math.fsum(trace), math.fsum(square) + sign * error * len(square)) for sign in (0, 1, -1)
    )
    return NoiseScale(
        steps=record.stats_steps,
        values=Table(lambda: _ratios(record), len(record.stats_steps), 1 + len(record.variables), np.float64),
        overall=overall if math.isfinite(overall) else math.nan,
        low=low,
        high=high,
    )


def _estimates(record: Record) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Yield noise and signal of some steps after the other, float64 [k, V] each."""
    for pair in zip(record.stat("noise").blocks(), record.stat("signal").blocks(), strict=True):
        noise, signal = (each.astype(np.float64) for each in pair)
        yield noise, signal


def _ratios(record: Record) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the noise scale of some steps after the other, float64 [k, 1 + V]."""
    above, below = Average(1 + len(record.variables)), Average(1 + len(record.variables))
    for noise, signal in _estimates(record):
        yield _ratio(*(
            average.of(np.column_stack([each.sum(axis=1), each]))
            for average, each in ((above, noise), (below, signal))
        ))  # fmt: skip


class Average:
    """An exponential moving average of each of some columns, without the bias of its start; NaN are passed over.

    The correction of the start is that of Adam (Kingma & Ba 2014, arXiv 1412.6980, section 3).
    """

    def __init__(self, columns: int) -> None:
        self._average, self._weight = np.zeros(columns), np.zeros(columns)

    def of(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the averages after each of the rows that come next, float64 [k, columns]."""
        average, weight = self._average, self._weight
        smoothed = np.empty_like(values)
        for index, row in enumerate(values):
            known = np.isfinite(row)
            average = np.where(known, SMOOTHING * average + (1 - SMOOTHING) * np.where(known, row, 0), average)
            weight = np.where(known, SMOOTHING * weight + (1 - SMOOTHING), weight)
            smoothed[index] = np.divide(average, weight, out=np.full_like(average, np.nan), where=weight > 0)
        self._average, self._weight = average, weight
        return smoothed


def _quotient(noise: float, signal: float) -> float:
    return noise / signal if signal > 0 else math.inf


def _ratio(noise: npt.ArrayLike, signal: npt.ArrayLike) -> npt.NDArray[np.float64]:
    above, below = np.asarray(noise, np.float64), np.asarray(signal, np.float64)
    ratio = np.full(above.shape, np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio
