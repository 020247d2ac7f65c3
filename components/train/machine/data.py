"""The images on the device, and the order in which the steps see them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts import dataset as datasets
from components.contract.errors import BadInput
from components.train.component import TrainParameters
from components.train.machine.objective import with_weights


@dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width], labels, int32 [n], and weights, float32 [n], or none, on the device.

    The mean of the weights is 1: what counts is how they stand to each other, so that the learning rate and the loss
    mean what they do without any.
    """

    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor | None = None


def load(dataset: Path) -> tuple[Split, Split, int]:
    """Return the training and validation splits, and the number of classes."""
    classes = len(datasets.class_names(dataset))
    splits = (split_of(split, *datasets.read(dataset, split, classes=classes)) for split in ("train", "validation"))
    training, validation = splits
    return training, validation, classes


def split_of(
    name: str,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float32] | None = None,
) -> Split:
    """Return a split on the device; raise `BadInput` for weights that are none."""
    known = None
    if weights is not None:
        mean = math.fsum(weights.tolist()) / len(weights)  # exact, in whatever order
        if not (math.isfinite(mean) and mean > 0 and (weights >= 0).all()):
            raise BadInput(
                f"the weights of the {name} images must be 0 or more, and some above 0; their mean is {mean:g}"
            )
        known = tf.constant((weights / mean).astype(np.float32))
    return Split(tf.constant(images), tf.constant(labels.astype(np.int32)), known)


def noise(parameters: TrainParameters) -> tuple[Split, Split, int]:
    """Return as many random images as a step takes, with random labels, for both splits."""
    count, random = parameters.batch_size * parameters.accumulate, np.random.default_rng(parameters.seed)
    images, labels = random.integers(0, 256, (max(count, 2), 28, 28), np.uint8), random.integers(0, 10, max(count, 2))
    split = Split(tf.constant(images), tf.constant(labels.astype(np.int32)))
    return split, split, 10


def labels_of(split: Split, chosen: tf.Tensor, *, mixes: bool = False) -> tf.Tensor:
    """Return the labels of some images, int32 [n]; of what has weights, or is to be mixed, as `Objective` says."""
    labels = tf.gather(split.labels, chosen)
    weights = None if split.weights is None else tf.gather(split.weights, chosen)
    return labels if weights is None and not mixes else with_weights(labels, weights)


def batches(seed: int, epoch: int, count: int, steps: int, batch: int) -> npt.NDArray[np.int32]:
    """Return which of `count` images each step of an epoch sees, int32 [steps, batch]: a new order each epoch.

    It follows from the seed and the epoch alone, so a run that is resumed needs no state for it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)[: steps * batch]
    return order.reshape(steps, batch).astype(np.int32)
