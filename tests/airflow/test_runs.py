# mypy: allow-untyped-defs, allow-untyped-calls
"""One run of the DAG by `airflow dags test`, on real MNIST: with processes, and in containers."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from components.conftest import DIGITS
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.airflow_local import environment
from tests import parity
from tests.containers import DOCKER, needs_images

CONTAINERS = {
    "TAPELINE_AIRFLOW_RUNNER": "docker",
    "TAPELINE_AIRFLOW_DOCKER_OPTIONS": f"--network=host --volume={parity.CACHE}:/cache:ro --volume={DIGITS}:/digits:ro",
}


@pytest.fixture
def airflow(tmp_path, migrated):
    """Return what runs the DAG once in an Airflow of its own, and the way to its store."""
    shutil.copy(migrated / "airflow.db", tmp_path)
    with serve(tmp_path / "store", "tapeline") as settings:
        base = os.environ | environment(tmp_path, 8080) | settings

        def started(values, **variables):
            command = [sys.executable, "-m", "airflow", "dags", "test", "tapeline", f"--conf={json.dumps(values)}"]
            return subprocess.Popen(
                command, env=base | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

        yield started, settings


def ended(process):
    """Return the exit code of a run, and what it said."""
    said, _ = process.communicate()
    return process.returncode, said


def containers():
    """Return the containers of steps, running or not."""
    command = [DOCKER, "ps", "--all", "--quiet", "--filter=label=app.kubernetes.io/part-of=tapeline"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def digests(settings):
    """Return the digests of the one run in the store."""
    store = Store.from_environment(settings)
    return parity.in_store(store, parity.places_in(store, "s3://tapeline/airflow/tapeline"))


def bundle(folder):
    """Return the settings with which Airflow takes everything from a git repository, which has it as it is here."""
    for name in ("components", "dags", ".airflowignore"):
        copy = shutil.copytree if (parity.ROOT / name).is_dir() else shutil.copy
        copy(parity.ROOT / name, folder / "work" / name)
    git = ["git", "-C", folder / "work", "-c", "user.name=tapeline", "-c", "user.email=tapeline@localhost"]
    for command in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "--message=one"],
                    ["clone", "--quiet", "--bare", ".", folder / "dags.git"]):  # fmt: skip
        subprocess.run([*git, *command], check=True)
    places = {"repo_url": str(folder / "dags.git"), "tracking_ref": "main"}
    listed = [{"name": "tapeline", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": places}]
    return {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(listed),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "none"),
        "PYTHONPATH": "",
        "TAPELINE_AIRFLOW_PYTHON": str(parity.ROOT / ".venv/bin/python"),
    }


def test_processes_give_the_same_bytes_as_make_run_with_the_dags_from_git(airflow, tmp_path):
    run, settings = airflow
    (tmp_path / "git/work").mkdir(parents=True)
    code, said = ended(run(parity.VALUES, **bundle(tmp_path / "git")))
    assert code == 0, said
    assert str(tmp_path / "git/bundles") in said
    assert parity.record("airflow-process", digests(settings)) == parity.local()


@needs_images
def test_containers_give_the_same_bytes_as_make_run(airflow):
    run, settings = airflow
    expected = parity.local()  # it also fills the cache
    code, said = ended(run(parity.VALUES | {"cache": "/cache"}, **CONTAINERS))
    assert code == 0, said
    assert parity.record("airflow-docker", digests(settings)) == expected
    assert settings["AWS_SECRET_ACCESS_KEY"] not in said


@needs_images
def test_bad_input_fails_the_run_with_its_sentence_at_the_first_try(airflow):
    run, settings = airflow
    code, said = ended(run({"source": "/digits", "validation_size": 64, "batch_size": 4096}, **CONTAINERS))
    assert code == 1
    # Once by the step, once in the exception.
    assert said.count("train: batch_size: 4096 images a step, but there are only 448 to train on") == 2
    assert "batch_size: 4096 images a step, but there are only 448 to train on (exit code 2: the same call " in said
    names = Store.from_environment(settings).names("s3://tapeline/airflow/tapeline")
    assert {name.split("/")[1] for name in names} == {"ingest"}


@needs_images
def test_a_container_ends_even_if_airflow_is_killed(airflow):
    run, settings = airflow
    values = {"source": "/digits", "validation_size": 64, "model": "convnet", "batch_size": 32, "epochs": 10_000}
    with run(values, **CONTAINERS) as process:
        while "epoch 1/" not in (line := process.stdout.readline()):
            assert line, "it ended by itself"
        assert len(containers()) == 1
        process.kill()
    end = time.monotonic() + 30
    while left := containers():
        assert time.monotonic() < end, left
        time.sleep(0.2)
    names = Store.from_environment(settings).names("s3://tapeline/airflow/tapeline")
    assert {name.split("/")[2] for name in names if name.split("/")[1] == "train"} <= {"checkpoints"}
