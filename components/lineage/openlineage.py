"""The steps behind an artifact as events of OpenLineage (https://openlineage.io/spec/2-0-2/OpenLineage.json).

A run is named by a digest of what it was given, so the same lineage gives the same bytes, and a server that gets it
twice has it once. No artifact knows when it was made: the time is SOURCE_DATE_EPOCH, or else 1970.
"""

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from components.contract.artifact import Manifest, canonical_json
from components.contract.errors import BadInput
from components.lineage.places import Found

PRODUCER = "urn:tapeline"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
NAMESPACE = "tapeline"
EPOCH = "SOURCE_DATE_EPOCH"


def events(found: Iterable[Found]) -> Iterator[dict[str, Any]]:
    """Yield a START and a COMPLETE event for each step that made some of these artifacts, the earlier steps first."""
    made = sorted(found, key=lambda each: (each.kind, each.digest))
    by_digest = {each.digest: each for each in made}
    steps: dict[str, list[Found]] = {}
    for each in made:
        steps.setdefault(run_id(each.manifest), []).append(each)
    for outputs in _in_order(steps, by_digest):
        manifest = outputs[0].manifest
        given = sorted(manifest.inputs.items())
        event: dict[str, Any] = {
            "eventTime": _time(),
            "producer": PRODUCER,
            "schemaURL": f"{SCHEMA}#/$defs/RunEvent",
            "run": {"runId": run_id(manifest), "facets": _facets(manifest)},
            "job": {"namespace": NAMESPACE, "name": manifest.component, "facets": {}},
            "inputs": [_dataset(_kind(name, digest, by_digest), digest) for name, digest in given],
        }
        yield {**event, "eventType": "START", "outputs": []}
        yield {**event, "eventType": "COMPLETE", "outputs": [_dataset(each.kind, each.digest) for each in outputs]}


def run_id(manifest: Manifest) -> str:
    """Return the name of the run of a step: the same for all that it made, and for all who ran it with the same."""
    given = [manifest.component, manifest.parameters, manifest.inputs, manifest.versions]
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}:{hashlib.sha256(canonical_json(given)).hexdigest()}"))


def _in_order(steps: Mapping[str, list[Found]], by_digest: Mapping[str, Found]) -> Iterator[list[Found]]:
    done: set[str] = set()

    def visit(name: str) -> Iterator[list[Found]]:
        if name not in done:
            done.add(name)
            for digest in sorted(steps[name][0].manifest.inputs.values()):
                if digest in by_digest:
                    yield from visit(run_id(by_digest[digest].manifest))
            yield steps[name]

    for name in steps:
        yield from visit(name)


def _kind(name: str, digest: str, by_digest: Mapping[str, Found]) -> str:
    """Return what an artifact is called, by the step that made it if that is known."""
    return by_digest[digest].kind if digest in by_digest else name


def _dataset(name: str, digest: str) -> dict[str, Any]:
    schema = (
        "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
    )
    version = {"_producer": PRODUCER, "_schemaURL": schema, "datasetVersion": digest}
    return {"namespace": NAMESPACE, "name": name, "facets": {"version": version}}


def _facets(manifest: Manifest) -> dict[str, Any]:
    facet = {"_producer": PRODUCER, "_schemaURL": f"{SCHEMA}#/$defs/RunFacet"}
    return {
        "tapeline_parameters": {**facet, "parameters": manifest.parameters},
        "tapeline_versions": {**facet, "versions": manifest.versions},
    }


def _time() -> str:
    text = os.environ.get(EPOCH, "0")
    try:
        return datetime.fromtimestamp(int(text), UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"{EPOCH}: {text!r} is no number of seconds since 1970") from None
