"""A network as ONNX, with the signature of its SavedModel: images, uint8 [n, height, width], to a class and more.

The weights are in it, and no Python. Not every network can be said in ONNX: strings, tables and random numbers cannot,
and half precision is beyond ONNX Runtime's processor kernels.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnxruntime

from components.artifacts import model as models
from components.contract import quiet
from components.handover.graph import normalised

with quiet.importing():
    import keras
    import tensorflow as tf
    import tf2onnx

OPSET = 17  # what servers of 2023 and later know
IR_VERSION = 8  # that of ONNX 1.12, where this opset is from


class Inconvertible(Exception):
    """A network that ONNX, or ONNX Runtime, has no words for; the message says which."""


def convert(network: keras.Model, spec: models.Spec) -> bytes:
    """Return the ONNX file of a network; the same network gives the same bytes. Raises `Inconvertible`."""
    serve = models.function(network, spec)
    traced = serve.get_concrete_function()
    try:
        with _silent():
            model, _ = tf2onnx.convert.from_function(serve, traced.structured_input_signature[0], opset=OPSET)
    except Exception as error:
        raise Inconvertible(f"tf2onnx does not convert it: {models.sentence(error)}") from error
    # What a layer keeps as a tensor and no variable, such as the mean of Normalization, is an input so far.
    captured = {inner.name: outer for outer, inner in traced.graph.captures if outer.dtype != tf.resource}
    _fix(model.graph, captured)
    if unknown := sorted({node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)}):
        raise Inconvertible(f"ONNX has no operator {', '.join(unknown)}")
    model = normalised(model)
    model.ir_version = IR_VERSION
    result: bytes = model.SerializeToString(deterministic=True)
    return result


def _fix(graph: onnx.GraphProto, captured: dict[str, Any]) -> None:
    """Make inputs that are known constants of the graph."""
    inputs = list(graph.input)
    del graph.input[:]
    for value in inputs:
        if value.name in captured:
            graph.initializer.append(onnx.numpy_helper.from_array(captured[value.name].numpy(), value.name))
        else:
            graph.input.append(value)


class Session:
    """An ONNX file in ONNX Runtime, on the processor."""

    def __init__(self, model: bytes) -> None:
        """Load the file; raise `Inconvertible` if ONNX Runtime does not take it."""
        onnxruntime.set_default_logger_severity(4)  # what is wrong comes as an exception, too
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # If it is not told, it binds a thread to each processor of the machine, also to those that are not for it.
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Inconvertible(f"ONNX Runtime does not load it: {models.sentence(error)}") from error

    def __call__(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Return `probabilities`, float32 [n, classes], and `class`, int64 [n]. Raises `Inconvertible`."""
        names = [each.name for each in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, {"images": images}), strict=True))
        except Exception as error:
            raise Inconvertible(f"ONNX Runtime does not run it: {models.sentence(error)}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep to itself what the converter prints and logs: what matters of it is found in what it makes."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
