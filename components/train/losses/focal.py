"""Focal loss (Lin et al. 2017, arXiv 1708.02002, eq. 4): images that are right already count less."""

import tensorflow as tf

from components.contract.declaration import parameter


def loss(
    labels: tf.Tensor, logits: tf.Tensor, *,
    focus: float = parameter(2.0, "Exponent of 1 − p, p being the probability of the label; 0 is cross entropy", ge=0),
) -> tf.Tensor:  # fmt: skip
    """Return the loss of each image, (1 − p)^focus · −log p."""
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    # 1 − p is kept off 0, where a root of it (focus below 1) has no derivative.
    return tf.maximum(-tf.math.expm1(-entropy), 1e-7) ** focus * entropy
