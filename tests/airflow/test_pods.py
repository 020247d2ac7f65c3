# mypy: allow-untyped-defs, allow-untyped-calls
"""The pods as Kubernetes would be asked for them, without a cluster."""

import json
import os

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.cluster import labels_of
from dags.workflow import WORKFLOW

KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "users": [{"name": "none", "user": {}}],
}  # fmt: skip


@pytest.fixture
def pods(monkeypatch, tmp_path):
    """Return the specification of each step's pod, as JSON."""
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    settings = {
        "RUNNER": "kubernetes", "NAMESPACE": "steps", "REGISTRY": "registry.example/tapeline", "TAG": "1.2.3",
        "GPU_COUNT": "1", "NODE_SELECTOR": '{"disk": "ssd"}', "PULL_SECRET": "registry",
        "TOLERATIONS": '[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}]',
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"TAPELINE_AIRFLOW_{name}", value)
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", '{"conn_type": "kubernetes"}')
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["tapeline"]
    found = {}
    for name in (task.name for task in WORKFLOW.tasks):
        task = dag.task_dict[name]
        task.config_file = str(tmp_path / "kubeconfig")
        found[name] = task.client.api_client.sanitize_for_serialization(task.build_pod_request_obj())
    return found


def test_a_pod_is_small_harmless_and_has_its_secret_by_reference(pods):
    for name, pod in pods.items():
        spec = pod["spec"]
        (container,) = spec["containers"]  # no sidecar
        assert pod["metadata"]["namespace"] == "steps"
        assert pod["metadata"]["name"].startswith(f"tapeline-{name}-")
        (task,) = (task for task in WORKFLOW.tasks if task.name == name)
        assert pod["metadata"]["labels"].items() >= labels_of(WORKFLOW, task).items()
        assert container["image"] == f"registry.example/tapeline/{name}:1.2.3"
        assert container["command"] == ["python", "-m", f"components.{name}"]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert (spec["automountServiceAccountToken"], spec["restartPolicy"]) == (False, "Never")
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert {item["name"]: item["valueFrom"] for item in container["env"]} == {
            "AWS_ACCESS_KEY_ID": {"secretKeyRef": {"name": "tapeline-store", "key": "accesskey"}},
            "AWS_SECRET_ACCESS_KEY": {"secretKeyRef": {"name": "tapeline-store", "key": "secretkey"}},
            "AWS_ENDPOINT_URL": {"configMapKeyRef": {"name": "tapeline-store", "key": "endpoint"}},
            "AWS_REGION": {"configMapKeyRef": {"name": "tapeline-store", "key": "region"}},
        } | ({
            variable: {"configMapKeyRef": {"name": "tapeline-store", "key": key, "optional": True}}
            for variable, key in (
                ("TAPELINE_MIRROR", "mirror"), ("HTTP_PROXY", "http-proxy"), ("HTTPS_PROXY", "https-proxy"),
                ("NO_PROXY", "no-proxy"),
            )
        } if name == "ingest" else {})  # fmt: skip
        mounts = {item["mountPath"]: item["name"] for item in container["volumeMounts"]}
        assert mounts == {"/tmp": "tmp"} | ({"/dev/shm": "shm"} if name == "train" else {})  # noqa: S108


def test_only_train_asks_for_a_gpu_and_its_node(pods):
    for name, pod in pods.items():
        spec = pod["spec"]
        resources = spec["containers"][0]["resources"]
        if name == "train":
            assert resources == {
                "requests": {"cpu": "1", "memory": "3Gi"},
                "limits": {"cpu": "8", "memory": "12Gi", "nvidia.com/gpu": "1"},
            }
            assert spec["nodeSelector"] == {"disk": "ssd"}
            assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}]
            assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}} in spec["volumes"]
        else:
            assert "nvidia.com/gpu" not in resources["limits"]
            assert not spec.get("nodeSelector")
            assert not spec.get("tolerations")
