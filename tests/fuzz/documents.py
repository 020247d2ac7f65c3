"""Small real examples of what is parsed as text: JSON, and the command line."""

import json
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from components.contract import artifact
from components.contract.artifact import canonical_json
from components.lineage import statements

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def manifests() -> list[bytes]:
    """Return the manifest of an artifact with one file, `data`, of 4 bytes."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
        (Path(folder) / "data").write_bytes(b"data")
        parameters = {"seed": 0, "model": "simple", "rate": 0.5, "nothing": True}
        said = {"metadata": {"step": 3, "of": ["x", None, {"y": 1.5}]}, "inputs": {"dataset": "0" * 64}}
        made = artifact.seal(
            Path(folder),
            component="train",
            output="metrics",
            parameters=parameters,
            **said,  # type: ignore[arg-type]
        )
    return [made.to_bytes()]


def lineages() -> list[bytes]:
    """Return the manifest of a known data set."""
    said = json.loads(manifests()[0])
    names = ("title", "licence", "homepage", "citation")
    said["metadata"] = {
        "image_shape": [28, 28], "class_names": ["0", "1"], "splits": {"train": 4, "test": 2}, "made_splits": ["test"],
        "source_sha256": {"a": "0" * 64}, "validation": "sound", "about": {name: name for name in names},
    }  # fmt: skip
    said["files"] |= {f"train-{name}.npy": {"sha256": "1" * 64, "bytes": 9} for name in ("images-00000", "labels")}
    return [canonical_json(said)]


def envelopes() -> list[bytes]:
    """Return a signed statement."""
    return [canonical_json(statements.enveloped(b"{}", KEY))]


def evaluations() -> list[bytes]:
    """Return what evaluate finds, as far as it is read."""
    of_a_class = {"name": "0", "images": 2, "recall": 0.5, "precision": 1.0, "f1": 0.6}
    said = {
        "images": 4, "accuracy": 0.5, "accuracy_interval": [0.1, 0.9], "loss": 0.3, "calibration_error": 0.1,
        "classes": [of_a_class, of_a_class], "calibration": [{"count": 4, "confidence": 0.5, "accuracy": 0.5}],
        "known_label_errors": {"known": 3}, "labels_to_look_at": {"train": {"images": 4, "contradicted": 0}},
    }  # fmt: skip
    return [canonical_json(said)]


def diagnoses() -> list[bytes]:
    """Return what export finds."""
    finding = {"rule": "vanishing", "severity": "warning", "sentence": "It is small.", "evidence": {"norm": 0.1}}
    return [canonical_json({"verdict": "warning", "findings": [finding], "rules": [{"id": "vanishing"}]})]


def executor_inputs() -> list[bytes]:
    """Return what Kubeflow's launcher hands to ingest."""
    outputs: dict[str, Any] = {
        name: {"artifacts": [{"name": name, "uri": f"minio://bucket/run/{name}", "metadata": {}}]}
        for name in ("dataset", "report")
    }
    values = {"epochs": 3.0, "source": "mnist", "seed": 1.0, "unlisted_parameters": {"classes": 10.0}, "invert": True}
    given = {
        "inputs": {"parameterValues": values, "artifacts": {"x": {"artifacts": [{"uri": "s3://b/x"}]}}},
        "outputs": {"artifacts": outputs, "outputFile": "/gcs/output.json"},
    }
    return [json.dumps(given).encode()]


def command_lines() -> list[bytes]:
    """Return the arguments of a step, with NULs between them."""
    return [
        b"--source=mnist\0--dataset\0./dataset\0--report=s3://bucket/report\0--seed=3\0--invert\0--size=28x28",
        b"--executor-input\0{}\0--verbose",
    ]


def schemas() -> list[bytes]:
    """Return a schema.json."""
    return [
        canonical_json(
            {
                "schema_version": 1, "shape": [28, 28], "channels": 1, "dtype": "uint8", "classes": ["0", "1"],
                "class_shares": [0.5, 0.5], "range": [0, 255],
                "splits": {"train": {"images": 2, "class_counts": [1, 1]}},
            }
        )
    ]  # fmt: skip


def summaries() -> list[bytes]:
    """Return the summary.json of a run of this machine."""
    return [
        canonical_json(
            {
                "state": "finished", "began": "2026-11-25T18:04:05+00:00", "parameters": {"epochs": 1, "model": "x"},
                "seconds": {"ingest": 1.5, "train": 12.0}, "sentence": "blessed", "accuracy": 0.98,
            }
        )
    ]  # fmt: skip


def specs() -> list[bytes]:
    """Return the model.json of a model."""
    return [canonical_json({"model": "simple", "image_shape": [28, 28], "classes": 10, "channels": 1,
                            "parameters": {}, "precision": "float32"})]  # fmt: skip
