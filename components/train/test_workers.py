# mypy: allow-untyped-defs, allow-untyped-calls
"""Several workers: what they make is what one process with as many replicas makes, whoever is lost on the way."""

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.conftest import KILLS
from components.contract import artifact, location
from components.contract.rendezvous import NUMBER
from components.train.conftest import OUTPUTS, command


def files(folder):
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    found = {name: artifact.verify(folder / name).files for name in OUTPUTS}
    return {f"{name}/{file}": each.sha256 for name, made in found.items() for file, each in made.items()}


def newest(place):
    """Return the step of the newest checkpoint."""
    return max((int(path.parent.name.split("-")[1]) for path in place.glob("*/step-*/manifest.json")), default=0)


def worker_of(process, number):
    """Return the process id of a worker that `process` has started; None if there is none."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and f"{NUMBER}={number}\0" in (path / "environ").read_text():
                return int(path.name)
        except (OSError, UnicodeDecodeError):
            continue
    return None


CLIPPED = {"clip_norm": 0.5, "accumulate": 2, "transform": "centralize", "augment": "shift,mixup"}
SHARP = {"model": "convnet-bn", "step": "sam", "stats_every": 5, "epochs": 4}
# Who is lost and how, one after the other.
LOST = [(1, "KILL"), (0, "STOP"), (0, "KILL"), (1, "STOP")]


@pytest.mark.parametrize(
    ("values", "kills"),
    [(CLIPPED, 0), ({"step": "dp-sgd"}, 0), (SHARP, KILLS // 2)],
    ids=["clipped", "private", "sharp, and lost again and again"],
)
def test_two_workers_make_the_bytes_of_two_replicas_whoever_is_lost(ingested, tmp_path, values, kills):
    place = tmp_path / "checkpoints"
    more = {"checkpoints": place, "checkpoint_every": 1} if kills else {}
    training = subprocess.Popen(
        command(ingested, tmp_path / "workers", workers=2, **values, **more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    chief = None
    for number, sign in itertools.islice(itertools.cycle(LOST), kills):
        while training.poll() is None and worker_of(training, 0) in (chief, None):  # that of the last try may still end
            time.sleep(0.05)
        chief, reached = worker_of(training, 0), newest(place)
        while training.poll() is None and newest(place) <= reached:
            time.sleep(0.05)
        os.kill(worker_of(training, number), signal.Signals[f"SIG{sign}"])
    output, said = training.communicate(timeout=600)
    assert training.returncode == 0, said
    for worker in ("", "worker 1: "):
        assert output.count(f"\n{worker}going on from step ") == kills, output
    assert said.count("all begin again") == kills, said
    subprocess.run(command(ingested, tmp_path / "replicas", replicas=2, **values), check=True)
    assert files(tmp_path / "workers") == files(tmp_path / "replicas")


NOTED = """
import os
from components.contract.store.client import Store
fetch = Store.fetch_file
def noted(store, uri, folder, name, *more):
    with open(os.environ["FETCHED"], "a") as file:
        file.write(f"{os.environ.get('TAPELINE_WORKER', '')} {name}\\n")
    return fetch(store, uri, folder, name, *more)
Store.fetch_file = noted
"""


def test_of_what_is_larger_than_memory_a_worker_fetches_its_own_shards(s3, tmp_path, monkeypatch):
    """19 shards of 4.7 MiB in all, and windows of 1 MiB for both."""
    random, folder = np.random.default_rng(0), tmp_path / "dataset"
    folder.mkdir()
    monkeypatch.setattr(datasets, "SHARD", 64 * 64 * 64)
    for split, count in (("train", 1200), ("validation", 40)):
        images, labels = random.integers(0, 256, (count, 64, 64), np.uint8), random.integers(0, 4, count, np.uint8)
        datasets.write(folder, split, iter([images]), labels, None, [""] * count)
    said = {"class_names": ["a", "b", "c", "d"]}
    artifact.seal(folder, component="test", output="dataset", parameters={}, inputs={}, metadata=said)
    location.publish(folder, f"{s3}/dataset")
    (tmp_path / "sitecustomize.py").write_text(NOTED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    values = {"shuffle_window": 1, "gradient_level": "norms", "epochs": 1}
    for name in ("workers", "replicas"):
        monkeypatch.setenv("FETCHED", str(tmp_path / f"{name}.txt"))
        call = command(tmp_path, tmp_path / name, **values, **{name: 2})
        call = [each.replace(f"--dataset={folder}", f"--dataset={s3}/dataset") for each in call]
        subprocess.run(call, check=True)
    assert files(tmp_path / "workers") == files(tmp_path / "replicas")
    got = [line.split() for line in (tmp_path / "workers.txt").read_text().splitlines()]
    shards = [(int(worker), int(name[-9:-4])) for worker, name in got if name.startswith("train-images-")]
    assert sorted(shards) == sorted([(shard % 2, shard) for shard in range(19)] + [(1, 0)])  # all look into the first
