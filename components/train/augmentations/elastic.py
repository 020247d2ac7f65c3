"""Elastic distortion (Simard et al. 2003, Best practices for convolutional neural networks, ICDAR, section 2).

Every pixel is taken from a place nearby: a field of random numbers in −1..1, smoothed by a Gaussian, times a strength.
"""

import tensorflow as tf

from components.contract.declaration import parameter


def augment(
    images: tf.Tensor, *, seed: tf.Tensor,
    elastic_alpha: float = parameter(34.0, "Factor on the smoothed field: with sigma 4, 34 moves by 1.4 pixels", gt=0),
    elastic_sigma: float = parameter(4.0, "Standard deviation of the smoothing, in pixels", gt=0, le=100),
) -> tf.Tensor:  # fmt: skip
    """Return the images, each with its own distortion; what comes in from outside is black."""
    shape = tf.shape(images)
    field = tf.random.stateless_uniform([shape[0], 2, shape[1], shape[2]], seed, -1.0, 1.0)
    field = _gaussian(shape[1], elastic_sigma) @ field @ _gaussian(shape[2], elastic_sigma)
    row = tf.cast(tf.range(shape[1])[:, tf.newaxis], tf.float32) + elastic_alpha * field[:, 0]
    column = tf.cast(tf.range(shape[2]), tf.float32) + elastic_alpha * field[:, 1]
    return _bilinear(images, row, column)


def _gaussian(size: tf.Tensor, sigma: float) -> tf.Tensor:
    """Return the matrix [size, size] that smooths along an axis; beyond the edges the field is 0."""
    places = tf.cast(tf.range(size), tf.float32)
    apart = (places[:, tf.newaxis] - places) / sigma
    reach = tf.range(-tf.round(5 * sigma), tf.round(5 * sigma) + 1) / sigma
    return tf.exp(-(apart**2) / 2) / tf.reduce_sum(tf.exp(-(reach**2) / 2))


def _bilinear(images: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Return the images, float32 [n, h, w, c], as they are at these places, float32 [n, h, w]."""
    shape = tf.shape(images)
    framed = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])  # with black, which is also what lies farther out
    wide = shape[2] + 2
    flat = tf.reshape(framed, [shape[0], (shape[1] + 2) * wide, shape[3]])
    row = tf.clip_by_value(row + 1, 0.0, tf.cast(shape[1], tf.float32) + 0.999)
    column = tf.clip_by_value(column + 1, 0.0, tf.cast(shape[2], tf.float32) + 0.999)
    top, left = tf.floor(row), tf.floor(column)
    down, right = (row - top)[..., tf.newaxis], (column - left)[..., tf.newaxis]
    first = tf.cast(top, tf.int32) * wide + tf.cast(left, tf.int32)
    corners = [tf.gather(flat, first + step, axis=1, batch_dims=1) for step in (0, 1, wide, wide + 1)]
    upper = corners[0] + right * (corners[1] - corners[0])
    lower = corners[2] + right * (corners[3] - corners[2])
    return tf.reshape(upper + down * (lower - upper), shape)
