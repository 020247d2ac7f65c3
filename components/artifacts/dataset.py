"""The images on the device, and the order in which the steps see them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts.model import pixels
from components.contract import artifact


@dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width], and labels, int32 [n], on the device."""

    images: tf.Tensor
    labels: tf.Tensor


def load(dataset: Path) -> tuple[Split, Split, int]:
    """Return the training and validation splits, and the number of classes."""
    training, validation = (
        Split(tf.constant(images), tf.constant(labels.astype(np.int32)))
        for images, labels in (arrays(dataset, name) for name in ("train", "validation"))
    )
    return training, validation, int(artifact.read(dataset).metadata["classes"])


def load_test(dataset: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], list[str]]:
    """Return images, uint8 [n, height, width], and labels, int64 [n], of the test split, and the classes' names."""
    images, labels = arrays(dataset, "test")
    return images, labels.astype(np.int64), list(artifact.read(dataset).metadata["class_names"])


def arrays(dataset: Path, split: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer[Any]]]:
    """Return images and labels of a split, as they are in the data set: `train`, `validation` or `test`."""
    images, labels = (np.load(dataset / f"{split}-{what}.npy", allow_pickle=False) for what in ("images", "labels"))
    return images, labels


def batches(seed: int, epoch: int, count: int, steps: int, batch: int) -> npt.NDArray[np.int32]:
    """Return which of `count` images each step of an epoch sees, int32 [steps, batch]: a new order each epoch.

    It follows from the seed and the epoch alone, so a run that is resumed needs no state for it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)[: steps * batch]
    return order.reshape(steps, batch).astype(np.int32)


def normalised(images: tf.Tensor) -> tf.Tensor:
    """Return uint8 [n, height, width] as float32 [n, height, width, 1] in 0..1."""
    return pixels(images, 1)
