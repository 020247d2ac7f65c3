"""What a workflow is: tasks and how they connect, the gate, and the artifacts that others wait for.

dags/workflow.py has this project's. Whoever runs one takes it as an argument, and knows no step by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.contract.artifact import Manifest
from components.contract.declaration import NONE, Component, Parameters, did_you_mean
from components.contract.errors import BadInput
from dags.misfits import problems

# The folders of components/ that every step may import, besides its own; each image has them.
SHARED = ("contract", "artifacts", "models")

# An output of a component.
Place = tuple[Component, str]


@dataclass(frozen=True)
class Resources:
    """What a step may take of a machine, in Kubernetes' units, and how long it may run."""

    cpu: str
    cpu_limit: str
    memory: str
    memory_limit: str
    timeout_seconds: int
    gpu: bool = False  # it can use one
    shared_memory: str = ""


@dataclass(frozen=True)
class Task:
    """A component in its place: where each of its inputs comes from."""

    component: Component
    resources: Resources
    inputs: Mapping[str, Place] = field(default_factory=dict)
    checkpoints: str = ""  # the parameter that names a place from which another try goes on
    downloads: bool = False  # it fetches public data, so a cluster lets it out
    fresh: bool = False  # it looks at what changes outside of the workflow, so no cache may answer for it
    if_blessed: bool = False  # it runs only where the gate has blessed

    @property
    def name(self) -> str:
        """Return the name of the task, which is its component's."""
        return self.component.name


@dataclass(frozen=True)
class Asset:
    """An artifact that others outside of the workflow may wait for."""

    name: str
    place: Place


@dataclass(frozen=True)
class Gate:
    """The task that judges what was learned.

    Its verdict is the figure `verdict` that it hands back about its output `output`. What it `blesses` is an asset only
    where the verdict is `blessed`; without a threshold, such as the parameter `threshold`, nothing is.
    """

    component: Component
    output: str
    verdict: str
    blessed: str
    rejected: str
    threshold: str
    blesses: Asset
    sentence: Callable[[Mapping[str, Any]], str]  # what a run ends with, from the figures of the output
    reasons: str = "reasons"  # the figure that says in words why, where there is one

    def says(self, figures: Mapping[str, Any]) -> str:
        """Return what a run ends with, and why."""
        return ": ".join(filter(None, (self.sentence(figures), str(figures.get(self.reasons, "")))))

    def refuses(self, figures: Mapping[str, Any]) -> str:
        """Return why nothing runs that waits for a blessing, from the figures of the output; empty where it does."""
        verdict = figures.get(self.verdict, "unknown")
        return "" if verdict == self.blessed else f"the {self.blesses.name} is {verdict}"


@dataclass(frozen=True)
class Trials:
    """What a study repeats with other values: a task that learns, and which of its figures says how well.

    `measures` are figures of the output `output`, and whether more of each is better; the first is the usual one. The
    task can end after the epoch of the parameter `pause`, and go on later as if it had not.
    """

    component: Component
    output: str
    measures: Mapping[str, bool]
    steps: tuple[str, str]  # the output and its figure that says how many steps were taken
    epochs: str
    pause: str
    seed: str
    lean: Mapping[str, Any]  # values that change what is kept, and nothing of what is learned
    candidates: str  # the parameter that tells the gate from how many one was chosen


@dataclass(frozen=True)
class Workflow:
    """Tasks, in an order in which they can run, and what becomes of their outputs.

    Raises `ValueError` for a connection that is not declared at both ends, and for what else does not fit.
    """

    name: str
    title: str
    help: str
    tasks: tuple[Task, ...]
    gate: Gate
    assets: tuple[Asset, ...]  # as soon as their task has ended
    form: tuple[str, ...] = ()  # the parameters that a form with little room shows; the others are there together
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # values for parameters, by a name
    trials: Trials | None = None  # what a study repeats

    def __post_init__(self) -> None:
        if found := list(problems(self)):
            raise ValueError("\n".join(found))

    @property
    def fields(self) -> dict[str, type[Parameters]]:
        """Return, by the name of each parameter, the declaration that it stands in."""
        return {
            name: task.component.parameters for task in self.tasks for name in task.component.parameters.model_fields
        }

    def task(self, component: Component) -> Task:
        """Return the task of a component."""
        return next(task for task in self.tasks if task.component == component)

    @property
    def judging(self) -> list[Task]:
        """Return the tasks that lead from what the gate may bless to its verdict, in their order."""
        names: set[str] = set()
        for task in self.tasks:
            if self.gate.blesses.place in task.inputs.values() or any(
                each.name in names for each, _ in task.inputs.values()
            ):
                names.add(task.name)
        needed = {self.gate.component.name}
        for task in reversed(self.tasks):
            if task.name in needed:
                needed |= {each.name for each, _ in task.inputs.values() if each.name in names}
        return [task for task in self.tasks if task.name in needed]

    def preset(self, name: str) -> Mapping[str, Any]:
        """Return the values of a preset; raise `BadInput` for one that is not there."""
        if name not in self.presets:
            hint = did_you_mean(name, self.presets)
            raise BadInput(f"preset: {name!r} is not one of {', '.join(self.presets) or 'none at all'}{hint}")
        return self.presets[name]

    def parameters_of(self, values: Mapping[str, Any]) -> dict[str, Parameters]:
        """Return the parameters of each task, by its name, from values for the workflow as a whole.

        A value goes to every component that declares its name, so `seed` is said once. Raises `BadInput` with a line
        for each value that is unknown or wrong.
        """
        known = self.fields
        problems = [f"{name}: no such parameter{did_you_mean(name, known)}" for name in values if name not in known]
        checked = {}
        for task in self.tasks:
            declared = task.component.parameters
            try:
                checked[task.name] = declared.checked(
                    {name: value for name, value in values.items() if name in declared.model_fields}
                )
            except BadInput as error:
                problems += str(error).splitlines()
        if problems:
            raise BadInput(*dict.fromkeys(problems))
        return checked


def figures_of(manifest: bytes, place: str) -> dict[str, Any]:
    """Return the figures that a step handed back about an output, from its manifest; `place` is for messages."""
    said = Manifest.parse(manifest, place).metadata.items()
    return {name: value for name, value in said if isinstance(value, bool | int | float | str)}


def bounds_of(schema: Mapping[str, Any]) -> str:
    """Return what a number, or a choice of several, must be, from its parameter's schema; empty without bounds."""
    if several := schema.get("examples"):
        return f"{NONE}, or some of: {', '.join(several)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema)
