"""Turn each image about its middle."""

import math

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.augmentations._sample import about_centre


def augment(
    images: tf.Tensor, *, seed: tf.Tensor,
    rotate_degrees: float = parameter(10.0, "Largest turn to either side, in degrees", gt=0, le=180),
) -> tf.Tensor:  # fmt: skip
    """Return the images, each turned by its own angle; what comes in at the corners is black."""
    largest = math.radians(rotate_degrees)
    angles = tf.random.stateless_uniform([tf.shape(images)[0]], seed, -largest, largest)
    cosine, sine = tf.cos(angles), tf.sin(angles)
    return about_centre(images, tf.reshape(tf.stack([cosine, -sine, sine, cosine], 1), [-1, 2, 2]))
