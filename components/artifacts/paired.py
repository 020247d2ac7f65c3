"""Two models on the same images: is one better, is it not worse, and what difference can this many images show.

Everything is about the difference of two accuracies, ours less theirs, between -1 and 1. Only images that one model has
right and the other wrong say anything about it. Test and interval of a difference are both Tango's score method, so
that they never contradict each other: at 2.5 % "not worse by a margin" holds just where the 95 % interval lies above
it.

McNemar, Psychometrika 12 (1947) 153, exact as in Liddell, JRSS D 32 (1983) 295. Tango, Statistics in Medicine 17 (1998)
891. Connor, Biometrics 43 (1987) 207. Holm, Scandinavian Journal of Statistics 6 (1979) 65.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.stats

CONFIDENCE = 0.95
Alternative = Literal["two-sided", "greater", "less"]
_EDGE = 1e-12  # how near to a difference of 1 an interval is looked for


class Pair(NamedTuple):
    """How many of `n` images both models have right, only ours, only theirs, and neither."""

    n: int
    both: int
    only_ours: int
    only_theirs: int
    neither: int

    @property
    def difference(self) -> float:
        """The accuracy of ours less that of theirs."""
        return (self.only_ours - self.only_theirs) / self.n

    @property
    def discordant_share(self) -> float:
        """The share of images that just one of them has right."""
        return (self.only_ours + self.only_theirs) / self.n


def counts(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Pair:
    """Count the images by who has them right; `ours` and `theirs` are classes [n], as the labels are.

    Raises `ValueError` for arrays of different lengths, or without images.
    """
    if not len(labels) or not ours.shape == theirs.shape == labels.shape == (len(labels),):
        raise ValueError(f"answers of shape {ours.shape} and {theirs.shape} for labels of shape {labels.shape}")
    mine, other = ours == labels, theirs == labels
    both, only_ours, only_theirs = (int(np.sum(each)) for each in (mine & other, mine & ~other, ~mine & other))
    return Pair(len(labels), both, only_ours, only_theirs, len(labels) - both - only_ours - only_theirs)


def mcnemar(pair: Pair, alternative: Alternative = "two-sided") -> float:
    """Return the p-value of McNemar's exact test that both are equally accurate.

    `greater` asks whether ours is the better one, `less` whether it is the worse one.
    """
    discordant = pair.only_ours + pair.only_theirs
    if not discordant:
        return 1.0
    return float(scipy.stats.binomtest(pair.only_ours, discordant, 0.5, alternative=alternative).pvalue)


def interval(pair: Pair, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Tango's interval of the difference: every one that the score test does not reject, from two sides."""
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    return (
        _crossing(lambda difference: score(pair, difference) - z, -1 + _EDGE, pair.difference),
        _crossing(lambda difference: score(pair, difference) + z, pair.difference, 1 - _EDGE),
    )


def _crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses zero; the end next to 1 or -1 where it does not."""
    if low >= high or function(low) <= 0:
        return round(low)
    if function(high) >= 0:
        return round(high)
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-12))


def score(pair: Pair, difference: float) -> float:
    """Return Tango's statistic: how many standard errors the difference found lies above this one.

    The error is that of the most likely shares with such a difference, so it is right also where one count is 0.
    """
    above = pair.only_ours - pair.only_theirs - pair.n * difference
    variance = pair.n * (2 * _only_theirs(pair, difference) + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, above) if above else 0.0
    return above / math.sqrt(variance)


def _only_theirs(pair: Pair, difference: float) -> float:
    """Return the most likely share of images that only theirs has right, if that is the difference (Tango, eq. 12)."""
    a = 2 * pair.n
    b = (2 * pair.n - pair.only_ours + pair.only_theirs) * difference - pair.only_ours - pair.only_theirs
    c = -pair.only_theirs * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    found = (root - b) / (2 * a) if b <= 0 else -2 * c / (root + b)  # the same root, without cancellation
    return max(found, 0.0, -difference)


def not_inferior(pair: Pair, margin: float) -> float:
    """Return the p-value of the score test that ours is less accurate than theirs by `margin` or more.

    A small one says that it is not. `margin` is a share of the images: 0.002 are two images in a thousand.
    """
    return float(scipy.stats.norm.sf(score(pair, -margin)))


def smallest(n: int, discordant_share: float, power: float = 0.8, significance: float = 1 - CONFIDENCE) -> float:
    """Return the smallest difference that McNemar's two-sided test finds with that power on `n` images (Connor).

    `discordant_share` is the share of images that just one of both has right. A difference is never larger than it: if
    the test does not see that one either, the smallest with a share of its own size is returned, at most 1.
    """
    z, reach = scipy.stats.norm.ppf([1 - significance / 2, power])
    root = math.sqrt(max(0.0, n - z * z + reach * reach))
    difference = math.sqrt(discordant_share) * (z * math.sqrt(n) + reach * root) / (n + reach * reach)
    if 0 < difference <= discordant_share:
        return float(difference)
    return _crossing(lambda share: (z + reach * math.sqrt(1 - share)) ** 2 - n * share, _EDGE, 1 - _EDGE)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of several tests, adjusted so that one of them is wrongly small as seldom as for a single."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
