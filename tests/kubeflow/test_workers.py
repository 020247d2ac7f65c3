# mypy: allow-untyped-defs, allow-untyped-calls
"""Workers as containers on a network of their own, started by hand as docs/workers.md says."""

import os
import subprocess
import uuid

import pytest

from components.contract import artifact
from components.contract.declaration import argument
from components.contract.rendezvous import NUMBER, PLACE
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from dags.cluster import image_of
from tests.containers import DOCKER, ROOT, needs_images

pytestmark = needs_images
VALUES = {"model": "convnet", "epochs": 2, "batch_size": 32}


@pytest.fixture
def network():
    """Return a network of Docker's own, gone afterwards."""
    name = f"tapeline-{uuid.uuid4().hex[:8]}"
    subprocess.run([DOCKER, "network", "create", name], check=True, stdout=subprocess.DEVNULL)
    yield name
    subprocess.run([DOCKER, "network", "rm", name], check=True, stdout=subprocess.DEVNULL)


def started(component, folder, values, *options):
    """Start a step in a container that sees a folder as /work."""
    command = [DOCKER, "run", "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", f"--volume={folder}:/work"]
    command += [f"--user={os.getuid()}:{os.getgid()}", *options, image_of(component), *component.command]
    command += [argument(*each) for each in values.items()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(*processes):
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said


def files(folder):
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    return {f"{item.name}/{name}": each.sha256 for item in TRAIN.outputs
            for name, each in artifact.verify(folder / item.name).files.items()}  # fmt: skip


def test_two_containers_make_the_bytes_of_two_replicas(tmp_path, network):
    outputs = {item.name: f"/work/ingest/{item.name}" for item in INGEST.outputs}
    source = f"--volume={ROOT / 'components/testdata'}:/data:ro"
    ended(started(INGEST, tmp_path, {"source": "/data", "validation_size": 64} | outputs, source))

    def places(name):
        made = {item.name: f"/work/{name}/{item.name}" for item in TRAIN.outputs}
        return VALUES | {"dataset": "/work/ingest/dataset", "checkpoints": "/work/checkpoints"} | made

    chief = f"{network}-0"
    ended(*(
        started(
            TRAIN, tmp_path, {"workers": 2} | places("workers"), f"--network={network}", f"--name={network}-{number}",
            f"--env={PLACE}={chief}:7077", f"--env={NUMBER}={number}",
        )
        for number in (1, 0)
    ))  # fmt: skip
    ended(started(TRAIN, tmp_path, {"replicas": 2} | places("replicas")))
    assert files(tmp_path / "workers") == files(tmp_path / "replicas")
