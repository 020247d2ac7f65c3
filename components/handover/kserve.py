"""Manifests of KServe, for its TensorFlow Serving and its Triton runtime.

Either is found by the model's format and protocol, and mounts what is below `storageUri` as its base path: TensorFlow
Serving wants a folder with the version there, Triton a folder with the name, then the version.
https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/overview
"""

from collections.abc import Mapping
from typing import Any

import yaml

PLACEHOLDER = "s3://BUCKET/PREFIX"  # to be filled in
SAVED_MODEL, ONNX = "saved_model", "onnx"  # folders of the package
VERSION = "1"
RESOURCES = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}


def tensorflow(name: str, uri: str, digest: str) -> str:
    """Return an InferenceService whose model is the SavedModel in the package at `uri`."""
    return _service(name, digest, {"name": "tensorflow", "version": "2"}, "v1", f"{uri or PLACEHOLDER}/{SAVED_MODEL}")


def onnx(name: str, uri: str, digest: str) -> str:
    """Return an InferenceService whose model is the ONNX file in the package at `uri`."""
    return _service(name, digest, {"name": "onnx", "version": "1"}, "v2", f"{uri or PLACEHOLDER}/{ONNX}")


def _service(name: str, digest: str, form: Mapping[str, str], protocol: str, uri: str) -> str:
    manifest: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": {"tapeline/trained-model": f"sha256:{digest}"}},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": dict(form),
                    "protocolVersion": protocol,
                    "storageUri": uri,
                    "resources": RESOURCES,
                }
            }
        },
    }
    text: str = yaml.safe_dump(manifest, sort_keys=False)
    return text
