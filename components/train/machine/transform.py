"""A transformation of the gradients, with the state that it keeps from step to step."""

import types
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.contract.plugins import Bound
from components.train.component import TrainParameters
from components.train.machine.blame import blame


class Transform:
    """One of transforms/, called once a step; `state` holds its variables, for the checkpoints."""

    def __init__(
        self, module: types.ModuleType, parameters: TrainParameters, network: keras.Model, *files: Path
    ) -> None:
        self.update = Bound(module.update, parameters, *files)
        self.variables = network.trainable_variables
        self.seed = parameters.seed
        initial = Bound(module.init, parameters)(self.variables) if hasattr(module, "init") else ()
        # Every replica computes the same new state from the same gradients, so one of them may write it.
        once = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.state = tf.nest.map_structure(
            lambda value: tf.Variable(tf.convert_to_tensor(value), trainable=False, aggregation=once), initial
        )

    def __call__(self, gradients: list[tf.Tensor], step: tf.Tensor) -> list[tf.Tensor]:
        """Return the new gradients, and keep the new state; raise `BadInput` for what does not fit."""
        old = tf.nest.map_structure(tf.convert_to_tensor, self.state)
        with blame("update(gradients, state, variables) fails", *self.update.files):
            found = self.update(
                gradients, old, self.variables, step=lambda: tf.convert_to_tensor(step),
                seed=lambda: tf.random.experimental.stateless_fold_in([self.seed, 2], step),
            )  # fmt: skip
            return self._kept(found)

    def _kept(self, found: Any) -> list[tf.Tensor]:
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], list | tuple):
            raise ValueError("update must return two things: a list with a gradient for each variable, and the state")
        new = [self._fitting(i, gradient) for i, gradient in enumerate(found[0])]
        if len(new) != len(self.variables):
            raise ValueError(f"update returned {len(new)} gradients for {len(self.variables)} variables")
        try:
            tf.nest.assert_same_structure(self.state, found[1])
            tf.nest.map_structure(lambda variable, value: variable.assign(value), self.state, found[1])
        except (ValueError, TypeError) as error:
            raise ValueError(f"update returned a state of another form than init: {error}") from None
        return new

    def _fitting(self, index: int, gradient: Any) -> tf.Tensor:
        if index >= len(self.variables):
            return gradient
        name, shape = self.variables[index].path, self.variables[index].shape
        if gradient is None:
            raise ValueError(f"update returned None for {name}; give zeros for no gradient")
        gradient = tf.convert_to_tensor(gradient)
        if gradient.dtype != tf.float32 or not gradient.shape.is_compatible_with(shape):
            raise ValueError(
                f"update returned {gradient.dtype.name} {tuple(gradient.shape)} for {name}, not float32 {tuple(shape)}"
            )
        return gradient
