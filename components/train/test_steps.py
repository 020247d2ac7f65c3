# mypy: allow-untyped-defs, allow-untyped-calls
"""Each way to find gradients: what it is by its paper, and the trap that it is known for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.train import tape
from components.train.component import STEPS, TrainParameters
from components.train.conftest import around

RANDOM = np.random.default_rng(0)
IMAGES = tf.constant(RANDOM.uniform(0, 1, (16, 8, 8, 1)).astype(np.float32))
LABELS = tf.constant(RANDOM.integers(0, 3, 16, np.int32))


def network(*more, last=(), seed=0):
    keras.utils.set_random_seed(seed)
    chain = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3),
        *more,
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3),
        *last,
    ]
    return keras.Sequential(chain, name="small")


def find(model, values=(), images=IMAGES, labels=LABELS):
    """Return what a way gives: what is seen, and the gradients as arrays, without the loss scale."""
    training = around(model, TrainParameters(**dict(values)), keras.optimizers.SGD(1.0))
    seen, found = tape.gradients_of(training, images, labels)
    return seen, [gradient.numpy() / training.loss.scale for gradient in found]


def plain(model, images=IMAGES, labels=LABELS, training=True):
    with tf.GradientTape() as t:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=training)))
    return [gradient.numpy() for gradient in t.gradient(loss, tape.variables_of(model))]


def close(a, b, tolerance=1e-6):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


def norm(gradients):
    return np.sqrt(sum((np.asarray(gradient, np.float64) ** 2).sum() for gradient in gradients))


@pytest.mark.parametrize("step", list(STEPS))
def test_every_way_undoes_the_loss_scale_and_leaves_the_weights(step):
    """A power of two changes not one bit in float32; nor does a way change the model."""
    model = network()
    before = model.get_weights()
    one, scaled = (find(model, {"step": step, "loss_scale": scale})[1] for scale in (1.0, 1024.0))
    close(model.get_weights(), before, 0)
    close(one, scaled, 0 if step != "dp-sgd" else 1e-7)


@pytest.mark.parametrize("step", list(STEPS))
def test_every_way_takes_accumulated_batches_and_missing_gradients(step):
    image = keras.Input((8, 8, 1))
    hidden = layers.Flatten()(image)
    unused = layers.Dense(2, name="unused")(hidden)
    model = keras.Model(image, layers.Dense(3)(hidden) + 0 * keras.ops.sum(keras.ops.stop_gradient(unused)))
    training = around(model, TrainParameters(step=step, accumulate=2), keras.optimizers.SGD(0.1))
    taken = tf.function(lambda: tape.train_step(training, IMAGES, LABELS))()
    assert [gradient.shape for gradient in taken.gradients] == [
        variable.shape for variable in model.trainable_variables
    ]
    names = {variable.path: i for i, variable in enumerate(model.trainable_variables)}
    if step != "dp-sgd":  # whose noise is on every number
        assert float(taken.norms[1 + names["unused/kernel"]]) == 0


def test_sam_is_the_gradient_uphill():
    model = network()
    first, weights = plain(model), model.get_weights()
    _, found = find(model, {"step": "sam", "sam_radius": 0.2})
    model.set_weights([w + 0.2 * g / norm(first) for w, g in zip(weights, first, strict=True)])
    close(found, plain(model))


def test_sam_moves_batch_normalisation_once_and_drops_the_same_units():
    once, twice = network(layers.BatchNormalization()), network(layers.BatchNormalization())
    once(IMAGES, training=True)
    find(twice, {"step": "sam"})
    for a, b in zip(once.non_trainable_variables, twice.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    # With a radius of nearly nothing SAM is plain, which needs the same units to be left out.
    _, here = find(network(layers.Dropout(0.5, seed=3)))
    _, there = find(network(layers.Dropout(0.5, seed=3)), {"step": "sam", "sam_radius": 1e-6})
    close(here, there, 1e-5)


def test_sam_sees_regularizers_uphill_too():
    model = network(last=[layers.Dense(3, kernel_regularizer=keras.regularizers.L2(1.0))])
    seen, _ = find(model)
    _, found = find(model, {"step": "sam", "sam_radius": 0.5})
    _, first = find(model)
    weights = model.get_weights()
    model.set_weights([w + 0.5 * g / norm(first) for w, g in zip(weights, first, strict=True)])
    _, uphill = find(model)
    close(found, uphill, 1e-5)
    assert float(seen.objective) == pytest.approx(float(seen.loss) + np.square(weights[-2]).sum(), rel=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_an_attack_stays_in_range_and_near_and_is_scored_on_clean_images(steps):
    seen_images = []
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)], name="small")
    call = model.call

    def watched(images, *arguments, **more):
        seen_images.append(np.array(images))
        return call(images, *arguments, **more)

    model.call = watched
    seen, found = find(model, {"step": "adversarial", "attack_size": 0.3, "attack_steps": steps})
    clean, attacked = seen_images[0], seen_images[-1]
    np.testing.assert_array_equal(clean, IMAGES.numpy())
    assert len(seen_images) == steps + 1
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert np.abs(attacked - clean).max() == pytest.approx(0.3, abs=1e-6)
    assert float(seen.objective) > float(seen.loss)  # the loss of the attacked, and of the clean images
    close(found, plain(model, tf.constant(attacked)))
    logits = model(IMAGES)
    assert float(seen.accuracy) == np.mean(logits.numpy().argmax(1) == LABELS.numpy())


def test_an_attack_moves_batch_normalisation_once():
    once, attacked = network(layers.BatchNormalization()), network(layers.BatchNormalization())
    before = attacked.layers[1].moving_mean.numpy()
    find(attacked, {"step": "adversarial", "attack_steps": 5})
    once(IMAGES, training=True)
    moved = np.abs(attacked.layers[1].moving_mean.numpy() - before).max()
    assert moved == pytest.approx(np.abs(once.layers[1].moving_mean.numpy() - before).max(), rel=0.3)


def test_the_penalty_is_the_squared_slope_and_has_no_root_of_zero():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])
    weights, logits = model.get_weights()[0].astype(np.float64), model(IMAGES).numpy().astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slopes = (chances - np.eye(3)[LABELS.numpy()]) @ weights.T
    seen, found = find(model, {"step": "gradient-penalty", "penalty": 0.7})
    assert float(seen.objective - seen.loss) == pytest.approx(0.7 * (slopes**2).sum(axis=1).mean(), rel=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in found)
    model.layers[-1].kernel.assign(np.zeros((64, 3)))  # now no image has a slope
    _, found = find(model, {"step": "gradient-penalty"})
    assert all(np.isfinite(gradient).all() for gradient in found)


def test_dp_sgd_clips_each_image_and_not_the_mean():
    model = network()
    single = [plain(model, IMAGES[i : i + 1], LABELS[i : i + 1]) for i in range(16)]
    norms = [norm(each) for each in single]
    limit = float(np.median(norms))
    factors = [min(1.0, limit / each) for each in norms]
    expected = [sum(f * g[i] for f, g in zip(factors, single, strict=True)) / 16 for i in range(len(single[0]))]
    _, found = find(model, {"step": "dp-sgd", "dp_clip": limit, "dp_noise": 0.0})
    close(found, expected)
    assert norm([a - b for a, b in zip(found, plain(model), strict=True)]) > 0.1 * norm(found)


def test_dp_sgd_does_not_speak_of_how_images_are_mapped(caplog):
    """TensorFlow would warn, once for each clipped gradient, that a loop is used."""
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        find(keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]), {"step": "dp-sgd"})
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_noise_of_dp_sgd_is_that_of_its_paper_however_many_batches_make_a_step(accumulate):
    """Its deviation on the mean of 16 images is dp_noise × dp_clip / 16, and follows from seed and step."""
    model = network(last=[layers.Dense(200), layers.Dense(3)])

    def noise(seed, **values):
        given = {"step": "dp-sgd", "dp_clip": 0.5, "accumulate": accumulate, "seed": seed}
        parameters = TrainParameters.checked(given | values)
        training = around(model, parameters, keras.optimizers.SGD(0.0))
        _, with_noise = tape.mean_gradients(training, IMAGES, LABELS)
        return [gradient.numpy() for gradient in with_noise]

    none = noise(0, dp_noise=0.0)
    drawn = np.concatenate([np.ravel(a - b) for a, b in zip(noise(0, dp_noise=3.0), none, strict=True)])
    assert drawn.std() == pytest.approx(3.0 * 0.5 / 16, rel=0.05)
    close(noise(0, dp_noise=3.0), noise(0, dp_noise=3.0), 0)
    other = np.concatenate([np.ravel(a - b) for a, b in zip(noise(1, dp_noise=3.0), none, strict=True)])
    assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.1


def test_the_privacy_is_what_the_accountants_of_others_say():
    """60,000 images in batches of 256 with noise 1.1 for 60 epochs: ε = 2.6 at δ = 1e-5, by Rényi's measure."""
    from components.train.steps.dp_sgd import figures

    said = figures(examples=60_000, batch_size=256, steps=14_062, dp_noise=1.1, dp_delta=1e-5)
    assert said["dp_epsilon"] == pytest.approx(2.597, abs=1e-3)
    # Sixty Gaussian mechanisms of that noise are one of 1.1 / √60: no sampling to hide behind.
    assert said["dp_epsilon_shuffled"] > 40


def test_an_image_may_be_seen_in_every_epoch_whatever_is_left_over():
    """28 of 40 images an epoch are others each time, but one may be among them ten times."""
    from components.train.steps.dp_sgd import figures

    some, all_of_them = (
        figures(examples=40, batch_size=batch, steps=10, dp_noise=2.0, dp_delta=1e-5) for batch in (28, 40)
    )
    assert some["dp_epsilon_shuffled"] == all_of_them["dp_epsilon_shuffled"]


def test_dp_sgd_is_not_for_networks_that_mix_images():
    from components.train.steps.dp_sgd import check

    class Traced:
        moves, adds_losses = True, False

    with pytest.raises(ValueError, match="each image's gradient must be its own"):
        check(None, Traced)
