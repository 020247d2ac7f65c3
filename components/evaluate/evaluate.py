"""The work of evaluate: every test image through the model, and what comes of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import artifact, quiet
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput, StepError
from components.evaluate import inside
from components.evaluate.component import EvaluateParameters
from components.evaluate.metrics import compare, measure
from components.evaluate.report import write_report
from components.evaluate.verdict import judge

with quiet.importing():
    import keras
    import tensorflow as tf

BATCH = 1000
SALIENT = 8  # images shown with their pixels, unless others are chosen


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

    chosen = chosen_images(parameters.look_at, len(images))
    network = load(trained_model, images, len(class_names))
    logits = predict(network, images)
    figures = measure(logits, labels, class_names)
    if baseline is not None:
        figures["baseline"] = compare(logits, predict(load(baseline, images, len(class_names)), images), labels)
    suspects = inside.suspects(inside.example_norms(network, images, labels), labels, logits)
    cosines = inside.class_cosines(network, images, labels, len(class_names))
    figures |= {
        "suspected_labels": suspects,
        "known_label_errors": inside.known_errors(labels, suspects),
        "class_gradient_cosines": np.where(np.isfinite(cosines), cosines, 0.0).tolist(),
    }
    chosen = chosen or [each["image"] for each in suspects[:SALIENT]]
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
    shown_pixels = {i: inside.saliency(network, images[i : i + 1])[0] for i in chosen}
    write_report(report, figures, images, labels, logits, shown_pixels)
    low, high = figures["accuracy_interval"]
    print(f"accuracy {figures['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {len(labels):,} test images: {verdict}")
    for check in checks:
        print(f"  {check.what}")
    scalars = {name: figures[name] for name in ("accuracy", "loss", "calibration_error", "roc_auc", "mistakes")}
    scalars |= {"accuracy_low": low, "accuracy_high": high, "verdict": verdict}
    return {"metrics": scalars, "classification": shown}


def chosen_images(text: str, count: int) -> list[int]:
    """Return the numbers in `look_at`; raise `BadInput` unless each is that of a test image."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if wrong := [word for word in words if not word.isdecimal() or int(word) >= count]:
        raise BadInput(f"look_at: {wrong[0]!r} is not the number of a test image; they go from 0 to {count - 1}")
    return [int(word) for word in words]


def load(model: Path, images: npt.NDArray[np.uint8], classes: int) -> keras.Model:
    """Return a saved model; raise `BadInput` unless it takes such images, uint8 [n, height, width], and classes."""
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
    return network


def predict(network: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the logits, float32 [n, classes], for images, uint8 [n, height, width]."""

    @tf.function  # type: ignore[untyped-decorator]
    def call(batch: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(batch, tf.float32)[..., tf.newaxis] / 255.0
        return tf.cast(network(pixels, training=False), tf.float32)

    parts = [call(tf.constant(images[start : start + BATCH])).numpy() for start in range(0, len(images), BATCH)]
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise StepError("the model's answers are not finite numbers: its training has diverged; see export's report")
    return logits
