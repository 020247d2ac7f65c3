"""How a pod came to its end, in a sentence: what Kubernetes knows of it, and the step does not."""

import json
from collections.abc import Iterator

from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException


def end_of(pod: k8s.V1Pod) -> k8s.V1ContainerStateTerminated | None:
    """Return how the step ended in a pod; None where it did not come to begin, or goes on."""
    return next((state.terminated for state in _states(pod) if state.terminated), None)


def why(pod: k8s.V1Pod) -> str:
    """Return why a pod was ended or did not start, as Kubernetes says it; empty where it says nothing.

    It was evicted or preempted, its image cannot be pulled, a Secret is missing, no node takes it, its memory was full.
    """
    return "; ".join(dict.fromkeys(" ".join(each.split()) for each in _reasons(pod)))


def message_of(error: ApiException) -> str:
    """Return what Kubernetes answered, as a quota that is used up, without headers and JSON around it."""
    try:
        said: str = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
    return said


def _reasons(pod: k8s.V1Pod) -> Iterator[str]:
    if pod.status.reason:
        yield _joined(pod.status.reason, pod.status.message)
    for state in _states(pod):
        if state.terminated and state.terminated.reason == "OOMKilled":
            yield "OOMKilled: it took more memory than it may"
        if state.waiting and state.waiting.reason:
            yield _joined(state.waiting.reason, state.waiting.message)
    for condition in pod.status.conditions or ():
        # A node that goes, or that another pod needs more; and a pod for which there is no node.
        if (condition.type, condition.status) in (("DisruptionTarget", "True"), ("PodScheduled", "False")):
            yield _joined(condition.reason, condition.message)


def _joined(reason: str, message: str | None) -> str:
    return f"{reason}: {message}" if message else reason


def _states(pod: k8s.V1Pod) -> list[k8s.V1ContainerState]:
    return [status.state for status in pod.status.container_statuses or () if status.name == "base"]
