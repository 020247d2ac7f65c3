"""The blessed version in other registries, too: Kubeflow's (kubeflow.py), and MLflow's.

In the latter, where MLFLOW_TRACKING_URI is set, a model is called NAME-TESTSET, its version has the digests as tags and
the place in this registry as source, and the alias `blessed` says which one it is. What is there already is left as it
is, so it may be told again at any time.
"""

import os

from components.artifacts.registry import kubeflow
from components.artifacts.registry.shelf import Shelf, State, Version
from components.contract import tracking
from components.contract.location import is_remote
from components.contract.mlflow import URI, Client, Untracked

ALIAS = "blessed"
_DIGEST, _MOST = "tapeline.model", 200  # versions that are asked for at once


def tell(shelf: Shelf, state: State) -> None:
    """Have the others know which version is blessed; what fails is a warning, and nothing else."""
    kubeflow.tell(shelf, state)
    version = state.current
    if version and os.environ.get(URI):
        tracking.tell(lambda client: log(client, shelf, version))


def log(client: Client, shelf: Shelf, version: Version) -> None:
    """Register a version unless it is there, and have the alias point to it. Raises `Untracked`."""
    place = shelf.registry.artifact(version.model)
    if not is_remote(place):
        raise Untracked(f"keeps no version of what is in a folder, {place}; it takes what is in a store")
    name = shelf.one_name
    try:
        client.call("POST", "registered-models/create", name=name)
    except Untracked as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
    number = _number(client, name, version.model) or _create(client, name, place, version)
    client.call("POST", "registered-models/alias", name=name, alias=ALIAS, version=number)


def _number(client: Client, name: str, digest: str) -> str:
    """Return which version of MLflow's is that model; empty if none is."""
    page = ""
    while True:
        asked = {"filter": f"name='{name}'", "max_results": _MOST} | ({"page_token": page} if page else {})
        found = client.call("GET", "model-versions/search", **asked)
        for each in found.get("model_versions", []):
            if {"key": _DIGEST, "value": digest} in each.get("tags", []):
                return str(each["version"])
        page = found.get("next_page_token", "")
        if not page:
            return ""


def _create(client: Client, name: str, place: str, version: Version) -> str:
    said = {"version": str(version.number), "model": version.model, "metrics": version.metrics,
            "dataset": version.dataset, "accuracy": str(version.figures.get("accuracy", ""))}  # fmt: skip
    tags = [{"key": f"tapeline.{key}", "value": value} for key, value in said.items()]
    made = client.call("POST", "model-versions/create", name=name, source=place, tags=tags)
    return str(made["model_version"]["version"])
