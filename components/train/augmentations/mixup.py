"""Mixup (Zhang et al. 2017, arXiv 1710.09412): each image is mixed with another, and so is its label.

Each image has a share of its own. The other one is its neighbour in the step, whose order is by chance already: so a
part of a batch is mixed with itself but for one image, and the gradient noise scale may compare it with the whole.
"""

import tensorflow as tf

from components.contract.declaration import parameter


def augment(
    images: tf.Tensor, labels: tf.Tensor, *, seed: tf.Tensor,
    mixup_alpha: float = parameter(0.2, "The shares are of the distribution Beta(alpha, alpha)", gt=0, le=100),
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """Return the mixed images, and twice as many labels of each: its own, and those of the other, by their shares."""
    gammas, uniforms = tf.unstack(tf.random.split(seed, 2))
    # Beta is Gamma / (Gamma + Gamma); by its logarithm, as a Gamma of a small alpha is too small for float32:
    # Gamma(alpha) is Gamma(alpha + 1) · U^(1/alpha) (Marsaglia & Tsang 2000).
    shape = [2, tf.shape(images)[0], 1, 1]
    logarithm = tf.math.log(tf.random.stateless_gamma(shape, gammas, mixup_alpha + 1))
    logarithm += tf.math.log(1 - tf.random.stateless_uniform(shape, uniforms)) / mixup_alpha
    # The larger share is the image's own, so that its first label is the main one.
    share = tf.sigmoid(tf.abs(logarithm[0] - logarithm[1]))
    mixed = share[..., tf.newaxis] * images + (1 - share[..., tf.newaxis]) * tf.roll(images, 1, 0)
    return mixed, tf.concat([_times(labels, share), _times(tf.roll(labels, 1, 0), 1 - share)], 1)


def _times(labels: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Return labels, float32 [n, labels, 2], that count by so much of what they did."""
    return tf.concat([labels[..., :1], labels[..., 1:] * share], 2)
