"""How a component says what it is: its inputs, its outputs, its parameters, and where its work is.

From a declaration come the command line, the validation, the manifests, and every orchestrator's view of the
component. Nothing heavy may be imported to read one.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from components.contract.errors import BadInput

# The artifact types that Kubeflow's UI knows how to show.
Kind = Literal["Dataset", "Model", "Metrics", "ClassificationMetrics", "HTML", "Artifact"]

# What a step hands back about each of its outputs: small, finite, JSON.
Metadata = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Input:
    """An artifact that the step reads.

    An `operational` input helps the step to its end without influencing what comes out, so no manifest names it. Files
    `later`, patterns of their names, are fetched from the store, or verified, not before they are used, if they are.
    """

    name: str
    kind: Kind
    help: str
    optional: bool = False
    operational: bool = False
    later: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """An artifact that the step writes: a folder, or the one `file` in it where Kubeflow's UI shows only files."""

    name: str
    kind: Kind
    help: str
    file: str = ""


NONE = "none"  # what a choice of several is where none of them is chosen


def parameter(
    default: Any,
    text: str,
    *,
    choices: Iterable[str] = (),
    several: Iterable[str] = (),
    operational: bool = False,
    **bounds: Any,
) -> Any:
    """Declare a parameter: its default, one line of help, and its bounds (`ge`, `gt`, `le`, `lt`).

    `choices` are all values that it may take, in the order in which they are to be read. Of `several` it may take
    none, one or more, joined by commas, in an order that counts. An `operational` parameter changes how the step runs
    but not one byte of what it makes: no manifest names it.
    """
    extra: dict[str, Any] = {"operational": operational}
    # A list is kept as it is, so that what is added to it later is a choice too.
    if choices := choices if isinstance(choices, list) else list(choices):
        extra["enum"] = choices
    if several := several if isinstance(several, list) else list(several):
        extra["examples"] = several  # in JSON Schema, and in Airflow's form, proposals for a text
    return Field(default, description=text, json_schema_extra=extra, **bounds)


class Parameters(BaseModel):
    """Base of each component's parameters. Plain types only: bool, int, float, str, never None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Build the parameters from `values`; raise `BadInput` with one line for each wrong one."""
        unknown = [name for name in values if name not in cls.model_fields]
        problems = [f"{name}: no such parameter{did_you_mean(name, cls.model_fields)}" for name in unknown]
        try:
            checked = cls.model_validate({name: value for name, value in values.items() if name in cls.model_fields})
        except ValidationError as error:
            problems += [_sentence(details) for details in error.errors()]
        if problems:
            raise BadInput(*(line for problem in problems for line in problem.split("\n")))
        return checked

    @field_validator("*", mode="before")
    @classmethod
    def _chosen(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        sentence = ""
        if (names := cls.choices(name)) and value not in names:
            sentence = f"{name}: {value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"
        if names := cls.several(name):
            value, sentence = _each_of(name, value, names)
        if sentence:
            raise PydanticCustomError("choice", "{sentence}", {"sentence": sentence})
        return value

    @classmethod
    def choices(cls, name: str) -> list[str]:
        """Return the values that the parameter may take; empty where it is not a choice."""
        return list(cls._extra(name).get("enum", ()))

    @classmethod
    def several(cls, name: str) -> list[str]:
        """Return the values of which the parameter may take several; empty where it is not such a choice."""
        return list(cls._extra(name).get("examples", ()))

    def chosen(self, name: str) -> list[str]:
        """Return what a choice is set to: one value, or, of several, those that are named, in their order."""
        value = getattr(self, name)
        if not self.several(name):
            return [value]
        return [] if value == NONE else value.split(",")

    @classmethod
    def _extra(cls, name: str) -> dict[str, Any]:
        extra = cls.model_fields[name].json_schema_extra
        return extra if isinstance(extra, dict) else {}

    def provenance(self) -> dict[str, Any]:
        """Return the parameters that what comes out depends on: all but the operational ones."""
        return {name: value for name, value in self if not self._extra(name).get("operational")}


def _each_of(name: str, value: Any, names: list[str]) -> tuple[Any, str]:
    """Return a choice of several without blanks, and what is wrong with it."""
    given = [each.strip() for each in str(value).split(",")]
    wanted = f"{NONE}, or some of {', '.join(names)}, joined by commas"
    if given != [NONE]:
        for each in given:
            if each not in names:
                return value, f"{name}: {each!r} is not one of them: {wanted}{did_you_mean(each, names)}"
            if given.count(each) > 1:
                return value, f"{name}: {each} is named twice in {value!r}; it is {wanted}"
    return ",".join(given), ""


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda c: f"is less than {c['ge']:g}",
    "greater_than": lambda c: f"is not more than {c['gt']:g}",
    "less_than_equal": lambda c: f"is more than {c['le']:g}",
    "less_than": lambda c: f"is not less than {c['lt']:g}",
    "int_parsing": lambda _: "is not a whole number",
    "int_from_float": lambda _: "is not a whole number",
    "int_type": lambda _: "is not a whole number",
    "float_parsing": lambda _: "is not a number",
    "float_type": lambda _: "is not a number",
    "finite_number": lambda _: "is not a finite number",
    "bool_parsing": lambda _: "is neither true nor false",
    "bool_type": lambda _: "is neither true nor false",
}


def _sentence(details: ErrorDetails) -> str:
    name, value = ".".join(map(str, details["loc"])), details["input"]
    if not name or details["type"] == "choice":  # a message that names the parameters itself
        return details["msg"].removeprefix("Value error, ")
    if say := _SENTENCES.get(details["type"]):
        shown = value if "ctx" in details else repr(value)  # a bound was passed, so the value is a number
        return f"{name}: {shown} {say(details.get('ctx', {}))}"
    return f"{name}: {value!r}: {details['msg'].removeprefix('Value error, ')}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` (did you mean x?)` with the nearest of `names`, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


@dataclass(frozen=True)
class Component:
    """One step of the workflow, declared.

    `work` names the function that does it, as `module:function`. It is called as
    `function(parameters, **paths)` with one `Path` for each input and output (None for an optional input that was not
    given) and may return metadata for any of the outputs. `check`, if there is one, is called by --check with the
    inputs alone, and sees whether the work could be done. `packages` are those whose versions the results depend on.
    `curves`, if there is one, is called with the folders of the outputs by name, and returns what is to be seen of the
    course of the work where runs are tracked: for each name pairs of step and value, some hundreds at most.
    """

    name: str
    title: str
    help: str
    work: str
    parameters: type[Parameters]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    packages: tuple[str, ...] = ()
    check: str = ""
    curves: str = ""

    @property
    def command(self) -> list[str]:
        """Return the command of the step, the same in a container as on a laptop."""
        return ["python", "-m", f"components.{self.name}"]

    def load_work(self, name: str = "") -> Callable[..., Metadata | None]:
        """Import and return the work function, or the one of that name, with all that it needs."""
        module, _, function = (name or self.work).partition(":")
        work: Callable[..., Metadata | None] = getattr(importlib.import_module(module), function)
        return work


def flag(name: str) -> str:
    """Return the flag of a step's input, output or parameter."""
    return "--" + name.replace("_", "-")


def argument(name: str, value: Any) -> str:
    """Return the argument that gives a step's input, output or parameter that value."""
    if isinstance(value, bool):
        return flag(name) if value else flag(f"no_{name}")
    return f"{flag(name)}={value}"
