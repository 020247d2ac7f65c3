# mypy: allow-untyped-defs, allow-untyped-calls
"""What is said of gradients is true: against NumPy, against closed forms, and against the training unobserved."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.artifacts.model import pixels
from components.artifacts.record.columns import BINS, QUANTILES, STATISTICS, bin_edges
from components.train.component import TrainParameters
from components.train.conftest import around
from components.train.machine import data, statistics
from components.train.machine.compiled import compile_steps
from components.train.tape import gradients_of

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (96, 8, 8), np.uint8)
LABELS = RANDOM.integers(0, 3, 96, np.int32)
SPLIT = data.Split(tf.constant(IMAGES), tf.constant(LABELS))
NUMBERS = (RANDOM.standard_normal(20_001) * np.exp(RANDOM.uniform(-12, 0, 20_001))).astype(np.float32)


def values(numbers):
    found, histogram = statistics.distribution(tf.constant(numbers))
    return {name: float(value) for name, value in found.items()}, histogram.numpy()


def logistic():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)], name="logistic")


def take(parameters, network, order, *, observed=True):
    """Take the steps; return statistics by name, [steps, variables], histograms, and the last gradients."""
    moves = bool(network.non_trainable_variables)
    run = compile_steps(around(network, parameters), SPLIT, 1, observed=observed, moves=moves)
    nothing = [tf.fill(variable.shape, float("nan")) for variable in network.trainable_variables]
    rows, stats, hist, gradients = run(tf.constant(order), nothing, *SPLIT.tensors)
    named = {name: stats.numpy()[:, :, i] for i, name in enumerate(STATISTICS)} if observed else {}
    return rows.numpy(), named, hist.numpy(), [gradient.numpy() for gradient in gradients]


def test_the_moments_are_those_of_numpy():
    found, _ = values(NUMBERS)
    exact = NUMBERS.astype(np.float64)
    expected = {
        "l1_norm": np.abs(exact).sum(), "l2_norm": np.linalg.norm(exact), "max_norm": np.abs(exact).max(),
        "standard_deviation": exact.std(), "minimum": exact.min(), "maximum": exact.max(), "zeros": 0,
        "subnormals": 0, "nans": 0, "infinities": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found["mean"] == pytest.approx(exact.mean(), abs=1e-6)


def test_quantiles_are_right_to_an_eighth_of_an_octave():
    found, _ = values(NUMBERS)
    for q in QUANTILES:
        assert found[f"quantile_{round(100 * q):02}"] == pytest.approx(np.quantile(NUMBERS, q), rel=1 / 8, abs=1e-6)
    skewed, _ = values(np.array([0.0] * 60 + [1.0] * 39 + [-5.0], np.float32))
    assert (skewed["quantile_50"], skewed["quantile_05"]) == (0, 0)
    assert 1 <= skewed["quantile_75"] <= 1.125
    assert -5.5 <= skewed["quantile_01"] <= -5


def test_what_is_no_number_is_counted_and_not_dropped():
    odd = [np.nan, np.inf, -np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-45, 2.0, -3.0]
    found, histogram = values(np.array(odd, np.float32))
    assert [found[name] for name in ("nans", "infinities", "subnormals")] == [1, 3, 2]
    assert found["zeros"] == pytest.approx(0.2)
    assert np.isnan(found["l2_norm"])
    assert -3.25 <= found["quantile_01"] <= -3
    places = {int(index): int(histogram[index]) for index in np.flatnonzero(histogram)}
    assert places == {0: 2, 128: 1, 255: 2, 256: 2, 256 + 128: 1, 511: 2}
    nothing, _ = values(np.full(4, np.nan, np.float32))
    assert nothing["nans"] == 4
    assert np.isnan(nothing["quantile_50"])


def test_histograms_count_by_sign_and_octave_and_add_up():
    _, histogram = values(NUMBERS)
    assert histogram.shape == (BINS,)
    edges = bin_edges()
    for sign, counts in ((NUMBERS[NUMBERS > 0], histogram[:256]), (-NUMBERS[NUMBERS < 0], histogram[256:])):
        np.testing.assert_array_equal(counts[:-1], np.histogram(sign, [*edges[:-1], 2.0**128])[0])
    parts = values(NUMBERS[:5000])[1] + values(NUMBERS[5000:])[1]
    np.testing.assert_array_equal(parts, histogram)


def test_change_between_steps():
    here, before = np.array([3.0, 4.0, 0.0, -1.0], np.float32), np.array([4.0, -3.0, 0.0, -1.0], np.float32)
    found = statistics.change(tf.constant(here), tf.constant(before))
    assert float(found["cosine"]) == pytest.approx(1 / 26)
    assert float(found["sign_flips"]) == 0.25
    first = statistics.change(tf.constant(here), tf.fill(4, float("nan")))
    assert np.isnan([float(value) for value in first.values()]).all()


def test_the_noise_of_gaussian_gradients_is_found():
    """Gradients of the loss |w − x|² / 2 for x of mean 0 and variance s² are w − x: |G|² = |w|², tr Σ = d s²."""
    images, part, dimensions, runs = 32, 16, 50, 4000
    w, deviation = np.full(dimensions, 0.3), 2.0
    each = w - deviation * np.random.default_rng(1).standard_normal((runs, images, dimensions))
    found = [
        statistics.noise(tf.constant(batch.mean(0)), tf.constant(batch[:part].mean(0)), images, part) for batch in each
    ]
    noise, signal = (np.array([float(one[name]) for one in found]) for name in ("noise", "signal"))
    for estimates, truth in ((noise, dimensions * deviation**2), (signal, dimensions * 0.3**2)):
        assert abs(estimates.mean() - truth) < 3 * estimates.std() / np.sqrt(runs)
    scale = dimensions * deviation**2 / (dimensions * 0.3**2)
    assert noise.mean() / signal.mean() == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_noise_of_a_network_is_that_of_its_single_images(accumulate):
    """At weights that stay where they are, what the steps estimate is what all 96 images' own gradients say."""
    network = logistic()
    own = []
    training = around(network, TrainParameters())
    for image, label in zip(IMAGES, LABELS, strict=True):
        _, found = gradients_of(training, pixels(image[None], 1), tf.constant([label]))
        own.append(np.concatenate([np.ravel(part) for part in found]))
    single = np.array(own, np.float64)
    trace, square = single.var(axis=0).sum(), np.square(single.mean(axis=0)).sum()
    batch = 16 // accumulate
    given = {"optimizer": "sgd", "momentum": 0, "learning_rate": 1e-12, "batch_size": batch, "accumulate": accumulate}
    parameters = TrainParameters.checked(given)
    order = np.random.default_rng(3).integers(0, 96, (3000, 16)).astype(np.int32)
    _, found, _, _ = take(parameters, network, order)
    for name, truth in (("noise", trace), ("signal", square)):
        estimates = found[name].sum(axis=1, dtype=np.float64)
        error = estimates.std() / np.sqrt(len(estimates))
        assert abs(estimates.mean() - truth) < 3 * error
        assert error < 0.15 * truth


@pytest.mark.parametrize(
    "values",
    [{}, {"optimizer": "sgd", "clip_norm": 0.1, "accumulate": 2}, {"optimizer": "adamw", "transform": "centralize"}],
)
def test_to_look_changes_nothing_and_what_is_seen_is_what_was_done(values):
    parameters = TrainParameters(batch_size=8, **values)
    order = np.random.default_rng(2).integers(0, 96, (3, 8 * parameters.accumulate)).astype(np.int32)
    plain: list[object] = []
    looked_at: list[object] = []
    for weights, observed in ((plain, False), (looked_at, True)):
        network = logistic()
        for part in (order[:2], order[2:]):
            before = network.get_weights()
            rows, found, hist, gradients = take(parameters, network, part, observed=observed)
            weights.extend(network.get_weights())
    for a, b in zip(plain, looked_at, strict=True):
        np.testing.assert_array_equal(a, b)
    for i, (old, new) in enumerate(zip(before, network.get_weights(), strict=True)):
        assert found["weight_norm"][0, i] == pytest.approx(np.linalg.norm(old))
        assert found["update_norm"][0, i] == pytest.approx(np.linalg.norm(new - old), rel=1e-4)
        assert found["l2_norm"][0, i] == pytest.approx(rows[0, 4 + i]) == pytest.approx(np.linalg.norm(gradients[i]))
        assert hist[0, i].sum() == old.size
    assert np.isnan(found["velocity_norm"]).all() == (parameters.optimizer == "sgd")
    assert np.isfinite(found["momentum_norm"]).all()


def test_a_second_look_is_not_taken_where_it_would_move_the_network():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)]
    )
    order = np.random.default_rng(2).integers(0, 96, (2, 8)).astype(np.int32)
    _, found, _, _ = take(TrainParameters(batch_size=8), network, order)
    assert np.isnan(found["noise"]).all()
    assert np.isfinite(found["update_ratio"][:, -2]).all()
