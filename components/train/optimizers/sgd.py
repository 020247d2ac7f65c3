"""Stochastic gradient descent, with momentum."""

from typing import Any

import keras

from components.contract.declaration import parameter


def build(
    learning_rate: Any, *, momentum: float = parameter(0.9, "Share of the last update that goes on", ge=0, lt=1)
) -> keras.optimizers.Optimizer:
    """Return SGD."""
    return keras.optimizers.SGD(learning_rate, momentum=momentum)
