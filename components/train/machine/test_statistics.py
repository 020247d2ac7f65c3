# mypy: allow-untyped-defs, allow-untyped-calls
"""The gradients are right: against finite differences, golden figures, and in other precisions."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import SGD
from safetensors.numpy import load_file

from components.models import convnet
from components.train import tape
from components.train.component import TrainParameters
from components.train.conftest import around
from components.train.steps import plain

GOLDEN = Path(__file__).parent / "test_golden.json"
IMAGES = np.random.default_rng(0).uniform(0, 1, (8, 28, 28, 1))
LABELS = tf.constant(np.random.default_rng(1).integers(0, 10, 8, np.int32))
# Relative, of the statistic's largest value at that step: a sum rounds less than a quantile, which is right to an
# eighth; other processors add in another order, and what differs in the first step has grown by the sixteenth.
TOLERANCES = {"l1_norm": 1e-4, "l2_norm": 1e-4, "max_norm": 1e-4, "update_norm": 1e-3, "weight_norm": 1e-6,
              "quantile_25": 0.125, "quantile_95": 0.125, "zeros": 0.02, "cosine": 1e-3, "noise": 1e-3}  # fmt: skip
GROWTH = {1: 1, 4: 3, 16: 100}


def network(policy="float32"):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        return convnet.build((28, 28), 10)
    finally:
        keras.config.set_dtype_policy("float32")


def gradients_of(model, parameters, images):
    _, _, gradients, norms = tape.train_step(around(model, parameters, SGD(0.0)), tf.constant(images), LABELS)
    return [gradient.numpy() for gradient in gradients], norms.numpy()


def test_in_float64_they_are_those_of_finite_differences():
    """Along a random direction in each variable, by central differences: relative error below 1e-6."""
    model = network("float64")
    loss_of = around(model, TrainParameters(), SGD(0.0)).loss
    _, _, gradients = plain.gradients(model, loss_of, tf.constant(IMAGES), LABELS)
    gradients = [gradient.numpy() for gradient in gradients]
    random = np.random.default_rng(2)

    def loss():
        return float(loss_of(LABELS, model(IMAGES)))

    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient.dtype == np.float64
        value, direction = variable.numpy(), random.standard_normal(variable.shape)
        direction *= 1e-6 / np.linalg.norm(direction)
        variable.assign(value + direction)
        above = loss()
        variable.assign(value - direction)
        below = loss()
        variable.assign(value)
        assert (above - below) / 2 == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-13)


@pytest.mark.parametrize(("precision", "tolerance"), [("mixed_bfloat16", 0.15), ("mixed_float16", 0.05)])
def test_in_less_precision_they_are_nearly_the_same_and_unscaled(precision, tolerance):
    """Where two pixels round alike, the pooling takes another one, so the whole differs by more than a rounding."""
    exact, _ = gradients_of(network(), TrainParameters(), IMAGES.astype(np.float32))
    parameters = TrainParameters(loss_scale=1024.0)
    rounded, norms = gradients_of(network(precision), parameters, IMAGES.astype(np.float32))
    whole, off = (np.concatenate([part.ravel() for part in parts]) for parts in (exact, rounded))
    assert off.dtype == np.float32
    assert np.linalg.norm(whole - off) < tolerance * np.linalg.norm(whole)
    assert norms[0] == pytest.approx(np.linalg.norm(whole), rel=tolerance)


def test_a_loss_scale_keeps_float16_from_underflow():
    """Gradients below float16's smallest number, 6e-8, are lost on the way back unless the loss is scaled."""

    def small(parameters):
        model = network("mixed_float16")
        kernel = model.trainable_variables[-2]
        kernel.assign(kernel * 1e-5)
        gradients, _ = gradients_of(model, parameters, IMAGES.astype(np.float32))
        return np.count_nonzero(gradients[0])

    assert small(TrainParameters(loss_scale=1.0)) < small(TrainParameters(loss_scale=4096.0)) == 144


def test_a_power_of_two_as_loss_scale_changes_not_one_bit_in_float32():
    plain, _ = gradients_of(network(), TrainParameters(), IMAGES.astype(np.float32))
    scaled, _ = gradients_of(network(), TrainParameters(loss_scale=1024.0), IMAGES.astype(np.float32))
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_first_steps_have_their_golden_statistics(trained):
    """A change of data, loss, initial weights or optimizer shows here, also where accuracy would hide it."""
    record = json.loads((trained / "gradients" / "record.json").read_text())
    stats = load_file(trained / "gradients" / "stats" / "00000001.safetensors")
    found = {
        str(step): {name: row[:, record["statistics"].index(name)].tolist() for name in TOLERANCES}
        for step, row in zip(stats["step"].tolist(), stats["values"], strict=True)
    }
    golden = json.loads(GOLDEN.read_text())
    assert list(golden) == ["1", "4", "16"]
    for step, statistics in golden.items():
        for name, expected in statistics.items():
            wanted = np.array(expected, np.float64)
            tolerance = min(0.25, TOLERANCES[name] * GROWTH[int(step)]) * np.nanmax(np.abs(wanted), initial=0)
            np.testing.assert_allclose(
                found[step][name], wanted, rtol=0, atol=tolerance,
                err_msg=f"{name} at step {step}; if that is meant, test_golden.json becomes {json.dumps(found)}",
            )  # fmt: skip
