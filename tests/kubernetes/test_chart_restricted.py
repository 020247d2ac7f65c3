# mypy: allow-untyped-defs, allow-untyped-calls
"""What strict clusters admit of the chart: their schemas, their rules on rights, what every pod is to have."""

from functools import cache

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from dags.cluster import Cluster
from tests.kubernetes import admission
from tests.kubernetes.chart import (
    CASES,
    EXTERNAL,
    OPENSHIFT,
    SHARED,
    VERSIONS,
    containers,
    named,
    needs_helm,
    pods,
    render,
)
from tests.kubernetes.cluster import CHART, ROOT

pytestmark = needs_helm
NO_GROUP = {"podSecurityContext": {"fsGroup": None}}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_what_the_schemas_of_kubernetes_say(version, monkeypatch):
    monkeypatch.setattr(utils, "schema_contents", cache(utils.schema_contents))  # read for each object otherwise
    seen = set()
    for name, values in CASES.items():
        for each in render(values, version=version):
            text = yaml.dump(each)
            if text not in seen:
                kubernetes_validate.validate(each, version, strict=True), name
            seen.add(text)
    assert len(seen) > 80
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dats": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="'dats' was unexpected"):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_oldest_and_the_newest_kubernetes_are_those_of_the_chart():
    said = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert said == f">={VERSIONS[0]}-0"
    assert VERSIONS[1] == f"{kubernetes_validate.latest_version()}"


@pytest.mark.parametrize("case", [name for name in CASES if name != "no rights said"])
def test_every_pod_passes_pod_security_and_restricted_v2(case):
    for name, pod in pods(render(CASES[case])):
        assert list(admission.restricted(pod["spec"])) == [], name
    for objects in (render(CASES[case] | NO_GROUP), *(render(CASES[case], apis=(api,)) for api in OPENSHIFT)):
        found = dict(pods(objects))
        assert "tapeline-test-store" in found
        for name, pod in found.items():
            assert list(admission.restricted_v2(pod["spec"])) == [], name
            assert list(admission.restricted(pod["spec"])) == [], name
        for each in objects:
            for setting, text in each.get("data", {}).items():
                assert not setting.endswith("_POD") or "65532" not in text


def test_a_group_that_was_chosen_is_kept_on_openshift():
    objects = render({"podSecurityContext": {"fsGroup": 1000650007, "runAsUser": 1000650007}}, apis=OPENSHIFT)
    contexts = [pod["spec"]["securityContext"] for _, pod in pods(objects)]
    assert {(each["fsGroup"], each["runAsUser"]) for each in contexts} == {(1000650007, 1000650007)}


def test_a_key_or_all_rights_can_be_taken_away():
    for _, pod in pods(render({"podSecurityContext": None, "securityContext": {"readOnlyRootFilesystem": None}})):
        assert "securityContext" not in pod["spec"]
        for container in containers(pod):
            assert set(container["securityContext"]) == {"allowPrivilegeEscalation", "capabilities"}


def test_the_pod_that_runs_airflow_once_is_admitted_everywhere():
    pod = yaml.safe_load((ROOT / "helm/one-run.yaml").read_text())
    assert list(admission.restricted(pod["spec"])) == []
    assert list(admission.restricted_v2(pod["spec"])) == []


GOOD = {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
RIGHTS = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("pod", "container", "said"),
    [
        ({"hostNetwork": True}, {}, "hostNetwork is true"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, "volumes: hostPath is not allowed"),
        ({"securityContext": RIGHTS | {"fsGroup": 65532}}, {}, "fsGroup: 65532 is not in the namespace's range"),
        ({"securityContext": RIGHTS | {"runAsUser": 65532}}, {}, "c: runAsUser: 65532 is not in the namespace's range"),
        ({"securityContext": RIGHTS | {"sysctls": [{"name": "kernel.sem"}]}}, {}, "sysctls: kernel.sem is not allowed"),
        ({"securityContext": {"runAsNonRoot": True}}, {}, "c: there is no seccompProfile"),
        ({}, {"securityContext": {"runAsNonRoot": False}}, "c: runAsNonRoot is not true"),
        ({}, {"securityContext": {"privileged": True}}, "c: privileged is true"),
        ({}, {"securityContext": {"allowPrivilegeEscalation": True}}, "c: allowPrivilegeEscalation is true"),
        ({}, {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "c: capabilities add SYS_ADMIN"),
        ({}, {"securityContext": {"seLinuxOptions": {"level": "s0"}}}, "c: seLinuxOptions are not the namespace's"),
        ({}, {"ports": [{"hostPort": 80}]}, "c: a hostPort is given"),
    ],
)
def test_the_rules_themselves_refuse(pod, container, said):
    whole = {"securityContext": RIGHTS, "containers": [GOOD]}
    assert [*admission.restricted(whole), *admission.restricted_v2(whole)] == []
    wrong = whole | {"containers": [GOOD | container]} | pod
    assert said in [*admission.restricted(wrong), *admission.restricted_v2(wrong)]


def test_every_pod_has_what_all_pods_are_to_have():
    objects = render(CASES["shared"])
    found = dict(pods(objects))
    assert len(found) == 5
    for pod in found.values():
        spec = pod["spec"]
        assert pod["metadata"]["labels"]["team"] == "vision"
        assert pod["metadata"]["annotations"]["inject"] == "false"
        for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"):
            assert spec[key] == SHARED[key]
        assert (spec["runtimeClassName"], spec["serviceAccountName"]) == ("gvisor", "tapeline-step")
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
        assert {"name": "ca", "configMap": {"name": "corporate"}} in spec["volumes"]
        for container in containers(pod):
            assert (container["imagePullPolicy"], container["envFrom"]) == ("Always", SHARED["extraEnvFrom"])
            environment = {each["name"]: each for each in container["env"]}
            assert len(environment) == len(container["env"])
            assert environment["KEY"] == SHARED["extraEnv"][1]
            assert environment["AWS_REGION"] == SHARED["extraEnv"][0]
            assert environment["SSL_CERT_FILE"]["value"] == "/etc/tapeline/ca/bundle.pem"
            assert environment["AWS_CA_BUNDLE"]["value"] == "/etc/tapeline/ca/bundle.pem"
            assert {"name": "ca", "mountPath": "/etc/tapeline/ca", "readOnly": True} in container["volumeMounts"]


def test_the_steps_are_told_of_the_way_out_and_no_host_of_the_cluster_is_behind_a_proxy():
    for case in ("shared", "shared, with a store elsewhere"):
        objects = render(CASES[case])
        data = named(objects, "ConfigMap", "tapeline-store", "steps")["data"]
        assert (data["http-proxy"], data["https-proxy"]) == ("http://proxy:3128", "http://proxy:3129")
        assert {".svc", ".kubeflow", ".corp"} < set(data["no-proxy"].split(","))
        assert data["checkpoints"] == "s3://tapeline/checkpoints"
        assert (data["tracking-uri"], data["tracking-experiment"]) == ("http://mlflow.mlflow:5000/sub", "digits")
        policy = named(objects, "NetworkPolicy", "tapeline-workflow", "steps")["spec"]["egress"]
        assert {3128, 3129, 5000} < {port["port"] for rule in policy for port in rule["ports"]}
        assert policy[-1] == {"ports": [{"port": 8080, "endPort": 8090}]}
        job = next(pod for name, pod in pods(objects) if "buckets" in name)
        environment = {each["name"]: each.get("value") for each in containers(job)[0]["env"]}
        assert environment["HTTPS_PROXY"] == "http://proxy:3129"
        assert environment["NO_PROXY"] == data["no-proxy"]


def test_a_role_takes_the_place_of_a_secret():
    objects = render(CASES["role"])
    assert "secretKeyRef" not in yaml.dump([pod for _, pod in pods(objects)])
    for name, place in (("tapeline-step", "here"), ("tapeline-step", "steps"), ("tapeline-airflow", "airflow")):
        account = named(objects, "ServiceAccount", name, place)
        assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/tapeline"}
    policy = named(objects, "NetworkPolicy", "tapeline-workflow", "here")["spec"]["egress"]
    assert {"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}], "ports": [{"port": 80, "protocol": "TCP"}]} in policy
    with_secret = named(render(EXTERNAL), "NetworkPolicy", "tapeline-workflow", "here")["spec"]["egress"]
    assert "169.254" not in yaml.dump(with_secret)


def test_what_kubeflow_is_told_of_its_pods_is_what_it_can_say():
    (compiles,) = named(render(CASES["shared"]), "Job", "tapeline-register")["spec"]["template"]["spec"][
        "initContainers"
    ]
    (said,) = (each.partition("=")[2] for each in compiles["args"] if each.startswith("--default=pod="))
    pod = Cluster.checked({"pod": said.partition("=")[2]}).pod
    assert pod["metadata"] == {"labels": {"team": "vision"}, "annotations": {"inject": "false"}}
    assert set(pod["spec"]) == {"nodeSelector", "tolerations", "imagePullSecrets", "volumes", "containers"}
    (container,) = pod["spec"]["containers"]
    assert set(container) == {"name", "imagePullPolicy", "env", "volumeMounts"}
