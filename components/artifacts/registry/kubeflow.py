"""The blessed version in Kubeflow's Model Registry, too, where TAPELINE_MODEL_REGISTRY_URL is set.

By its REST interface, v1alpha3 (kubeflow/model-registry, api/openapi): a registered model NAME-TESTSET, in it a version
by its number here, with the digests as properties, and of that one artifact, the place in the store. What is there
already is left as it is. TAPELINE_MODEL_REGISTRY_TOKEN goes along as a bearer token.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from components.artifacts.registry.shelf import Shelf, State, Version
from components.contract import outside
from components.contract.errors import BadInput
from components.contract.terminal import line

URL, TOKEN = "TAPELINE_MODEL_REGISTRY_URL", "TAPELINE_MODEL_REGISTRY_TOKEN"
SECONDS = 5  # for each answer
LARGEST = 2**20  # bytes of one


class _Refused(Exception):
    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


def tell(shelf: Shelf, state: State) -> None:
    """Have Kubeflow's registry know the blessed version; what fails is a warning, and nothing else."""
    version, url = state.current, os.environ.get(URL, "")
    if not version or not url:
        return
    try:
        _register(_base(url), shelf, version)
    except (_Refused, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, _Refused) else type(error).__name__
        text = f"warning: Kubeflow's Model Registry has not taken version {version.number}: {reason}"
        print(line(text), file=sys.stderr, flush=True)


def _base(url: str) -> str:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise _Refused(f"{URL} is not of the form http(s)://host[:port]")
    return url.rstrip("/") + "/api/model_registry/v1alpha3"


def _register(base: str, shelf: Shelf, version: Version) -> None:
    name = shelf.one_name
    model = _found(base, "registered_model", name=name) or _ask(f"{base}/registered_models", {"name": name})
    number, parent = str(version.number), str(model["id"])
    made = _found(base, "model_version", name=number, parentResourceId=parent)
    if not made:
        digests = {"model": version.model, "metrics": version.metrics, "dataset": version.dataset}
        properties = {
            key: {"metadataType": "MetadataStringValue", "string_value": value} for key, value in digests.items()
        }
        said = {"name": number, "registeredModelId": parent, "customProperties": properties}
        made = _ask(f"{base}/model_versions", said)
    place = f"{base}/model_versions/{urllib.parse.quote(str(made['id']))}/artifacts"
    if not _ask(place).get("items"):
        uri = shelf.registry.artifact(version.model)
        said = {"artifactType": "model-artifact", "name": f"{name}-{number}", "uri": uri}
        _ask(place, {**said, "modelFormatName": "tensorflow", "modelFormatVersion": "2"})


def _found(base: str, kind: str, **asked: str) -> dict[str, Any]:
    """Return what there is of that kind and name; empty where there is nothing."""
    try:
        return _ask(f"{base}/{kind}?{urllib.parse.urlencode(asked)}")
    except _Refused as error:
        if error.status != 404:
            raise
        return {}


def _ask(place: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer to a GET, or to a POST of a document."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if token := os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(place, body, headers)  # noqa: S310 - an address of http or https, as was seen to
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            answered = outside.document(answer.read(LARGEST), "its answer")
    except urllib.error.HTTPError as error:
        raise _Refused(f"it answers with HTTP {error.code}", error.code) from None
    except BadInput:
        answered = None
    if not isinstance(answered, dict):
        raise _Refused("it does not answer as Kubeflow's Model Registry does")
    return answered
