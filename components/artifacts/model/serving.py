"""The network as a SavedModel, which a server runs without any Python class of it: images in, probabilities out."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.model.spec import Spec, pixels, sentence
from components.contract import quiet
from components.contract.errors import BadInput

with quiet.importing():
    import keras
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

SIGNATURE = "serving_default"

# Where a SavedModel's text has numbers of a counter that all graphs of a process share, besides names of functions.
_COUNTED = (r'(?<=\bs: ")(?:[\w/]*[-/])?\d+(?=")', r"key_value_init\d+")


def export(network: keras.Model, spec: Spec, folder: Path) -> None:
    """Write `folder` as a SavedModel; the same network gives the same bytes.

    Its signature takes `images`, uint8 [n, height, width], and returns `probabilities`, float32 [n, classes], and
    `class`, int64 [n]. Raises `BadInput` for a network that no graph can hold.
    """
    try:
        _save(network, spec, folder)
    except OSError:
        raise
    except Exception as error:
        raise BadInput(f"the model {network.name} cannot be made a SavedModel: {sentence(error)}") from error
    (folder / "fingerprint.pb").unlink()  # has a random number in it, and nothing needs it
    shutil.rmtree(folder / "assets", ignore_errors=True)  # always empty
    path = folder / "saved_model.pb"
    path.write_bytes(_renumbered(_of_no_machine(path.read_bytes())))


def function(network: keras.Model, spec: Spec) -> Any:
    """Return what a server runs, as a `tf.function` of the images; see `export` for what it takes and returns."""

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.cast(network(pixels(images, spec.channels), training=False), tf.float32)
        return {"probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, axis=1)}

    given = tf.TensorSpec((None, *spec.image_shape), tf.uint8, name="images")
    return tf.function(serve, input_signature=[given])


def _save(network: keras.Model, spec: Spec, folder: Path) -> None:
    module = tf.Module()
    module.serve = function(network, spec)
    # What it reads, in the order of its reading: Keras's own export, or the network itself, would keep more than that.
    graph = module.serve.get_concrete_function().graph
    known = {id(variable.handle): variable for variable in graph.variables}
    module.read = [known[id(each)] for each, _ in graph.captures if id(each) in known]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # a server takes none
    try:
        tf.saved_model.save(module, str(folder), {SIGNATURE: module.serve}, options)
    except AssertionError:  # a table, as of IntegerLookup, is no variable, and only the network leads to it
        module.network = network
        tf.saved_model.save(module, str(folder), {SIGNATURE: module.serve}, options)


def _of_no_machine(saved: bytes) -> bytes:
    """Take out what says which devices there were, and which other workers: whoever serves it has others."""
    model = saved_model_pb2.SavedModel.FromString(saved)
    for graph in model.meta_graphs:
        functions = graph.graph_def.library.function
        for node in (*graph.graph_def.node, *(node for each in functions for node in each.node_def)):
            if "config_proto" in node.attr:
                node.attr["config_proto"].s = b""
    result: bytes = model.SerializeToString()
    return result


def _renumbered(saved: bytes) -> bytes:
    """Replace the numbers of a counter that all graphs of a process share by 1, 2, 3 and so on, in their order."""
    model = saved_model_pb2.SavedModel.FromString(saved)
    text = text_format.MessageToString(model)
    signatures = [each.signature for graph in model.meta_graphs for each in graph.graph_def.library.function]
    counts = {_number(each) for each in re.findall("|".join(_COUNTED), text)}
    names = [signature.name for signature in signatures if _number(signature.name)]
    names += [each.name for signature in signatures for each in signature.input_arg if _number(each.name) in counts]
    counts |= {_number(each) for each in names}
    numbers = {count: str(index) for index, count in enumerate(sorted(counts, key=int), 1)}
    pattern = "|".join([*map(re.escape, sorted(names, key=len, reverse=True)), *_COUNTED])
    text = re.sub(
        rf"(?:{pattern})(?!\d)",
        lambda match: match[0].removesuffix(_number(match[0])) + numbers[_number(match[0])],
        text,
    )
    model = text_format.Parse(text, saved_model_pb2.SavedModel())
    for graph in model.meta_graphs:
        functions = sorted(graph.graph_def.library.function, key=lambda each: each.signature.name)
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
    result: bytes = model.SerializeToString(deterministic=True)
    return result


def _number(name: str) -> str:
    """Return the digits at the end of a name."""
    return name[len(name.rstrip("0123456789")) :]


def answers(folder: Path, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    """Return what the SavedModel in `folder` says of images: `probabilities` and `class`."""
    run = signature_of(folder)
    return {name: value.numpy() for name, value in run(images=tf.constant(images)).items()}


def signature_of(folder: Path) -> Any:
    """Return what a server calls of the SavedModel in `folder`, as a function of `images`; it runs what is in it."""
    model = tf.saved_model.load(str(folder))
    run = model.signatures[SIGNATURE]
    run.model = model  # its variables live as long as that does
    return run
