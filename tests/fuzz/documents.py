"""Small real examples of what is parsed as text: JSON, and the command line."""

import json
import tempfile
from pathlib import Path
from typing import Any

from components.contract import artifact
from components.contract.artifact import canonical_json


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
