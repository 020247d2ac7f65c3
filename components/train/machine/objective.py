"""What a step minimises: the mean loss of a batch, and what Keras adds to it.

The labels of a batch are int32 [batch], a class each. Where images have weights, or augmentations mix them, they are
float32 [batch, labels, 2]: of each image one or several labels, the main one first, each a class and how much it
counts. The loss of an image is then the sum over its labels of weight · loss(class). The mean over a batch divides by
the number of images, not by the sum of the weights: so the mean over its parts, by accumulation, by replicas or image
by image, is that of the whole.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from components.contract.plugins import Bound


def with_weights(classes: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Return labels, float32 [batch, 1, 2], of classes, int32 [batch], and weights, float32 [batch]; without any, 1."""
    known = tf.cast(classes, tf.float32)  # exact up to 2^24 classes
    return tf.stack([known, tf.ones_like(known) if weights is None else weights], 1)[:, tf.newaxis]


def main_classes(labels: tf.Tensor) -> tf.Tensor:
    """Return the class by which an image's answer is right or wrong, int32 [batch]."""
    return labels if labels.dtype.is_integer else tf.cast(labels[:, 0, 0], tf.int32)


class Objective:
    """`loss(labels, logits)` as the ways in steps/ call it: a scalar, times `scale`."""

    def __init__(
        self, network: keras.Model, per_image: Bound, class_weights: Sequence[float], scale: float, *, adds: bool
    ) -> None:
        self.network = network
        self.per_image = per_image
        self.class_weights = class_weights  # of each class, or none at all
        self.scale = scale  # so that small gradients do not underflow in float16; a power of two
        self.adds = adds  # whether the network has losses of its own

    def __call__(self, labels: tf.Tensor, logits: tf.Tensor, added: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """Return the mean loss of the data and what Keras adds: regularizers, and what layers gave to add_loss.

        That is `added`, or, if it is not given, what the network's last call left.
        """
        total = self.mean(labels, logits)
        for each in (self.network.losses if added is None else added) if self.adds else ():
            total += tf.cast(each, total.dtype)
        return total * self.scale if self.scale != 1 else total

    def data(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the mean loss of the data alone, a float32 scalar."""
        return tf.cast(self.mean(labels, logits), tf.float32)

    def mean(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the same as it is computed: in float32, also where the network computes in less, or in more."""
        return tf.reduce_mean(self.values(labels, logits))

    def values(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the loss of each image, weighted, [batch]; or one number, where the person's loss gives no more."""
        if labels.dtype.is_integer:
            return self._of_classes(labels, logits)
        parts = []
        for label in tf.unstack(labels, axis=1):
            values = self._of_classes(tf.cast(label[:, 0], tf.int32), logits)
            parts.append(tf.cast(label[:, 1], values.dtype) * values)
        return functools.reduce(operator.add, parts)

    def _of_classes(self, classes: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        values: Any = self.unweighted(classes, logits)
        if self.class_weights:
            values *= tf.gather(tf.constant(self.class_weights, values.dtype), classes)
        return values

    def unweighted(self, labels: tf.Tensor, logits: tf.Tensor) -> Any:
        """Return what the person's loss gives, of logits that are float32, or more precise where they are already."""
        precise = max(logits.dtype, tf.float32, key=lambda dtype: int(dtype.size))
        return self.per_image(labels, tf.cast(logits, precise))
