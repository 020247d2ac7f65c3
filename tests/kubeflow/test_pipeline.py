# mypy: allow-untyped-defs, allow-untyped-calls
"""What matters in the compiled pipeline, and the traps that others fell into."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml
from kfp import compiler

from components.contract.declaration import Parameters, parameter
from components.contract.errors import BadInput
from dags.cluster import labels_of
from dags.kubeflow_pipeline import build
from dags.workflow import WORKFLOW
from tests.kubeflow.limits import too_early


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return the text of the YAML, the pipeline's document, and Kubernetes'."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(build(WORKFLOW, "registry.example/tapeline", "1.2.3"), str(path))
    text = path.read_text()
    return text, *yaml.safe_load_all(text)


def tasks(spec):
    return spec["root"]["dag"]["tasks"]


def steps(spec):
    """Return the tasks that are containers, those in groups among them."""
    graphs = [spec["root"], *spec["components"].values()]
    every = {name: task for each in graphs if "dag" in each for name, task in each["dag"]["tasks"].items()}
    return {name: task for name, task in every.items() if "dag" not in spec["components"][task["componentRef"]["name"]]}


def executor(spec, name):
    return spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def test_the_graph_reads_as_a_sentence(compiled):
    _, spec, _ = compiled
    assert {name: task["taskInfo"]["name"] for name, task in steps(spec).items()} == {
        "check": "Check the parameters",
        **{task.name: task.component.title for task in WORKFLOW.tasks},
    }


def test_the_graph_has_no_arrow_twice(compiled):
    """The UI draws one for each artifact, for each parameter of a task before, and for each dependency besides."""
    _, spec, _ = compiled
    arrows = sorted(
        (source[f"output{kind}Key"], name)
        for name, task in tasks(spec).items()
        if name in steps(spec)
        for kind, inputs in (("Artifact", "artifacts"), ("Parameter", "parameters"))
        for each in task["inputs"].get(inputs, {}).values()
        if (source := each.get(f"taskOutput{kind}"))
    )
    assert arrows == [
        ("dataset", "evaluate"), ("dataset", "gate"), ("dataset", "train"), ("evaluate", "evaluate"),
        ("evaluate_metrics", "gate"), ("export", "export"), ("gradients", "export"), ("ingest", "ingest"),
        ("train", "train"),
        ("trained_model", "evaluate"), ("trained_model", "gate"),
    ]  # fmt: skip
    every = [*tasks(spec).items(), *steps(spec).items()]
    assert not [name for name, task in every if "dependentTasks" in task]


def test_every_task_runs_after_the_check(compiled):
    _, spec, _ = compiled
    before = {
        name: {
            source["producerTask"]
            for each in (*task["inputs"].get("artifacts", {}).values(), *task["inputs"]["parameters"].values())
            if (source := each.get("taskOutputArtifact") or each.get("taskOutputParameter"))
        }
        for name, task in tasks(spec).items()
    }

    def runs_after(name):
        return before[name] | {further for source in before[name] for further in runs_after(source)}

    for name in tasks(spec).keys() - {"check"}:
        assert "check" in runs_after(name)


def test_dependencies_are_spelled_out_for_kfp_local(tmp_path):
    compiler.Compiler().compile(build(WORKFLOW, dependencies=True), str(tmp_path / "p.yaml"))
    spec = next(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))
    assert {name: task.get("dependentTasks", []) for name, task in tasks(spec).items()} == {
        "check": [], "ingest": ["check"], "train": ["check", "ingest"], "export": ["check", "train"],
        "evaluate": ["check", "ingest", "train"], "gate": ["evaluate", "ingest", "train"],
        "condition-1": ["evaluate", "export", "gate", "ingest", "train"],
    }  # fmt: skip


def test_each_step_runs_its_own_command_with_the_executor_input_alone(compiled):
    _, spec, _ = compiled
    for task in WORKFLOW.tasks:
        name = task.component.name
        container = executor(spec, name)
        assert container["command"] == ["python", "-m", f"components.{name}"]
        assert container["args"] == ["--executor-input", "{{$}}"]


def test_each_artifact_has_a_name_that_no_other_has_and_a_type_that_the_ui_draws(compiled):
    _, spec, _ = compiled
    shown = [
        (output, definition["artifactType"]["schemaTitle"].removeprefix("system."), bool(definition["description"]))
        for name in steps(spec)
        for output, definition in spec["components"][f"comp-{name}"]["outputDefinitions"].get("artifacts", {}).items()
    ]
    assert sorted(shown) == [
        ("classification", "ClassificationMetrics", True),
        ("dataset", "Dataset", True),
        ("decision", "Metrics", True),
        ("evaluate_metrics", "Metrics", True),
        ("evaluate_report", "HTML", True),
        ("export_report", "HTML", True),
        ("gate_report", "HTML", True),
        ("gradient_tables", "Metrics", True),
        ("gradients", "Artifact", True),
        ("ingest_report", "HTML", True),
        ("package", "Model", True),
        ("train_metrics", "Metrics", True),
        ("trained_model", "Model", True),
    ]


def test_a_task_shows_its_own_parameters_and_nothing_of_the_platform(compiled):
    _, spec, _ = compiled
    shown = {name: set(task["inputs"]["parameters"]) for name, task in steps(spec).items()}
    gpus = {"accelerator_count", "pipelinechannel--gpu_count"}
    assert shown.pop("check") == {*WORKFLOW.form, "gpu_count", "unlisted_parameters"}
    for task in WORKFLOW.tasks:
        own = {name for name in WORKFLOW.form if name in task.component.parameters.model_fields}
        assert shown[task.name] == own | {"unlisted_parameters"} | (gpus if task.resources.gpu else set())


def test_a_gpu_is_asked_for_by_text_as_a_whole_number_is_dropped(compiled):
    _, spec, _ = compiled
    form = spec["root"]["inputDefinitions"]["parameters"]
    assert (form["gpu_count"]["parameterType"], form["gpu_count"]["defaultValue"]) == ("STRING", "0")
    asked = executor(spec, "train")["resources"]["accelerator"]
    assert asked == {
        "resourceCount": "{{$.inputs.parameters['pipelinechannel--gpu_count']}}",
        "resourceType": "nvidia.com/gpu",
        "type": "nvidia.com/gpu",
    }
    for name in ("ingest", "export", "evaluate"):
        assert "accelerator" not in executor(spec, name)["resources"]


def test_train_is_at_the_top_so_its_resources_may_be_parameters(compiled):
    _, spec, _ = compiled
    assert "train" in tasks(spec)
    for task in (task for name, task in tasks(spec).items() if name in steps(spec)):
        asked = [value for value in task["inputs"]["parameters"].values() if "componentInputParameter" in value]
        assert asked
        for value in asked:
            assert value["componentInputParameter"] in spec["root"]["inputDefinitions"]["parameters"]


def test_the_images_are_fixed(compiled):
    _, spec, _ = compiled
    for name in steps(spec):
        assert executor(spec, name)["image"] == f"registry.example/tapeline/{name}:1.2.3"


def test_no_placeholder_is_left_that_a_backend_does_not_resolve(compiled):
    text, _, _ = compiled
    assert "{{channel:" not in text
    assert "Concat" not in text
    assert set(re.findall(r"\{\{\$[^}]*\}\}", text)) == {
        "{{$}}", "{{$.inputs.parameters[''pipelinechannel--gpu_count'']}}",
    }  # fmt: skip


KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def test_credentials_come_from_a_secret_and_stand_nowhere(compiled):
    text, _, kubernetes = compiled
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for task in WORKFLOW.tasks:
        name = task.name
        (secret,) = platform[f"exec-{name}"]["secretAsEnv"]
        assert secret["secretNameParameter"] == {"runtimeValue": {"constant": "tapeline-store"}}
        tracking = {f"MLFLOW_TRACKING_{key}" for key in ("USERNAME", "PASSWORD", "TOKEN")}
        assert {item["envVar"] for item in secret["keyToEnv"]} == {*KEYS, "AWS_SESSION_TOKEN", *tracking}
        assert secret["optional"] is True
        assert platform[f"exec-{name}"]["podMetadata"]["labels"] == labels_of(WORKFLOW, task)
    assert "env:" not in text


def test_a_step_is_told_of_what_concerns_it_and_all_of_it_may_be_missing(compiled):
    _, _, kubernetes = compiled
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    always = {
        "endpoint": "AWS_ENDPOINT_URL", "region": "AWS_REGION", "http-proxy": "HTTP_PROXY",
        "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY",
        "tracking-uri": "MLFLOW_TRACKING_URI", "tracking-experiment": "MLFLOW_EXPERIMENT_NAME",
    }  # fmt: skip
    more = {"ingest": {"mirror": "TAPELINE_MIRROR"}, "train": {"checkpoints": "TAPELINE_CHECKPOINTS"}}
    more |= {task.name: {"registry": "TAPELINE_REGISTRY"} for task in WORKFLOW.tasks if task.fresh}
    for task in WORKFLOW.tasks:
        maps = platform[f"exec-{task.name}"]["configMapAsEnv"]
        assert all(each["optional"] for each in maps)
        told = {item["configMapKey"]: item["envVar"] for each in maps for item in each["keyToEnv"]}
        assert told == always | more.get(task.name, {})
        fields = {each["name"]: each["fieldPath"] for each in platform[f"exec-{task.name}"].get("fieldPathAsEnv", ())}
        run = {"TAPELINE_RUN": "metadata.labels['pipeline/runid']"} if task.fresh else {}
        assert fields == run | ({"TAPELINE_POD": "metadata.name"} if task.launches else {})


POD: dict[str, Any] = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"inject": "false"}},
    "spec": {
        "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "ours", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}], "volumes": [{"name": "ca", "configMap": {"name": "corporate"}}],
        "containers": [{
            "name": "base", "imagePullPolicy": "Always",
            "env": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
        }],
    },
}  # fmt: skip


def test_what_a_cluster_adds_to_pods_is_in_every_task(tmp_path):
    path = tmp_path / "pipeline.yaml"
    defaults = [f"pod={json.dumps(POD)}", 'node_selector={"disk": "ssd"}']
    compiler.Compiler().compile(build(WORKFLOW, defaults=defaults), str(path))
    spec, kubernetes = yaml.safe_load_all(path.read_text())
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name in (*(task.name for task in WORKFLOW.tasks), "check"):
        task = platform[f"exec-{name}"]
        assert task["podMetadata"]["labels"].items() > {"team": "vision"}.items()
        assert task["podMetadata"]["annotations"] == {"inject": "false"}
        assert task["nodeSelector"]["labels"] == {"zone": "a"} | ({"disk": "ssd"} if name == "train" else {})
        (toleration,) = task["tolerations"]
        assert toleration == POD["spec"]["tolerations"][0]
        (secret,) = task["imagePullSecret"]
        assert secret["secretNameParameter"]["runtimeValue"]["constant"] == "registry"
        assert task["imagePullPolicy"] == "Always"
        (volume,) = task["configMapAsVolume"]
        assert (volume["configMapNameParameter"]["runtimeValue"]["constant"], volume["mountPath"]) == (
            "corporate",
            "/ca",
        )
        assert {"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"} in executor(spec, name)["env"]
        assert [item["envVar"] for each in task["secretAsEnv"] for item in each["keyToEnv"]][-1] == "KEY"
        # On OpenShift users and groups are the namespace's.
        assert "securityContext" not in task


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"spec": {"priorityClassName": "low"}}, "no words for priorityClassName of a spec; leave it out"),
        ({"spec": {"containers": [{"name": "base", "envFrom": []}]}}, "no words for envFrom of a container"),
    ],
)
def test_what_pipelines_cannot_say_is_refused_rather_than_left_out(pod, said):
    with pytest.raises(BadInput, match=said):
        build(WORKFLOW, defaults=[f"pod={json.dumps(pod)}"])


def test_limits_time_outs_retries_and_shared_memory(compiled):
    _, spec, kubernetes = compiled
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for task in WORKFLOW.tasks:
        name = task.component.name
        resources = executor(spec, name)["resources"]
        assert resources["resourceCpuRequest"] == task.resources.cpu
        assert resources["resourceMemoryLimit"] == task.resources.memory_limit
        assert platform[f"exec-{name}"]["activeDeadlineSeconds"] == str(task.resources.timeout_seconds)
        retries = steps(spec)[name]["retryPolicy"]
        assert retries["maxRetryCount"] == 2
        assert steps(spec)[name]["cachingOptions"] == ({} if task.fresh else {"enableCache": True})
    assert "retryPolicy" not in tasks(spec)["check"]  # bad input is said once
    requests = {name: executor(spec, name)["resources"]["cpuRequest"] for name in steps(spec)}
    assert max(requests.values()) == 1  # on a node of two, something else runs too
    (volume,) = platform["exec-train"]["emptyDirMounts"]
    assert volume == {"medium": "Memory", "mountPath": "/dev/shm", "sizeLimit": "2Gi", "volumeName": "shm"}  # noqa: S108


@pytest.mark.parametrize("hours", [None, 24, 24 * 90])
def test_no_limit_ends_a_step_before_its_own_does_however_long_that_is(tmp_path, hours):
    tasks = WORKFLOW.tasks
    if hours:
        tasks = tuple(
            replace(task, resources=replace(task.resources, timeout_seconds=hours * 3600)) for task in WORKFLOW.tasks
        )
    compiler.Compiler().compile(build(replace(WORKFLOW, tasks=tasks)), str(tmp_path / "p.yaml"))
    spec, kubernetes = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    own = {task.name: task.resources.timeout_seconds for task in tasks}
    assert too_early(spec, kubernetes, own) == []
    spec["root"]["dag"]["tasks"]["train"]["retryPolicy"]["backoffMaxDuration"] = "300s"  # as it was once
    assert too_early(spec, kubernetes, own) == ["train: all tries are ended 300 s after the start of the first one"]


def test_what_is_asked_of_the_cluster_is_fixed_when_it_is_compiled(tmp_path):
    given = (
        "gpu_resource=amd.com/gpu", 'node_selector={"disk": "ssd"}', 'tolerations=[{"key": "gpu"}]', "cpu=4",
        "memory=16Gi", "s3_secret=mine", "gpu_count=2",
    )  # fmt: skip
    compiler.Compiler().compile(build(WORKFLOW, defaults=given), str(tmp_path / "p.yaml"))
    spec, kubernetes = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    train, export = executor(spec, "train")["resources"], executor(spec, "export")["resources"]
    assert (train["resourceCpuRequest"], train["resourceCpuLimit"], train["resourceMemoryLimit"]) == ("4", "4", "16Gi")
    assert export["resourceCpuRequest"] == "500m"
    assert train["accelerator"]["resourceType"] == "amd.com/gpu"
    assert platform["exec-train"]["nodeSelector"] == {"labels": {"disk": "ssd"}}
    assert platform["exec-train"]["tolerations"] == [{"key": "gpu"}]
    assert "nodeSelector" not in platform["exec-export"]
    assert platform["exec-export"]["secretAsEnv"][0]["secretName"] == "mine"
    assert spec["root"]["inputDefinitions"]["parameters"]["gpu_count"]["defaultValue"] == "2"


@pytest.mark.parametrize("name", ["gpu_count", "unlisted_parameters"])
def test_a_step_cannot_take_a_word_of_the_cluster_or_the_form_for_its_own(name):
    fields = {"__annotations__": {name: int}, name: parameter(8, "How many")}
    greedy = type("Greedy", (Parameters,), fields)
    first, *others = WORKFLOW.tasks
    changed = replace(first, component=replace(first.component, parameters=greedy))
    with pytest.raises(BadInput) as error:
        build(replace(WORKFLOW, tasks=(changed, *others), form=()))
    assert str(error.value).startswith(f"{name}: the cluster is asked for it")


def test_a_step_cannot_take_the_name_of_the_check():
    first = WORKFLOW.tasks[0]
    named = replace(first, component=replace(first.component, name="check"), inputs={})
    alone = replace(WORKFLOW, tasks=(*WORKFLOW.tasks, named))
    with pytest.raises(BadInput, match="check: the pipeline has a first task of that name"):
        build(alone)


def test_one_command_compiles_it_by_digest_too(tmp_path):
    path = tmp_path / "pipeline.yaml"
    digest = "sha256:" + "0" * 64
    command = [sys.executable, "-m", "dags.kubeflow_pipeline", str(path), "--registry=r.example", f"--tag={digest}"]
    subprocess.run(command, check=True)
    spec = next(yaml.safe_load_all(path.read_text()))
    assert executor(spec, "export")["image"] == f"r.example/export@{digest}"


def test_one_image_may_be_elsewhere(tmp_path):
    path = tmp_path / "pipeline.yaml"
    command = [sys.executable, "-m", "dags.kubeflow_pipeline", str(path), "--image=train=r/train-gpu@sha256:1"]
    subprocess.run(command, check=True)
    spec = next(yaml.safe_load_all(path.read_text()))
    assert executor(spec, "train")["image"] == "r/train-gpu@sha256:1"
    assert executor(spec, "export")["image"] == "tapeline/export:dev"
    wrong = subprocess.run([*command, "--image=trian=r/x"], check=False, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (
        2, "compile: --image trian=r/x: not TASK=IMAGE with a task (did you mean train?)\n",
    )  # fmt: skip


def test_the_form_can_begin_with_other_values(tmp_path):
    path = tmp_path / "pipeline.yaml"
    given = ("epochs=3", "gpu_count=1", "eager=true", "validation_size=64")
    command = [sys.executable, "-m", "dags.kubeflow_pipeline", str(path), *(f"--default={item}" for item in given)]
    subprocess.run(command, check=True)
    parameters = next(yaml.safe_load_all(path.read_text()))["root"]["inputDefinitions"]["parameters"]
    begins = {name: each["defaultValue"] for name, each in parameters.items()}
    assert (begins["epochs"], begins["gpu_count"]) == (3, "1")
    assert begins["unlisted_parameters"] == {"eager": True, "validation_size": 64}
    wrong = subprocess.run([*command, "--default=epochs=0"], check=False, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "compile: epochs: 0 is less than 1\n")
