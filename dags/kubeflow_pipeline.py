"""The workflow as a Kubeflow pipeline, compiled to YAML from the declarations.

python -m dags.kubeflow_pipeline pipeline.yaml [--registry R] [--tag T] [--image TASK=IMAGE]… [--default NAME=VALUE]…
    [--notice SECRET]
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfp import compiler, dsl, kubernetes

from components.contract.command import Parser, guard
from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput
from components.contract.kubeflow import OTHERS
from components.contract.rendezvous import POD
from dags import kubeflow_check, kubeflow_graph, kubeflow_notice, kubeflow_pod
from dags.cluster import (
    CHECKPOINT_KEYS,
    CONFIG_KEYS,
    DOWNLOAD_KEYS,
    DOWNLOADS,
    NOTICE_KEYS,
    PROXY_KEYS,
    REGISTRY,
    REGISTRY_KEYS,
    RUN,
    SECRET_KEYS,
    TAG,
    TOKEN_KEYS,
    TRACKING_KEYS,
    TRACKING_SECRET_KEYS,
    UI_KEYS,
    Cluster,
    image_of,
    labels_of,
    part_of,
    reference,
    resources_of,
)
from dags.definition import Task, Workflow
from dags.kubeflow_form import fields_of, given
from dags.kubeflow_graph import name_of
from dags.kubeflow_steps import argument, asked, check, notify, step
from dags.workflow import WORKFLOW

RETRIES = 2
# What kfp calls the longest wait is to Argo a deadline for all tries together, counted from the start of the first one,
# waits for a node and for each other included; without one kfp writes an hour, and the backend takes none for 0. So it
# is out of reach: each try has a limit of its own, and there are few of them.
# argo-workflows, workflow/controller/operator.go, processNodeRetries.
NO_DEADLINE = f"{10 * 365 * 24 * 3600}s"


def build(  # noqa: PLR0913 - all that may be fixed
    workflow: Workflow,
    registry: str = REGISTRY,
    tag: str = TAG,
    defaults: Sequence[str] = (),
    images: Sequence[str] = (),
    *,
    choices: bool = True,
    dependencies: bool = False,
    notice: str = "",
) -> Any:
    """Return the pipeline, a kfp GraphComponent.

    `defaults` are `name=value`s: what the form begins with, and what is asked of the cluster. `images` are
    `task=image`s that are not where the others are. Kubeflow before 2.16 refuses a form with `choices`. Only
    `kfp.local` wants the `dependencies` spelled out that follow from where inputs come from. Where `notice` names a
    Secret, a last task tells how the run ended, whatever came of it: Kubeflow's exit handler, around all others.
    """
    for name, which in ((kubeflow_check.NAME, "first"), (kubeflow_notice.NAME, "last")):
        if any(task.name == name for task in workflow.tasks):
            raise BadInput(f"{name}: the pipeline has a {which} task of that name, so no step may have it")
    fields = fields_of(workflow)
    values = given(workflow, defaults, "--default")
    begin = {name: values.get(name, field.default) for name, field in fields.items()}
    cluster = Cluster.checked({name: value for name, value in values.items() if name in Cluster.model_fields})
    image = _images(workflow, registry, tag, images)
    # A task whose outputs nobody reads may have the whole of the JSON: it runs anew with those before it in any case.
    read = {source.name for task in workflow.tasks for source, _ in task.inputs.values()}
    sharing = [task for task in workflow.tasks if task.name in read or not task.inputs]

    def pipeline(*channels: Any) -> None:
        form = dict(zip(fields, channels, strict=True))
        with contextlib.ExitStack() as stack:
            if notice:
                last = notify(fields, image[kubeflow_check.NAME])(**form, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
                _small(last, kubeflow_notice.TITLE, part_of(workflow, kubeflow_notice.NAME) | DOWNLOADS, cluster)
                _told(last, cluster, notice)
                stack.enter_context(dsl.ExitHandler(last, name=workflow.title))
            checked = check(sharing, fields, image[kubeflow_check.NAME])(**form)
            _small(checked, kubeflow_check.TITLE, part_of(workflow, kubeflow_check.NAME), cluster)
            run(form, checked)

    def run(form: Mapping[str, Any], checked: Any) -> None:
        tasks: dict[str, Any] = {}

        def add(task: Task) -> None:
            arguments = {name: form[name] for name in asked(task, workflow)}
            arguments[OTHERS] = checked.outputs[task.name] if task in sharing else form[OTHERS]
            for name, (source, output) in task.inputs.items():
                item = next(each for each in source.outputs if each.name == output)
                arguments[name] = tasks[source.name].outputs[name_of(workflow, workflow.task(source), item)]
            made = step(workflow, task, image[task.name])(**arguments)
            tasks[task.name] = configured(made, task, labels_of(workflow, task), cluster, form)

        _add_all(workflow, tasks, add)

    arguments = [argument(name, field.kind, begin[name]) for name, field in fields.items()]
    pipeline.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    made = dsl.pipeline(name=workflow.name, display_name=workflow.title, description=description(workflow))(pipeline)
    spec = made.pipeline_spec
    kubeflow_graph.say(spec, workflow, fields, choices=choices)
    if dependencies:
        kubeflow_graph.name_channels(spec)
    else:
        kubeflow_graph.thin_out(spec)
    return made


def _add_all(workflow: Workflow, tasks: Mapping[str, Any], add: Callable[[Task], None]) -> None:
    """Add all tasks, and those that need a blessing in a group that only the gate's verdict opens."""
    gate = workflow.gate
    for task in workflow.tasks:
        if not task.if_blessed:
            add(task)
    if waiting := [task for task in workflow.tasks if task.if_blessed]:
        with dsl.If(tasks[gate.component.name].outputs[gate.verdict] == gate.blessed, name=f"if {gate.blessed}"):
            for task in waiting:
                add(task)


def _small(made: Any, title: str, labels: Mapping[str, str], cluster: Cluster) -> None:
    """Set what Kubernetes is to do with a task that computes nothing."""
    made.set_display_name(title)
    made.set_caching_options(title == kubeflow_check.TITLE)
    made.set_cpu_request("100m").set_memory_request("128Mi").set_cpu_limit("1").set_memory_limit("512Mi")
    for name, value in labels.items():
        kubernetes.add_pod_label(made, name, value)
    kubeflow_pod.add(made, cluster.pod)


def _told(last: Any, cluster: Cluster, notice: str) -> None:
    """Tell the last task where a notice goes, and where it finds what the gate decided."""
    kubernetes.use_secret_as_env(last, notice, NOTICE_KEYS, optional=True)
    kubernetes.use_secret_as_env(last, cluster.s3_secret, SECRET_KEYS | TOKEN_KEYS, optional=True)
    kubernetes.use_config_map_as_env(last, cluster.s3_config, CONFIG_KEYS | PROXY_KEYS | UI_KEYS, optional=True)


def description(workflow: Workflow) -> str:
    """Return what Kubeflow's UI says of the pipeline, in Markdown; its form shows no help, so this does."""
    rows = [f"| `{name}` | {field.help} |" for name, field in fields_of(workflow).items()]
    return "\n".join(
        [workflow.help, "", "| parameter | |", "|---|---|", *rows, "",
         "A source of your own is taken never to change: give new data a new place, or start without cache."]
    )  # fmt: skip


def _images(workflow: Workflow, registry: str, tag: str, given: Sequence[str]) -> dict[str, str]:
    """Return the image of each task."""
    images = {task.name: image_of(task.component, registry, tag) for task in workflow.tasks}
    images[kubeflow_check.NAME] = reference(kubeflow_check.NAME, registry, tag)
    for item in given:
        name, equals, image = item.partition("=")
        if not equals or not image or name not in images:
            raise BadInput(f"--image {item}: not TASK=IMAGE with a task{did_you_mean(name, images)}")
        images[name] = image
    return images


def configured(made: Any, task: Task, labels: Mapping[str, str], cluster: Cluster, form: Mapping[str, Any]) -> Any:
    """Set what Kubernetes is to do with a task."""
    needs = resources_of(task, cluster)
    made.set_display_name(task.component.title)
    made.set_retry(RETRIES, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration=NO_DEADLINE)
    made.set_caching_options(not task.fresh)  # any other step's result follows from its parameters and inputs alone
    made.set_cpu_request(needs.cpu).set_cpu_limit(needs.cpu_limit)
    made.set_memory_request(needs.memory).set_memory_limit(needs.memory_limit)
    kubernetes.set_timeout(made, needs.timeout_seconds)
    for name, value in labels.items():
        kubernetes.add_pod_label(made, name, value)
    _environment(made, task, cluster)
    kubeflow_pod.add(made, cluster.pod)
    if needs.gpu:
        # Within a condition the backend finds no parameter that resources come from, so there the number is fixed.
        count = cluster.gpu_count if task.if_blessed else form["gpu_count"]
        if not task.if_blessed or count:
            made.set_accelerator_type(cluster.gpu_resource).set_accelerator_limit(count)
        for name, value in cluster.node_selector.items():
            kubernetes.add_node_selector(made, name, value)
        for toleration in cluster.tolerations:
            kubernetes.add_toleration_json(made, toleration)
    if needs.shared_memory:
        kubernetes.empty_dir_mount(
            made, volume_name="shm", mount_path="/dev/shm",  # noqa: S108 - the shared memory itself
            medium="Memory", size_limit=needs.shared_memory
        )  # fmt: skip
    return made


def _environment(made: Any, task: Task, cluster: Cluster) -> None:
    """Tell a task of the store, of the ways out, and of what concerns it alone."""
    # Optional: only a step that is given an s3:// parameter needs them, and says so itself when they are missing.
    kubernetes.use_secret_as_env(
        made, cluster.s3_secret, SECRET_KEYS | TOKEN_KEYS | TRACKING_SECRET_KEYS, optional=True
    )
    kubernetes.use_config_map_as_env(made, cluster.s3_config, CONFIG_KEYS | PROXY_KEYS | TRACKING_KEYS, optional=True)
    if task.downloads:
        kubernetes.use_config_map_as_env(made, cluster.s3_config, DOWNLOAD_KEYS, optional=True)
    if task.checkpoints:
        kubernetes.use_config_map_as_env(made, cluster.s3_config, CHECKPOINT_KEYS, optional=True)
    if task.launches:
        kubernetes.use_field_path_as_env(made, POD, "metadata.name")
    if task.fresh:
        kubernetes.use_config_map_as_env(made, cluster.s3_config, REGISTRY_KEYS, optional=True)
        kubernetes.use_field_path_as_env(made, RUN, "metadata.labels['pipeline/runid']")


def main(workflow: Workflow) -> None:
    """Compile the pipeline."""
    parser = Parser(prog="python -m dags.kubeflow_pipeline", description=__doc__)
    parser.add_argument("path", help="YAML file to write")
    parser.add_argument("--registry", default=REGISTRY, help=f"where the images are (default: {REGISTRY})")
    parser.add_argument("--tag", default=TAG, help=f"their tag, or digest sha256:… (default: {TAG})")
    again: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--image", metavar="TASK=IMAGE", help="of one task, such as train; again and again", **again)
    parser.add_argument(
        "--default", metavar="NAME=VALUE", help="what the form begins with, or what is asked of the cluster", **again
    )
    parser.add_argument(
        "--notice", metavar="SECRET", default="",
        help="have a last task tell how a run ended; a Secret with the keys url and, if need be, token",
    )  # fmt: skip
    parser.add_argument("--no-choices", action="store_true", help="no choices in the form: for Kubeflow before 2.16")

    def run() -> None:
        options = parser.parse_args(sys.argv[1:])
        fixed = (options.registry, options.tag, options.default, options.image)
        pipeline = build(workflow, *fixed, choices=not options.no_choices, notice=options.notice)
        compiler.Compiler().compile(pipeline, options.path)

    guard("compile", run)


if __name__ == "__main__":
    main(WORKFLOW)
