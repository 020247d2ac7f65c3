"""The animals of the failure zoo: the networks, what is done wrong with each, and which rules are to find it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Animal:
    """One training: what is done wrong, and which rules must and may find something in it."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[Arrays, np.random.Generator], None] | None = None  # of the data set, in place


def shuffle_labels(arrays: Arrays, random: np.random.Generator) -> None:
    """Put the labels of both splits in another order than the images."""
    for split in ("train", "validation"):
        random.shuffle(arrays[f"{split}-labels"])


def convolutional(first: Any, bias: float = 0.0, weights: str = "glorot_uniform", last: Any = None) -> Any:
    """Return a builder of a small convolutional network: `first` before it, `last` after its second layer."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        start = keras.initializers.Constant(bias)
        image = keras.Input((*image_shape, 1))
        hidden = first(image) if first else image
        hidden = layers.Conv2D(8, 3, 2, activation="relu", name="conv1", kernel_initializer=weights)(hidden)
        hidden = layers.Conv2D(
            16, 3, 2, activation="relu", name="conv2", kernel_initializer=weights, bias_initializer=start
        )(hidden)
        hidden = last(hidden) if last else hidden
        logits = layers.Dense(classes, name="logits", kernel_initializer=weights)(layers.Flatten()(hidden))
        return keras.Model(image, logits, name="zoo")

    return build


def dense(activation: str, depth: int, trainable: tuple[bool, ...] = ()) -> Any:
    """Return a builder of a chain of dense layers."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        chain: list[Any] = [keras.Input((*image_shape, 1)), layers.Flatten()]
        chain += [layers.Dense(32, activation=activation, name=f"hidden{i}") for i in range(depth)]
        for layer, learns in zip(chain[2:], trainable, strict=False):
            layer.trainable = learns
        return keras.Sequential([*chain, layers.Dense(classes, name="logits")], name="zoo")

    return build


def logarithm(image: Any) -> Any:
    """Take the logarithm of pixels, many of which are 0."""
    import keras

    return keras.ops.log(image)


def stop(hidden: Any) -> Any:
    """Let no gradient through."""
    import keras

    return keras.ops.stop_gradient(hidden)


def times(factor: float) -> Any:
    """Return a function that scales the images."""
    return lambda image: image * factor


NETWORKS = {
    "zoo-plain": convolutional(None),
    "zoo-logarithm": convolutional(logarithm),
    "zoo-pixels": convolutional(times(255.0)),
    "zoo-huge-weights": convolutional(None, weights="ones"),
    "zoo-dead": convolutional(None, bias=-10.0),
    "zoo-stopped": convolutional(None, last=stop),
    "zoo-sigmoid": dense("sigmoid", 8),
    "zoo-frozen": dense("relu", 2, trainable=(False, True)),
    "zoo-tanh": dense("tanh", 2),
    "zoo-relu": dense("relu", 4),
    "zoo-linear": dense("linear", 3),
}


def _set(*rules: str) -> frozenset[str]:
    return frozenset(rules)


SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}
CONSEQUENCES = ("plateau", "update-ratio", "batch-size")
BROKEN = {
    "logarithm of 0": Animal(_set("not-finite"), _set(), {"model": "zoo-logarithm"}),
    "learning rate too high": Animal(
        _set("dead-relu"),
        _set("not-finite", "exploding", "no-gradient", "vanishing", *CONSEQUENCES),
        {"model": "zoo-plain", **SGD, "learning_rate": 3.0, "momentum": 0.9},
    ),
    "learning rate too high, no ReLU": Animal(
        _set("exploding"),
        _set("not-finite", "oscillation", *CONSEQUENCES),
        {"model": "zoo-linear", **SGD, "learning_rate": 0.5},
    ),
    "Adam too fast": Animal(
        _set("update-ratio"),
        _set("exploding", "plateau", "oscillation", "batch-size"),
        {"model": "zoo-tanh", "learning_rate": 0.1, "schedule": "constant"},
    ),
    "weights too large": Animal(
        _set("exploding"),
        _set("dead-relu", "not-finite", "oscillation", *CONSEQUENCES),
        {"model": "zoo-huge-weights"},
    ),
    "eight layers of sigmoids": Animal(_set("vanishing"), _set(*CONSEQUENCES), {"model": "zoo-sigmoid"}),
    "dead ReLU": Animal(
        _set("dead-relu"), _set("no-gradient", "plateau", "batch-size", "update-ratio"), {"model": "zoo-dead"}
    ),
    "stopped gradient": Animal(_set("no-gradient"), _set(*CONSEQUENCES), {"model": "zoo-stopped"}),
    "frozen layer": Animal(_set("frozen"), _set("batch-size"), {"model": "zoo-frozen"}),
    "learning rate too low": Animal(
        _set("update-ratio", "plateau"), _set("batch-size"), {"model": "zoo-plain", **SGD, "learning_rate": 1e-6}
    ),
    "full batch, step too long": Animal(
        _set("oscillation"),
        _set("batch-size", "update-ratio", "plateau"),
        {"model": "zoo-tanh", **SGD, "learning_rate": 0.7, "batch_size": 2000, "epochs": 60},
    ),
    "labels shuffled": Animal(
        _set("shuffled-labels", "plateau"), _set("batch-size"), {"model": "zoo-plain"}, shuffle_labels
    ),
    "pixels of 0 to 255": Animal(
        _set("unnormalised-input"), _set("exploding", "update-ratio", "batch-size"), {"model": "zoo-pixels"}
    ),
    "batch of 2": Animal(_set("batch-size"), _set(), {"model": "zoo-plain", "batch_size": 2, "epochs": 1}),
}

ADVICE = _set("batch-size")
RECIPES: dict[str, dict[str, Any]] = {
    "Adam": {"learning_rate": 0.001},
    "AdamW, one-cycle": {"optimizer": "adamw", "learning_rate": 0.003, "schedule": "one-cycle"},
    "SGD": {"optimizer": "sgd", "learning_rate": 0.03},
}
SOUND = {
    f"{model}, {recipe}": Animal(_set(), ADVICE, {"model": model, **values})
    for model in ("convnet", "simple")
    for recipe, values in RECIPES.items()
} | {
    "tanh": Animal(_set(), ADVICE, {"model": "zoo-tanh"}),
    "four dense layers": Animal(_set(), ADVICE, {"model": "zoo-relu"}),
    "batch 256": Animal(_set(), ADVICE, {"model": "zoo-plain", "batch_size": 256, "epochs": 12}),
    "clipped": Animal(_set(), ADVICE, {"model": "zoo-plain", "clip_norm": 0.5}),
    "bfloat16": Animal(_set(), ADVICE, {"model": "zoo-plain", "precision": "mixed-bfloat16"}),
}
ANIMALS = BROKEN | SOUND
