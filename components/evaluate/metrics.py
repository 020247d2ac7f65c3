"""How good a classifier is, in numbers; by scikit-learn and SciPy wherever they have it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats
import sklearn
import sklearn.metrics

CONFIDENCE = 0.95
CALIBRATION_BINS = 15
ROC_POINTS = 100

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


def measure(logits: Floats, labels: Ints, class_names: Sequence[str], weights: Floats | None = None) -> dict[str, Any]:
    """Return all figures of a classifier from its logits [n, classes] and the true labels [n].

    `accuracy_interval` is Wilson's (1927), at 95 %. `calibration_error` is the expected one with 15 equal bins (Guo et
    al. 2017, arXiv 1706.04599). `roc_auc` is the micro-average over the classes. Every image counts once; where
    there are `weights`, [n], what begins with `weighted_` has each image count as much as it weighs.
    """
    classes = len(class_names)
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    right = int((predicted == labels).sum())
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=0.0
    )
    calibration = reliability(probabilities.max(axis=1), predicted == labels)
    curve, area = roc(probabilities, labels)
    weighted = _weighted(probabilities, predicted, labels, class_names, weights) if weights is not None else {}
    return weighted | {
        "images": len(labels),
        "mistakes": len(labels) - right,
        "accuracy": right / len(labels),
        "accuracy_interval": wilson(right, len(labels)),
        "loss": float(sklearn.metrics.log_loss(labels, probabilities, labels=range(classes))),
        "calibration_error": calibration_error(calibration, len(labels)),
        "roc_auc": area,
        "classes": [
            {
                "name": name,
                "images": int(support[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(class_names)
        ],
        "confusion_matrix": sklearn.metrics.confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
        "calibration": calibration,
        "roc": curve,
    }


def _weighted(
    probabilities: Floats, predicted: Ints, labels: Ints, class_names: Sequence[str], weights: Floats
) -> dict[str, Any]:
    """Return accuracy, loss, and recall by class, with each image counted as much as it weighs."""
    known: Any = {"sample_weight": weights.astype(np.float64)}
    classes = range(len(class_names))
    recall = sklearn.metrics.recall_score(labels, predicted, labels=classes, average=None, zero_division=0.0, **known)
    return {
        "weighted_accuracy": float(sklearn.metrics.accuracy_score(labels, predicted, **known)),
        "weighted_loss": float(sklearn.metrics.log_loss(labels, probabilities, labels=classes, **known)),
        "weighted_recall": {name: float(recall[i]) for i, name in enumerate(class_names)},
    }


def wilson(successes: int, count: int) -> list[float]:
    """Return the Wilson score interval [low, high] of a share, at 95 %."""
    interval = scipy.stats.binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return [float(interval.low), float(interval.high)]


def reliability(confidence: Floats, right: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    """Return, for each bin of confidence that has any, the number of answers, their mean confidence and accuracy."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        {
            "count": int((bins == index).sum()),
            "confidence": float(confidence[bins == index].mean()),
            "accuracy": float(right[bins == index].mean()),
        }
        for index in np.unique(bins)
    ]


def calibration_error(bins: Sequence[dict[str, float]], count: int) -> float:
    """Return the mean distance of confidence and accuracy over the bins, weighted by their answers."""
    # Not `sum`: from Python 3.12 on it rounds otherwise than before.
    return math.fsum(each["count"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / count


def roc(probabilities: Floats, labels: Ints) -> tuple[list[dict[str, float]], float]:
    """Return the micro-averaged ROC curve, thinned to ROC_POINTS points with finite thresholds, and its area."""
    truth = np.eye(probabilities.shape[1])[labels].reshape(-1)
    false_positive, true_positive, thresholds = sklearn.metrics.roc_curve(truth, probabilities.reshape(-1))
    area = float(sklearn.metrics.auc(false_positive, true_positive))
    # Most of a good classifier's curve is within the first thousandth, so the points are even along its length.
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(false_positive), np.diff(true_positive)))])
    chosen = np.unique(np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS)))
    curve = [
        {
            "confidenceThreshold": float(min(thresholds[i], 1.0)),  # scikit-learn begins at infinity
            "recall": float(true_positive[i]),
            "falsePositiveRate": float(false_positive[i]),
        }
        for i in chosen
    ]
    return curve, area
