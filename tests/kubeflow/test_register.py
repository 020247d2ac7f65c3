# mypy: allow-untyped-defs, allow-untyped-calls
"""Registration, against a small Kubeflow."""

import os
import subprocess
import sys

import pytest
from kfp import compiler

from dags.kubeflow_pipeline import build, description
from dags.workflow import WORKFLOW
from tests.kubeflow.server import Handler, Kubeflow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("register") / "pipeline.yaml"
    compiler.Compiler().compile(build(WORKFLOW), str(made))
    return made


def register(path, address, *arguments, **environment):
    command = [sys.executable, "-m", "dags.kubeflow_register", str(path), f"--host={address}", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


def test_the_same_file_twice_is_one_version_and_another_file_a_second(path, tmp_path):
    with Kubeflow() as kubeflow:
        first = register(path, kubeflow.address)
        again = register(path, kubeflow.address)
        changed = tmp_path / "pipeline.yaml"
        changed.write_text(path.read_text() + "# changed\n")
        other = register(changed, kubeflow.address)
        assert (first.returncode, first.stdout) == (0, "pipeline tapeline: version version-0 is new\n")
        assert again.stdout == "pipeline tapeline: version version-0 is there already\n"
        assert other.stdout == "pipeline tapeline: version version-1 is new\n"
        assert len(kubeflow.pipelines) == 1
        assert [version["bytes"] for version in kubeflow.versions.values()] == [
            path.stat().st_size, changed.stat().st_size,
        ]  # fmt: skip


def test_a_check_finds_what_is_registered_and_changes_nothing(path):
    with Kubeflow() as kubeflow:
        missing = register(path, kubeflow.address, "--check")
        assert (missing.returncode, missing.stderr) == (
            1, f"register: Kubeflow at {kubeflow.address} does not have this version of the pipeline tapeline\n",
        )  # fmt: skip
        assert kubeflow.pipelines == {}
        register(path, kubeflow.address)
        found = register(path, kubeflow.address, "--check")
        assert (found.returncode, found.stdout) == (0, "pipeline tapeline: version version-0 is registered\n")


def test_a_run_has_typed_parameters(path):
    given = ("epochs=3", "model=convnet", "gpu_count=1", "eager=false", "validation_size=64")
    with Kubeflow() as kubeflow:
        done = register(path, kubeflow.address, "--run", *(f"--parameter={item}" for item in given))
        assert done.stdout.endswith("run runs-0 is started\n"), done.stderr
        (run,) = kubeflow.runs.values()
        assert run["runtime_config"]["parameters"] == {
            "epochs": 3, "model": "convnet", "gpu_count": "1",
            "unlisted_parameters": {"eager": False, "validation_size": 64},
        }  # fmt: skip
        assert run["display_name"] == "tapeline epochs=3 model=convnet gpu_count=1 eager=false validation_size=64"
        assert run["pipeline_version_reference"] == {"pipeline_id": "pipelines-0", "pipeline_version_id": "version-0"}
        assert run["experiment_id"] == "experiments-0"


def test_a_run_adds_to_the_json_that_the_form_begins_with(tmp_path):
    made = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(build(WORKFLOW, defaults=("validation_size=64", "eager=true")), str(made))
    with Kubeflow() as kubeflow:
        done = register(made, kubeflow.address, "--run", "--parameter=eager=false", "--parameter=stats_every=8")
        assert done.returncode == 0, done.stderr
        (run,) = kubeflow.runs.values()
    given = {"validation_size": 64, "eager": False, "stats_every": 8}
    assert run["runtime_config"]["parameters"] == {"unlisted_parameters": given}


@pytest.mark.parametrize(
    "given", [(), ("--parameter=epochs=3", "--parameter=learning_rate=0.01", "--parameter=cache=/c")]
)
def test_a_recurring_run_is_one_whatever_is_repeated(path, given):
    with Kubeflow() as kubeflow:
        said = [register(path, kubeflow.address, f"--cron={cron}", *given).stdout.splitlines()[-1]
                for cron in ("0 0 3 * * *", "0 0 3 * * *", "0 0 4 * * *")]  # fmt: skip
        assert [line.removeprefix("recurring run tapeline ") for line in said] == [
            "is set up", "is there already", "is replaced",
        ]  # fmt: skip
        (recurring,) = kubeflow.recurring.values()
        assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 4 * * *"}}
        assert (recurring["max_concurrency"], recurring["no_catchup"]) == ("1", True)
        other = register(path, kubeflow.address, "--cron=0 0 4 * * *", *given, "--parameter=seed=7")
        assert other.stdout.endswith("is replaced\n")


def test_what_it_is_stands_where_it_is_opened(path):
    with Kubeflow() as kubeflow:
        register(path, kubeflow.address)
        (pipeline,), (version,) = kubeflow.pipelines.values(), kubeflow.versions.values()
        assert pipeline["description"] == version["description"] == description(WORKFLOW)


def test_a_kubeflow_whose_form_has_no_choices_is_told_apart(path, tmp_path):
    with Kubeflow(before_choices=True) as kubeflow:
        refused = register(path, kubeflow.address)
        assert refused.returncode == 2
        assert refused.stderr.endswith(
            "is older than 2.16, whose form cannot offer choices: compile with make pipeline ARGS=--no-choices\n"
        )
        plain = tmp_path / "pipeline.yaml"
        compiler.Compiler().compile(build(WORKFLOW, choices=False), str(plain))
        assert register(plain, kubeflow.address).returncode == 0


def test_a_token_comes_from_the_environment(path):
    with Kubeflow(token="secret-token") as kubeflow:  # noqa: S106 - the server is ours
        refused = register(path, kubeflow.address)
        assert refused.returncode == 2
        assert refused.stderr.endswith("/healthz: set KUBEFLOW_TOKEN to a token that may\n")
        assert register(path, kubeflow.address, KUBEFLOW_TOKEN="secret-token").returncode == 0  # noqa: S106


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--parameter=epochs=0"], 2, "register: epochs: 0 is less than 1\n"),
        (
            ["--parameter=epoch=3"],
            2,
            "register: --parameter epoch=3: not NAME=VALUE with a parameter (did you mean epochs?)",
        ),
        (["--parameter=gpu_count=-1"], 2, "register: gpu_count: -1 is less than 0\n"),
        (
            ["--parameter=tolerations=[]"],
            2,
            "register: tolerations: fixed when the pipeline is compiled: make pipeline ARGS='--default …'\n",
        ),
        ([], 4, "register: Kubeflow does not answer at http://127.0.0.1:9: "),
    ],
)
def test_what_is_wrong_is_said(path, arguments, code, message):
    done = register(path, "http://127.0.0.1:9", *arguments)
    assert (done.returncode, done.stderr.startswith(message)) == (code, True), done.stderr


def test_a_server_of_another_kind_or_a_missing_file_is_said(path, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "get", lambda self, *_: self.answer({"hello": 1}))
    with Kubeflow() as kubeflow:
        done = register(path, kubeflow.address)
    assert (done.returncode, "does not answer as Kubeflow Pipelines 2 does" in done.stderr) == (1, True)
    done = register(tmp_path / "none.yaml", "http://127.0.0.1:9")
    assert (done.returncode, "`make pipeline` writes it" in done.stderr) == (2, True)
