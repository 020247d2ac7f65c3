"""What the pipeline is made of, as kfp's components: each step, the check of the form, what tells how a run ended."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

from kfp import dsl

from components.contract.kubeflow import OTHERS
from dags import kubeflow_check, kubeflow_notice
from dags.definition import Task, Workflow
from dags.kubeflow_form import Field
from dags.kubeflow_graph import name_of


def asked(task: Task, workflow: Workflow) -> list[str]:
    """Return the parameters of a task that have a field of their own in the form."""
    return [name for name in workflow.form if name in task.component.parameters.model_fields]


def step(workflow: Workflow, task: Task, image: str) -> Any:
    """Return a step as a kfp container component, with the inputs that the workflow connects."""
    component = task.component
    kinds = {item.name: item.kind for item in component.inputs}
    fields = component.parameters.model_fields
    arguments = [argument(name, dsl.Input[getattr(dsl, kinds[name])]) for name in task.inputs]
    arguments += [
        argument(name_of(workflow, task, item), dsl.Output[getattr(dsl, item.kind)]) for item in component.outputs
    ]
    if component == workflow.gate.component:
        arguments.append(argument(workflow.gate.verdict, dsl.OutputPath(str)))
    arguments += [argument(name, cast("type", fields[name].annotation)) for name in asked(task, workflow)]
    return container(component.name, component.help, component.command, image, [*arguments, argument(OTHERS, dict)])


def check(sharing: Sequence[Task], fields: Mapping[str, Field], image: str) -> Any:
    """Return the check of the form as a kfp container component, which hands these tasks their shares."""
    arguments = [argument(name, field.kind) for name, field in fields.items()]
    arguments += [argument(task.name, dsl.OutputPath(dict)) for task in sharing]
    return container(kubeflow_check.NAME, kubeflow_check.HELP, list(kubeflow_check.COMMAND), image, arguments)


def notify(fields: Mapping[str, Field], image: str) -> Any:
    """Return what tells how a run ended as a kfp container component; it is given the form, and how that was."""
    arguments = [argument(name, field.kind) for name, field in fields.items()]
    arguments += [
        argument(kubeflow_notice.STATUS, dsl.PipelineTaskFinalStatus),
        argument(kubeflow_notice.RUN, str),
        argument(kubeflow_notice.NOTICE, dsl.Output[dsl.Artifact]),
    ]
    return container(kubeflow_notice.NAME, kubeflow_notice.HELP, list(kubeflow_notice.COMMAND), image, arguments)


def container(name: str, text: str, command: list[str], image: str, arguments: list[inspect.Parameter]) -> Any:
    """Return a kfp container component whose one argument is the executor input."""

    def called(*_: Any) -> dsl.ContainerSpec:
        # The executor input says everything, and is the one placeholder that every backend resolves.
        return dsl.ContainerSpec(
            image=image, command=command, args=["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]
        )

    called.__name__ = name
    called.__doc__ = text
    called.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return dsl.container_component(called)


def argument(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Return an argument of a component or of the pipeline."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
