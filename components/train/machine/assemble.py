"""From parameters to what a step is made of: the person's files, imported, built, and looked at piece by piece."""

import types  # noqa: TC003
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.artifacts.model import Spec, channels_of, pixels
from components.contract.errors import BadInput
from components.contract.plugins import Bound, Plugins
from components.models import MODELS
from components.train.component import AUGMENTATIONS, LOSSES, OPTIMIZERS, STEPS, TRANSFORMS, TrainParameters
from components.train.machine.augment import Augment
from components.train.machine.blame import blame
from components.train.machine.data import Split, labels_of
from components.train.machine.graph import Traced, kinds_in, trace
from components.train.machine.objective import Objective
from components.train.machine.schedule import learning_rate
from components.train.machine.transform import Transform
from components.train.tape import Training, gradients_of

# How many real images the look is taken with.
LOOK = 2
FOLDERS = (MODELS, AUGMENTATIONS, STEPS, LOSSES, OPTIMIZERS, TRANSFORMS)


def files_of(parameters: TrainParameters) -> list[Path]:
    """Return the files of the chosen plug-ins, the model's first."""
    chosen = ((folder, name) for folder in FOLDERS for name in parameters.chosen(folder.kind))
    return [folder.files[name] for folder, name in chosen if name in folder.files]


def assemble(
    parameters: TrainParameters, split: Split, classes: int, steps: int, strategy: tf.distribute.Strategy
) -> tuple[Training, Spec, Traced]:
    """Return what a run of so many steps is made of, seen to fit together and to fit the data, before any step.

    Raises `BadInput` with a sentence that names file, layer and remedy.
    """
    image_shape = tuple(map(int, split.images.shape[1:]))
    build = Bound(_part(MODELS, parameters, "build"), parameters)
    with strategy.scope():  # only what makes variables: they are to be on every device
        network, channels = build_network(parameters, build, image_shape, classes)
    spec = Spec(parameters.model, image_shape, classes, channels, build.values)
    images, labels = pixels(split.images[:LOOK], channels), split.labels[:LOOK]
    augment = Augment(parameters)
    targets = labels_of(split, tf.range(LOOK), mixes=augment.mixes)
    logits = look_at_answers(parameters, network, images, classes)
    with _blame(parameters, MODELS, "the model cannot be traced"):
        traced = trace(network, tuple(images.shape[1:]))
    look_at_ending(parameters, network, traced)
    loss = build_loss(parameters, network, split, classes, traced)
    with _blame(parameters, LOSSES, "the loss fails"):
        look_at_loss(parameters, loss, labels, logits, weighed=not targets.dtype.is_integer)
    way = _part(STEPS, parameters, "gradients")
    with _blame(parameters, STEPS, f"step {parameters.step} is not for this model"):
        getattr(STEPS.load(parameters.step), "check", _anything)(network, traced)
    with strategy.scope(), _blame(parameters, OPTIMIZERS, "build(learning_rate) fails"):
        optimizer = Bound(_part(OPTIMIZERS, parameters, "build"), parameters)(learning_rate(parameters, steps))
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise BadInput(_said(parameters, OPTIMIZERS, f"build returned {_kind(optimizer)}, not a Keras optimizer"))
        optimizer.build(network.trainable_variables)
    _part(TRANSFORMS, parameters, "update")
    with strategy.scope(), _blame(parameters, TRANSFORMS, "init(variables) fails"):
        transform = Transform(
            TRANSFORMS.load(parameters.transform), parameters, network, *_files(TRANSFORMS, parameters)
        )
    found = Bound(way, parameters, *_files(STEPS, parameters))
    training = Training(parameters, network, optimizer, loss, found, transform, augment)
    return replace(training, touched=touched(training, images, targets)), spec, traced


def touched(training: Training, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Variable, ...]:
    """Return the variables that are at stake if the way assigns any, as a SAM written by hand does; else none."""
    if training.parameters.step == "plain":
        return ()
    with blame("the step fails", *files_of(training.parameters)):
        find = tf.function(lambda *pair: gradients_of(training, *pair)[1])
        graph = find.get_concrete_function(images, labels).graph
    assigns = any(kind.startswith("Assign") for kind in kinds_in(graph.as_graph_def()))
    return tuple(graph.variables) if assigns else ()


def build_network(
    parameters: TrainParameters, build: Bound, image_shape: tuple[int, ...], classes: int
) -> tuple[keras.Model, int]:
    """Return the network, built for images of that size, and how many channels it takes (0: none at all)."""
    size = image_shape[:2]
    if "channels" in build.asks_for:
        build.values["channels"] = 3 if len(image_shape) == 3 else 1
    remedy = f"it is called with image_shape={size} and classes={classes}"
    with _blame(parameters, MODELS, "build(image_shape, classes) fails", remedy):
        keras.config.set_dtype_policy(parameters.precision.replace("-", "_"))
        try:
            network = build(size, classes)
        finally:
            keras.config.set_dtype_policy("float32")
    if not isinstance(network, keras.Model):
        said = f"build returned {_kind(network)}, not a keras.Model; does it end with `return`?"
        raise BadInput(_said(parameters, MODELS, said))
    with _blame(parameters, MODELS, "the model cannot be called on images", f"they are {image_shape}, float32 in 0..1"):
        channels = channels_of(network, image_shape)
    if not network.trainable_variables:
        raise BadInput(_said(parameters, MODELS, "no variable is trainable: all layers are frozen, or have no weights"))
    return network, channels


def look_at_answers(parameters: TrainParameters, network: keras.Model, images: tf.Tensor, classes: int) -> tf.Tensor:
    """Return the logits of some real images; raise `BadInput` unless there is a finite number for each class."""
    with _blame(parameters, MODELS, "the model cannot be called on images"):
        logits = network(images, training=False)
    if not tf.is_tensor(logits):
        raise BadInput(_said(parameters, MODELS, f"the model gives {_kind(logits)}; it must give one tensor of logits"))
    if logits.shape != (LOOK, classes):
        last = network.layers[-1].name if network.layers else ""
        raise BadInput(
            _said(
                parameters, MODELS,
                f"for {LOOK} images the model gives {tuple(logits.shape)} (its last layer is {last}), but the data set "
                f"has {classes} classes: ({LOOK}, {classes}) is needed; use the argument `classes` of build",
            )
        )  # fmt: skip
    if not logits.dtype.is_floating:
        raise BadInput(_said(parameters, MODELS, f"the model gives {logits.dtype.name}, not floating-point logits"))
    if parameters.diverged == "fail" and not np.isfinite(tf.cast(logits, tf.float64)).all():
        said = "the logits of the first images are not finite numbers: look for a log or root of 0, or a division by 0"
        raise BadInput(_said(parameters, MODELS, said))
    return logits


def look_at_ending(parameters: TrainParameters, network: keras.Model, traced: Traced) -> None:
    """Raise `BadInput` for a network that ends in an activation: every loss here takes logits."""
    if traced.ends_in:
        last = network.layers[-1].name if network.layers else network.name
        raise BadInput(
            _said(
                parameters, MODELS,
                f"the last layer, {last}, ends in {traced.ends_in}, but the loss takes logits, so it would be applied "
                f"twice; take the activation out: the served model gives probabilities all the same",
            )
        )  # fmt: skip


def build_loss(
    parameters: TrainParameters, network: keras.Model, split: Split, classes: int, traced: Traced
) -> Objective:
    """Return what is minimised."""
    weights: list[float] = []
    if parameters.class_weight == "balanced":  # so that each class that has images counts as much
        counts = np.bincount(split.labels, None if split.weights is None else split.weights, minlength=classes)
        known = counts > 0
        weights = np.where(known, len(split.labels) / (known.sum() * np.where(known, counts, 1)), 0.0).tolist()
    per_image = Bound(_part(LOSSES, parameters, "loss"), parameters, *_files(LOSSES, parameters))
    return Objective(network, per_image, weights, parameters.loss_scale, adds=traced.adds_losses)


def look_at_loss(
    parameters: TrainParameters, loss: Objective, labels: tf.Tensor, logits: tf.Tensor, *, weighed: bool
) -> None:
    """Raise `BadInput` unless the loss is a floating-point number for each image, or one for all."""
    found = loss.unweighted(labels, logits)
    if not tf.is_tensor(found) or not found.dtype.is_floating or found.shape not in ([LOOK], []):
        shape = f"{found.dtype.name} {tuple(found.shape)}" if tf.is_tensor(found) else _kind(found)
        raise BadInput(
            _said(parameters, LOSSES, f"for {LOOK} images the loss is {shape}; a number for each image is needed")
        )
    weighs = "class_weight=balanced" if loss.class_weights else "what mixes or weighs images" if weighed else ""
    if weighs and found.shape == []:
        said = f"it gives one number for all images, so {weighs} has nothing to weigh; return one for each"
        raise BadInput(_said(parameters, LOSSES, said))


def _part(folder: Plugins, parameters: TrainParameters, name: str) -> Callable[..., Any]:
    with _blame(parameters, folder, "the file cannot be imported"):
        module: types.ModuleType = folder.load(getattr(parameters, folder.kind))
    part = getattr(module, name, None)
    if not callable(part):
        raise BadInput(_said(parameters, folder, f"it has no function {name}; see the folder's __init__.py"))
    return part  # type: ignore[no-any-return]


def _blame(parameters: TrainParameters, folder: Plugins, doing: str, remedy: str = "") -> Any:
    """Blame the chosen file of that folder, or another of the chosen ones where that is where it went wrong."""
    return blame(doing, *_files(folder, parameters), *files_of(parameters), remedy=remedy)


def _files(folder: Plugins, parameters: TrainParameters) -> list[Path]:
    """Return the chosen file, which only what is no file has not."""
    name = getattr(parameters, folder.kind)
    return [folder.files[name]] if name in folder.files else []


def _said(parameters: TrainParameters, folder: Plugins, text: str) -> str:
    name = getattr(parameters, folder.kind)
    return f"{folder.kind} {name}{f' ({folder.files[name].name})' if name in folder.files else ''}: {text}"


def _kind(value: object) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


def _anything(*_: object) -> None:
    """Every model will do."""
