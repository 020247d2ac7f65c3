# mypy: allow-untyped-defs, allow-untyped-calls
"""What matters in the compiled pipeline, and the traps that others fell into."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from kfp import compiler

from components.contract.declaration import Parameters, parameter
from components.contract.errors import BadInput
from dags.cluster import labels_of
from dags.kubeflow_pipeline import build
from dags.workflow import WORKFLOW


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return the text of the YAML, the pipeline's document, and Kubernetes'."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(build(WORKFLOW, "registry.example/tapeline", "1.2.3"), str(path))
    text = path.read_text()
    return text, *yaml.safe_load_all(text)


def tasks(spec):
    return spec["root"]["dag"]["tasks"]


def executor(spec, name):
    return spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def test_the_graph_reads_as_a_sentence(compiled):
    _, spec, _ = compiled
    assert {name: task["taskInfo"]["name"] for name, task in tasks(spec).items()} == {
        "ingest": "Ingest and validate",
        "train": "Train with GradientTape",
        "export": "Export the gradients",
        "evaluate": "Judge on the test set",
    }
    assert {name: task.get("dependentTasks", []) for name, task in tasks(spec).items()} == {
        "ingest": [], "train": ["ingest"], "export": ["train"], "evaluate": ["ingest", "train"],
    }  # fmt: skip


def test_each_step_runs_its_own_command_with_the_executor_input_alone(compiled):
    _, spec, _ = compiled
    for task in WORKFLOW.tasks:
        name = task.component.name
        container = executor(spec, name)
        assert container["command"] == ["python", "-m", f"components.{name}"]
        assert container["args"] == ["--executor-input", "{{$}}"]


def test_the_form_has_every_parameter_with_its_default_and_type(compiled):
    _, spec, _ = compiled
    form = spec["root"]["inputDefinitions"]["parameters"]
    kinds: dict[object, str] = {int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN", str: "STRING"}
    for task in WORKFLOW.tasks:
        for name, field in task.component.parameters.model_fields.items():
            assert (form[name]["defaultValue"], form[name]["parameterType"]) == (field.default, kinds[field.annotation])
            assert f"| {name} |" in spec["pipelineInfo"]["description"]
            given = tasks(spec)[task.component.name]["inputs"]["parameters"][name]
            assert given == {"componentInputParameter": name}
    assert form["train_image"]["defaultValue"] == "registry.example/tapeline/train:1.2.3"
    assert form["seed"]["parameterType"] == "NUMBER_INTEGER"


def test_the_types_are_those_that_the_ui_draws(compiled):
    _, spec, _ = compiled
    kinds = {
        output: definition["artifactType"]["schemaTitle"].removeprefix("system.")
        for name in tasks(spec)
        for output, definition in spec["components"][f"comp-{name}"]["outputDefinitions"]["artifacts"].items()
    }
    assert kinds == {
        "dataset": "Dataset",
        "report": "HTML",
        "trained_model": "Model",
        "gradients": "Artifact",
        "metrics": "Metrics",
        "gradient_tables": "Artifact",
        "classification": "ClassificationMetrics",
    }


def test_a_gpu_is_asked_for_by_text_as_a_whole_number_is_dropped(compiled):
    _, spec, _ = compiled
    form = spec["root"]["inputDefinitions"]["parameters"]
    assert (form["gpu_count"]["parameterType"], form["gpu_count"]["defaultValue"]) == ("STRING", "0")
    asked = executor(spec, "train")["resources"]["accelerator"]
    assert asked == {
        "resourceCount": "{{$.inputs.parameters['pipelinechannel--gpu_count']}}",
        "resourceType": "{{$.inputs.parameters['pipelinechannel--gpu_resource']}}",
    }
    for name in ("ingest", "export", "evaluate"):
        assert "accelerator" not in executor(spec, name)["resources"]


def test_train_is_at_the_top_so_its_resources_may_be_parameters(compiled):
    _, spec, _ = compiled
    assert all("dag" not in component for component in spec["components"].values())
    for task in tasks(spec).values():
        asked = [value for value in task["inputs"]["parameters"].values() if "componentInputParameter" in value]
        assert asked
        for value in asked:
            assert value["componentInputParameter"] in spec["root"]["inputDefinitions"]["parameters"]


def test_the_image_is_one_whole_parameter(compiled):
    _, spec, _ = compiled
    for name in tasks(spec):
        assert executor(spec, name)["image"] == f"{{{{$.inputs.parameters['pipelinechannel--{name}_image']}}}}"


def test_no_placeholder_is_left_that_a_backend_does_not_resolve(compiled):
    text, _, _ = compiled
    assert "{{channel:" not in text
    assert "Concat" not in text
    assert set(re.findall(r"\{\{\$[^}]*\}\}", text)) == {
        "{{$}}",
        *(f"{{{{$.inputs.parameters[''pipelinechannel--{name}'']}}}}" for name in ("gpu_count", "gpu_resource")),
        *(f"{{{{$.inputs.parameters[''pipelinechannel--{t.component.name}_image'']}}}}" for t in WORKFLOW.tasks),
    }


def test_credentials_come_from_a_secret_and_stand_nowhere(compiled):
    text, _, kubernetes = compiled
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for task in WORKFLOW.tasks:
        name = task.name
        (secret,) = platform[f"exec-{name}"]["secretAsEnv"]
        assert secret["secretNameParameter"] == {"componentInputParameter": "s3_secret"}
        assert {item["envVar"] for item in secret["keyToEnv"]} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        assert platform[f"exec-{name}"]["podMetadata"]["labels"] == labels_of(WORKFLOW, task)
    assert "env:" not in text


def test_limits_time_outs_retries_and_shared_memory(compiled):
    _, spec, kubernetes = compiled
    platform = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for task in WORKFLOW.tasks:
        name = task.component.name
        resources = executor(spec, name)["resources"]
        assert resources["resourceCpuRequest"] == task.resources.cpu
        assert resources["resourceMemoryLimit"] == task.resources.memory_limit
        assert platform[f"exec-{name}"]["activeDeadlineSeconds"] == str(task.resources.timeout_seconds)
        assert tasks(spec)[name]["retryPolicy"]["maxRetryCount"] == 2
        assert tasks(spec)[name]["cachingOptions"] == {"enableCache": True}
    (volume,) = platform["exec-train"]["emptyDirMounts"]
    assert volume == {"medium": "Memory", "mountPath": "/dev/shm", "sizeLimit": "2Gi", "volumeName": "shm"}  # noqa: S108
    assert platform["exec-train"]["nodeSelector"]["nodeSelectorJson"] == {"componentInputParameter": "node_selector"}
    assert platform["exec-train"]["tolerations"] == [{"tolerationJson": {"componentInputParameter": "tolerations"}}]


def test_a_step_cannot_take_a_word_of_the_cluster_for_its_own():
    class Greedy(Parameters):
        gpu_count: int = parameter(8, "How many")

    first, *others = WORKFLOW.tasks
    greedy = replace(first, component=replace(first.component, parameters=Greedy))
    with pytest.raises(BadInput) as error:
        build(replace(WORKFLOW, tasks=(greedy, *others)))
    assert str(error.value).startswith("gpu_count: the cluster is asked for it")


def test_one_command_compiles_it_by_digest_too(tmp_path):
    path = tmp_path / "pipeline.yaml"
    digest = "sha256:" + "0" * 64
    command = [sys.executable, "-m", "dags.kubeflow_pipeline", str(path), "--registry=r.example", f"--tag={digest}"]
    subprocess.run(command, check=True)
    spec = next(yaml.safe_load_all(path.read_text()))
    image = spec["root"]["inputDefinitions"]["parameters"]["export_image"]["defaultValue"]
    assert image == f"r.example/export@{digest}"


def test_the_form_can_begin_with_other_values(tmp_path):
    path = tmp_path / "pipeline.yaml"
    given = ("epochs=3", "gpu_count=1", 'node_selector={"disk": "ssd"}', "train_image=r/train@sha256:1", "eager=true")
    command = [sys.executable, "-m", "dags.kubeflow_pipeline", str(path), *(f"--default={item}" for item in given)]
    subprocess.run(command, check=True)
    parameters = next(yaml.safe_load_all(path.read_text()))["root"]["inputDefinitions"]["parameters"]
    assert {item.partition("=")[0]: parameters[item.partition("=")[0]]["defaultValue"] for item in given} == {
        "epochs": 3, "gpu_count": "1", "node_selector": {"disk": "ssd"}, "train_image": "r/train@sha256:1",
        "eager": True,
    }  # fmt: skip
    wrong = subprocess.run([*command, "--default=epochs=0"], check=False, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "compile: epochs: 0 is less than 1\n")
