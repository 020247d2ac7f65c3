"""The effect that each way to find gradients is known for, on MNIST: mean ± sd over seeds, beside `plain`.

Every training is the real `train` step. What the papers claim, and whether it agrees, is in docs/effects.md.

uv run python -m benchmarks.effects --only sam --seeds 3
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import arrays
from benchmarks.measures import RARE, Trained, attacks, calibration, clean, flatness, privacy, recall
from benchmarks.networks import convolutional
from benchmarks.zoo import enter
from components.artifacts import dataset as datasets
from components.contract import artifact
from components.train.component import TrainParameters

Arrays = dict[str, np.ndarray[Any, Any]]


def wrong_labels(share: float) -> Callable[[Arrays, np.random.Generator], None]:
    """Return a function that gives that share of the training images another label than theirs."""

    def change(data: Arrays, random: np.random.Generator) -> None:
        labels = data["train-labels"]
        chosen = random.permutation(len(labels))[: round(share * len(labels))]
        labels[chosen] = (labels[chosen] + random.integers(1, 10, len(chosen))) % 10

    return change


def make_rare(data: Arrays, _: np.random.Generator) -> None:
    """Keep only the first 10 training images of the rare class."""
    labels = data["train-labels"]
    kept = (labels != RARE) | (np.cumsum(labels == RARE) <= 10)
    data |= {f"train-{what}": data[f"train-{what}"][kept] for what in ("images", "labels")}


def dense(units: int, activation: str) -> Any:
    """Return a builder of a network of one hidden layer on the mean of each 2×2 pixels."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        chain = [layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(units, activation), layers.Dense(classes)]
        return keras.Sequential([keras.Input((*image_shape, 1)), *chain], name="dense")

    return build


# Small ones, so that all of it takes minutes without a GPU.
NETWORKS = {
    "effects-conv": convolutional(None),  # 7,018 parameters
    "effects-wide": dense(256, "relu"),  # 53,002
    "effects-tanh": dense(32, "tanh"),  # 6,634
}


@dataclass(frozen=True)
class Effect:
    """Trainings to compare: what is the same in all of them, what is not, and what is measured."""

    measure: Callable[[Trained], dict[str, float]]
    images: int
    same: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]
    change: Callable[[Arrays, np.random.Generator], None] | None = None  # of the data set, in place


SAM: dict[str, Any] = {
    "plain": {},
    "plain, a third of the epochs": {"epochs": 20},
    "sam, radius 0.05": {"step": "sam"},
    "sam, radius 0.2": {"step": "sam", "sam_radius": 0.2},
    "sam, radius 0.5": {"step": "sam", "sam_radius": 0.5},
    "sam, radius 1": {"step": "sam", "sam_radius": 1.0},
}
NOISY: dict[str, Any] = {"model": "effects-wide", "epochs": 60, "batch_size": 50, "learning_rate": 0.003}
CONV: dict[str, Any] = {"model": "effects-conv", "epochs": 10, "batch_size": 50, "learning_rate": 0.003}
PRIVATE: dict[str, Any] = {"step": "dp-sgd", "optimizer": "sgd", "learning_rate": 2.0}
EFFECTS = {
    "sam-40": Effect(clean, 1000, NOISY, SAM, wrong_labels(0.4)),
    "sam-80": Effect(clean, 1000, NOISY, SAM, wrong_labels(0.8)),
    "gradient-penalty": Effect(
        flatness, 5000, CONV,
        {
            "plain": {},
            "gradient-penalty, 0.1": {"step": "gradient-penalty"},
            "gradient-penalty, 1": {"step": "gradient-penalty", "penalty": 1.0},
        },
    ),
    "adversarial": Effect(
        attacks, 5000, CONV,
        {
            "plain": {},
            "adversarial, FGSM": {"step": "adversarial", "attack_size": 0.1},
            "adversarial, PGD of 5 steps": {"step": "adversarial", "attack_size": 0.1, "attack_steps": 5},
        },
    ),
    "dp-sgd": Effect(
        privacy, 55_000, {"model": "effects-tanh", "batch_size": 500, "epochs": 10},
        {
            "plain": {"optimizer": "sgd", "learning_rate": 0.5},
            "dp-sgd, noise 0.61": PRIVATE | {"dp_noise": 0.61},
            "dp-sgd, noise 1": PRIVATE,
            "dp-sgd, noise 1, half the epochs": PRIVATE | {"epochs": 5},
            "dp-sgd, noise 2.5": PRIVATE | {"dp_noise": 2.5},
        },
    ),
    "class-weight": Effect(
        recall, 5000, CONV | {"epochs": 5}, {"none": {}, "balanced": {"class_weight": "balanced"}}, make_rare
    ),
    "label-smoothing": Effect(
        calibration, 300, CONV | {"epochs": 60},
        {"none": {}, "0.05": {"label_smoothing": 0.05}, "0.2": {"label_smoothing": 0.2}},
    ),
    "augmentations": Effect(
        clean, 5000, CONV | {"epochs": 20},
        {names: {"augment": names} for names in (
            "none", "shift", "rotate", "scale", "elastic", "erase", "mixup", "rotate,scale,shift,elastic"
        )},
    ),
}  # fmt: skip


def learn(dataset: Path, effect: Effect, values: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Train once, and return what was measured; `dataset` is one that ingest made."""
    from components.artifacts import model as models
    from components.train.train import train

    enter(NETWORKS)
    settings: dict[str, Any] = {"gradient_level": "off"} | dict(effect.same) | dict(values)
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        folders = {name: Path(scratch) / name for name in ("dataset", "trained_model", "gradients", "metrics")}
        for folder in folders.values():
            folder.mkdir()
        data = arrays.read(dataset)
        for what in ("images", "labels"):
            data[f"train-{what}"] = data[f"train-{what}"][: effect.images]
        if effect.change:
            effect.change(data, np.random.default_rng(seed))
        arrays.write(folders["dataset"], data, artifact.read(dataset).metadata)
        said = train(TrainParameters(**settings, seed=seed), checkpoint=None, **folders)["metrics"]
        network, _ = models.read(folders["trained_model"])
    images, labels, _ = datasets.read(dataset, "test")
    return effect.measure(Trained(network, said, images[:][..., np.newaxis].astype(np.float32) / 255, labels))


def mnist(folder: Path) -> Path:
    """Return MNIST, as ingest makes it."""
    from components.ingest.component import IngestParameters
    from components.ingest.ingest import ingest

    dataset = folder / "mnist"
    dataset.mkdir()
    made = ingest(IngestParameters(), dataset=dataset, report=folder / "report.html")
    artifact.seal(dataset, component="ingest", output="dataset", parameters={}, inputs={}, metadata=made["dataset"])
    return dataset


def main() -> None:
    """Train all of them, one after the other, and print a table for each effect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 on")
    parser.add_argument("--only", default="", help="part of the names of those to show")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = mnist(Path(scratch))
        for name, effect in EFFECTS.items():
            if options.only not in name:
                continue
            began, heading = time.monotonic(), f"\n{name}: {effect.images:,} images, {dict(effect.same)}"
            for row, values in effect.rows.items():
                found = [learn(dataset, effect, values, seed) for seed in range(options.seeds)]
                if heading:
                    print(f"{heading}\n\n| | {' | '.join(found[0])} |\n|---|{'---|' * len(found[0])}")
                    heading = ""
                print(
                    f"| {row} | {' | '.join(spread([each[column] for each in found]) for column in found[0])} |",
                    flush=True,
                )
            print(f"\n{time.monotonic() - began:.0f} s for {options.seeds} seeds", flush=True)


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation over the seeds."""
    sd = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 and np.isfinite(values).all() else ""
    return f"{statistics.mean(values):.2f}{sd}"


if __name__ == "__main__":
    main()
