"""A cluster to test on, by its own command lines: kubectl and helm."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.contract.store.client import Store
from dags.cluster import CONFIG_KEYS, SECRET_KEYS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/tapeline"
# The kubeconfig of a cluster that has the images, and that the tests may do anything to; with-cluster sets it.
CLUSTER = os.environ.get("TAPELINE_CLUSTER", "")
# Never the cluster that a person's own kubeconfig names.
ENVIRONMENT = os.environ | {"KUBECONFIG": CLUSTER or os.devnull}
# As images/build names them.
REGISTRY, TAG = os.environ.get("REGISTRY", "tapeline"), os.environ.get("TAG", "dev")
RELEASE = "tapeline"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
VALUES = (
    f"images.registry={REGISTRY}",
    f"images.tag={TAG}",
    # A laptop's node may be as small as train is large: nothing else sets CPUs aside.
    "store.resources.requests.cpu=0",
    "jobs.resources.requests.cpu=0",
)


class Failed(Exception):
    """A command ended badly; the message is what it said."""


def call(command: list[str], stdin: str = "") -> str:
    """Return the standard output of a command; raise `Failed` with its standard error if it fails."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, input=stdin, timeout=300, env=ENVIRONMENT
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def unserved(reason: str) -> None:
    """Skip the test, as this cluster cannot serve it; in CI, where it can, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the cluster cannot serve it: {reason}")


class Namespace:
    """A namespace of the cluster, and a release of the chart in it."""

    def __init__(self, name: str, release: str = RELEASE) -> None:
        self.name = name
        self.release = release

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Call kubectl in this namespace."""
        return call(["kubectl", f"--namespace={self.name}", *arguments], stdin)

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` knows."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def helm(self, *arguments: str) -> str:
        """Call helm in this namespace."""
        return call(["helm", *arguments, f"--namespace={self.name}"])

    def install(self, *values: str, chart: Path = CHART, wait: bool = True) -> str:
        """Install the chart, or upgrade what is installed; return what helm said."""
        flags = [flag for value in (*VALUES, *values) for flag in ("--set", value)]
        waits = ("--wait", "--wait-for-jobs", "--timeout=180s") if wait else ()
        return self.helm("upgrade", "--install", self.release, str(chart), *waits, *flags)

    def test(self) -> None:
        """Run the chart's own tests; a failure comes with what the test said."""
        try:
            self.helm("test", RELEASE)
        except Failed as error:
            raise Failed(f"{error}\n{self.kubectl('logs', f'{RELEASE}-test-store')}") from None

    def allow_growth(self) -> None:
        """Let the volumes of the default class grow, as those of most clusters can."""
        for each in json.loads(call(["kubectl", "get", "storageclasses", "--output=json"]))["items"]:
            if each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true":
                patch = json.dumps({"allowVolumeExpansion": True})
                call(["kubectl", "patch", "storageclass", each["metadata"]["name"], f"--patch={patch}"])

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """Yield an address of this machine that leads to a port of a pod or service: its own may be out of reach."""
        command = ["kubectl", f"--namespace={self.name}", "port-forward", target, f":{port}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
        ) as process:
            try:
                assert process.stdout
                said = process.stdout.readline()
                if not said.startswith("Forwarding from 127.0.0.1:"):
                    raise Failed(f"{' '.join(command)}: {said}")
                yield f"http://{said.split()[2]}"
            finally:
                process.terminate()

    def keys(self) -> dict[str, str]:
        """Return the credentials of the release's store, by Kubeflow's names."""
        data = self.get("secret", f"{RELEASE}-store")["data"]
        return {key: base64.b64decode(data[key]).decode() for key in SECRET_KEYS}

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Yield the store of the release, as this machine reaches it."""
        with self.forwarded(f"service/{RELEASE}-store", 9000) as address:
            settings = {CONFIG_KEYS["endpoint"]: address, CONFIG_KEYS["region"]: "us-east-1"}
            yield Store.from_environment(settings | {SECRET_KEYS[key]: value for key, value in self.keys().items()})

    def objects(self) -> set[str]:
        """Return everything in the namespace as kind/name, but what every namespace has."""
        kinds = call(["kubectl", "api-resources", "--verbs=list", "--namespaced", "--output=name"]).split()
        # Events tell of the past; the other two are a view of pods, and of permissions.
        kinds = [kind for kind in kinds if not kind.startswith(("events", "pods.metrics", "localsubject"))]
        found = self.kubectl("get", ",".join(kinds), "--ignore-not-found", "--output=name").split()
        return set(found) - {"configmap/kube-root-ca.crt", "serviceaccount/default"}


@contextmanager
def namespace(name: str) -> Iterator[Namespace]:
    """Make a namespace that admits only pods of the profile `restricted`; gone afterwards."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    call(["kubectl", "create", "--filename=-"], json.dumps(document))
    try:
        yield Namespace(name)
    finally:
        call(["kubectl", "delete", f"namespace/{name}", "--timeout=90s"])
