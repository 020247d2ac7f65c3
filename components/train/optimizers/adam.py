"""Adam (Kingma & Ba 2014, arXiv 1412.6980)."""

from typing import Any

import keras

from components.train.optimizers._fused import FusedAdam


def build(learning_rate: Any) -> keras.optimizers.Optimizer:
    """Return Adam."""
    return FusedAdam(learning_rate)
