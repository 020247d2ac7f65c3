# mypy: allow-untyped-defs, allow-untyped-calls
"""What the chart renders to, and what it says of wrong values; all without a cluster."""

import json
import re

import pytest
import yaml

from dags.airflow_settings import PREFIX, Settings
from dags.cluster import CONFIG_KEYS, SECRET_KEYS, Cluster, labels_of
from dags.workflow import WORKFLOW
from tests.containers import images
from tests.kubernetes.cluster import CHART, RELEASE, ROOT, Failed, call, template

EVERYTHING = ("kubeflow.enabled=true", "airflow.enabled=true", "airflow.namespace=airflow", "steps.namespace=steps")
EXTERNAL = ("store.kind=external", "store.endpoint=https://s3.example:8443", "store.existingSecret=mine")
ELSEWHERE = ("images.registry=r.example/t", "images.tag=v7")
CASES = {
    "seaweedfs": EVERYTHING,
    "minio": (*EVERYTHING, "store.kind=minio"),
    "external": (*EVERYTHING, *EXTERNAL),
    "bare": (),
}


@pytest.fixture(params=CASES)
def objects(request):
    return [document for document in yaml.safe_load_all(template(*CASES[request.param])) if document]


def named(objects, kind, name):
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pods(objects):
    """Yield the name and specification of everything that runs."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]
        elif "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def test_nothing_that_runs_has_a_right_too_many(objects):
    found = dict(pods(objects))
    assert "tapeline-test-store" in found
    for name, pod in found.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["limits"]["memory"]
            assert container["image"].endswith(":0.1.0")


def test_secrets_are_only_references(objects):
    for name, pod in pods(objects):
        for container in pod["containers"] + pod.get("initContainers", []):
            for variable in container.get("env", []):
                if "KEY" in variable["name"] or "ROOT" in variable["name"] or "TOKEN" in variable["name"]:
                    assert set(variable) == {"name", "valueFrom"}, (name, variable["name"])
    made = [each for each in objects if each["kind"] == "Secret"]
    assert {len(each["data"]["secretkey"]) > 50 for each in made} <= {True}


def test_every_namespace_that_needs_the_secret_has_it_and_no_other():
    objects = list(yaml.safe_load_all(template(*EVERYTHING)))
    secrets = {each["metadata"]["namespace"]: each["data"] for each in objects if each["kind"] == "Secret"}
    assert sorted(secrets) == ["airflow", "here", "steps"]
    assert secrets["airflow"] == secrets["here"] == secrets["steps"]
    assert not [each for each in yaml.safe_load_all(template(*EXTERNAL)) if each["kind"] == "Secret"]
    assert set(secrets["here"]) == set(SECRET_KEYS)
    maps = [
        each["data"] for each in objects if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "tapeline-store")
    ]
    assert [set(data) for data in maps] == [set(CONFIG_KEYS)] * 2
    (job,) = (each for each in objects if each["kind"] == "Job" and "buckets" in each["metadata"]["name"])
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    given = {(source["key"], each["name"]) for each in environment for source in each["valueFrom"].values()}
    assert given == {*SECRET_KEYS.items(), *CONFIG_KEYS.items()}


def test_airflow_may_start_pods_in_the_steps_namespace_and_nothing_else():
    objects = list(yaml.safe_load_all(template(*EVERYTHING)))
    role = named(objects, "Role", "tapeline-airflow")
    assert role["metadata"]["namespace"] == "steps"
    assert {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]} == {
        "pods": ["create", "get", "list", "watch", "patch", "delete"], "pods/log": ["get"], "events": ["list", "watch"],
    }  # fmt: skip
    (subject,) = named(objects, "RoleBinding", "tapeline-airflow")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "tapeline-airflow", "namespace": "airflow"}
    assert not [each for each in objects if each["kind"].startswith("Cluster")]


def test_the_dags_understand_their_configuration():
    values = ("gpu.count=2", "gpu.nodeSelector.disk=ssd", "parameters.epochs=3", "images.pullSecrets={one}")
    objects = list(yaml.safe_load_all(template(*EVERYTHING, *values, "gpu.tolerations[0].key=gpu")))
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    settings = Settings.from_environment(
        WORKFLOW, {name: text for name, text in data.items() if name.startswith(PREFIX)}
    )
    assert settings.runner == "kubernetes"
    assert (settings.namespace, settings.service_account, settings.pull_secret) == ("steps", "tapeline-step", "one")
    assert (settings.gpu_count, settings.node_selector) == (2, {"disk": "ssd"})
    assert settings.tolerations == [{"key": "gpu"}]
    assert settings.parameters == {"epochs": 3}
    assert data["AWS_ENDPOINT_URL"] == "http://tapeline-store.here.svc:9000"


def test_what_airflows_own_chart_is_told_to_use_is_made_here():
    objects = list(yaml.safe_load_all(template(*EVERYTHING)))
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


@pytest.mark.parametrize("case", CASES)
def test_every_image_is_one_of_the_list_and_the_chart_names_none_of_a_step(case):
    objects = [each for each in yaml.safe_load_all(template(*CASES[case], *ELSEWHERE)) if each]
    found = {
        container["image"]
        for _, pod in pods(objects)
        for container in pod["containers"] + pod.get("initContainers", [])
    }
    assert found <= {f"r.example/t/{name}:v7" for name in images()}
    text = "".join(path.read_text() for path in sorted(CHART.rglob("templates/**/*")) if path.is_file())
    assert [task.name for task in WORKFLOW.tasks if re.search(rf"\b{task.name}\b", text)] == []
    default = json.loads((CHART / "values.schema.json").read_text())["properties"]["jobs"]["properties"]["image"]
    assert default["default"] in images("step")


def test_kubeflow_and_airflow_are_told_where_the_images_are_and_what_the_cluster_is_asked_for():
    values = (
        *ELSEWHERE,
        "gpu.count=2",
        "gpu.nodeSelector.disk=ssd",
        "parameters.epochs=3",
        "gpu.tolerations[0].key=gpu",
        "gpu.cpu=4",
        "gpu.memory=16Gi",
    )
    objects = list(yaml.safe_load_all(template(*EVERYTHING, *values)))
    (compiles,) = named(objects, "Job", "tapeline-register")["spec"]["template"]["spec"]["initContainers"]
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    assert {"--registry=r.example/t", "--tag=v7", "--default=epochs=3"} < set(compiles["args"])
    assert (data[f"{PREFIX}REGISTRY"], data[f"{PREFIX}TAG"]) == ("r.example/t", "v7")
    asked = {
        "gpu_count": "2", "gpu_resource": "nvidia.com/gpu", "node_selector": '{"disk":"ssd"}',
        "tolerations": '[{"key":"gpu"}]', "s3_secret": "tapeline-store", "s3_config": "tapeline-store",
        "cpu": "4", "memory": "16Gi",
    }  # fmt: skip
    assert set(asked) == set(Cluster.model_fields)
    assert {f"--default={name}={text}" for name, text in asked.items()} < set(compiles["args"])
    assert {name: data[f"{PREFIX}{name.upper()}"] for name in asked} == asked


def test_a_large_number_is_written_out_in_full():
    # From a file of values, unlike from --set, helm has every number as a double.
    flags = [
        "--kube-version=1.34.0",
        "--set=kubeflow.enabled=true",
        '--set-json=parameters={"seed": 2147483646, "learning_rate": 0.00001}',
    ]
    (job,) = (
        each
        for each in yaml.safe_load_all(call(["helm", "template", RELEASE, str(CHART), *flags]))
        if each["metadata"]["name"] == "tapeline-register"
    )
    (compiles,) = job["spec"]["template"]["spec"]["initContainers"]
    assert "--default=seed=2147483646" in compiles["args"]
    assert "--default=learning_rate=0.00001" in compiles["args"]


@pytest.mark.parametrize(("case", "ports"), [("seaweedfs", [9000]), ("external", [8443])])
def test_traffic_is_denied_but_for_what_is_needed(case, ports):
    objects = [each for each in yaml.safe_load_all(template(*CASES[case])) if each["kind"] == "NetworkPolicy"]
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
    assert not [each for each in yaml.safe_load_all(template("networkPolicy.enabled=false"))
                if each["kind"] == "NetworkPolicy"]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["stor.kind=minio"], r"additional properties 'stor' not allowed"),
        (["store.kind=mino"], r"'/store/kind'.*value must be one of 'external', 'seaweedfs', 'minio'"),
        (["store.size=20"], r"'/store/size'.*'20' does not match pattern|'/store/size': got number, want string"),
        (["store.buckets={No_Bucket}"], r"'/store/buckets/0'.*'No_Bucket' does not match pattern"),
        (["images.train=r/train:1"], r"'/images'.*additional properties 'train' not allowed"),
        (["gpu.count=-1"], r"'/gpu/count'.*minimum: got -1, want 0"),
        (["store.kind=external"], "store.existingSecret is needed with store.kind=external"),
        (["store.kind=external", "store.existingSecret=x"], "store.endpoint is needed with store.kind=external"),
        (["store.endpoint=http://x"], "store.kind=seaweedfs is a store of this chart's own; say store.kind=external"),
        (["kubeflow.schedule=0 3 * * *"], r"'/kubeflow/schedule'.*does not match pattern"),
    ],
)
def test_a_wrong_value_is_named_with_the_reason(values, message):
    with pytest.raises(Failed) as error:
        template(*values)
    assert re.search(message, str(error.value).replace("\n", " ")), error.value


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
