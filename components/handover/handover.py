"""The work of the hand-over: a package that servers load, tried on every test image, with a card.

saved_model/1/                      for TensorFlow Serving: images, uint8 [n, height, width], to probabilities and class
onnx/NAME/1/model.onnx              the same for ONNX Runtime, and as Triton wants it; where the network allows it
inferenceservice.yaml               KServe's manifest for the first
inferenceservice-onnx.yaml          and for the second
README.md                           the model card
"""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import dataset as datasets
from components.artifacts import model as models
from components.contract import artifact, quiet
from components.contract.errors import BadInput
from components.handover import found, kserve, trial
from components.handover.card import Card, write_card
from components.handover.component import HandoverParameters
from components.handover.convert import OPSET, Inconvertible, Session, convert

with quiet.importing():
    import tensorflow as tf


def handover(  # noqa: PLR0913 - one path for each input and output
    parameters: HandoverParameters,
    *,
    dataset: Path,
    trained_model: Path,
    metrics: Path,
    gradient_tables: Path | None,
    package: Path,
) -> dict[str, dict[str, Any]]:
    """Write the package. Raises `StepError` if what is in it does not answer as evaluate found."""
    tf.config.experimental.enable_op_determinism()
    figures, logits = found.figures(metrics, dataset, trained_model)
    images = datasets.read(dataset, "test", classes=logits.shape[1]).images
    if len(images) != figures.images:
        raise BadInput(f"{metrics} has {figures.images:,} answers, but the data set {len(images):,} test images")
    network, spec = models.read(trained_model)
    if not (trained_model / models.SAVED).is_dir():
        raise BadInput(f"{trained_model} has no {models.SAVED}; train again, and it is written")

    saved = package / kserve.SAVED_MODEL / kserve.VERSION
    shutil.copytree(trained_model / models.SAVED, saved)
    served = parameters.service_name, parameters.storage_uri, artifact.digest(trained_model)
    (package / "inferenceservice.yaml").write_text(kserve.tensorflow(*served), encoding="utf-8")
    differences = {"saved_model": _try_saved(saved, images, logits)}
    missing = "it was not asked for"
    if parameters.onnx:
        try:
            model = convert(network, spec)
            differences["onnx"] = _try_onnx(model, images, logits)
        except Inconvertible as error:
            missing = str(error)
        else:
            path = package / kserve.ONNX / parameters.service_name / kserve.VERSION / "model.onnx"
            path.parent.mkdir(parents=True)
            path.write_bytes(model)
            (package / "inferenceservice-onnx.yaml").write_text(kserve.onnx(*served), encoding="utf-8")
    card = Card(parameters, dataset, trained_model, metrics, gradient_tables, figures, spec, differences, missing)
    write_card(package / "README.md", card, network.count_params())

    for what, difference in differences.items():
        print(f"{NAMES[what]}: {len(images):,} test images, each with evaluate's class; {_most(difference)}")
    if "onnx" not in differences:
        print(f"without ONNX: {missing}")
    said: dict[str, Any] = {"images": len(images), "accuracy": figures.accuracy, "onnx": "onnx" in differences}
    said |= {f"largest_difference_{what}": difference for what, difference in differences.items()}
    return {"package": said | ({"opset": OPSET} if "onnx" in differences else {})}


NAMES = {"saved_model": "SavedModel", "onnx": "ONNX"}


def _try_saved(folder: Path, images: datasets.Images, logits: npt.NDArray[np.float32]) -> float:
    run = models.signature_of(folder)

    def server(batch: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        return {name: value.numpy() for name, value in run(images=tf.constant(batch)).items()}

    remedy = "evaluate the model again on this machine, and if that is no help, train again"
    return _rounded(trial.difference("the SavedModel", server, images, logits, remedy))


def _try_onnx(model: bytes, images: datasets.Images, logits: npt.NDArray[np.float32]) -> float:
    remedy = "--no-onnx hands the model over without it"
    return _rounded(trial.difference("the ONNX model", Session(model), images, logits, remedy))


def _rounded(difference: float) -> float:
    """Return a difference with the two digits that a person reads, rounded up, as it is said to be the largest."""
    if not difference:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(difference)) - 1)
    return float(f"{math.ceil(round(difference / unit, 6)) * unit:.1e}")


def _most(difference: float) -> str:
    return f"no probability differs by more than {difference:.1e}" if difference else "no probability differs"
