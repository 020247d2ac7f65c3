"""The cluster, and releases of the chart in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import CLUSTER, Namespace, namespace

if not shutil.which("helm"):
    collect_ignore = ["test_chart.py"]


@pytest.fixture(scope="session")
def cluster() -> Path:
    """Return the folder of the cluster's scripts; without one the test is skipped."""
    if not CLUSTER:
        pytest.skip("needs a cluster to do anything to: TAPELINE_CLUSTER")
    return Path(CLUSTER)


@pytest.fixture(scope="module", params=["seaweedfs", "minio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of the store."""
    return str(request.param)


@pytest.fixture(scope="module")
def installed(cluster: Path, kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """Return a namespace in which the chart is installed with a store of its own."""
    assert cluster.is_dir()
    with namespace(f"tapeline-{kind}", tmp_path_factory.mktemp(kind) / "volume") as made:
        made.install(f"store.kind={kind}")
        yield made
