"""The workflow as a Kubeflow pipeline, compiled to YAML from the declarations.

python -m dags.kubeflow_pipeline pipeline.yaml [--registry R] [--tag T] [--default NAME=VALUE]... [--fixed-images]
"""

import inspect
import sys
from collections.abc import Sequence
from typing import Any, cast

from kfp import compiler, dsl, kubernetes

from components.contract.command import Parser, guard
from components.contract.declaration import Component
from components.contract.errors import BadInput
from dags.cluster import CONFIG_KEYS, REGISTRY, SECRET_KEYS, TAG, Cluster, image_of, labels_of
from dags.definition import Task, Workflow
from dags.kubeflow_register import for_form, values_of
from dags.workflow import WORKFLOW

RETRIES = {"num_retries": 2, "backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "300s"}

Field = tuple[type, Any, str]  # the type, default and help of a parameter in the form


def build(
    workflow: Workflow,
    registry: str = REGISTRY,
    tag: str = TAG,
    defaults: Sequence[str] = (),
    *,
    ask_images: bool = True,
) -> Any:
    """Return the pipeline, a kfp GraphComponent.

    `defaults` are `name=value`s that the form begins with instead of the declared ones. With `ask_images` the form asks
    for the image of each step; `kfp.local` cannot run a pipeline that does.
    """
    fields = {name: field for task in workflow.tasks for name, field in _form(task.component).items()}
    if twice := sorted(fields.keys() & Cluster.model_fields.keys()):
        raise BadInput(f"{', '.join(twice)}: the cluster is asked for it, so no step may have a parameter of that name")
    for name, value in for_form(Cluster()).items():
        fields[name] = (type(value), value, Cluster.model_fields[name].description or "")
    if ask_images:
        # The whole reference, as the backend drops whatever text stands before or after a parameter in an image.
        for task in workflow.tasks:
            image = image_of(task.component, registry, tag)
            fields[f"{task.name}_image"] = (str, image, f"Image of {task.name}, by tag or digest")
    for name, value in values_of(workflow, defaults, fields, "--default").items():
        fields[name] = (fields[name][0], value, fields[name][2])

    def pipeline(*channels: Any) -> None:
        values = dict(zip(signature.parameters, channels, strict=True))
        tasks: dict[str, Any] = {}
        for task in workflow.tasks:
            component = task.component
            arguments = {name: values[name] for name in component.parameters.model_fields}
            arguments |= {name: tasks[source.name].outputs[output] for name, (source, output) in task.inputs.items()}
            made = _component(task, image_of(component, registry, tag))(**arguments)
            if ask_images:
                made.set_container_image(values[f"{task.name}_image"])
            tasks[task.name] = _configured(made, task, labels_of(workflow, task), values)

    signature = inspect.Signature([_argument(name, kind, default) for name, (kind, default, _) in fields.items()])
    rows = [f"| {name} | {default!r} | {text} |" for name, (_, default, text) in fields.items()]
    # The form of Kubeflow's UI shows no help, so the description carries it.
    pipeline.__doc__ = "\n".join(
        [workflow.help,
         "A source of your own is taken never to change: give new data a new place, or start without cache.", "",
         "| parameter | default | |", "|---|---|---|", *rows]
    )  # fmt: skip
    pipeline.__signature__ = signature  # type: ignore[attr-defined]
    return dsl.pipeline(name=workflow.name, display_name=workflow.title, description=pipeline.__doc__)(pipeline)


def _form(component: Component) -> dict[str, Field]:
    """Return the type, default and help of each parameter of a component."""
    return {
        name: (cast("type", field.annotation), field.default, field.description or "")
        for name, field in component.parameters.model_fields.items()
    }


def _component(task: Task, image: str) -> Any:
    """Return a component as a kfp container component, with the inputs that the workflow connects."""
    component = task.component
    kinds = {item.name: item.kind for item in component.inputs}
    arguments = [_argument(name, dsl.Input[getattr(dsl, kinds[name])]) for name in task.inputs]
    arguments += [_argument(item.name, dsl.Output[getattr(dsl, item.kind)]) for item in component.outputs]
    arguments += [_argument(name, kind, default) for name, (kind, default, _) in _form(component).items()]

    def container(*_: Any) -> dsl.ContainerSpec:
        # The executor input says everything, and is the one placeholder that every backend resolves.
        return dsl.ContainerSpec(
            image=image,
            command=component.command,
            args=["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
        )

    container.__name__ = component.name
    container.__doc__ = component.help
    container.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return dsl.container_component(container)


def _argument(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)


def _configured(made: Any, task: Task, labels: dict[str, str], values: dict[str, Any]) -> Any:
    """Set what Kubernetes is to do with a task."""
    needs = task.resources
    made.set_display_name(task.component.title)
    made.set_retry(**RETRIES)
    made.set_caching_options(True)  # a step's result follows from its parameters and inputs alone
    made.set_cpu_request(needs.cpu).set_cpu_limit(needs.cpu_limit)
    made.set_memory_request(needs.memory).set_memory_limit(needs.memory_limit)
    kubernetes.set_timeout(made, needs.timeout_seconds)
    for name, value in labels.items():
        kubernetes.add_pod_label(made, name, value)
    # Optional: only a step that is given an s3:// parameter needs them, and says so itself when they are missing.
    kubernetes.use_secret_as_env(made, values["s3_secret"], SECRET_KEYS, optional=True)
    kubernetes.use_config_map_as_env(made, values["s3_config"], CONFIG_KEYS, optional=True)
    if needs.gpu:
        made.set_accelerator_type(values["gpu_resource"]).set_accelerator_limit(values["gpu_count"])
        kubernetes.add_node_selector_json(made, values["node_selector"])
        kubernetes.add_toleration_json(made, values["tolerations"])
    if needs.shared_memory:
        kubernetes.empty_dir_mount(
            made, volume_name="shm", mount_path="/dev/shm",  # noqa: S108 - the shared memory itself
            medium="Memory", size_limit=needs.shared_memory
        )  # fmt: skip
    return made


def main(workflow: Workflow) -> None:
    """Compile the pipeline."""
    parser = Parser(prog="python -m dags.kubeflow_pipeline", description=__doc__)
    parser.add_argument("path", help="YAML file to write")
    parser.add_argument("--registry", default=REGISTRY, help=f"where the images are (default: {REGISTRY})")
    parser.add_argument("--tag", default=TAG, help=f"their tag, or digest sha256:… (default: {TAG})")
    parser.add_argument(
        "--default",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the form begins with; again and again",
    )
    parser.add_argument("--fixed-images", action="store_true", help="do not ask for images in the form, for kfp.local")

    def run() -> None:
        options = parser.parse_args(sys.argv[1:])
        pipeline = build(workflow, options.registry, options.tag, options.default, ask_images=not options.fixed_images)
        compiler.Compiler().compile(pipeline, options.path)

    guard("compile", run)


if __name__ == "__main__":
    main(WORKFLOW)
