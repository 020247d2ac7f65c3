# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
"""Whatever network it is: written the same each time, and read, checked and served by processes that know nothing."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from safetensors.numpy import load_file, save_file

from components.artifacts import model as models
from components.contract import artifact
from components.contract.errors import BadInput
from components.models import MODELS
from components.testdata import networks

SHAPE, CLASSES = (10, 8), 5
ROOT = Path(__file__).parents[3]
FILES = ["model.json", "model.keras", "probe.safetensors", "saved_model/saved_model.pb"]
FILES += [f"saved_model/variables/variables.{part}" for part in ("data-00000-of-00001", "index")]

# What another process says of the folders: it has drawn other numbers from TensorFlow's counters, and begun elsewhere.
CHECK = """
import json, pathlib, sys
from components.artifacts import model as models
from components.testdata import networks
said = {}
with networks.entered():
    for name in sorted(networks.NETWORKS, reverse=True):
        ours, theirs = pathlib.Path(sys.argv[1], name), pathlib.Path(sys.argv[2], name)
        theirs.mkdir()
        models.write(*networks.made(name, (10, 8), 5), theirs)
        try:
            models.check(ours)
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""
# A server: TensorFlow, and not a line of this project.
SERVE = """
import pathlib, sys
import numpy as np, tensorflow as tf
assert "components" not in sys.modules
for folder in pathlib.Path(sys.argv[1]).iterdir():
    run = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    images = np.load(sys.argv[2])
    found = {name: value.numpy() for name, value in run(images=tf.constant(images)).items()}
    np.savez(folder.parent.parent / f"served-{folder.name}.npz", **found)
"""


def python(code, *arguments, isolated=False):
    command = [sys.executable, *(["-I"] if isolated else []), "-c", code, *map(str, arguments)]
    place = {"cwd": "/"} if isolated else {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **place)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _entered():
    with networks.entered():
        yield


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Return the folder in which each network's artifact is, as this process wrote it."""
    folder = tmp_path_factory.mktemp("zoo") / "ours"
    for name in networks.NETWORKS:
        (folder / name).mkdir(parents=True)
        models.write(*networks.made(name, SHAPE, CLASSES), folder / name)
    return folder


@pytest.fixture(scope="module")
def checked(zoo):
    """Return what another process says of each artifact, having written its own into `theirs`."""
    (zoo.parent / "theirs").mkdir()
    return json.loads(python(CHECK, zoo, zoo.parent / "theirs"))


@pytest.fixture(scope="module")
def served(zoo):
    np.save(zoo.parent / "images.npy", IMAGES)
    python(SERVE, zoo, zoo.parent / "images.npy", isolated=True)
    return zoo.parent


HALF = ("half", "float16")  # what is computed in 16 bits
IMAGES = np.random.default_rng(2).integers(0, 256, (3, *SHAPE), np.uint8)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_another_process_reads_it_and_writes_the_same_bytes(zoo, checked, name):
    assert checked.get(name) is None
    ours, theirs = zoo / name, zoo.parent / "theirs" / name
    assert sorted(path.relative_to(ours).as_posix() for path in ours.rglob("*") if path.is_file()) == FILES
    assert [artifact.sha256(ours / file) for file in FILES] == [artifact.sha256(theirs / file) for file in FILES]


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_server_without_its_code_gives_the_answers_of_the_network(served, name):
    network, spec = networks.made(name, SHAPE, CLASSES)
    logits = tf.cast(network(models.pixels(IMAGES, spec.channels), training=False), tf.float32)
    with np.load(served / f"served-{name}.npz") as file:
        found = dict(file)
    assert (found["probabilities"].dtype, found["class"].dtype) == (np.float32, np.int64)
    if name == "dice":
        assert found["probabilities"].shape == (3, CLASSES)
        return
    np.testing.assert_allclose(found["probabilities"], tf.nn.softmax(logits), atol=2e-2 if name in HALF else 1e-5)
    np.testing.assert_array_equal(found["class"], np.argmax(found["probabilities"], axis=1))


def test_what_reads_back_is_the_network(zoo):
    for name, channels in (("quickstart", 1), ("nested", 1), ("rows", 0), ("colour", 3), ("table", 0)):
        network, spec = models.read(zoo / name)
        expected, _ = networks.made(name, SHAPE, CLASSES)
        assert spec == models.Spec(name, SHAPE, CLASSES, channels)
        for found, wanted in zip(network.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_half_precision_comes_back_as_such(zoo):
    network, spec = models.read(zoo / "half")
    assert (spec.precision, network.d2.compute_dtype) == ("mixed_bfloat16", "bfloat16")
    assert keras.config.dtype_policy().name == "float32"


def test_pixels_are_shades_in_the_shape_that_is_asked_for():
    images = np.array([[[0, 51], [255, 102]]], np.uint8)
    grey = np.array([[[0, 51 / 255], [1, 102 / 255]]], np.float32)
    np.testing.assert_array_equal(models.pixels(images, 0), grey)
    np.testing.assert_array_equal(models.pixels(images, 1), grey[..., None])
    np.testing.assert_array_equal(models.pixels(images, 3), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(
    ("given", "channels"),
    [((10, 8, 1), 1), ((10, 8), 0), ((10, 8, 3), 3), ((None, None, 1), 1), ((None, None, 3), 3), ((None, None), 0)],
)
def test_the_channels_are_those_of_the_input(given, channels):
    image = keras.Input(given)
    assert models.channels_of(keras.Model(image, layers.Activation("relu")(image)), SHAPE) == channels


@pytest.mark.parametrize("given", [(80,), (1, 10, 8), (8, 10, 1), (10, 8, 2), (10, 8, 1, 1)])
def test_an_input_that_is_no_image_is_refused(given):
    image = keras.Input(given)
    network = keras.Model(image, layers.Activation("relu")(image), name="odd")
    with pytest.raises(BadInput, match=r"the model odd takes \(None, .*\), but images come as \(None, 10, 8\) or "):
        models.channels_of(network, SHAPE)


def test_a_class_that_takes_no_image_is_refused_with_what_it_said():
    class Words(keras.Model):
        def call(self, x):
            raise ValueError(f"rank {len(x.shape)} is not a sentence")

    with pytest.raises(BadInput, match=r"takes none of these \(for \(None, 10, 8, 1\): .*rank 4 is not a sentence"):
        models.channels_of(Words(), SHAPE)


def write(folder, name="convnet", shape=(28, 28), change=None):
    keras.utils.set_random_seed(0)
    network = MODELS.load(name).build(shape, 10)
    if change:
        change(network)
    folder.mkdir()
    models.write(network, models.Spec(name, shape, 10, 1), folder)
    return folder


def run(*arguments):
    command = [sys.executable, "-m", "components.artifacts.model", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_says_what_it_is_or_what_is_wrong(tmp_path):
    done = run(write(tmp_path / "good"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/good: convnet, 28×28 images, 10 classes\n")
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (
        2, f"model: {tmp_path} has no model.keras; give the trained_model that train made\n",
    )  # fmt: skip


def test_other_weights_than_were_written_are_noticed(tmp_path):
    def spoil(network):
        network.layers[0].kernel.assign(network.layers[0].kernel * 1.5)

    folder = write(tmp_path / "good")
    shutil.copy(write(tmp_path / "bad", change=spoil) / "model.keras", folder / "model.keras")
    with pytest.raises(BadInput, match=r"and components/models/convnet.py no longer fit.*an answer differs by"):
        models.read(folder)


def test_a_savedmodel_of_other_weights_is_noticed(tmp_path):
    def spoil(network):
        network.layers[-1].bias.assign(np.arange(10.0))

    folder = write(tmp_path / "good")
    shutil.rmtree(folder / "saved_model")
    shutil.copytree(write(tmp_path / "bad", change=spoil) / "saved_model", folder / "saved_model")
    with pytest.raises(BadInput, match=r"saved_model and .*model.keras are not the same network"):
        models.check(folder)
    shutil.rmtree(folder / "saved_model")
    with pytest.raises(BadInput, match="has no saved_model; train again"):
        models.check(folder)


def test_a_file_that_is_not_here_or_is_another_is_named(zoo, monkeypatch):
    alone, code = "it holds weights alone, as Keras cannot describe such a network", "it has a lambda in it, .* is run"
    for name, reason in {
        "quickstart": alone, "through": alone, "lambda": code, "local": "it needs the class Half",
        "gain": "it needs the class Gain", "bent": "it needs the function bent",
    }.items():  # fmt: skip
        monkeypatch.delitem(MODELS, name)
        with pytest.raises(BadInput, match=rf"Keras can load without components/models/{name}.py: {reason}; put that"):
            models.read(zoo / name)
    module = MODELS.load("closure")
    monkeypatch.setattr(module, "build", networks.NETWORKS["lambda"])  # the same weights, and another function
    with pytest.raises(BadInput, match=r"As built anew: an answer differs by .*train again"):
        models.read(zoo / "closure")
    monkeypatch.setattr(module, "build", networks.NETWORKS["nested"])
    with pytest.raises(BadInput, match=r"closure.py no longer fit"):
        models.read(zoo / "closure")


def test_nothing_in_an_artifact_is_run(zoo, tmp_path):
    with zipfile.ZipFile(zoo / "lambda" / "model.keras") as file:
        config = json.loads(file.read("config.json"))
    function = next(each["config"]["function"] for each in config["config"]["layers"] if each["class_name"] == "Lambda")
    assert function["config"]["code"] == ""
    touched = tmp_path / "touched"
    touching = eval(f"lambda x: (__import__('pathlib').Path({str(touched)!r}).touch(), x)[1]")  # noqa: S307
    network = keras.Sequential([keras.Input((*SHAPE, 1)), layers.Lambda(touching), layers.Flatten()])
    touched.unlink()
    network.save(tmp_path / "model.keras")  # with its code in it
    with pytest.raises(BadInput, match="is not a model that Keras can load"):
        models.read(tmp_path)
    assert not touched.exists()


def test_a_model_without_what_was_added_since_reads_still(tmp_path):
    folder = write(tmp_path / "old")
    before, _ = models.read(folder)
    for path in folder.iterdir():
        if path.is_file() and path.name != "model.keras":
            path.unlink()
    network, spec = models.read(folder)
    assert spec == models.Spec("", (28, 28), 10, 1)
    np.testing.assert_array_equal(network.weights[0], before.weights[0])


def test_half_an_artifact_is_refused(tmp_path):
    folder = write(tmp_path / "model")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace("28", '"x"', 1))
    with pytest.raises(BadInput, match=r"model.json is not what train writes: image_shape.0: Input should be"):
        models.read(folder)
    (folder / "model.json").write_text(text)
    (folder / "probe.safetensors").unlink()
    with pytest.raises(BadInput, match=r"has model.json but no probe.safetensors; it is not whole"):
        models.read(folder)


def test_the_probe_allows_for_other_processors_and_not_for_more(tmp_path):
    folder = write(tmp_path / "model")
    probe = load_file(folder / "probe.safetensors")
    assert (probe["images"].shape, probe["logits"].shape) == ((8, 28, 28), (8, 10))
    largest = max(1.0, float(np.abs(probe["logits"]).max()))
    for share, fits in ((5e-4, True), (5e-3, False)):
        moved = probe["logits"].copy()
        moved[0, 0] += share * largest
        save_file(probe | {"logits": moved}, folder / "probe.safetensors")
        if fits:
            models.read(folder)
        else:
            with pytest.raises(BadInput, match="an answer differs by"):
                models.read(folder)


def test_a_network_whose_training_diverged_is_an_artifact_too(tmp_path):
    def diverge(network):
        network.layers[0].kernel.assign(np.full(network.layers[0].kernel.shape, np.nan))

    folder = write(tmp_path / "model", change=diverge)
    models.check(folder)
    assert np.isnan(load_file(folder / "probe.safetensors")["logits"]).all()


def test_what_no_graph_can_hold_is_refused(tmp_path):
    class Eager(keras.Model):
        def build(self, _):
            self.built = True

        def call(self, x):
            return tf.reshape(x, (x.shape[0], -1))[:, : int(tf.reduce_max(x).numpy()) + 10]

    network = Eager(name="eager")
    assert models.channels_of(network, (28, 28)) == 1
    with pytest.raises(BadInput, match="the model eager cannot be made a SavedModel: "):
        models.write(network, models.Spec("eager", (28, 28), 10, 1), tmp_path)


def test_what_runs_only_beside_its_python_is_not_served(tmp_path):
    class Python(layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda each: each * 2, [x], tf.float32), x.shape)

    network = keras.Sequential([Python(), layers.Flatten(), layers.Dense(10)], name="python")
    network(np.zeros((2, 28, 28, 1), np.float32))
    models.write(network, models.Spec("convnet", (28, 28), 10, 1), tmp_path)
    done = run(tmp_path)
    assert done.returncode == 2
