# mypy: allow-untyped-defs, allow-untyped-calls
"""Several workers: what they make is what one process with as many replicas makes, whoever is lost on the way."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from components.contract import artifact
from components.contract.rendezvous import NUMBER
from components.train.conftest import OUTPUTS, command


def files(folder):
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    found = {name: artifact.verify(folder / name).files for name in OUTPUTS}
    return {f"{name}/{file}": each.sha256 for name, made in found.items() for file, each in made.items()}


def begin(ingested, folder, **values):
    """Start a training in a process of its own, which starts the workers."""
    return subprocess.Popen(
        command(ingested, folder, epochs=1, **values), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def worker_of(process, number):
    """Return the process id of a worker that `process` has started."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and f"{NUMBER}={number}\0" in (path / "environ").read_text():
                return int(path.name)
        except (OSError, UnicodeDecodeError):
            continue
    raise AssertionError(f"there is no worker {number}")


@pytest.mark.parametrize(
    ("lost", "sign", "values"),
    [
        (None, None, {"clip_norm": 0.5, "accumulate": 2, "transform": "centralize", "augment": "shift,mixup"}),
        (0, "KILL", {"model": "convnet-bn", "step": "sam", "stats_every": 5}),
        (1, "KILL", {"step": "dp-sgd"}),
        (1, "STOP", {"model": "convnet-bn"}),
    ],
    ids=["nobody", "the chief is killed", "another is killed", "another is stopped"],
)
def test_two_workers_make_the_bytes_of_two_replicas_whoever_is_lost(ingested, tmp_path, lost, sign, values):
    place = tmp_path / "checkpoints"
    more = {} if lost is None else {"checkpoints": place, "checkpoint_every": 4}
    training = begin(ingested, tmp_path / "workers", workers=2, **values, **more)
    if lost is not None:
        while training.poll() is None and not list(place.glob("*/step-*/manifest.json")):
            time.sleep(0.05)
        os.kill(worker_of(training, lost), signal.Signals[f"SIG{sign}"])
    _, said = training.communicate(timeout=300)
    assert training.returncode == 0, said
    assert said.count("all begin again") == (lost is not None), said
    one = command(ingested, tmp_path / "replicas", epochs=1, replicas=2, **values)
    subprocess.run(one, check=True)
    assert files(tmp_path / "workers") == files(tmp_path / "replicas")
