# mypy: allow-untyped-defs, allow-untyped-calls
"""Several workers: what they make is what one process with as many replicas makes, whoever is lost on the way."""

import subprocess

import pytest

from components.contract import artifact
from components.train.conftest import OUTPUTS, command


def files(folder):
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    return {
        f"{name}/{file}": each.sha256 for name in OUTPUTS for file, each in artifact.verify(folder / name).files.items()
    }


def trained(ingested, folder, **values):
    """Train in a process of its own, which starts the others, and return what it said."""
    done = subprocess.run(command(ingested, folder, epochs=1, **values), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "values",
    [
        {"clip_norm": 0.5, "accumulate": 2, "transform": "centralize", "augment": "shift,mixup"},
        {"model": "convnet-bn", "step": "sam", "stats_every": 5, "accumulate": 2},
        {"step": "dp-sgd", "model": "convnet"},
    ],
    ids=["clipped", "sam and batch normalisation", "dp-sgd"],
)
def test_two_workers_make_the_bytes_of_two_replicas(ingested, tmp_path, values):
    trained(ingested, tmp_path / "workers", workers=2, **values)
    trained(ingested, tmp_path / "replicas", replicas=2, **values)
    assert files(tmp_path / "workers") == files(tmp_path / "replicas")
