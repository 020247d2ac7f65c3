# mypy: allow-untyped-defs, allow-untyped-calls
"""One run of the DAG by `airflow dags test`, on real MNIST: with processes, and in containers."""

import json
import os
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
def airflow(tmp_path):
    """Return what runs the DAG once in an Airflow of its own, and the way to its store."""
    with serve(tmp_path / "store", "tapeline") as settings:
        base = os.environ | environment(tmp_path, 8080) | settings
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, env=base)

        def started(values, dag="tapeline", **variables):
            command = [sys.executable, "-m", "airflow", "dags", "test", dag, f"--conf={json.dumps(values)}"]
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


def test_processes_give_the_same_bytes_as_make_run(airflow):
    run, settings = airflow
    code, said = ended(run(parity.VALUES))
    assert code == 0, said
    assert parity.record("airflow-process", digests(settings)) == parity.local()


@needs_images
def test_containers_give_the_same_bytes_as_make_run(airflow):
    run, settings = airflow
    expected = parity.local()  # it also fills the cache
    code, said = ended(run(parity.VALUES | {"cache": "/cache"}, **CONTAINERS))
    assert code == 0, said
    assert parity.record("airflow-docker", digests(settings)) == expected
    assert settings["AWS_SECRET_ACCESS_KEY"] not in said


@pytest.mark.parametrize(
    ("source", "variables"),
    [(str(DIGITS), {}), pytest.param("/digits", CONTAINERS, marks=needs_images)],
    ids=["process", "docker"],
)
def test_bad_input_fails_the_run_with_its_sentence_at_the_first_try(airflow, source, variables):
    run, settings = airflow
    code, said = ended(run({"source": source, "validation_size": 64, "batch_size": 4096}, **variables))
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


def test_what_the_form_cannot_check_is_refused_before_the_first_step(airflow):
    run, settings = airflow
    code, said = ended(run({"snapshot_every": 10, "gradient_level": "norms", "epoch": 3}))
    assert code == 1
    assert "epoch: no such parameter (did you mean epochs?)" in said
    assert "snapshot_every: 10 needs gradient_level full, not norms" in said
    assert Store.from_environment(settings).names("s3://tapeline/airflow") == []


def test_without_a_blessed_model_there_is_nothing_to_judge_again(airflow):
    run, _ = airflow
    code, said = ended(run({}, "tapeline_reevaluate"))
    assert code == 1
    assert "no model has been blessed yet: run tapeline with a threshold, say min_accuracy" in said
