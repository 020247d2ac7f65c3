"""Adam with weight decay apart from the gradient (Loshchilov & Hutter 2017, arXiv 1711.05101)."""

from typing import Any

import keras

from components.contract.declaration import parameter
from components.train.optimizers._fused import FusedAdam


def build(
    learning_rate: Any,
    *,
    weight_decay: float = parameter(0.01, "Decay of the weights, times the learning rate, a step", ge=0, le=1),
) -> keras.optimizers.Optimizer:
    """Return AdamW; the decay is multiplied by the learning rate."""
    return FusedAdam(learning_rate, weight_decay=weight_decay)
