# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: E501 - what a person writes is on a line, as they would
"""Whole trainings on augmented images, and a person's own augmentations."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from components.artifacts.record.reader import read
from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.declaration import argument
from components.contract.errors import BadInput
from components.models import MODELS
from components.train.component import AUGMENTATIONS, COMPONENT, LOSSES, STEPS, TrainParameters
from components.train.conftest import checkpoint_of
from components.train.train import check

OUTPUTS = ("trained_model", "gradients", "metrics")
ALL = {"augment": "rotate,scale,shift,elastic,erase,mixup"}


def train(ingested, folder, **values):
    values = dict(SHORT | {"epochs": 1} | values)
    checkpoint = {"checkpoint": values.pop("checkpoint")} if "checkpoint" in values else {}
    return make(COMPONENT, values, {"dataset": ingested / "dataset"} | checkpoint, folder)


def columns(folder):
    record = read(folder / "gradients")
    return {name: record.column(name) for name in record.columns}


def sheet(folder):
    found = read(folder / "gradients").sheet()
    assert found is not None
    return found


def epoch(folder):
    return json.loads((folder / "metrics" / "metrics.json").read_text())["epochs"][-1]


@pytest.fixture(scope="module")
def augmented(ingested, tmp_path_factory):
    """Return a folder with the outputs of a training by all augmentations, and its checkpoints."""
    folder = tmp_path_factory.mktemp("augmented")
    return train(ingested, folder, checkpoints=str(folder / "checkpoints"), checkpoint_every=5, **ALL)


def test_a_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(ingested, augmented, tmp_path):
    resumed = train(ingested, tmp_path, checkpoint=checkpoint_of(augmented / "checkpoints", 5), **ALL)
    for output in OUTPUTS:
        assert artifact.digest(resumed / output) == artifact.digest(augmented / output)


def test_to_look_changes_not_one_bit_of_what_is_learned(ingested, augmented, tmp_path):
    other = train(ingested, tmp_path, gradient_level="off", **ALL)
    assert (columns(other)["loss"] == columns(augmented)["loss"]).all()


def test_replicas_and_accumulated_batches_see_the_images_of_one_large_batch(ingested, augmented, tmp_path):
    """The replicas in a process of their own, where devices can still be set up."""
    places = {"dataset": ingested / "dataset"} | {name: tmp_path / "two" / name for name in OUTPUTS}
    values = dict(SHORT | {"epochs": 1, "replicas": 2} | ALL) | places
    command = [sys.executable, "-m", "components.train", *(argument(*each) for each in values.items())]
    subprocess.run(command, check=True, capture_output=True)
    parts = train(ingested, tmp_path / "parts", **ALL | {"batch_size": 8, "accumulate": 4})
    for other in (tmp_path / "two", parts):
        for name in ("loss", "accuracy", "global_norm"):
            np.testing.assert_allclose(columns(other)[name][:5], columns(augmented)[name][:5], rtol=1e-3)
        np.testing.assert_array_equal(sheet(other), sheet(augmented))


def test_the_record_has_a_sheet_of_what_was_learned_from_only_where_images_are_augmented(augmented, trained):
    record, (given, found) = read(augmented / "gradients"), sheet(augmented)
    assert given.shape == found.shape == (24, 28, 28)
    assert (given != found).any(axis=(1, 2)).mean() > 0.5  # some stay as they are
    assert record.settings["augment"] == ALL["augment"]
    without = read(trained / "gradients")
    assert without.sheet() is None
    assert "augment" not in without.settings


NEGATIVE = "def augment(images, *, seed):\n    return 1 - images\n"


@pytest.mark.parametrize("shape", ["(*image_shape, 1)", "image_shape", "(*image_shape, 3)"])
def test_the_sheet_is_of_the_first_step_and_validation_stays_as_it_is(ingested, tmp_path, own, shape):
    text = f"import keras\nfrom keras import layers\n\ndef build(image_shape, classes):\n    return keras.Sequential([keras.Input({shape}), layers.Flatten(), layers.Dense(classes)])\n"
    values = {"model": own(MODELS, "linear", text), "learning_rate": 1e-12, "schedule": "constant", "optimizer": "sgd"}
    plain = train(ingested, tmp_path / "plain", **values)
    made = train(ingested, tmp_path / "made", augment=own(AUGMENTATIONS, "negative", NEGATIVE), **values)
    given, found = sheet(made)
    np.testing.assert_array_equal(found, 255 - given)
    assert given.shape == ((24, 28, 28, 3) if "3" in shape else (24, 28, 28))
    assert epoch(made)["validation_loss"] == pytest.approx(epoch(plain)["validation_loss"], rel=1e-6)
    assert epoch(made)["train_loss"] != pytest.approx(epoch(plain)["train_loss"], rel=1e-3)


def test_an_augmentation_is_another_one_at_each_step_and_can_ask_for_parameters(ingested, tmp_path, own):
    """One that adds what it draws to all pixels: the mean of what a linear network sees tells the draw."""
    text = """
import tensorflow as tf
from components.contract.declaration import parameter

def augment(images, *, seed, brighter: float = parameter(0.5, "By how much", gt=0)):
    return tf.ones_like(images) * brighter * tf.random.stateless_uniform([], seed)
"""
    mean = "import keras\nfrom keras import layers\n\ndef build(image_shape, classes):\n    return keras.Sequential([keras.Input((*image_shape, 1)), layers.GlobalAveragePooling2D(), layers.Dense(classes)])\n"
    values = {"model": own(MODELS, "mean", mean), "learning_rate": 1e-12, "schedule": "constant", "optimizer": "sgd"}
    losses = columns(train(ingested, tmp_path, augment=own(AUGMENTATIONS, "brighter", text), **values))["loss"]
    assert len({round(float(loss), 5) for loss in losses}) == len(losses)


FAULTS = {
    "nothing": ("pass", "augment mine fails: it returned nothing (None); it must return images, a float32 tensor (32, 28, 28, 1)"),
    "a pair": ("return images, seed", "augment mine fails: it returned a tuple; it must return images"),
    "another shape": ("return images[:, 1:]", "it returned float32 (32, 27, 28, 1); images must be float32 (32, 28, 28, 1)"),
    "fewer images": ("return images[1:]", "it returned float32 (31, 28, 28, 1); images must be"),
    "another type": ("return tf.cast(images, tf.float64)", "it returned float64 (32, 28, 28, 1)"),
    "no number": ("return tf.math.log(images)", "augment mine (mine.py): what it makes of the first step's images has NaN or infinities"),
    "no number late": ("return images / tf.cast(tf.range(32)[:, None, None, None] - 31, tf.float32)", "has NaN or infinities"),
    "its own fault": ("return images * undefined", "mine.py: augment mine fails: NameError: name 'undefined' is not defined"),
    "numbers of TensorFlow's own": ("return images * tf.random.uniform([])", "mine.py, line 4: RandomUniform draws numbers from a state of TensorFlow's own"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_an_augmentation_that_does_not_fit(own, name):
    body, message = FAULTS[name]
    text = f"import tensorflow as tf\n\ndef augment(images, *, seed):\n    {body}\n"
    with pytest.raises(BadInput, match=re.escape(message)) as error:
        look(augment=f"shift,{own(AUGMENTATIONS, 'mine', text)}")
    assert "mine.py" in str(error.value)
    assert "\n" not in str(error.value)


MOVE_FAULTS = {
    "nothing": ("pass", "augment mine fails: it returned nothing (None); it must return places, a float32 tensor (32, 28, 28, 2)"),
    "another shape": ("return places[..., 0]", "it returned float32 (32, 28, 28); places must be float32 (32, 28, 28, 2)"),
    "no number": ("return places / 0", "augment mine (mine.py): what it makes of the first step's images has NaN or infinities"),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVE_FAULTS)
def test_a_move_that_does_not_fit(own, name):
    body, message = MOVE_FAULTS[name]
    chosen = own(AUGMENTATIONS, "mine", f"def move(places, *, seed):\n    {body}\n")
    with pytest.raises(BadInput, match=re.escape(message)):
        look(augment=f"rotate,{chosen},scale")


LABEL_FAULTS = {
    "only images": ("return images", "augment(images, labels) must return two things: images and labels"),
    "classes": ("return images, labels[:, 0, 0]", "it returned float32 (32,); labels must be float32 (32, None, 2)"),
    "no number": ("return images, labels / 0", "has NaN or infinities"),
}


@pytest.mark.parametrize("name", LABEL_FAULTS)
def test_an_augmentation_of_labels_that_does_not_fit(own, name):
    body, message = LABEL_FAULTS[name]
    with pytest.raises(BadInput, match=re.escape(message)):
        look(augment=own(AUGMENTATIONS, "mine", f"def augment(images, labels, *, seed):\n    {body}\n"))


def test_an_augmentation_without_its_function_or_with_a_wrong_line(own):
    with pytest.raises(BadInput, match=r"augment mine \(mine\.py\): it has neither of the functions augment and move"):
        look(augment=own(AUGMENTATIONS, "mine", "def change(images):\n    return images\n"))
    both = "def augment(images, *, seed):\n    return images\n\ndef move(places, *, seed):\n    return places\n"
    with pytest.raises(BadInput, match=r"augment both \(both\.py\): it has both of the functions augment and move"):
        look(augment=own(AUGMENTATIONS, "both", both))
    with pytest.raises(BadInput, match=r"broken\.py, line 1: the file cannot be imported: SyntaxError"):
        look(augment=own(AUGMENTATIONS, "broken", "def (\n"))


def test_a_way_or_a_loss_that_cannot_do_with_several_labels_says_so(own):
    whole = "import keras\ndef loss(labels, logits):\n    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)\n"
    with pytest.raises(BadInput, match=r"loss whole \(whole.py\): it gives one number for all images, so what mixes"):
        look(augment="mixup", loss=own(LOSSES, "whole", whole))
    by_class = """
import tensorflow as tf
from components.train.steps import plain

def gradients(model, loss, images, labels):
    return plain.gradients(model, loss, images + 0 * tf.gather(tf.zeros([10]), labels)[:, None, None, None], labels)
"""
    look(step=own(STEPS, "by_class", by_class))
    with pytest.raises(
        BadInput,
        match=r"by_class\.py: step by-class fails: TypeError: Value passed to parameter 'indices' has DataType float32",
    ):
        look(augment="mixup", step="by-class")


def look(**values):
    check(TrainParameters.checked(SHORT | values), dataset=None)


@pytest.mark.parametrize("step", list(STEPS))
def test_every_way_learns_from_mixed_images(step):
    look(augment="shift,mixup", step=step, accumulate=2)


def test_a_sheet_of_other_images_is_refused(augmented, tmp_path):
    record = read(augmented / "gradients")
    path = tmp_path / "sheet.safetensors"
    save_file({"given": np.zeros((2, 4, 4), np.uint8), "augmented": np.zeros((3, 4, 4), np.uint8)}, path)
    with pytest.raises(BadInput, match=r"sheet\.safetensors: images of \(2, 4, 4\) and of \(3, 4, 4\)"):
        type(record)(**vars(record) | {"folder": tmp_path}).sheet()
    assert set(load_file(augmented / "gradients" / "sheet.safetensors")) == {"given", "augmented"}
