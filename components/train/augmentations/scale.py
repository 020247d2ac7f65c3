"""Make each image larger or smaller about its middle."""

import math

import tensorflow as tf

from components.contract.declaration import parameter


def move(
    places: tf.Tensor, *, seed: tf.Tensor,
    scale_by: float = parameter(0.1, "Largest change of the size: 0.1 is from 1/1.1 to 1.1 times", gt=0, le=3),
) -> tf.Tensor:  # fmt: skip
    """Return the places, those of each image scaled by its own factor, the same for height and width."""
    largest = math.log1p(scale_by)  # as much chance to shrink as to grow
    return places * tf.exp(tf.random.stateless_uniform([tf.shape(places)[0], 1, 1, 1], seed, -largest, largest))
