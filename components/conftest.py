"""What the tests of the components share: a few hundred real images, what each step makes of them, and a store."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from components.contract import artifact
from components.contract.declaration import Component
from components.contract.run import run
from components.contract.store.embedded import seaweedfs, serve
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN

DIGITS = Path(__file__).parent / "testdata"
# 448 images to train on, in 14 steps an epoch.
SMALL = {"source": str(DIGITS), "validation_size": 64}
SHORT = {"model": "convnet", "epochs": 2, "batch_size": 32, "learning_rate": 0.003}
# How often the one training of a test is killed that is killed again and again, by any caller.
KILLS = int(os.environ.get("TAPELINE_KILLS", "4"))


def make(component: Component, values: Mapping[str, object], inputs: Mapping[str, Path], folder: Path) -> Path:
    """Run a component in this process; its outputs are folders of their names in `folder`, which is returned."""
    outputs = {item.name: str(folder / item.name) for item in component.outputs}
    given = {name: str(path) for name, path in inputs.items()}
    run(component, component.parameters.checked(values), given, outputs)
    return folder


def arrays_of(made: Path) -> dict[str, artifact.File]:
    """Return what says whether two data sets have the same images, labels and splits, wherever they came from."""
    files = artifact.verify(made / "dataset").files
    return {name: file for name, file in files.items() if name.endswith(".npy")}


def checkpoints_among(names: Iterable[str]) -> set[str]:
    """Return which of these names are manifests of finished checkpoints, and so not of parts of the record."""
    return {name for name in names if re.search(r"/step-[^/]*/manifest\.json$", name)}


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the outputs of ingest."""
    return make(INGEST, SMALL, {}, tmp_path_factory.mktemp("ingest"))


@pytest.fixture(scope="session")
def trained(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the outputs of a short training."""
    return make(TRAIN, SHORT, {"dataset": ingested / "dataset"}, tmp_path_factory.mktemp("train"))


def _minio(folder: Path, ports: list[int]) -> list[str]:
    """Return the command of a MinIO server."""
    loopback = [f"127.0.0.1:{port}" for port in ports]
    return [MINIO, "server", f"--address={loopback[0]}", f"--console-address={loopback[1]}", "--quiet", str(folder)]


# One suite for both stores: SeaweedFS always, MinIO where TAPELINE_MINIO names its server.
MINIO = os.environ.get("TAPELINE_MINIO", "")
SERVERS = {"seaweedfs": seaweedfs} | ({"minio": _minio} if MINIO else {})


@pytest.fixture(scope="session", params=SERVERS)
def _server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with serve(tmp_path_factory.mktemp("store"), "tests", server=SERVERS[request.param]) as settings:
        yield settings


@pytest.fixture
def s3(_server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return a prefix of this test's own in a real S3 server, which the environment leads to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in _server.items():
        monkeypatch.setenv(name, value)
    return f"s3://tests/{request.node.name.replace('[', '-').replace(']', '')}"
