"""The training: load the data, build the network, take the steps, and write what is to be kept of them."""

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import artifact, quiet
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput, StepError

with quiet.importing():
    import keras
    import tensorflow as tf

from components.artifacts.dataset import Split, batches, load, normalised
from components.artifacts.model import save_model
from components.artifacts.record.writer import Recorder
from components.train import optimizers
from components.train.component import MODELS, TrainParameters
from components.train.machine import checkpoint as checkpoints
from components.train.machine.graph import trace
from components.train.machine.plan import due, stops
from components.train.machine.progress import Progress
from components.train.tape import RunSteps, compile_steps


def train(  # noqa: PLR0913 - one path for each input and output
    parameters: TrainParameters,
    *,
    dataset: Path,
    checkpoint: Path | None,
    trained_model: Path,
    gradients: Path,
    metrics: Path,
) -> dict[str, dict[str, Any]]:
    """Learn the training split of `dataset`; write the model, the record of its gradients, and its metrics.

    The same dataset, parameters and seed give the same bytes, also after an interruption: from a checkpoint the run
    goes on as if it had not been cut off. Raises `BadInput` for what does not fit, `Diverged` for a loss that does.
    """
    strategy = choose_devices(parameters.device, parameters.replicas)
    tf.config.experimental.enable_op_determinism()
    tf.config.run_functions_eagerly(parameters.eager)
    keras.utils.clear_session()  # Keras numbers its names; a second training in one process begins at 0 again
    keras.utils.set_random_seed(parameters.seed)

    training, validation, classes = load(dataset)
    batch = parameters.batch_size * parameters.accumulate  # images in a step
    steps_per_epoch = len(training.labels) // batch  # the few images left over are others in each epoch
    if steps_per_epoch == 0:
        raise BadInput(f"batch_size: {batch} images a step, but there are only {len(training.labels)} to train on")

    image_shape = tuple(training.images.shape[1:])
    with strategy.scope():
        keras.config.set_dtype_policy(parameters.precision.replace("-", "_"))
        network = importlib.import_module(MODELS[parameters.model]).build(image_shape, classes)
        keras.config.set_dtype_policy("float32")
        optimizer = optimizers.build(parameters, parameters.epochs * steps_per_epoch)
        optimizer.build(network.trainable_variables)
    traced = trace(network, tuple(network.input_shape[1:]))
    recorder = Recorder(gradients, traced.variables, parameters.gradient_level)
    none_yet = [tf.fill(variable.shape, float("nan")) for variable in network.trainable_variables]

    state = checkpoints.State(parameters, artifact.digest(dataset), network, optimizer, recorder, none_yet)
    step = state.resume(checkpoint)
    print(f"{parameters.model}: {network.count_params():,} parameters, {len(training.labels):,} images, {batch} a step")
    try:
        with strategy.scope():
            learn(state, step, steps_per_epoch, training, validation)
    except Diverged as error:
        if parameters.diverged == "fail":
            raise
        print(f"stopped: {str(error).partition(';')[0]}")

    settings = {
        "steps_per_epoch": steps_per_epoch,
        "images_per_step": batch,
        "classes": classes,
        "clip_norm": parameters.clip_norm,
        "frozen": traced.frozen,
    }
    recorder.finish(settings, state.epochs)
    save_model(network, trained_model / "model.keras")
    (metrics / "metrics.json").write_bytes(canonical_json({"epochs": state.epochs}))
    last = {name: value for name, value in (state.epochs or [{}])[-1].items() if name != "epoch"}
    return {"metrics": last, "trained_model": {"framework": "keras", "parameters": network.count_params()}}


def learn(state: checkpoints.State, step: int, steps_per_epoch: int, training: Split, validation: Split) -> None:
    """Go on from `step` to the end of the last epoch, writing record, checkpoints and progress on the way."""
    parameters = state.parameters
    run = [
        compile_steps(parameters, state.network, state.optimizer, training, observed=observed)
        for observed in (False, True)
    ]
    batch = parameters.batch_size * parameters.accumulate
    with Progress(parameters.epochs, steps_per_epoch, start=step) as progress:
        for epoch in range(step // steps_per_epoch + 1, parameters.epochs + 1):
            order = batches(parameters.seed, epoch, len(training.labels), steps_per_epoch, batch)
            began = time.perf_counter()
            first, done = step, (epoch - 1) * steps_per_epoch
            for end, observed in stops(parameters, step, epoch * steps_per_epoch):
                loss = advance(state, step, order[step - done : end - done], run[observed])
                step = end
                if step < epoch * steps_per_epoch:
                    state.save_if_due(step)
                progress.advance(step, loss)
            seconds = time.perf_counter() - began
            state.end_epoch(epoch, steps_per_epoch, *evaluate(state.network, validation))
            progress.end_epoch(state.epochs[-1], (step - first) * batch / seconds)
            state.save_if_due(step)


def advance(state: checkpoints.State, step: int, order: npt.NDArray[np.int32], run_steps: RunSteps) -> float:
    """Take the steps after `step` that see the images of `order`, record them, and return the last one's loss."""
    rows, stats, hist, state.gradients = run_steps(tf.constant(order), state.gradients)
    values = rows.numpy()
    state.record(step, values, {"stats": stats.numpy(), "hist": hist.numpy()})
    check_finite(step, values[:, 0])
    if "full" in due(state.parameters, step + len(order)):
        state.recorder.snapshot(step + len(order), [gradient.numpy() for gradient in state.gradients])
    return float(values[-1, 0])


def choose_devices(device: str, replicas: int) -> tf.distribute.Strategy:
    """Return what shares the steps among the devices. Hide the GPUs for `cpu`; refuse `gpu` where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise BadInput("device: gpu, but TensorFlow sees none here; ask for a node with one, or give auto or cpu")
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    if replicas == 1:
        return tf.distribute.get_strategy()
    if 0 < len(gpus) < replicas:
        raise BadInput(f"replicas: {replicas}, but TensorFlow sees {len(gpus)} GPUs here; ask for a node with more")
    if not gpus:
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(replicas)])


def evaluate(network: keras.Model, split: Split, batch: int = 1000) -> tuple[float, float]:
    """Return loss and accuracy over all images of a split."""
    loss, correct = 0.0, 0
    for start in range(0, len(split.labels), batch):
        labels = split.labels[start : start + batch]
        logits = tf.cast(network(normalised(split.images[start : start + batch]), training=False), tf.float32)
        loss += float(tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        correct += int(tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=tf.int32) == labels))
    return loss / len(split.labels), correct / len(split.labels)


class Diverged(StepError):
    """The loss is no longer a finite number."""


def check_finite(step: int, losses: npt.NDArray[np.float32]) -> None:
    """Raise `Diverged` naming the first of the steps after `step` whose loss is not a finite number."""
    finite = np.isfinite(losses)
    if not finite.all():
        first = int(np.argmin(finite))
        raise Diverged(
            f"the loss is {losses[first]} at step {step + first + 1}; try a lower learning_rate, or "
            "diverged=publish to have export explain it"
        )
