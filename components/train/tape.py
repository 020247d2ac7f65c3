"""The step, where the gradients are in one's hands.

`train_step` finds them by one of the ways in steps/ (`plain` is the tutorial's tape), changes them by one of the
transforms/, measures, clips, and applies them. Whoever else needs a gradient calls `gradients_of`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.contract import quiet
from components.contract.plugins import Bound

with quiet.importing():
    import keras
    import tensorflow as tf

from components.train.component import TrainParameters
from components.train.machine.augment import Augment
from components.train.machine.blame import blame
from components.train.machine.objective import Objective, main_classes
from components.train.machine.transform import Transform


@dataclass(frozen=True)
class Training:
    """What a step is made of."""

    parameters: TrainParameters
    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    loss: Objective
    way: Bound  # one of steps/
    transform: Transform
    augment: Augment  # what is done to the images before the step
    touched: tuple[tf.Variable, ...] = ()  # what the way assigns as it looks, to be put back after a second look

    @property
    def apart(self) -> bool:
        """Whether what is minimised is not just the data's loss, so that both are recorded."""
        return self.loss.adds or self.parameters.step != "plain"


class Seen(NamedTuple):
    """What a step says of its images: float32 scalars."""

    loss: tf.Tensor  # mean loss of the data, without what is added to it
    objective: tf.Tensor  # what was minimised: with what Keras adds, and at the images that the way chose
    accuracy: tf.Tensor  # share of correct answers


class Taken(NamedTuple):
    """What came of a step."""

    seen: Seen
    found: list[tf.Tensor]  # the gradients before the transformation
    gradients: list[tf.Tensor]  # after it, before clipping
    norms: tf.Tensor  # theirs, float32 [1 + variables], the global one first


def train_step(training: Training, images: tf.Tensor, labels: tf.Tensor) -> Taken:
    """Learn from one step's images, float32 [accumulate × batch, …] in 0..1, and labels, int32 (or weighed).

    Run by several replicas (tf.distribute), each gets its own images, and returns what is true of all of them.
    """
    seen, found = mean_gradients(training, images, labels)
    gradients = training.transform(found, training.optimizer.iterations)
    norms = norms_of(gradients)
    clipped = clip(gradients, norms[0], training.parameters.clip_norm)
    apply(training.optimizer, clipped, training.network)
    return Taken(seen, found, gradients, norms)


def gradients_of(
    training: Training, images: tf.Tensor, labels: tf.Tensor, call: int = 0
) -> tuple[Seen, list[tf.Tensor]]:
    """Return what is seen of the images, and their mean gradients, times the loss scale: the one way to a gradient."""
    parameters, context = training.parameters, tf.distribute.get_replica_context()
    calls = parameters.accumulate * context.num_replicas_in_sync

    def seed() -> tf.Tensor:
        number = call * context.num_replicas_in_sync + context.replica_id_in_sync_group
        at_step = tf.random.experimental.stateless_fold_in([parameters.seed, 1], training.optimizer.iterations)
        return tf.random.experimental.stateless_fold_in(at_step, number)

    network = training.network
    with blame(f"step {parameters.step} fails", *training.way.files):
        answer = training.way(network, training.loss, images, labels, seed=seed, calls=lambda: calls)
        if not isinstance(answer, tuple) or len(answer) != 3 or len(answer[2]) != len(network.trainable_variables):
            count = len(network.trainable_variables)
            raise ValueError(f"gradients must return three things: loss, logits, and {count} gradients")
    value, logits, found = answer
    objective = tf.cast(value / training.loss.scale, tf.float32)
    loss = training.loss.data(labels, logits) if training.apart else objective
    return Seen(loss, objective, accuracy(logits, labels)), dense(found, network)


def mean_gradients(training: Training, images: tf.Tensor, labels: tf.Tensor) -> tuple[Seen, list[tf.Tensor]]:
    """Return what is seen of all images of a step, and their mean gradients, over its batches and the replicas."""
    count = training.parameters.accumulate
    rows, sums = [], list[tf.Tensor]()
    for call, part in enumerate(zip(tf.split(images, count), tf.split(labels, count), strict=True)):
        seen, found = gradients_of(training, *part, call)
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
        rows.append(seen)
    divisor = count * training.loss.scale
    gradients = sums if divisor == 1 else [total / divisor for total in sums]
    seen = Seen(*(tf.reduce_mean(tf.stack(each)) for each in zip(*rows, strict=True)))
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        gradients, seen = context.all_reduce(tf.distribute.ReduceOp.MEAN, [gradients, seen])
    return seen, gradients


def norms_of(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the L2 norms, float32 [1 + variables]: of all gradients together, and of each."""
    squares = 2 * tf.stack([tf.nn.l2_loss(gradient) for gradient in gradients])  # one fused pass over each gradient
    # Not tf.add_n: it begins with whichever input's memory is free by then, so its last bit is a matter of timing.
    return tf.sqrt(tf.concat([tf.reduce_sum(squares, keepdims=True), squares], 0))


def clip(gradients: list[tf.Tensor], norm: tf.Tensor, largest: float) -> list[tf.Tensor]:
    """Return the gradients, scaled so that their global norm is at most the largest; 0: any."""
    return tf.clip_by_global_norm(gradients, largest, use_norm=norm)[0] if largest else gradients


def apply(optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], network: keras.Model) -> None:
    """Let the optimizer change the variables, once for all replicas."""
    if tf.distribute.get_replica_context().num_replicas_in_sync > 1:
        # Keras would add them up over the replicas, but they are those of all already: as many bytes again to send.
        if not hasattr(optimizer, "_all_reduce_sum_gradients"):
            raise RuntimeError("this version of Keras adds gradients up in another way; install the one of uv.lock")
        optimizer._all_reduce_sum_gradients = list  # noqa: SLF001
    pairs = zip(gradients, network.trainable_variables, strict=True)
    optimizer.apply_gradients([(tf.cast(gradient, variable.dtype), variable) for gradient, variable in pairs])


def variables_of(network: keras.Model) -> list[tf.Variable]:
    """Return the variables that are learned, as TensorFlow knows them."""
    return [variable.value for variable in network.trainable_variables]


def dense(gradients: Sequence[Any], network: keras.Model) -> list[tf.Tensor]:
    """Return a float32 tensor for each variable, from what a tape gives: None, IndexedSlices, or another precision."""
    return [
        tf.zeros(variable.shape)
        if gradient is None
        else tf.ensure_shape(tf.cast(tf.convert_to_tensor(gradient), tf.float32), variable.shape)
        for gradient, variable in zip(gradients, network.trainable_variables, strict=True)
    ]


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the share of correct answers, a float32 scalar; of several labels an image's main one counts."""
    right = tf.argmax(logits, axis=1, output_type=tf.int32) == main_classes(labels)
    return tf.reduce_mean(tf.cast(right, tf.float32))
