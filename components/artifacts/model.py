"""Save a Keras model so that the same weights give the same bytes."""

import re
import tempfile
import zipfile
from pathlib import Path

import keras

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold


def save_model(network: keras.Model, path: Path) -> None:
    """Write `network` to `path` in Keras's own format, without the time of day and the memory addresses in it."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        dated = Path(scratch) / "model.keras"
        network.save(dated)
        with zipfile.ZipFile(dated) as old, zipfile.ZipFile(path, "w") as new:
            for name in sorted(old.namelist()):
                content = old.read(name)
                if name == "metadata.json":
                    content = re.sub(rb'"date_saved": "[^"]*"', b'"date_saved": "1980-01-01@00:00:00"', content)
                elif name == "config.json":
                    content = _renumbered(content)
                new.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _renumbered(config: bytes) -> bytes:
    """Replace the ids of shared objects, which are addresses in memory, by 1, 2, 3 and so on."""
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda match: match[1] + b"%d" % numbers.setdefault(match[2], len(numbers) + 1),
        config,
    )


from dataclasses import dataclass
from typing import Any
import tensorflow as tf


@dataclass(frozen=True)
class Spec:
    model: str
    image_shape: tuple[int, int]
    classes: int
    channels: int
    parameters: dict[str, Any]


def pixels(images, channels):
    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0


def channels_of(network, image_shape):
    return 1


def write(network, spec, folder):
    save_model(network, folder / "model.keras")
