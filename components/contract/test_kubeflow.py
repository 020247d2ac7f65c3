# mypy: allow-untyped-defs, allow-untyped-calls
import json
import math

import pytest

from components.contract import artifact, kubeflow
from components.contract.errors import BadInput
from components.contract.run import run_for_kubeflow
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN

ROOT = "minio://mlpipeline/v2/artifacts/tapeline/1afead91"


def executor_input(outputs, inputs=(), parameters=None, root=ROOT):
    """Return an executor input of the shape that a Kubeflow Pipelines 2.17 backend hands over."""
    session = json.dumps({"Provider": "minio", "Params": {"endpoint": "minio-service.kubeflow:9000"}})
    return {
        "inputs": {
            "parameterValues": {
                "accelerator_count": "{{$.inputs.parameters['pipelinechannel--gpu_count']}}",
                "pipelinechannel--gpu_count": "0",
                **(parameters or {}),
            },
            "artifacts": {
                name: {
                    "artifacts": [
                        {
                            "name": "1",
                            "type": {"instanceSchema": ""},
                            "uri": f"{root}/{name}",
                            "metadata": {"display_name": name, "store_session_info": session},
                        }
                    ]
                }
                for name in inputs
            },
        },
        "outputs": {
            "artifacts": {
                name: {
                    "artifacts": [{"name": name, "type": {"schemaTitle": "system.Artifact"}, "uri": f"{root}/{name}"}]
                }
                for name in (*outputs, "executor-logs")
            },
            "outputFile": f"{root}/output_metadata.json".replace("minio://", "/minio/"),
        },
    }


def test_what_concerns_the_step_is_taken_out():
    document = executor_input(("trained_model", "gradients", "metrics"), ("dataset",), {"epochs": 3.0, "seed": 7})
    executor = kubeflow.parse(TRAIN, json.dumps(document))
    base = "/minio/mlpipeline/v2/artifacts/tapeline/1afead91"
    assert executor.parameters == {"epochs": 3, "seed": 7}
    assert executor.inputs == {"dataset": f"{base}/dataset"}
    assert executor.outputs == {name: f"{base}/{name}" for name in ("trained_model", "gradients", "metrics")}
    assert str(executor.output_file) == f"{base}/output_metadata.json"


def test_an_output_may_have_the_components_name_in_front():
    document = executor_input(("trained_model", "gradients", "train_metrics"), ("dataset",))
    executor = kubeflow.parse(TRAIN, json.dumps(document))
    assert executor.outputs["metrics"] == "/minio/mlpipeline/v2/artifacts/tapeline/1afead91/train_metrics"
    assert executor.names == {"trained_model": "trained_model", "gradients": "gradients", "metrics": "train_metrics"}


def test_parameters_that_come_together_are_taken_each_by_its_name():
    others = {"stats_every": 8.0, "min_recall": 0.5, "class_weight": "balanced"}
    document = executor_input(
        ("trained_model", "gradients", "metrics"), ("dataset",), {"epochs": 3.0, "unlisted_parameters": others}
    )
    parsed = kubeflow.parse(TRAIN, json.dumps(document))
    assert parsed.parameters == {"epochs": 3, "stats_every": 8, "class_weight": "balanced"}


@pytest.mark.parametrize(
    ("uri", "path"),
    [("gs://b/x", "/gcs/b/x"), ("s3://b/x", "/s3/b/x"), ("minio://b/x", "/minio/b/x"), ("/local/x", "/local/x")],
)
def test_a_uri_is_the_path_where_the_launcher_mounts_it(uri, path):
    document = executor_input(("dataset", "report"))
    document["outputs"]["artifacts"]["dataset"]["artifacts"][0]["uri"] = uri
    assert kubeflow.parse(INGEST, json.dumps(document)).outputs["dataset"] == path


def test_a_custom_path_wins():
    document = executor_input(("dataset", "report"))
    document["outputs"]["artifacts"]["dataset"]["artifacts"][0]["customPath"] = "/mnt/x"
    assert kubeflow.parse(INGEST, json.dumps(document)).outputs["dataset"] == "/mnt/x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is not an executor input"),
        ("{}", "has no 'outputs'"),
        (json.dumps(executor_input(("dataset",))), "has no 'report', which ingest needs"),
        ("@/nowhere.json", "cannot read /nowhere.json"),
    ],
)
def test_what_is_no_executor_input_is_refused(text, message):
    with pytest.raises(BadInput, match=message):
        kubeflow.parse(INGEST, text)


def test_a_whole_step_as_the_launcher_calls_it(tmp_path):
    from components.conftest import SMALL

    document = executor_input(("dataset", "report"), parameters=SMALL | {"validation_size": 64.0}, root=str(tmp_path))
    path = tmp_path / "input.json"
    path.write_text(json.dumps(document))
    run_for_kubeflow(INGEST, f"@{path}")
    manifest = artifact.verify(tmp_path / "dataset")
    assert manifest.metadata["splits"] == {"train": 448, "validation": 64, "test": 256}
    assert (tmp_path / "report").read_text().startswith("<!doctype html>")  # the UI shows a file, not a folder
    output = json.loads((tmp_path / "output_metadata.json").read_text())
    assert output.keys() == {"artifacts"}
    assert output["artifacts"].keys() == {"dataset", "report"}
    (dataset,) = output["artifacts"]["dataset"]["artifacts"]
    assert dataset == {"name": "dataset", "uri": f"{tmp_path}/dataset", "metadata": manifest.metadata}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dataset", "input.json", "output_metadata.json", "report",
    ]  # fmt: skip


def test_the_output_has_nothing_that_the_backend_refuses(tmp_path):
    place, uris = tmp_path / "deep" / "out.json", {"metrics": "minio://b/metrics"}
    executor = kubeflow.Executor({}, {}, {}, place, uris, {"metrics": "metrics"})
    metadata = {"metrics": {"accuracy": 0.5, "bad": math.nan, "none": None, "list": [1, math.inf, {"x": None, "y": 2}]}}
    kubeflow.write_output(executor, metadata)
    assert json.loads((tmp_path / "deep" / "out.json").read_text()) == {
        "artifacts": {
            "metrics": {
                "artifacts": [
                    {
                        "name": "metrics",
                        "uri": "minio://b/metrics",
                        "metadata": {"accuracy": 0.5, "list": [1, {"y": 2}]},
                    }
                ]
            }
        }
    }


def test_an_output_parameter_is_a_figure_of_that_name_for_every_kind_of_runner(tmp_path):
    document = executor_input(("dataset", "report"), root=str(tmp_path))
    document["outputs"]["parameters"] = {
        name: {"outputFile": str(tmp_path / "parameters" / name)} for name in ("verdict", "images")
    }
    executor = kubeflow.parse(INGEST, json.dumps(document))
    kubeflow.write_output(executor, {"dataset": {"images": 3}, "report": {"verdict": "blessed"}})
    output = json.loads((tmp_path / "output_metadata.json").read_text())
    assert output["parameterValues"] == {"verdict": "blessed", "images": 3}
    texts = {path.name: path.read_text() for path in (tmp_path / "parameters").iterdir()}
    assert texts == {"verdict": "blessed", "images": "3"}
    with pytest.raises(RuntimeError, match=r"^verdict: no output has a figure of that name$"):
        kubeflow.write_output(executor, {"dataset": {"images": 3, "verdict": None}})


def test_a_parameter_out_of_bounds_writes_nothing(tmp_path):
    document = executor_input(("dataset", "report"), parameters={"validation_size": -1}, root=str(tmp_path / "x"))
    with pytest.raises(BadInput, match="validation_size: -1 is less than 0"):
        run_for_kubeflow(INGEST, json.dumps(document))
    assert not (tmp_path / "x").exists()
