"""Sharpness-aware minimisation (Foret et al. 2020, arXiv 2010.01412, eq. 2 and 3): the gradient uphill from here.

The weights are moved along the gradient by `sam_radius`, and the gradient found there is the one to apply.
"""

from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.steps import plain
from components.train.tape import dense, variables_of


def gradients(
    model: Any, loss: Any, images: tf.Tensor, labels: tf.Tensor, *,
    sam_radius: float = parameter(0.05, "Distance by which the weights are moved uphill", gt=0),
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the loss and logits at the weights as they are, and the gradients uphill from them."""
    state = [tf.identity(variable.value) for variable in model.non_trainable_variables]
    value, logits, found = plain.gradients(model, loss, images, labels)
    found = dense(found, model)
    factor = tf.math.divide_no_nan(sam_radius, tf.linalg.global_norm(found))
    uphill = [
        variable + tf.cast(factor * gradient, variable.dtype)
        for variable, gradient in zip(variables_of(model), found, strict=True)
    ]
    with tf.GradientTape() as tape:
        tape.watch(uphill)
        # Without side effects, so that batch normalisation's statistics move once a step, and from the same state, so
        # that dropout leaves out the same units.
        there, _, added = model.stateless_call(uphill, state, images, training=True, return_losses=True)
        value_there = loss(labels, there, added)
    return value, logits, tape.gradient(value_there, uphill)
