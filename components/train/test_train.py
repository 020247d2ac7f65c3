# mypy: allow-untyped-defs, allow-untyped-calls
"""Whole trainings on a few hundred real images."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from components.contract import artifact
from components.contract.errors import BadInput, StepError
from components.train.conftest import OUTPUTS, checkpoint_of, command, digests, train


def test_it_learns(trained):
    epochs = json.loads((trained / "metrics" / "metrics.json").read_text())["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert epochs[1]["train_loss"] < epochs[0]["train_loss"] < np.log(10)
    assert epochs[1]["validation_accuracy"] > 0.5
    manifest = artifact.verify(trained / "metrics")
    assert manifest.metadata["validation_accuracy"] == epochs[1]["validation_accuracy"]
    assert manifest.parameters["epochs"] == 2
    assert "checkpoints" not in manifest.parameters


def test_the_model_is_one_that_keras_loads(trained):
    network = keras.models.load_model(trained / "trained_model" / "model.keras", compile=False)
    assert network.count_params() == 29_066


def test_the_record_holds_every_step(trained):
    folder = trained / "gradients"
    record = json.loads((folder / "record.json").read_text())
    assert record["settings"] == {
        "steps_per_epoch": 14, "images_per_step": 32, "classes": 10, "clip_norm": 0, "frozen": []
    }  # fmt: skip
    assert record["variables"][0] == {
        "name": "convnet/conv1/kernel", "shape": [3, 3, 1, 16], "role": "kernel", "activation": "relu",
        "normalised": False, "zero_initialised": False, "connected": True,
    }  # fmt: skip
    assert [variable["name"] for variable in record["variables"]][:2] == ["convnet/conv1/kernel", "convnet/conv1/bias"]
    assert record["columns"][:5] == ["loss", "accuracy", "learning_rate", "global_norm", "convnet/conv1/kernel"]
    parts = [load_file(path) for path in sorted((folder / "steps").iterdir())]
    assert np.concatenate([part["step"] for part in parts]).tolist() == list(range(1, 29))
    values = np.concatenate([part["values"] for part in parts])
    assert values.shape == (28, 12)
    np.testing.assert_allclose(values[:, 3], np.sqrt((values[:, 4:] ** 2).sum(axis=1)), rtol=1e-5)
    assert values[0, 2] == pytest.approx(0.003)
    assert (np.diff(values[:, 2]) < 0).all()  # a cosine
    stats, hist = (load_file(folder / kind / "00000001.safetensors") for kind in ("stats", "hist"))
    assert stats["step"].tolist() == hist["step"].tolist() == [1, 4, 16]
    l2 = stats["values"][:, :, record["statistics"].index("l2_norm")]
    np.testing.assert_allclose(l2, values[[0, 3, 15], 4:], rtol=1e-6)
    assert hist["values"].sum(axis=2)[0].tolist() == [np.prod(each["shape"]) for each in record["variables"]]
    snapshots = sorted(path.stem for path in (folder / "snapshots").iterdir())
    assert snapshots == ["00000001", "00000004", "00000016"]
    last = load_file(folder / "snapshots" / "00000016.safetensors")
    norms = [np.linalg.norm(last[variable["name"]]) for variable in record["variables"]]
    np.testing.assert_allclose(values[15, 4:], norms, rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(ingested, trained, tmp_path):
    assert digests(train(ingested, tmp_path / "again")) == digests(trained)
    other = digests(train(ingested, tmp_path / "other", seed=1))
    assert all(other[name] != digests(trained)[name] for name in OUTPUTS)


def test_replicas_share_the_images_and_record_the_gradient_of_all(ingested, tmp_path):
    """Two of them in processes of their own, where devices can still be set up."""
    place, values = tmp_path / "checkpoints", {"accumulate": 2, "clip_norm": 0.5}
    one = train(ingested, tmp_path / "one", **values)
    more = {"checkpoints": place, "checkpoint_every": 9}
    subprocess.run(command(ingested, tmp_path / "two", replicas=2, **values, **more), check=True)
    more = {"checkpoint": checkpoint_of(place, 9)}
    subprocess.run(command(ingested, tmp_path / "resumed", replicas=2, **values, **more), check=True)
    two, resumed = tmp_path / "two", tmp_path / "resumed"
    assert digests(resumed) == digests(two)
    record = json.loads((one / "gradients" / "record.json").read_text())
    chosen = [record["statistics"].index(name) for name in ("l2_norm", "weight_norm", "update_norm", "noise", "cosine")]
    whole = slice(None)
    for file, columns in (("steps/00000001", whole), ("stats/00000001", chosen), ("snapshots/00000004", whole)):
        wanted, found = (load_file(run / "gradients" / f"{file}.safetensors") for run in (one, two))
        for name in wanted.keys() - {"step"}:
            expected, got = wanted[name][..., columns], found[name][..., columns]
            scale = np.nanmax(np.abs(expected), axis=tuple(range(expected.ndim - 1)))
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))  # cosines of step 1
            assert (np.nan_to_num(np.abs(got - expected)) <= 1e-3 * scale).all(), f"{file} {name}"


def test_levels_keep_what_they_say(ingested, tmp_path):
    off = train(ingested, tmp_path / "off", gradient_level="off", epochs=1) / "gradients"
    norms = train(ingested, tmp_path / "norms", gradient_level="norms", epochs=1) / "gradients"
    shapes = [load_file(folder / "steps" / "00000001.safetensors")["values"].shape for folder in (off, norms)]
    assert shapes == [(14, 3), (14, 12)]
    hist = train(ingested, tmp_path / "hist", gradient_level="hist", stats_every=5, hist_every=0, epochs=1)
    for folder, kinds in ((off, []), (norms, []), (hist / "gradients", ["hist", "stats"])):
        assert [kind for kind in ("hist", "snapshots", "stats") if list((folder / kind).iterdir())] == kinds
    steps = [load_file(next((hist / "gradients" / kind).iterdir()))["step"].tolist() for kind in ("stats", "hist")]
    assert steps == [[1, 4, 5, 10], [1, 4]]


def test_a_network_learns_the_same_whatever_is_kept(ingested, trained, tmp_path):
    for level in ("off", "hist"):
        other = train(ingested, tmp_path / level, gradient_level=level, stats_every=3)
        weights = [keras.models.load_model(path / "trained_model" / "model.keras") for path in (other, trained)]
        for a, b in zip(*(network.get_weights() for network in weights), strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_optimizer_schedule_and_switch_learns_and_eager_agrees(ingested, trained, tmp_path):
    def losses(folder):
        return load_file(folder / "gradients" / "steps" / "00000001.safetensors")["values"][:, 0]

    sgd = train(ingested, tmp_path / "a", optimizer="sgd", schedule="one-cycle", learning_rate=0.1, accumulate=2)
    adamw = train(
        ingested, tmp_path / "b", optimizer="adamw", schedule="constant", clip_norm=1.0, transform="centralize"
    )
    for folder in (sgd, adamw):
        epochs = json.loads((folder / "metrics" / "metrics.json").read_text())["epochs"]
        assert epochs[1]["train_loss"] < epochs[0]["train_loss"]
    try:
        eager = train(ingested, tmp_path / "c", eager=True)
    finally:
        import tensorflow as tf

        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(losses(eager)[:8], losses(trained)[:8], rtol=1e-3)


def test_xla_learns_the_same_where_it_has_what_the_model_needs(ingested, tmp_path):
    with_it, without = (
        train(ingested, tmp_path / str(xla), xla=xla, model="simple", epochs=1) for xla in (True, False)
    )
    one, other = (load_file(each / "gradients/steps/00000001.safetensors")["values"] for each in (with_it, without))
    np.testing.assert_allclose(one, other, rtol=1e-3)
    with pytest.raises(BadInput) as refused:  # of its pools the gradients would be others in each run
        train(ingested, tmp_path / "pools", xla=True)
    assert str(refused.value) == (
        "components/models/convnet.py: the first step fails: UnimplementedError: GPU MaxPool gradient ops do not yet "
        "have a deterministic XLA implementation; XLA may lack it: leave xla off (--verbose shows where)"
    )


def test_a_loss_that_diverges_is_named_with_its_step(ingested, tmp_path):
    values = {"optimizer": "adamw", "weight_decay": 1.0, "learning_rate": 100.0, "epochs": 9}
    with pytest.raises(StepError, match=r"the loss is (nan|inf) at step \d+; try a lower learning_rate"):
        train(ingested, tmp_path / "failed", **values)
    assert list((tmp_path / "failed").iterdir()) == []
    record = train(ingested, tmp_path / "kept", diverged="publish", **values) / "gradients"
    losses = load_file(record / "steps" / "00000001.safetensors")["values"][:, 0]
    assert np.isfinite(losses[:3]).all()
    assert not np.isfinite(losses).all()


def test_a_batch_of_more_than_there_is(ingested, tmp_path):
    with pytest.raises(BadInput, match="batch_size: 512 images a step, but there are only 448 to train on"):
        train(ingested, tmp_path, batch_size=256, accumulate=2)


def test_a_damaged_dataset_is_refused(ingested, tmp_path):
    shutil.copytree(ingested / "dataset", tmp_path / "dataset")
    with (tmp_path / "dataset" / "train-images-00000.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\xff\xff")
    with pytest.raises(BadInput, match=r"dataset/train-images-00000\.npy was changed or damaged"):
        train(tmp_path, tmp_path / "out")
