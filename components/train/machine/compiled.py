"""The compiled loop around the step: images are on the device, batches are gathered there, and many steps run in one
call, so that Python is not in the way.
"""  # noqa: D205 - one sentence

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

from components.artifacts.model import pixels
from components.artifacts.record.columns import BINS, SCALARS, STATISTICS
from components.train.component import AUGMENTATIONS, TrainParameters
from components.train.machine.data import Split, labels_of
from components.train.machine.observe import Observer
from components.train.tape import Taken, Training, train_step

T = TypeVar("T")

# From image indices, the gradients of the step before, and the tensors of a split, to rows, statistics, histograms, and
# the last gradients.
RunSteps = Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]]


def compile_steps(
    training: Training, split: Split, channels: int, *, observed: bool = False, moves: bool = False
) -> Any:
    """Return a tf.function (`RunSteps`) of the image indices of some steps, int32 [steps, images], that takes them.

    It also takes the gradients of the step before, and the images, labels and weights, if `split` has any, that the
    indices are in. It returns: a row for each step, float32 [steps, columns]; if the
    steps are `observed`, their statistics, float32 [steps, variables, statistics], and histograms, int32
    [steps, variables, bins], else two empty tensors; and the last step's gradients. Rows are kept on the device until
    all of these steps are done, so Python is called once for all of them.
    """
    parameters, optimizer, augment = training.parameters, training.optimizer, training.augment
    variables = training.network.trainable_variables
    columns = len(SCALARS) + training.apart + (0 if parameters.gradient_level == "off" else 1 + len(variables))
    observer = Observer(training, moves=moves)
    strategy = tf.distribute.get_strategy()
    share = parameters.batch_size * parameters.accumulate // strategy.num_replicas_in_sync  # of a step's images
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        [tf.TensorSpec(variable.shape, tf.float32) for variable in variables],
        tf.TensorSpec([None, *split.images.shape[1:]], tf.uint8),
        *(tf.TensorSpec([None], each.dtype) for each in split.tensors[1:]),
    ]

    # An observer sees all images of a step, and what augments them draws its numbers for all; else a worker's suffice.
    here = slice(None) if observed or augment.names else own_part(parameters, strategy)
    before_here = here.start or 0

    def step(images: tf.Tensor, labels: tf.Tensor) -> Taken:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * share - before_here
        last = first + share
        return train_step(training, images[first:last], labels[first:last])

    taking = tf.function(step, jit_compile=True) if parameters.xla else step

    def on_replicas(function: Callable[..., T], *arguments: tf.Tensor) -> T:
        """Call it on every replica, and return what the first one has: afterwards all have the same."""
        found = strategy.run(function, arguments)
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)  # type: ignore[no-any-return]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run_steps(
        order: tf.Tensor, gradients: list[tf.Tensor], *tensors: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        steps, window = tf.shape(order)[0], Split(*tensors)
        rows = tf.TensorArray(tf.float32, size=steps, element_shape=[columns])
        stats = tf.TensorArray(tf.float32, size=steps, element_shape=[len(variables), len(STATISTICS)])
        hist = tf.TensorArray(tf.int32, size=steps, element_shape=[len(variables), BINS])
        for i in tf.range(steps):
            chosen = order[i][here]
            images = pixels(tf.gather(window.images, chosen), channels)
            labels = labels_of(window, chosen, mixes=augment.mixes)
            if augment.names:
                images, labels = augment(images, labels, optimizer.iterations)
            rate = tf.cast(optimizer.learning_rate, tf.float32)
            previous, before = gradients, on_replicas(observer.before, images, labels) if observed else ([], [])
            taken = on_replicas(taking, images, labels)
            gradients = taken.gradients
            seen = taken.seen
            row = tf.stack([seen.loss, seen.accuracy, rate, *([seen.objective] if training.apart else [])])
            rows = rows.write(i, row if parameters.gradient_level == "off" else tf.concat([row, taken.norms], 0))
            if observed:
                found, counts = observer.after(taken, previous, before)
                stats, hist = stats.write(i, found), hist.write(i, counts)
        if not observed:
            return rows.stack(), tf.zeros([0]), tf.zeros([0]), gradients
        return rows.stack(), stats.stack(), hist.stack(), gradients

    return run_steps


def needed(parameters: TrainParameters, strategy: tf.distribute.Strategy) -> slice:
    """Return which of a step's images this worker ever looks at: all, where it observes or augments; else its own."""
    looks_at_all = parameters.chosen(AUGMENTATIONS.kind) or parameters.gradient_level not in ("off", "norms")
    return slice(None) if looks_at_all else own_part(parameters, strategy)


def own_part(parameters: TrainParameters, strategy: tf.distribute.Strategy) -> slice:
    """Return which of a step's images the replicas of this worker take."""
    images = parameters.batch_size * parameters.accumulate // parameters.workers
    number = strategy.cluster_resolver.task_id if parameters.workers > 1 else 0
    return slice(number * images, (number + 1) * images)
