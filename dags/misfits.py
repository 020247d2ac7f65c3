"""What does not fit together in a workflow, in sentences."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput

if TYPE_CHECKING:
    from dags.definition import Place, Task, Workflow


def problems(workflow: "Workflow") -> Iterator[str]:
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


def _wrong_trials(workflow: "Workflow", made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
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


def _wrong_presets(workflow: "Workflow") -> Iterator[str]:
    for name, values in workflow.presets.items():
        try:
            workflow.parameters_of(values)
        except BadInput as error:
            yield from (f"the preset {name}: {line}" for line in str(error).splitlines())


def _problems_of(task: "Task", made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
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


def _unblessed(task: "Task", workflow: "Workflow", made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield what does not fit because of the gate in one task, `made` being those before it."""
    gate = workflow.gate
    if task.if_blessed and gate.component.name not in made:
        yield f"{task.name}: it runs only if {gate.component.name} has blessed, which is not a task before it"
    conditional = {each.name for each in workflow.tasks if each.if_blessed}
    for name, (source, _) in () if task.if_blessed else task.inputs.items():
        if source.name in conditional:
            yield f"{task.name}: its input {name} comes from {source.name}, which runs only if blessed, so it must too"


def _misfit(what: str, place: "Place", kind: str, made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    component, output = place
    outputs = made.get(component.name)
    if outputs is None:
        yield f"{what} comes from {component.name}, which is not a task before it"
    elif output not in outputs:
        yield f"{what} comes from {component.name}, which has no output {output}{did_you_mean(output, outputs)}"
    elif kind and outputs[output] != kind:
        yield f"{what} is of type {kind}, but the output {output} of {component.name} is of type {outputs[output]}"
