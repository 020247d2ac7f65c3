"""What the chart renders to, without a cluster."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.cluster import CHART, RELEASE, call

needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="needs helm: https://helm.sh/docs/intro/install")
# A cluster says both; whoever only renders may say one.
OPENSHIFT = ("security.openshift.io/v1", "security.openshift.io/v1/SecurityContextConstraints")
# The oldest that Chart.yaml takes, and the newest whose schemas there are.
VERSIONS = ("1.29.0", "1.37.0")

PLACES = {"airflow": {"enabled": True, "namespace": "airflow"}, "steps": {"namespace": "steps"}}
EVERYTHING = {"kubeflow": {"enabled": True}, "workers": {"enabled": True}, **PLACES}
EXTERNAL = {"store": {"kind": "external", "endpoint": "https://s3.example:8443", "existingSecret": "mine"}}
ROLE = {
    "store": {"kind": "external", "endpoint": "https://s3.example"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/tapeline"}},
}
DIGEST = "sha256:" + "ab" * 32
# Everything that a restricted cluster may ask of a pod.
SHARED: dict[str, Any] = {
    "images": {
        "registry": "r.example:5000/t", "tag": "v7", "pullPolicy": "Always", "pullSecrets": ["one", "two"],
        "train": f"r.example/pinned/train@{DIGEST}", "register": "r.example/pinned/register:v8",
    },
    "tracking": {"uri": "http://mlflow.mlflow:5000/sub", "experiment": "digits"},
    "proxy": {"http": "http://proxy:3128", "https": "http://proxy:3129", "none": [".corp"]},
    "caBundle": {"configMap": "corporate", "key": "bundle.pem"},
    "serviceAccount": {"annotations": {"who": "me"}},
    "podLabels": {"team": "vision"}, "podAnnotations": {"inject": "false"},
    "extraEnv": [{"name": "AWS_REGION", "value": "here"},
                 {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "ours", "effect": "NoExecute", "tolerationSeconds": 3600000}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}]}}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "priorityClassName": "low", "runtimeClassName": "gvisor",
    "networkPolicy": {"egress": [{"ports": [{"port": 8080, "endPort": 8090}]}]},
    "gpu": {"count": 2, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}], "cpu": 0.5, "memory": "16Gi"},
    "jobs": {"resources": {"limits": {"memory": 2147483648, "cpu": 0.5}}},
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "bare": {},
    "seaweedfs": EVERYTHING,
    "minio": EVERYTHING | {"store": {"kind": "minio", "storageClass": "fast", "size": "1.5Ti", "volume": "minio"}},
    "external": EVERYTHING | EXTERNAL,
    "role": EVERYTHING | ROLE,
    "an account that is there": {"serviceAccount": {"create": False, "name": "there"}, "steps": {"mirror": "s3://b/m"}},
    "shared": EVERYTHING | SHARED,
    "shared, with a store elsewhere": EVERYTHING | EXTERNAL | SHARED,
    "no rights said": {"podSecurityContext": None, "securityContext": None, "networkPolicy": {"enabled": False}},
}


@cache
def _helm(command: Sequence[str], values: str) -> str:
    return call(["helm", "template", *command, "--values=-"], values)


def render(  # noqa: PLR0913 - all that a rendering depends on
    values: Mapping[str, Any] | None = None,
    *flags: str,
    release: str = RELEASE,
    namespace: str = "here",
    version: str = "1.34.0",
    apis: Sequence[str] = (),
    chart: Path = CHART,
) -> list[Any]:
    """Return the objects for a file of values and flags, such as --set=…; the same again is not rendered again."""
    options = (f"--namespace={namespace}", f"--kube-version={version}", *(f"--api-versions={each}" for each in apis))
    text = _helm((release, str(chart), *options, *flags), json.dumps(values or {}))
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def named(objects: Sequence[Any], kind: str, name: str, namespace: str = "") -> Any:
    """Return the one object of a kind and a name, in a namespace if one is given."""
    (found,) = (
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
        and namespace in ("", each["metadata"].get("namespace"))
    )
    return found


def pods(objects: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the pod, of metadata and spec, of everything that runs."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each
        elif "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]


def containers(pod: Mapping[str, Any]) -> list[Any]:
    """Return all containers of a pod."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
