"""The graph that kfp compiles: what is called how in it, and what is mended, as kfp has no words for it or too many."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from components.contract.declaration import Output
from components.contract.kubeflow import names_of
from dags.definition import Task, Workflow
from dags.kubeflow_form import Field


def name_of(workflow: Workflow, task: Task, item: Output) -> str:
    """Return what an output is called in the graph, where each name is to be there once."""
    count = Counter(each.name for task in workflow.tasks for each in task.component.outputs)
    own, longer = names_of(task.component, item)
    return own if count[own] == 1 else longer


def say(spec: Any, workflow: Workflow, fields: Mapping[str, Field], *, choices: bool) -> None:
    """Write into a compiled pipeline what kfp has no words for: help, and the choices, which the form lets choose."""
    for name, field in fields.items():
        asked = spec.root.input_definitions.parameters[name]
        asked.description = field.help
        for choice in field.choices if choices else ():
            asked.literals.add().string_value = choice
    for task in workflow.tasks:
        made = spec.components[f"comp-{task.name}"].output_definitions.artifacts
        for item in task.component.outputs:
            made[name_of(workflow, task, item)].description = item.help


def thin_out(spec: Any) -> None:
    """Leave out what an input says already: the UI draws it once more, and the backend adds it by itself.

    kubeflow/pipelines, backend/src/v2/compiler/argocompiler/dag.go, addImplicitDependencies.
    """
    for task in _tasks(spec):
        implied = {each.task_output_artifact.producer_task for each in task.inputs.artifacts.values()}
        implied |= {each.task_output_parameter.producer_task for each in task.inputs.parameters.values()}
        task.dependent_tasks[:] = [name for name in task.dependent_tasks if name not in implied]


def name_channels(spec: Any) -> None:
    """Have conditions name the output of a task as `kfp.local` looks it up: task--output.

    By the compiler's task-output it finds nothing, and takes the condition for false without failing (kfp 2.17,
    local/orchestrator/enhanced_dag_orchestrator.py, _resolve_pipeline_channel).
    """
    for task in _tasks(spec):
        for name, source in task.inputs.parameters.items():
            output = source.task_output_parameter
            if output.producer_task:
                told = f"pipelinechannel--{output.producer_task}--{output.output_parameter_key}"
                task.trigger_policy.condition = task.trigger_policy.condition.replace(f"['{name}']", f"['{told}']")


def _tasks(spec: Any) -> Iterator[Any]:
    """Yield the tasks of a pipeline and of the groups in it."""
    for component in (spec.root, *spec.components.values()):
        yield from component.dag.tasks.values()
