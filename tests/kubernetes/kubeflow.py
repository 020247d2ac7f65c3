"""The small Kubeflow of the tests as a pod: pods of a cluster need not reach the machine that runs the tests."""

import json
import urllib.request
from typing import Any

from tests.kubernetes.cluster import REGISTRY, ROOT, TAG, Namespace

PORT = 8888
NAME = "kubeflow"
SERVE = f"from server import Kubeflow; Kubeflow(host='0.0.0.0', port={PORT}).serve_forever()"
HARMLESS = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": NAME, "labels": {"app": NAME}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": NAME,
                "image": f"{REGISTRY}/register:{TAG}",
                "command": ["python", "-c", SERVE],
                "workingDir": "/code",
                "securityContext": HARMLESS,
                "readinessProbe": {"httpGet": {"path": "/apis/v2beta1/healthz", "port": PORT}, "periodSeconds": 1},
                "volumeMounts": [{"name": "code", "mountPath": "/code"}],
            }
        ],
        "volumes": [{"name": "code", "configMap": {"name": NAME}}],
    },
}


class Kubeflow:
    """A Kubeflow Pipelines in a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.address = f"http://{NAME}.{namespace.name}.svc:{PORT}"
        namespace.kubectl("create", "configmap", NAME, f"--from-file={ROOT}/tests/kubeflow/server.py")
        self._start()
        namespace.kubectl("expose", f"pod/{NAME}", f"--port={PORT}")

    def versions(self) -> list[Any]:
        """Return the versions of the pipeline tapeline."""
        pipeline = self._get("pipelines/names/tapeline")["pipeline_id"]
        return self._all(f"pipelines/{pipeline}/versions", "pipeline_versions")

    def recurring(self) -> list[Any]:
        """Return what runs by the clock."""
        return self._all("recurringruns", "recurringRuns")

    def forget(self) -> None:
        """Lose everything that it knows."""
        self._namespace.kubectl("delete", f"pod/{NAME}")
        self._start()

    def _start(self) -> None:
        self._namespace.kubectl("create", "--filename=-", stdin=json.dumps(POD))
        self._namespace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=120s")

    def _all(self, path: str, key: str) -> list[Any]:
        """Return what is on all pages of a list."""
        page = self._get(f"{path}?page_size=100")
        found = page[key]
        while token := page.get("next_page_token"):
            page = self._get(f"{path}?page_size=100&page_token={token}")
            found += page[key]
        return list(found)

    def _get(self, path: str) -> Any:
        with (
            self._namespace.forwarded(f"pod/{NAME}", PORT) as address,
            urllib.request.urlopen(f"{address}/apis/v2beta1/{path}") as response,  # noqa: S310 - of this machine
        ):
            return json.load(response)
