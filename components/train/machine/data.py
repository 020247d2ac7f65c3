"""The images and labels that are learned from, on the device as far as there is room for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts import dataset as datasets
from components.artifacts.shards import Shards
from components.contract.errors import BadInput
from components.train.component import TrainParameters
from components.train.machine.objective import with_weights

MIB = 2**20
WHOLE = 3  # windows, up to which a set is held as a whole: two of them are in memory, and a little of the files
ALIGNED = 64  # bytes, as TensorFlow needs its tensors to be


@dataclass(frozen=True)
class Split:
    """Labels, int32 [n], and weights, float32 [n], or none, on the device; images, uint8 [n, height, width, …].

    The images are on the device, too, or else in their files, and read some at a time.
    The mean of the weights is 1: what counts is how they stand to each other, so that the learning rate and the loss
    mean what they do without any.
    """

    images: tf.Tensor | datasets.Images
    labels: tf.Tensor
    weights: tf.Tensor | None = None

    @property
    def tensors(self) -> tuple[tf.Tensor, ...]:
        """What there is of images, labels and weights."""
        return (self.images, self.labels, *(() if self.weights is None else (self.weights,)))


def load(dataset: Path, megabytes: int) -> tuple[Split, Split, int]:
    """Return the training and validation splits, and the number of classes.

    The training images are a tensor if they are not much larger than a window of so many MiB.
    """
    classes = len(datasets.class_names(dataset))
    training, validation = (
        split_of(split, *datasets.read(dataset, split, classes=classes)) for split in ("train", "validation")
    )
    if isinstance(training.images, Shards) and training.images.nbytes <= WHOLE * megabytes * MIB:
        images = room_for(training.images.shape)
        training.images.into(images, np.arange(len(images)))
        training = replace(training, images=tensor_of(images))
    return training, validation, classes


def placed(split: Split, numbers: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]) -> Split:
    """Return the images of those numbers, which have been read, with what belongs to them, on the device."""
    weights = None if split.weights is None else tf.gather(split.weights, numbers)
    return Split(tensor_of(images), tf.gather(split.labels, numbers), weights)


def room_for(shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return an array for images, to be filled, which `tensor_of` need not copy."""
    size = math.prod(shape)
    raw = np.empty(size + ALIGNED, np.uint8)
    first = -raw.ctypes.data % ALIGNED
    return raw[first : first + size].reshape(shape)


def tensor_of(images: npt.NDArray[np.uint8]) -> tf.Tensor:
    """Return images on the device; on the processor in the same memory, so they must not be changed any more."""
    if images.ctypes.data % ALIGNED or not images.size:
        return tf.constant(images)
    held = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    if not tf.config.get_visible_devices("GPU"):
        return held
    with tf.device("GPU:0"):
        return tf.identity(held)


def split_of(
    name: str,
    images: datasets.Images,
    labels: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float32] | None = None,
) -> Split:
    """Return a split, its images as they are; raise `BadInput` for weights that are none."""
    known = None
    if weights is not None:
        mean = math.fsum(weights.tolist()) / len(weights)  # exact, in whatever order
        if not (math.isfinite(mean) and mean > 0 and (weights >= 0).all()):
            raise BadInput(
                f"the weights of the {name} images must be 0 or more, and some above 0; their mean is {mean:g}"
            )
        known = tf.constant((weights / mean).astype(np.float32))
    return Split(images, tf.constant(labels.astype(np.int32)), known)


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
