# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
"""Whatever network it is: judged, and looked into as far as it lets one."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.artifacts import model as models
from components.conftest import make
from components.contract import artifact
from components.contract.errors import BadInput, StepError
from components.evaluate import inside
from components.evaluate.component import COMPONENT
from components.evaluate.evaluate import load, predictor
from components.ingest.component import COMPONENT as INGEST
from components.ingest.forms import idx
from components.ingest.known.mnist import FILES
from components.models import MODELS
from components.testdata import networks

SHAPE, CLASSES = (10, 8), 5
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (24, *SHAPE), np.uint8)
LABELS = np.arange(24) % 4  # the last class has no test image


@pytest.fixture(scope="module", autouse=True)
def _entered():
    with networks.entered():
        yield


def ingest(folder, images=IMAGES, labels=LABELS, classes=CLASSES):
    """Make a data set of one's own, whose test split is given."""
    (folder / "files").mkdir(parents=True)
    size = images.shape[1:]
    arrays = [RANDOM.integers(0, 256, (40, *size), np.uint8), np.arange(40) % classes, images, labels]
    for file, array in zip(FILES, arrays, strict=True):
        idx.write(folder / "files" / file, array.astype(np.uint8))
    values = {"source": str(folder / "files"), "validation_size": 8, "classes": classes}
    return make(INGEST, values, {}, folder) / "dataset"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ingest(tmp_path_factory.mktemp("data"))


def seal(network, spec, folder):
    folder.mkdir()
    models.write(network, spec, folder)
    artifact.seal(folder, component="train", output="trained_model", parameters={}, inputs={})
    return folder


def evaluate(dataset, model, folder, **values):
    made = make(COMPONENT, values, {"dataset": dataset, "trained_model": model}, folder)
    return json.loads((made / "metrics" / "metrics.json").read_text()), (made / "report" / "report.html").read_text()


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_kind_of_network_is_judged_and_looked_into(name, tmp_path):
    network, spec = networks.made(name, SHAPE, CLASSES)
    answers = tf.cast(network(models.pixels(IMAGES, spec.channels), training=False), tf.float32).numpy()
    models.write(network, spec, tmp_path)
    read, channels = load(tmp_path, IMAGES, CLASSES)
    logits = predictor(read, channels)(IMAGES)
    if name != "dice":
        np.testing.assert_allclose(logits, answers, atol=0.1 if name in ("half", "float16") else 1e-4)
    seen = inside.look(read, IMAGES, LABELS, logits, [1, 3], channels)
    assert seen.missing == {}
    assert len(seen.figures["suspected_labels"]) == len(IMAGES)
    assert seen.figures["class_gradient_cosines"][4] == [None] * 5
    assert seen.figures["class_gradient_cosines"][0][0] == pytest.approx(1, abs=1e-5)
    assert {number: pixels.shape for number, pixels in seen.saliency.items()} == {1: SHAPE, 3: SHAPE}
    flat = name in ("unpooled", "embedding", "table", "looked-up")  # they round the pixels
    assert [int(pixels.max()) for pixels in seen.saliency.values()] == [0 if flat else 255] * 2


@pytest.mark.parametrize("name", ["quickstart", "stack", "nested", "no-bias", "float64", "three-channels", "attention"])
def test_the_norms_are_those_of_the_last_dense_layer_wherever_it_is(name):
    network, spec = networks.made(name, SHAPE, CLASSES)
    last = network.trainable_variables[-1 if name == "no-bias" else -2 :]
    assert last[0].shape[-1] == CLASSES
    expected = []
    for image, label in zip(IMAGES, LABELS, strict=True):
        with tf.GradientTape() as tape:
            logits = tf.cast(network(models.pixels(image[None], spec.channels)), tf.float32)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        gradients = tape.gradient(loss, [each.value for each in last])
        expected.append(np.sqrt(sum(float(tf.reduce_sum(tf.cast(each, tf.float64) ** 2)) for each in gradients)))
    found = inside.example_norms(network, IMAGES, LABELS, spec.channels)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["tied", "residual", "compiled"])
def test_without_a_dense_layer_to_be_seen_the_norms_are_those_of_the_logits(name):
    network, spec = networks.made(name, SHAPE, CLASSES)
    logits = tf.cast(network(models.pixels(IMAGES, spec.channels), training=False), tf.float32)
    expected = np.linalg.norm(tf.nn.softmax(logits) - np.eye(CLASSES)[LABELS], axis=1)
    np.testing.assert_allclose(inside.example_norms(network, IMAGES, LABELS, spec.channels), expected, rtol=1e-4)


def test_saliency_adds_up_the_channels_of_a_grey_pixel():
    network = keras.Sequential([keras.Input((*SHAPE, 3)), layers.Flatten(), layers.Dense(2, use_bias=False)])
    weights = np.zeros((240, 2), np.float32)
    weights[[0, 1, 2], 1] = 1.0, 1.0, -4.0  # the first pixel: -2
    weights[3, 1] = 4.0
    network.set_weights([weights])
    image = np.zeros((1, *SHAPE), np.uint8)
    image[0, 0, 1] = 255
    shown = inside.saliency(network, image, 3)
    assert shown[0, 0, :2].tolist() == [128, 255]
    assert np.count_nonzero(shown) == 2


def test_the_page_of_a_network_without_a_gradient_at_its_pixels_says_so(dataset, tmp_path):
    figures, page = evaluate(dataset, seal(*networks.made("looked-up", SHAPE, CLASSES), tmp_path / "model"), tmp_path)
    assert figures["images"] == 24
    assert "no gradient at its pixels" in page
    assert figures["classes"][4]["images"] == 0
    assert figures["class_gradient_cosines"][4] == [None] * 5


@tf.custom_gradient
def halved(x):
    def gradient(_):
        raise LookupError("halving has no gradient")

    return x / 2, gradient


def test_the_accuracy_is_not_lost_to_a_picture(dataset, tmp_path, capsys, monkeypatch):
    def build(shape, classes):
        parts = [networks.Through(halved), layers.Flatten(), layers.Dense(classes)]
        return keras.Sequential([keras.Input((*shape, 1)), *parts])

    monkeypatch.setattr(MODELS.load("through"), "build", build)
    network = build(SHAPE, CLASSES)
    model = seal(network, models.Spec("through", SHAPE, CLASSES, 1), tmp_path / "model")
    figures, page = evaluate(dataset, model, tmp_path)
    assert figures["accuracy"] == np.mean(predictor(network, 1)(IMAGES).argmax(axis=1) == LABELS)
    assert len(figures["suspected_labels"]) == 24
    assert "The saliency cannot be seen in this network: " in page
    assert "halving has no gradient" in capsys.readouterr().out


def test_gradients_that_are_no_numbers_are_no_numbers_in_json_either(dataset, tmp_path):
    """√0 has an infinite slope: the answers are finite, and what is found inside is not."""
    image = keras.Input((*SHAPE, 1))
    root = layers.Flatten()(keras.ops.sqrt(keras.ops.relu(image - 2.0)))
    network = keras.Model(image, layers.Dense(CLASSES)(layers.Dense(4)(root)))
    model = seal(network, models.Spec("", SHAPE, CLASSES, 1), tmp_path / "model")
    figures, _ = evaluate(dataset, model, tmp_path)
    assert figures["images"] == 24
    assert json.dumps(figures, allow_nan=False)
    huge = inside.suspects(np.array([1.0, np.inf, np.nan, 2.0], np.float32), LABELS, np.zeros((24, 5), np.float32))
    assert [each["image"] for each in huge] == [3, 0]


def test_a_network_that_learns_nothing_has_no_cosines():
    network = keras.Sequential([keras.Input((*SHAPE, 1)), layers.Flatten(), layers.Dense(5, trainable=False)])
    assert np.isnan(inside.class_cosines(network, IMAGES, LABELS, 5)).all()


def test_answers_that_are_no_numbers_are_one_sentence(tmp_path):
    network, spec = networks.made("tied", SHAPE, CLASSES)
    network.weights[0].assign(np.full(network.weights[0].shape, np.nan))
    models.write(network, spec, tmp_path)
    read, channels = load(tmp_path, IMAGES, CLASSES)
    with pytest.raises(StepError, match="the model's predictions are not finite numbers: its training has diverged"):
        predictor(read, channels)(IMAGES)


@pytest.mark.parametrize(("shape", "classes"), [((10, 8), 6), ((8, 10), 5)])
@pytest.mark.parametrize("name", ["quickstart", "rows", "flat-input"])
def test_a_model_for_other_data_is_one_sentence(name, shape, classes, tmp_path):
    network, spec = networks.made(name, SHAPE, CLASSES)
    models.write(network, spec, tmp_path)
    given = f"has {shape[0]}×{shape[1]} images in grey and {classes} classes"
    with pytest.raises(BadInput, match=f"takes 10×8 images in grey and gives 5 classes, but the data set {given}"):
        load(tmp_path, np.zeros((3, *shape), np.uint8), classes)


def test_a_network_that_takes_only_so_many_images_is_one_sentence():
    network = keras.Sequential([keras.Input((*SHAPE, 1), batch_size=2), layers.Reshape((-1,)), layers.Dense(5)])
    network.add(layers.Lambda(lambda x: tf.ensure_shape(x, (2, 5))))
    with pytest.raises(BadInput, match=r"the model fails on 24 images at once .*; it must take batches of any size"):
        predictor(network, 1)(IMAGES)


@pytest.mark.parametrize(
    ("shape", "classes", "labels"),
    [((10, 8), 5, [3]), ((1, 1), 2, [0, 1, 0]), ((40, 3), 26, [25, 0, 7]), ((10, 8), 2, [1, 1, 1])],
)
def test_data_of_other_sizes(shape, classes, labels, tmp_path):
    """One test image, one pixel, many classes, one class: every figure is a number, and the page is drawn."""
    images = RANDOM.integers(0, 256, (len(labels), *shape), np.uint8)
    dataset = ingest(tmp_path, images, np.array(labels), classes)
    network, spec = networks.made("float64", shape, classes)
    figures, page = evaluate(dataset, seal(network, spec, tmp_path / "model"), tmp_path / "out")
    assert figures["images"] == len(labels)
    assert np.shape(figures["confusion_matrix"]) == (classes, classes)
    assert "What moves the prediction" in page
