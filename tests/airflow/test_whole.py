# mypy: allow-untyped-defs, allow-untyped-calls
"""A whole Airflow: scheduler, API server, DAG processor, triggerer, on real images, with processes.

Runs start in each way there is, and things go wrong in each way that a user will meet.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from components.contract.errors import StepError
from tests.airflow.whole import steps_of
from tests.waiting import eventually

LONG = {"epochs": 200, "checkpoint_every": 100}  # 2,800 steps: long enough to be disturbed, short enough to end


def artifacts(runs, place):
    """Return the digests of all files of finished artifacts below a place."""
    return {name: digest for name, digest in runs.store.digests(place).items() if "/checkpoints/" not in name}


def test_a_blessed_model_is_judged_again(runs, scheduled):
    again, *_ = eventually("run for the asset", lambda: runs.of("tapeline_reevaluate", "asset_triggered"))
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
    tries = {step: runs.task(scheduled, step)["id"] for step in ("ingest", "train")}
    dataset, model = f"{place}/ingest/{tries['ingest']}/dataset", found["tapeline_model"]
    assert (found["tapeline_dataset"]["uri"], found["tapeline_dataset"]["inputs"]) == (dataset, {})
    assert found["tapeline_gradients"]["uri"] == f"{place}/train/{tries['train']}/gradients"
    assert found["tapeline_gradients"]["inputs"] == {"dataset": dataset}
    assert (model["trained_model"], model["dataset"]) == (f"{place}/train/{tries['train']}/trained_model", dataset)
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


@pytest.fixture(scope="module")
def night(runs, scheduled):  # noqa: ARG001 - a run at a time: the scheduled one first
    """Start a run with an id and a threshold that no model reaches."""
    return runs.trigger(run="nightly+2026:11~a", min_accuracy=1)


def test_a_run_by_the_api_makes_the_same_bytes_and_a_model_below_its_threshold_is_no_asset(runs, scheduled, night):
    run = night
    state, tasks = runs.end_of(run)
    assert (state, tasks["evaluate"], tasks["bless"]) == ("success", "success", "skipped")
    assert runs.note(run).startswith("test accuracy ")
    assert ", rejected · [Ingest and validate](tapeline/tapeline/" in runs.note(run)
    assert "the model is rejected; see the report of evaluate" in runs.log(run, "bless", 1)
    for step, output in (("ingest", "dataset"), ("train", "gradients"), ("export", "gradient_tables")):
        assert runs.said(run, step, output)["digest"] == runs.said(scheduled, step, output)["digest"]


def test_a_task_that_is_cleared_alone_reads_what_the_others_made_before(runs, night):
    judged, first = runs.task(night, "evaluate")["id"], runs.said(night, "evaluate", "metrics")
    runs.clear(night, "evaluate")
    assert runs.end_of(night)[0] == "success"
    second = runs.said(night, "evaluate", "metrics")
    assert first | {"uri": second["uri"]} == second  # the same bytes of the same inputs at another place
    assert judged in first["uri"]
    assert runs.task(night, "evaluate")["id"] in second["uri"]
    assert first["uri"] != second["uri"]
    assert second["inputs"]["trained_model"] == runs.said(night, "train", "trained_model")["uri"]


def test_a_run_that_is_cleared_after_an_upgrade_overwrites_nothing(runs, night):
    place = f"s3://tapeline/airflow/tapeline/{night}/"
    before, there = runs.digests(night), artifacts(runs, place)
    runs.upgrade()
    runs.clear(night)
    assert runs.end_of(night)[0] == "success"
    after, left = runs.digests(night), artifacts(runs, place)
    assert {name for name in before if before[name] != after[name]} >= {"ingest/dataset", "train/trained_model"}
    assert left | there == left
    assert len(left) == 2 * len(there) - 3  # the three outputs of evaluate were made twice before


def test_a_run_that_is_deleted_may_be_triggered_again_and_bad_input_fails_at_once_and_somebody_is_told(runs, night):
    there = artifacts(runs, f"s3://tapeline/airflow/tapeline/{night}/")
    checkpoints = [name for name in runs.names(night, "train") if name.startswith("checkpoints/")]
    runs.airflow.call("DELETE", f"dags/tapeline/dagRuns/{night}")
    run = runs.trigger(run=night, batch_size=4096, validation_size=128)
    assert run == night
    assert runs.end_of(run) == ("failed", {
        "ingest": "success", "train": "failed",
        "export": "upstream_failed", "evaluate": "upstream_failed", "bless": "upstream_failed",
    })  # fmt: skip
    assert runs.task(run, "train")["try_number"] == 1
    sentence = "train: batch_size: 4096 images a step, but there are only 384 to train on (exit code 2"
    assert sentence in runs.log(run, "train", 1)
    assert runs.note(run).replace("\\", "").startswith(sentence)
    left = artifacts(runs, f"s3://tapeline/airflow/tapeline/{night}/")
    assert left | there == left
    assert len(left) == len(there) + 2  # of ingest
    assert [name for name in runs.names(run, "train") if name.startswith("checkpoints/")] == checkpoints
    alarms = Path(os.environ["ALARMS"])
    eventually("alarm", lambda: alarms.exists() and f"train: {sentence}" in alarms.read_text())


def test_what_blocks_a_run_is_in_a_report_that_opens(runs):
    run = runs.trigger(invert=True, fail_on="warning")
    state, tasks = runs.end_of(run)
    assert (state, tasks["ingest"], tasks["train"]) == ("failed", "failed", "upstream_failed")
    assert "exit code 5" in runs.note(run)
    assert "[Ingest and validate](tapeline/tapeline/" in runs.note(run)
    links = runs.airflow.call("GET", f"dags/tapeline/dagRuns/{run}/taskInstances/ingest/links")["extra_links"]
    headers = {"Authorization": f"Bearer {runs.airflow.token()}"}
    page = httpx.get(f"{runs.airflow.address}/{links['Report']}", headers=headers)
    assert (page.status_code, "Data set" in page.text) == (200, True)


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
