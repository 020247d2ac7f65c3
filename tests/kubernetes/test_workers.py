# mypy: allow-untyped-defs, allow-untyped-calls
"""A training whose other workers are a Job, on a cluster: the same bytes, also when one is lost, or a sentence."""

import json
import re
from typing import Any

import pytest

from components.conftest import SMALL, make
from components.ingest.component import COMPONENT as INGEST
from tests.kubernetes.cluster import call, namespace, unserved
from tests.kubernetes.training import Place, checkpoints, end, files, left, start, workers
from tests.waiting import eventually

GPU = "tapeline.test/worker"  # no real one


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):  # noqa: ARG001 - skips without a cluster
    """Return a namespace with the chart, which lets a step start workers, and with a data set in its store."""
    made = make(INGEST, SMALL, {}, tmp_path_factory.mktemp("ingest"))
    with namespace("tapeline-workers") as release:
        release.install("workers.enabled=true")
        with release.store() as store:
            store.publish(made / "dataset", "s3://tapeline/dataset")
            yield Place(release, store)


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


def test_a_worker_whose_node_is_drained_costs_no_byte(place):
    values: dict[str, Any] = {"epochs": 30, "checkpoint_every": 20, "workers": 2}
    before = checkpoints(place)
    start(place, "drained", **values)
    eventually("checkpoint", lambda: checkpoints(place) - before)
    place.kubectl("delete", "pod", workers(place, "drained")[0]["metadata"]["name"])
    code, message, log = end(place, "drained")
    assert (code, message) == (0, ""), log
    assert "all begin again, for the 2nd time" in log
    assert re.search(r"^going on from step \d+", log, re.MULTILINE), log
    assert re.search(r"^worker 1: going on from step \d+", log, re.MULTILINE)
    start(place, "drained-not", **(values | {"workers": 1, "replicas": 2, "checkpoints": ""}))
    code, message, whole = end(place, "drained-not")
    assert (code, message) == (0, ""), whole
    assert files(place, "drained") == files(place, "drained-not")
    eventually("end of the Job", lambda: not left(place, "drained"))


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
        # The store's alone: those of earlier tests are counted until the kubelet has said that they ended.
        eventually("room", lambda: place.get("resourcequota", "few").get("status", {}).get("used") == {"pods": "1"})
        start(place, "few", environment={"TAPELINE_WAIT_SECONDS": "20"}, workers=4)
        code, message, log = end(place, "few")
    finally:
        place.kubectl("delete", "resourcequota", "few")
    assert code == 4, log
    assert re.match(r"train: worker \d of 4 did not come within 20 s: .*exceeded quota: few", message)
