"""The look before the first step: a real step, whose every effect is undone; and the model, saved and read again."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts import model as models
from components.artifacts.model import pixels
from components.contract.errors import BadInput
from components.models import MODELS
from components.train.component import AUGMENTATIONS
from components.train.machine.assemble import files_of
from components.train.machine.blame import blame
from components.train.machine.data import labels_of
from components.train.machine.graph import kinds_in
from components.train.machine.state import State
from components.train.machine.windows import Window
from components.train.tape import Training

Images = npt.NDArray[np.uint8]
SHEET, SHEET_PIXELS = 24, 64  # images of a contact sheet, and the pixels to a side of each, at most

# TensorFlow's own random numbers have a state that cannot be read, so a resumed run would draw others.
_STATEFUL = re.compile(r"Random|TruncatedNormal|Multinomial")
_STATELESS = re.compile(r"Stateless|RandomDataset|RandomCrop")


def at_augmented(training: Training, window: Window, channels: int) -> list[Images]:
    """Return some images of the first step, a window, as they are and as they are learned from, uint8.

    Raises `BadInput` unless what the augmentations make of all of that step's images are finite numbers.
    """
    augment, split, order = training.augment, window.split, window.order[0]
    images = pixels(tf.gather(split.images, order), channels)
    labels = labels_of(split, order, mixes=augment.mixes)
    given = images
    with blame("augment fails", *files_of(training.parameters)):
        arguments = images, labels, tf.constant(0)
        images, _, found = tf.function(augment.stages).get_concrete_function(*arguments)(*arguments)
    for name in augment.names:
        if not all(np.isfinite(each).all() for each in found[name]):
            file = AUGMENTATIONS.files[name].name
            raise BadInput(
                f"augment {name} ({file}): what it makes of the first step's images has NaN or infinities: look for a "
                "root or logarithm of 0, or a quotient by 0"
            )
    return [_small(each.numpy()) for each in (given, images)]


def _small(images: npt.NDArray[np.float32]) -> Images:
    """Return the first images, uint8 [n, h, w] or [n, h, w, 3]; of large ones not every pixel."""
    apart = -(-max(images.shape[1:3]) // SHEET_PIXELS)
    shown = np.clip(np.rint(255 * images[:SHEET, ::apart, ::apart]), 0, 255).astype(np.uint8)
    return shown[..., 0] if shown.shape[3:] == (1,) else shown


def try_a_step(state: State, run_steps: Any, window: Window) -> None:
    """Take the one step of a window, and put everything back as it was.

    Finds, as `state.own`, the variables that a person's file keeps beside those of network and optimizer. Raises
    `BadInput` with a sentence for whatever fails, and for random numbers that a checkpoint cannot hold.
    """
    files = files_of(state.training.parameters)
    with blame("the step fails", *files):
        graph = run_steps.get_concrete_function().graph
    _refuse_hidden_state(graph, files)
    known = {id(part) for each in state.variables().values() for part in _parts(each)}
    own = {id(each): each for each in graph.variables if id(each) not in known}
    state.own = sorted(own.values(), key=lambda each: (each.name, each._unique_id))  # noqa: SLF001 - the order of making
    before = {name: np.asarray(each.numpy()) for name, each in state.variables().items()}
    remedy = "XLA may lack it: leave xla off" if state.training.parameters.xla else ""
    with blame("the first step fails", *files, remedy=remedy):
        *_, gradients = run_steps(tf.constant(window.order), state.gradients, *window.split.tensors)
    for name, variable in state.variables().items():
        variable.assign(before[name])
    pairs = zip(state.training.network.trainable_variables, gradients, strict=True)
    wrong = [variable.path for variable, gradient in pairs if not np.isfinite(gradient).all()]
    if wrong and state.training.parameters.diverged == "fail":
        raise BadInput(
            f"{files[0].name}: at the first step the gradient of {wrong[0]} has NaN or infinities: look for a root or "
            "logarithm of 0, or a quotient by 0; in float16, choose another loss_scale; with diverged=publish the "
            "training goes on, for export to explain it"
        )


def _parts(variable: Any) -> tuple[Any, ...]:
    """Return the variable of each replica."""
    value = getattr(variable, "value", variable)
    value = variable if callable(value) else value
    return (value, *tf.distribute.get_strategy().experimental_local_results(value))


def _refuse_hidden_state(graph: Any, files: list[Path]) -> None:
    kinds = kinds_in(graph.as_graph_def())
    found = {kind for kind in kinds if _STATEFUL.search(kind) and not _STATELESS.search(kind)}
    if found:
        place = _line_of(r"random", files)
        raise BadInput(
            f"{place}: {', '.join(sorted(found))} draws numbers from a state of TensorFlow's own, which no checkpoint "
            "can hold, so a resumed run would differ; use keras.random with a keras.random.SeedGenerator in a model, "
            "or ask for the argument `seed` and use tf.random.stateless_… elsewhere"
        )


def _line_of(pattern: str, files: list[Path]) -> str:
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(rf"^(?!.*stateless)(?!\s*(#|import|from)).*{pattern}", line, re.IGNORECASE):
                return f"{path.name}, line {number}"
    return "the step"


def is_plain(network: keras.Model) -> bool:
    """Tell whether the network is of Keras's own layers and functions alone, which any process can read as this one."""
    layers = [network, *network._flatten_layers(include_self=False)]  # noqa: SLF001 - there is no public way
    parts = [*layers, *(part for layer in layers for part in vars(layer).values() if callable(part))]
    modules = {getattr(part, "__module__", None) or type(part).__module__ for part in parts}
    lambdas = any(isinstance(layer, keras.layers.Lambda) for layer in layers)
    return not lambdas and all(name.split(".")[0] in ("keras", "tensorflow") for name in modules)


def save_and_read_back(network: keras.Model, spec: models.Spec, files: list[Path]) -> None:
    """Write the model, and read it in a process of its own; raise `BadInput` if either fails."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        with blame("the model cannot be saved", *files):
            models.write(network, spec, Path(scratch))
        file = MODELS.files.get(spec.model)
        if file is None or file.parent != MODELS.folder:  # of this process alone, as in a test
            models.check(Path(scratch))
            return
        done = subprocess.run(
            [sys.executable, "-m", "components.artifacts.model", scratch], check=False, capture_output=True, text=True
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise BadInput(f"{files[0].name}: the model can be saved, but not read again: {lines[-1]}")
