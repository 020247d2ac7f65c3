"""The network as a SavedModel, which a server runs without any Python class of it: images in, probabilities out."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.model.spec import Spec, pixels
from components.contract import quiet

with quiet.importing():
    import keras
    import tensorflow as tf
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

SIGNATURE = "serving_default"

# In a SavedModel's text: a function's name, and an attribute that is made of a counter's value.
_COUNTED = re.compile(r'("__\w+_|\bs: "(?:\w+-)?)(\d+)(?=")')


def export(network: keras.Model, spec: Spec, folder: Path) -> None:
    """Write `folder` as a SavedModel; the same network gives the same bytes.

    Its signature takes `images`, uint8 [n, height, width], and returns `probabilities`, float32 [n, classes], and
    `class`, int64 [n].
    """

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.cast(network(pixels(images, spec.channels), training=False), tf.float32)
        return {"probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, axis=1)}

    signature = [tf.TensorSpec((None, *spec.image_shape), tf.uint8, "images")]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=signature)
    # What it reads, in the order of its reading: Keras's own export, or the network itself, would keep more than that.
    graph = module.serve.get_concrete_function().graph
    known = {id(variable.handle): variable for variable in graph.variables}
    module.read = [known[id(each)] for each, _ in graph.captures if id(each) in known]
    try:
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})
    except AssertionError:  # a table, as of IntegerLookup, is no variable, and only the network leads to it
        module.network = network
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})
    (folder / "fingerprint.pb").unlink()  # has a random number in it, and nothing needs it
    shutil.rmtree(folder / "assets", ignore_errors=True)  # always empty
    path = folder / "saved_model.pb"
    path.write_bytes(_renumbered(path.read_bytes()))


def _renumbered(saved: bytes) -> bytes:
    """Replace the numbers of a counter that all graphs of a process share by 1, 2, 3 and so on, in their order."""
    text = text_format.MessageToString(saved_model_pb2.SavedModel.FromString(saved))
    counts = sorted({int(match[2]) for match in _COUNTED.finditer(text)})
    numbers = {str(count): str(index) for index, count in enumerate(counts, 1)}
    model = text_format.Parse(
        _COUNTED.sub(lambda match: match[1] + numbers[match[2]], text), saved_model_pb2.SavedModel()
    )
    for graph in model.meta_graphs:
        functions = sorted(graph.graph_def.library.function, key=lambda each: each.signature.name)
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
    result: bytes = model.SerializeToString(deterministic=True)
    return result


def answers(folder: Path, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    """Return what the SavedModel in `folder` says of images: `probabilities` and `class`."""
    run = tf.saved_model.load(str(folder)).signatures[SIGNATURE]
    return {name: value.numpy() for name, value in run(images=tf.constant(images)).items()}
