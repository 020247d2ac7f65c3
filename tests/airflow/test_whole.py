# mypy: allow-untyped-defs, allow-untyped-calls
"""A whole Airflow: scheduler, API server, DAG processor, triggerer, on real images, with processes.

Runs start in each way there is, and things go wrong in each way that a user will meet.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from components.conftest import DIGITS
from components.contract.errors import StepError
from components.contract.store.client import Store
from dags.airflow_local import start
from dags.airflow_settings import Settings
from dags.workflow import WORKFLOW
from tests.waiting import eventually

SMALL = {"source": str(DIGITS), "validation_size": 64, "model": "convnet", "epochs": 1, "batch_size": 32}
LONG = {"epochs": 200, "checkpoint_every": 100}  # 2,800 steps: long enough to be disturbed, short enough to end
SETTINGS = {
    "TAPELINE_AIRFLOW_PARAMETERS": json.dumps(SMALL | {"min_accuracy": 0.2}),
    "TAPELINE_AIRFLOW_RETRY_SECONDS": "1",
    "TAPELINE_AIRFLOW_ON_FAILURE": "tests.airflow.alarm:note",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # A scheduler that is gone is noticed after this many seconds rather than 30.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}


class Runs:
    """The Airflow under test, in a user's words."""

    def __init__(self, airflow):
        self.airflow = airflow
        self.store = Store.from_environment(airflow.environment)

    def trigger(self, dag="tapeline", **values):
        answer = self.airflow.call("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": values})
        return answer["dag_run_id"]

    def of(self, dag, kind):
        runs = self.airflow.call("GET", f"dags/{dag}/dagRuns")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["run_type"] == kind]

    def end_of(self, run, dag="tapeline"):
        """Return the state in which a run ends, and those of its tasks."""
        path = f"dags/{dag}/dagRuns/{run}"
        ended = ("success", "failed")
        state = eventually("end of the run", lambda: (s := self.airflow.call("GET", path)["state"]) in ended and s)
        tasks = self.airflow.call("GET", f"{path}/taskInstances")["task_instances"]
        return state, {task["task_id"]: task["state"] for task in tasks}

    def task(self, run, name):
        return self.airflow.call("GET", f"dags/tapeline/dagRuns/{run}/taskInstances/{name}")

    def log(self, run, name, attempt):
        path = f"dags/tapeline/dagRuns/{run}/taskInstances/{name}/logs/{attempt}"
        return json.dumps(self.airflow.call("GET", path)["content"])

    def said(self, run, task, key, dag="tapeline"):
        return self.airflow.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}")["value"]

    def names(self, run, step):
        return self.store.names(f"s3://tapeline/airflow/tapeline/{run}/{step}")

    def training(self, run):
        """Return the process of a run's training once it has a checkpoint."""
        checkpoint = re.compile(r"checkpoints/.*manifest\.json")
        eventually("checkpoint", lambda: any(checkpoint.fullmatch(name) for name in self.names(run, "train")))
        (process,) = steps_of(run)
        return process


def steps_of(run):
    """Return the processes of a run's steps."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if any(run in argument for argument in line) and any(part.startswith("components.") for part in line):
            found.append(process)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (SETTINGS | {"ALARMS": str(folder / "alarms")}).items():
            patch.setenv(name, value)
        with start(Settings.from_environment(WORKFLOW), folder / "airflow", free_port()) as airflow:
            for dag in ("tapeline_reevaluate", "tapeline"):
                airflow.call("PATCH", f"dags/{dag}", {"is_paused": False})
            yield Runs(airflow)
    left = [process for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get("AIRFLOW_HOME") == str(folder / "airflow")]  # fmt: skip
    assert left == []


@pytest.fixture(scope="module")
def scheduled(runs):
    """Return the run that the schedule starts as soon as the DAG is unpaused."""
    (run,) = eventually("scheduled run", lambda: runs.of("tapeline", "scheduled"))
    assert runs.end_of(run) == (
        "success", dict.fromkeys(("ingest", "train", "export", "evaluate", "bless"), "success"),
    )  # fmt: skip
    return run


def test_a_blessed_model_is_judged_again(runs, scheduled):
    (again,) = eventually("run for the asset", lambda: runs.of("tapeline_reevaluate", "asset_triggered"))
    assert runs.end_of(again, "tapeline_reevaluate") == (
        "success", dict.fromkeys(("find", "evaluate", "confirm"), "success"),
    )  # fmt: skip
    first, second = (
        runs.said(scheduled, "evaluate", "metrics"),
        runs.said(again, "evaluate", "metrics", "tapeline_reevaluate"),
    )
    assert (first["verdict"], second["verdict"]) == ("blessed", "blessed")
    assert first["digest"] == second["digest"]  # the same model, data and thresholds: the same bytes
    assert first["uri"] != second["uri"]
    stricter = runs.trigger("tapeline_reevaluate", min_accuracy=1)
    state, tasks = runs.end_of(stricter, "tapeline_reevaluate")
    assert (state, tasks["evaluate"], tasks["confirm"]) == ("failed", "success", "failed")


def test_the_assets_say_where_they_are_and_how_good(runs, scheduled):
    events = runs.airflow.call("GET", "assets/events?order_by=timestamp")["asset_events"]
    found = {event["name"]: event["extra"] for event in events if event["source_run_id"] == scheduled}
    place = f"s3://tapeline/airflow/tapeline/{scheduled}"
    assert found["tapeline_dataset"]["uri"] == f"{place}/ingest/dataset"
    assert found["tapeline_gradients"]["uri"] == f"{place}/train/gradients"
    model = found["tapeline_model"]
    assert (model["trained_model"], model["dataset"]) == (f"{place}/train/trained_model", f"{place}/ingest/dataset")
    assert model["verdict"] == "blessed"
    assert model["accuracy"] == runs.said(scheduled, "evaluate", "metrics")["accuracy"] > 0.2


def test_a_parameter_out_of_bounds_is_refused_by_the_api(runs):
    with pytest.raises(StepError) as error:
        runs.trigger(epochs=0)
    assert "400" in str(error.value)
    assert "Invalid input for param epochs: 0 is less than the minimum of 1" in str(error.value)


def test_a_backfill_runs_too(runs, scheduled):
    command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id=tapeline",
               "--from-date=2026-01-05", "--to-date=2026-01-05T12:00:00"]  # fmt: skip
    made = subprocess.run(command, check=False, capture_output=True, text=True, env=runs.airflow.environment)
    assert made.returncode == 0, made.stderr
    (run,) = eventually("backfill", lambda: runs.of("tapeline", "backfill"))
    assert runs.end_of(run)[0] == "success"
    assert runs.said(run, "train", "gradients")["digest"] == runs.said(scheduled, "train", "gradients")["digest"]


def test_a_run_by_the_api_makes_the_same_bytes_and_a_model_below_its_threshold_is_no_asset(runs, scheduled):
    run = runs.trigger(min_accuracy=1)
    state, tasks = runs.end_of(run)
    assert (state, tasks["evaluate"], tasks["bless"]) == ("success", "success", "skipped")
    assert "the model is rejected; see the report of evaluate" in runs.log(run, "bless", 1)
    for step, output in (("ingest", "dataset"), ("train", "gradients"), ("export", "gradient_tables")):
        assert runs.said(run, step, output)["digest"] == runs.said(scheduled, step, output)["digest"]


def test_bad_input_fails_at_once_and_somebody_is_told(runs):
    run = runs.trigger(batch_size=4096)
    assert runs.end_of(run) == ("failed", {
        "ingest": "success", "train": "failed",
        "export": "upstream_failed", "evaluate": "upstream_failed", "bless": "upstream_failed",
    })  # fmt: skip
    assert runs.task(run, "train")["try_number"] == 1
    assert "train: batch_size: 4096 images a step, but there are only 448 to train on" in runs.log(run, "train", 1)
    assert runs.names(run, "train") == []
    alarms = Path(os.environ["ALARMS"])
    eventually("alarm", lambda: alarms.exists() and "train" in alarms.read_text().splitlines())


def test_a_killed_step_is_tried_again_and_goes_on_from_its_checkpoint(runs):
    run = runs.trigger(**LONG)
    runs.training(run).kill()
    assert runs.end_of(run)[0] == "success"
    assert runs.task(run, "train")["try_number"] == 2
    assert "train ended with exit code -9" in runs.log(run, "train", 1)
    assert "going on from step" in runs.log(run, "train", 2)


def test_a_task_that_a_user_fails_ends_its_step(runs):
    run = runs.trigger(**LONG, seed=1)
    step = runs.training(run)
    runs.airflow.call("PATCH", f"dags/tapeline/dagRuns/{run}/taskInstances/train", {"new_state": "failed"})
    step.wait(60)
    assert runs.end_of(run)[0] == "failed"
    assert {name.split("/")[0] for name in runs.names(run, "train")} == {"checkpoints"}
    assert steps_of(run) == []


def test_a_killed_scheduler_is_started_again_and_the_run_goes_on(runs):
    run = runs.trigger(**LONG, seed=2)
    runs.training(run)
    scheduler = runs.airflow.processes["scheduler"]
    workers = psutil.Process(scheduler.pid).children()
    for process in (scheduler, *workers):  # as when memory is short; the step itself is not touched
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    eventually("end of the step", lambda: not steps_of(run))
    assert {name.split("/")[0] for name in runs.names(run, "train")} == {"checkpoints"}
    scheduler.wait()
    runs.airflow.launch("scheduler", "--skip-serve-logs")
    assert runs.end_of(run)[0] == "success"
    assert "going on from step" in runs.log(run, "train", runs.task(run, "train")["try_number"])
