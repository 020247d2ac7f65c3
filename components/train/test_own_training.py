# mypy: allow-untyped-defs, allow-untyped-calls
"""A person's own training: what it does is what is recorded, resumed, and said."""

import json
import zipfile

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.errors import BadInput, StepError
from components.models import MODELS
from components.train.component import COMPONENT, LOSSES, STEPS, TRANSFORMS
from components.train.conftest import checkpoint_of

# A small network, with room for what is tried.
MODEL = """
import keras
import tensorflow as tf
from keras import layers

BEFORE
def build(image_shape, classes):
    image = keras.Input((*image_shape, 1))
    hidden = layers.Conv2D(4, 3, 2, activation="relu")(image)
    HIDDEN
    return keras.Model(image, layers.Dense(classes, LAST name="logits")(layers.Flatten()(hidden)), name="mine")
"""


def model(hidden="", last="", before=""):
    return MODEL.replace("HIDDEN", hidden).replace("LAST", last and last + ",").replace("BEFORE", before)


def train(ingested, folder, **values):
    values = dict(SHORT | {"epochs": 1, "gradient_level": "norms"} | values)
    checkpoint = {"checkpoint": values.pop("checkpoint")} if "checkpoint" in values else {}
    return make(COMPONENT, values, {"dataset": ingested / "dataset"} | checkpoint, folder)


def weights(folder):
    return artifact.read(folder / "trained_model").files["model.keras"].sha256


def columns(folder):
    record = json.loads((folder / "gradients" / "record.json").read_text())
    values = load_file(folder / "gradients" / "steps" / "00000001.safetensors")["values"]
    return {name: values[:, i] for i, name in enumerate(record["columns"])}


def epochs(folder):
    return json.loads((folder / "metrics" / "metrics.json").read_text())["epochs"]


OWN_STATE = """
import tensorflow as tf

kept = []

def update(gradients, state, variables):
    if not kept:
        with tf.init_scope():
            kept.extend(tf.Variable(tf.zeros(variable.shape)) for variable in variables)
    for mean, gradient in zip(kept, gradients):
        mean.assign(0.5 * mean + gradient)
    return [mean + 0.0 for mean in kept], state
"""
RANDOM_GENERATOR = """
import tensorflow as tf

generator = tf.random.Generator.from_seed(1)

def update(gradients, state, variables):
    return [gradient + 0.01 * generator.normal(gradient.shape) for gradient in gradients], state
"""
AUGMENTED = "layers.Dropout(0.3)(layers.RandomTranslation(0.1, 0.1)(hidden))"
STATES = {
    "average": {"transform": "average"},
    "noise": {"transform": "noise"},
    "a variable of its own": {"transform": OWN_STATE},
    "a generator of its own": {"transform": RANDOM_GENERATOR},
    "sam and dropout": {"step": "sam", "model": model("hidden = layers.Dropout(0.3)(hidden)")},
    "dp-sgd": {"step": "dp-sgd"},
    "batch normalisation": {"model": model("hidden = layers.BatchNormalization()(hidden)")},
    "augmentation": {"model": model(f"hidden = {AUGMENTED}")},
    "random numbers of keras": {"model": model("hidden = layers.GaussianNoise(0.1)(hidden)")},
}


@pytest.fixture
def own_values(own):
    """Return a function that makes files of the texts among the values."""
    folders = {"model": MODELS, "transform": TRANSFORMS, "step": STEPS, "loss": LOSSES}

    def make_files(values):
        return {
            name: own(folders[name], f"own_{name}", value) if name in folders and "\n" in value else value
            for name, value in values.items()
        }

    return make_files


@pytest.mark.parametrize("name", STATES)
def test_a_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(ingested, tmp_path, own_values, name):
    values = own_values(STATES[name])
    places = tmp_path / "checkpoints"
    straight = train(ingested, tmp_path / "one", checkpoints=str(places), checkpoint_every=5, **values)
    # The file's own variables are as they were left, so what comes out follows from the checkpoint alone.
    resumed = train(ingested, tmp_path / "two", checkpoint=checkpoint_of(places, 5), **values)
    for output in ("trained_model", "gradients", "metrics"):
        assert artifact.digest(resumed / output) == artifact.digest(straight / output)


@pytest.mark.parametrize("name", ["average", "noise", "a variable of its own", "dp-sgd", "sam and dropout"])
def test_to_look_changes_not_one_bit_of_what_is_learned(ingested, tmp_path, own, name):
    found = set()
    for level, more in (("off", {}), ("norms", {}), ("full", {"stats_every": 2, "snapshot_every": 3})):
        values = {key: value if "\n" not in value else value + f"\n# {level}\n" for key, value in STATES[name].items()}
        chosen = {
            key: own({"model": MODELS, "transform": TRANSFORMS, "step": STEPS}[key], f"own_{key}_{level}", value)
            if "\n" in value else value
            for key, value in values.items()
        }  # fmt: skip
        made = train(ingested, tmp_path / level, gradient_level=level, **chosen, **more)
        network = next(iter((made / "trained_model").glob("model.keras")))
        with zipfile.ZipFile(network) as file:
            found.add(file.read("model.weights.h5"))
    assert len(found) == 1


REGULARIZED = {
    "L2": ("", "kernel_regularizer=keras.regularizers.L2(0.1)"),
    "activity": ("hidden = layers.Conv2D(4, 3, activity_regularizer=keras.regularizers.L1(0.01))(hidden)", ""),
    "add_loss": ("hidden = layers.ActivityRegularization(l2=0.001)(hidden)", ""),
}


@pytest.mark.parametrize("kind", REGULARIZED)
def test_what_keras_adds_to_the_loss_counts_and_is_told_apart(ingested, tmp_path, own, kind):
    hidden, last = REGULARIZED[kind]
    without = hidden.replace(", activity_regularizer=keras.regularizers.L1(0.01)", "") if kind != "add_loss" else ""
    plain = train(ingested, tmp_path / "plain", model=own(MODELS, "without", model(without)))
    made = train(ingested, tmp_path / "made", model=own(MODELS, "with_it", model(hidden, last)))
    assert weights(plain) != weights(made)
    assert "objective" not in columns(plain)
    seen = columns(made)
    assert list(seen)[:5] == ["loss", "accuracy", "learning_rate", "objective", "global_norm"]
    assert (seen["objective"] > seen["loss"]).all()
    assert seen["loss"][0] == pytest.approx(columns(plain)["loss"][0], rel=1e-5)  # the same weights at first
    (epoch,) = epochs(made)
    assert epoch["train_objective"] > epoch["train_loss"]


def test_a_regularizer_counts_once_whatever_else_there_is(ingested, tmp_path, own):
    """Accumulated, scaled, or both: the objective and the gradient are those of the one large batch."""
    chosen = own(MODELS, "mine", model(*REGULARIZED["L2"]))
    one = columns(train(ingested, tmp_path / "one", model=chosen, batch_size=32))
    recipes: dict[str, dict[str, object]] = {
        "accumulated": {"batch_size": 8, "accumulate": 4},
        "scaled": {"batch_size": 32, "loss_scale": 256.0},
        "both": {"batch_size": 16, "accumulate": 2, "loss_scale": 2.0},
    }
    for name, values in recipes.items():
        other = columns(train(ingested, tmp_path / name, model=chosen, **values))
        for column in ("loss", "objective", "global_norm", "logits/kernel"):
            np.testing.assert_allclose(other[column][:3], one[column][:3], rtol=1e-4)


def test_balanced_class_weights_and_smoothed_labels(ingested, tmp_path):
    weighted = columns(train(ingested, tmp_path / "a", class_weight="balanced"))["loss"]
    smooth = columns(train(ingested, tmp_path / "b", label_smoothing=0.1))["loss"]
    plain = columns(train(ingested, tmp_path / "c"))["loss"]
    assert weighted[0] != plain[0]
    assert weighted[0] == pytest.approx(plain[0], rel=0.1)
    # At first all answers are alike, and then smoothing changes little: (1 − ε)·CE + ε·mean CE.
    assert smooth[0] == pytest.approx(plain[0], rel=0.02)
    assert smooth[-1] > plain[-1]


NAN_LATE = """
import tensorflow as tf

def update(gradients, state, variables, *, step):
    bad = tf.where(step >= AT, float("nan"), 0.0)
    return [gradient + bad for gradient in gradients], state
"""


def test_nan_in_the_last_step_of_all_is_a_sentence_or_published(ingested, tmp_path, own):
    chosen = own(TRANSFORMS, "late", NAN_LATE.replace("AT", "13"))
    with pytest.raises(StepError, match="the validation loss is nan after step 14; try a lower learning_rate"):
        train(ingested, tmp_path / "failed", transform=chosen)
    assert list((tmp_path / "failed").iterdir()) == []
    made = train(ingested, tmp_path / "kept", transform=chosen, diverged="publish")
    (epoch,) = epochs(made)
    assert epoch["validation_loss"] is None
    assert np.isfinite(epoch["train_loss"])
    for output in ("trained_model", "gradients", "metrics"):
        artifact.verify(made / output)


def test_nan_in_the_middle_of_an_epoch_is_published_too(ingested, tmp_path, own):
    chosen = own(TRANSFORMS, "late", NAN_LATE.replace("AT", "6"))
    with pytest.raises(StepError, match="the loss is nan at step 8"):
        train(ingested, tmp_path / "failed", transform=chosen)
    made = train(ingested, tmp_path / "kept", transform=chosen, diverged="publish")
    assert epochs(made) == []
    assert np.isnan(columns(made)["loss"][-1])


def test_a_step_of_ones_own_is_what_is_observed(ingested, tmp_path, own):
    """The noise scale is that of the step: here of a loss three times as large, thus nine times in both halves."""
    text = """
import tensorflow as tf
from components.contract.declaration import parameter
from components.train.tape import variables_of

def gradients(model, loss, images, labels, *, factor: float = parameter(3.0, "Times the loss")):
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        value = factor * loss(labels, logits)
    return value, logits, tape.gradient(value, variables_of(model))
"""
    values = {"gradient_level": "stats", "optimizer": "sgd", "learning_rate": 1e-9, "schedule": "constant"}
    stats = {}
    for name, step in (("plain", "plain"), ("own", own(STEPS, "triple", text))):
        folder = train(ingested, tmp_path / name, step=step, **values) / "gradients"
        record = json.loads((folder / "record.json").read_text())
        kept = load_file(folder / "stats" / "00000001.safetensors")["values"]
        stats[name] = {each: kept[:, :, record["statistics"].index(each)] for each in ("noise", "signal", "l2_norm")}
    for name, factor in (("noise", 9), ("signal", 9), ("l2_norm", 3)):
        np.testing.assert_allclose(stats["own"][name], factor * stats["plain"][name], rtol=1e-3, atol=1e-5)


SAM_BY_HAND = """
import tensorflow as tf

calls = tf.Variable(0.0, trainable=False)

def gradients(model, loss, images, labels):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        value = loss(labels, logits)
    first = tape.gradient(value, variables)
    scale = 0.05 / tf.linalg.global_norm(first)
    for variable, gradient in zip(variables, first):
        variable.assign_add(scale * gradient)
    with tf.GradientTape() as tape:
        there = loss(labels, model(images, training=True))
    found = tape.gradient(there, variables)
    for variable, gradient in zip(variables, first):
        variable.assign_sub(scale * gradient)
    calls.assign_add(1.0)
    return value, logits, found
"""


def test_a_step_that_moves_the_weights_is_looked_at_without_a_trace(ingested, tmp_path, own):
    """SAM as people write it: the weights go there and back, and a last bit may stay; a second look leaves none."""
    found, stats = {}, {}
    for level, more in (("norms", {}), ("stats", {"stats_every": 1})):
        chosen = own(STEPS, f"by_hand_{level}", SAM_BY_HAND)
        made = train(ingested, tmp_path / level, step=chosen, gradient_level=level, **more)
        with zipfile.ZipFile(made / "trained_model" / "model.keras") as file:
            found[level] = file.read("model.weights.h5")
    assert found["norms"] == found["stats"]
    ours = train(ingested, tmp_path / "ours", step="sam", gradient_level="stats", stats_every=1)
    for name, folder in (("by hand", made), ("ours", ours)):
        record = json.loads((folder / "gradients" / "record.json").read_text())
        kept = load_file(folder / "gradients" / "stats" / "00000001.safetensors")["values"]
        noise = kept[:, :, record["statistics"].index("noise")].sum(axis=1)
        stats[name] = noise / kept[:, :, record["statistics"].index("signal")].sum(axis=1)
    np.testing.assert_allclose(stats["by hand"][0], stats["ours"][0], rtol=1e-3)


def test_a_checkpoint_of_other_variables_is_passed_over_and_refused_if_it_is_given(ingested, tmp_path, own, capsys):
    places = tmp_path / "checkpoints"
    values = {"model": own(MODELS, "mine", model()), "checkpoints": str(places), "checkpoint_every": 7}
    train(ingested, tmp_path / "one", **values)
    before = checkpoint_of(places, 7)
    changed = own(MODELS, "mine2", model("hidden = layers.BatchNormalization()(hidden)"))
    MODELS["mine"] = MODELS[changed]
    with pytest.raises(
        BadInput, match=r"has other variables than the model has now, among them .*: a file has changed"
    ):
        train(ingested, tmp_path / "two", model="mine", checkpoint=before)
    capsys.readouterr()
    train(ingested, tmp_path / "two", **values)  # as if the file had not changed, but something that it imports
    said = capsys.readouterr().out
    assert said.count("has other variables than the model has now, among them ") == 2
    assert "there is none before it, so the run begins anew" in said


def test_the_learning_of_frozen_parts_and_unconnected_ones_is_recorded(ingested, tmp_path, own):
    hidden = "frozen = layers.Conv2D(4, 3, name='still')\n    frozen.trainable = False\n    hidden = frozen(hidden)"
    made = train(ingested, tmp_path, model=own(MODELS, "mine", model(hidden)), gradient_level="stats")
    record = json.loads((made / "gradients" / "record.json").read_text())
    assert record["settings"]["frozen"] == ["still/kernel", "still/bias"]
    kept = load_file(made / "gradients" / "stats" / "00000001.safetensors")["values"]
    assert np.isfinite(kept[:, :, record["statistics"].index("noise")]).all()  # a frozen layer hinders no second look
    assert keras.models.load_model(made / "trained_model" / "model.keras").count_params() > 0
