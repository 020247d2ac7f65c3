"""Turn each image about its middle."""

import math

import tensorflow as tf

from components.contract.declaration import parameter


def move(
    places: tf.Tensor, *, seed: tf.Tensor,
    rotate_degrees: float = parameter(10.0, "Largest turn to either side, in degrees", gt=0, le=180),
) -> tf.Tensor:  # fmt: skip
    """Return the places, those of each image turned by its own angle."""
    largest = math.radians(rotate_degrees)
    angles = tf.random.stateless_uniform([tf.shape(places)[0], 1, 1], seed, -largest, largest)
    row, column = tf.unstack(places, axis=3)
    cosine, sine = tf.cos(angles), tf.sin(angles)
    return tf.stack([cosine * row - sine * column, sine * row + cosine * column], 3)
