"""Images as they are at other places: once for all augmentations that move pixels, as each time blurs."""

import tensorflow as tf


def places_of(images: tf.Tensor) -> tf.Tensor:
    """Return where the pixels of images, [n, h, w, c], are: row and column from the middle, float32 [n, h, w, 2]."""
    count, height, width, _ = tf.unstack(tf.shape(images))
    row, column = (tf.cast(tf.range(size), tf.float32) - _middle(size) for size in (height, width))
    grid = tf.stack(tf.meshgrid(row, column, indexing="ij"), 2)
    return tf.ensure_shape(tf.tile(grid[tf.newaxis], [count, 1, 1, 1]), [*images.shape[:3], 2])


def sample(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Return images, float32 [n, h, w, c], as they are at these places: bilinear between pixels, black outside."""
    count, height, width, channels = tf.unstack(tf.shape(images))
    framed = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])  # with black, which is also what lies farther out
    wide = width + 2
    flat = tf.reshape(framed, [count, (height + 2) * wide, channels])
    row, down = _within(places[..., 0], height)
    column, right = _within(places[..., 1], width)
    first = row * wide + column
    corners = [tf.gather(flat, first + step, axis=1, batch_dims=1) for step in (0, 1, wide, wide + 1)]
    upper = corners[0] + right * (corners[1] - corners[0])
    lower = corners[2] + right * (corners[3] - corners[2])
    return tf.ensure_shape(upper + down * (lower - upper), images.shape)


def _middle(size: tf.Tensor) -> tf.Tensor:
    return (tf.cast(size, tf.float32) - 1) / 2


def _within(places: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the pixel of the framed image before each place, int32 [n, h, w], and how far beyond it, in 0..1."""
    framed = tf.clip_by_value(places + _middle(size) + 1, 0.0, tf.cast(size + 1, tf.float32))
    # What is no number is none of a pixel either, but the sum of pixels times it is still none, so that it is seen.
    before = tf.clip_by_value(tf.cast(tf.floor(framed), tf.int32), 0, size)
    return before, (framed - tf.cast(before, tf.float32))[..., tf.newaxis]
