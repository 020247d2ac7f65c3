"""The training: data, model, step, loop, in this order.

The step is where the gradients are in one's hands: `train_step` computes them with the tape, looks at them, changes
them, and applies them. What is around it only feeds it: the images stay on the device, batches are gathered there,
and many steps run in one call, so that Python is not in the way.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.step import artifact, quiet
from components.step.artifact import canonical_json
from components.step.errors import BadInput, StepError
from components.step.gradients import BINS, SCALARS, STATISTICS

with quiet.importing():
    import keras
    import tensorflow as tf

from components.train import checkpoint as checkpoints
from components.train import optimizers
from components.train.component import MODELS, RULES, TrainParameters
from components.train.data import Split, batches, load, normalised
from components.train.observe import Observer, cross_entropy, variables_of
from components.train.progress import Progress
from components.train.record import BLOCK, Recorder
from components.train.save import save_model
from components.train.schedule import due

STEPS_PER_CALL = 50  # bounds the time from a SIGTERM to its answer, as Python handles signals only between calls


# From image indices, and the gradients of the step before, to rows, statistics, histograms, and the last gradients.
RunSteps = Callable[[tf.Tensor, list[tf.Tensor]], tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]]


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

    image_shape = tuple(training.images.shape[1:])
    keras.config.set_dtype_policy(parameters.precision.replace("-", "_"))
    network = importlib.import_module(MODELS[parameters.model]).build(image_shape, classes)
    keras.config.set_dtype_policy("float32")
    optimizer = optimizers.build(parameters, parameters.epochs * steps_per_epoch)
    optimizer.build(network.trainable_variables)
    recorder = Recorder(gradients, variables_of(network), parameters.gradient_level)
    none_yet = [tf.fill(variable.shape, float("nan")) for variable in network.trainable_variables]

    state = checkpoints.State(parameters, artifact.digest(dataset), network, optimizer, recorder, none_yet)
    step = state.resume(checkpoint)
    print(f"{parameters.model}: {network.count_params():,} parameters, {len(training.labels):,} images, {batch} a step")
    try:
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
        "frozen": [weight.path for layer in network.layers if not layer.trainable for weight in layer.weights],
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
    [1 + variables], the global one first. Run by several replicas (tf.distribute), each gets its own images, loss and
    answers, and all get the gradients of all the images.
    """
    variables = [variable.value for variable in network.trainable_variables]
    losses, correct, sums = [], [], list[tf.Tensor]()
    for batch_images, batch_labels in zip(
        tf.split(images, parameters.accumulate), tf.split(labels, parameters.accumulate), strict=True
    ):
        with tf.GradientTape() as tape:
            logits = network(batch_images, training=True)
            loss = cross_entropy(batch_labels, logits)
            scaled = loss * parameters.loss_scale  # so that small gradients do not underflow in float16
        gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
        losses.append(loss)
        correct.append(accuracy(logits, batch_labels))
    divisor = parameters.accumulate * parameters.loss_scale
    gradients = sums if divisor == 1 else [total / divisor for total in sums]
    replicas = tf.distribute.get_replica_context()
    if replicas.num_replicas_in_sync > 1:
        gradients = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)

    gradients = rule(gradients, network.trainable_variables, optimizer.iterations)
    squares = [2 * tf.nn.l2_loss(gradient) for gradient in gradients]  # one fused pass over each gradient
    # Not tf.add_n: it begins with whichever input's memory is free by then, so its last bit is a matter of timing.
    global_norm = tf.sqrt(tf.reduce_sum(tf.stack(squares)))
    applied = gradients
    if parameters.clip_norm:
        applied, _ = tf.clip_by_global_norm(gradients, parameters.clip_norm, use_norm=global_norm)
    if replicas.num_replicas_in_sync > 1:  # Keras adds up what the replicas give it
        applied = [gradient / replicas.num_replicas_in_sync for gradient in applied]
    optimizer.apply_gradients(zip(applied, network.trainable_variables, strict=True))
    norms = tf.stack([global_norm, *(tf.sqrt(square) for square in squares)])
    return tf.reduce_mean(tf.stack(losses)), tf.reduce_mean(tf.stack(correct)), gradients, norms


def compile_steps(
    parameters: TrainParameters,
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    training: Split,
    *,
    observed: bool = False,
) -> RunSteps:
    """Return a function of the image indices of some steps, int32 [steps, images], that takes these steps.

    It also takes the gradients of the step before, and returns: a row for each step, float32 [steps, columns]; if the
    steps are `observed`, their statistics, float32 [steps, variables, statistics], and histograms, int32
    [steps, variables, bins], else two empty tensors; and the last step's gradients. Rows are kept on the device until
    all of these steps are done, so Python is called once for all of them.
    """
    rule = importlib.import_module(RULES[parameters.rule]).apply
    variables = network.trainable_variables
    columns = len(SCALARS) + (0 if parameters.gradient_level == "off" else 1 + len(variables))
    observer = Observer(parameters, network, optimizer, rule)
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        [tf.TensorSpec(variable.shape, tf.float32) for variable in variables],
    ]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run_steps(
        order: tf.Tensor, gradients: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        steps = tf.shape(order)[0]
        rows = tf.TensorArray(tf.float32, size=steps, element_shape=[columns])
        stats = tf.TensorArray(tf.float32, size=steps, element_shape=[len(variables), len(STATISTICS)])
        hist = tf.TensorArray(tf.int32, size=steps, element_shape=[len(variables), BINS])
        for i in tf.range(steps):
            images = normalised(tf.gather(training.images, order[i]))
            labels = tf.gather(training.labels, order[i])
            rate = tf.cast(optimizer.learning_rate, tf.float32)
            previous, before = gradients, observer.before(images, labels) if observed else ([], [])
            loss, correct, gradients, norms = train_step(network, optimizer, rule, parameters, images, labels)
            row = tf.stack([loss, correct, rate])
            rows = rows.write(i, row if parameters.gradient_level == "off" else tf.concat([row, norms], 0))
            if observed:
                found, counts = observer.after(gradients, previous, before)
                stats, hist = stats.write(i, found), hist.write(i, counts)
        if not observed:
            return rows.stack(), tf.zeros([0]), tf.zeros([0]), gradients
        return rows.stack(), stats.stack(), hist.stack(), gradients

    return run_steps  # type: ignore[no-any-return]


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


def stops(parameters: TrainParameters, step: int, end: int) -> Iterator[tuple[int, bool]]:
    """Yield the steps after which the loop comes back to Python, up to `end`, and whether those so far are observed.

    Something is to be written then, or the steps that follow are observed and those before were not, or the reverse.
    """

    def observed(step: int) -> bool:
        return bool(due(parameters, step) & {"stats", "hist"})

    since = step
    while step < end:
        step += 1
        written = (step % parameters.checkpoint_every == 0 and parameters.checkpoints) or step % BLOCK == 0
        if step == end or written or step - since == STEPS_PER_CALL or parameters.eager or (
            "full" in due(parameters, step) or observed(step) != observed(step + 1)
        ):  # fmt: skip
            yield step, observed(step)
            since = step


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
