"""The statistics of a step's gradients, in TensorFlow: compiled into the loop, a handful of passes over each gradient.

What each of them means, and their order, is said in components/artifacts/record/columns.py.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from components.artifacts.record.columns import BINS, QUANTILES, STATISTICS
from components.train import optimizers
from components.train.component import TrainParameters

# For quantiles each octave is cut in eight, by the three bits after the exponent.
_SHIFT, _FINE = 20, 4096
_PER_OCTAVE = _FINE // BINS


class Observer:
    """Looks at one step: `before` it and `after` it, both traced into the compiled loop."""

    def __init__(
        self,
        parameters: TrainParameters,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        rule: Callable[..., list[tf.Tensor]],
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.rule = rule
        self.loss_scale = parameters.loss_scale
        self.images = parameters.batch_size * parameters.accumulate
        # A batch of those that are accumulated fits the memory; a single one is halved.
        self.part = parameters.batch_size if parameters.accumulate > 1 else self.images // 2
        # A second look at some images must not move a batch normalisation or draw a dropout's random numbers.
        self.noisy = self.part > 0 and not network.non_trainable_variables

    def before(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return the weights as they are, and the gradients of the first part of the images (else no gradients)."""
        weights = [tf.identity(variable) for variable in weights_of(self.network)]
        if not self.noisy:
            return weights, []
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels[: self.part], self.network(images[: self.part], training=True))
            scaled = loss * self.loss_scale
        part = tape.gradient(scaled, weights_of(self.network), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        part = [tf.convert_to_tensor(gradient) / self.loss_scale for gradient in part]
        return weights, self.rule(part, self.network.trainable_variables, self.optimizer.iterations)

    def after(
        self,
        gradients: Sequence[tf.Tensor],
        previous: Sequence[tf.Tensor],
        before: tuple[list[tf.Tensor], list[tf.Tensor]],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return statistics, float32 [variables, statistics], and histograms, int32 [variables, bins]."""
        weights, parts = before
        rows, counts = [], []
        for index, (gradient, variable) in enumerate(zip(gradients, self.network.trainable_variables, strict=True)):
            found, histogram = distribution(gradient)
            found |= change(gradient, previous[index])
            weight, update = norm(weights[index]), norm(variable.value - weights[index])
            found |= {"weight_norm": weight, "update_norm": update, "update_ratio": update / weight}
            moments = [norm(moment) for moment in optimizers.moments(self.optimizer, index)]
            found |= dict(zip(("momentum_norm", "velocity_norm"), moments, strict=False))
            if self.noisy:
                found |= noise(gradient, parts[index], self.images, self.part)
            missing = tf.constant(float("nan"))
            rows.append(tf.stack([tf.cast(found.get(name, missing), tf.float32) for name in STATISTICS]))
            counts.append(histogram)
        return tf.stack(rows), tf.stack(counts)


def weights_of(network: keras.Model) -> list[tf.Variable]:
    """Return the variables that are learned, as TensorFlow knows them."""
    return [variable.value for variable in network.trainable_variables]


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the mean loss of a batch: in float32, also where the network computes in less."""
    precise = max(logits.dtype, tf.float32, key=lambda dtype: int(dtype.size))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, precise)))


def norm(tensor: tf.Tensor) -> tf.Tensor:
    """Return the L2 norm, in one pass."""
    return tf.sqrt(2 * tf.nn.l2_loss(tensor))


def distribution(gradient: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Return the statistics of the numbers themselves, and their histogram, int32 [bins]."""
    flat = tf.reshape(gradient, [-1])
    size = tf.cast(tf.size(flat), tf.float32)
    bits = tf.bitcast(flat, tf.uint32)
    bins = tf.cast(tf.bitwise.right_shift(bits, tf.constant(_SHIFT, tf.uint32)), tf.int32)
    fine = tf.math.bincount(bins, minlength=_FINE, maxlength=_FINE)
    octaves = tf.reduce_sum(tf.reshape(fine, [BINS, _PER_OCTAVE]), axis=1)
    by_sign = tf.reshape(fine, [2, BINS // 2, _PER_OCTAVE])

    # Compared by their bits: the processor takes a subnormal number for zero, but it is none.
    zeros = tf.math.count_nonzero(tf.equal(tf.bitwise.left_shift(bits, tf.constant(1, tf.uint32)), 0), dtype=tf.int32)
    square, mean = 2 * tf.nn.l2_loss(flat), tf.reduce_sum(flat) / size
    low, high = tf.reduce_min(flat), tf.reduce_max(flat)
    found = {
        "l1_norm": tf.reduce_sum(tf.abs(flat)),
        "l2_norm": tf.sqrt(square),
        "max_norm": tf.maximum(tf.abs(low), tf.abs(high)),
        "mean": mean,
        "standard_deviation": tf.sqrt(tf.maximum(square / size - mean * mean, 0.0)),
        "minimum": low,
        "maximum": high,
        "zeros": tf.cast(zeros, tf.float32) / size,
        "subnormals": tf.reduce_sum(by_sign[:, 0]) - zeros,
        "infinities": tf.reduce_sum(by_sign[:, -1, 0]),
        "nans": tf.reduce_sum(by_sign[:, -1, 1:]),
    }
    values = quantiles(fine)
    return found | {f"quantile_{round(100 * q):02}": values[i] for i, q in enumerate(QUANTILES)}, octaves


def quantiles(fine: tf.Tensor) -> tf.Tensor:
    """Return the QUANTILES of numbers counted by the upper twelve bits, int32 [4096]: float32 [quantiles].

    Within a bin, an eighth of an octave, the numbers are taken to lie evenly; NaN do not count.
    """
    half = _FINE // 2
    last = half - _PER_OCTAVE  # the first bin that holds no finite number
    # From the most negative number up: the negative ones backwards, then the positive ones.
    counts = tf.cast(tf.concat([fine[half : half + last][::-1], fine[:last]], 0), tf.float64)
    edges = tf.bitcast(tf.bitwise.left_shift(tf.range(last + 1, dtype=tf.int32), _SHIFT), tf.float32)
    lower = tf.concat([-edges[1:][::-1], edges[:-1]], 0)
    upper = tf.concat([-edges[:-1][::-1], edges[1:]], 0)
    reached = tf.cumsum(counts)
    wanted = tf.constant(QUANTILES, tf.float64) * reached[-1]
    found = tf.minimum(tf.searchsorted(reached, wanted), 2 * last - 1)
    within = tf.gather(counts, found)
    share = tf.math.divide_no_nan(wanted - (tf.gather(reached, found) - within), within)
    low, high = tf.gather(lower, found), tf.gather(upper, found)
    inside = low + tf.cast(share, tf.float32) * (high - low)
    zero = (found == last) | (found == last - 1)  # the innermost bins: zero, and numbers next to it
    return tf.where(reached[-1] > 0, tf.where(zero, 0.0, inside), float("nan"))


def change(gradient: tf.Tensor, previous: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return how the gradient compares with that of the step before, which is all NaN where there was none."""
    product = tf.reduce_sum(gradient * previous)
    signs = tf.bitwise.bitwise_xor(tf.bitcast(gradient, tf.int32), tf.bitcast(previous, tf.int32))
    flips = tf.cast(tf.math.count_nonzero(signs < 0, dtype=tf.int32), tf.float32)
    length = norm(gradient) * norm(previous)
    return {
        "cosine": product / length,
        "sign_flips": tf.where(tf.math.is_nan(length), length, flips / tf.cast(tf.size(gradient), tf.float32)),
    }


def noise(gradient: tf.Tensor, part_gradient: tf.Tensor, images: int, part: int) -> dict[str, tf.Tensor]:
    """Return the two halves of the gradient noise scale: B = tr Σ / |G|².

    McCandlish et al. 2018 (arXiv 1812.06162), appendix A.1, estimate |G|² and tr Σ without bias from the gradients of
    two independent batches. Here the small batch is a part of the large one, so the difference of the two has the
    variance tr Σ · (1/part − 1/images), and is uncorrelated with the large one's gradient: the same estimates, with
    less scatter.
    """
    trace = 2 * tf.nn.l2_loss(part_gradient - gradient) / (1 / part - 1 / images)
    return {"noise": trace, "signal": 2 * tf.nn.l2_loss(gradient) - trace / images}
