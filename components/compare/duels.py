"""Which of several runs is better on the same test images, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from components.artifacts import paired
from components.artifacts.paired import Pair
from components.compare.runs import Run

SIGNIFICANCE = 1 - paired.CONFIDENCE


@dataclass(frozen=True)
class Duel:
    """Two runs on the same images; of both the one that has more right is `ours`."""

    ours: Run
    theirs: Run
    pair: Pair
    p: float  # McNemar's, exact, two-sided
    adjusted: float  # by Holm's method, for all pairs of the page
    interval: tuple[float, float]  # of the difference of accuracies, by Tango's method, at 95 %

    @property
    def sure(self) -> bool:
        """Whether the difference is hardly by chance."""
        return self.adjusted < SIGNIFICANCE


def comparable(runs: Sequence[Run]) -> list[Run]:
    """Return the runs whose answers are for the same test set: of several sets that of the most, or else the first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.logits is not None and run.test_set is not None:
            groups.setdefault(run.test_set.name, []).append(run)
    return max(groups.values(), key=len, default=[])


def right(run: Run) -> npt.NDArray[np.bool_]:
    """Return which images a run has right, [n]."""
    if run.answers is None or run.test_set is None:
        raise ValueError(f"{run.name} has no answers")
    return np.asarray(run.answers == run.test_set.labels, np.bool_)


def duels(runs: Sequence[Run]) -> list[Duel]:
    """Hold each two of some comparable runs against each other; of each pair the better one comes first."""
    pairs = []
    for one, other in combinations(runs, 2):
        ours, theirs = (other, one) if right(other).sum() > right(one).sum() else (one, other)
        if ours.answers is None or theirs.answers is None or ours.test_set is None:
            raise ValueError("only runs with answers are held against each other")
        pairs.append((ours, theirs, paired.counts(ours.answers, theirs.answers, ours.test_set.labels)))
    values = [paired.mcnemar(pair) for _, _, pair in pairs]
    return [
        Duel(ours, theirs, pair, p, adjusted, paired.interval(pair))
        for (ours, theirs, pair), p, adjusted in zip(pairs, values, paired.holm(values), strict=True)
    ]


def only_right(runs: Sequence[Run]) -> dict[str, list[int]]:
    """Return, by its letter, the images that just one of the runs has right, the ones that it is surest of first."""
    if len(runs) < 2:
        return {}
    alone = np.sum([right(run) for run in runs], axis=0) == 1
    found = {}
    for run in runs:
        images = np.flatnonzero(alone & right(run))
        if run.test_set is not None and run.logits is not None:
            chosen = scipy.special.softmax(run.logits[images].astype(np.float64), axis=1)
            sure = chosen[np.arange(len(images)), run.test_set.labels[images]]
            images = images[np.argsort(-sure.round(6), kind="stable")]
        found[run.letter] = [int(image) for image in images]
    return found


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return Wilson's interval of a share, at 95 %."""
    found = scipy.stats.binomtest(successes, count).proportion_ci(paired.CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def loss_interval(run: Run) -> tuple[float, float] | None:
    """Return the interval of the mean cross entropy, at 95 %, from its spread over the images; None without answers."""
    if run.logits is None or run.test_set is None:
        return None
    logits = run.logits.astype(np.float64)
    of_label = logits[np.arange(len(logits)), run.test_set.labels]
    values = scipy.special.logsumexp(logits, axis=1) - of_label
    half = float(scipy.stats.norm.ppf((1 + paired.CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half
