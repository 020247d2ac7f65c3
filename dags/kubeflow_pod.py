"""What the pod of a task has besides, as far as Kubeflow's pipelines have words for it."""

from collections.abc import Callable, Mapping
from typing import Any

from kfp import kubernetes

from components.contract.errors import BadInput


def add(made: Any, pod: Mapping[str, Any]) -> None:
    """Add a pod, in the form of `Cluster.pod`, to a task of a pipeline; raise `BadInput` for what cannot be said."""
    if not pod:
        return
    for name, value in pod["metadata"].get("labels", {}).items():
        kubernetes.add_pod_label(made, name, value)
    for name, value in pod["metadata"].get("annotations", {}).items():
        kubernetes.add_pod_annotation(made, name, value)
    spec = dict(pod["spec"])
    (container,) = spec.pop("containers")
    _volumes(made, spec.pop("volumes", ()), container.get("volumeMounts", ()))
    _say(made, spec, _SPEC, "spec")
    own = {key: value for key, value in container.items() if key not in ("name", "volumeMounts")}
    _say(made, own, _CONTAINER, "container")


def _say(made: Any, given: Mapping[str, Any], known: Mapping[str, Callable[[Any, Any], None]], where: str) -> None:
    for key, value in given.items():
        if key not in known:
            raise BadInput(f"pod: Kubeflow's pipelines have no words for {key} of a {where}; leave it out")
        known[key](made, value)


def _node_selector(made: Any, labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        kubernetes.add_node_selector(made, name, value)


def _tolerations(made: Any, tolerations: list[dict[str, Any]]) -> None:
    for toleration in tolerations:
        kubernetes.add_toleration_json(made, toleration)


def _pull_secrets(made: Any, secrets: list[dict[str, str]]) -> None:
    kubernetes.set_image_pull_secrets(made, [each["name"] for each in secrets])


def _variables(made: Any, variables: list[dict[str, Any]]) -> None:
    for each in variables:
        name = each["name"]
        match each.get("valueFrom"):
            case None:
                made.set_env_variable(name, each.get("value", ""))
            case {"secretKeyRef": {"name": source, "key": key, **rest}}:
                kubernetes.use_secret_as_env(made, source, {key: name}, optional=rest.get("optional", False))
            case {"configMapKeyRef": {"name": source, "key": key, **rest}}:
                kubernetes.use_config_map_as_env(made, source, {key: name}, optional=rest.get("optional", False))
            case {"fieldRef": {"fieldPath": path}}:
                kubernetes.use_field_path_as_env(made, name, path)
            case other:
                raise BadInput(f"pod: Kubeflow's pipelines have no words for {other} as the source of {name}")


def _volumes(made: Any, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> None:
    sources = {each["name"]: each for each in volumes}
    for mount in mounts:
        match sources.get(mount["name"]):
            case {"configMap": {"name": name, **rest}} if not rest.keys() - {"optional"}:
                kubernetes.use_config_map_as_volume(made, name, mount["mountPath"], rest.get("optional", False))
            case {"secret": {"secretName": name, **rest}} if not rest.keys() - {"optional"}:
                kubernetes.use_secret_as_volume(made, name, mount["mountPath"], rest.get("optional", False))
            case other:
                raise BadInput(f"pod: Kubeflow's pipelines have no words for the volume {other or mount['name']}")


_SPEC: dict[str, Callable[[Any, Any], None]] = {
    "nodeSelector": _node_selector,
    "tolerations": _tolerations,
    "imagePullSecrets": _pull_secrets,
}
_CONTAINER: dict[str, Callable[[Any, Any], None]] = {
    "imagePullPolicy": kubernetes.set_image_pull_policy,
    "env": _variables,
}
