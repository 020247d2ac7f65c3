# mypy: allow-untyped-defs, allow-untyped-calls
"""A whole Airflow for tests: scheduler, API server, DAG processor, triggerer, on real images, with processes."""

import json
import shutil
import socket
from pathlib import Path

import psutil
import pytest

from components.conftest import DIGITS, checkpoints_among
from components.contract.store.client import Store
from dags.airflow_local import ROOT, start
from dags.airflow_settings import Settings
from dags.notice import URL
from dags.workflow import WORKFLOW
from tests.receiver import receiver
from tests.waiting import eventually

SMALL = {"source": str(DIGITS), "validation_size": 64, "model": "convnet", "epochs": 1, "batch_size": 32}
LONG = {"epochs": 100, "checkpoint_every": 50}  # 1,400 steps: long enough to be disturbed, short enough to end
STEPS = [task.name for task in WORKFLOW.tasks]
NIGHT = "nightly+2026:11~a"
SETTINGS = {
    "TAPELINE_AIRFLOW_PARAMETERS": json.dumps(SMALL | {"min_accuracy": 0.2, "margin": 100}),
    "TAPELINE_AIRFLOW_RETRY_SECONDS": "1",
    "TAPELINE_AIRFLOW_ON_FAILURE": "tests.airflow.alarm:note",
    "TAPELINE_AIRFLOW_PYTHON": "tests/airflow/python",
    # Logs go to the store of the artifacts, and are shown from there: what has gone is emptied here.
    "AIRFLOW_CONN_STORE": "aws://",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "store",
    "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://tapeline/logs",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # On a busy machine a scheduler that is late for 30 seconds would take itself for gone, and its tasks for lost.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}


class Ti:
    """A task instance that keeps what it is told, in a run in which some tasks have handed over something.

    `facts` are what else it knows of itself.
    """

    id = "01"

    def __init__(self, handed=(), **facts):
        self.told, self.handed = {}, dict(handed)
        self.__dict__.update(facts)

    def xcom_push(self, key, value):
        self.told[key] = value

    def xcom_pull(self, task_ids, key):
        return self.handed.get((task_ids, key))


class Runs:
    """The Airflow under test, in a user's words."""

    def __init__(self, airflow, receiver):
        self.airflow = airflow
        self.notices = receiver.of  # about a run
        self.first = ""  # the run of tapeline_reevaluate before any model was blessed
        self.store = Store.from_environment(airflow.environment)

    def trigger(self, dag="tapeline", *, run=None, **values):
        body = {"logical_date": None, "conf": values, "dag_run_id": run}
        return self.airflow.call("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"]

    def clear(self, run, *tasks):
        """Clear these tasks of a run and no other, or the whole run."""
        body = {"dag_run_id": run, "dry_run": False, "only_failed": False, "task_ids": tasks or None}
        self.airflow.call("POST", "dags/tapeline/clearTaskInstances", body)

    def upgrade(self):
        """Have ingest be of another release from now on, with a parameter more; its artifacts are others."""
        copy = Path(self.airflow.environment["UPGRADED"])
        shutil.copytree(ROOT / "components", copy / "components", ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / "components/ingest/component.py"
        old, last = path.read_text(), "    fail_on: str = FAIL_ON\n"
        assert old.count(last) == 1
        path.write_text(old.replace(last, f'{last}    motto: str = parameter("", "New in this release")\n'))

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

    def note(self, run, dag="tapeline"):
        return self.airflow.call("GET", f"dags/{dag}/dagRuns/{run}")["note"]

    def logs(self, run, name):
        """Return the names of a task's logs in the store, once there is one."""
        place = f"s3://tapeline/logs/dag_id=tapeline/run_id={run}/task_id={name}"
        return eventually("log", lambda: self.store.names(place))

    def log(self, run, name, attempt):
        eventually("log", lambda: f"attempt={attempt}.log" in self.logs(run, name))
        path = f"dags/tapeline/dagRuns/{run}/taskInstances/{name}/logs/{attempt}"
        return json.dumps(self.airflow.call("GET", path)["content"])

    def said(self, run, task, key, dag="tapeline"):
        return self.airflow.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}")["value"]

    def names(self, run, step):
        return self.store.names(f"s3://tapeline/airflow/tapeline/{run}/{step}")

    def digests(self, run):
        """Return the digest of each output that the steps of a run handed over, whether it was blessed or not."""
        tasks = [task for task in WORKFLOW.tasks if not task.if_blessed]
        outputs = [(task.name, item.name) for task in tasks for item in task.component.outputs]
        return {f"{step}/{output}": self.said(run, step, output)["digest"] for step, output in outputs}

    def checkpoints(self, run):
        return checkpoints_among(self.names(run, "train"))

    def training(self, run):
        """Return the process of a run's training once it has come to another checkpoint."""
        (process,) = eventually("training", lambda: found if len(found := steps_of(run, "train")) == 1 else [])
        before = self.checkpoints(run)
        eventually("checkpoint", lambda: self.checkpoints(run) - before)
        return process

    def artifacts(self, run):
        """Return the digests of all files of finished artifacts of a run, of all its tries."""
        found = self.store.digests(f"s3://tapeline/airflow/tapeline/{run}/").items()
        return {name: digest for name, digest in found if "/checkpoints/" not in name}


def steps_of(run, name=""):
    """Return the processes of a run's steps, or of one of them."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if any(run in argument for argument in line) and any(part.startswith(f"components.{name}") for part in line):
            found.append(process)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with receiver() as there, pytest.MonkeyPatch.context() as patch:
        places = {"ALARMS": str(folder / "alarms"), "UPGRADED": str(folder / "new"), URL: there.address}
        for name, value in (SETTINGS | places).items():
            patch.setenv(name, value)
        with start(Settings.from_environment(WORKFLOW), folder / "airflow", free_port()) as airflow:
            made = Runs(airflow, there)
            airflow.call("PATCH", "dags/tapeline_reevaluate", {"is_paused": False})
            made.first = made.trigger("tapeline_reevaluate")  # before any model is blessed
            airflow.call("PATCH", "dags/tapeline", {"is_paused": False})
            yield made
    left = [process for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get("AIRFLOW_HOME") == str(folder / "airflow")]  # fmt: skip
    assert left == []


@pytest.fixture(scope="session")
def scheduled(runs):
    """Return the run that the schedule starts as soon as the DAG is unpaused."""
    (run,) = eventually("scheduled run", lambda: runs.of("tapeline", "scheduled"))
    assert runs.end_of(run) == ("success", dict.fromkeys((*STEPS, "bless"), "success"))
    return run


@pytest.fixture(scope="session")
def refused(runs, scheduled):  # noqa: ARG001 - a run at a time: the scheduled one first
    """Return a run with an id of its own that failed by its input."""
    run = runs.trigger(run=NIGHT, batch_size=4096, validation_size=128)
    others = dict.fromkeys((*STEPS, "bless"), "upstream_failed")
    assert runs.end_of(run) == ("failed", others | {"ingest": "success", "train": "failed"})
    return run
