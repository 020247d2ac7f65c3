# mypy: allow-untyped-defs, allow-untyped-calls
"""A whole Airflow: scheduler, API server, DAG processor, triggerer, on real images, with processes.

Runs start in each way there is, and things go wrong in each way that a user will meet.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from components.contract.errors import StepError
from tests.airflow.whole import SMALL
from tests.waiting import eventually


def test_a_blessed_model_is_judged_again(runs, scheduled):
    again, *_ = eventually("run for the asset", lambda: runs.of("tapeline_reevaluate", "asset_triggered"))
    assert runs.end_of(again, "tapeline_reevaluate") == (
        "success", dict.fromkeys(("find", "evaluate", "gate", "confirm"), "success"),
    )  # fmt: skip
    first, second = (
        runs.said(scheduled, "evaluate", "metrics"),
        runs.said(again, "evaluate", "metrics", "tapeline_reevaluate"),
    )
    decisions = [
        runs.said(scheduled, "gate", "decision"), runs.said(again, "gate", "decision", "tapeline_reevaluate"),
    ]  # fmt: skip
    assert [(each["verdict"], each["version"]) for each in decisions] == [("blessed", 1)] * 2  # it is not kept twice
    assert first["digest"] == second["digest"]  # the same model, data and thresholds: the same bytes
    assert first["uri"] != second["uri"]
    stricter = runs.trigger("tapeline_reevaluate", min_accuracy=1)
    state, tasks = runs.end_of(stricter, "tapeline_reevaluate")
    assert (state, tasks["gate"], tasks["confirm"]) == ("failed", "success", "failed")


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
    assert model["places"] == {"ingest.dataset": dataset, "train.trained_model": model["trained_model"]}


def test_somebody_is_told_how_a_run_ended(runs, scheduled):
    figures = runs.said(scheduled, "gate", "decision")
    log = runs.store.names("s3://tapeline/airflow/registry")
    assert len([name for name in log if name.endswith("/000001.json")]) == 1  # of all runs
    (told,) = eventually("notice", lambda: runs.notices(scheduled))
    sentence, metrics, link = (told.pop(name) for name in ("sentence", "metrics", "link"))
    assert told == {
        "workflow": "tapeline", "run": scheduled, "caller": "airflow", "state": "finished",
        "verdict": "blessed", "parameters": SMALL | {"min_accuracy": 0.2, "margin": 100},
    }  # fmt: skip
    assert sentence.startswith(f"test accuracy {100 * figures['accuracy']:.2f} % ")
    assert sentence.endswith(f", blessed as version 1: {figures['reasons']}")
    assert (metrics["accuracy"], metrics["version"]) == (figures["accuracy"], 1)
    assert link.endswith(f"/dags/tapeline/runs/{quote(scheduled, safe='')}")


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


def test_without_a_blessed_model_there_is_nothing_to_judge_again(runs):
    assert runs.end_of(runs.first, "tapeline_reevaluate")[0] == "failed"
    sentence = "no model has been blessed yet: run tapeline with a threshold, say min_accuracy"
    assert runs.note(runs.first, "tapeline_reevaluate").replace("\\", "").startswith(sentence)


def test_what_the_form_cannot_check_is_refused_before_the_first_step(runs):
    run = runs.trigger(snapshot_every=10, gradient_level="norms", epoch=3, checkpoints="s3://tapeline/mine")
    assert runs.end_of(run)[1]["ingest"] == "failed"
    for sentence in ("epoch: no such parameter (did you mean epochs?)",
                     "snapshot_every: 10 needs gradient_level full, not norms",
                     "checkpoints: each run has a place of its own for them; leave it out"):  # fmt: skip
        assert sentence in runs.note(run).replace("\\", "")
    assert runs.names(run, "ingest") == []


def test_what_blocks_a_run_is_in_a_report_that_opens(runs):
    run = runs.trigger(classes=12, fail_on="warning")
    state, tasks = runs.end_of(run)
    assert (state, tasks["ingest"], tasks["train"]) == ("failed", "failed", "upstream_failed")
    assert "exit code 5" in runs.note(run)
    assert "[Ingest and validate](tapeline/tapeline/" in runs.note(run)
    links = runs.airflow.call("GET", f"dags/tapeline/dagRuns/{run}/taskInstances/ingest/links")["extra_links"]
    headers = {"Authorization": f"Bearer {runs.airflow.token()}"}
    page = httpx.get(f"{runs.airflow.address}/{links['Report']}", headers=headers)
    assert (page.status_code, "Data set" in page.text) == (200, True)


def test_bad_input_fails_at_once_and_somebody_is_told(runs, refused):
    assert runs.task(refused, "train")["try_number"] == 1
    sentence = "train: batch_size: 4096 images a step, but there are only 384 to train on (exit code 2"
    assert sentence in runs.log(refused, "train", 1)
    assert runs.note(refused).replace("\\", "").startswith(sentence)
    assert runs.names(refused, "train") == []
    alarms = Path(os.environ["ALARMS"])
    eventually("alarm", lambda: alarms.exists() and f"train: {sentence}" in alarms.read_text())
    told, *more = eventually("notice", lambda: runs.notices(refused))
    assert (told["state"], told["verdict"], told["metrics"], more) == ("failed", "", {}, [])
    assert told["sentence"].startswith(sentence)
    assert told["parameters"]["batch_size"] == 4096


@pytest.fixture(scope="module")
def night(runs, refused):
    """Delete a run and trigger it again under its id, with other parameters; return the id."""
    made = runs.artifacts(refused)
    assert len(made) > 2
    runs.airflow.call("DELETE", f"dags/tapeline/dagRuns/{refused}")
    run = runs.trigger(run=refused, min_accuracy=1)
    state, tasks = runs.end_of(run)
    assert (run, state, tasks["gate"], tasks["bless"]) == (refused, "success", "success", "skipped")
    assert runs.artifacts(run) | made == runs.artifacts(run)
    return run


def test_a_run_by_the_api_makes_the_same_bytes_and_a_model_below_its_threshold_is_no_asset(runs, scheduled, night):
    assert runs.note(night).startswith("test accuracy ")
    assert re.search(r", rejected: accuracy .* · \[Ingest and validate\]\(tapeline/tapeline/", runs.note(night))
    assert "the model is rejected; see the report of gate" in runs.log(night, "bless", 1)
    for step, output in (("ingest", "dataset"), ("train", "gradients"), ("export", "gradient_tables")):
        assert runs.said(night, step, output)["digest"] == runs.said(scheduled, step, output)["digest"]


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
    before, made = runs.digests(night), runs.artifacts(night)
    runs.upgrade()
    runs.clear(night)
    assert runs.end_of(night)[0] == "success"
    after = runs.digests(night)
    assert {name for name in before if before[name] != after[name]} >= {"ingest/dataset", "train/trained_model"}
    assert runs.artifacts(night) | made == runs.artifacts(night)


def test_the_log_of_a_task_is_in_the_store_and_shown_from_there(runs, scheduled):
    assert runs.logs(scheduled, "train") == ["attempt=1.log"]
    for copy in runs.airflow.folder.rglob(f"*{scheduled}/task_id=train/attempt=1.log"):
        copy.unlink()  # as on another machine than the one it ran on
    assert "epoch 1/1" in runs.log(scheduled, "train", 1)
