"""What flows where in a traced graph, with the functions that it calls (loops, branches, calls) put in their places."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

# These only say how large something is: what they give is not what came in.
_SIZES = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "NoOp", "Assert", "Print", "PrintV2"})
_CALLED = ("f", "func", "then_branch", "else_branch", "branches", "body", "cond")
_BRANCHING = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})


class _Scope(NamedTuple):
    """Where names mean something: the graph itself, or a function at one place where it is called."""

    prefix: str
    arguments: dict[str, str]  # of the function, and the nodes they are
    numbered: frozenset[str]  # nodes each of whose outputs comes from another place


class Flow:
    """Nodes by name, with the kind of each (`Conv2D`), what goes into it, and where what it gives goes."""

    def __init__(self, graph: Any) -> None:
        """Take a tf.GraphDef with its library of functions."""
        self.kinds: dict[str, str] = {}
        self.sources: dict[str, list[str]] = {}
        self.targets: dict[str, list[str]] = {}
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._outermost = self._add(graph.node, "", {})

    def name_of(self, reference: str) -> str:
        """Return the node that makes a tensor of the outermost graph, such as `dense/BiasAdd:0`."""
        return _resolve(reference, self._outermost)

    def follow(self, starts: Iterable[str], beyond: Callable[[str], bool], *, back: bool = False) -> Iterator[str]:
        """Yield the nodes after (`back`: before) the starts, the nearest first; past a node only where `beyond` it."""
        edges = self.sources if back else self.targets
        queue = list(starts)
        seen = set(queue)
        first = len(queue)
        for index, name in enumerate(queue):
            if index >= first:
                yield name
            if index < first or beyond(name):
                new = [each for each in dict.fromkeys(edges.get(name, ())) if each not in seen]
                seen.update(new)
                queue.extend(new)

    def _add(self, nodes: Sequence[Any], prefix: str, arguments: dict[str, str]) -> _Scope:
        numbered = frozenset(node.name for node in nodes if node.op == "IdentityN" or _called(node))
        scope = _Scope(prefix, arguments, numbered)
        for node in nodes:
            inputs = [_resolve(each, scope) for each in node.input if not each.startswith("^")]
            if _called(node):
                self._call(node, prefix + node.name, inputs)
            elif node.op == "IdentityN":
                for i, each in enumerate(inputs):
                    self._put(f"{prefix}{node.name}:{i}", "Identity", [each])
            else:
                self._put(prefix + node.name, node.op, inputs)
        return scope

    def _call(self, node: Any, name: str, inputs: list[str]) -> None:
        """Put the functions of a call, a branch or a loop in its place; a loop's results come in again."""
        given = inputs[1:] if node.op in _BRANCHING else inputs
        for number, (attribute, function) in enumerate(_called(node)):
            definition = self._functions[function]
            prefix = f"{name}/{number}/"
            arguments = {each.name: prefix + each.name for each in definition.signature.input_arg}
            for argument, source in zip(arguments.values(), given, strict=True):
                self._put(argument, "Identity", [source])
            scope = self._add(definition.node_def, prefix, arguments)
            if attribute == "cond":
                continue
            for i, each in enumerate(definition.signature.output_arg):
                result = _resolve(definition.ret[each.name], scope)
                self._put(f"{name}:{i}", "Identity", [result])
                if attribute == "body":
                    self._put(list(arguments.values())[i], "Identity", [result])

    def _put(self, name: str, kind: str, inputs: list[str]) -> None:
        self.kinds[name] = kind
        self.sources.setdefault(name, []).extend(inputs)
        for each in inputs if kind not in _SIZES else ():
            self.targets.setdefault(each, []).append(name)


def _called(node: Any) -> list[tuple[str, str]]:
    """Return the functions that a node calls, each with the attribute that names it."""
    found = [(attribute, node.attr[attribute]) for attribute in _CALLED if attribute in node.attr]
    return [
        (attribute, function.name)
        for attribute, value in found
        for function in ([value.func] if value.func.name else value.list.func)
    ]


def _resolve(reference: str, scope: _Scope) -> str:
    """Return the node of `name`, `name:1` or, in a function, `name:output:1`, or of the name of an argument."""
    name, _, output = reference.partition(":")
    if name in scope.arguments:
        return scope.arguments[name]
    number = f":{output.rpartition(':')[2] or 0}" if name in scope.numbered else ""
    return scope.prefix + name + number
