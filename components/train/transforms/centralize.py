"""Gradient centralization (Yong et al. 2020, arXiv 2004.01461): each output unit's gradient gets a mean of zero."""

from typing import Any

import tensorflow as tf


def update(gradients: list[tf.Tensor], state: Any, variables: list[Any]) -> tuple[list[tf.Tensor], Any]:
    """Subtract the mean over all axes but the last from the gradient of each matrix or kernel; biases stay."""
    return [
        gradient - tf.reduce_mean(gradient, axis=list(range(len(gradient.shape) - 1)), keepdims=True)
        if len(gradient.shape) > 1
        else gradient
        for gradient in gradients
    ], state
