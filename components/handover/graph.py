"""An ONNX graph in one form: the same network gives the same bytes.

What a converter makes has names from a counter and an order from sets. Here nodes follow from the outputs alone, each
after what it needs, and all names inside are numbers in that order.
"""

from collections.abc import Iterable, Iterator, Mapping

import onnx


def normalised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its nodes in order, its inner names numbered, and nothing about who made it and how."""
    result = onnx.ModelProto(ir_version=model.ir_version, producer_name="tapeline")
    for opset in sorted(model.opset_import, key=lambda each: str(each.domain)):
        result.opset_import.add(domain=opset.domain, version=opset.version)
    result.graph.CopyFrom(_Scope().graph(model.graph, "network"))
    result.functions.extend(model.functions)
    return result


class _Scope:
    """The names in a graph, which may lie within another one."""

    def __init__(self, around: "_Scope | None" = None) -> None:
        self.around = around
        self.prefix: str = f"{around.prefix}{len(around.names)}_" if around else ""
        self.names: dict[str, str] = {}

    def graph(self, old: onnx.GraphProto, name: str) -> onnx.GraphProto:
        """Return the graph with the names of this scope."""
        new = onnx.GraphProto(name=name)
        constants = {each.name: each for each in old.initializer}
        for value in old.input if self.around else (*old.input, *old.output):
            # A server knows these by their names; in a graph within another one nobody does.
            self.names[value.name] = self._fresh() if self.around else value.name
        for node in _ordered(old):
            self._constants(constants, node.input, new)
            new.node.append(self._node(node, len(new.node)))
        self._constants(constants, [value.name for value in old.output], new)
        for kind in ("input", "output"):
            getattr(new, kind).extend(self._value(value) for value in getattr(old, kind))
        return new

    def _fresh(self) -> str:
        return f"{self.prefix}{len(self.names)}"

    def _constants(self, known: Mapping[str, onnx.TensorProto], names: Iterable[str], new: onnx.GraphProto) -> None:
        """Add those of the known constants that are named to the new graph."""
        for name in names:
            if name in known and name not in self.names:
                self.names[name] = self._fresh()
                new.initializer.add().CopyFrom(known[name])
                new.initializer[-1].name = self.names[name]

    def _node(self, old: onnx.NodeProto, index: int) -> onnx.NodeProto:
        for each in old.output:
            if each and each not in self.names:
                self.names[each] = self._fresh()
        new = onnx.NodeProto(op_type=old.op_type, domain=old.domain, name=f"{self.prefix}{old.op_type}_{index}")
        new.input.extend(self._name(each) for each in old.input)
        new.output.extend(self._name(each) for each in old.output)
        for attribute in sorted(old.attribute, key=lambda each: str(each.name)):
            added = new.attribute.add()
            added.CopyFrom(attribute)
            if attribute.type == onnx.AttributeProto.GRAPH:
                added.g.CopyFrom(_Scope(self).graph(attribute.g, attribute.name))
            if attribute.type == onnx.AttributeProto.TENSOR:
                added.t.name = ""
        return new

    def _value(self, old: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        new = onnx.ValueInfoProto(name=self._name(old.name), type=old.type)
        for size in new.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = "n"  # however many; the converter numbers them
        return new

    def _name(self, old: str) -> str:
        if not old or old in self.names or not self.around:
            return self.names.get(old, old)
        return self.around._name(old)  # noqa: SLF001 - of the graph around


def _ordered(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that the outputs depend on, each after those whose results it takes."""
    made = {name: node for node in graph.node for name in node.output if name}
    done: set[int] = set()
    last = sorted((value.name for value in graph.output if value.name in made), reverse=True)
    waiting = [(made[name], False) for name in last]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            yield node
        else:
            waiting.append((node, True))
            waiting += [(made[name], False) for name in reversed(list(_taken(node))) if name in made]


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names of what a node takes, also from within the graphs in it."""
    yield from node.input
    for attribute in sorted(node.attribute, key=lambda each: str(each.name)):
        for inner in attribute.g.node:
            yield from _taken(inner)
        yield from (value.name for value in attribute.g.output)
