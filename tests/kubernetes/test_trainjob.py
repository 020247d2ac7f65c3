# mypy: allow-untyped-defs, allow-untyped-calls
"""Workers as the nodes of a TrainJob, where the cluster has Kubeflow Trainer: beside a pod, and by themselves."""

import json

import pytest
import yaml

from components.conftest import SHORT, SMALL, make
from components.contract.declaration import argument
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from tests.kubernetes.cluster import REGISTRY, ROOT, TAG, Failed, call, namespace, unserved
from tests.kubernetes.training import Place, checkpoints, end, files, left, start, store_variables, workers
from tests.waiting import eventually

TRAINJOBS = "trainjobs.trainer.kubeflow.org"


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):  # noqa: ARG001 - skips without a cluster
    """Return a namespace with the chart, the runtime, and a data set."""
    try:
        call(["kubectl", "get", f"customresourcedefinition/{TRAINJOBS}"])
    except Failed:
        unserved("it has no Kubeflow Trainer")
    runtime = yaml.safe_load((ROOT / "helm/training-runtime.yaml").read_text())
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    container["image"] = f"{REGISTRY}/train:{TAG}"
    made = make(INGEST, SMALL, {}, tmp_path_factory.mktemp("ingest"))
    eventually("Kubeflow Trainer", lambda: _applied(runtime))
    with namespace("tapeline-trainjob") as release:
        release.install("workers.enabled=true", "workers.trainJobs=true")
        with release.store() as store:
            store.publish(made / "dataset", "s3://tapeline/dataset")
            yield Place(release, store)
    call(["kubectl", "delete", "clustertrainingruntime", "tensorflow"])


@pytest.fixture(scope="module")
def expected(place):
    """Return what one process makes."""
    start(place, "replicas", replicas=2, epochs=30)
    code, message, log = end(place, "replicas")
    assert (code, message) == (0, ""), log
    return files(place, "replicas")


def test_beside_a_pod_they_make_the_same_bytes_and_leave_nothing_behind(place, expected):
    start(place, "beside", workers=2, launcher="trainjob", epochs=30)
    eventually("worker", lambda: workers(place, "beside"))
    code, message, log = end(place, "beside")
    assert (code, message) == (0, ""), log
    assert files(place, "beside") == expected
    eventually("end of the TrainJob", lambda: not place.get(TRAINJOBS)["items"])
    eventually("end of its pods", lambda: not left(place, "beside"))


def test_by_itself_it_goes_on_when_a_node_is_lost_to_the_same_bytes(place, expected):
    values = SHORT | {"epochs": 30, "workers": 2, "checkpoint_every": 20, "checkpoints": "s3://tapeline/alone"}
    places = {"dataset": "s3://tapeline/dataset"}
    places |= {item.name: f"s3://tapeline/alone/{item.name}" for item in TRAIN.outputs}
    trainer = {"numNodes": 2, "args": [argument(*each) for each in (places | values).items()], "env": store_variables()}
    document = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "alone"},
        "spec": {"runtimeRef": {"name": "tensorflow"}, "trainer": trainer},
    }
    place.kubectl("create", "--filename=-", stdin=json.dumps(document))
    eventually("checkpoint", lambda: checkpoints(place, "s3://tapeline/alone"))
    nodes = place.get("pods", "--selector=jobset.sigs.k8s.io/jobset-name=alone")["items"]
    place.kubectl("delete", "pod", nodes[-1]["metadata"]["name"], "--grace-period=0", "--force")
    state = eventually("end", lambda: _ended(place, "alone"), 600)
    assert state["type"] == "Complete", state
    assert files(place, "alone") == expected
    assert int(place.get("jobset", "alone")["status"]["restarts"]) >= 1


def _applied(runtime):
    """Tell whether the runtime is there; Trainer, which checks it, may not be ready yet."""
    try:
        return call(["kubectl", "apply", "--filename=-"], json.dumps(runtime))
    except Failed as error:
        if "webhook" not in str(error):
            raise
        return ""


def _ended(place, name):
    conditions = place.get(TRAINJOBS, name).get("status", {}).get("conditions", [])
    return next(
        (each for each in conditions if each["status"] == "True" and each["type"] in ("Complete", "Failed")), None
    )
