"""What a person adds as one file in a folder: found by its name, read without being imported.

A plug-in's own parameters are the keyword-only arguments of its functions that have a `parameter(...)` as default:

    def gradients(model, loss, images, labels, *, radius: float = parameter(0.05, "How far to look", gt=0)): ...

They become parameters of the component, on its command line and in every form, and are given back as arguments.
"""

import ast
import bisect
import builtins
import importlib
import inspect
import types
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from pydantic.fields import FieldInfo

from components.contract.declaration import Parameters, parameter
from components.contract.errors import BadInput

P = TypeVar("P", bound=Parameters)


class Plugins(dict[str, str]):
    """{name: module} of the plug-ins in a folder, one a file, without importing any of them.

    A file `my_model.py` is chosen as `my-model`. Names that begin with an underscore or `test_` are no plug-ins.
    """

    def __init__(self, kind: str, package: str, folder: Path) -> None:
        self.kind = kind  # the parameter that chooses one
        self.folder = folder
        self.files = {path.stem.replace("_", "-"): path for path in sorted(folder.glob("*.py"))
                      if path.is_file() and not path.stem.startswith(("_", "test_"))}  # fmt: skip
        super().__init__({name: f"{package}.{path.stem}" for name, path in self.files.items()})
        self.names = list(self)  # for `parameter(choices=…)`, or `several`

    def add(self, name: str, module: str, path: Path | None = None) -> None:
        """Make a module that is somewhere else a choice as well."""
        self[name] = module
        bisect.insort(self.names, name)
        if path:
            self.files[name] = path

    def remove(self, name: str) -> None:
        """Take back what `add` did."""
        del self[name]
        self.names.remove(name)
        self.files.pop(name, None)

    def load(self, name: str) -> types.ModuleType:
        """Import a plug-in; whatever goes wrong in its file is for the caller to explain."""
        if "." in name:
            path = self.files[name]
            better = path.stem.replace(".", "_")
            raise BadInput(f"{path.name}: Python cannot import a file with a dot in its name; call it {better}.py")
        return importlib.import_module(self[name])

    def declared(self, name: str) -> Iterator[tuple[str, type, Any]]:
        """Yield name, type and field of each parameter that a plug-in declares; raise `BadInput` if unreadable."""
        path = self.files[name]
        for argument, kind, call in _declarations(path):
            try:
                given = [ast.literal_eval(each) for each in call.args]
                options = {each.arg or "": ast.literal_eval(each.value) for each in call.keywords}
                default, text = given
                declared = parameter(default, f"{self.kind} {name}: {text}", **options)
            except (ValueError, TypeError) as error:
                raise BadInput(
                    f"{path.name}: the parameter {argument} must be written as parameter(default, 'help', …) with "
                    f"plain values, which can be read without running the file: {error}"
                ) from None
            yield argument, kind, declared


def _declarations(path: Path) -> Iterator[tuple[str, type, ast.Call]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):  # said when the file is chosen, and nobody else's business
        return
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
            if isinstance(default, ast.Call) and ast.unparse(default.func) == "parameter":
                annotation = ast.unparse(argument.annotation) if argument.annotation else ""
                if annotation not in ("bool", "int", "float", "str"):
                    raise BadInput(f"{path.name}: the parameter {argument.arg} must be a bool, int, float or str")
                yield argument.arg, getattr(builtins, annotation), default


@dataclass
class _Declared:
    """What the plug-ins in some folders declare; `kinds` are the parameters that choose among them."""

    fields: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # of each parameter: the choices that use it
    kinds: set[str] = field(default_factory=set)
    problems: dict[tuple[str, str], str] = field(default_factory=dict)  # a file that nobody chooses is no problem

    def add(self, folder: Plugins, plugin: str, taken: Collection[str]) -> None:
        """Take over what a plug-in declares, unless a name is taken or of another plug-in's other parameter."""
        self.kinds.add(folder.kind)
        try:
            found = {name: (kind, declared) for name, kind, declared in folder.declared(plugin)}
        except BadInput as error:
            self.problems[folder.kind, plugin] = str(error)
            return
        for name, each in found.items():
            if name in taken or repr(self.fields.get(name, each)) != repr(each):
                file = folder.files[plugin].name
                self.problems[folder.kind, plugin] = f"{file}: there is another parameter {name}; choose another name"
                return
        self.fields |= found
        for name in found:
            self.owners.setdefault(name, []).append((folder.kind, plugin))

    def check(self, parameters: P) -> P:
        """Return the parameters; raise ValueError for a chosen file with a problem, or a value that goes nowhere."""
        chosen = {(kind, name) for kind in self.kinds for name in parameters.chosen(kind)}
        for problem in (self.problems[each] for each in chosen & self.problems.keys()):
            raise ValueError(problem)
        for name, those in self.owners.items():
            if not chosen & {*those} and getattr(parameters, name) != type(parameters).model_fields[name].default:
                kind, names = those[0][0], " or ".join(plugin for _, plugin in those)
                raise ValueError(f"{name}: a parameter of {kind} {names}, but {kind} is {getattr(parameters, kind)}")
        return parameters


def with_parameters_of(*folders: Plugins) -> Callable[[type[P]], type[P]]:
    """Return a class decorator that adds the parameters which the plug-ins in the folders declare."""

    def decorate(base: type[P]) -> type[P]:
        declared = _Declared()
        for folder in folders:
            for plugin in folder.files:
                declared.add(folder, plugin, base.model_fields)

        def check(self: P) -> P:
            return declared.check(self)

        validators: dict[str, Any] = {"check": pydantic.model_validator(mode="after")(check)}
        made: type[P] = pydantic.create_model(
            base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, __validators__=validators,
            **declared.fields,
        )  # fmt: skip
        return made

    return decorate


class Bound:
    """A plug-in's function, with the values of its own parameters.

    It is called with its positional arguments, and is given, of what is offered by name, what it asks for.
    """

    def __init__(self, function: Callable[..., Any], parameters: Parameters, *files: Path) -> None:
        self.function = function
        self.files = files  # where it is from, to say so if it fails
        asked = [each for each in inspect.signature(function).parameters.values() if each.kind == each.KEYWORD_ONLY]
        self.asks_for = frozenset(each.name for each in asked)
        declared = {each.name: each.default.default for each in asked if isinstance(each.default, FieldInfo)}
        self.values = declared | {name: value for name, value in parameters if name in self.asks_for}

    def __call__(self, *arguments: Any, **offered: Callable[[], Any]) -> Any:
        """Call it; what is offered is made only if it is asked for."""
        made = {name: make() for name, make in offered.items() if name in self.asks_for}
        return self.function(*arguments, **(self.values | made))
