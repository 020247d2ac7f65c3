# mypy: allow-untyped-defs, allow-untyped-calls
"""Looking inside: against gradients taken one image at a time, and a network whose answers are known."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.conftest import make
from components.contract.errors import BadInput
from components.evaluate import inside
from components.evaluate.component import COMPONENT
from components.evaluate.evaluate import chosen_images

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 8, 8), np.uint8)
LABELS = np.array([0, 1, 2] * 4)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    )


def gradient(network, images, labels, variables):
    with tf.GradientTape() as tape:
        logits = network(images[..., None].astype(np.float32) / 255)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    return np.concatenate([np.ravel(part) for part in tape.gradient(loss, [each.value for each in variables])])


def test_the_norms_of_single_images_are_those_of_the_tape(network):
    last = network.layers[-1].trainable_variables
    expected = [
        np.linalg.norm(gradient(network, IMAGES[i : i + 1], LABELS[i : i + 1], last)) for i in range(len(IMAGES))
    ]
    np.testing.assert_allclose(inside.example_norms(network, IMAGES, LABELS), expected, rtol=1e-5)


def test_the_cosines_are_those_of_the_classes_mean_gradients(network):
    means = [gradient(network, IMAGES[c == LABELS], LABELS[c == LABELS], network.trainable_variables) for c in range(3)]
    unit = np.array([mean / np.linalg.norm(mean) for mean in means])
    found = inside.class_cosines(network, IMAGES, LABELS, 3)
    np.testing.assert_allclose(found, unit @ unit.T, atol=1e-5)
    assert found[0, 1] < 0


def test_a_class_without_images_has_no_cosine(network):
    found = inside.class_cosines(network, IMAGES[LABELS < 2], LABELS[LABELS < 2], 3)
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[:2, :2]).all()


def test_saliency_shows_the_only_pixel_that_matters():
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, use_bias=False)])
    weights = np.zeros((64, 3), np.float32)
    weights[19, 1], weights[20, 1] = 2.0, -1.0
    network.set_weights([weights])
    image = np.zeros((1, 8, 8), np.uint8)
    image[0, 2, 3] = 255  # so that the second logit is the largest
    shown = inside.saliency(network, image)
    assert shown[0, 2, 3:5].tolist() == [255, 128]
    assert np.count_nonzero(shown) == 2


def test_a_wrong_label_comes_first(network):
    """After a short training on labels of which one is wrong, that one has the largest gradient."""
    images = np.zeros((40, 8, 8), np.uint8)
    labels = np.arange(40) % 2
    images[labels == 1, :, 4:] = 255
    images[labels == 0, :, :4] = 255
    labels[7] = 0
    network.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(images[..., None] / 255, labels, epochs=30, verbose=0)
    norms = inside.example_norms(network, images, labels)
    logits = network(images[..., None] / 255.0).numpy()
    found = inside.suspects(norms, labels, logits)
    assert (found[0]["image"], found[0]["label"], found[0]["answer"]) == (7, 0, 1)
    assert found[0]["gradient_norm"] > 2 * found[1]["gradient_norm"]


def test_the_list_of_known_errors_is_of_mnist_and_of_nothing_else():
    document = json.loads(inside.KNOWN_ERRORS.read_text())
    assert len(document["images"]) == 15
    assert all(given < 3 and given + guessed + neither == 5 for *_, given, guessed, neither in document["images"])
    assert inside.known_errors(np.zeros(10_000, np.int64), []) == {}


def test_images_are_chosen_by_number(ingested, trained, tmp_path):
    assert chosen_images("", 10) == []
    assert chosen_images("3, 9", 10) == [3, 9]
    for text, wrong in (("10", "10"), ("1,x", "x"), ("-1", "-1")):
        with pytest.raises(
            BadInput, match=f"look_at: '{wrong}' is not the number of a test image; they go from 0 to 9"
        ):
            chosen_images(text, 10)
    given = {"dataset": ingested / "dataset", "trained_model": trained / "trained_model"}
    report = make(COMPONENT, {"look_at": "3,9"}, given, tmp_path) / "report" / "report.html"
    text = report.read_text()
    assert text.count(" and its saliency") == 2
    assert "test image 9 and its saliency" in text
    figures = json.loads((tmp_path / "metrics" / "metrics.json").read_text())
    assert len(figures["suspected_labels"]) == 100
    assert figures["known_label_errors"] == {}
    assert np.shape(figures["class_gradient_cosines"]) == (10, 10)
