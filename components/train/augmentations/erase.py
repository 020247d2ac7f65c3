"""Random erasing (Zhong et al. 2017, arXiv 1708.04896, algorithm 1): a rectangle of each image becomes noise."""

import math

import tensorflow as tf

from components.contract.declaration import parameter


def augment(
    images: tf.Tensor, *, seed: tf.Tensor,
    erase_share: float = parameter(0.2, "Largest share of the image that is erased", gt=0, le=1),
    erase_chance: float = parameter(0.5, "Chance that an image is erased at all", gt=0, le=1),
) -> tf.Tensor:  # fmt: skip
    """Return the images; the sides of a rectangle are as 0.3 to 1/0.3 to each other, its place is anywhere inside."""
    shape = tf.shape(images)
    height, width = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
    drawn, noisy = tf.unstack(tf.random.split(seed, 2))
    share, ratio, down, right, chance = tf.unstack(tf.random.stateless_uniform([5, shape[0], 1], drawn))
    area = (0.1 + 0.9 * share) * erase_share * height * width
    ratio = tf.exp((2 * ratio - 1) * math.log(0.3))
    tall, wide = tf.minimum(tf.sqrt(area * ratio), height), tf.minimum(tf.sqrt(area / ratio), width)
    rows = _within(height, down * (height - tall), tall)
    columns = _within(width, right * (width - wide), wide)
    erased = rows[:, :, tf.newaxis] & columns[:, tf.newaxis] & (chance < erase_chance)[..., tf.newaxis]
    return tf.where(erased[..., tf.newaxis], tf.random.stateless_uniform(shape, noisy), images)


def _within(size: tf.Tensor, start: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Return which pixels, by their middles, lie in a stretch of each image, bool [n, size]."""
    middles = tf.range(size) + 0.5
    return (middles >= start) & (middles < start + length)
