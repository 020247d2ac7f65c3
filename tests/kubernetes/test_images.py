# mypy: allow-untyped-defs, allow-untyped-calls
"""The images that only a cluster needs."""

import json
import shutil

import pytest

from tests.containers import images
from tests.kubernetes.cluster import CLUSTER, REGISTRY, ROOT, TAG, call

DOCKER = shutil.which("docker") or "docker"
pytestmark = pytest.mark.skipif(not CLUSTER, reason="needs the images of a cluster: make test-cluster")


def run(name, *command):
    return call([DOCKER, "run", "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none",
                 f"{REGISTRY}/{name}:{TAG}", *command])  # fmt: skip


@pytest.mark.parametrize("name", images("cluster"))
def test_an_image_is_harmless(name):
    config = json.loads(call([DOCKER, "image", "inspect", f"{REGISTRY}/{name}:{TAG}"]))[0]["Config"]
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", None)
    assert not [line for line in config["Env"] if "AWS" in line or "SECRET" in line or "/run/secrets" in line]
    assert config["Labels"]["org.opencontainers.image.title"] == f"tapeline {name}"
    compilers = "for each in gcc cc go pip uv curl; do command -v $each || true; done"
    assert run(name, "sh", "-c", compilers) == ""


def test_airflow_finds_the_dags_and_nothing_that_computes():
    found = "import importlib.util as u; print([m for m in ('tensorflow', 'kfp', 'pyarrow') if u.find_spec(m)])"
    assert run("airflow", "python", "-c", found) == "[]\n"
    listing = "airflow db migrate >/dev/null 2>&1 && exec /entrypoint airflow dags list --local --output=json"
    listed = run("airflow", "env", "TAPELINE_AIRFLOW_RUNNER=kubernetes", "sh", "-c", listing)
    assert [dag["dag_id"] for dag in json.loads(listed.splitlines()[-1])] == ["tapeline", "tapeline_reevaluate"]


def test_the_stores_are_what_was_pinned():
    assert " 4.48 " in run("seaweedfs", "/usr/local/bin/weed", "version")
    # What Go writes into whatever it builds; MinIO itself says only that it was not built by MinIO.
    text = (ROOT / "images/minio.Containerfile").read_text()
    version = next(line.partition("=")[2] for line in text.splitlines() if line.startswith("ARG MINIO_VERSION="))
    assert run("minio", "grep", "--count", "--text", version, "/usr/local/bin/minio") != "0\n"
