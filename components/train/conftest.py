"""What the tests of the step share: a step's parts around any network, and a person's own files."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.declaration import argument
from components.contract.plugins import Bound, Plugins
from components.train.component import COMPONENT, LOSSES, OPTIMIZERS, STEPS, TRANSFORMS, TrainParameters
from components.train.machine.augment import Augment
from components.train.machine.objective import Objective
from components.train.machine.schedule import learning_rate
from components.train.machine.transform import Transform
from components.train.tape import Training

OUTPUTS = ("trained_model", "gradients", "metrics")


def train(ingested: Path, folder: Path, *, checkpoint: Any = None, **values: Any) -> Path:
    """Train shortly, in this process; return the folder with the outputs."""
    inputs = {"dataset": ingested / "dataset"} | ({"checkpoint": checkpoint} if checkpoint else {})
    return make(COMPONENT, SHORT | values, inputs, folder)


def command(ingested: Path, folder: Path, **values: Any) -> list[str]:
    """Return the command that trains shortly in a process of its own."""
    places = {"dataset": ingested / "dataset"} | {name: folder / name for name in OUTPUTS}
    return [sys.executable, "-m", "components.train", *(argument(*each) for each in (SHORT | values | places).items())]


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each output of a training."""
    return {name: artifact.digest(folder / name) for name in OUTPUTS}


def checkpoint_of(place: Path, step: int) -> Path:
    """Return the one checkpoint of a step in a place that only one run has used."""
    (found,) = place.glob(f"*/step-{step:08}-*")
    return found


def around(network: keras.Model, parameters: TrainParameters, optimizer: Any = None) -> Training:
    """Return what a step is made of, around a network that is built."""
    per_image = Bound(LOSSES.load(parameters.loss).loss, parameters)
    loss = Objective(network, per_image, [], parameters.loss_scale, adds=bool(network.losses))
    build = Bound(OPTIMIZERS.load(parameters.optimizer).build, parameters)
    optimizer = optimizer or build(learning_rate(parameters, 1000))
    optimizer.build(network.trainable_variables)
    way = Bound(STEPS.load(parameters.step).gradients, parameters)
    transform = Transform(TRANSFORMS.load(parameters.transform), parameters, network)
    return Training(parameters, network, optimizer, loss, way, transform, Augment(parameters))


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Plugins, str, str], str]]:
    """Return a function that makes `text` a file of that name in a folder of plug-ins, and returns how it is chosen."""
    added: list[tuple[Plugins, str, str]] = []
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(folder: Plugins, name: str, text: str) -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        chosen = name.replace("_", "-")
        folder.add(chosen, name, path)
        added.append((folder, chosen, name))
        return chosen

    yield add
    for folder, chosen, module in added:
        sys.modules.pop(module, None)
        folder.remove(chosen)
