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
from airflow.sdk.exceptions import AirflowException, AirflowFailException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from components.contract.command import parser_of
from components.contract.errors import BadInput
from dags.airflow_process import failure
from dags.airflow_settings import RUNNERS, Settings
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


def test_the_graphs_read_as_a_sentence(dags):
    assert {name: {t.task_id: (t.task_display_name, t.downstream_task_ids) for t in dag.tasks}
            for name, dag in dags.items()} == {
        "tapeline": {
            "ingest": ("Ingest and validate", {"train", "evaluate"}),
            "train": ("Train with GradientTape", {"export", "evaluate"}),
            "export": ("Export the gradients", set()),
            "evaluate": ("Judge on the test set", {"bless"}),
            "bless": ("Bless the model", set()),
        },
        "tapeline_reevaluate": {
            "find": ("Find the blessed model", {"evaluate"}),
            "evaluate": ("Judge on the test set", {"confirm"}),
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


def odd_settings(kind):
    """Return values for all parameters as a deployment may come to give them, and what they mean."""
    defaults = {name: (field.annotation, field.default) for name, field in fields().items() if name != "checkpoints"}
    match kind:
        case "as text":  # what `helm --set-string` makes of numbers and switches
            return {name: (str(value), value) for name, (_, value) in defaults.items()}
        case "as floats":  # what YAML and JSON tools make of whole numbers
            return {name: (float(value), value) for name, (type_, value) in defaults.items() if type_ is int}
        case "empty":
            free = {name for name, field in fields().items() if not {"enum", "examples"} & {*field.json_schema_extra}}
            return {name: ("", "") for name, (type_, _) in defaults.items() if type_ is str and name in free}
        case _:
            return {}


@pytest.mark.parametrize("kind", ["none", "as text", "as floats", "empty"])
def test_every_form_opens_ready_to_go(kind, monkeypatch):
    given = odd_settings(kind)
    monkeypatch.setenv("TAPELINE_AIRFLOW_PARAMETERS", json.dumps({name: value for name, (value, _) in given.items()}))
    for dag in bag("process", monkeypatch).values():
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
    task.render_template_fields({"params": params.dump(), "dag": learn, "run_id": "manual__1"})
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
    root = "s3://tapeline/airflow/tapeline/manual__1"
    for step in WORKFLOW.tasks:
        component = step.component
        task = copy.copy(learn.task_dict[component.name])
        task.render_template_fields({"params": values, "dag": learn, "run_id": "manual__1"})
        assert task.command[1:] == ["-m", f"components.{component.name}"]
        given = vars(parser_of(component).parse_args(task.arguments))
        assert given.pop("executor_input") is None
        places = {item.name: f"{root}/{component.name}/{item.name}" for item in component.outputs}
        places |= {name: f"{root}/{source.name}/{output}" for name, (source, output) in step.inputs.items()}
        assert {name: given.pop(name) for name in places} == places
        if component.name == "train":
            assert given.pop("checkpoints") == f"{root}/train/checkpoints"
            assert given["eager"] is eager
        declared = set(component.parameters.model_fields) - {"checkpoints"}
        assert component.parameters.checked(given) == component.parameters.checked(
            {name: values[name] for name in declared}
        )


def test_bad_input_is_final_and_everything_else_is_tried_again():
    final = {code: isinstance(failure(Ti(), "train", code, []), AirflowFailException)
             for code in (1, 2, 3, 4, 5, 125, 137, 143)}  # fmt: skip
    assert final == {1: False, 2: True, 3: True, 4: False, 5: True, 125: False, 137: False, 143: False}
    assert isinstance(failure(Ti(), "train", 4, []), AirflowException)


@pytest.mark.parametrize(
    ("code", "lines", "sentence"),
    [
        (2, ["epoch 1/5", "train: epochs: 0 is less than 1"],
         "train: epochs: 0 is less than 1 (exit code 2: the same call would end in the same way)"),
        (3, ["train: no bucket a", "no bucket b"],
         "train: no bucket a\nno bucket b (exit code 3: the same call would end in the same way)"),
        (2, ["train: no such file", "Traceback (most recent call last):", "OSError"],
         "train: no such file (exit code 2: the same call would end in the same way)"),
        (4, ["train: the store does not answer"], "train: the store does not answer (exit code 4)"),
        (1, ["Traceback (most recent call last):", "MemoryError: no"], "MemoryError: no (exit code 1)"),
        (-9, ["epoch 1/5"], "train ended with exit code -9: it was killed, as when memory is short"),
        (137, [], "train ended with exit code 137: it was killed, as when memory is short"),
        (125, ["docker: no such image.", "", "Run 'docker run --help'"], "docker: no such image. (exit code 125)"),
        (143, ["train: terminated"], "train: terminated (exit code 143)"),
    ],
)  # fmt: skip
def test_what_a_step_said_of_its_failure_is_in_the_exception(code, lines, sentence):
    ti = Ti()
    assert str(failure(ti, "train", code, lines)) == sentence
    assert ti.told == {"failure": {"sentence": sentence, "exit_code": code}}


def test_a_container_gets_no_secret_by_argument_and_may_do_little(monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_GPU_COUNT", "1")
    monkeypatch.setenv("TAPELINE_AIRFLOW_DOCKER_OPTIONS", "--network=host --volume='/a b:/c'")
    monkeypatch.setenv("TAPELINE_AIRFLOW_TAG", f"sha256:{'ab' * 32}")
    train = bag("docker", monkeypatch)["tapeline"].task_dict["train"]
    assert train.command == [
        "docker", "run", "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--memory=12g", "--label=app.kubernetes.io/part-of=tapeline",
        "--label=app.kubernetes.io/component=train",
        "--env=AWS_ENDPOINT_URL", "--env=AWS_ENDPOINT_URL_S3", "--env=AWS_REGION", "--env=AWS_DEFAULT_REGION",
        "--env=AWS_ACCESS_KEY_ID", "--env=AWS_SECRET_ACCESS_KEY", "--env=AWS_SESSION_TOKEN",
        "--env=HTTP_PROXY", "--env=HTTPS_PROXY", "--env=ALL_PROXY", "--env=NO_PROXY",
        "--env=http_proxy", "--env=https_proxy", "--env=all_proxy", "--env=no_proxy",
        "--shm-size=2g", "--gpus=1", "--network=host", "--volume=/a b:/c",
        f"tapeline/train@sha256:{'ab' * 32}", "python", "-m", "components.train",
    ]  # fmt: skip


def test_only_a_container_that_downloads_is_told_of_mirrors(monkeypatch):
    tasks = bag("docker", monkeypatch)["tapeline"].task_dict
    assert "--env=TAPELINE_MIRROR" in tasks["ingest"].command
    assert "--env=TAPELINE_MIRROR" not in tasks["train"].command


WRONG = {
    "runner": ("dokcer", "'dokcer' is not one of process, docker, kubernetes (did you mean docker?)"),
    "schedule": ("every day", "'every day' is no cron expression, such as 0 3 * * *"),
    "parameters": ('{"epochs": 0}', "epochs: 0 is less than 1"),
    "store": ("s3://My_Bucket/x", "'s3://My_Bucket/x': s3://bucket/prefix, as S3 names buckets, is needed"),
    "retries": ("-1", "-1 is less than 0"),
    "retry_seconds": ("soon", "'soon' is not a whole number"),
    "gpu_pool": ("", "'': the name of a pool is needed"),
    "on_failure": ("tests.airflow.alarm:ring", "'tests.airflow.alarm:ring': it cannot be imported: "),
    "python": ("", "'': the path of a Python is needed"),
    "registry": (
        "https://registry.example",
        "'https://registry.example': a registry, as registry.example/tapeline, is ",
    ),
    "tag": ("sha256:abc", "'sha256:abc': a tag, or a digest sha256:… of 64 digits, is needed"),
    "images": ('{"trian": "r/train:1"}', "no such step: trian (did you mean train?)"),
    "docker_options": ("--env 'A", '"--env \'A": No closing quotation'),
    "namespace": ("Steps", "'Steps': the name of a namespace is needed"),
    "service_account": ("a b", "'a b': the name of a service account is needed"),
    "pull_secret": ("a,b", "'a,b': the name of a Secret, or several with a space between them, is needed"),
    "start_seconds": ("0", "0 is less than 1"),
    "gpu_count": ("1.5", "'1.5' is not a whole number"),
    "gpu_resource": ("", "'': String should have at least 1 character"),
    "node_selector": ('{"a": 1}', "1: Input should be a valid string"),
    "tolerations": ('[{"key": "a", "tolerationseconds": 3}]', "tolerationseconds (did you mean tolerationSeconds?)"),
    "cpu": ("many", "'many': not an amount as Kubernetes writes it, such as 500m, 4 or 16Gi"),
    "memory": ("16 GB", "'16 GB': not an amount as Kubernetes writes it, such as 500m, 4 or 16Gi"),
    "pod": ('{"spec": {"containers": [{"name": "side"}]}}', "only one of the name base can be there, the step's own"),
    "s3_secret": ("My Secret", "'My Secret': small letters, digits, dots and hyphens are needed, as Kubernetes "),
    "s3_config": ("", "'': small letters, digits, dots and hyphens are needed, as Kubernetes names things"),
}
MORE = [
    ("runer", "docker", "no such setting (did you mean TAPELINE_AIRFLOW_RUNNER?)"),
    ("store", "tapeline", "'tapeline': s3://bucket/prefix, as S3 names buckets, is needed"),
    ("store", "s3://tapeline/../x", "'s3://tapeline/../x': s3://bucket/prefix, as S3 names buckets, is needed"),
    ("parameters", '{"epoch": 3}', "epoch: no such parameter (did you mean epochs?)"),
    ("parameters", "[]", "'[]': a JSON object is needed"),
    ("tolerations", "{}", "'{}': a JSON list is needed"),
    ("tolerations", '["a"]', "'a': Input should be a valid dictionary"),
    ("tolerations", '[{"key": 3}]', "key: 3 is no text"),
    ("tolerations", '[{"tolerationSeconds": true}]', "tolerationSeconds: True is no whole number"),
    ("tolerations", '[{"operator": "Exist"}]', "operator: 'Exist' is not one of Exists, Equal"),
    ("node_selector", "{", "'{': not JSON"),
    ("images", '{"train": "train"}', "train: 'train': an image with its tag or digest is needed"),
    ("pod", '{"kind": "Pod"}', "kind: only metadata and spec can be added"),
    ("on_failure", "alarm", "'alarm': it is not of the form module:function"),
    ("on_failure", "os:sep", "'os:sep': it is no function"),
    ("on_failure", "alarms:note", "'alarms:note': it cannot be imported: No module named 'alarms'"),
    ("schedule", "61 * * * *", "'61 * * * *' is no cron expression, such as 0 3 * * *"),
]


def test_every_setting_has_a_value_that_is_refused():
    assert set(WRONG) == set(Settings.model_fields)


@pytest.mark.parametrize(("name", "value", "message"), [(name, *wrong) for name, wrong in WRONG.items()] + MORE)
def test_a_wrong_setting_is_said_where_airflow_shows_it(name, value, message, monkeypatch):
    variable = f"TAPELINE_AIRFLOW_{name.upper()}"
    monkeypatch.setenv(variable, value)
    (trace,) = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors.values()
    *_, last = trace.rstrip().splitlines()
    assert last.startswith(f"components.contract.errors.BadInput: {variable}")
    assert message in last


def test_a_key_that_no_pod_has_is_refused_rather_than_dropped(monkeypatch):
    monkeypatch.setenv("TAPELINE_AIRFLOW_RUNNER", "kubernetes")
    monkeypatch.setenv("TAPELINE_AIRFLOW_POD", '{"spec": {"tolerations": [{"key": "a"}, {"kye": "b"}]}}')
    (trace,) = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors.values()
    assert trace.rstrip().endswith("BadInput: TAPELINE_AIRFLOW_POD: spec.tolerations.1.kye: a Pod has no such key")


def test_all_wrong_settings_are_said_at_once():
    with pytest.raises(BadInput) as error:
        Settings.from_environment(WORKFLOW, {"TAPELINE_AIRFLOW_RUNER": "docker", "TAPELINE_AIRFLOW_RETRIES": "11",
                                             "TAPELINE_AIRFLOW_TAG": "a b"})  # fmt: skip
    assert str(error.value).splitlines() == [
        "TAPELINE_AIRFLOW_RUNER: no such setting (did you mean TAPELINE_AIRFLOW_RUNNER?)",
        "TAPELINE_AIRFLOW_RETRIES: 11 is more than 10",
        "TAPELINE_AIRFLOW_TAG: 'a b': a tag, or a digest sha256:… of 64 digits, is needed",
    ]


def test_the_command_line_of_airflow_finds_no_error_and_says_one():
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
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
