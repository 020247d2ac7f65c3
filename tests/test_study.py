# mypy: allow-untyped-defs, allow-untyped-calls
"""`make study`, with real trainings on a few hundred real images."""

import json
import os
import signal
import subprocess
import sys

import pytest

from components.conftest import DIGITS
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from components.train.component import COMPONENT as TRAIN
from dags import study
from dags.local_steps import BUCKET
from dags.workflow import WORKFLOW
from tests.local import SMALL, wait_for

STUDY = (sys.executable, "-m", "dags.study")
VARY = ("--vary=learning_rate=1e-4..1e-1:log", "--vary=optimizer=adam,sgd", "--only-choose")
# 3 trials of 14 steps; the best one of them goes on to 28.
HALVING = ("--trials=3", "--at-once=3", "--eta=3")


def options(*arguments):
    return study.parse(WORKFLOW, arguments)


def command(folder, *arguments):
    return [*STUDY, f"--folder={folder}", *SMALL, *VARY, *arguments]


def found(folder):
    (path,) = folder.glob("studies/*/study.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the folder of a study that one process did, and what it said."""
    folder = tmp_path_factory.mktemp("alone")
    done = subprocess.run(command(folder, *HALVING), check=True, capture_output=True, text=True)
    return folder, done.stdout


def test_a_trial_that_goes_on_does_not_begin_again(alone):
    folder, said = alone
    assert "3 to epoch 1, 1 to epoch 2\n" in said
    assert found(folder)["steps"] == {"search": 3 * 14 + 14, "seeds": 0, "in_full": 3 * 28}
    (log,) = folder.glob("studies/*/trials.log")
    lines = log.read_text().splitlines()
    assert sum(line.startswith("paused after epoch 1 of 2") for line in lines) == 3
    assert sum(line.startswith("going on from step 14 ") for line in lines) == 1


def test_nothing_is_evaluated_and_no_checkpoint_stays(alone):
    folder, said = alone
    with serve(folder / "store", BUCKET) as settings:
        names = Store.from_environment(settings).names(f"s3://{BUCKET}")
    assert {name.split("/")[0] for name in names} == {"ingest", TRAIN.name, "studies"}
    assert not [name for name in names if "checkpoints" in name]
    assert 'the best again: make run ARGS="--source ' in said


def test_one_that_is_killed_and_another_find_what_one_finds(alone, tmp_path):
    """Two processes on one store: the first is killed without warning in the midst, and the second ends the study."""
    shared = ("--at=s3://shared/ours", "--patience=5", *HALVING)
    with serve(tmp_path / "store", "shared") as settings:
        one, two = (
            subprocess.Popen(
                command(tmp_path / name, *shared), stdout=subprocess.PIPE, text=True, env=os.environ | settings
            )
            for name in ("one", "two")
        )
        wait_for(one, "── Trial ")
        one.kill()
        one.communicate()
        said = two.communicate(timeout=900)[0]
    assert (one.returncode, two.returncode) == (-signal.SIGKILL, 0)
    assert said.count(", to epoch 1 of 2: ") == 3  # also the one that the first had taken
    assert said.count(", to epoch 2 of 2: ") == 1
    assert found(tmp_path / "two") == found(alone[0])


def executor_input(folder, place, **artifacts):
    """Return what Kubeflow gives a worker: its numbers are doubles."""
    others = {"model": "convnet", "source": str(DIGITS), "validation_size": 64.0, "batch_size": 32.0, "epochs": 2.0}
    values = {
        "vary": "learning_rate=1e-4..1e-1:log optimizer=adam,sgd", "measure": "validation_accuracy", "place": place,
        "sampler": "tpe", "trials": 3.0, "at_once": 3.0, "eta": 3.0, "seeds": 1.0, "finalists": 3.0, "others": others,
        "name": "f3a1b2c4-0000-4000-8000-000000000000",
    }  # fmt: skip
    outputs = {"parameters": {"best": {"outputFile": str(folder / "best")}}, "outputFile": str(folder / "whole.json")}
    made = {name: {"artifacts": [{"name": name, "uri": str(path)}]} for name, path in artifacts.items()}
    return json.dumps({"inputs": {"parameterValues": values}, "outputs": outputs | {"artifacts": made}})


def test_two_tasks_of_kubeflow_find_what_one_finds(alone, tmp_path):
    task = (sys.executable, "-m", "dags.study_task", "--executor-input")
    with serve(tmp_path / "store", "shared") as settings:
        environment = os.environ | settings
        calls = [executor_input(tmp_path / name, "s3://shared/theirs") for name in ("one", "two")]
        workers = [subprocess.Popen([*task, call], stdout=subprocess.PIPE, env=environment) for call in calls]
        assert [(worker.communicate(), worker.returncode)[1] for worker in workers] == [0, 0]
        last = executor_input(tmp_path / "last", "s3://shared/theirs", report=tmp_path / "last/report.html")
        subprocess.run([*task, last], check=True, capture_output=True, env=environment)
        report = Store.from_environment(settings).names("s3://shared/theirs/studies")
    assert len([name for name in report if name.endswith("/report/study.json")]) == 1
    best = found(alone[0])["best"]["values"] | {"candidates": 3}
    for name in ("one", "two", "last"):
        assert json.loads((tmp_path / name / "best").read_text()) == best
        assert json.loads((tmp_path / name / "whole.json").read_text()) == {"parameterValues": {"best": best}}
    assert "<title>Study f3a1b2c4" in (tmp_path / "last/report.html").read_text()


def test_the_best_runs_as_a_whole_and_the_page_stays(alone):
    """The study is there already, so only what comes after the choice is done."""
    folder, _ = alone
    again = [word for word in command(folder, *HALVING) if word != "--only-choose"]
    done = subprocess.run(again, check=True, capture_output=True, text=True).stdout
    assert "── Trial" not in done
    assert "── Judge on the test set" in done
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"]["learning_rate"] == found(folder)["best"]["values"]["learning_rate"]
    assert summary["parameters"]["candidates"] == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--vary=epochs=1,2"], "--vary epochs: halving goes by it; with --eta 1 it may vary"),
        (["--vary=pause_at=1,2"], "--vary pause_at: where a trial pauses follows from the rungs"),
        (["--vary=device=cpu,gpu"], "--vary device: it changes nothing of what is learned"),
        (["--vary=source=mnist,kmnist"], "--vary source: no such parameter of a training"),
        (["--vary=model=simple,convnet", "--measure=loss"], "--measure 'loss' is not one of validation_accuracy,"),
        (["--vary=model=simple,convnet", "--at=here"], "--at 'here' is no place that machines share; give s3://bucket/"),
        (["--vary=model=simple,convnet", "--name=../x"], "--name '../x' is no name: give up to 100 letters, d"),
        (["--vary=model=simple,convnet", "--eta=0"], "eta: 0 is less than 1"),
        (["--vary=model=simple,convnet", "--learning-rate=0"], "learning_rate: 0 is not more than 0"),
        (["--vary=model=simple,convnet", "--sampler=grid", "--trials=3"], "--trials 3: the grid has 2; leave it out,"),
        ([], "there is nothing to vary: give --vary NAME=A..B"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_is_started(arguments, sentence):
    with pytest.raises(BadInput) as caught:
        study.spec_of(WORKFLOW, options(*arguments))
    assert str(caught.value).startswith(sentence)


def test_what_is_given_is_the_same_for_all_trials():
    vary = "--vary=model=simple,convnet"
    spec = study.spec_of(WORKFLOW, options(vary, "--sampler=grid", "--batch-size=64", "--seed=3"))
    assert (spec.trials, spec.seed, spec.epochs, spec.higher) == (2, 3, 5, True)
    assert dict(spec.fixed) == {"batch_size": 64, "gradient_level": "norms", "seed": 3}
    assert not study.spec_of(WORKFLOW, options(vary, "--measure=validation_loss")).higher
