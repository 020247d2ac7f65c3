"""Move each image by some whole pixels, to the sides and up or down."""

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.augmentations._sample import affine


def augment(
    images: tf.Tensor, *, seed: tf.Tensor,
    shift_pixels: int = parameter(2, "Largest shift in each direction, in pixels", ge=1, le=1000),
) -> tf.Tensor:  # fmt: skip
    """Return the images, each moved by its own shift; what comes in is black."""
    count = tf.shape(images)[0]
    shifts = tf.random.stateless_uniform([count, 2, 1], seed, -shift_pixels, shift_pixels + 1, tf.int32)
    turn = tf.eye(2, batch_shape=[count])
    return affine(images, tf.concat([turn, tf.cast(shifts, tf.float32)], 2), nearest=True)
