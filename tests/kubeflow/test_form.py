# mypy: allow-untyped-defs, allow-untyped-calls
"""The form that a person sees in Kubeflow's UI, by the rules by which the UI draws it, and the check of what is given.

The UI has a field for each input parameter of the compiled pipeline, in alphabetical order, labelled `name - TYPE` in a
column of 300 px; a drop-down where there are literals; an editor of JSON for a STRUCT. A number must be a number, and a
whole one for NUMBER_INTEGER, or the button to start is dead (frontend/src/components/NewRunParametersV2.tsx).
"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from kfp import compiler

from components.contract.errors import BadInput
from dags.kubeflow_form import fields_of, given, shares
from dags.kubeflow_pipeline import build, description
from dags.workflow import WORKFLOW

NAMES = [
    "batch_size", "epochs", "fail_on", "gpu_count", "learning_rate", "loss", "min_accuracy", "model", "optimizer",
    "seed", "source", "step", "transform", "unlisted_parameters",
]  # fmt: skip


@pytest.fixture(scope="module")
def form(tmp_path_factory):
    """Return the input parameters of the compiled pipeline."""
    import yaml

    path = tmp_path_factory.mktemp("form") / "pipeline.yaml"
    compiler.Compiler().compile(build(WORKFLOW), str(path))
    return next(yaml.safe_load_all(path.read_text()))["root"]["inputDefinitions"]["parameters"]


def test_it_asks_for_what_is_changed_from_run_to_run_and_last_for_all_the_rest(form):
    assert sorted(form) == NAMES
    assert max(len(f"{name} - {each['parameterType']}") for name, each in form.items()) <= 30


def test_it_opens_ready_to_go(form):
    right = {
        "NUMBER_INTEGER": lambda value: float(value).is_integer(),
        "NUMBER_DOUBLE": lambda value: isinstance(value, float),
        "STRING": lambda value: isinstance(value, str) and value != "",  # an empty field is taken for a missing one
        "STRUCT": lambda value: isinstance(value, dict),
    }
    for name, each in form.items():
        assert right[each["parameterType"]](each["defaultValue"]), name
        assert each["isOptional"]
        assert each["description"]


def test_where_there_are_choices_it_has_them_in_a_list(form):
    assert {name: each["literals"] for name, each in form.items() if "literals" in each} == {
        name: WORKFLOW.fields[name].choices(name)
        for name in ("fail_on", "loss", "model", "optimizer", "step", "transform")
    }
    for each in form.values():
        assert each["defaultValue"] in each.get("literals", [each["defaultValue"]])


def test_the_description_has_a_row_for_each_field_and_fits_the_window():
    text = description(WORKFLOW)
    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")] == [*fields_of(WORKFLOW)]
    assert text.count("\n") <= 24  # what is longer has no scroll bar


def whole(**changed):
    """Return the values of a form that was opened and changed."""
    return {name: field.default for name, field in fields_of(WORKFLOW).items()} | changed


def test_each_task_gets_its_share_of_the_json_and_no_more():
    others = {"validation_size": 64.0, "look_at": "1,2", "eager": True, "snapshots": False}
    found = shares(WORKFLOW, whole(unlisted_parameters=others))
    assert {name: share for name, share in found.items() if share} == {
        "ingest": {"validation_size": 64},
        "train": {"eager": True},
        "export": {"snapshots": False},
        "evaluate": {"look_at": "1,2"},
    }
    assert shares(WORKFLOW, whole()) == {task.name: {} for task in WORKFLOW.tasks}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs: 0 is less than 1"),
        ({"epochs": 2.5}, "epochs: 2.5 is not a whole number"),
        ({"model": "convnets"}, "model: 'convnets' is not one of convnet, convnet-bn, simple (did you mean convnet?)"),
        ({"gpu_count": "many"}, "gpu_count: 'many' is not a whole number"),
        ({"gpu_count": "-1"}, "gpu_count: -1 is less than 0"),
        ({"min_accuracy": 98}, "min_accuracy: 98 is more than 1"),
        ({"unlisted_parameters": {"stats_evry": 3}}, "stats_evry: no such parameter (did you mean stats_every?)"),
        ({"unlisted_parameters": {"stats_every": -3}}, "stats_every: -3 is less than 0"),
        ({"unlisted_parameters": {"stats_every": "often"}}, "stats_every: 'often' is not a whole number"),
        ({"unlisted_parameters": {"stats_every": None}}, "stats_every: None is not a whole number"),
        (
            {"unlisted_parameters": {"epochs": 3}},
            "unlisted_parameters: epochs: it has a field of its own in the form",
        ),
        (
            {"unlisted_parameters": {"gpu_resource": "x"}},
            "unlisted_parameters: gpu_resource: it is fixed when the pipeline is compiled, by --default gpu_resource=…",
        ),
        (
            {"unlisted_parameters": {"momentum": 0.5}},
            "momentum: a parameter of optimizer sgd, but optimizer is adam",
        ),
        ({"epochs": 0, "batch_size": 0}, "epochs: 0 is less than 1\nbatch_size: 0 is less than 1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(changed, message):
    with pytest.raises(BadInput) as error:
        shares(WORKFLOW, whole(**changed))
    assert str(error.value) == message


def test_the_check_is_a_task_like_another(tmp_path):
    def call(**changed):
        document = {
            "inputs": {"parameterValues": whole(**changed) | {"pipelinechannel--x": "{{$.unresolved}}"}},
            "outputs": {
                "parameters": {name: {"outputFile": str(tmp_path / name)} for name in ("ingest", "train")},
                "outputFile": str(tmp_path / "deep/output.json"),
            },
        }
        command = [sys.executable, "-m", "dags.kubeflow_check", "--executor-input", json.dumps(document)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    wrong = call(epochs=0.0)
    # Kubeflow's page of a log marks the lines that have the word error.
    assert (wrong.returncode, wrong.stderr) == (2, "check: error: epochs: 0 is less than 1\n")
    both = call(epochs=0.0, seed=-1).stderr.splitlines()
    assert both == ["check: error: seed: -1 is less than 0", "check: error: epochs: 0 is less than 1"]
    assert list(tmp_path.iterdir()) == []
    right = call(epochs=2.0, unlisted_parameters={"eager": True})
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.splitlines()[:3] == ['source: "mnist"', 'model: "simple"', "epochs: 2"]
    assert json.loads((tmp_path / "train").read_text()) == {"eager": True}
    assert json.loads((tmp_path / "deep/output.json").read_text()) == {
        "parameterValues": {"ingest": {}, "train": {"eager": True}}
    }


def test_a_value_for_a_run_goes_to_the_field_where_it_belongs():
    items = ["epochs=3", "validation_size=64", "gpu_count=2", "eager=true"]
    assert given(WORKFLOW, items, "--parameter") == {
        "epochs": 3, "gpu_count": "2", "unlisted_parameters": {"validation_size": 64, "eager": True},
    }  # fmt: skip


def test_a_workflow_with_another_form():
    other = replace(WORKFLOW, form=("seed", "look_at"))
    assert list(fields_of(other)) == ["seed", "look_at", "gpu_count", "unlisted_parameters"]
    assert shares(other, {"seed": 1, "unlisted_parameters": {"epochs": 3}})["train"] == {"epochs": 3}
