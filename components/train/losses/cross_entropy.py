"""The cross entropy between the labels and the softmax of the logits."""

import tensorflow as tf

from components.contract.declaration import parameter


def loss(
    labels: tf.Tensor, logits: tf.Tensor, *,
    label_smoothing: float = parameter(0.0, "Share of each label that is spread evenly over all classes", ge=0, lt=1),
) -> tf.Tensor:  # fmt: skip
    """Return the loss of each image; smoothed labels are those of Szegedy et al. 2015, arXiv 1512.00567, section 7."""
    if not label_smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = logits.shape[-1]
    rest = label_smoothing / classes
    wanted = tf.one_hot(labels, classes, 1 - label_smoothing + rest, rest, dtype=logits.dtype)
    return tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
