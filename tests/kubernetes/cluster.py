"""A cluster to test on, by its own command lines: kubectl and helm."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.contract.store.client import Store

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/tapeline"
# Folder with the scripts load-image and fake-gpu of a cluster that is up, and that the tests may do anything to.
CLUSTER = os.environ.get("TAPELINE_CLUSTER", "")
TAG = os.environ.get("TAG", "dev")
RELEASE = "tapeline"
# The node that CI has is as small as train is large: nothing else may set CPUs aside.
SMALL = (f"images.tag={TAG}", "store.resources.requests.cpu=0", "jobs.resources.requests.cpu=0")


class Failed(Exception):
    """A command ended badly; the message is what it said."""


def call(command: list[str], stdin: str = "") -> str:
    """Return the standard output of a command; raise `Failed` with its standard error if it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, timeout=300)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def template(*values: str, chart: Path = CHART) -> str:
    """Return what the chart renders to, without a cluster."""
    flags = [flag for value in values for flag in ("--set", value)]
    return call(["helm", "template", RELEASE, str(chart), "--namespace=here", "--kube-version=1.34.0", *flags])


class Namespace:
    """A namespace of the cluster, and the release of the chart in it."""

    def __init__(self, name: str, volume: Path) -> None:
        self.name = name
        self.volume = volume

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Call kubectl in this namespace."""
        return call(["kubectl", f"--namespace={self.name}", *arguments], stdin)

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` knows."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def helm(self, *arguments: str) -> str:
        """Call helm in this namespace."""
        return call(["helm", *arguments, f"--namespace={self.name}"])

    def install(self, *values: str, chart: Path = CHART, timeout: str = "180s") -> str:
        """Install the chart, or upgrade what is installed; return what helm said."""
        flags = [flag for value in (*SMALL, f"store.storageClass={self.name}", *values) for flag in ("--set", value)]
        wait = ("--wait", "--wait-for-jobs", f"--timeout={timeout}")
        return self.helm("upgrade", "--install", RELEASE, str(chart), *wait, *flags)

    def test(self) -> None:
        """Run the chart's own tests; a failure comes with what the test said."""
        try:
            self.helm("test", RELEASE)
        except Failed as error:
            raise Failed(f"{error}\n{self.kubectl('logs', f'{RELEASE}-test-store')}") from None

    def store(self) -> Store:
        """Return the store of the release, as this machine reaches it."""
        secret = self.get("secret", f"{RELEASE}-store")["data"]
        address = self.get("service", f"{RELEASE}-store")["spec"]["clusterIP"]
        return Store.from_environment(
            {
                "AWS_ENDPOINT_URL": f"http://{address}:9000",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": base64.b64decode(secret["accesskey"]).decode(),
                "AWS_SECRET_ACCESS_KEY": base64.b64decode(secret["secretkey"]).decode(),
            }
        )

    def objects(self) -> set[str]:
        """Return everything in the namespace as kind/name, but what every namespace has."""
        kinds = call(["kubectl", "api-resources", "--verbs=list", "--namespaced", "--output=name"]).split()
        # Events tell of the past; the other two are a view of pods, and of permissions.
        kinds = [kind for kind in kinds if not kind.startswith(("events", "pods.metrics", "localsubject"))]
        found = self.kubectl("get", ",".join(kinds), "--ignore-not-found", "--output=name").split()
        return set(found) - {"configmap/kube-root-ca.crt", "serviceaccount/default"}


@contextmanager
def namespace(name: str, volume: Path) -> Iterator[Namespace]:
    """Make a namespace that admits only pods of the profile `restricted`, with a volume; gone afterwards."""
    volume.mkdir(parents=True, exist_ok=True)
    # Kubernetes hands a volume over to the pod's group, but not a folder of the host.
    shutil.chown(volume, 65532, 65532)
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
                "hostPath": {"path": str(volume)}, "persistentVolumeReclaimPolicy": "Retain",
            },
        },
    ]  # fmt: skip
    for document in documents:
        call(["kubectl", "create", "--filename=-"], json.dumps(document))
    try:
        yield Namespace(name, volume)
    finally:
        call(["kubectl", "delete", f"namespace/{name}", f"persistentvolume/{name}", "--timeout=90s"])
