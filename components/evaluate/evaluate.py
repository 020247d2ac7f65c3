"""The work of evaluate: every test image through the model, and what comes of it."""

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import answers
from components.artifacts import dataset as datasets
from components.artifacts import model as models
from components.contract import quiet
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput, StepError
from components.evaluate import inside
from components.evaluate.component import EvaluateParameters
from components.evaluate.labels import contradicted
from components.evaluate.metrics import measure
from components.evaluate.report import write_report
from components.evaluate.verdict import judge

with quiet.importing():
    import keras
    import tensorflow as tf

BATCH = 1000


def evaluate(  # noqa: PLR0913 - one path for each input and output
    parameters: EvaluateParameters,
    *,
    dataset: Path,
    trained_model: Path,
    metrics: Path,
    classification: Path,
    report: Path,
) -> dict[str, dict[str, Any]]:
    """Judge the model on all test images; write metrics.json, logits.npy, classification.json, and the page."""
    tf.config.experimental.enable_op_determinism()
    class_names = datasets.class_names(dataset)
    images, given, weights = datasets.read(dataset, "test", classes=len(class_names))
    labels = given.astype(np.int64)
    chosen = chosen_images(parameters.look_at, len(images))
    network, channels = load(trained_model, images, len(class_names))
    predict = predictor(network, channels)
    logits = predict(images)
    figures = measure(logits, labels, class_names, weights)
    seen = inside.look(network, images, labels, logits, chosen, channels)
    figures |= seen.figures
    doubted = {}
    for split in ("train", "validation") if parameters.check_labels else ():
        learned = datasets.read(dataset, split, classes=len(class_names))
        doubted[split] = contradicted(
            predict(learned.images), learned.labels.astype(np.int64), datasets.origins(dataset, split)
        )
    figures["labels_to_look_at"] = doubted
    verdict, checks = judge(parameters, figures)
    figures |= {"verdict": verdict, "checks": [asdict(check) for check in checks]}

    (metrics / "metrics.json").write_bytes(canonical_json(figures))
    answers.write(metrics, logits)
    shown = {
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": name} for name in class_names],
            "rows": [{"row": row} for row in figures["confusion_matrix"]],
        },
        "confidenceMetrics": figures["roc"],
    }
    (classification / "classification.json").write_bytes(canonical_json(shown))
    write_report(report, parameters, figures, images, labels, logits, seen, dataset)
    low, high = figures["accuracy_interval"]
    print(f"accuracy {figures['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {len(labels):,} test images: {verdict}")
    for line in [check.what for check in checks] + [f"{name}: {reason}" for name, reason in seen.missing.items()]:
        print(f"  {line}")
    scalars = {name: figures[name] for name in ("accuracy", "loss", "calibration_error", "roc_auc", "mistakes")}
    scalars |= {name: figures[name] for name in ("weighted_accuracy", "weighted_loss") if name in figures}
    scalars |= {"accuracy_low": low, "accuracy_high": high, "verdict": verdict}
    return {"metrics": scalars, "classification": shown}


def chosen_images(text: str, count: int) -> list[int]:
    """Return the numbers in `look_at`; raise `BadInput` unless each is that of a test image."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if wrong := [word for word in words if not re.fullmatch("[0-9]{1,12}", word) or int(word) >= count]:
        raise BadInput(f"look_at: {wrong[0]!r} is not the number of a test image; they go from 0 to {count - 1}")
    return [int(word) for word in words]


def load(model: Path, images: datasets.Images, classes: int) -> tuple[keras.Model, int]:
    """Return a saved model and the channels that it takes (see `pixels`).

    Raises `BadInput` unless it takes such images, uint8 [n, height, width], and tells that many classes apart.
    """
    network, spec = models.read(model)
    if (spec.image_shape, spec.classes) != (images.shape[1:], classes):
        wanted, given = (
            f"{shape[0]}×{shape[1]} images {'in colour' if len(shape) == 3 else 'in grey'}"
            for shape in (spec.image_shape, images.shape[1:])
        )
        raise BadInput(
            f"{model} takes {wanted} and gives {spec.classes} classes, but the data set has {given} and {classes} "
            "classes"
        )
    return network, spec.channels


def predictor(network: keras.Model, channels: int) -> Callable[[datasets.Images], npt.NDArray[np.float32]]:
    """Return a function from images, uint8 [n, height, width] or in colour, to logits, float32 [n, classes]."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def call(batch: tf.Tensor) -> tf.Tensor:
        return tf.cast(network(models.pixels(batch, channels), training=False), tf.float32)

    return lambda images: predict(call, images)


def predict(call: Callable[[tf.Tensor], tf.Tensor], images: datasets.Images) -> npt.NDArray[np.float32]:
    """Return what a network answers, float32 [n, classes], some images at a time."""
    batch = datasets.at_once(images, BATCH)
    try:
        parts = [call(tf.constant(images[start : start + batch])).numpy() for start in range(0, len(images), batch)]
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise BadInput(
            f"the model fails on {min(batch, len(images))} images at once ({models.sentence(error)}); it must take "
            "batches of any size"
        ) from error
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise StepError(
            "the model's predictions are not finite numbers: its training has diverged; see export's report"
        )
    return logits
