"""Differentially private SGD (Abadi et al. 2016, arXiv 1607.00133): clip each image's own gradient, and add noise.

Each image has a tape of its own: the mean of a microbatch that is clipped bounds no single image's influence.
"""

import logging
from typing import Any

import tensorflow as tf

from components.contract.declaration import parameter
from components.train.tape import dense, variables_of


def gradients(
    model: Any, loss: Any, images: tf.Tensor, labels: tf.Tensor, *, seed: tf.Tensor, calls: int,
    dp_clip: float = parameter(1.0, "Largest norm of one image's gradient", gt=0),
    dp_noise: float = parameter(1.0, "Standard deviation of the noise, as a multiple of dp_clip", ge=0),
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the mean loss, the logits, and the noisy mean of the clipped gradients."""
    limit = dp_clip * loss.scale

    def of_one(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = model(image[tf.newaxis], training=True)
            value = loss(label[tf.newaxis], logits)
        found = dense(tape.gradient(value, variables_of(model)), model)
        clipped, _ = tf.clip_by_global_norm(found, limit)
        return value, logits[0], clipped

    values, logits, clipped = tf.vectorized_map(lambda pair: of_one(*pair), (images, labels), warn=False)
    count = tf.cast(tf.shape(images)[0], tf.float32)
    # A step is the mean of `calls` calls, whose noise adds up to that of one.
    deviation = dp_noise * limit / calls**0.5
    noisy = [
        tf.reduce_sum(each, 0)
        + deviation * tf.random.stateless_normal(each.shape[1:], tf.random.experimental.stateless_fold_in(seed, index))
        for index, each in enumerate(clipped)
    ]
    return tf.reduce_mean(values), logits, [each / count for each in noisy]


def check(model: Any, traced: Any) -> None:
    """Raise ValueError for a network of which an image has no gradient of its own."""
    if traced.moves or traced.adds_losses:
        raise ValueError(
            "each image's gradient must be its own, but batch normalisation mixes the images, dropout draws numbers "
            "for all of them, and a regularizer is of none; GroupNormalization and adamw can replace them"
        )


def figures(
    *, examples: int, batch_size: int, steps: int, dp_noise: float,
    dp_delta: float = parameter(1e-5, "The δ for which ε is stated", gt=0, lt=1),
) -> dict[str, float]:  # fmt: skip
    """Return ε of the weights, by Google's dp_accounting; what else is published of the images is not counted.

    First as the literature states it, for batches that are random samples (Poisson). In fact an epoch shows an image at
    most once, which without that assumption is one Gaussian mechanism an epoch.
    """
    import dp_accounting as dp  # noqa: PLC0415 - half a second that no other way needs
    from dp_accounting import rdp  # noqa: PLC0415

    logging.getLogger("absl").setLevel(logging.ERROR)  # an order that does not converge is left out; the bound holds
    noise, epochs = dp.GaussianDpEvent(dp_noise), -(-steps // (examples // batch_size))
    sampled = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(batch_size / examples, noise), steps)
    shuffled = dp.SelfComposedDpEvent(noise, epochs)
    epsilons = [rdp.RdpAccountant().compose(event).get_epsilon(dp_delta) for event in (sampled, shuffled)]
    return {"dp_delta": dp_delta, "dp_epsilon": epsilons[0], "dp_epsilon_shuffled": epsilons[1]}
