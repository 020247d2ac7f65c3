"""Gradient noise that fades (Neelakantan et al. 2015, arXiv 1511.06807): normal, with variance η / (1 + step)^0.55."""

from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter


def update(
    gradients: list[tf.Tensor], state: Any, variables: list[Any], *, seed: tf.Tensor, step: tf.Tensor,
    noise_variance: float = parameter(0.01, "Variance η of the noise at the first step", ge=0),
) -> tuple[list[tf.Tensor], Any]:  # fmt: skip
    """Add the noise, drawn from the run's seed."""
    deviation = tf.sqrt(noise_variance / (1 + tf.cast(step, tf.float32)) ** 0.55)
    seeds = [tf.random.experimental.stateless_fold_in(seed, index) for index in range(len(gradients))]
    return [
        gradient + deviation * tf.random.stateless_normal(gradient.shape, each)
        for gradient, each in zip(gradients, seeds, strict=True)
    ], state
