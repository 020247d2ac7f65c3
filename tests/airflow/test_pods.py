# mypy: allow-untyped-defs, allow-untyped-calls
"""The pods as Kubernetes would be asked for them, without a cluster."""

import json
import os
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.cluster import labels_of
from dags.workflow import WORKFLOW
from tests.kubernetes import admission

KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "users": [{"name": "none", "user": {}}],
}  # fmt: skip


@pytest.fixture
def make(monkeypatch, tmp_path):
    """Return what makes the specification of each step's pod, as JSON, from some settings."""
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))

    def made(**settings):
        for name, value in (settings | {"RUNNER": "kubernetes"}).items():
            monkeypatch.setenv(f"TAPELINE_AIRFLOW_{name}", value)
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", '{"conn_type": "kubernetes"}')
        dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["tapeline"]
        found = {}
        for name in (task.name for task in WORKFLOW.tasks):
            task = dag.task_dict[name]
            task.config_file = str(tmp_path / "kubeconfig")
            found[name] = task.client.api_client.sanitize_for_serialization(task.build_pod_request_obj())
        return found

    return made


@pytest.fixture
def pods(make):
    return make(
        NAMESPACE="steps", REGISTRY="registry.example/tapeline", TAG="1.2.3", GPU_COUNT="1",
        NODE_SELECTOR='{"disk": "ssd"}', PULL_SECRET="registry",  # noqa: S106 - its name
        TOLERATIONS='[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}]',
    )  # fmt: skip


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
        assert [*admission.restricted(spec), *admission.restricted_v2(spec)] == []
        assert (spec["automountServiceAccountToken"], spec["restartPolicy"]) == (False, "Never")
        if task.launches:
            pod_name = {"fieldRef": {"fieldPath": "metadata.name"}}
            assert {"name": "TAPELINE_POD", "valueFrom": pod_name} in container["env"]
            container["env"].remove({"name": "TAPELINE_POD", "valueFrom": pod_name})
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert {item["name"]: item.get("valueFrom") or item["value"] for item in container["env"]} == {
            "AWS_ACCESS_KEY_ID": {"secretKeyRef": {"name": "tapeline-store", "key": "accesskey", "optional": True}},
            "AWS_SECRET_ACCESS_KEY": {"secretKeyRef": {"name": "tapeline-store", "key": "secretkey", "optional": True}},
            "AWS_SESSION_TOKEN": {"secretKeyRef": {"name": "tapeline-store", "key": "sessiontoken", "optional": True}},
            "AWS_ENDPOINT_URL": {"configMapKeyRef": {"name": "tapeline-store", "key": "endpoint"}},
            "AWS_REGION": {"configMapKeyRef": {"name": "tapeline-store", "key": "region"}},
        } | {
            variable: {"configMapKeyRef": {"name": "tapeline-store", "key": key, "optional": True}}
            for variable, key in (
                ("HTTP_PROXY", "http-proxy"), ("HTTPS_PROXY", "https-proxy"), ("NO_PROXY", "no-proxy"),
                ("MLFLOW_TRACKING_URI", "tracking-uri"), ("MLFLOW_EXPERIMENT_NAME", "tracking-experiment"),
                *([("TAPELINE_MIRROR", "mirror")] if name == "ingest" else []),
            )
        } | {
            f"MLFLOW_TRACKING_{key.upper()}": {
                "secretKeyRef": {"name": "tapeline-store", "key": f"tracking-{key}", "optional": True}
            }
            for key in ("username", "password", "token")
        } | ({
            "TAPELINE_REGISTRY": "s3://tapeline/airflow/registry", "TAPELINE_RUN": "{{ dag.dag_id }}/{{ run_id }}",
        } if task.fresh else {})  # fmt: skip
        mounts = {item["mountPath"]: item["name"] for item in container["volumeMounts"]}
        assert mounts == {"/tmp": "tmp"} | ({"/dev/shm": "shm"} if name == "train" else {})  # noqa: S108


def test_only_a_step_that_starts_workers_has_a_token_and_only_on_request(make):
    pods = make(WORKERS="true")
    assert [name for name, pod in pods.items() if pod["spec"]["automountServiceAccountToken"]] == ["train"]


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


BESIDES: dict[str, Any] = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"inject": "false"}},
    "spec": {
        "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "ours", "operator": "Exists"}],
        "priorityClassName": "low", "imagePullSecrets": [{"name": "registry"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}]}}},
        "securityContext": {"runAsNonRoot": True, "supplementalGroups": [7]},
        "volumes": [{"name": "ca", "configMap": {"name": "corporate"}}],
        "containers": [{
            "name": "base", "imagePullPolicy": "Always", "envFrom": [{"configMapRef": {"name": "more"}}],
            "env": [{"name": "AWS_REGION", "value": "eu"}, {"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
            "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
        }],
    },
}  # fmt: skip


def test_what_a_deployment_adds_is_in_each_pod_beside_what_a_step_has_itself(make):
    own = {"IMAGES": '{"train": "registry.example/train:7"}', "NODE_SELECTOR": '{"disk": "ssd"}'}
    pods = make(POD=json.dumps(BESIDES), TOLERATIONS='[{"key": "gpu", "operator": "Exists"}]', **own)
    for name, pod in pods.items():
        spec, gpu = pod["spec"], name == "train"
        (container,) = spec["containers"]
        assert container["image"] == ("registry.example/train:7" if gpu else f"tapeline/{name}:dev")
        assert {"team": "vision", "app.kubernetes.io/component": name}.items() <= pod["metadata"]["labels"].items()
        assert pod["metadata"]["annotations"] == {"inject": "false"}
        assert spec["nodeSelector"] == {"zone": "a"} | ({"disk": "ssd"} if gpu else {})
        assert [each["key"] for each in spec["tolerations"]] == ["ours", *(["gpu"] if gpu else [])]
        for key in ("priorityClassName", "imagePullSecrets", "affinity", "securityContext"):
            assert spec[key] == BESIDES["spec"][key]
        assert BESIDES["spec"]["volumes"][0] in spec["volumes"]
        assert {each["mountPath"] for each in container["volumeMounts"]} >= {"/ca", "/tmp"}  # noqa: S108
        assert (container["imagePullPolicy"], container["envFrom"]) == ("Always", [{"configMapRef": {"name": "more"}}])
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        names = [each["name"] for each in container["env"]]
        assert len(names) == len(set(names))
        assert BESIDES["spec"]["containers"][0]["env"][0] in container["env"]


def test_a_key_that_no_pod_has_is_refused_rather_than_dropped(monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_RUNNER", "kubernetes")
    monkeypatch.setenv("TAPELINE_AIRFLOW_POD", '{"spec": {"tolerations": [{"key": "a"}, {"kye": "b"}]}}')
    (trace,) = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors.values()
    assert trace.rstrip().endswith("BadInput: TAPELINE_AIRFLOW_POD: spec.tolerations.1.kye: a Pod has no such key")
