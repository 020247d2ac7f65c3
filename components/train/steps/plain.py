"""The tutorial's tape: the gradient of the mean loss."""

from typing import Any

import tensorflow as tf

from components.train.tape import variables_of


def gradients(model: Any, loss: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[Any, Any, Any]:
    """Return the loss, the logits, and the gradients."""
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        value = loss(labels, logits)
    return value, logits, tape.gradient(value, variables_of(model))
