"""What a workflow asks of a cluster, said once: for Kubeflow's form, Airflow's settings and the chart's values."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import ValidationInfo, field_validator

from components.contract import outside
from components.contract.declaration import Component, Parameters, parameter
from components.contract.errors import BadInput
from components.contract.rendezvous import LABEL as WORKERS
from dags import cluster_rules
from dags.definition import Resources, Task, Workflow

# Kubeflow's own keys of a store's credentials -> the names that every S3 client reads.
SECRET_KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
TOKEN_KEYS = {"sessiontoken": "AWS_SESSION_TOKEN"}  # which the same Secret may have
CONFIG_KEYS = {"endpoint": "AWS_ENDPOINT_URL", "region": "AWS_REGION"}
# Keys that the same ConfigMap may have -> what they tell a step of the way out, and one that downloads.
PROXY_KEYS = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY"}
DOWNLOAD_KEYS = {"mirror": "TAPELINE_MIRROR"}
# What both may tell a step of an MLflow that is to know what was done: components/contract/tracking.py.
TRACKING_KEYS = {"tracking-uri": "MLFLOW_TRACKING_URI", "tracking-experiment": "MLFLOW_EXPERIMENT_NAME"}
TRACKING_SECRET_KEYS = {
    "tracking-username": "MLFLOW_TRACKING_USERNAME",
    "tracking-password": "MLFLOW_TRACKING_PASSWORD",
    "tracking-token": "MLFLOW_TRACKING_TOKEN",
}
# What it may tell a step that goes on from its checkpoints: a place for those of all runs.
CHECKPOINT_KEYS = {"checkpoints": "TAPELINE_CHECKPOINTS"}
# What it may tell a step that is fresh: where the registry of blessed models is.
REGISTRY_KEYS = {"registry": "TAPELINE_REGISTRY"}
# What the ConfigMap and a Secret of its own may tell what posts a notice in Kubeflow.
UI_KEYS = {"ui": "TAPELINE_KUBEFLOW_UI"}
NOTICE_KEYS = {"url": "TAPELINE_NOTICE_URL", "token": "TAPELINE_NOTICE_TOKEN"}
RUN = "TAPELINE_RUN"  # what a step that is fresh is told besides: what its run is called

DOWNLOADS = {"tapeline/downloads": "true"}  # the label of a pod that a cluster lets out
# Where the images are; a caller may give another registry, tag, or digest.
REGISTRY = "tapeline"
TAG = "dev"


class Cluster(Parameters):
    """What a run asks of the cluster; a list or an object may be given as JSON."""

    gpu_count: int = parameter(0, "GPUs for each step that can use one; 0: it runs on the CPU", ge=0, le=64)
    gpu_resource: str = parameter("nvidia.com/gpu", "What the cluster calls a GPU")
    node_selector: dict[str, str] = parameter({}, "Labels that the node of such a step must have")
    tolerations: list[dict[str, Any]] = parameter([], "Taints that such a step may live with, as in a pod")
    cpu: str = parameter("", "CPUs for such a step, as 4 or 500m; empty: as the workflow says")
    memory: str = parameter("", "Memory for such a step, as 16Gi; empty: as the workflow says")
    s3_secret: str = parameter("tapeline-store", f"Secret with the keys {' and '.join(SECRET_KEYS)} of the store")
    s3_config: str = parameter("tapeline-store", f"ConfigMap with the keys {' and '.join(CONFIG_KEYS)} of the store")
    pod: dict[str, Any] = parameter(
        {}, "What the pod of each step has besides: a Pod of `metadata` and `spec`, whose container is `base`"
    )

    @field_validator("node_selector", "tolerations", mode="before")
    @classmethod
    def _parsed(cls, value: Any, info: Any) -> Any:
        return _RULES[str(info.field_name)](parsed(value, list if info.field_name == "tolerations" else dict))

    @field_validator("gpu_resource", "cpu", "memory", "s3_secret", "s3_config")
    @classmethod
    def _taken(cls, value: Any, info: ValidationInfo) -> Any:
        return _RULES[str(info.field_name)](value)

    @field_validator("pod", mode="before")
    @classmethod
    def _pod(cls, value: Any) -> Any:
        pod = parsed(value, dict)
        metadata, spec = (parsed(pod.get(part, {}), dict) for part in ("metadata", "spec"))
        for part, given, known in (("", pod, ("metadata", "spec")), ("metadata.", metadata, ("labels", "annotations"))):
            for key in given:
                if key not in known:
                    raise ValueError(f"{part}{key}: only {' and '.join(known)} can be added")
        containers = parsed(spec.get("containers", []), list)
        if [parsed(each, dict).get("name") for each in containers] not in ([], ["base"]):
            raise ValueError("spec.containers: only one of the name base can be there, the step's own")
        return pod and {"metadata": metadata, "spec": {"containers": [{"name": "base"}]} | spec}


_RULES: dict[str, Callable[[Any], Any]] = {
    "gpu_resource": cluster_rules.resource,
    "node_selector": cluster_rules.labels,
    "tolerations": cluster_rules.tolerations,
    "cpu": cluster_rules.cpus,
    "memory": cluster_rules.memory,
    "s3_secret": cluster_rules.name,
    "s3_config": cluster_rules.name,
}


def parsed(value: Any, kind: type[list[Any] | dict[str, Any]]) -> Any:
    """Return a list or an object that may be given as JSON; raise `ValueError` unless it is one."""
    if isinstance(value, str):
        try:
            value = outside.document(value, "the text")
        except BadInput as error:
            raise ValueError(str(error)) from None
    if not isinstance(value, kind):
        raise ValueError(f"a JSON {'list' if kind is list else 'object'} is needed")  # noqa: TRY004 - pydantic's way
    return value


def image_of(component: Component, registry: str = REGISTRY, tag: str = TAG) -> str:
    """Return the image of a component, `tag` being a tag or a digest (sha256:…)."""
    return reference(component.name, registry, tag)


def reference(name: str, registry: str = REGISTRY, tag: str = TAG) -> str:
    """Return the image of that name, as images/list has them."""
    return f"{registry}/{name}{'@' if tag.startswith('sha256:') else ':'}{tag}"


def resources_of(task: Task, cluster: Cluster) -> Resources:
    """Return what a task may take: what the workflow says, or, where it can use a GPU, what was asked for."""
    needs = task.resources
    if needs.gpu and cluster.cpu:
        needs = replace(needs, cpu=cluster.cpu, cpu_limit=cluster.cpu)
    if needs.gpu and cluster.memory:
        needs = replace(needs, memory=cluster.memory, memory_limit=cluster.memory)
    return needs


def part_of(workflow: Workflow, name: str) -> dict[str, str]:
    """Return the labels by which a pod is known as a part of the workflow."""
    return {"app.kubernetes.io/part-of": workflow.name, "app.kubernetes.io/component": name}


def labels_of(workflow: Workflow, task: Task) -> dict[str, str]:
    """Return the labels of a task's pods, which the chart's network policies go by."""
    return part_of(workflow, task.name) | (DOWNLOADS if task.downloads else {}) | (WORKERS if task.launches else {})
