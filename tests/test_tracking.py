# mypy: allow-untyped-defs, allow-untyped-calls
"""Steps that are tracked: what arrives at a real MLflow server, and that it arrives once."""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from components.artifacts.record.curves import POINTS, _thinned
from components.artifacts.record.reader import read
from components.artifacts.registry import Registry, State, Version, mirror
from components.conftest import SHORT, SMALL, make
from components.contract import artifact, mlflow
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from tests.tracked import OWN

ROOT = Path(__file__).parent.parent
MLFLOW = ROOT / ".venv-mlflow/bin/mlflow"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield the address of a real MLflow server that takes artifacts itself."""
    if not MLFLOW.is_file():
        pytest.skip("there is no MLflow: dags/environment mlflow true")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    places = f"--backend-store-uri=sqlite:///{folder}/db", f"--artifacts-destination={folder}/kept"
    command = [str(MLFLOW), "server", *places, "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                if got(f"{address}/health") == b"OK":
                    break
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def got(place):
    with urllib.request.urlopen(place, timeout=60) as answer:  # noqa: S310 - the loopback
        return answer.read()


def asked(address, path, **values):
    request = urllib.request.Request(  # noqa: S310 - the loopback
        f"{address}/api/2.0/mlflow/{path}", json.dumps(values).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the loopback
        return json.load(answer)


def runs_of(address, experiment="tapeline"):
    """Return the runs of an experiment, with what they have by name."""
    place = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name={experiment}"
    number = json.loads(got(place))["experiment"]["experiment_id"]
    found = asked(address, "runs/search", experiment_ids=[number], max_results=50).get("runs", [])
    named = [
        {kind: {each["key"]: each["value"] for each in run["data"].get(kind, [])}
         for kind in ("params", "metrics", "tags")} for run in found
    ]  # fmt: skip
    return [run["info"] | data for run, data in zip(found, named, strict=True)]


def curve(address, run, name):
    place = f"{address}/api/2.0/mlflow/metrics/get-history?run_id={run['run_id']}&metric_key={name}&max_results=5000"
    return [(each["step"], each["value"]) for each in json.loads(got(place))["metrics"]]


def test_train_export_and_evaluate_are_one_run_of_mlflow(server, tracked, tmp_path, capsys):
    tracked(server, EXPERIMENT_NAME="whole")
    dataset = make(INGEST, SMALL, {}, tmp_path / "ingest") / "dataset"
    learned = make(TRAIN, SHORT, {"dataset": dataset}, tmp_path / "train")
    make(EXPORT, {}, {"gradients": learned / "gradients"}, tmp_path / "export")
    given = {"dataset": dataset, "trained_model": learned / "trained_model"}
    judged = make(EVALUATE, {"check_labels": False}, given, tmp_path / "evaluate")
    assert "warning" not in capsys.readouterr().err
    (run,) = runs_of(server, "whole")
    assert run["status"] == "FINISHED"
    assert {name: run["params"][name] for name in ("model", "epochs", "learning_rate", "seed")} == {
        "model": "convnet", "epochs": "2", "learning_rate": "0.003", "seed": "0",
    }  # fmt: skip
    record = read(learned / "gradients")
    steps = list(range(1, 29))
    for name in ("loss", "global_norm"):
        values = zip(steps, map(float, record.column(name)), strict=True)
        assert curve(server, run, f"train/{name}") == list(values)
    assert [step for step, _ in curve(server, run, "train/validation_accuracy")] == [14, 28]
    figures = json.loads((judged / "metrics/metrics.json").read_text())
    assert run["metrics"]["evaluate/accuracy"] == figures["accuracy"]
    tags = run["tags"]
    assert tags["evaluate.input.trained_model"] == artifact.digest(learned / "trained_model")
    assert tags["train.input.dataset"] == artifact.digest(dataset)
    assert tags["evaluate.verdict"] == figures["verdict"]
    assert tags["export.diagnosis"] == "healthy"
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    kept = f"{server}/api/2.0/mlflow-artifacts/artifacts/{place}/reports/evaluate/report.html"
    assert got(kept) == (judged / "report/report.html").read_bytes()


def test_a_retry_logs_once_also_after_one_that_broke_off(server, tracked, tmp_path, capsys, monkeypatch):
    tracked(server, EXPERIMENT_NAME="retry")
    values = {"note": "x" * 1000}
    with monkeypatch.context() as patch:  # it breaks off while the report goes up
        patch.setattr(mlflow.Client, "upload", lambda *_: 1 / 0)
        make(OWN, values, {}, tmp_path / "first")
    assert "does not answer as it should (ZeroDivisionError); the step is done all the same" in capsys.readouterr().err
    for folder in ("second", "third"):
        make(OWN, values, {}, tmp_path / folder)
    assert capsys.readouterr().err == ""
    (run,) = runs_of(server, "retry")
    assert run["params"] == {"learning_rate": "0.5", "note": "x" * 500}
    assert run["metrics"] == {"own/loss": 1 / 2500, "own/score": 0.25}
    assert curve(server, run, "own/loss") == [(step, 1 / step) for step in range(1, 2501)]
    assert run["tags"]["own.verdict"] == "fine"
    make(OWN, values | {"learning_rate": 0.1}, {}, tmp_path / "other")
    assert len(runs_of(server, "retry")) == 2


def test_a_run_that_was_given_is_used_and_not_ended(server, tracked, tmp_path, capsys):
    number = asked(server, "experiments/create", name="given")["experiment_id"]
    given = asked(server, "runs/create", experiment_id=number, start_time=1)["run"]["info"]["run_id"]
    tracked(server, RUN_ID=given, EXPERIMENT_ID=number)
    for folder in ("one", "two"):
        make(OWN, {}, {}, tmp_path / folder)
    (run,) = runs_of(server, "given")
    assert (run["run_id"], run["status"], run["params"]["note"]) == (given, "RUNNING", "")
    assert len(curve(server, run, "own/loss")) == 2500
    assert capsys.readouterr().err == ""
    make(OWN, {"learning_rate": 0.1}, {}, tmp_path / "three")
    assert f"warning: MLflow at {server} refuses: " in capsys.readouterr().err
    tracked(server, RUN_ID="0" * 32)
    make(OWN, {}, {}, tmp_path / "four")
    assert f"MLflow at {server} refuses: Run with id={'0' * 32} not found" in capsys.readouterr().err


def test_what_is_blessed_is_so_in_the_registry_of_mlflow_too(server, tracked, capsys, monkeypatch, tmp_path):
    tracked(server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shelf = Registry("s3://bucket/registry").shelf("digits", "0123456789ab")
    versions = {number: Version(number, str(number) * 64, "m" * 64, "d" * 64, {"accuracy": 0.9}) for number in (1, 2)}
    # Blessed one after the other, told twice, and stepped back from.
    for row in ([1], [1, 2], [1, 2], [1]):
        mirror.tell(shelf, State(versions, row=row))
        place = "registered-models/alias?name=digits-0123456789ab&alias=blessed"
        blessed = json.loads(got(f"{server}/api/2.0/mlflow/{place}"))["model_version"]
        tags = {each["key"]: each["value"] for each in blessed["tags"]}
        digest = str(row[-1]) * 64
        assert (blessed["version"], tags["tapeline.version"]) == (str(row[-1]), str(row[-1]))
        assert blessed["source"] == f"s3://bucket/registry/artifacts/{digest}"
        assert tags["tapeline.model"] == digest
    everything = json.loads(got(f"{server}/api/2.0/mlflow/model-versions/search?filter=name='digits-0123456789ab'"))
    assert len(everything["model_versions"]) == 2
    assert capsys.readouterr().err == ""
    mirror.tell(Registry(str(tmp_path)).shelf("digits", "0123456789ab"), State(versions, row=[1]))
    assert f"keeps no version of what is in a folder, {tmp_path}/artifacts/" in capsys.readouterr().err


def test_a_long_curve_is_the_means_of_its_parts():
    steps, values = np.arange(1, 3001), np.arange(3000, dtype=np.float32)
    values[5], values[10:20] = np.inf, np.nan
    points = _thinned(steps, values)
    assert len(points) == POINTS - 1
    assert points[0] == (10, (45 - 5) / 9)
    assert points[1] == (30, 24.5)
