# mypy: allow-untyped-defs, allow-untyped-calls
"""What the chart renders to, without a cluster."""

import json
import re

import pytest
import yaml

from components.contract.rendezvous import LABEL, NUMBER, PLACE
from components.train.workers.pod import NODE
from components.train.workers.trainjob import RUNTIME
from dags.airflow_settings import PREFIX, Settings
from dags.cluster import CONFIG_KEYS, REGISTRY_KEYS, SECRET_KEYS, TOKEN_KEYS, UI_KEYS, Cluster, labels_of
from dags.workflow import WORKFLOW
from tests.containers import images
from tests.kubernetes import admission
from tests.kubernetes.chart import CASES, EVERYTHING, EXTERNAL, containers, named, needs_helm, pods, render
from tests.kubernetes.cluster import CHART, ROOT

pytestmark = needs_helm
ENDPOINT = "http://tapeline-store.here.svc:9000"
ASKED = {
    "parameters": {"epochs": 3},
    "gpu": {"count": 2, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}], "cpu": 4, "memory": "16Gi"},
}
ELSEWHERE = {"images": {"registry": "r.example/t", "tag": "v7"}}


@pytest.fixture(params=["seaweedfs", "minio", "external", "bare"])
def objects(request):
    return render(CASES[request.param])


def test_nothing_that_runs_has_a_right_too_many(objects):
    found = dict(pods(objects))
    assert "tapeline-test-store" in found
    for name, pod in found.items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"] == {
            "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
            "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
        }  # fmt: skip
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["limits"]["memory"]
            assert container["image"].endswith(":0.1.0")


def test_secrets_are_only_references(objects):
    for name, pod in pods(objects):
        for container in containers(pod):
            for variable in container["env"]:
                if "KEY" in variable["name"] or "ROOT" in variable["name"] or "TOKEN" in variable["name"]:
                    assert set(variable) == {"name", "valueFrom"}, (name, variable["name"])
    made = [each for each in objects if each["kind"] == "Secret"]
    assert {len(each["data"]["secretkey"]) > 50 for each in made} <= {True}


def test_every_namespace_that_needs_the_secret_has_it_and_no_other():
    objects = render(EVERYTHING)
    secrets = {each["metadata"]["namespace"]: each["data"] for each in objects if each["kind"] == "Secret"}
    assert sorted(secrets) == ["airflow", "here", "steps"]
    assert secrets["airflow"] == secrets["here"] == secrets["steps"]
    assert not [each for each in render(EXTERNAL) if each["kind"] == "Secret"]
    assert set(secrets["here"]) == set(SECRET_KEYS)
    maps = [
        each["data"] for each in objects if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "tapeline-store")
    ]
    assert (
        maps
        == [
            {
                "endpoint": ENDPOINT,
                "region": "us-east-1",
                "checkpoints": "s3://tapeline/checkpoints",
                "registry": "s3://tapeline/registry",
            }
        ]
        * 2
    )
    (job,) = (pod for name, pod in pods(objects) if "buckets" in name)
    environment = containers(job)[0]["env"]
    by_reference = {
        (source["key"], each["name"]) for each in environment for source in each.get("valueFrom", {}).values()
    }
    assert by_reference == {*SECRET_KEYS.items(), *TOKEN_KEYS.items()}
    by_value = {each["name"]: each["value"] for each in environment if "value" in each}
    assert by_value == {CONFIG_KEYS["endpoint"]: ENDPOINT, CONFIG_KEYS["region"]: "us-east-1"}


def test_airflow_may_start_pods_in_the_steps_namespace_and_nothing_else():
    objects = render(EVERYTHING)
    role = named(objects, "Role", "tapeline-airflow")
    assert role["metadata"]["namespace"] == "steps"
    assert {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]} == {
        "pods": ["create", "get", "list", "watch", "patch", "delete"], "pods/log": ["get"], "events": ["list", "watch"],
    }  # fmt: skip
    (subject,) = named(objects, "RoleBinding", "tapeline-airflow")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "tapeline-airflow", "namespace": "airflow"}
    assert not [each for each in objects if each["kind"].startswith("Cluster")]


def test_a_step_may_start_workers_in_its_namespace_where_a_value_says_so_and_nothing_else():
    assert not [each for each in render(CASES["bare"]) if each["metadata"]["name"] == "tapeline-workers"]
    objects = render(EVERYTHING | {"workers": {"enabled": True, "accounts": ["mine"]}})
    role = named(objects, "Role", "tapeline-workers")
    assert role["metadata"]["namespace"] == "steps"
    assert {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]} == {
        "jobs": ["create", "delete"], "pods": ["get", "list"], "pods/log": ["get"], "events": ["list"],
    }  # fmt: skip
    role = named(render({"workers": {"enabled": True, "trainJobs": True}}), "Role", "tapeline-workers")
    assert {"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainjobs"], "verbs": ["create", "delete"]} in role[
        "rules"
    ]
    subjects = named(objects, "RoleBinding", "tapeline-workers")["subjects"]
    assert subjects == [
        {"kind": "ServiceAccount", "name": name, "namespace": "steps"}
        for name in ("tapeline-step", "mine", "pipeline-runner")
    ]
    profile = render({"workers": {"enabled": True}, "kubeflow": {"enabled": True, "profile": "ann"}})
    subjects = named(profile, "RoleBinding", "tapeline-workers")["subjects"]
    assert [each["name"] for each in subjects] == ["tapeline-step", "default-editor"]


def test_a_trainjobs_nodes_are_workers_that_find_each_other():
    runtime = yaml.safe_load((ROOT / "helm/training-runtime.yaml").read_text())
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]
    (container,) = containers(pod)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert (job["name"], container["name"], container["image"]) == (NODE, NODE, f"tapeline/train:{version}")
    (task,) = (task for task in WORKFLOW.tasks if task.launches)
    assert container["command"] == task.component.command
    assert [*admission.restricted(pod["spec"]), *admission.restricted_v2(pod["spec"])] == []
    assert LABEL.items() < pod["metadata"]["labels"].items()
    given = {each["name"]: each.get("value") for each in container["env"]}
    assert given == {
        "TAPELINE_JOBSET": None,
        PLACE: "$(TAPELINE_JOBSET)-node-0-0.$(TAPELINE_JOBSET):7077",
        NUMBER: None,
    }
    assert runtime["metadata"]["name"] == RUNTIME


def test_workers_reach_each_other_and_nobody_else_reaches_them():
    policy = named(render(EVERYTHING), "NetworkPolicy", "tapeline-workers", "steps")["spec"]
    workers = {"podSelector": policy["podSelector"]}
    assert policy["ingress"] == [{"from": [workers]}]
    assert policy["egress"][0] == {"to": [workers]}
    (task,) = (task for task in WORKFLOW.tasks if task.launches)
    others = [labels_of(WORKFLOW, other) for other in WORKFLOW.tasks if other != task]
    wanted = policy["podSelector"]["matchLabels"].items()
    assert wanted <= labels_of(WORKFLOW, task).items()
    assert not [labels for labels in others if wanted <= labels.items()]
    assert LABEL.items() <= wanted


def test_the_dags_understand_their_configuration():
    objects = render(EVERYTHING | ASKED)
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    settings = Settings.from_environment(
        WORKFLOW, {name: text for name, text in data.items() if name.startswith(PREFIX)}
    )
    assert settings.runner == "kubernetes"
    assert (settings.namespace, settings.service_account) == ("steps", "tapeline-step")
    assert settings.workers
    assert (settings.gpu_count, settings.node_selector) == (2, {"disk": "ssd"})
    assert settings.tolerations == [{"key": "gpu"}]
    assert settings.parameters == {"epochs": 3}
    assert data["AWS_ENDPOINT_URL"] == ENDPOINT
    (registry,) = REGISTRY_KEYS.values()
    assert data[registry] == "s3://tapeline/registry"


def test_a_run_in_kubeflow_tells_how_it_ended_where_a_secret_says_to_whom():
    ((key, _),) = UI_KEYS.items()
    for values, flags, ui in (
        ({}, [], set()),
        ({"noticeSecret": "hook", "ui": "https://k"}, ["--notice=hook"], {"https://k"}),
    ):
        objects = render({"kubeflow": {"enabled": True} | values})
        (compiles,) = named(objects, "Job", "tapeline-register")["spec"]["template"]["spec"]["initContainers"]
        assert [each for each in compiles["args"] if each.startswith("--notice")] == flags
        maps = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
        assert {each[key] for each in maps if key in each} == ui


def test_the_registry_is_in_the_first_bucket_or_where_a_value_says():
    for values, place in (({"buckets": ["one", "two"]}, "s3://one/registry"), ({"registry": "s3://x/y"}, "s3://x/y")):
        objects = render(EVERYTHING | {"store": values})
        data = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
        ((key, name),) = REGISTRY_KEYS.items()
        assert {each.get(key) or each[name] for each in data} == {place}


def test_what_airflows_own_chart_is_told_to_use_is_made_here():
    objects = render(EVERYTHING)
    values = yaml.safe_load((ROOT / "helm/airflow-values.yaml").read_text())
    there = {(each["kind"], each["metadata"]["name"]) for each in objects
             if each["metadata"].get("namespace") == "airflow"}  # fmt: skip
    used = {("ServiceAccount", values[each]["serviceAccount"]["name"]) for each in ("scheduler", "triggerer")}
    used |= {("ConfigMap", each["configMapRef"]["name"]) for each in yaml.safe_load(values["extraEnvFrom"])}
    used |= {("Secret", each["secretName"]) for each in values["secret"]}
    assert used == there
    assert {each["secretKey"] for each in values["secret"]} == set(SECRET_KEYS)
    assert {each["envName"] for each in values["secret"]} == set(SECRET_KEYS.values())
    (pod,) = yaml.safe_load_all((ROOT / "helm/one-run.yaml").read_text())
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert pod["spec"]["containers"][0]["image"] == f"tapeline/airflow:{version}"
    assert values["images"]["airflow"]["tag"] == version


@pytest.mark.parametrize("case", ["seaweedfs", "minio", "external"])
def test_every_image_is_one_of_the_list_and_the_chart_names_none_of_a_step(case):
    objects = render(CASES[case] | ELSEWHERE)
    found = {container["image"] for _, pod in pods(objects) for container in containers(pod)}
    assert found <= {f"r.example/t/{name}:v7" for name in images()}
    text = "".join(path.read_text() for path in sorted(CHART.rglob("templates/**/*")) if path.is_file())
    assert [task.name for task in WORKFLOW.tasks if re.search(rf"\b{task.name}\b", text)] == []
    default = json.loads((CHART / "values.schema.json").read_text())["properties"]["jobs"]["properties"]["image"]
    assert default["default"] in images("step")


def test_kubeflow_and_airflow_are_told_where_the_images_are_and_what_the_cluster_is_asked_for():
    objects = render(EVERYTHING | ELSEWHERE | ASKED)
    (compiles,) = named(objects, "Job", "tapeline-register")["spec"]["template"]["spec"]["initContainers"]
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    assert {"--registry=r.example/t", "--tag=v7", "--default=epochs=3"} < set(compiles["args"])
    assert (data[f"{PREFIX}REGISTRY"], data[f"{PREFIX}TAG"]) == ("r.example/t", "v7")
    asked = {
        "gpu_count": "2", "gpu_resource": "nvidia.com/gpu", "node_selector": '{"disk":"ssd"}',
        "tolerations": '[{"key":"gpu"}]', "s3_secret": "tapeline-store", "s3_config": "tapeline-store",
        "cpu": "4", "memory": "16Gi",
    }  # fmt: skip
    assert {*asked, "pod"} == set(Cluster.model_fields)
    assert {f"--default={name}={text}" for name, text in asked.items()} < set(compiles["args"])
    assert {name: data[f"{PREFIX}{name.upper()}"] for name in asked} == asked


@pytest.mark.parametrize(("case", "ports"), [("seaweedfs", [9000]), ("external", [8443])])
def test_traffic_is_denied_but_for_what_is_needed(case, ports):
    objects = [each for each in render(CASES[case]) if each["kind"] == "NetworkPolicy"]
    for place in ("here", "steps"):
        mine = {each["metadata"]["name"]: each["spec"] for each in objects
                if each["metadata"].get("namespace", "here") == place}  # fmt: skip
        assert mine["tapeline-default-deny"] == {
            "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "tapeline"}},
            "policyTypes": ["Ingress", "Egress"],
        }
        dns, *store = mine["tapeline-workflow"]["egress"]
        assert {port["port"] for port in dns["ports"]} == {53}
        assert [port["port"] for rule in store for port in rule["ports"]] == ports
        (task,) = (task for task in WORKFLOW.tasks if task.downloads)
        assert mine["tapeline-downloads"]["podSelector"]["matchLabels"].items() <= labels_of(WORKFLOW, task).items()
        assert mine["tapeline-default-deny"]["podSelector"]["matchLabels"].items() <= labels_of(WORKFLOW, task).items()
    assert not [each for each in render(CASES["no rights said"]) if each["kind"] == "NetworkPolicy"]


def test_every_value_is_described_and_nothing_else_is_accepted():
    def walk(path, schema):
        for name, value in schema["properties"].items():
            assert value["description"], (*path, name)
            if value["type"] == "object" and "default" not in value:
                assert value["additionalProperties"] is False, (*path, name)
                walk((*path, name), value)

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    walk((), schema)
