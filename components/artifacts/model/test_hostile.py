# mypy: allow-untyped-defs, allow-untyped-calls
"""A model.keras that others made: nothing that it names is run, read from elsewhere, or written."""

import json
import zipfile

import keras
import pytest
from keras import layers

from components.artifacts import model as models
from components.contract.errors import BadInput

SHAPE = (10, 8)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the folder of a model as it is written."""
    folder = tmp_path_factory.mktemp("sound")
    network = keras.Sequential([keras.Input((*SHAPE, 1)), layers.Flatten(), layers.Dense(3, name="logits")], name="it")
    models.write(network, models.Spec("elsewhere", SHAPE, 3, 1), folder)
    return folder


def with_layer(sound, folder, layer):
    """Copy a model with another layer in the place of its Flatten."""
    folder.mkdir()
    for name in ("model.json", "probe.safetensors"):
        (folder / name).write_bytes((sound / name).read_bytes())
    with zipfile.ZipFile(sound / "model.keras") as old, zipfile.ZipFile(folder / "model.keras", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1] = layer
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return folder


def described(place, **config):
    module, _, name = place.rpartition(".")
    return {"module": module, "class_name": name, "config": config, "registered_name": None, "build_config": {}}


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    "layer",
    [
        lambda there: described("os.system", command=f"touch {there}"),
        lambda there: described("builtins.exec", source=f"open({str(there)!r}, 'w')"),
        lambda _: described("keras.layers.Activation", name="a", activation=function("os", "system")),
        lambda _: described("keras.layers.Activation", name="a", activation=function("builtins", "eval")),
        lambda there: described("keras.src.utils.file_utils.get_file", fname=str(there), origin="file:///etc/passwd"),
        lambda there: described("keras.utils.get_file", fname=str(there), origin="file:///etc/passwd"),
        lambda there: described("keras.layers.TFSMLayer", name="t", filepath=str(there)),
        lambda there: described("keras.layers.StringLookup", name="s", vocabulary=str(there)),
        lambda _: described("keras.layers.TorchModuleWrapper", name="t", module="gASVBAAAAAAAAABOLg=="),
        lambda there: described("components.train.train.train", dataset=str(there)),
    ],
)
def test_what_a_description_names_is_not_run(sound, tmp_path, layer):
    there = tmp_path / "touched"
    folder = with_layer(sound, tmp_path / "model", layer(there))
    with pytest.raises(BadInput, match=r"is not a model that Keras can load without components/models/elsewhere\.py"):
        models.read(folder)
    assert not there.exists()


def test_a_text_from_a_file_of_this_machine_is_not_taken_into_the_network(sound, tmp_path):
    (tmp_path / "secret").write_text("one\ntwo\n")
    layer = described("keras.layers.StringLookup", name="s", vocabulary=str(tmp_path / "secret"))
    with pytest.raises(BadInput) as error:
        models.read(with_layer(sound, tmp_path / "model", layer))
    assert "two" not in str(error.value)


@pytest.mark.parametrize("name", ["../outside", "/tmp/tapeline-outside", "a/../../../outside"])  # noqa: S108
def test_a_name_in_the_archive_leads_nowhere(sound, tmp_path, name):
    folder = with_layer(sound, tmp_path / "model", described("keras.layers.Flatten", name="flatten"))
    with zipfile.ZipFile(folder / "model.keras", "a") as archive:
        archive.writestr(name, b"written")
    models.read(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(64), b"{}" * 100])
def test_what_is_no_archive_is_refused_in_a_line(sound, tmp_path, content):
    folder = with_layer(sound, tmp_path / "model", {})
    (folder / "model.keras").write_bytes(content)
    with pytest.raises(BadInput) as error:
        models.read(folder)
    assert "\n" not in str(error.value)
