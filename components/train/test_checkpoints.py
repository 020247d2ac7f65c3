# mypy: allow-untyped-defs, allow-untyped-calls
"""Whole trainings that are cut off, and go on to the same bytes as if they had not been."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from components.conftest import KILLS, SHORT, checkpoints_among
from components.contract import location
from components.contract.store.client import Store
from components.train.conftest import OUTPUTS, checkpoint_of, command, digests, train
from components.train.machine import checkpoint


def names(place):
    """Return the checkpoints of the one run in a place, by their steps."""
    (run,) = {name.split("/")[0] for name in below(place)}
    return [int(name.split("-")[1]) for name in location.children(f"{place}/{run}")]


def below(place):
    if location.is_remote(str(place)):
        return Store.from_environment().names(str(place))
    # Unlike a glob, a walk does not mind what is removed meanwhile.
    return [os.path.relpath(f"{at}/{name}", place) for at, _, files in os.walk(place) for name in files]


def hooked(call, code):
    """Return the command of a training whose process runs `code` first."""
    then = "sys.argv[0] = 'train'; runpy.run_module('components.train', run_name='__main__')"
    return [sys.executable, "-c", f"{code}\n{then}", *call[3:]]


KILL_AT_18 = """\
import os, runpy, signal, sys
from components.contract import location
publish = location.publish
def dying(folder, place):
    publish(folder, place)
    if "/step-00000018-" in place: os.kill(os.getpid(), signal.SIGKILL)
location.publish = dying
"""


def test_a_killed_run_goes_on_to_the_same_bytes(ingested, trained, tmp_path):
    """Killed without warning by SIGKILL, the same command finishes what it had begun."""
    place = tmp_path / "place"
    call = command(ingested, tmp_path / "out", checkpoints=place, checkpoint_every=3)
    killed = subprocess.run(hooked(call, KILL_AT_18), check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []
    assert names(place) == [12, 15, 18]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    assert f"going on from step 18 ({place}/" in done.stdout
    assert digests(tmp_path / "out") == digests(trained)
    assert names(place) == [24, 27]


@pytest.fixture(scope="module")
def all_kept(ingested, trained, tmp_path_factory):
    """Return a place with a checkpoint of each step of a run, which its checkpoints changed nothing in."""
    folder = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "KEPT", 100)
        train(ingested, folder / "out", checkpoints=str(folder / "place"), checkpoint_every=1)
    assert digests(folder / "out") == digests(trained)
    return folder / "place"


@pytest.mark.parametrize("step", [10, 14, 15])  # the 16th has statistics that look back at the 15th
def test_from_a_given_checkpoint_within_or_after_an_epoch(ingested, trained, all_kept, tmp_path, step):
    resumed = train(ingested, tmp_path, checkpoint=checkpoint_of(all_kept, step))
    assert digests(resumed) == digests(trained)


def test_what_is_saved_after_a_given_checkpoint_stands_by_itself(ingested, trained, all_kept, tmp_path):
    first = shutil.copytree(all_kept, tmp_path / "first")
    more = {"checkpoints": str(tmp_path / "second"), "checkpoint_every": 20}
    train(ingested, tmp_path / "one", checkpoint=checkpoint_of(first, 14), **more)
    shutil.rmtree(first)
    second = (tmp_path / "second").rename(tmp_path / "elsewhere")
    again = train(ingested, tmp_path / "two", checkpoint=checkpoint_of(second, 20))
    assert digests(again) == digests(trained)


def test_one_place_serves_all_runs_and_may_come_from_the_environment(ingested, tmp_path, capsys, monkeypatch):
    values = {"epochs": 1, "seed": 1}
    train(ingested, tmp_path / "alone", **values)
    none = "no checkpoints: a run that is lost begins anew; name a place, by checkpoints or TAPELINE_CHECKPOINTS, to go"
    assert none in capsys.readouterr().out
    place = tmp_path / "place"
    train(ingested, tmp_path / "other", epochs=1, checkpoints=str(place), checkpoint_every=7)
    monkeypatch.setenv("TAPELINE_CHECKPOINTS", str(place))
    train(ingested, tmp_path / "one", checkpoint_every=7, **values)
    said = capsys.readouterr().out
    assert not re.search("going on|no checkpoints", said)
    assert len(list(place.iterdir())) == 2
    assert digests(tmp_path / "one") == digests(tmp_path / "alone")


def test_kubeflow_calls_a_lost_training_again_with_the_same_words(s3, ingested, trained, tmp_path, monkeypatch):
    """The place comes from the ConfigMap alone; its launcher starts each try without what another one left."""
    monkeypatch.setenv("TAPELINE_CHECKPOINTS", f"{s3}/checkpoints")

    def artifacts(places):
        return {
            name: {"artifacts": [{"name": name, "uri": f"minio://x/{name}", "customPath": str(path)}]}
            for name, path in places.items()
        }

    document = {
        "inputs": {
            "parameterValues": SHORT | {"unlisted_parameters": {"checkpoint_every": 3.0}},
            "artifacts": artifacts({"dataset": ingested / "dataset"}),
        },
        "outputs": {
            "artifacts": artifacts({name: tmp_path / "out" / name for name in OUTPUTS}),
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    call = [sys.executable, "-m", "components.train", "--executor-input", json.dumps(document)]
    killed = subprocess.run(hooked(call, KILL_AT_18), check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    shutil.rmtree(tmp_path / "out")
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    assert "going on from step 18 (s3://" in done.stdout
    assert digests(tmp_path / "out") == digests(trained)
    assert set(json.loads((tmp_path / "output.json").read_text())["artifacts"]) == set(OUTPUTS)


# Ends itself, as the machine would: first at the given step, later in the validation of the first epoch.
ASKED_AT_10 = """\
import os, runpy, signal, sys
from components.train import train
advance = train.advance
def asked(run, step, end, window, *, observed):
    if step <= 10 < end: os.kill(os.getpid(), signal.SIGTERM)
    return advance(run, step, end, window, observed=observed)
train.advance = asked
"""
ASKED_IN_VALIDATION = """\
import os, runpy, signal, sys
from components.train import train
evaluate = train.evaluate
def asked(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    return evaluate(*arguments)
train.evaluate = asked
"""
ASKED_TWICE = """\
import os, runpy, signal, sys, time
from components.contract import location
from components.train import train
def slow(folder, place):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1000)
location.publish = slow
advance = train.advance
def asked(*arguments, **named):
    os.kill(os.getpid(), signal.SIGTERM)
    return advance(*arguments, **named)
train.advance = asked
"""


def test_a_run_that_is_asked_to_end_saves_what_it_has(ingested, trained, tmp_path):
    place = tmp_path / "place"
    call = command(ingested, tmp_path / "out", checkpoints=place)
    terminated = subprocess.run(hooked(call, ASKED_AT_10), check=False, capture_output=True, text=True)
    assert (terminated.returncode, terminated.stderr) == (143, "train: terminated\n")
    (step,) = names(place)
    assert step > 10
    assert f"saved at step {step}; the same call goes on from there" in terminated.stdout
    interrupted = subprocess.run(hooked(call, ASKED_IN_VALIDATION), check=False, capture_output=True, text=True)
    assert (interrupted.returncode, interrupted.stderr) == (130, "train: interrupted\n")
    assert names(place) == [step, 14][step == 14 :]
    assert f"going on from step {step} " in interrupted.stdout
    assert [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    assert "going on from step 14 " in done.stdout
    assert digests(tmp_path / "out") == digests(trained)


@pytest.mark.parametrize(("more", "code"), [({"checkpoints": "place"}, ASKED_TWICE), ({}, ASKED_AT_10)])
def test_asked_a_second_time_or_without_a_place_it_ends_at_once(ingested, tmp_path, more, code):
    call = command(ingested, tmp_path / "out", **{name: tmp_path / value for name, value in more.items()})
    ended = subprocess.run(hooked(call, code), check=False, capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stderr) == (143, "train: terminated\n")
    assert "saved at" not in ended.stdout
    assert not list(tmp_path.glob("place/*/*/manifest.json"))


# So that it is killed before it comes to its end, however busy the machine is.
SLOWLY = """\
import runpy, sys, time
from components.train import train
advance = train.advance
def slowly(*arguments, **named):
    time.sleep(0.1)
    return advance(*arguments, **named)
train.advance = slowly
"""


def kill_and_go_on(call, place, kills, chance):
    """Call a training so often until it was killed so many times, at moments that `chance` chooses; then let it end.

    Every third time that is while it starts, else shortly after one of its next checkpoints. Returns what the last
    call printed.
    """
    for number in range(kills):
        process = subprocess.Popen(hooked(call, SLOWLY), stdout=subprocess.DEVNULL)
        if number % 3:
            seen = checkpoints_at(place)
            enough = len(seen) + chance.randrange(1, 4)
            while process.poll() is None and len(seen) < enough:  # old ones go meanwhile
                time.sleep(0.01)
                seen.update(checkpoints_at(place))
            time.sleep(chance.uniform(0, 0.2))
        else:
            time.sleep(chance.uniform(0, 5))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def checkpoints_at(place):
    return checkpoints_among(below(place))


def test_killed_again_and_again_at_any_moment_a_run_ends_with_the_same_bytes(s3, ingested, tmp_path):
    values = {"epochs": 3 * KILLS, "checkpoint_every": 4, "snapshot_every": 25, "stats_every": 3}
    straight = train(ingested, tmp_path / "straight", **values)
    chance = random.Random(17)  # noqa: S311 - no secret
    for name, place in (("local", tmp_path / "place"), ("remote", s3)):
        call = command(ingested, tmp_path / name, checkpoints=place, **values)
        said = kill_and_go_on(call, place, KILLS // 2, chance)
        assert "going on from step " in said
        assert digests(tmp_path / name) == digests(straight)
