# mypy: allow-untyped-defs, allow-untyped-calls
"""The workflow on a cluster, by Airflow, with real MNIST in the cluster's MinIO.

One run, told as a story: train asks for a GPU and waits until a node has one, is killed again and again, each time
after another checkpoint, is tried again and goes on, and in the end every artifact has the bytes of a local run.
"""

import json
import re
from types import SimpleNamespace

import pytest
import yaml

from components.conftest import KILLS as ASKED
from components.conftest import checkpoints_among
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from components.ingest.known import KNOWN
from dags.workflow import WORKFLOW
from tests import parity
from tests.kubernetes.cluster import REGISTRY, ROOT, TAG, call, namespace, unserved
from tests.waiting import eventually

KILLS = min(ASKED, 10)  # as often as Airflow may try a task again
EVERY = 50  # steps; an epoch has 430
VALUES = parity.VALUES | {"source": "s3://tapeline/mnist", "epochs": 1 + KILLS // 2, "checkpoint_every": EVERY}
# By a name that no real GPU has, as a node may have those.
GPU = "tapeline.test/gpu"
STEPS = tuple(f"{WORKFLOW.name}-{task.name}" for task in WORKFLOW.tasks)


def upload(store):
    for path in KNOWN["mnist"].obtain(parity.CACHE).values():
        store.client.put_object(Bucket="tapeline", Key=f"mnist/{path.name}", Body=path.read_bytes())


@pytest.fixture(scope="module")
def expected(cluster, tmp_path_factory):  # noqa: ARG001 - skips without a cluster
    """Return the digests of a local run with the same values."""
    folder = tmp_path_factory.mktemp("local")
    with serve(folder / "store", "tapeline") as settings:
        upload(Store.from_environment(settings))
    return parity.run_locally(VALUES, folder)


@pytest.fixture(scope="module")
def gpu(cluster):  # noqa: ARG001 - skips without a cluster
    """Return what gives a node a GPU; none has one before and afterwards."""
    nodes = json.loads(call(["kubectl", "get", "nodes", "--output=json"]))["items"]
    free = [node["metadata"]["name"] for node in nodes if not node["spec"].get("taints")]
    if not free:
        unserved("every node has a taint")

    def have(count):
        patch = json.dumps({"status": {key: {GPU: count} for key in ("capacity", "allocatable")}})
        call(["kubectl", "patch", "node", free[0], "--subresource=status", "--type=merge", f"--patch={patch}"])

    have(None)
    yield lambda: have("1")
    have(None)


def trains(release):
    return release.get("pods", "--selector=app.kubernetes.io/component=train")["items"]


@pytest.fixture(scope="module")
def story(gpu, expected):
    """Run the story; return what was seen."""
    with namespace("tapeline-workflow") as release:
        release.install(
            "store.kind=minio", "airflow.enabled=true", "airflow.schedule=", "gpu.count=1", f"gpu.resource={GPU}",
            f"gpu.tolerations[0].key={GPU}", "gpu.tolerations[0].operator=Exists",
        )  # fmt: skip
        with release.store() as store:
            yield _told(release, store, gpu, SimpleNamespace(expected=expected))


def _told(release, store, gpu, seen):
    upload(store)
    pod = yaml.safe_load((ROOT / "helm/one-run.yaml").read_text())
    (container,) = pod["spec"]["containers"]
    container["image"] = f"{REGISTRY}/airflow:{TAG}"
    container["env"][0]["value"] = json.dumps(VALUES)
    tries = {"TAPELINE_AIRFLOW_RETRY_SECONDS": "1", "TAPELINE_AIRFLOW_RETRIES": str(KILLS)}
    container["env"] += [{"name": name, "value": value} for name, value in tries.items()]
    release.kubectl("create", "--filename=-", stdin=json.dumps(pod))

    (waiting,) = eventually("pod of train", lambda: trains(release))
    name = waiting["metadata"]["name"]
    seen.limits = waiting["spec"]["containers"][0]["resources"]["limits"]
    seen.condition = eventually("condition", lambda: _unscheduled(release, name))
    if re.search("Insufficient (cpu|memory)", seen.condition["message"]):
        unserved(f"train does not fit: {seen.condition['message']}")
    eventually("word in Airflow's log", lambda: f"Insufficient {GPU}" in release.kubectl("logs", "airflow"))
    gpu()
    killed, seen.checkpoints = set(), set()
    for _ in range(KILLS):
        eventually("checkpoint", lambda: _checkpoints(store) - seen.checkpoints)
        seen.checkpoints |= _checkpoints(store)
        release.kubectl("delete", "pod", name, "--grace-period=0", "--force")
        killed.add(name)
        (name,) = eventually("other try", lambda: _names(release) - killed)
        eventually("end of the killed one", lambda: not _names(release) & killed)
        seen.checkpoints |= _checkpoints(store)  # it may have saved one more
    log = ""
    while (phase := release.get("pod", "airflow")["status"]["phase"]) == "Running":
        log = eventually("Airflow", lambda: release.kubectl("logs", "airflow"))
    seen.phase, seen.log = phase, release.kubectl("logs", "airflow") or log
    seen.left = [pod["metadata"]["name"] for pod in release.get("pods")["items"]]
    seen.digests = parity.in_store(store, parity.places_in(store, "s3://tapeline/airflow/tapeline"))
    return seen


def _names(release):
    return {pod["metadata"]["name"] for pod in trains(release)}


def _unscheduled(release, name):
    conditions = release.get("pod", name)["status"].get("conditions", [])
    return next((each for each in conditions if each.get("reason") == "Unschedulable"), None)


def _checkpoints(store):
    return checkpoints_among(store.names("s3://tapeline/airflow/tapeline"))


def test_train_asks_for_a_gpu_and_waits_until_a_node_has_one(story):
    assert story.limits[GPU] == "1"
    assert f" Insufficient {GPU}" in story.condition["message"]


def test_a_killed_train_is_tried_again_and_goes_on_from_its_checkpoint(story):
    assert len(story.checkpoints) >= KILLS
    steps = [int(step) for step in re.findall(r"going on from step (\d+)", story.log)]
    assert steps == sorted(set(steps))
    assert steps[-1] >= EVERY * KILLS


def test_the_run_ends_well_and_leaves_no_pod_of_a_step(story):
    assert story.phase == "Succeeded", story.log[-5000:]
    assert [name for name in story.left if name.startswith(STEPS)] == []


def test_every_artifact_has_the_bytes_of_a_local_run(story):
    for name, digest in story.digests.items():
        print(f"{name:28} {digest[:16]} {'=' if digest == story.expected[name] else '≠'} {story.expected[name][:16]}")
    assert story.digests == story.expected
