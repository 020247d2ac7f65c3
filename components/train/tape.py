"""The step, where the gradients are in one's hands, and the compiled loop around it.

`train_step` computes them with the tape, looks at them, changes them, and applies them. `compile_steps` only feeds it:
the images stay on the device, batches are gathered there, and many steps run in one call, so that Python is not in the
way.
"""

import importlib
from collections.abc import Callable
from typing import TypeVar

from components.artifacts.record.columns import BINS, SCALARS, STATISTICS
from components.contract import quiet

with quiet.importing():
    import keras
    import tensorflow as tf

from components.artifacts.dataset import Split, normalised
from components.train.component import TRANSFORMS, TrainParameters
from components.train.machine.observe import Observer, cross_entropy

T = TypeVar("T")

# From image indices, and the gradients of the step before, to rows, statistics, histograms, and the last gradients.
RunSteps = Callable[[tf.Tensor, list[tf.Tensor]], tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]]


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
    [1 + variables], the global one first. Run by several replicas (tf.distribute), each gets its own images, and
    returns what is true of all of them.
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
        gradients = [
            tf.ensure_shape(tf.convert_to_tensor(gradient), variable.shape)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
        losses.append(loss)
        correct.append(accuracy(logits, batch_labels))
    divisor = parameters.accumulate * parameters.loss_scale
    gradients = sums if divisor == 1 else [total / divisor for total in sums]
    loss, answers = tf.reduce_mean(tf.stack(losses)), tf.reduce_mean(tf.stack(correct))
    replicas = tf.distribute.get_replica_context()
    if replicas.num_replicas_in_sync > 1:
        mean = tf.distribute.ReduceOp.MEAN
        gradients, loss, answers = replicas.all_reduce(mean, [gradients, loss, answers])

    gradients = rule(gradients, network.trainable_variables, optimizer.iterations)
    squares = 2 * tf.stack([tf.nn.l2_loss(gradient) for gradient in gradients])  # one fused pass over each gradient
    # Not tf.add_n: it begins with whichever input's memory is free by then, so its last bit is a matter of timing.
    norms = tf.sqrt(tf.concat([tf.reduce_sum(squares, keepdims=True), squares], 0))
    applied = gradients
    if parameters.clip_norm:
        applied, _ = tf.clip_by_global_norm(gradients, parameters.clip_norm, use_norm=norms[0])
    if replicas.num_replicas_in_sync > 1:  # Keras adds up what the replicas give it
        applied = [gradient / replicas.num_replicas_in_sync for gradient in applied]
    optimizer.apply_gradients(zip(applied, network.trainable_variables, strict=True))
    return loss, answers, gradients, norms


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
    rule = importlib.import_module(TRANSFORMS[parameters.transform]).apply
    variables = network.trainable_variables
    columns = len(SCALARS) + (0 if parameters.gradient_level == "off" else 1 + len(variables))
    observer = Observer(parameters, network, optimizer, rule)
    strategy = tf.distribute.get_strategy()
    share = parameters.batch_size * parameters.accumulate // strategy.num_replicas_in_sync  # of a step's images
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        [tf.TensorSpec(variable.shape, tf.float32) for variable in variables],
    ]

    def step(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], tf.Tensor]:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * share
        last = first + share
        return train_step(network, optimizer, rule, parameters, images[first:last], labels[first:last])

    def on_replicas(function: Callable[..., T], *arguments: tf.Tensor) -> T:
        """Call it on every replica, and return what the first one has: afterwards all have the same."""
        found = strategy.run(function, arguments)
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)  # type: ignore[no-any-return]

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
            previous, before = gradients, on_replicas(observer.before, images, labels) if observed else ([], [])
            loss, correct, gradients, norms = on_replicas(step, images, labels)
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
