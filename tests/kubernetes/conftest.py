"""The cluster, and releases of the chart in it."""

import json
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import CLUSTER, DEFAULT_CLASS, Namespace, call, namespace, unserved


@pytest.fixture(scope="session")
def cluster() -> None:
    """See that there is a cluster, with volumes; skip the test without one."""
    if not CLUSTER:
        pytest.skip("needs a cluster to do anything to: make test-cluster")
    classes = json.loads(call(["kubectl", "get", "storageclasses", "--output=json"]))["items"]
    if not any(each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true" for each in classes):
        unserved("it has no default StorageClass")


@pytest.fixture(scope="module", params=["seaweedfs", "minio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of the store."""
    return str(request.param)


@pytest.fixture(scope="module")
def installed(cluster: None, kind: str) -> Iterator[Namespace]:  # noqa: ARG001 - skips without a cluster
    """Return a namespace in which the chart is installed with a store of its own."""
    with namespace(f"tapeline-{kind}") as made:
        made.install(f"store.kind={kind}")
        yield made
