"""The observer: looks at a step from outside, and changes nothing of it."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from components.artifacts.record.columns import STATISTICS
from components.train.machine.statistics import change, distribution, noise, norm
from components.train.tape import Taken, Training, gradients_of, variables_of


class Observer:
    """Looks at one step: `before` it and `after` it, both traced into the compiled loop."""

    def __init__(self, training: Training, *, moves: bool) -> None:
        self.training = training
        parameters = training.parameters
        self.images = parameters.batch_size * parameters.accumulate
        # A batch of those that are accumulated fits the memory; a single one is halved.
        self.part = parameters.batch_size if parameters.accumulate > 1 else self.images // 2
        # A second look at some images must not move a batch normalisation, and not draw other random numbers.
        self.noisy = self.part > 0 and not moves and "seed" not in training.way.asks_for

    def before(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return the weights as they are, and the gradients of the first part of the images (else no gradients)."""
        weights = [tf.identity(variable) for variable in variables_of(self.training.network)]
        if not self.noisy:
            return weights, []
        kept = [tf.identity(variable) for variable in self.training.touched]
        _, part = gradients_of(self.training, images[: self.part], labels[: self.part])
        for variable, value in zip(self.training.touched, kept, strict=True):
            variable.assign(value)
        return weights, [gradient / self.training.loss.scale for gradient in part]

    def after(
        self, taken: Taken, previous: Sequence[tf.Tensor], before: tuple[list[tf.Tensor], list[tf.Tensor]]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return statistics, float32 [variables, statistics], and histograms, int32 [variables, bins].

        Noise and signal are of the gradients as they were found, all else of the transformed ones.
        """
        weights, parts = before
        rows, counts = [], []
        variables = self.training.network.trainable_variables
        for index, (gradient, variable) in enumerate(zip(taken.gradients, variables, strict=True)):
            found, histogram = distribution(gradient)
            found |= change(gradient, previous[index])
            old, new = (tf.cast(each, tf.float32) for each in (weights[index], variable.value))
            weight, update = norm(old), norm(new - old)
            found |= {"weight_norm": weight, "update_norm": update, "update_ratio": update / weight}
            kept = [norm(tf.cast(moment, tf.float32)) for moment in moments(self.training.optimizer, index)]
            found |= dict(zip(("momentum_norm", "velocity_norm"), kept, strict=False))
            if self.noisy:
                found |= noise(taken.found[index], parts[index], self.images, self.part)
            missing = tf.constant(float("nan"))
            rows.append(tf.stack([tf.cast(found.get(name, missing), tf.float32) for name in STATISTICS]))
            counts.append(histogram)
        return tf.stack(rows), tf.stack(counts)


def moments(optimizer: keras.optimizers.Optimizer, index: int) -> list[tf.Tensor]:
    """Return the first and, for Adam, the second moment of the variable of that index, as far as there are any."""
    kept = [getattr(optimizer, name, None) for name in ("_momentums", "momentums", "_velocities")]
    return [variables[index].value for variables in kept if variables]
