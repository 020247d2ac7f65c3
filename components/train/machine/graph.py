"""What one traced forward pass tells of a network, of whatever kind it is: nothing is run, and no weight moves."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.framework import op_def_registry

from components.artifacts.record.columns import role_of
from components.train.machine.flow import Flow

_ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "LeakyRelu": "leaky_relu", "Elu": "elu", "Selu": "selu", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "Softmax": "softmax", "LogSoftmax": "log_softmax", "Softplus": "softplus", "Softsign": "softsign",
    "Erf": "gelu", "Erfc": "gelu", "Exp": "exponential",
}  # fmt: skip
_NAMES = {*_ACTIVATIONS.values(), "silu"}
# What leaves the numbers as they are, or moves, drops or adds some: an activation after it is that of before.
_SAME = frozenset({
    "Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StopGradient", "PreventGradient", "Snapshot",
    "CheckNumerics", "EnsureShape", "PlaceholderWithDefault",
})  # fmt: skip
_LINEAR = _SAME | {
    "BiasAdd", "Add", "AddV2", "AddN", "Sub", "Neg", "Mul", "RealDiv", "DivNoNan", "Sum", "Mean", "Pack", "Unpack",
    "ConcatV2", "Split", "SplitV", "StridedSlice", "Slice", "Pad", "PadV2", "MirrorPad", "Tile", "BroadcastTo",
    "GatherV2", "SelectV2", "Select", "ReverseV2", "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "SpaceToBatchND",
    "BatchToSpaceND", "TensorListFromTensor", "TensorListGetItem", "TensorListSetItem", "TensorListStack",
    "TensorListReserve",
}  # fmt: skip
_KERNELS = frozenset({
    "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D", "Conv3D", "DepthwiseConv2dNative",
    "Conv2DBackpropInput", "Conv3DBackpropInputV2",
})  # fmt: skip
_ROLES = dict.fromkeys(_KERNELS, "kernel") | {
    "ResourceGather": "embedding", "GatherV2": "embedding", "BiasAdd": "bias", "AddV2": "bias", "Add": "bias",
    "Sub": "bias", "Mul": "scale", "RealDiv": "scale",
}  # fmt: skip
# A normalisation takes the mean of numbers, or of their squares, and divides by a root of it.
_MEANS = frozenset({"Mean", "Sum", "Square", "SquaredDifference", "FusedBatchNormV3"})
_ROOTS = frozenset({"Rsqrt", "Sqrt", "FusedBatchNormV3"})
_ARITHMETIC = _SAME | _MEANS | {"Sub", "Neg", "Add", "AddV2", "Mul", "RealDiv", "DivNoNan", "Maximum", "Minimum"}
# Of the operations that TensorFlow calls stateful, these change nothing by themselves.
_HARMLESS = frozenset({
    "Placeholder", "PlaceholderWithDefault", "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd",
    "VariableShape", "VarIsInitializedOp", "Assert", "Print", "PrintV2", "StatefulPartitionedCall", "While", "If",
    "Case", "LookupTableFindV2", "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3",
})  # fmt: skip


@dataclass(frozen=True)
class Traced:
    """What is known of a network before its first step."""

    variables: list[dict[str, Any]]  # what record.json says of each trainable variable, in their order
    ends_in: str  # the activation that makes the output; empty for logits
    moves: bool  # a forward pass assigns a variable or draws random numbers, so that a second one changes something
    frozen: list[str]  # the paths of variables that are made to be learned but set not to be
    adds_losses: bool  # regularizers or add_loss


def trace(network: keras.Model, input_shape: tuple[int, ...]) -> Traced:
    """Trace `network` as it is when it learns, on two images of `input_shape`, and return what the graph tells.

    Of each variable: its name (path), shape, and `role`; whether the output depends on it at all (`connected`); the
    `activation` that what its layer gives goes through; whether that goes into a normalisation before anything else
    (`normalised`), so that a bias has no gradient of its own; and whether it is all zeros (`zero_initialised`).
    """
    seen: dict[str, Any] = {}
    # Of a variable that replicas share, the first one's: the one that is read here.
    learned = [getattr(variable.value, "values", (variable.value,))[0] for variable in network.trainable_variables]

    def forward(images: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            outputs = [each for each in tf.nest.flatten(network(images, training=True)) if tf.is_tensor(each)]
        graph = tf.compat.v1.get_default_graph()
        seen["graph"] = graph.as_graph_def()  # before the gradients, which are not the network
        seen["places"] = {id(outside): inside.op.name for outside, inside in graph.captures}
        seen["images"], seen["outputs"] = images.op.name, [each.name for each in outputs]
        seen["adds_losses"] = bool(network.losses)
        seen["gradients"] = [each is not None for each in tape.gradient(outputs, learned)]

    with _untouched():
        tf.function(forward).get_concrete_function(tf.TensorSpec((2, *input_shape), tf.float32))
    network._clear_losses()  # noqa: SLF001 - else it holds tensors of this graph until its next call

    look = _Look(Flow(seen["graph"]), seen["images"], seen["outputs"])
    names = _activations(network)
    variables = []
    for variable, value, connected in zip(network.trainable_variables, learned, seen["gradients"], strict=True):
        joint, events = look.after(seen["places"].get(id(value.handle), ""))
        named = names.get(id(variable), "")
        found = next((event for event in events if event in _NAMES), named)
        variables.append({
            "name": variable.path,
            "shape": list(variable.shape),
            "role": role_of(variable.path) or _ROLES.get(joint, "other"),
            "activation": named if named != "linear" and hasattr(keras.activations, named) else found,
            "normalised": events == ["normalisation"],
            "connected": connected,
            "zero_initialised": not np.any(keras.ops.convert_to_numpy(variable)),
        })  # fmt: skip
    return Traced(variables, look.ends_in(), _moves(seen["graph"]), _frozen(network), seen["adds_losses"])


@contextmanager
def _untouched() -> Iterator[None]:
    """Put back what Python code in a network may draw from when it is traced, and Keras's own generator."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the one that Keras seeds
    generator = global_state.get_global_attribute("global_seed_generator")
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        global_state.set_global_attribute("global_seed_generator", generator)


class _Look:
    """Follows what flows through a network."""

    def __init__(self, flow: Flow, images: str, outputs: list[str]) -> None:
        self.flow = flow
        self.outputs = [flow.name_of(each) for each in outputs]
        self.data = {images, *flow.follow([images], lambda _: True)}

    def after(self, variable: str) -> tuple[str, list[str]]:
        """Return the kind of node at which a variable meets the data, and what comes next of what its layer gives.

        That is activations by name, `kernel` (of another layer), `normalisation`, `output` or the kinds of other
        nodes, the nearest first.
        """
        reached = self.flow.follow([variable], lambda name: name not in self.data)
        queue = [name for name in reached if name in self.data]
        joint = self.flow.kinds[queue[0]] if queue else ""
        seen, events = set(queue), dict[str, None]()
        for name in queue:
            normalised = self._normalisation(name)
            events |= dict.fromkeys(["normalisation"] * bool(normalised) + ["output"] * (name in self.outputs))
            for target in self.flow.targets.get(name, ()):
                if target in seen | normalised:
                    continue
                seen.add(target)
                kind = self.flow.kinds[target]
                if kind in _LINEAR:
                    queue.append(target)
                else:
                    events[self._activation(target) or ("kernel" if kind in _KERNELS else kind)] = None
        return joint, list(events)

    def ends_in(self) -> str:
        """Return the activation that makes the output; also for probabilities that are averaged or kept from 0."""
        for name in self.outputs:
            last = self._without_same(name)
            if found := self._activation(last):
                return "" if found == "log_softmax" else found
            leaves = self._leaves(last)
            if leaves and all(self._activation(leaf) == "softmax" for leaf in leaves):
                return "softmax"
        return ""

    def _leaves(self, name: str) -> list[str]:
        """Return what the output is a sum, mean, multiple or limited form of."""
        mixed = self._one_of(_SAME | {"AddV2", "AddN", "Mul", "RealDiv", "Mean", "Sum", "Pack", "Maximum", "Minimum"})
        nodes = [name, *self.flow.follow([name], mixed, back=True)]
        return [each for each in nodes if each in self.data and not mixed(each)]

    def _one_of(self, kinds: frozenset[str]) -> Callable[[str], bool]:
        return lambda name: self.flow.kinds[name] in kinds

    def _without_same(self, name: str) -> str:
        while self.flow.kinds[name] in _SAME and self.flow.sources[name]:
            name = self.flow.sources[name][0]
        return name

    def _activation(self, name: str) -> str:
        """Return the name of the activation that a node is; empty where it is none."""
        kind, (first, *_) = self.flow.kinds[name], [*self.flow.sources[name], ""]
        others = [other for other in self.flow.targets.get(name, ()) if self.flow.kinds[other] == "Mul"]
        scaled = {first, *self.flow.sources.get(first, ())}  # silu has a factor before its sigmoid
        if kind == "Sigmoid" and any(scaled & {*self.flow.sources[other]} for other in others):
            return "silu"
        if kind == "RealDiv" and self.flow.kinds.get(first) == "Exp":
            return "softmax"
        return _ACTIVATIONS.get(kind, "")

    def _normalisation(self, name: str) -> set[str]:
        """Return the nodes after `name` that normalise what it gives; none where it goes into no normalisation."""
        kinds, targets = self.flow.kinds, self.flow.targets.get(name, ())
        means = [target for target in targets if kinds[target] in _MEANS]
        arithmetic = self._one_of(_ARITHMETIC)
        statistics = {*means, *self.flow.follow(means, arithmetic)}
        roots = {each for each in statistics if kinds[each] in _ROOTS}
        if not roots:
            return set()
        made = {each for each in (*statistics, *self.flow.follow(roots, arithmetic)) if arithmetic(each)} | roots
        return {target for target in targets if target in means or made & {*self.flow.sources[target]}}


def _activations(network: keras.Model) -> dict[int, str]:
    """Return the name of the activation that the layer of each variable says it has, by the variable's id."""
    return {
        id(variable): getattr(getattr(layer, "activation", None), "__name__", "")
        for layer in network._flatten_layers()  # noqa: SLF001 - `layers` has no nested ones
        for variable in layer._trainable_variables  # noqa: SLF001 - its own, not those of layers within it
    }


def _frozen(network: keras.Model) -> list[str]:
    """Return the paths of the variables that were made trainable and are not."""
    learned = {id(variable) for variable in network.trainable_variables}
    made = {
        id(variable)
        for layer in network._flatten_layers()  # noqa: SLF001
        for variable in layer._trainable_variables  # noqa: SLF001 - as they were made; `trainable_variables` is as set
    }
    return [variable.path for variable in network.weights if id(variable) in made - learned]


def kinds_in(graph: Any) -> set[str]:
    """Return the kinds of all nodes in a tf.GraphDef, and in the functions that it calls."""
    functions = (function.node_def for function in graph.library.function)
    return {node.op for nodes in (graph.node, *functions) for node in nodes}


def _moves(graph: Any) -> bool:
    """Return whether anything in a graph changes what the next run of it finds."""
    definitions = (op_def_registry.get(kind) for kind in kinds_in(graph) - _HARMLESS)
    return any(definition is not None and definition.is_stateful for definition in definitions)
