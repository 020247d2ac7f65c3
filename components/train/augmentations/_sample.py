"""Where the geometric augmentations take their pixels from: what comes in from outside of an image is black."""

import tensorflow as tf


def centre(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return row and column of the middle of an image, float32 scalars."""
    shape = tf.cast(tf.shape(images), tf.float32)
    return (shape[1] - 1) / 2, (shape[2] - 1) / 2


def affine(images: tf.Tensor, matrix: tf.Tensor, *, nearest: bool = False) -> tf.Tensor:
    """Return images, float32 [n, h, w, c], whose pixel (x, y) is that at matrix · (x, y, 1); matrix: [n, 2, 3]."""
    rows = tf.reshape(matrix, [-1, 6])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([rows, tf.zeros([tf.shape(rows)[0], 2])], 1),
        output_shape=tf.shape(images)[1:3],
        interpolation="NEAREST" if nearest else "BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def about_centre(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Return images seen through linear maps of (x, y), float32 [n, 2, 2], that leave the middle where it is."""
    row, column = centre(images)
    middle = tf.stack([column, row])[:, tf.newaxis]
    return affine(images, tf.concat([turn, middle - turn @ middle], 2))
