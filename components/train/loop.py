"""The training: data, model, step, loop, in this order.

The step is where the gradients are in one's hands: `train_step` computes them with the tape, looks at them, changes
them, and applies them. What is around it only feeds it: the images stay on the device, batches are gathered there,
and many steps run in one call, so that Python is not in the way.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.step import artifact, quiet
from components.step.artifact import canonical_json
from components.step.errors import BadInput, StepError

with quiet.importing():
    import keras
    import tensorflow as tf

from components.train import checkpoint as checkpoints
from components.train import optimizers
from components.train.component import MODELS, RULES, TrainParameters
from components.train.progress import Progress
from components.train.record import Recorder, is_snapshot
from components.train.save import save_model

STEPS_PER_CALL = 50  # bounds the time from a SIGTERM to its answer, as Python handles signals only between calls


@dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width], and labels, int32 [n], on the device."""

    images: tf.Tensor
    labels: tf.Tensor


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
    goes on as if it had not been cut off. Raises `BadInput` for what does not fit, `StepError` if the loss diverges.
    """
    choose_device(parameters.device)
    tf.config.experimental.enable_op_determinism()
    tf.config.run_functions_eagerly(parameters.eager)
    keras.utils.clear_session()  # Keras numbers its names; a second training in one process begins at 0 again
    keras.utils.set_random_seed(parameters.seed)

    training, validation, classes = load(dataset)
    batch = parameters.batch_size * parameters.accumulate  # images in a step
    steps_per_epoch = len(training.labels) // batch  # the few images left over are others in each epoch
    if steps_per_epoch == 0:
        raise BadInput(f"batch_size: {batch} images a step, but there are only {len(training.labels)} to train on")

    network = importlib.import_module(MODELS[parameters.model]).build(tuple(training.images.shape[1:]), classes)
    optimizer = optimizers.build(parameters, parameters.epochs * steps_per_epoch)
    optimizer.build(network.trainable_variables)
    names = [(variable.path, tuple(variable.shape)) for variable in network.trainable_variables]
    recorder = Recorder(gradients, names, parameters.gradient_level)
    run_steps = compile_steps(parameters, network, optimizer, training)

    state = checkpoints.State(parameters, artifact.digest(dataset), network, optimizer, recorder)
    step = state.resume(checkpoint)
    print(f"{parameters.model}: {network.count_params():,} parameters, {len(training.labels):,} images, {batch} a step")
    with Progress(parameters.epochs, steps_per_epoch, start=step) as progress:
        for epoch in range(step // steps_per_epoch + 1, parameters.epochs + 1):
            order = batches(parameters.seed, epoch, len(training.labels), steps_per_epoch, batch)
            began = time.perf_counter()
            first, done = step, (epoch - 1) * steps_per_epoch
            for end in stops(parameters, step, epoch * steps_per_epoch):
                rows, last_gradients = run_steps(tf.constant(order[step - done : end - done]))
                recorder.add(rows.numpy())
                check_finite(recorder, end)
                step = end
                if is_snapshot(step, parameters.gradient_level, parameters.snapshot_every):
                    recorder.snapshot(step, [gradient.numpy() for gradient in last_gradients])
                if step < epoch * steps_per_epoch:
                    state.save_if_due(step)
                progress.advance(step, float(recorder.rows[-1, 0]))
            seconds = time.perf_counter() - began
            state.epochs.append(summary(epoch, recorder.rows, *evaluate(network, validation)))
            progress.end_epoch(state.epochs[-1], (step - first) * batch / seconds)
            recorder.end_epoch(epoch, step)
            state.save_if_due(step)

    recorder.finish(steps_per_epoch, state.epochs)
    save_model(network, trained_model / "model.keras")
    (metrics / "metrics.json").write_bytes(canonical_json({"epochs": state.epochs}))
    last = {name: value for name, value in state.epochs[-1].items() if name != "epoch"}
    return {"metrics": last, "trained_model": {"framework": "keras", "parameters": network.count_params()}}


# ------------------------------------------------------------------------------------------------------------ the step


def train_step(  # noqa: PLR0913 - all that a step depends on
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    rule: Callable[..., list[tf.Tensor]],
    parameters: TrainParameters,
    images: tf.Tensor,
    labels: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Learn from one step's images, float32 [accumulate × batch, height, width, 1] in 0..1, and labels, int32.

    Returns the mean loss, the share of correct answers, the gradients (before clipping), and their norms: float32
    [1 + variables], the global one first.
    """
    variables = [variable.value for variable in network.trainable_variables]
    losses, correct, sums = [], [], list[tf.Tensor]()
    for batch_images, batch_labels in zip(
        tf.split(images, parameters.accumulate), tf.split(labels, parameters.accumulate), strict=True
    ):
        with tf.GradientTape() as tape:
            logits = network(batch_images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch_labels, logits))
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
        losses.append(loss)
        correct.append(accuracy(logits, batch_labels))
    gradients = sums if parameters.accumulate == 1 else [total / parameters.accumulate for total in sums]

    gradients = rule(gradients, network.trainable_variables, optimizer.iterations)
    squares = [2 * tf.nn.l2_loss(gradient) for gradient in gradients]  # one fused pass over each gradient
    # Not tf.add_n: it begins with whichever input's memory is free by then, so its last bit is a matter of timing.
    global_norm = tf.sqrt(tf.reduce_sum(tf.stack(squares)))
    applied = gradients
    if parameters.clip_norm:
        applied, _ = tf.clip_by_global_norm(gradients, parameters.clip_norm, use_norm=global_norm)
    optimizer.apply_gradients(zip(applied, network.trainable_variables, strict=True))
    norms = tf.stack([global_norm, *(tf.sqrt(square) for square in squares)])
    return tf.reduce_mean(tf.stack(losses)), tf.reduce_mean(tf.stack(correct)), gradients, norms


def compile_steps(
    parameters: TrainParameters, network: keras.Model, optimizer: keras.optimizers.Optimizer, training: Split
) -> Callable[[tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]:
    """Return a function that takes the steps whose image indices are given, int32 [steps, images].

    It returns a row for each step, float32 [steps, columns] as `Recorder` wants them, and the last step's gradients.
    """
    rule = importlib.import_module(RULES[parameters.rule]).apply
    columns = 3 if parameters.gradient_level == "off" else 4 + len(network.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])  # type: ignore[untyped-decorator]
    def run_steps(order: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        steps = tf.shape(order)[0]
        rows = tf.TensorArray(tf.float32, size=steps, element_shape=[columns])
        gradients = [tf.zeros_like(variable.value) for variable in network.trainable_variables]
        for i in tf.range(steps):
            images = normalised(tf.gather(training.images, order[i]))
            labels = tf.gather(training.labels, order[i])
            rate = tf.cast(optimizer.learning_rate, tf.float32)
            loss, correct, gradients, norms = train_step(network, optimizer, rule, parameters, images, labels)
            row = tf.stack([loss, correct, rate])
            rows = rows.write(i, row if parameters.gradient_level == "off" else tf.concat([row, norms], 0))
        return rows.stack(), gradients

    return run_steps  # type: ignore[no-any-return]


def normalised(images: tf.Tensor) -> tf.Tensor:
    """Return uint8 [n, height, width] as float32 [n, height, width, 1] in 0..1."""
    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the share of correct answers, a float32 scalar."""
    return tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32))


# --------------------------------------------------------------------------------------------------- what surrounds it


def choose_device(device: str) -> None:
    """Hide the GPUs for `cpu`; refuse `gpu` where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise BadInput("device: gpu, but TensorFlow sees none here; ask for a node with one, or give auto or cpu")
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")


def load(dataset: Path) -> tuple[Split, Split, int]:
    """Return the training and validation splits, and the number of classes."""
    metadata = artifact.read(dataset).metadata
    splits = []
    for name in ("train", "validation"):
        images = np.load(dataset / f"{name}-images.npy", allow_pickle=False)
        labels = np.load(dataset / f"{name}-labels.npy", allow_pickle=False)
        splits.append(Split(tf.constant(images), tf.constant(labels.astype(np.int32))))
    return splits[0], splits[1], int(metadata["classes"])


def batches(seed: int, epoch: int, count: int, steps: int, batch: int) -> npt.NDArray[np.int32]:
    """Return which of `count` images each step of an epoch sees, int32 [steps, batch]: a new order each epoch.

    It follows from the seed and the epoch alone, so a run that is resumed needs no state for it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)[: steps * batch]
    return order.reshape(steps, batch).astype(np.int32)


def stops(parameters: TrainParameters, step: int, end: int) -> Iterator[int]:
    """Yield the steps after which the loop comes back to Python, up to `end`: something is to be written then."""
    since = step
    while step < end:
        step += 1
        due = step % parameters.checkpoint_every == 0 and parameters.checkpoints
        if step == end or due or step - since == STEPS_PER_CALL or parameters.eager or is_snapshot(
            step, parameters.gradient_level, parameters.snapshot_every
        ):  # fmt: skip
            yield step
            since = step


def evaluate(network: keras.Model, split: Split, batch: int = 1000) -> tuple[float, float]:
    """Return loss and accuracy over all images of a split."""
    loss, correct = 0.0, 0
    for start in range(0, len(split.labels), batch):
        labels = split.labels[start : start + batch]
        logits = network(normalised(split.images[start : start + batch]), training=False)
        loss += float(tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        correct += int(tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=tf.int32) == labels))
    return loss / len(split.labels), correct / len(split.labels)


def summary(epoch: int, rows: npt.NDArray[np.float32], loss: float, correct: float) -> dict[str, float]:
    """Return the metrics of an epoch: means over its steps, and the validation's."""
    train_loss, train_accuracy = rows[:, :2].mean(axis=0, dtype=np.float64)
    return {
        "epoch": epoch,
        "train_loss": float(train_loss),
        "train_accuracy": float(train_accuracy),
        "validation_loss": loss,
        "validation_accuracy": correct,
    }


def check_finite(recorder: Recorder, last_step: int) -> None:
    """Raise `StepError` naming the first step whose loss is not a finite number."""
    losses = recorder.rows[:, 0]
    if not np.isfinite(losses).all():
        step = last_step - len(losses) + 1 + int(np.argmin(np.isfinite(losses)))
        raise StepError(f"the loss is {losses[~np.isfinite(losses)][0]} at step {step}; try a lower learning_rate")
