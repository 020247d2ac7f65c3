"""The images on the device, and the order in which the steps see them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts import dataset as datasets


@dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width], and labels, int32 [n], on the device."""

    images: tf.Tensor
    labels: tf.Tensor


def load(dataset: Path) -> tuple[Split, Split, int]:
    """Return the training and validation splits, and the number of classes."""
    training, validation = (
        Split(tf.constant(each.images), tf.constant(each.labels.astype(np.int32)))
        for each in (datasets.read(dataset, split) for split in ("train", "validation"))
    )
    return training, validation, len(datasets.class_names(dataset))


def batches(seed: int, epoch: int, count: int, steps: int, batch: int) -> npt.NDArray[np.int32]:
    """Return which of `count` images each step of an epoch sees, int32 [steps, batch]: a new order each epoch.

    It follows from the seed and the epoch alone, so a run that is resumed needs no state for it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)[: steps * batch]
    return order.reshape(steps, batch).astype(np.int32)
