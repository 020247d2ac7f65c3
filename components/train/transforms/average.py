"""The running mean of the gradients, without the bias of its start: a transformation with state."""

from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter


def init(variables: list[Any]) -> dict[str, Any]:
    """Return the state: nothing seen yet."""
    return {"mean": [tf.zeros(variable.shape) for variable in variables], "steps": tf.zeros([])}


def update(
    gradients: list[tf.Tensor], state: dict[str, Any], variables: list[Any], *,
    average_decay: float = parameter(0.9, "Share of the mean that stays, a step", ge=0, lt=1),
) -> tuple[list[tf.Tensor], dict[str, Any]]:  # fmt: skip
    """Return the mean so far (the correction is that of Adam, arXiv 1412.6980, section 3)."""
    steps = state["steps"] + 1
    mean = [average_decay * old + (1 - average_decay) * new for old, new in zip(state["mean"], gradients, strict=True)]
    return [each / (1 - average_decay**steps) for each in mean], {"mean": mean, "steps": steps}
