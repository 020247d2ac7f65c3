# mypy: allow-untyped-defs, allow-untyped-calls
"""The local caller as a user calls it: real processes, a real store, a few hundred real images."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dags import local_steps
from dags.workflow import WORKFLOW
from tests.local import RUN, SMALL, call, servers_of, wait_for


def test_it_ends_with_a_table_the_accuracy_and_the_reports(first):
    folder, printed = first
    assert printed.splitlines()[-2] == f"all runs: {os.path.relpath(folder / 'index.html')}"
    assert re.search(r"test accuracy \d\d\.\d\d % \(95 % interval \d\d\.\d\d to \d\d\.\d\d %\), unjudged\n$", printed)
    for name in ("ingest", "export", "evaluate", "gate"):
        assert (folder / "reports" / f"{name}.html").read_text().startswith("<!doctype html>")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["accuracy"] > 0.5
    assert list(summary["seconds"]) == ["evaluate", "export", "gate", "handover", "ingest", "train"]
    assert summary["artifacts"]["train"]["trained_model"].startswith("s3://tapeline/train/")
    assert servers_of(folder) == []


def test_again_with_nothing_changed_does_nothing(first):
    folder, printed = first
    before = json.loads((folder / "summary.json").read_text())
    again = call(folder)
    # The gate looks at what is blessed by now, and nothing is handed over.
    cached = [task.name for task in WORKFLOW.tasks if not task.fresh and not task.if_blessed]
    assert again.stdout.count("nothing has changed since it ran") == len(cached)
    after = json.loads((folder / "summary.json").read_text())
    assert {name: after["artifacts"][name] for name in cached} == {name: before["artifacts"][name] for name in cached}
    assert {after["seconds"][name] for name in cached} == {None}
    assert again.stdout.splitlines()[-1] == printed.splitlines()[-1]


def test_without_the_cache_everything_runs_to_the_same_bytes(first):
    folder, _ = first
    before = json.loads((folder / "summary.json").read_text())["artifacts"]
    again = call(folder, "--no-cache")  # other bytes at the same place would be refused
    assert (again.returncode, again.stdout.count("nothing has changed")) == (0, 0)
    after = json.loads((folder / "summary.json").read_text())["artifacts"]
    assert after | {"gate": None} == before | {"gate": None}  # which has a place of its own each time


def test_a_changed_parameter_runs_only_what_depends_on_it(first):
    folder, _ = first
    changed = call(folder, "--min-accuracy=0.5")
    assert changed.stdout.count("nothing has changed since it ran") == 3  # ingest, train and export
    assert changed.stdout.endswith("blessed as version 1\n")


def test_a_wrong_parameter_is_refused_before_anything_starts(tmp_path):
    done = call(tmp_path / "run", "--epochs=0", "--min-accuracy=2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run: epochs: 0 is less than 1\nmin_accuracy: 2 is more than 1\n"
    done = call(tmp_path / "run", "--epoch=1")
    assert (done.returncode, done.stderr) == (2, "run: unrecognized argument --epoch (did you mean --epochs?)\n")
    assert not (tmp_path / "run").exists()


def test_a_failing_step_ends_the_run_with_its_sentence_and_code(tmp_path):
    folder = tmp_path / "run"
    done = call(folder, "--batch-size=4096")
    assert done.returncode == 2
    assert done.stderr == (
        "train: batch_size: 4096 images a step, but there are only 448 to train on\nrun: train ended with exit code 2\n"
    )
    assert servers_of(folder) == []


def test_a_finding_blocks_the_run_each_time_and_leaves_its_report(tmp_path):
    folder = tmp_path / "run"
    values = ("--optimizer=sgd", "--learning-rate=1e-7", "--stats-every=2", "--fail-on=warning")
    for _ in range(2):
        done = call(folder, *values)
        assert done.returncode == 5
        assert re.search(
            r"^export: fail_on: warning, and there is .*update-ratio.*; the report says more$",
            done.stderr,
            re.MULTILINE,
        )
        assert re.search(r"^its report: .*/reports/export\.html$", done.stdout, re.MULTILINE)
        assert "update-ratio" in (folder / "reports" / "export.html").read_text()
        assert not (folder / "reports" / "evaluate.html").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_that_was_started(tmp_path, number):
    folder = tmp_path / "run"
    command = [*RUN, f"--folder={folder}", *SMALL, "--epochs=10000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    wait_for(process, "epoch 1/")
    assert servers_of(folder)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    other = call(folder)
    held = f"another run, process {process.pid}, is at work in {folder}/store"
    what_to_do = f"wait for it, end it (kill {process.pid}), or give another --folder"
    assert (other.returncode, other.stderr) == (2, f"run: {held}; {what_to_do}\n")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    how = "interrupted" if number == signal.SIGINT else "terminated"
    said = f"{how} in train; what is done is kept, and the same command goes on from there"
    assert errors == f"run: {said}\n"
    summary = json.loads((folder / "reports/summary.json").read_text())
    assert (summary["state"], summary["sentence"], summary["exit_code"]) == ("interrupted", said, 128 + number)
    assert servers_of(folder) == []
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_even_a_kill_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [*RUN, f"--folder={folder}", *SMALL, "--epochs=10000"], stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for(process, "epoch 1/")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        process.kill()
        assert process.stdout
        assert process.stdout.read() is not None  # until the last holder of the pipe has ended
    end = time.monotonic() + 30
    while alive := [pid for pid in children if Path(f"/proc/{pid}/exe").exists()]:
        assert time.monotonic() < end, alive
        time.sleep(0.1)


def test_the_store_can_be_looked_at_afterwards(first):
    folder, _ = first
    command = [*RUN, f"--folder={folder}", *SMALL, "--serve"]
    listing = (
        "import sys; from components.contract.store.client import Store; "
        "print(Store.from_environment().names(sys.argv[1]))"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(process, "Ctrl-C ends it")
        path = folder / "store.env"
        assert path.stat().st_mode & 0o777 == 0o600
        settings = dict(line.removeprefix("export ").split("=", 1) for line in path.read_text().splitlines())
        dataset = json.loads((folder / "summary.json").read_text())["artifacts"]["ingest"]["dataset"]
        listed = subprocess.run(
            [sys.executable, "-c", listing, dataset],
            check=True, capture_output=True, text=True, env=os.environ | settings,
        )  # fmt: skip
        assert "train-images-00000.npy" in listed.stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert not path.exists()
    assert servers_of(folder) == []


NO_STORE: Any = None  # which is asked only of what is in one


def test_a_change_in_any_file_of_a_place_is_seen(tmp_path):
    (tmp_path / "train" / "7").mkdir(parents=True)
    (tmp_path / "train" / "7" / "1.png").write_bytes(b"one")
    found = local_steps.files_at(str(tmp_path), NO_STORE)
    assert list(found) == ["train/7/1.png"]
    (tmp_path / "train" / "7" / "1.png").write_bytes(b"two")
    assert local_steps.files_at(str(tmp_path), NO_STORE) != found
    assert local_steps.files_at(str(tmp_path / "train" / "7" / "1.png"), NO_STORE) == {".": found_of(b"two")}
    assert local_steps.files_at("mnist", NO_STORE) == {}


def found_of(content):
    return hashlib.sha256(content).hexdigest()
