"""The optimizers: Keras's own, with Adam's update done by TensorFlow's fused kernel."""

from typing import Any

import keras
import tensorflow as tf

from components.train.component import TrainParameters


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma & Ba 2014, arXiv 1412.6980), reading and writing each number once.

    Keras's own update is a chain of some ten operations, each of which walks through memory; for a network whose
    weights do not fit the cache that chain costs more than the arithmetic. The mathematics is the same.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable and its two moments in place."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        beta_1, beta_2 = (tf.cast(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=gradient,
        )


def moments(optimizer: keras.optimizers.Optimizer, index: int) -> list[tf.Tensor]:
    """Return the first and, for Adam, the second moment of the variable of that index, as far as there are any."""
    kept = [getattr(optimizer, name, None) for name in ("_momentums", "momentums", "_velocities")]
    return [variables[index].value for variables in kept if variables]


def build(parameters: TrainParameters, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer that `parameters` name, for a run of so many steps."""
    rate = _schedule(parameters, steps)
    if parameters.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=parameters.momentum)
    decay = parameters.weight_decay if parameters.optimizer == "adamw" else None
    return FusedAdam(rate, weight_decay=decay)


def _schedule(parameters: TrainParameters, steps: int) -> Any:
    peak = parameters.learning_rate
    if parameters.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    if parameters.schedule == "one-cycle":  # Smith & Topin 2017, arXiv 1708.07120, with a cosine on the way down
        rise = max(1, steps // 4)
        return keras.optimizers.schedules.CosineDecay(
            peak / 25, max(1, steps - rise), alpha=1e-3, warmup_target=peak, warmup_steps=rise
        )
    return peak
