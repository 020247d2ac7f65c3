from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Traced:
    variables: list[dict[str, Any]]
    ends_in: str
    moves: bool
    frozen: list[str]
    adds_losses: bool


def trace(network, input_shape):
    connected = []

    def run(images):
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
        connected.extend(g is not None for g in tape.gradient(logits, [v.value for v in network.trainable_variables]))
        losses.append(bool(network.losses))

    losses = []
    tf.function(run).get_concrete_function(tf.TensorSpec((2, *input_shape), tf.float32))
    activations = {
        id(v): getattr(getattr(layer, "activation", None), "__name__", "")
        for layer in network.layers
        for v in layer.trainable_variables
    }
    rows = [
        {"name": v.path, "shape": list(v.shape), "activation": activations.get(id(v), ""), "connected": c}
        for v, c in zip(network.trainable_variables, connected, strict=True)
    ]
    return Traced(
        rows,
        "",
        bool(network.non_trainable_variables),
        [w.path for l in network.layers if not l.trainable for w in l.weights],
        losses[0],
    )
