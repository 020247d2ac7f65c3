"""Trainings in pods, by hand, as Airflow would start them with the chart's account."""

import json
from collections.abc import Mapping
from typing import Any

from components.conftest import SHORT, checkpoints_among
from components.contract.artifact import Manifest
from components.contract.declaration import argument
from components.contract.store.client import Store
from components.train.component import COMPONENT as TRAIN
from dags.cluster import CONFIG_KEYS, SECRET_KEYS, labels_of
from dags.workflow import WORKFLOW
from tests.kubernetes.cluster import REGISTRY, RELEASE, TAG, Namespace
from tests.kubernetes.kubeflow import HARMLESS
from tests.waiting import eventually

STORE, CHECKPOINTS = f"{RELEASE}-store", "s3://tapeline/checkpoints"
(TASK,) = (task for task in WORKFLOW.tasks if task.launches)


class Place(Namespace):
    """A namespace, with the store of its release."""

    def __init__(self, release: Namespace, store: Store) -> None:
        super().__init__(release.name)
        self.artifacts = store


def start(
    place: Place,
    name: str,
    limits: dict[str, str] | None = None,
    account: str = f"{RELEASE}-step",
    environment: Mapping[str, str] | None = None,
    **values: Any,
) -> None:
    """Start a training as Airflow would, with the chart's account."""
    values = SHORT | {"checkpoints": CHECKPOINTS} | values
    places = {"dataset": "s3://tapeline/dataset"}
    places |= {item.name: f"s3://tapeline/{name}/{item.name}" for item in TRAIN.outputs}
    env = [
        *store_variables(),
        {"name": "TAPELINE_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *({"name": variable, "value": value} for variable, value in (environment or {}).items()),
    ]
    container = {
        "name": "base",
        "image": f"{REGISTRY}/train:{TAG}",
        "command": [*TRAIN.command, *(argument(*each) for each in (places | values).items())],
        "env": env,
        "securityContext": HARMLESS,
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"} | (limits or {})},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }
    spec = {
        "serviceAccountName": account,
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    metadata = {"name": name, "labels": labels_of(WORKFLOW, TASK)}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    place.kubectl("create", "--filename=-", stdin=json.dumps(pod))


def store_variables() -> list[dict[str, Any]]:
    """Return the variables that lead a container to the store of the release."""
    sources = {variable: {"secretKeyRef": {"name": STORE, "key": key}} for key, variable in SECRET_KEYS.items()}
    sources |= {variable: {"configMapKeyRef": {"name": STORE, "key": key}} for key, variable in CONFIG_KEYS.items()}
    return [{"name": variable, "valueFrom": source} for variable, source in sources.items()]


def end(place: Place, name: str) -> tuple[int, str, str]:
    """Wait for the end of a training; return its exit code, last words and log."""

    def ended() -> Any:
        states = place.get("pod", name)["status"].get("containerStatuses", [])
        return states and states[0]["state"].get("terminated")

    state = eventually(f"end of {name}", ended, 600)
    return state["exitCode"], state.get("message", "").strip(), place.kubectl("logs", name)


def workers(place: Place, name: str) -> list[Any]:
    """Return the pods of the workers that a pod has started."""
    pods: list[Any] = place.get("pods", f"--selector=tapeline/launched-by={name}")["items"]
    return pods


def left(place: Place, name: str) -> list[Any]:
    """Return what is there of what a pod has started."""
    jobs: list[Any] = place.get("jobs", f"--selector=tapeline/launched-by={name}")["items"]
    return workers(place, name) or jobs


def files(place: Place, name: str) -> dict[str, str]:
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    found: dict[str, str] = {}
    for item in TRAIN.outputs:
        text = place.artifacts.manifest(f"s3://tapeline/{name}/{item.name}")
        assert text, f"{name} made no {item.name}"
        found |= {f"{item.name}/{file}": each.sha256 for file, each in Manifest.parse(text, name).files.items()}
    return found


def checkpoints(place: Place, where: str = CHECKPOINTS) -> set[str]:
    """Return the finished checkpoints of all runs."""
    return checkpoints_among(place.artifacts.names(where))
