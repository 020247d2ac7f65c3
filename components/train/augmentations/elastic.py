"""Elastic distortion (Simard et al. 2003, Best practices for convolutional neural networks, ICDAR, section 2).

Every pixel is taken from a place nearby: a field of random numbers in −1..1, smoothed by a Gaussian, times a strength.
"""

import tensorflow as tf

from components.contract.declaration import parameter


def move(
    places: tf.Tensor, *, seed: tf.Tensor,
    elastic_alpha: float = parameter(34.0, "Factor on the smoothed field: with sigma 4, 34 moves by 1.4 pixels", gt=0),
    elastic_sigma: float = parameter(4.0, "Standard deviation of the smoothing, in pixels", gt=0, le=100),
) -> tf.Tensor:  # fmt: skip
    """Return the places, those of each image distorted by its own field."""
    count, height, width, _ = tf.unstack(tf.shape(places))
    field = tf.random.stateless_uniform([count, 2, height, width], seed, -1.0, 1.0)
    field = _gaussian(height, elastic_sigma) @ field @ _gaussian(width, elastic_sigma)
    return places + elastic_alpha * tf.transpose(field, [0, 2, 3, 1])


def _gaussian(size: tf.Tensor, sigma: float) -> tf.Tensor:
    """Return the matrix [size, size] that smooths along an axis; beyond the edges the field is 0."""
    places = tf.cast(tf.range(size), tf.float32)
    apart = (places[:, tf.newaxis] - places) / sigma
    reach = tf.range(-tf.round(5 * sigma), tf.round(5 * sigma) + 1) / sigma
    return tf.exp(-(apart**2) / 2) / tf.reduce_sum(tf.exp(-(reach**2) / 2))
