# mypy: allow-untyped-defs, allow-untyped-calls
"""What Kubernetes says of a step that failed."""

import json

from tests.kubernetes.cluster import REGISTRY, TAG, namespace
from tests.kubernetes.kubeflow import HARMLESS
from tests.waiting import eventually


def test_the_sentence_stands_with_the_state_of_the_pod(cluster):  # noqa: ARG001 - skips without a cluster
    container = {
        "name": "main",
        "image": f"{REGISTRY}/export:{TAG}",
        "command": ["python", "-m", "components.export", "--fail-on=often"],
        "securityContext": HARMLESS,
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    with namespace("tapeline-failure") as place:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "failing"}, "spec": spec}
        place.kubectl("create", "--filename=-", stdin=json.dumps(pod))

        def ended():
            states = place.get("pod", "failing")["status"].get("containerStatuses", [])
            return states and states[0]["state"].get("terminated")

        state = eventually("end of the pod", ended)
    assert (state["exitCode"], state["message"]) == (
        2, "export: fail_on: 'often' is not one of never, warning, error",
    )  # fmt: skip
