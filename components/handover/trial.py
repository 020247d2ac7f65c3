"""What is handed over, tried as a server would run it: every test image, against what evaluate found."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.dataset import Images, at_once
from components.contract.errors import StepError

BATCH = 1000

# From images, uint8 [n, …], to `probabilities`, [n, classes], and `class`, [n].
Server = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[Any]]]


def difference(what: str, server: Server, images: Images, logits: npt.NDArray[np.float32], remedy: str) -> float:
    """Return the largest difference of a probability from those that follow from evaluate's logits, [n, classes].

    Raises `StepError`, which ends with a `remedy`, where a class is another one.
    """
    batch = at_once(images, BATCH)
    answers = [server(images[start : start + batch]) for start in range(0, len(images), batch)]
    classes = np.concatenate([each["class"] for each in answers])
    probabilities = np.concatenate([each["probabilities"] for each in answers])
    wanted = logits.argmax(axis=1)
    if len(wrong := np.flatnonzero(classes != wanted)):
        first = wrong[0]
        raise StepError(
            f"{what} gives {len(wrong):,} of {len(images):,} test images another class than evaluate found (image "
            f"{first}: {classes[first]} instead of {wanted[first]}), so it is not handed over; {remedy}"
        )
    return float(np.abs(probabilities - _softmax(logits)).max())


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
