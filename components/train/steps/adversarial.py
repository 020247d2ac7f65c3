"""Adversarial training: the gradient on images that were changed, within bounds, so that the loss is higher.

One attack step is FGSM (Goodfellow et al. 2014, arXiv 1412.6572); several are PGD (Madry et al. 2017, arXiv
1706.06083), begun at the clean image.
"""

from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.tape import variables_of


def gradients(
    model: Any, loss: Any, images: tf.Tensor, labels: tf.Tensor, *,
    attack_size: float = parameter(0.1, "Largest change of a pixel, of 0..1", gt=0, le=1),
    attack_steps: int = parameter(1, "Steps of the attack; 1 is FGSM, more are PGD", ge=1, le=100),
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the loss of the attacked images, the logits of the clean ones, and the gradients on the attacked ones."""
    clean_logits, changed = None, images
    length = attack_size if attack_steps == 1 else 2.5 * attack_size / attack_steps  # Madry's choice
    for _ in range(attack_steps):
        with tf.GradientTape() as tape:
            tape.watch(changed)
            # Not in training mode: an attack must not move batch normalisation's statistics.
            logits = model(changed, training=False)
            value = loss(labels, logits)
        clean_logits = logits if clean_logits is None else clean_logits
        slope = tape.gradient(value, changed)
        if slope is None:
            raise ValueError("the loss has no gradient with respect to the images, so there is nothing to attack")
        changed = changed + length * tf.sign(slope)
        changed = tf.clip_by_value(
            changed, tf.maximum(images - attack_size, 0.0), tf.minimum(images + attack_size, 1.0)
        )
    with tf.GradientTape() as tape:
        value = loss(labels, model(tf.stop_gradient(changed), training=True))
    return value, clean_logits, tape.gradient(value, variables_of(model))
