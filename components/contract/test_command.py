# mypy: allow-untyped-defs, allow-untyped-calls
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from components.conftest import DIGITS


def call(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False, capture_output=True, text=True, env=os.environ | environment,
    )  # fmt: skip


def test_help_is_readable():
    text = call("components.train", "--help", COLUMNS="120").stdout
    assert "--batch-size INT" in text
    assert "Images in a batch (default: 128)" in text
    assert "--model convnet|convnet-bn|simple" in text
    assert "A checkpoint to go on from (optional)" in text
    assert "2 bad input" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "0", "--dataset", "x"), "train: epochs: 0 is less than 1\n"),
        (("--epoch", "3"), "train: unrecognized argument --epoch (did you mean --epochs?)\n"),
        (("--epochs=3",), "train: missing input: --dataset (a path or an s3://bucket/prefix)\n"),
        (("--dataset", "x", "--metrics", "y"), "train: missing output: --trained-model, --gradients"),
        (("--executor-input", "{}", "--epochs", "3"), "train: error: --executor-input says everything; leave out"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message):
    done = call("components.train", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)


def test_in_kubeflow_every_line_has_the_word_that_its_page_of_a_log_marks():
    places = {name: {"artifacts": [{"uri": f"minio://b/{name}"}]} for name in ("trained_model", "gradients", "metrics")}
    document = {
        "inputs": {"parameterValues": {"epochs": 0, "seed": -1}}, "outputs": {"outputFile": "/x", "artifacts": places},
    }  # fmt: skip
    done = call("components.train", f"--executor-input={json.dumps(document)}")
    assert (done.returncode, done.stderr.splitlines()) == (
        2, ["train: error: epochs: 0 is less than 1", "train: error: seed: -1 is less than 0"],
    )  # fmt: skip


def test_an_input_that_is_no_artifact(tmp_path):
    outputs = [f"--{name}={tmp_path / name}" for name in ("trained-model", "gradients", "metrics")]
    done = call("components.train", f"--dataset={tmp_path}", *outputs)
    assert (done.returncode, done.stderr) == (2, f"train: {tmp_path} is not an artifact: it has no manifest.json\n")


def test_a_store_that_refuses_is_exit_code_3_and_one_that_is_away_4(s3):
    arguments = ("components.ingest", "--source", str(DIGITS), "--validation-size=64", f"--report={s3}/report")
    refused = call(*arguments, "--dataset=s3://nowhere/x")
    assert refused.returncode == 3
    assert refused.stderr.endswith("there is no such bucket\n")
    away = call(
        *arguments, f"--dataset={s3}/dataset", AWS_ENDPOINT_URL="http://127.0.0.1:9", TAPELINE_WAIT_SECONDS="0.5"
    )
    assert away.returncode == 4
    assert "Traceback" not in refused.stderr + away.stderr


def test_sigterm_ends_a_training_promptly_and_leaves_nothing(ingested, tmp_path):
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    outputs = [f"--{name}={work / name}" for name in ("trained-model", "gradients", "metrics")]
    command = [sys.executable, "-m", "components.train", f"--dataset={ingested / 'dataset'}", *outputs]
    process = subprocess.Popen(
        [*command, "--epochs=10000", "--batch-size=32", "--model=convnet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(scratch)},
    )  # fmt: skip
    assert process.stdout
    while not process.stdout.readline().startswith("epoch 1/"):
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "train: terminated\n")
    assert time.monotonic() - began < 30  # Kubernetes' grace: more would be a kill
    assert list(work.iterdir()) == []
    assert list(scratch.iterdir()) == []
