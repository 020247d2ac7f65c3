"""A penalty on the slope of the loss over the pixels (Drucker & LeCun 1992, IEEE TNN 3:991; Ross & Doshi-Velez 2018,
arXiv 1711.09404): the mean loss, plus `penalty` times the mean of each image's |∂loss/∂image|².

The square is summed as it is: the norm's root has no derivative at 0, and an image without a slope would make NaN.
"""  # noqa: D205 - the sources belong together

from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.tape import variables_of


def gradients(
    model: Any, loss: Any, images: tf.Tensor, labels: tf.Tensor, *,
    penalty: float = parameter(0.1, "Weight of the squared slope", ge=0),
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the loss with the penalty, the logits, and the gradients."""
    count = tf.cast(tf.shape(images)[0], tf.float32)
    with tf.GradientTape() as tape:
        with tf.GradientTape() as over_pixels:
            over_pixels.watch(images)
            logits = model(images, training=True)
            value = loss(labels, logits)
        slopes = over_pixels.gradient(value, images)
        if slopes is None:
            raise ValueError("the loss has no gradient with respect to the images, so there is no slope to penalise")
        slopes = slopes * count / loss.scale  # the loss is a mean over the images
        value += loss.scale * penalty * tf.reduce_sum(slopes**2) / count
    return value, logits, tape.gradient(value, variables_of(model))
