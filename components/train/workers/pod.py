"""A worker's pod: that of the step, without what Kubeflow's or Airflow's launcher has put into it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.contract import rendezvous
from components.contract.errors import BadInput
from components.contract.rendezvous import LABEL, POD
from components.train.workers.worker import NOT_FOR_WORKERS

Json = dict[str, Any]

CONTAINER, NODE = "worker", "node"  # the second one is Kubeflow Trainer's name for it
INDEX = "batch.kubernetes.io/job-completion-index"  # the annotation of a pod that says which one it is
_NAMES = ("base", "main")  # what Airflow and Kubeflow call the step's container
# By these a launcher finds its own pods, so another pod must not have them; or they are what somebody noted of one pod.
_LAUNCHERS = re.compile(
    r"(dag_id|task_id|run_id|map_index|try_number|parent_dag_id|kubernetes_pod_operator|airflow.*|already_checked"
    r"|pipeline/.*|pipelines\.kubeflow\.org/.*|(.*\.)?argoproj\.io/.*"
    r"|controller-uid|job-name|(batch|kubectl|kubernetes|cni)\.(kubernetes\.)?io/.*|kubectl\.kubernetes\.io/.*"
    r"|k8s\.v1\.cni\.cncf\.io/.*|k8s\.ovn\.org/.*|cni\.projectcalico\.org/.*|openshift\.io/.*|.*\.openshift\.io/.*"
    r"|sidecar\.istio\.io/status|service\.istio\.io/.*|security\.istio\.io/.*)"
)
_VARIABLES = re.compile(r"(ARGO_|KFP_|METADATA_).*")
_OWN = {POD, rendezvous.PLACE, rendezvous.NUMBER, rendezvous.FIRST, *NOT_FOR_WORKERS}
# What decides where a pod may run, and with which rights.
_SPEC = (
    "affinity", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "imagePullSecrets", "nodeSelector",
    "os", "priorityClassName", "runtimeClassName", "schedulerName", "securityContext", "serviceAccountName",
    "tolerations", "topologySpreadConstraints",
)  # fmt: skip
_CONTAINER = ("image", "imagePullPolicy", "workingDir", "envFrom", "resources", "securityContext")
_PREEMPTION = re.compile(r"\. [^.]*preemption: .*", re.DOTALL)
_SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108 - what a step may write to, and its shared memory


def template(pod: Mapping[str, Any], command: Sequence[str], variables: Sequence[Json]) -> Json:
    """Return the template of pods that run `command` where the step of `pod` runs, with the same means and rights.

    The same image, resources, secrets, configuration and place; no token of the account, no sidecars, and of what is
    not shared only room for temporary files. `variables` are added to those of the step. Raises `BadInput` where the
    step's container cannot be told from others.
    """
    spec, step = pod["spec"], step_of(pod)
    volumes, mounts = _volumes(spec, step)
    container = {key: step[key] for key in _CONTAINER if key in step} | {
        "name": CONTAINER,
        "command": list(command),
        "env": [*(each for each in step.get("env", ()) if not _is_launchers(each["name"])), *variables],
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "metadata": {
            "labels": _kept(pod, "labels") | LABEL,
            "annotations": _kept(pod, "annotations"),
        },
        "spec": {key: spec[key] for key in _SPEC if key in spec}
        | {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": volumes,
        },
    }


def step_of(pod: Mapping[str, Any]) -> Json:
    """Return the container of the step: the one that is told the name of its pod, or has a name that launchers give."""
    containers: list[Json] = pod["spec"]["containers"]
    told = [each for each in containers if POD in (variable["name"] for variable in each.get("env", ()))]
    found = told or [each for each in containers if each["name"] in _NAMES] or containers
    if len(found) > 1:
        names = ", ".join(each["name"] for each in found)
        raise BadInput(f"launcher: which container of {names} is the step's? Set {POD} there, by metadata.name")
    return found[0]


def _volumes(spec: Mapping[str, Any], step: Mapping[str, Any]) -> tuple[list[Json], list[Json]]:
    """Return the volumes that a worker has too, and where it has them."""
    left_out = {
        each["name"]
        for each in spec.get("volumes", ())
        if any(_is_for_the_api(source) for source in each.get("projected", {}).get("sources", ()))
    }
    empty = {each["name"] for each in spec.get("volumes", ()) if "emptyDir" in each}  # most are a launcher's
    mounts = [
        mount
        for mount in step.get("volumeMounts", ())
        if mount["name"] not in left_out and (mount["name"] not in empty or mount["mountPath"] in _SCRATCH)
    ]
    names = {mount["name"] for mount in mounts}
    volumes = [each for each in spec.get("volumes", ()) if each["name"] in names]
    if _SCRATCH[0] not in (mount["mountPath"] for mount in mounts):
        volumes.append({"name": "tmp-of-worker", "emptyDir": {}})
        mounts.append({"name": "tmp-of-worker", "mountPath": _SCRATCH[0]})
    return volumes, mounts


def _is_for_the_api(source: Mapping[str, Any]) -> bool:
    """Tell whether it is the account's token for Kubernetes' own API; one for a cloud has an audience."""
    return "serviceAccountToken" in source and not source["serviceAccountToken"].get("audience")


def _kept(pod: Mapping[str, Any], what: str) -> dict[str, str]:
    given = pod["metadata"].get(what) or {}
    return {name: value for name, value in given.items() if not _LAUNCHERS.fullmatch(name)}


def _is_launchers(name: str) -> bool:
    return name in _OWN or bool(_VARIABLES.fullmatch(name))


def why(pod: Mapping[str, Any]) -> str:
    """Return why a pod does not run, or was ended, as Kubernetes says it; empty where it says nothing."""
    return "; ".join(dict.fromkeys(" ".join(each.split()) for each in _reasons(pod.get("status", {}))))


def _reasons(status: Mapping[str, Any]) -> Iterator[str]:
    if status.get("reason"):
        yield _joined(status)
    for condition in status.get("conditions", ()):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            # What comes after is about pods that might be ended for this one.
            yield _PREEMPTION.sub("", condition.get("message") or condition.get("reason", ""))
        if (condition["type"], condition["status"]) == ("DisruptionTarget", "True"):
            yield _joined(condition)
    if waits := state_of(status).get("waiting"):
        yield _joined(waits)


def state_of(status: Mapping[str, Any]) -> Json:
    """Return the state of the worker's container: waiting, running or terminated; empty before there is one."""
    return next(
        (dict(each["state"]) for each in status.get("containerStatuses", ()) if each["name"] in (CONTAINER, NODE)), {}
    )


def _joined(said: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (said.get("reason"), said.get("message"))))
