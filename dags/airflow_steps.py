"""A step as an Airflow task: what it is called with, what runs it, and what it hands over."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from components.contract.declaration import Component, argument
from components.contract.errors import StepError
from dags import docker_options
from dags.airflow_pages import Report, reports_of
from dags.airflow_places import checkpoints_of, hand_over, output_of, told_of
from dags.airflow_process import ROOT, Step, told
from dags.airflow_settings import Settings, image_of, wrong_parameters
from dags.cluster import labels_of, resources_of
from dags.definition import Task, Workflow

# What a container is told of the store and of the way out, in capital and in small letters, as both are usual. The
# values stay in the environment, out of sight.
STORE_VARIABLES = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
DOWNLOAD_VARIABLES = ("TAPELINE_MIRROR",)


def step(
    workflow: Workflow,
    task: Task,
    settings: Settings,
    inputs: Mapping[str, str],
    assets: Mapping[str, Asset] | None = None,
) -> BaseOperator:
    """Return the Airflow task that runs a step, for the DAG that is being made.

    `inputs` are templates of their locations; `assets` what an input or output is to Airflow, by its name.
    """
    component, assets = task.component, assets or {}
    options: dict[str, Any] = {
        "task_id": component.name,
        "task_display_name": component.title,
        "doc_md": component.help,
        "arguments": _arguments(task, settings, inputs),
        "execution_timeout": timedelta(seconds=task.resources.timeout_seconds),
        "inlets": [assets[item.name] for item in component.inputs if item.name in assets],
        "outlets": [assets[item.name] for item in component.outputs if item.name in assets],
        "pre_execute": _check(workflow),
        "post_execute": _hand_over(component, assets),
        "on_blocked": _hand_over_rest(component),
    }
    if task.resources.gpu:
        options["pool"] = settings.gpu_pool
    made = _operator(workflow, task, settings, options)
    made.operator_extra_links = tuple(Report(workflow, component, item) for item in reports_of(component))
    return made


def _operator(workflow: Workflow, task: Task, settings: Settings, options: dict[str, Any]) -> BaseOperator:
    command = task.component.command
    match settings.runner:
        case "process":
            return Step(
                command=[str(ROOT / settings.python), *command[1:]], variables=told_of(settings, task), **options
            )
        case "docker":
            run = _docker_run(workflow, task, settings)
            return Step(command=[*run, *command], variables=told_of(settings, task), **options)
        case _:
            from dags.airflow_pods import StepPod  # noqa: PLC0415 - Kubernetes' client takes a second to import

            options |= {"name": f"{workflow.name}-{task.name}", "labels": labels_of(workflow, task)}
            return StepPod(step=task, settings=settings, **options)


def _arguments(task: Task, settings: Settings, inputs: Mapping[str, str]) -> list[str]:
    component = task.component
    places = dict(inputs) | {item.name: output_of(settings, (component, item.name)) for item in component.outputs}
    if task.checkpoints:
        places[task.checkpoints] = checkpoints_of(settings, component, task.checkpoints)
    arguments = [argument(name, place) for name, place in places.items()]
    for name, field in component.parameters.model_fields.items():
        if name in places:
            continue
        if field.annotation is bool:
            given, not_given = argument(name, value=True), argument(name, value=False)
            arguments.append(f"{{{{ '{given}' if params.{name} else '{not_given}' }}}}")
        elif field.annotation is str:
            arguments.append(argument(name, f"{{{{ params.{name} or '' }}}}"))  # the form says null for nothing
        else:
            arguments.append(argument(name, f"{{{{ params.{name} }}}}"))
    return arguments


def _docker_run(workflow: Workflow, task: Task, settings: Settings) -> list[str]:
    """Return the command that starts a container as a cluster would: no root, no file to write but in /tmp."""
    needs = resources_of(task, settings)
    command = ["docker", "run", "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    command += ["--security-opt=no-new-privileges", f"--memory={needs.memory_limit.removesuffix('i').lower()}"]
    command += [f"--label={name}={value}" for name, value in labels_of(workflow, task).items()]
    names = (*STORE_VARIABLES, *(DOWNLOAD_VARIABLES if task.downloads else ()), *told_of(settings, task))
    command += [f"--env={name}" for name in names]
    if needs.shared_memory:
        command.append(f"--shm-size={needs.shared_memory.removesuffix('i').lower()}")
    if needs.gpu and settings.gpu_count:
        command.append(f"--gpus={settings.gpu_count}")
    return [*command, *docker_options.words(settings.docker_options), image_of(task.component, settings)]


def _check(workflow: Workflow) -> Callable[[Context], None]:
    """Return what refuses what the form cannot check, before the first step rather than at the one it concerns."""

    def pre_execute(context: Context) -> None:
        given = {name: "" if value is None else value for name, value in dict(context["params"]).items()}
        if wrong := wrong_parameters(workflow, given):
            raise told(context["ti"], AirflowFailException("\n".join(wrong)))

    return pre_execute


def _hand_over(component: Component, assets: Mapping[str, Asset]) -> Callable[..., None]:
    """Return what tells Airflow of the outputs of a step that ended well, and of those that are assets as such."""

    def post_execute(context: Context, _: object = None) -> None:
        handed = hand_over(component, context["ti"], _called_with(context))
        figures = {name: value for each in handed.values() for name, value in each.items()}
        for name in handed.keys() & assets.keys():
            context["outlet_events"][assets[name]].extra = figures | handed[name]

    return post_execute


def _hand_over_rest(component: Component) -> Callable[[Context], None]:
    """Return what tells Airflow of what a step has published that blocks what would come next, such as its report."""

    def on_blocked(context: Context) -> None:
        with contextlib.suppress(StepError):  # what blocks is the answer, not whether its report is within reach
            hand_over(component, context["ti"], _called_with(context), whole=False)

    return on_blocked


def _called_with(context: Context) -> Sequence[str]:
    arguments: Sequence[str] = context["task"].called_with
    return arguments
