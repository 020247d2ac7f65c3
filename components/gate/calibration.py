"""How much worse calibrated one model is than another on the same images, and how sure that is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

BINS = 15  # as in evaluate's calibration error
RESAMPLES = 1000


def compared(
    ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    """Return the expected calibration error of both (logits [n, classes]), and a 95 % interval of the difference.

    The interval is the percentile bootstrap's over the images (Efron 1979), the same resamples for both and for
    every call.
    """
    gaps = [_gaps(logits, labels) for logits in (ours, theirs)]
    random, count = np.random.default_rng(0), len(labels)
    differences = []
    for _ in range(RESAMPLES):
        chosen = random.integers(count, size=count)
        mine, other = (_error(gap[chosen], bins[chosen]) for gap, bins in gaps)
        differences.append(mine - other)
    low, high = np.percentile(differences, [2.5, 97.5])
    return {"ours": _error(*gaps[0]), "theirs": _error(*gaps[1]), "interval": [float(low), float(high)]}


def _gaps(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return by how much each image is righter than the model is sure, and in which bin it is."""
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    return (logits.argmax(axis=1) == labels) - confidence, bins


def _error(gaps: npt.NDArray[np.float64], bins: npt.NDArray[np.intp]) -> float:
    """Return the mean over the bins of |accuracy - confidence|, each weighted by its images."""
    return float(np.abs(np.bincount(bins, gaps, minlength=BINS)).sum() / len(gaps))
