# mypy: allow-untyped-defs, allow-untyped-calls
"""A training whose other workers are a Job, on a cluster: the same bytes, also when one is lost, or a sentence."""

import json
import re

import pytest

from components.conftest import SHORT, SMALL, checkpoints_among, make
from components.contract.artifact import Manifest
from components.contract.declaration import argument
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from dags.cluster import CONFIG_KEYS, SECRET_KEYS, labels_of
from dags.workflow import WORKFLOW
from tests.kubernetes.cluster import REGISTRY, RELEASE, TAG, Namespace, call, namespace, unserved
from tests.kubernetes.kubeflow import HARMLESS
from tests.waiting import eventually

GPU = "tapeline.test/worker"  # no real one
STORE = f"{RELEASE}-store"
(TASK,) = (task for task in WORKFLOW.tasks if task.launches)


class Place(Namespace):
    """A namespace, with the store of its release."""

    def __init__(self, release, store):
        super().__init__(release.name)
        self.artifacts = store


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):  # noqa: ARG001 - skips without a cluster
    """Return a namespace with the chart, which lets a step start workers, and with a data set in its store."""
    made = make(INGEST, SMALL, {}, tmp_path_factory.mktemp("ingest"))
    with namespace("tapeline-workers") as release:
        release.install("workers.enabled=true")
        with release.store() as store:
            store.publish(made / "dataset", "s3://tapeline/dataset")
            yield Place(release, store)


def start(place, name, limits=None, account=f"{RELEASE}-step", environment=None, **values):
    """Start a training as Airflow would, with the chart's account."""
    values = SHORT | {"checkpoints": "s3://tapeline/checkpoints"} | values
    places = {"dataset": "s3://tapeline/dataset"}
    places |= {item.name: f"s3://tapeline/{name}/{item.name}" for item in TRAIN.outputs}
    references = {variable: {"secretKeyRef": {"name": STORE, "key": key}} for key, variable in SECRET_KEYS.items()} | {
        variable: {"configMapKeyRef": {"name": STORE, "key": key}} for key, variable in CONFIG_KEYS.items()
    }
    references["TAPELINE_POD"] = {"fieldRef": {"fieldPath": "metadata.name"}}
    env = [{"name": variable, "valueFrom": source} for variable, source in references.items()]
    env += [{"name": variable, "value": value} for variable, value in (environment or {}).items()]
    container = {
        "name": "base",
        "image": f"{REGISTRY}/train:{TAG}",
        "command": [*TRAIN.command, *(argument(*each) for each in (places | values).items())],
        "env": env,
        "securityContext": HARMLESS,
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"} | (limits or {})},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }
    spec = {
        "serviceAccountName": account,
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    metadata = {"name": name, "labels": labels_of(WORKFLOW, TASK)}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    place.kubectl("create", "--filename=-", stdin=json.dumps(pod))


def end(place, name):
    """Wait for the end of a training; return its exit code, last words and log."""

    def ended():
        states = place.get("pod", name)["status"].get("containerStatuses", [])
        return states and states[0]["state"].get("terminated")

    state = eventually(f"end of {name}", ended, 600)
    return state["exitCode"], state.get("message", "").strip(), place.kubectl("logs", name)


def workers(place, name):
    return place.get("pods", f"--selector=tapeline/launched-by={name}")["items"]


def left(place, name):
    return workers(place, name) or place.get("jobs", f"--selector=tapeline/launched-by={name}")["items"]


def files(place, name):
    """Return the digests of all that a training made; its manifests name how many workers there were."""
    found: dict[str, str] = {}
    for item in TRAIN.outputs:
        text = place.artifacts.manifest(f"s3://tapeline/{name}/{item.name}")
        assert text, f"{name} made no {item.name}"
        found |= {f"{item.name}/{file}": each.sha256 for file, each in Manifest.parse(text, name).files.items()}
    return found


def test_two_workers_make_the_bytes_of_two_replicas_and_leave_nothing_behind(place):
    start(place, "replicas", replicas=2)
    code, message, log = end(place, "replicas")
    assert (code, message) == (0, ""), log
    start(place, "workers", workers=2)
    (worker,) = eventually("worker", lambda: workers(place, "workers"))
    assert worker["spec"]["automountServiceAccountToken"] is False
    assert not [each for each in worker["spec"]["volumes"] if "projected" in each]
    code, message, log = end(place, "workers")
    assert (code, message) == (0, ""), log
    assert files(place, "workers") == files(place, "replicas")
    eventually("end of the Job", lambda: not left(place, "workers"))


@pytest.mark.parametrize("kill", [("--grace-period=0", "--force"), ()], ids=["killed", "drained"])
def test_a_worker_that_is_lost_costs_no_byte(place, kill):
    name = "lost" if kill else "drained"
    values = {"epochs": 30, "seed": 1 if kill else 2, "checkpoint_every": 20, "workers": 2}
    before = checkpoints(place)
    start(place, name, **values)
    eventually("checkpoint", lambda: checkpoints(place) - before)
    first = workers(place, name)[0]["metadata"]["name"]
    place.kubectl("delete", "pod", first, *kill)
    code, message, log = end(place, name)
    assert (code, message) == (0, ""), log
    assert "all begin again, for the 2nd time" in log
    assert re.search(r"^going on from step \d+", log, re.MULTILINE), log
    assert re.search(r"^worker 1: going on from step \d+", log, re.MULTILINE)
    start(place, f"{name}-not", **(values | {"workers": 1, "replicas": 2, "checkpoints": ""}))
    code, message, whole = end(place, f"{name}-not")
    assert (code, message) == (0, ""), whole
    assert files(place, name) == files(place, f"{name}-not")
    eventually("end of the Job", lambda: not left(place, name))


def checkpoints(place):
    return checkpoints_among(place.artifacts.names("s3://tapeline/checkpoints"))


def test_a_worker_for_which_there_is_no_node_is_named_with_why(place):
    nodes = json.loads(call(["kubectl", "get", "nodes", "--output=json"]))["items"]
    if len(nodes) > 1:
        unserved("the nodes that are not given a GPU are told of, too")
    gpu(nodes[0], "1")
    try:
        start(place, "scarce", limits={GPU: "1"}, environment={"TAPELINE_WAIT_SECONDS": "20"}, workers=2)
        code, message, log = end(place, "scarce")
    finally:
        gpu(nodes[0], None)
    assert (code, message) == (
        4,
        f"train: worker 1 of 2 did not come within 20 s: 0/1 nodes are available: 1 Insufficient {GPU}",
    ), log
    eventually("end of the Job", lambda: not left(place, "scarce"))


def gpu(node, count):
    patch = json.dumps({"status": {key: {GPU: count} for key in ("capacity", "allocatable")}})
    name = node["metadata"]["name"]
    call(["kubectl", "patch", "node", name, "--subresource=status", "--type=merge", f"--patch={patch}"])


def test_an_account_without_the_rights_is_told_which(place):
    start(place, "rightless", account="default", workers=2)
    code, message, log = end(place, "rightless")
    assert code == 2, log
    assert message == (
        "train: launcher: cannot see this pod, rightless: the service account default may not get pods in the namespace"
        " tapeline-workers; have a Role allow it (with the chart, workers.enabled=true), or give launcher=processes, "
        "for all workers in this pod"
    )


def test_workers_that_a_quota_forbids_are_told_of(place):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
    place.kubectl("create", "--filename=-", stdin=json.dumps(quota))
    try:
        start(place, "few", environment={"TAPELINE_WAIT_SECONDS": "20"}, workers=4)
        code, message, log = end(place, "few")
    finally:
        place.kubectl("delete", "resourcequota", "few")
    assert code == 4, log
    assert re.match(r"train: worker \d of 4 did not come within 20 s: .*exceeded quota: few", message)
