"""The failure zoo: small trainings on real images, each broken in one way or sound, and what the rules say of them.

Every training is the real `train` step, and every diagnosis the real one of `export`. A sound training must have no
error and no warning. Printed is, for each rule: in how many of the trainings that must have it it was found (recall),
and how many of its findings were in trainings that must or may have it (precision).

uv run python -m benchmarks.zoo --seeds 3
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from components.export.diagnosis import Finding, diagnose
from components.export.record import read
from components.export.rules import RULES
from components.step import artifact
from components.train.component import MODELS, TrainParameters

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


def enter(networks: Mapping[str, Any]) -> None:
    """Make each network a choice of `model`, as a file in components/train/models would be."""
    for name, build in networks.items():
        module = types.ModuleType(name)
        module.build = build  # type: ignore[attr-defined]
        sys.modules[name] = module
        MODELS[name] = name


def watch(animal: Animal, dataset: Path, seed: int) -> list[Finding]:
    """Train, and return what the rules find; `dataset` is one that ingest made."""
    from components.train.loop import train

    enter(NETWORKS)
    defaults: dict[str, Any] = {
        "batch_size": 32,
        "epochs": 3,
        "diverged": "publish",
        "gradient_level": "hist",
        "stats_every": 4,
    }
    parameters = TrainParameters(**(defaults | {"seed": seed} | dict(animal.parameters)))
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        folders = {name: Path(scratch) / name for name in ("data", "trained_model", "gradients", "metrics")}
        for folder in folders.values():
            folder.mkdir()
        arrays = {path.stem: np.load(path, allow_pickle=False) for path in dataset.glob("*.npy")}
        if animal.change:
            animal.change(arrays, np.random.default_rng(seed))
        for name, array in arrays.items():
            np.save(folders["data"] / f"{name}.npy", array, allow_pickle=False)
        metadata = artifact.read(dataset).metadata
        data = folders.pop("data")
        artifact.seal(data, component="zoo", output="dataset", parameters={}, inputs={}, metadata=metadata)
        train(parameters, dataset=data, checkpoint=None, **folders)
        return diagnose(read(folders["gradients"]), RULES)


def subset(folder: Path, images: int, validation: int) -> Path:
    """Return a data set of the first so many images of MNIST."""
    from components.ingest.component import IngestParameters
    from components.ingest.ingest import ingest

    whole, part = folder / "mnist", folder / "part"
    whole.mkdir()
    part.mkdir()
    made = ingest(IngestParameters(), dataset=whole, report=folder / "report.html")
    for split, count in (("train", images), ("validation", validation)):
        for what in ("images", "labels"):
            array = np.load(whole / f"{split}-{what}.npy", allow_pickle=False)
            np.save(part / f"{split}-{what}.npy", array[:count], allow_pickle=False)
    metadata = made["dataset"]
    artifact.seal(part, component="zoo", output="dataset", parameters={}, inputs={}, metadata=metadata)
    shutil.rmtree(whole)
    return part


def main() -> None:
    """Watch all of them, and print what was found, then the table of the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 on")
    parser.add_argument("--only", default="", help="part of the names of those to watch")
    options = parser.parse_args()
    needed, found_there = dict.fromkeys((rule.id for rule in RULES), 0), dict.fromkeys((rule.id for rule in RULES), 0)
    found, right = dict.fromkeys(needed, 0), dict.fromkeys(needed, 0)
    sound = alarms = 0
    with tempfile.TemporaryDirectory() as scratch:
        dataset = subset(Path(scratch), 2000, 500)
        for name, animal in ANIMALS.items():
            for seed in range(options.seeds):
                if options.only not in name:
                    continue
                findings = {finding.rule: finding for finding in watch(animal, dataset, seed)}
                for rule in needed:
                    needed[rule] += rule in animal.must
                    found_there[rule] += rule in animal.must and rule in findings
                    found[rule] += rule in findings
                    right[rule] += rule in findings and rule in animal.must | animal.may
                sound += not animal.must
                alarms += not animal.must and any(each.severity != "info" for each in findings.values())
                missing = animal.must - findings.keys()
                wrong = findings.keys() - animal.must - animal.may
                print(
                    f"{name} ({seed}): {', '.join(findings) or 'nothing'}"
                    f"{'; MISSING ' + ', '.join(missing) if missing else ''}"
                    f"{'; WRONG ' + ', '.join(findings[rule].sentence for rule in wrong) if wrong else ''}",
                    flush=True,
                )
    print("\n| rule | must have it | found (recall) | findings | right (precision) |\n|---|---|---|---|---|")
    for rule in needed:
        print(f"| `{rule}` | {needed[rule]} | {found_there[rule]} | {found[rule]} | {right[rule]} |")
    print(f"\nsound trainings with an error or a warning: {alarms} of {sound}")


if __name__ == "__main__":
    main()
