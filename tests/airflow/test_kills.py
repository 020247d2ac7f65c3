# mypy: allow-untyped-defs, allow-untyped-calls
"""One long run in a whole Airflow, disturbed in each way that a user will meet; what comes of it is what it would be.

The tests are its chapters, in this order.
"""

import contextlib
import hashlib
import signal
import subprocess

import psutil
import pytest

from components.contract.declaration import argument
from dags.airflow_local import ROOT
from dags.airflow_places import given
from dags.workflow import WORKFLOW
from tests.airflow.whole import LONG, steps_of
from tests.waiting import eventually


@pytest.fixture(scope="module")
def long(runs, scheduled):  # noqa: ARG001 - a run at a time: the scheduled one first
    return runs.trigger(**LONG)


def test_a_killed_step_is_tried_again_and_goes_on_from_its_checkpoint(runs, long):
    for _ in range(2):
        step, attempt = runs.training(long), runs.task(long, "train")["try_number"]
        step.kill()
        said = "train ended with exit code -9: it was killed, as when memory is short; its last line: "
        assert said in runs.log(long, "train", attempt)
    runs.training(long)
    assert runs.task(long, "train")["try_number"] == attempt + 1


def test_a_killed_scheduler_is_started_again_and_the_run_goes_on(runs, long):
    scheduler = runs.airflow.processes["scheduler"]
    workers = psutil.Process(scheduler.pid).children()
    for process in (scheduler, *workers):  # as when memory is short; the step itself is not touched
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    eventually("end of the step", lambda: not steps_of(long))
    scheduler.wait()
    # This one is to notice soon that the other is gone.
    runs.airflow.environment |= {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10"}
    runs.airflow.launch("scheduler", "--skip-serve-logs")
    runs.training(long)


def test_a_task_that_a_user_fails_ends_its_step(runs, long):
    (step,) = steps_of(long)
    runs.airflow.call("PATCH", f"dags/tapeline/dagRuns/{long}/taskInstances/train", {"new_state": "failed"})
    step.wait(60)
    assert runs.end_of(long)[0] == "failed"
    assert {name.split("/")[0] for name in runs.names(long, "train")} == {"checkpoints"}
    assert steps_of(long) == []


def test_a_run_that_is_cleared_goes_on_and_ends_with_the_bytes_of_one_that_was_left_alone(runs, long, tmp_path):
    made = runs.artifacts(long)
    runs.clear(long, "train", "export", "evaluate", "gate", "bless", "handover")
    assert runs.end_of(long)[0] == "success"
    assert "going on from step" in runs.log(long, "train", runs.task(long, "train")["try_number"])
    assert runs.artifacts(long) | made == runs.artifacts(long)
    (train,) = (task for task in WORKFLOW.tasks if task.name == "train")
    outputs = [item.name for item in train.component.outputs]
    called = runs.task(long, "train")["rendered_fields"]["arguments"]
    own = [argument(name, tmp_path / name) for name in outputs]
    others = [each for each in called if not any(given([each], name) for name in (*outputs, train.checkpoints))]
    subprocess.run(
        [ROOT / ".venv/bin/python", "-m", "components.train", *others, *own],
        check=True, cwd=ROOT, env=runs.airflow.environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for name in outputs:
        alone = hashlib.sha256((tmp_path / name / "manifest.json").read_bytes()).hexdigest()
        assert runs.said(long, "train", name)["digest"] == alone
