# mypy: allow-untyped-defs, allow-untyped-calls
"""What matters in the DAGs, and the traps that others fell into."""

import copy
import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from components.contract.command import parser_of
from components.contract.errors import BadInput
from dags.airflow_settings import RUNNERS
from dags.workflow import WORKFLOW
from tests.airflow.whole import Ti


def bag(runner, monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_RUNNER", runner)
    # What takes longer is an import error. Kubernetes' client alone takes a second, and more where others work.
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "30" if runner == "kubernetes" else "2")
    found = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    assert found.import_errors == {}
    return found.dags


@pytest.fixture(params=RUNNERS)
def dags(request, monkeypatch):
    """Return the DAGs as they are with each runner; importing them in time is part of it."""
    return bag(request.param, monkeypatch)


@pytest.fixture
def learn(monkeypatch):
    """Return the DAG that learns, with processes."""
    return bag("process", monkeypatch)["tapeline"]


STUDY = {
    "share": ("Share the work", {"work"}),
    "work": ("Work on the study", {"choose"}),
    "choose": ("Read what is best", {"run_the_best"}),
    "run_the_best": ("Learn with GradientTape, with the best values", set()),
}


def test_the_graphs_read_as_a_sentence(dags):
    graphs = {name: {t.task_id: (t.task_display_name, t.downstream_task_ids) for t in dag.tasks}
              for name, dag in dags.items()}  # fmt: skip
    assert graphs.pop("tapeline_study", STUDY) == STUDY  # where steps are processes
    assert graphs == {
        "tapeline": {
            "ingest": ("Ingest and validate", {"train", "evaluate", "gate", "handover"}),
            "train": ("Train with GradientTape", {"export", "evaluate", "gate", "handover"}),
            "export": ("Export the gradients", {"handover"}),
            "evaluate": ("Judge on the test set", {"gate", "handover"}),
            "gate": ("Compare with the blessed model", {"bless"}),
            "bless": ("Bless the model", {"handover"}),
            "handover": (WORKFLOW.tasks[-1].component.title, set()),
        },
        "tapeline_reevaluate": {
            "find": ("Find the blessed model", {"evaluate", "gate"}),
            "evaluate": ("Judge on the test set", {"gate"}),
            "gate": ("Compare with the blessed model", {"confirm"}),
            "confirm": ("Confirm the verdict", set()),
        },
    }  # fmt: skip


def test_the_policies_are_those_of_a_platform(dags):
    learn, again = dags["tapeline"], dags["tapeline_reevaluate"]
    assert learn.schedule == "0 3 * * *"
    assert [asset.name for asset in again.schedule] == ["tapeline_model"]
    for dag in (learn, again):
        assert (dag.catchup, dag.max_active_runs, dag.tags) == (False, 1, {"mnist", "tapeline"})
        assert dag.doc_md
        for task in dag.tasks:
            assert (task.owner, task.retries, task.retry_delay) == ("tapeline", 2, timedelta(seconds=30))
            assert (task.retry_exponential_backoff, task.max_retry_delay) == (True, timedelta(minutes=5))
    for step in WORKFLOW.tasks:
        task = learn.task_dict[step.component.name]
        assert task.execution_timeout == timedelta(seconds=step.resources.timeout_seconds)
        assert task.pool == ("gpu" if step.component.name == "train" else "default_pool")
        assert task.doc_md == step.component.help
    inlets = {task.task_id: [asset.name for asset in task.inlets] for task in learn.tasks if task.inlets}
    assert inlets == {
        "train": ["tapeline_dataset"], "export": ["tapeline_gradients"], "evaluate": ["tapeline_dataset"],
        "gate": ["tapeline_dataset"], "handover": ["tapeline_dataset"],
    }  # fmt: skip
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in learn.tasks if task.outlets}
    assert outlets == {"ingest": ["tapeline_dataset"], "train": ["tapeline_gradients"], "bless": ["tapeline_model"]}


def test_a_dag_survives_serialization(dags):
    for dag in dags.values():
        again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
        assert {t.task_id: t.downstream_task_ids for t in again.tasks} == {
            t.task_id: t.downstream_task_ids for t in dag.tasks
        }
        assert again.params.dump() == dag.params.dump()
        assert [t.execution_timeout for t in again.tasks] == [t.execution_timeout for t in dag.tasks]


def test_the_form_has_every_parameter_but_the_checkpoints_place(learn):
    for step in WORKFLOW.tasks:
        for name, schema in step.component.parameters.model_json_schema()["properties"].items():
            if name == "checkpoints":
                assert name not in learn.params
                continue
            param = learn.params.get_param(name)
            assert param.value == schema["default"]
            expected = {k: v for k, v in schema.items() if k in {"type", "enum", "minimum", "exclusiveMinimum",
                                                                 "maximum", "exclusiveMaximum"}}  # fmt: skip
            if schema["default"] == "":
                expected["type"] = ["null", "string"]
            assert param.schema | expected == param.schema, name
            assert param.schema["description_md"].startswith(schema["description"])
    helps = [learn.params.get_param(name).schema["description_md"] for name in ("epochs", "learning_rate", "model")]
    assert helps == [
        "Passes over the training images (≥ 1, ≤ 10000)", "Learning rate; the highest one of a schedule (> 0, ≤ 100)",
        "Model to train: a file in components/models",
    ]  # fmt: skip
    sections = {name: learn.params.get_param(name).schema["section"] for name in ("seed", "epochs", "min_recall")}
    assert sections == {
        "seed": "Ingest and validate", "epochs": "Train with GradientTape", "min_recall": "Judge on the test set",
    }  # fmt: skip


def fields():
    """Return every parameter of every task: {name: field}."""
    return {name: field for task in WORKFLOW.tasks for name, field in task.component.parameters.model_fields.items()}


def may_be_empty(name):
    """Tell whether a text may be empty, and so is no choice, nor a name that something must have."""
    try:
        WORKFLOW.parameters_of({name: ""})
    except BadInput:
        return False
    return True


def odd_settings(kind):
    """Return values for all parameters as a deployment may come to give them, and what they mean."""
    defaults = {name: (field.annotation, field.default) for name, field in fields().items() if name != "checkpoints"}
    match kind:
        case "as text":  # what `helm --set-string` makes of numbers and switches
            return {name: (str(value), value) for name, (_, value) in defaults.items()}
        case "as floats":  # what YAML and JSON tools make of whole numbers
            return {name: (float(value), value) for name, (type_, value) in defaults.items() if type_ is int}
        case "empty":
            texts = [name for name, (type_, _) in defaults.items() if type_ is str]
            return {name: ("", "") for name in texts if may_be_empty(name)}
        case _:
            return {}


@pytest.mark.parametrize("kind", ["none", "as text", "as floats", "empty"])
def test_every_form_opens_ready_to_go(kind, monkeypatch):
    given = odd_settings(kind)
    monkeypatch.setenv("TAPELINE_AIRFLOW_PARAMETERS", json.dumps({name: value for name, (value, _) in given.items()}))
    found = bag("process", monkeypatch)
    for dag in (found["tapeline"], found["tapeline_reevaluate"]):
        assert set(dag.params) >= {"min_accuracy", "look_at"}
        for name in dag.params:
            param = dag.params.get_param(name)
            meant = given[name][1] if name in given else fields()[name].default
            assert (param.resolve(), type(param.value)) == (meant, type(meant))
            # What Airflow's form takes for not filled in: nothing, or an empty text, unless there may be nothing.
            assert param.value not in (None, "") or "null" in param.schema["type"], name


@pytest.mark.parametrize("look_at", [None, ""])
def test_a_text_that_was_emptied_in_the_form_is_an_empty_text(learn, look_at):
    params = copy.deepcopy(learn.params)
    params.update({"look_at": look_at})
    assert params.validate()["look_at"] == look_at
    task = copy.copy(learn.task_dict["evaluate"])
    handed = {
        (source.name, output): {"uri": "s3://b/x"} for each in WORKFLOW.tasks for source, output in each.inputs.values()
    }
    ti = Ti(handed)
    task.render_template_fields({"params": params.dump(), "dag": learn, "run_id": "manual__1", "ti": ti})
    assert "--look-at=" in task.arguments
    task._pre_execute_hook({"params": params.dump()})  # it is not refused before the first step either


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "0 is less than the minimum of 1"),
        ("epochs", 1.5, "1.5 is not of type 'integer'"),
        ("model", "convent", "'convent' is not one of ['convnet', 'convnet-bn', 'simple']"),
        ("momentum", 1, "1 is greater than or equal to the maximum of 1"),
        ("eager", "yes", "'yes' is not of type 'boolean'"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused(learn, name, value, message):
    with pytest.raises(ParamValidationError) as error:
        copy.deepcopy(learn.params).update({name: value})
    assert f"Invalid input for param {name}: {message}" in str(error.value)


@pytest.mark.parametrize("eager", [False, True])
def test_what_a_step_is_called_with_is_what_its_command_line_takes(learn, eager):
    values = learn.params.dump() | {"eager": eager, "source": "{{ 1 + 1 }} $(id); 'x'", "epochs": 3}
    root, old = "s3://tapeline/airflow/tapeline/manual__1", "s3://where/it/was"
    sources = {place for each in WORKFLOW.tasks for place in each.inputs.values()}
    ti = Ti({(source.name, output): {"uri": f"{old}/{source.name}/{output}"} for source, output in sources})
    for step in WORKFLOW.tasks:
        component = step.component
        task = copy.copy(learn.task_dict[component.name])
        task.render_template_fields({"params": values, "dag": learn, "run_id": "manual__1", "ti": ti})
        assert task.command[1:] == ["-m", f"components.{component.name}"]
        given = vars(parser_of(component).parse_args(task.arguments))
        assert given.pop("executor_input") is None
        places = {item.name: f"{root}/{component.name}/01/{item.name}" for item in component.outputs}
        places |= {name: f"{old}/{source.name}/{output}" for name, (source, output) in step.inputs.items()}
        assert {name: given.pop(name) for name in places} == places
        if component.name == "train":
            assert given.pop("checkpoints") == f"{root}/train/checkpoints"
            assert given["eager"] is eager
        declared = set(component.parameters.model_fields) - {"checkpoints"}
        assert component.parameters.checked(given) == component.parameters.checked(
            {name: values[name] for name in declared}
        )


def test_what_a_run_no_longer_knows_is_said_in_a_sentence(learn):
    task, ti = copy.copy(learn.task_dict["train"]), Ti()
    with pytest.raises(AirflowFailException) as error:
        task.render_template_fields({"params": learn.params.dump(), "dag": learn, "run_id": "manual__1", "ti": ti})
    assert str(error.value) == "this run no longer says where the dataset of ingest is: clear ingest as well"
    assert ti.told["failure"]["sentence"] == str(error.value)
    for handed in (None, {"uri": "s3://b/x", "verdict": "blessed"}):  # deleted, or of a run that is older than this
        ti = Ti({("gate", "decision"): handed})
        with pytest.raises(AirflowFailException) as error:
            learn.task_dict["bless"].python_callable(ti=ti, outlet_events={})
        assert str(error.value) == "this run no longer says what gate judged: clear gate as well"


def test_a_container_gets_no_secret_by_argument_and_may_do_little(monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_GPU_COUNT", "1")
    monkeypatch.setenv("TAPELINE_AIRFLOW_DOCKER_OPTIONS", "--network=host --volume='/a b:/c'")
    monkeypatch.setenv("TAPELINE_AIRFLOW_TAG", f"sha256:{'ab' * 32}")
    train = bag("docker", monkeypatch)["tapeline"].task_dict["train"]
    assert train.command == [
        "docker", "run", "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--memory=12g", "--label=app.kubernetes.io/part-of=tapeline",
        "--label=app.kubernetes.io/component=train", "--label=tapeline/workers=true",
        "--env=AWS_ENDPOINT_URL", "--env=AWS_ENDPOINT_URL_S3", "--env=AWS_REGION", "--env=AWS_DEFAULT_REGION",
        "--env=AWS_ACCESS_KEY_ID", "--env=AWS_SECRET_ACCESS_KEY", "--env=AWS_SESSION_TOKEN",
        "--env=HTTP_PROXY", "--env=HTTPS_PROXY", "--env=ALL_PROXY", "--env=NO_PROXY",
        "--env=http_proxy", "--env=https_proxy", "--env=all_proxy", "--env=no_proxy",
        "--env=MLFLOW_TRACKING_URI", "--env=MLFLOW_EXPERIMENT_NAME", "--env=MLFLOW_TRACKING_USERNAME",
        "--env=MLFLOW_TRACKING_PASSWORD", "--env=MLFLOW_TRACKING_TOKEN", "--env=MLFLOW_EXPERIMENT_ID",
        "--env=MLFLOW_TRACKING_INSECURE_TLS",
        "--shm-size=2g", "--gpus=1", "--network=host", "--volume=/a b:/c",
        f"tapeline/train@sha256:{'ab' * 32}", "python", "-m", "components.train",
    ]  # fmt: skip


def test_only_a_container_that_downloads_is_told_of_mirrors(monkeypatch):
    tasks = bag("docker", monkeypatch)["tapeline"].task_dict
    assert "--env=TAPELINE_MIRROR" in tasks["ingest"].command
    assert "--env=TAPELINE_MIRROR" not in tasks["train"].command


@pytest.mark.usefixtures("migrated")
def test_the_command_line_of_airflow_finds_no_error_and_says_one():
    command = [sys.executable, "-m", "airflow", "dags", "list-import-errors", "--local", "-o", "plain"]
    good = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (good.returncode, "No data found" in good.stdout) == (0, True)
    wrong = os.environ | {"TAPELINE_AIRFLOW_RUNNER": "spaceship"}
    bad = subprocess.run(command, check=False, capture_output=True, text=True, env=wrong)
    assert (bad.returncode, "'spaceship' is not one of process, docker, kubernetes" in bad.stdout) == (1, True)


def test_a_deployment_may_set_the_schedule_the_defaults_and_who_is_told(monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_SCHEDULE", "")
    monkeypatch.setenv("TAPELINE_AIRFLOW_PARAMETERS", '{"epochs": 3, "min_accuracy": 0.97}')
    monkeypatch.setenv("TAPELINE_AIRFLOW_ON_FAILURE", "tests.airflow.alarm:note")
    dags = bag("process", monkeypatch)
    assert dags["tapeline"].schedule is None
    assert [dags["tapeline"].params[name] for name in ("epochs", "min_accuracy", "seed")] == [3, 0.97, 0]
    assert dags["tapeline_reevaluate"].params["min_accuracy"] == 0.97
    assert [each.__name__ for each in dags["tapeline"].task_dict["train"].on_failure_callback] == ["note"]
