"""The learning rate over time."""

from typing import Any

import keras

from components.train.component import TrainParameters


def learning_rate(parameters: TrainParameters, steps: int) -> Any:
    """Return the learning rate of a run of so many steps: a number, or a Keras schedule."""
    peak = parameters.learning_rate
    if parameters.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    if parameters.schedule == "one-cycle":  # Smith & Topin 2017, arXiv 1708.07120, with a cosine on the way down
        rise = max(1, steps // 4)
        return keras.optimizers.schedules.CosineDecay(
            peak / 25, max(1, steps - rise), alpha=1e-3, warmup_target=peak, warmup_steps=rise
        )
    return peak
