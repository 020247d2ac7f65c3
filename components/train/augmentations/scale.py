"""Make each image larger or smaller about its middle."""

import math

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.augmentations._sample import about_centre


def augment(
    images: tf.Tensor, *, seed: tf.Tensor,
    scale_by: float = parameter(0.1, "Largest change of the size: 0.1 is from 1/1.1 to 1.1 times", gt=0, le=3),
) -> tf.Tensor:  # fmt: skip
    """Return the images, each scaled by its own factor, the same for height and width; what comes in is black."""
    largest = math.log1p(scale_by)  # as much chance to shrink as to grow
    factors = tf.exp(tf.random.stateless_uniform([tf.shape(images)[0], 1, 1], seed, -largest, largest))
    return about_centre(images, factors * tf.eye(2))
