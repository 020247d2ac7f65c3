"""How far this project's gradients are from those of PyTorch and JAX, for the same weights and images.

Printed is, for each variable of `simple`, the largest difference between two gradients, relative to the largest number
in either. All compute in float32, and differ by how they round.

uv run --group benchmarks python -m benchmarks.agreement
"""

import os
from typing import Any

import numpy as np

IMAGES = 64
NAMES = ("conv/kernel", "conv/bias", "dense/kernel", "dense/bias", "logits/kernel", "logits/bias")


def tape(images: Any, labels: Any) -> tuple[list[Any], list[Any]]:
    """Return the weights of a new network, and their gradients by `train_step`."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    from components.train import tape
    from components.train.component import TrainParameters
    from components.train.machine.assemble import assemble
    from components.train.machine.data import Split

    keras.utils.set_random_seed(0)
    split = Split(tf.cast(255 * images[..., 0], tf.uint8), tf.constant(labels))
    training, _, _ = assemble(TrainParameters(), split, 10, 1, tf.distribute.get_strategy())
    _, gradients = tape.gradients_of(training, tf.constant(images), tf.constant(labels))
    return training.network.get_weights(), [gradient.numpy() for gradient in gradients]


def pytorch(weights: list[Any], images: Any, labels: Any) -> list[Any]:
    """Return PyTorch's gradients, in TensorFlow's layout."""
    import torch

    kernel, bias, dense, dense_bias, last, last_bias = (torch.from_numpy(each).requires_grad_() for each in weights)
    hidden = torch.nn.functional.conv2d(torch.from_numpy(images).permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias)
    hidden = torch.relu(hidden).permute(0, 2, 3, 1).reshape(len(images), -1)
    logits = torch.relu(hidden @ dense + dense_bias) @ last + last_bias
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels.astype(np.int64))).backward()
    found = (kernel, bias, dense, dense_bias, last, last_bias)
    return [np.asarray(each.grad) for each in found]


def jax(weights: list[Any], images: Any, labels: Any) -> list[Any]:
    """Return JAX's gradients."""
    import jax as jx
    import optax

    def loss(weights: Any) -> Any:
        kernel, bias, dense, dense_bias, last, last_bias = weights
        layout = ("NHWC", "HWIO", "NHWC")
        hidden = jx.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout) + bias
        hidden = jx.nn.relu(hidden).reshape(len(images), -1)
        logits = jx.nn.relu(hidden @ dense + dense_bias) @ last + last_bias
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    return [np.asarray(each) for each in jx.grad(loss)(weights)]


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 1, (IMAGES, 28, 28, 1)).astype(np.float32)
    labels = random.integers(0, 10, IMAGES).astype(np.int32)
    weights, ours = tape(images, labels)
    theirs = {"PyTorch": pytorch(weights, images, labels), "JAX": jax(weights, images, labels)}
    print(f"{'':16} {'PyTorch':>9} {'JAX':>9}")
    for index, name in enumerate(NAMES):
        scale = np.abs(ours[index]).max()
        errors = [np.abs(ours[index] - other[index]).max() / scale for other in theirs.values()]
        print(f"{name:16} " + " ".join(f"{error:9.1e}" for error in errors))


if __name__ == "__main__":
    main()
