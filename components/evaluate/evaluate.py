"""The work of evaluate: every test image through the model, and what comes of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.component import EvaluateParameters
from components.evaluate.metrics import compare, measure
from components.evaluate.report import write_report
from components.evaluate.verdict import judge
from components.step import artifact, quiet
from components.step.artifact import canonical_json
from components.step.errors import BadInput

with quiet.importing():
    import keras
    import tensorflow as tf

BATCH = 1000


def evaluate(  # noqa: PLR0913 - one path for each input and output
    parameters: EvaluateParameters,
    *,
    dataset: Path,
    trained_model: Path,
    baseline: Path | None,
    metrics: Path,
    classification: Path,
    report: Path,
) -> dict[str, dict[str, Any]]:
    """Judge the model on all test images; write metrics.json, classification.json, and the page."""
    tf.config.experimental.enable_op_determinism()
    metadata = artifact.read(dataset).metadata
    images = np.load(dataset / "test-images.npy", allow_pickle=False)
    labels = np.load(dataset / "test-labels.npy", allow_pickle=False).astype(np.int64)
    class_names = metadata["class_names"]

    logits = predict(trained_model, images, len(class_names))
    figures = measure(logits, labels, class_names)
    if baseline is not None:
        figures["baseline"] = compare(logits, predict(baseline, images, len(class_names)), labels)
    verdict, checks = judge(parameters, figures)
    figures |= {"verdict": verdict, "checks": [asdict(check) for check in checks]}

    (metrics / "metrics.json").write_bytes(canonical_json(figures))
    shown = {
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": name} for name in class_names],
            "rows": [{"row": row} for row in figures["confusion_matrix"]],
        },
        "confidenceMetrics": figures["roc"],
    }
    (classification / "classification.json").write_bytes(canonical_json(shown))
    write_report(report, figures, images, labels, logits)
    low, high = figures["accuracy_interval"]
    print(f"accuracy {figures['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {len(labels):,} test images: {verdict}")
    for check in checks:
        print(f"  {check.what}")
    scalars = {name: figures[name] for name in ("accuracy", "loss", "calibration_error", "roc_auc", "mistakes")}
    scalars |= {"accuracy_low": low, "accuracy_high": high, "verdict": verdict}
    return {"metrics": scalars, "classification": shown}


def predict(model: Path, images: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float32]:
    """Return the logits, float32 [n, classes], of a saved model for images, uint8 [n, height, width]."""
    path = model / "model.keras"
    try:
        network = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise BadInput(f"{path} is not a model that Keras can load: {str(error).splitlines()[0]}") from None
    wanted, given = network.input_shape, (None, *images.shape[1:], 1)
    if (wanted, network.output_shape) != (given, (None, classes)):
        raise BadInput(
            f"{path} takes {wanted} and gives {network.output_shape}, but the data set has images {given} and "
            f"{classes} classes"
        )
    call = tf.function(lambda batch: network(tf.cast(batch, tf.float32)[..., tf.newaxis] / 255.0, training=False))
    parts = [call(tf.constant(images[start : start + BATCH])).numpy() for start in range(0, len(images), BATCH)]
    return np.concatenate(parts)
