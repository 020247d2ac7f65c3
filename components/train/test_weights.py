# mypy: allow-untyped-defs, allow-untyped-calls
"""Images that count more than others, and images with several labels: the same for every loss and every way."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.artifacts import dataset as datasets
from components.artifacts.record.reader import read
from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.errors import BadInput
from components.contract.plugins import Bound
from components.train import tape
from components.train.component import COMPONENT, LOSSES, STEPS, TrainParameters
from components.train.conftest import around
from components.train.machine import data
from components.train.machine.objective import Objective, main_classes, with_weights

RANDOM = np.random.default_rng(0)
IMAGES = tf.constant(RANDOM.uniform(0, 1, (16, 8, 8, 1)).astype(np.float32))
CLASSES = tf.constant(RANDOM.integers(0, 3, 16, np.int32))
OTHERS = tf.roll(CLASSES, 1, 0)
LOGITS = tf.constant(RANDOM.normal(size=(16, 3)).astype(np.float32))
WEIGHTS = tf.constant(RANDOM.uniform(0.2, 3, 16).astype(np.float32))
SHARES = tf.constant(RANDOM.uniform(0.5, 1, 16).astype(np.float32))
MIXED = tf.concat([with_weights(CLASSES, SHARES), with_weights(OTHERS, 1 - SHARES)], 1)


def network():
    keras.utils.set_random_seed(0)
    chain = [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential(chain, name="small")


def find(step, labels, images=IMAGES, **values):
    """Return what is seen, and the gradients as arrays."""
    training = around(network(), TrainParameters.checked({"step": step} | values), keras.optimizers.SGD(1.0))
    seen, found = tape.mean_gradients(training, images, labels)
    return seen, [gradient.numpy() for gradient in found]


def close(a, b, tolerance=1e-6):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("class_weights", [[], [0.5, 1.0, 3.0]])
def test_the_loss_of_an_image_is_the_sum_over_its_labels(name, class_weights):
    per_image = Bound(LOSSES.load(name).loss, TrainParameters(loss=name))
    loss = Objective(network(), per_image, class_weights, 1.0, adds=False)
    own, other = loss.values(CLASSES, LOGITS).numpy(), loss.values(OTHERS, LOGITS).numpy()
    np.testing.assert_array_equal(loss.values(with_weights(CLASSES, None), LOGITS), own)
    np.testing.assert_allclose(loss.values(with_weights(CLASSES, WEIGHTS), LOGITS), WEIGHTS * own, rtol=1e-6)
    np.testing.assert_allclose(loss.values(MIXED, LOGITS), SHARES * own + (1 - SHARES) * other, rtol=1e-6)
    mean = (WEIGHTS.numpy() * own).sum() / 16  # by the number of images, not by the sum of the weights
    assert float(loss(with_weights(CLASSES, WEIGHTS), LOGITS)) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("step", list(STEPS))
def test_weights_of_1_are_none_at_all(step):
    seen, found = find(step, with_weights(CLASSES, None))
    plainly, without = find(step, CLASSES)
    close(found, without, 1e-7)
    assert [float(each) for each in seen] == pytest.approx([float(each) for each in plainly], rel=1e-6)


@pytest.mark.parametrize("step", ["plain", "sam", "adversarial", "gradient-penalty"])
def test_an_image_of_weight_2_is_one_that_is_there_twice(step):
    """An image in one half of a batch has the weight 2; and once, in a batch of as many, it stands in 2 places."""
    twice = tf.constant([0, 0, *range(2, 16)])
    weights = tf.constant([2.0, 0.0, *[1.0] * 14])
    values = {"penalty": 0.0} if step == "gradient-penalty" else {}  # which is of each slope as it is weighed
    _, weighed = find(step, with_weights(CLASSES, weights), **values)
    _, doubled = find(step, tf.gather(CLASSES, twice), tf.gather(IMAGES, twice), **values)
    close(weighed, doubled)


def test_dp_sgd_clips_what_an_image_weighs_and_no_weight_gets_past_the_clip():
    small = {"dp_noise": 0.0, "dp_clip": 1e-3}  # every image's gradient is longer
    _, found = find("dp-sgd", with_weights(CLASSES, WEIGHTS), **small)
    _, plain = find("dp-sgd", CLASSES, **small)
    close(found, plain, 1e-8)
    _, weighed = find("dp-sgd", with_weights(CLASSES, WEIGHTS), dp_noise=0.0, dp_clip=1e3)
    _, mean = find("plain", with_weights(CLASSES, WEIGHTS))
    close(weighed, mean)


@pytest.mark.parametrize("labels", [with_weights(CLASSES, WEIGHTS), MIXED], ids=["weighed", "mixed"])
def test_accumulated_batches_have_the_gradient_of_one_large_batch(labels):
    one, four = find("plain", labels), find("plain", labels, accumulate=4)
    close(one[1], four[1])
    assert [float(each) for each in one[0]] == pytest.approx([float(each) for each in four[0]], rel=1e-6)


def test_the_gradient_of_a_mixed_batch_is_the_mix_of_gradients():
    _, mixed = find("plain", MIXED)
    _, own = find("plain", with_weights(CLASSES, SHARES))
    _, other = find("plain", with_weights(OTHERS, 1 - SHARES))
    close(mixed, [a + b for a, b in zip(own, other, strict=True)])


def test_the_accuracy_goes_by_the_first_label():
    assert main_classes(CLASSES) is CLASSES
    np.testing.assert_array_equal(main_classes(MIXED), CLASSES)
    assert float(tape.accuracy(LOGITS, MIXED)) == float(tape.accuracy(LOGITS, CLASSES))


def test_what_counts_is_how_weights_stand_to_each_other():
    images, labels = np.zeros((4, 2, 2), np.uint8), np.arange(4, dtype=np.uint8)
    split = data.split_of("train", images, labels, np.array([30, 10, 0, 40], np.float32))
    np.testing.assert_array_equal(split.weights, [1.5, 0.5, 0, 2])
    np.testing.assert_array_equal(data.labels_of(split, tf.constant([3, 1])), [[[3, 2]], [[1, 0.5]]])
    plain = data.split_of("train", images, labels)
    np.testing.assert_array_equal(data.labels_of(plain, tf.constant([3, 1])), [3, 1])
    np.testing.assert_array_equal(data.labels_of(plain, tf.constant([3]), mixes=True), [[[3, 1]]])


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [1, np.nan], [1, np.inf]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(BadInput, match="the weights of the train images must be 0 or more, and some above 0"):
        data.split_of("train", np.zeros((2, 2, 2), np.uint8), np.zeros(2, np.uint8), np.array(weights, np.float32))


@pytest.fixture
def weighted(ingested, tmp_path):
    """Return a function that gives the digits weights, and trains on them."""

    def learn(name, weights, **values):
        dataset = tmp_path / name / "dataset"
        shutil.copytree(ingested / "dataset", dataset)
        (dataset / "manifest.json").unlink()
        for split in ("train", "validation"):
            labels = np.load(dataset / f"{split}-labels.npy")
            np.save(dataset / f"{split}-weights.npy", weights(labels).astype(np.float32))
        metadata = artifact.read(ingested / "dataset").metadata
        artifact.seal(dataset, component="ingest", output="dataset", parameters={}, inputs={}, metadata=metadata)
        return make(COMPONENT, SHORT | {"epochs": 1} | values, {"dataset": dataset}, tmp_path / name)

    return learn


def metrics(folder):
    return json.loads((folder / "metrics" / "metrics.json").read_text())


def test_images_that_all_weigh_the_same_are_learned_as_without_weights(ingested, weighted, tmp_path):
    plain = make(COMPONENT, SHORT | {"epochs": 1}, {"dataset": ingested / "dataset"}, tmp_path / "plain")
    same = weighted("same", lambda labels: np.full(len(labels), 3.0))
    ours, theirs = read(same / "gradients"), read(plain / "gradients")
    np.testing.assert_allclose(ours.values.whole(), theirs.values.whole(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(  # the noise scale is looked at with the same weights
        ours.stat("noise").row(0), theirs.stat("noise").row(0), rtol=1e-3
    )
    assert metrics(same)["weighted"] == ["train_loss", "validation_loss"]
    assert "weighted" not in metrics(plain)


@pytest.mark.parametrize("augment", ["none", "mixup"])
def test_a_class_that_weighs_nothing_is_not_learned_and_counts_for_no_loss(weighted, augment):
    values = {"epochs": 3, "augment": augment}
    without = weighted("without", lambda labels: labels != 1, **values)
    network = keras.models.load_model(without / "trained_model" / "model.keras", compile=False)
    (images, labels, weights), last = datasets.read(without / "dataset", "validation"), metrics(without)["epochs"][-1]
    logits = network.predict(images[:][..., np.newaxis].astype(np.float32) / 255, verbose=0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels.astype(np.int32), logits).numpy()
    assert last["validation_loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-4)
    assert last["validation_accuracy"] == np.mean(logits.argmax(1) == labels)
    assert not (logits.argmax(1) == 1).any()
