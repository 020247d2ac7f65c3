# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: S108 - the paths are those in pods
"""The pods of workers: made from that of the step, read when they end, without a cluster."""

from typing import Any

import pytest

from components.contract.errors import BadInput
from components.train.workers.job import end_of
from components.train.workers.pod import template, why

COMMAND = ["python", "-m", "components.train", "--workers=3"]
VARIABLES = [{"name": "TAPELINE_RENDEZVOUS", "value": "10.0.0.7:4000"}]
SECRET = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "tapeline-store", "key": "accesskey"}}}
POD = {"name": "TAPELINE_POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
TOKEN = {
    "name": "kube-api-access-x7k2p",
    "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]},
}  # fmt: skip
CLOUD = {"name": "aws-iam-token", "projected": {"sources": [
    {"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}},
]}}  # fmt: skip
TOKEN_MOUNT = {
    "name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True,
}  # fmt: skip
CLOUD_MOUNT = {"name": "aws-iam-token", "mountPath": "/var/run/secrets/eks.amazonaws.com", "readOnly": True}
CA = {"name": "ca", "configMap": {"name": "corporate", "defaultMode": 420}}
CA_MOUNT = {"name": "ca", "mountPath": "/etc/tapeline/ca", "readOnly": True}
LIMITS = {"limits": {"cpu": "8", "memory": "12Gi", "nvidia.com/gpu": "1"}, "requests": {"cpu": "1", "memory": "3Gi"}}
TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
HARMLESS = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
HARMLESS_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}

# As Airflow's KubernetesPodOperator makes it with the settings of the chart, and Kubernetes keeps it.
AIRFLOW: dict[str, Any] = {
    "metadata": {
        "name": "tapeline-train-ab12cd34", "namespace": "tapeline", "uid": "1-2-3",
        "labels": {
            "airflow_kpo_in_cluster": "True", "airflow_version": "3.3.2", "dag_id": "tapeline", "run_id": "manual__1",
            "kubernetes_pod_operator": "True", "task_id": "train", "try_number": "1", "team": "vision",
            "app.kubernetes.io/part-of": "tapeline", "app.kubernetes.io/component": "train", "tapeline/workers": "true",
        },
        "annotations": {"sidecar.istio.io/inject": "false", "cni.projectcalico.org/podIP": "10.0.0.7/32"},
    },
    "spec": {
        "automountServiceAccountToken": True, "serviceAccount": "tapeline-step", "serviceAccountName": "tapeline-step",
        "nodeName": "gpu-1", "priority": 0, "preemptionPolicy": "PreemptLowerPriority", "restartPolicy": "Never",
        "enableServiceLinks": True, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "ssd"}, "tolerations": TOLERATIONS, "securityContext": HARMLESS_POD,
        "volumes": [
            {"name": "tmp", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            CA, TOKEN, CLOUD,
        ],
        "containers": [{
            "name": "base", "image": "r.example/train:7", "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-m", "components.train"], "args": ["--dataset=s3://b/d", "--workers=3"],
            "env": [POD, SECRET, {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow"}],
            "envFrom": [{"secretRef": {"name": "proxy"}}], "resources": LIMITS, "securityContext": HARMLESS,
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"},
                             CA_MOUNT, TOKEN_MOUNT, CLOUD_MOUNT],
        }],
    },
    "status": {"podIP": "10.0.0.7"},
}  # fmt: skip
WORKER = {
    "metadata": {
        "labels": {
            "team": "vision", "app.kubernetes.io/part-of": "tapeline", "app.kubernetes.io/component": "train",
            "tapeline/workers": "true",
        },
        "annotations": {"sidecar.istio.io/inject": "false"},
    },
    "spec": {
        "serviceAccountName": "tapeline-step", "automountServiceAccountToken": False, "restartPolicy": "Never",
        "enableServiceLinks": True, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "imagePullSecrets": [{"name": "registry"}], "nodeSelector": {"disk": "ssd"}, "tolerations": TOLERATIONS,
        "securityContext": HARMLESS_POD,
        "volumes": [
            {"name": "tmp", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            CA, CLOUD,
        ],
        "containers": [{
            "name": "worker", "image": "r.example/train:7", "imagePullPolicy": "IfNotPresent", "command": COMMAND,
            "env": [SECRET, *VARIABLES], "envFrom": [{"secretRef": {"name": "proxy"}}], "resources": LIMITS,
            "securityContext": HARMLESS, "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"},
                             CA_MOUNT, CLOUD_MOUNT],
        }],
    },
}  # fmt: skip
# As Argo and Kubeflow's launcher have it: the step's command is behind theirs, with folders to hand files over.
KUBEFLOW: dict[str, Any] = {
    "metadata": {
        "name": "tapeline-x7k2p-system-container-impl-3141592653", "namespace": "kubeflow", "uid": "1-2-3",
        "labels": {
            "pipeline/runid": "5-6", "pipelines.kubeflow.org/v2_component": "true",
            "workflows.argoproj.io/completed": "false", "workflows.argoproj.io/workflow": "tapeline-x7k2p",
            "app.kubernetes.io/part-of": "tapeline", "tapeline/workers": "true",
        },
        "annotations": {
            "kubectl.kubernetes.io/default-container": "main", "pipelines.kubeflow.org/component_ref": "{}",
            "workflows.argoproj.io/node-name": "tapeline-x7k2p.root.train", "sidecar.istio.io/inject": "false",
        },
    },
    "spec": {
        "serviceAccountName": "pipeline-runner", "restartPolicy": "Never", "nodeName": "n",
        "initContainers": [{"name": "init", "image": "argoexec"}, {"name": "kfp-launcher", "image": "kfp-launcher"}],
        "volumes": [
            {"name": "var-run-argo", "emptyDir": {}}, {"name": "kfp-launcher", "emptyDir": {}},
            {"name": "minio-scratch", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}, TOKEN,
        ],
        "containers": [
            {"name": "wait", "image": "argoexec", "env": [{"name": "ARGO_TEMPLATE", "value": "{}"}]},
            {
                "name": "main", "image": "r.example/train:7",
                "command": ["/var/run/argo/argoexec", "emissary", "--", "/kfp-launcher/launch"],
                "env": [{"name": "ARGO_TEMPLATE", "value": "{}"}, {"name": "KFP_POD_NAME", "value": "p"},
                        {"name": "METADATA_GRPC_SERVICE_HOST", "value": "m"}, POD, SECRET],
                "envFrom": [{"configMapRef": {"name": "metadata-grpc-configmap", "optional": True}}],
                "resources": LIMITS,
                "volumeMounts": [
                    {"name": "var-run-argo", "mountPath": "/var/run/argo"},
                    {"name": "kfp-launcher", "mountPath": "/kfp-launcher"},
                    {"name": "minio-scratch", "mountPath": "/minio"}, {"name": "shm", "mountPath": "/dev/shm"},
                    TOKEN_MOUNT,
                ],
            },
        ],
    },
}  # fmt: skip


def test_a_worker_is_what_the_step_is_in_airflow_without_what_airflow_finds_its_pods_by():
    assert template(AIRFLOW, COMMAND, VARIABLES) == WORKER


def test_in_kubeflow_what_its_launcher_added_is_left_out():
    made = template(KUBEFLOW, COMMAND, VARIABLES)
    assert made == {
        "metadata": {
            "labels": {"app.kubernetes.io/part-of": "tapeline", "tapeline/workers": "true"},
            "annotations": {"sidecar.istio.io/inject": "false"},
        },
        "spec": {
            "serviceAccountName": "pipeline-runner", "automountServiceAccountToken": False, "restartPolicy": "Never",
            "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "tmp-of-worker", "emptyDir": {}}],
            "containers": [{
                "name": "worker", "image": "r.example/train:7", "command": COMMAND, "env": [SECRET, *VARIABLES],
                "envFrom": [{"configMapRef": {"name": "metadata-grpc-configmap", "optional": True}}],
                "resources": LIMITS, "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"},
                                 {"name": "tmp-of-worker", "mountPath": "/tmp"}],
            }],
        },
    }  # fmt: skip


def test_a_container_that_cannot_be_told_from_others_is_asked_for():
    containers = [{"name": "one", "image": "i"}, {"name": "two", "image": "i"}]
    with pytest.raises(BadInput, match="which container of one, two is the step's"):
        template({"metadata": {}, "spec": {"containers": containers}}, COMMAND, VARIABLES)


def ended(exit_code, message="", **more):
    state = {"exitCode": exit_code, "message": message} | more
    return {"status": {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": state}}]}}


def test_how_a_worker_ended_is_what_its_pod_says():
    ends = {
        "worker 1 of 3 ended with code 2: epochs: 0 is too few": ended(2, "train: epochs: 0 is too few\n"),
        "worker 1 of 3 was ended by SIGKILL": ended(137),
        "worker 1 of 3 is lost: Evicted: The node was low on resource: memory.": {
            "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        },
        "worker 1 of 3 is lost: DeletionByTaintManager: Taint manager: deleting due to NoExecute taint": {
            "status": {"phase": "Failed", "conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint",
            }]}
        },
    }  # fmt: skip
    for sentence, pod in ends.items():
        assert str(end_of("worker 1 of 3", pod)) == sentence
    assert [end_of("w", pod).may_pass for pod in ends.values()] == [False, True, True, True]
    full = end_of("worker 1 of 3", ended(137, reason="OOMKilled"))
    assert not full.may_pass
    assert str(full).startswith("worker 1 of 3 was ended: OOMKilled, it took more than it may; give it more memory")


def test_why_a_worker_does_not_come_is_in_kubernetes_words():
    unscheduled = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    }  # fmt: skip
    pulled = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "r.example/train:7"'}}
    assert why({"status": {"conditions": [unscheduled]}}) == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
    assert why({"status": {"containerStatuses": [{"name": "worker", "state": pulled}]}}) == (
        'ImagePullBackOff: Back-off pulling image "r.example/train:7"'
    )
