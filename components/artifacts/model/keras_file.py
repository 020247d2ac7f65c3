"""The network in Keras's own format: the same weights give the same bytes, and reading runs no code that is in it."""

import re
import tempfile
import types
import warnings
import zipfile
from pathlib import Path

from components.artifacts.model.spec import Spec, pixels
from components.contract import quiet
from components.contract.errors import BadInput
from components.models import MODELS

with quiet.importing():
    import keras
    import tensorflow as tf

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold
# The byte code of a lambda has this machine's paths in it, and is never run: an artifact holds no code.
_LAMBDA = re.compile(rb'("class_name": "__lambda__", "config": \{"code": )"[^"]*"')


def save(network: keras.Model, path: Path) -> None:
    """Write `network` to `path` in Keras's own format, without the time of day and the memory addresses in it.

    A network that Keras cannot describe (a closure, a constructor without `get_config`) leaves its weights alone; the
    file of components/models that built it is then needed to read them.
    """
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        members = _saved(network, Path(scratch))
        with zipfile.ZipFile(path, "w") as new:
            for name in sorted(members):
                new.writestr(zipfile.ZipInfo(name, _EPOCH), members[name])


def _saved(network: keras.Model, scratch: Path) -> dict[str, bytes]:
    dated, weights = scratch / "model.keras", scratch / "model.weights.h5"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not come back is found by reading it
            network.save(dated)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - whatever a class's own get_config raises
        network.save_weights(weights)
        return {weights.name: weights.read_bytes()}
    with zipfile.ZipFile(dated) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["metadata.json"] = re.sub(
        rb'"date_saved": "[^"]*"', b'"date_saved": "1980-01-01@00:00:00"', members["metadata.json"]
    )
    members["config.json"] = _LAMBDA.sub(rb'\1""', _renumbered(members["config.json"]))
    return members


def _renumbered(config: bytes) -> bytes:
    """Replace the ids of shared objects, which are addresses in memory, by 1, 2, 3 and so on."""
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda match: match[1] + b"%d" % numbers.setdefault(match[2], len(numbers) + 1),
        config,
    )


def described(path: Path, spec: Spec) -> keras.Model:
    """Return the network as the file describes it, with the classes and functions of the file that built it."""
    with zipfile.ZipFile(path) as file:
        if "config.json" not in file.namelist():
            raise BadInput("it holds weights alone, as Keras cannot describe such a network")
    names = vars(MODELS.load(spec.model)) if spec.model in MODELS else {}
    known = {name: each for name, each in names.items() if isinstance(each, type | types.FunctionType)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that it did not find, for one: the probe tells what matters
        try:
            return keras.models.load_model(path, custom_objects=known, compile=False, safe_mode=True)
        except (TypeError, ValueError) as error:
            if missing := re.search(r"Could not locate (class|function) '([^']+)'", str(error)):
                raise BadInput(f"it needs the {missing[1]} {missing[2]}") from error
            if "safe_mode=False" in str(error):
                raise BadInput("it has a lambda in it, and no code in a model is run") from error
            raise


def rebuilt(path: Path, spec: Spec) -> keras.Model:
    """Return the network that the file of components/models builds, with the weights that are in `path`."""
    if spec.model not in MODELS:
        raise BadInput(f"components/models has no file for the model {spec.model!r}")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(spec.precision)
    try:
        network = MODELS.load(spec.model).build(spec.image_shape[:2], spec.classes, **spec.parameters)
    finally:
        keras.config.set_dtype_policy(policy)
    network(pixels(tf.zeros((2, *spec.image_shape), tf.uint8), spec.channels), training=False)  # builds its layers
    network.load_weights(path)
    return network
