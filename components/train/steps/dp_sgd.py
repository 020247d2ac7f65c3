"""Differentially private SGD (Abadi et al. 2016, arXiv 1607.00133): clip each image's own gradient, and add noise."""

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
    limit, count = dp_clip * loss.scale, tf.cast(tf.shape(images)[0], tf.float32)

    def of_one(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = model(image[tf.newaxis], training=True)
            value = loss(label[tf.newaxis], logits)
        found = dense(tape.gradient(value, variables_of(model)), model)
        return value, logits[0], tf.clip_by_global_norm(found, limit)[0]

    # To clip a mean of several bounds no single image's influence.
    values, logits, clipped = tf.vectorized_map(lambda pair: of_one(*pair), (images, labels), warn=False)
    # A step is the mean of `calls` calls, whose noise adds up to that of one.
    deviation = dp_noise * limit / calls**0.5
    seeds = [tf.random.experimental.stateless_fold_in(seed, index) for index in range(len(clipped))]
    noise = [tf.random.stateless_normal(each.shape[1:], own) for each, own in zip(clipped, seeds, strict=True)]
    sums = [tf.reduce_sum(each, 0) + deviation * more for each, more in zip(clipped, noise, strict=True)]
    return tf.reduce_mean(values), logits, [each / count for each in sums]


def check(model: Any, traced: Any) -> None:
    """Raise ValueError for a network of which an image has no gradient of its own."""
    if traced.moves or traced.adds_losses:
        them = "batch normalisation mixes the images, dropout draws numbers for all of them, a regularizer is of none"
        raise ValueError(f"each image's gradient must be its own, but {them}; try GroupNormalization, and adamw")


def figures(
    *, examples: int, batch_size: int, steps: int, dp_noise: float,
    dp_delta: float = parameter(1e-5, "The δ for which ε is stated", gt=0, lt=1),
) -> dict[str, float]:  # fmt: skip
    """Return ε of the weights, by Google's dp_accounting; what else is published of the images is not counted.

    First for batches drawn at random (Poisson), as is usual; then for epochs, which show each image at most once.
    """
    import dp_accounting as dp  # noqa: PLC0415 - half a second that no other way needs
    from dp_accounting import rdp  # noqa: PLC0415

    logging.getLogger("absl").setLevel(logging.ERROR)  # an order that does not converge is left out; the bound holds
    noise = dp.GaussianDpEvent(dp_noise)
    sampled = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(batch_size / examples, noise), steps)
    shuffled = dp.SelfComposedDpEvent(noise, -(-steps // (examples // batch_size)))
    epsilons = (rdp.RdpAccountant().compose(event).get_epsilon(dp_delta) for event in (sampled, shuffled))
    return {"dp_delta": dp_delta} | dict(zip(("dp_epsilon", "dp_epsilon_shuffled"), epsilons, strict=True))
