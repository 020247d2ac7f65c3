"""What a workflow is: tasks and how they connect, the gate, and the artifacts that others wait for.

dags/workflow.py has this project's. Whoever runs one takes it as an argument, and knows no step by its name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.contract.artifact import Manifest
from components.contract.declaration import NONE, Component, Parameters, did_you_mean
from components.contract.errors import BadInput

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
    launches: bool = False  # it may start others of its kind, which work with it
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
        if problems := list(_problems(self)):
            raise ValueError("\n".join(problems))

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


def _problems(workflow: Workflow) -> Iterator[str]:
    """Yield a sentence for everything in a workflow that does not fit together."""
    made: dict[str, dict[str, str]] = {}  # {component: {output: kind}}
    fields: dict[str, str] = {}
    for task in workflow.tasks:
        if task.name in made:
            yield f"{task.name}: it is there twice"
        yield from _problems_of(task, made)
        yield from _unblessed(task, workflow, made)
        for name, each in task.component.parameters.model_fields.items():
            if fields.setdefault(name, repr(each)) != repr(each):
                yield f"{task.name}: its parameter {name} is declared differently by a step before it"
        made[task.name] = {item.name: item.kind for item in task.component.outputs}
    for asset in (*workflow.assets, workflow.gate.blesses):
        yield from _misfit(f"the asset {asset.name}", asset.place, "", made)
    gate = workflow.gate
    if any(task.if_blessed and task.name == gate.blesses.place[0].name for task in workflow.tasks):
        yield f"the asset {gate.blesses.name} comes from {gate.blesses.place[0].name}, which runs only if it is blessed"
    yield from _misfit("the gate", (gate.component, gate.output), "", made)
    for name in workflow.form:
        if name not in fields:
            yield f"the form: there is no parameter {name}{did_you_mean(name, fields)}"
    yield from _wrong_presets(workflow)
    yield from _wrong_trials(workflow, made)
    if gate.threshold not in fields:
        yield f"the gate: there is no parameter {gate.threshold}{did_you_mean(gate.threshold, fields)}"


def _wrong_trials(workflow: Workflow, made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    if (trials := workflow.trials) is None:
        return
    for output in (trials.output, trials.steps[0]):
        yield from _misfit("a trial", (trials.component, output), "", made)
    fields = trials.component.parameters.model_fields
    for name in (trials.epochs, trials.pause, trials.seed, *trials.lean):
        if name not in fields:
            yield f"a trial has no parameter {name}{did_you_mean(name, fields)}"
    known = workflow.fields
    if trials.candidates not in known:
        yield f"a study: there is no parameter {trials.candidates}{did_you_mean(trials.candidates, known)}"


def _wrong_presets(workflow: Workflow) -> Iterator[str]:
    for name, values in workflow.presets.items():
        try:
            workflow.parameters_of(values)
        except BadInput as error:
            yield from (f"the preset {name}: {line}" for line in str(error).splitlines())


def _problems_of(task: Task, made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield what does not fit in one task, `made` being the outputs of those before it."""
    inputs = {item.name: item for item in task.component.inputs}
    for name in task.inputs.keys() - inputs.keys():
        yield f"{task.name}: it has no input {name}{did_you_mean(name, inputs)}"
    for name, item in inputs.items():
        if name in task.inputs:
            yield from _misfit(f"{task.name}: its input {name}", task.inputs[name], item.kind, made)
        elif not item.optional:
            yield f"{task.name}: its input {name} comes from nowhere"
    parameters = task.component.parameters.model_fields
    if task.checkpoints and task.checkpoints not in parameters:
        yield f"{task.name}: it has no parameter {task.checkpoints}{did_you_mean(task.checkpoints, parameters)}"


def _unblessed(task: Task, workflow: Workflow, made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield what does not fit because of the gate in one task, `made` being those before it."""
    gate = workflow.gate
    if task.if_blessed and gate.component.name not in made:
        yield f"{task.name}: it runs only if {gate.component.name} has blessed, which is not a task before it"
    conditional = {each.name for each in workflow.tasks if each.if_blessed}
    for name, (source, _) in () if task.if_blessed else task.inputs.items():
        if source.name in conditional:
            yield f"{task.name}: its input {name} comes from {source.name}, which runs only if blessed, so it must too"


def _misfit(what: str, place: Place, kind: str, made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    component, output = place
    outputs = made.get(component.name)
    if outputs is None:
        yield f"{what} comes from {component.name}, which is not a task before it"
    elif output not in outputs:
        yield f"{what} comes from {component.name}, which has no output {output}{did_you_mean(output, outputs)}"
    elif kind and outputs[output] != kind:
        yield f"{what} is of type {kind}, but the output {output} of {component.name} is of type {outputs[output]}"
