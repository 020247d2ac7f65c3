# mypy: allow-untyped-defs, allow-untyped-calls
"""A pod of Kubeflow's that is lost again and again: another one begins with nothing but what is in the store."""

import random
import subprocess
import threading
import time

import pytest

from components.conftest import KILLS, checkpoints_among
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.cluster import CHECKPOINT_KEYS
from dags.workflow import WORKFLOW
from tests import parity
from tests.containers import DOCKER, needs_images
from tests.kubeflow.launcher import BUCKET, launch

pytestmark = needs_images

INGEST, TRAIN = (task for task in WORKFLOW.tasks if task.name in ("ingest", "train"))
OUTPUTS = f"s3://{BUCKET}/v2/artifacts/tapeline/run/train"
PLACE = f"s3://{BUCKET}/checkpoints"
VALUES = {"model": "convnet", "epochs": KILLS, "checkpoint_every": 50, "cache": "/cache"}


def checkpoints(store):
    return checkpoints_among(store.names(PLACE))


def test_it_goes_on_from_its_checkpoints_to_the_same_bytes(tmp_path):
    parameters = WORKFLOW.parameters_of(VALUES)
    chance = random.Random(3)  # noqa: S311 - no secret

    def run(task, name, *options):
        scratch = tmp_path / name
        scratch.mkdir()
        launch(store, task, dict(parameters[task.name]), scratch, f"--volume={parity.CACHE}:/cache", *options)

    def made():
        return {name: digest for name, digest in store.digests(OUTPUTS).items() if "output_metadata" not in name}

    with serve(tmp_path / "store", BUCKET) as settings:
        store = Store.from_environment(settings)
        run(INGEST, "ingest")
        run(TRAIN, "undisturbed")
        right = made()
        store.remove(OUTPUTS)
        # As the ConfigMap of the chart says it to every pod of a step.
        told = settings | {CHECKPOINT_KEYS["checkpoints"]: PLACE}
        options = [f"--env={name}={value}" for name, value in told.items()]

        def lose(pod, ended):
            """Kill a pod shortly after it has come to another checkpoint."""
            known = checkpoints(store)
            while checkpoints(store) <= known and not ended.is_set():
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.5))
            subprocess.run([DOCKER, "kill", pod], check=False, capture_output=True)

        for number in range(KILLS):
            pod, ended = f"tapeline-test-{tmp_path.name}-{number}", threading.Event()
            killer = threading.Thread(target=lose, args=(pod, ended))
            killer.start()
            with pytest.raises(RuntimeError, match=r"^exit code 137: "):
                run(TRAIN, pod, f"--name={pod}", *options)
            ended.set()
            killer.join()
            assert made() == {}
        run(TRAIN, "last", *options)
        assert right
        assert made() == right
