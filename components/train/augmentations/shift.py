"""Move each image by some whole pixels, to the sides and up or down."""

import tensorflow as tf

from components.contract.declaration import parameter


def move(
    places: tf.Tensor, *, seed: tf.Tensor,
    shift_pixels: int = parameter(2, "Largest shift in each direction, in pixels", ge=1, le=1000),
) -> tf.Tensor:  # fmt: skip
    """Return the places, those of each image moved by its own shift."""
    shape = [tf.shape(places)[0], 1, 1, 2]
    shifts = tf.random.stateless_uniform(shape, seed, -shift_pixels, shift_pixels + 1, tf.int32)
    return places + tf.cast(shifts, tf.float32)
