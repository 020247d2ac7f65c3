"""The animals of the failure zoo: what is done wrong with each network, and which rules are to find it."""

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
} | {
    # Networks of other kinds than those that the rules' limits were set on; so are the sound ones named so.
    "other: dead ReLU in a nested network": Animal(
        _set("dead-relu"), _set(*CONSEQUENCES), {"model": "zoo-nested-dead"}
    ),
    "other: dead ReLU as a layer": Animal(_set("dead-relu"), _set(*CONSEQUENCES), {"model": "zoo-layer-dead"}),
    "other: frozen in a nested network": Animal(_set("frozen"), _set("batch-size"), {"model": "zoo-nested-frozen"}),
    "other: zeros everywhere": Animal(_set("zero-weights"), _set(*CONSEQUENCES), {"model": "zoo-zeros"}),
    "other: zeros everywhere, sigmoid": Animal(
        _set("zero-weights"), _set(*CONSEQUENCES), {"model": "zoo-zeros-sigmoid"}
    ),
    "other: zeros in a hidden layer": Animal(_set("zero-weights"), _set(*CONSEQUENCES), {"model": "zoo-zeros-hidden"}),
    "other: pixels of 0 to 255 in a nested network": Animal(
        _set("unnormalised-input"), _set("exploding", "update-ratio", "batch-size"), {"model": "zoo-nested-pixels"}
    ),
    "other: a layer that is not used": Animal(_set("no-gradient"), _set("batch-size"), {"model": "zoo-unused"}),
    "other: ten nested layers of sigmoids": Animal(
        _set("vanishing"), _set(*CONSEQUENCES), {"model": "zoo-nested-sigmoid"}
    ),
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
} | {
    f"other: {name}": Animal(_set(), ADVICE, {"model": f"zoo-{name}"})
    for name in (
        "batchnorm", "residual", "attention", "gru", "lstm", "embedding", "separable", "dropout", "groupnorm", "gelu",
        "leaky", "preprocessing", "zero-last", "subclassed",
    )
} | {
    "other: a part that is frozen": Animal(_set(), _set("frozen", "batch-size"), {"model": "zoo-transfer"}),
    "other: batchnorm, float16": Animal(
        _set(), ADVICE, {"model": "zoo-batchnorm", "precision": "mixed-float16", "loss_scale": 1024.0}
    ),
    "other: batchnorm, AdamW with much decay": Animal(
        _set(), ADVICE, {"model": "zoo-batchnorm", "optimizer": "adamw", "weight_decay": 0.1}
    ),
    "other: residual, SGD": Animal(_set(), ADVICE, {"model": "zoo-residual", **RECIPES["SGD"]}),
}  # fmt: skip
ANIMALS = BROKEN | SOUND
