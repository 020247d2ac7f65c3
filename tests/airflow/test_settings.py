# mypy: allow-untyped-defs, allow-untyped-calls
"""What a deployment may not set, and how it is told."""

import os

import pytest
from airflow.dag_processing.dagbag import DagBag

from components.contract.errors import BadInput
from dags.airflow_settings import LONGEST, PREFIX, Settings
from dags.workflow import WORKFLOW

# Of each setting a value that is refused, and what is said of it.
WRONG = {
    "runner": ("dokcer", "'dokcer' is not one of process, docker, kubernetes (did you mean docker?)"),
    "schedule": (
        "every day",
        "'every day': a cron expression of 5 fields, such as 0 3 * * *, or one of @hourly, @daily, @weekly, ",
    ),
    "parameters": ('{"epochs": 0}', "epochs: 0 is less than 1"),
    "store": (
        "s3://My_Bucket/x",
        "'s3://My_Bucket/x': s3://bucket/prefix, a bucket as S3 names buckets and a prefix of letters, digits and ",
    ),
    "retries": ("-1", "-1 is less than 0"),
    "retry_seconds": ("soon", "'soon' is not a whole number"),
    "gpu_pool": ("", "'': the name of a pool is needed"),
    "on_failure": (
        "tests.airflow.alarm:ring",
        "'tests.airflow.alarm:ring': it cannot be imported: module 'tests.airflow.alarm' has no attribute 'ring'",
    ),
    "python": ("python3.99", "'python3.99': there is no program "),
    "registry": (
        "https://registry.example",
        "'https://registry.example': a registry, as registry.example/tapeline, is needed",
    ),
    "tag": ("sha256:abc", "'sha256:abc': a tag, or a digest sha256:… of 64 digits, is needed"),
    "images": ('{"trian": "r/train:1"}', "no such step: trian (did you mean train?)"),
    "docker_options": ("--env 'A", '"--env \'A": No closing quotation: quotes come in pairs'),
    "namespace": ("Steps", "'Steps': a namespace's name is small letters, digits and hyphens between them, 63 at most"),
    "service_account": (
        "a b",
        "'a b': small letters, digits, hyphens and dots between them are needed, as Kubernetes names things, ",
    ),
    "workers": ("2", "'2' is neither true nor false"),
    "pull_secret": ("a,b", "'a,b': the name of a Secret, or several with a space between them, is needed"),
    "start_seconds": ("0", "0 is less than 1"),
    "gpu_count": ("1.5", "'1.5' is not a whole number"),
    "gpu_resource": ("gpu", "'gpu': the name of an extended resource is needed, such as nvidia.com/gpu"),
    "node_selector": ('{"a": 1}', "'{\"a\": 1}': a: 1 is no text: put it in quotation marks"),
    "tolerations": ('[{"kye": "a"}]', '\'[{"kye": "a"}]\': no such key of a toleration: kye (did you mean key?)'),
    "cpu": ("many", "'many': not an amount as Kubernetes writes it, such as 500m or 4, 1024 at most"),
    "memory": ("16 GB", "'16 GB': not an amount as Kubernetes writes it, such as 512Mi or 16Gi, from 64Mi to 64Ti"),
    "pod": (
        '{"spec": {"containers": [{"name": "side"}]}}',
        '\'{"spec": {"containers": [{"name": "side"}]}}\': spec.containers: only one of the name base can be there, ',
    ),
    "s3_secret": ("My Secret", "'My Secret': small letters, digits, hyphens and dots between them are needed, as Kub"),
    "s3_config": (
        "",
        "'': small letters, digits, hyphens and dots between them are needed, as Kubernetes names things",
    ),
}
_LETTERS, _NAMES = "x" * 64, ("", "My Name", "a_b", "a..b", ".a", "a.", "a/b", "a\n", "x" * 254)
_JSON = ("", "null", "3", '"x"', "{", "[", "{]", "{'a': 'b'}", "[" * 200_000, "\0")
_WHOLE = ("", " ", "-1", "1.5", "1e3", "0x2", "two", "true", "null", "[1]", "9" * 400, "1\n")
# More of each.
MORE = {
    "runner": ("", "Docker", "docker ", "docker\n", "{}", "process,docker", "k8s"),
    "parameters": (
        *_JSON, "[]", '{"epoch": 3}', '{"epochs": null}', '{"epochs": "many"}', '{"epochs": {}}', '{"epochs": NaN}',
        '{"epochs": 1e999}', '{"seed": ' + "9" * 5000 + "}", '{"epochs": 1, "epochs": 2}', '{"model": ["simple"]}',
        '{"eager": "perhaps"}', '{"": 1}', '{"source": "\\ud800"}', '{"source": "a\\u0000b"}',
        '{"checkpoints": "s3://tapeline/mine"}', '{"snapshot_every": 10, "gradient_level": "norms"}',
    ),
    "store": (
        "", "tapeline", "s3:/tapeline/x", "S3://tapeline/x", "https://tapeline/x", "s3://", "s3:///x", "s3://ab/x",
        "s3://a..b/x", "s3://-ab/x", "s3://ab-/x", "s3://a.-b/x", "s3://192.168.0.1/x", "s3://tapeline/",
        "s3://tapeline//x", "s3://tapeline/../x", "s3://tapeline/x\n", "s3://tapeline/{{ ds }}", "s3://tapeline/a#b",
        "s3://tapeline/a?b", "s3://tapeline/a b", f"s3://{_LETTERS}/x", "s3://tapeline/" + "x" * 600, "s3://me@b/x",
        "s3://tapeline/x\0",
    ),
    "retries": (*_WHOLE, "11"),
    "retry_seconds": (*_WHOLE, "0", "301", "30s"),
    "gpu_pool": (" ", "gpu ", " gpu", "a\nb", "x" * 257, "\0", "\x1b[1m"),
    "on_failure": (
        "alarm", ":note", "tests.airflow.alarm:", "alarms:note", ".alarm:note", "a b:c", "os:sep", "os:getcwd",
        "tests.airflow.alarm:note:more", "tests.airflow.alarm:Path.cwd", "note\n", "tests.airflow.broken:note",
    ),
    "python": ("", " ", "python ", "a\0b", "x" * 5000),
    "registry": (
        "", "Registry.example/x", "registry.example/X", "registry.example/", "/a", "a//b", "a/b:tag", "a b", "a..b",
        "a/b@sha256:1", "registry.example:port/x", "-a/b", "é/x", "x" * 300, "a\n",
    ),
    "tag": (
        "", "a b", ":v1", "-v1", ".v1", "v/1", "vé", "v1\n", "v" * 129, "sha256:" + "A" * 64, "sha512:" + "a" * 64,
        "latest@sha256:" + "a" * 64,
    ),
    "images": (*_JSON, "[]", '{"train": "train"}', '{"train": 3}', '{"train": "A/b:1"}', '{"train": "a b:1"}'),
    "pod": (
        *_JSON, "[]", '{"kind": "Pod"}', '{"metadata": []}', '{"metadata": {"name": "x"}}', '{"spec": 3}',
        '{"spec": {"containers": {}}}', '{"spec": {"containers": [3]}}', '{"spec": {"containers": [{}, {}]}}',
    ),
    "docker_options": (
        '--env "A', "--env A\\", "busybox", "--network host busybox", "-q busybox", "--env", "--env --network=host",
        "-v", "-", "--", "--detach", "-d", "-it", "-qt", "--tty=true", "--name x", "--name=x", "--restart=always",
        "--entrypoint sh", "--rm=false", "--cidfile=/x", "--help", "--sig-proxy=false", "--network=host\n--init",
    ),
    "namespace": ("", "a.b", "a_b", "-a", "a-", _LETTERS, "a\n", "default/x"),
    "service_account": _NAMES,
    "workers": ("", "many", "2", "None"),
    "pull_secret": ("A", "a  b", " a", "a ", "a_b", "a..b", "a\nb", "x" * 254),
    "start_seconds": (*_WHOLE, "604801"),
    "gpu_count": (*_WHOLE, "65"),
    "gpu_resource": (
        "", "cpu", "nvidia.com/", "/gpu", "nvidia.com/gpu/x", "NVIDIA.com/gpu", "kubernetes.io/gpu", "nvidia.com/g u",
        f"nvidia.com/{_LETTERS}", "nvidia.com/gpu\n",
    ),
    "node_selector": (
        *_JSON, "[]", '{"a": null}', '{"a": true}', '{"a": ["b"]}', '{"": "b"}', '{"a b": "c"}', '{"a/b/c": "d"}',
        '{"A.com/x": "d"}', '{"a": "b c"}', '{"a": "-b"}', '{"a": "b."}', '{"a": "é"}', '{"a": "b", "a": "c"}',
        f'{{"a": "{_LETTERS}"}}', f'{{"{_LETTERS}": "b"}}',
    ),
    "tolerations": (
        *_JSON, "{}", "[1]", '["a"]', "[[]]", "[{}]", '[{"key": 3}]', '[{"key": null}]', '[{"key": "a b"}]',
        '[{"key": "a", "operator": "Exist"}]', '[{"key": "a", "operator": "Exists", "value": "b"}]',
        '[{"value": "b"}]', '[{"operator": "Equal"}]', '[{"key": "a", "value": "b c"}]', '[{"key": "a", "effect": ""}]',
        '[{"key": "a", "effect": "NoRun"}]', '[{"key": "a", "tolerationSeconds": 60}]',
        '[{"key": "a", "effect": "NoExecute", "tolerationSeconds": true}]',
        '[{"key": "a", "effect": "NoExecute", "tolerationSeconds": 1.5}]',
        '[{"key": "a", "effect": "NoExecute", "tolerationSeconds": 99999999999999999999}]',
    ),
    "cpu": ("0", "0m", "0.0", "-1", "1.5m", "4Gi", "1e3", "2000", " 4", "4 ", "0.0001", "4 cores", "٤", "4\n"),
    "memory": ("16", "0Gi", "16g", "16K", "1.5Gi", "500m", "1Mi", "100Ti", "-1Gi", "16GiB", "1e9", "9" * 400 + "Gi"),
    "s3_secret": _NAMES,
    "s3_config": _NAMES,
}  # fmt: skip
SCHEDULES = (
    "61 * * * *", "0 3 * *", "0 3 * * * 0", "0 3 * * * 0 2027", "0  3 * * *", " 0 3 * * *", "0 3 * * *\n", "@once",
    "@dayly", "@continuous", "0 0 30 2 *", "R R * * *", "H 3 * * *", "*/0 * * * *", "0 3 * * MON#9", "None",
)  # fmt: skip
RIGHT = {
    "parameters": ('{\n "epochs": "3"\n}', '{"source": "{{ 1 }} $(id)\\n é"}'),
    "store": ("s3://a-b.c/x", "s3://tapeline", "s3://tapeline/Größe/x=1,y:2"),
    "gpu_pool": ("my gpus",),
    "on_failure": ("", "tests.airflow.alarm:note", "builtins:print"),
    "registry": ("localhost:5000/x", "reg/x/y__z", "registry.example:5000", "10.0.0.1:5000/x"),
    "tag": ("sha256:" + "a" * 64, "_1.2-rc"),
    "docker_options": ("", "--network host -v /a:/b -v/a:/b -qv /a:/b --memory-swap -1 -P --env 'A=b c'"),
    "node_selector": ('{"a.b/c_D": "", "x": "1"}',),
    "tolerations": (
        '[{"operator": "Exists"}, {"key": "a"}]',
        '[{"key": "a", "effect": "NoExecute", "tolerationSeconds": 60}]',
    ),
    "cpu": ("", "0.5", "250m", "1024"),
    "memory": ("", "64Mi", "64Ti", "100G"),
    "s3_secret": (f"{_LETTERS}.a-b",),
}


def said(name, value, monkeypatch):
    """Return the last line of the import error that a setting causes."""
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    (trace,) = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors.values()
    assert "the above exception" not in trace.lower()
    *_, last = trace.rstrip().splitlines()
    return last


def test_every_setting_has_values_that_are_refused():
    assert set(WRONG) == set(Settings.model_fields)
    assert {*MORE, "schedule"} == set(Settings.model_fields)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_said_where_airflow_shows_it(name, monkeypatch):
    value, message = WRONG[name]
    assert f"components.contract.errors.BadInput: {PREFIX}{name.upper()}: {message}" in said(name, value, monkeypatch)


@pytest.mark.parametrize("name", MORE)
def test_whatever_is_wrong_is_one_sentence_with_the_setting_and_what_came(name):
    for value in MORE[name]:
        with pytest.raises(BadInput) as error:
            Settings.from_environment(WORKFLOW, {f"{PREFIX}{name.upper()}": value})
        (sentence,) = str(error.value).splitlines()
        assert sentence.startswith(f"{PREFIX}{name.upper()}: ")
        assert len(sentence) <= LONGEST + 3
        if name != "parameters":  # which says of each what came
            assert repr(value)[1:-1][:60].strip() in sentence
        for word in ("Traceback", "Input should", "Error", "unexpected keyword", "Exceeds", "recursion"):
            assert word not in sentence


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_that_is_none_or_never_comes_is_refused(schedule, monkeypatch):
    last = said("schedule", schedule, monkeypatch)
    assert last.startswith(f"components.contract.errors.BadInput: {PREFIX}SCHEDULE: {schedule!r}: ")


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_refused(name):
    for value in RIGHT[name]:
        Settings.from_environment(WORKFLOW, {f"{PREFIX}{name.upper()}": value})


@pytest.mark.parametrize("schedule", ["", "@daily", "@quarterly", "*/15 0-6 1,15 * MON-FRI", "0 3 L * *"])
def test_a_schedule_that_comes_is_not_refused(schedule, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}SCHEDULE", schedule)
    assert DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors == {}


def test_an_unknown_setting_is_no_setting(monkeypatch):
    assert f"{PREFIX}RUNER: no such setting (did you mean {PREFIX}RUNNER?)" in said("runer", "docker", monkeypatch)


def test_gpus_are_asked_for_once():
    given = {f"{PREFIX}GPU_COUNT": "1", f"{PREFIX}DOCKER_OPTIONS": "--gpus all"}
    with pytest.raises(BadInput) as error:
        Settings.from_environment(WORKFLOW, given)
    assert str(error.value) == (
        f"{PREFIX}DOCKER_OPTIONS: '--gpus all': --gpus cannot be added where gpu_count is not 0"
    )


def test_a_python_is_needed_only_for_processes(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}RUNNER", "docker")
    monkeypatch.setenv(f"{PREFIX}PYTHON", "/nowhere/python")
    assert DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).import_errors == {}


def test_all_wrong_settings_are_said_at_once():
    with pytest.raises(BadInput) as error:
        Settings.from_environment(WORKFLOW, {"TAPELINE_AIRFLOW_RUNER": "docker", "TAPELINE_AIRFLOW_RETRIES": "11",
                                             "TAPELINE_AIRFLOW_TAG": "a b"})  # fmt: skip
    assert str(error.value).splitlines() == [
        "TAPELINE_AIRFLOW_RUNER: no such setting (did you mean TAPELINE_AIRFLOW_RUNNER?)",
        "TAPELINE_AIRFLOW_RETRIES: 11 is more than 10",
        "TAPELINE_AIRFLOW_TAG: 'a b': a tag, or a digest sha256:… of 64 digits, is needed",
    ]
