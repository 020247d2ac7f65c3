"""Labels to look at again: images of the training and validation splits whose label a trained model contradicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

LISTED = 100  # of each split, in metrics.json

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


def contradicted(logits: Floats, labels: Ints, origins: Sequence[str]) -> dict[str, Any]:
    """Return how many labels, [n], the logits, [n, classes], contradict, and which: the largest margin first.

    A label is contradicted by another class that the model is as sure of as it is, on average, of the images of that
    class (confident learning: Northcutt et al. 2021, arXiv 1911.00068). The margin is by how much more probable the
    answer is than the label. Of images that the model has learned it finds fewer than there are: a model that learned
    every label by heart contradicts none.
    """
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=logits.shape[1])
    usual = np.bincount(labels, own, minlength=logits.shape[1]) / np.maximum(counts, 1)
    sure = (probabilities >= usual) & (counts > 0)
    answers = np.where(sure, probabilities, -1.0).argmax(axis=1)
    margins = probabilities[np.arange(len(labels)), answers] - own
    found = np.flatnonzero(sure.any(axis=1) & (answers != labels) & (margins > 0))
    found = found[np.argsort(-margins[found], kind="stable")]
    return {
        "images": len(labels),
        "contradicted": len(found),
        "first": [
            {
                "image": int(i),
                "origin": origins[i],
                "label": int(labels[i]),
                "answer": int(answers[i]),
                "margin": float(margins[i]),
            }
            for i in found[:LISTED]
        ],
    }
