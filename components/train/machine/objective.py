"""What a step minimises: the mean loss of a batch, and what Keras adds to it."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from components.contract.plugins import Bound


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
        values: Any = self.unweighted(labels, logits)
        if self.class_weights:
            values *= tf.gather(tf.constant(self.class_weights, values.dtype), labels)
        return values

    def unweighted(self, labels: tf.Tensor, logits: tf.Tensor) -> Any:
        """Return what the person's loss gives, of logits that are float32, or more precise where they are already."""
        precise = max(logits.dtype, tf.float32, key=lambda dtype: int(dtype.size))
        return self.per_image(labels, tf.cast(logits, precise))
