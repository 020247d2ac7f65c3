# mypy: allow-untyped-defs, allow-untyped-calls
"""One run of the DAG by `airflow dags test`, on real MNIST: with processes, and in containers."""

import json
import os
import subprocess
import sys

import pytest

from components.conftest import DIGITS
from components.step.embedded import serve
from components.step.store import Store
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

        def run(values, **variables):
            command = [sys.executable, "-m", "airflow", "dags", "test", "tapeline", f"--conf={json.dumps(values)}"]
            return subprocess.run(command, check=False, capture_output=True, text=True, env=base | variables)

        yield run, settings


def digests(settings):
    """Return the digests of the one run in the store."""
    store = Store.from_environment(settings)
    (run,) = {name.split("/")[0] for name in store.names("s3://tapeline/airflow/tapeline")}
    return parity.in_store(
        store, lambda component, output: f"s3://tapeline/airflow/tapeline/{run}/{component}/{output}"
    )


def test_processes_give_the_same_bytes_as_make_run(airflow):
    run, settings = airflow
    done = run(parity.VALUES)
    assert done.returncode == 0, done.stdout
    assert parity.record("airflow-process", digests(settings)) == parity.local()


@needs_images
def test_containers_give_the_same_bytes_as_make_run(airflow):
    run, settings = airflow
    expected = parity.local()  # it also fills the cache
    done = run(parity.VALUES | {"cache": "/cache"}, **CONTAINERS)
    assert done.returncode == 0, done.stdout
    assert parity.record("airflow-docker", digests(settings)) == expected
    assert not any(settings["AWS_SECRET_ACCESS_KEY"] in text for text in (done.stdout, done.stderr))


@pytest.mark.parametrize("runner", ["process", pytest.param("docker", marks=needs_images)])
def test_bad_input_fails_the_run_with_its_sentence_at_the_first_try(airflow, runner):
    run, settings = airflow
    values = {"source": str(DIGITS), "validation_size": 64, "batch_size": 4096}
    variables = CONTAINERS if runner == "docker" else {}
    done = run(values | ({"source": "/digits"} if runner == "docker" else {}), **variables)
    assert done.returncode == 1
    assert done.stdout.count("train: batch_size: 4096 images a step, but there are only 448 to train on") == 1
    assert "train ended with exit code 2: the same call would end in the same way" in done.stdout
    names = Store.from_environment(settings).names("s3://tapeline/airflow/tapeline")
    assert {name.split("/")[1] for name in names} == {"ingest"}
    left = subprocess.run([DOCKER, "ps", "-aq", "--filter=label=app.kubernetes.io/part-of=tapeline"],
                          check=False, capture_output=True, text=True)  # fmt: skip
    assert left.stdout == ""


def test_what_the_form_cannot_check_is_refused_before_the_first_step(airflow):
    run, settings = airflow
    done = run({"snapshot_every": 10, "gradient_level": "norms"})
    assert done.returncode == 1
    assert "snapshot_every: 10 needs gradient_level full, not norms" in done.stdout
    assert Store.from_environment(settings).names("s3://tapeline/airflow") == []
