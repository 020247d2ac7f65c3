"""The model card: what the model is for, what it was made from, how good it is, and what is not known of it.

Its head is what Hugging Face reads (https://huggingface.co/docs/hub/model-cards), its body is for people.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.artifacts import dataset as datasets
from components.artifacts.dataset import Description
from components.artifacts.model import Spec
from components.artifacts.words import count, listed, percent
from components.contract import artifact
from components.contract.artifact import Manifest
from components.contract.terminal import line
from components.handover.component import HandoverParameters
from components.handover.found import Figures, diagnosis

# Of the many parameters of a training those that a reader asks for first; its manifest has all.
SHOWN = (
    "model", "epochs", "batch_size", "step", "loss", "optimizer", "learning_rate", "schedule", "augment", "transform",
    "precision", "seed",
)  # fmt: skip
OWN = "own-data"  # what a data set is called that has no name
NAMES = {"saved_model": "the SavedModel", "onnx": "the ONNX model"}


@dataclass(frozen=True)
class Card:
    """What a card is written from: the parameters and inputs of the step, and what it found."""

    parameters: HandoverParameters
    dataset: Path
    model: Path
    metrics: Path
    gradient_tables: Path | None
    figures: Figures
    spec: Spec
    found: Mapping[str, float]  # the largest difference of a probability, by what was tried
    missing: str  # why there is no ONNX file, where there is none


def write_card(path: Path, card: Card, weights: int) -> None:
    """Write the card of a model with that many weights."""
    manifest, made = artifact.read(card.dataset), artifact.read(card.model)
    data = datasets.described(manifest, str(card.dataset))
    source = line(str(manifest.parameters.get("source"))) if data.about else OWN
    title = f"{line(card.spec.model) or 'a Keras model'} on {source}"
    front = yaml.safe_dump(_front(card, data, source, title), sort_keys=False, allow_unicode=True, width=120)
    sections = [
        f"# {title}",
        *_use(card),
        *_data(data),
        *_training(made, weights),
        *_metrics(card),
        *_gradients(card),
        *_limits(card, data),
        *_provenance(card, made),
    ]
    path.write_text(f"---\n{front}---\n" + "\n".join(sections) + "\n", encoding="utf-8")


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the interval of a share at 95 % (Wilson 1927), as evaluate gives that of the accuracy."""
    z = statistics.NormalDist().inv_cdf(0.975)
    middle, width = right + z * z / 2, z * math.sqrt(right * (of - right) / of + z * z / 4)
    return max(0.0, (middle - width) / (of + z * z)), min(1.0, (middle + width) / (of + z * z))


def _front(card: Card, data: Description, source: str, title: str) -> dict[str, Any]:
    figures = card.figures
    measured = [
        {"type": "accuracy", "value": figures.accuracy, "name": "Accuracy"},
        {"type": "loss", "value": figures.loss, "name": "Cross entropy"},
        {"type": "expected_calibration_error", "value": figures.calibration_error, "name": "Calibration error"},
    ]
    result = {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"name": _what(data), "type": source, "split": "test"},
        "metrics": measured,
    }
    return {
        **({"license": card.parameters.model_licence} if card.parameters.model_licence else {}),
        "library_name": "tensorflow",
        "pipeline_tag": "image-classification",
        "tags": ["tensorflow", "saved-model", *(["onnx"] if "onnx" in card.found else []), "kserve", "tapeline"],
        **({"datasets": [source]} if data.about else {}),
        "metrics": ["accuracy"],
        "model-index": [{"name": title, "results": [result]}],
    }


def _use(card: Card) -> Iterator[str]:
    height, width, *colours = card.spec.image_shape
    shape = ", ".join(map(str, ("n", *card.spec.image_shape)))
    names = [line(each.name) for each in card.figures.classes]
    yield f"""
## Intended use

Tells {len(names)} classes of images apart: {listed(names)}. It takes `images`, uint8 [{shape}]: {height} × {width}
pixels {"in red, green and blue" if colours else "in grey"}, 0 to 255, as the data set has them, and returns
`probabilities`, float32 [n, {len(names)}], and `class`, int64 [n]. Images of another kind get an answer, too: it has no
class for what it does not know.
"""
    if "onnx" not in card.found:
        yield f"There is no ONNX file in this package: {line(card.missing)}.\n"
    else:
        path = f"onnx/{card.parameters.service_name}/1/model.onnx"
        yield f"""```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{path}")
images = np.zeros(({", ".join(map(str, (1, *card.spec.image_shape)))}), np.uint8)
classes, = session.run(["class"], {{"images": images}})
```
"""
    for what, difference in card.found.items():
        name = f"{NAMES[what][0].upper()}{NAMES[what][1:]}"
        yield (
            f"{name} was run on all {card.figures.images:,} test images: each got the class that it got when the "
            f"model was judged, and no probability differs by more than {difference:.1e}."
        )


def _what(data: Description) -> str:
    return line(data.about.title) if data.about else "a data set of one's own"


def _data(data: Description) -> Iterator[str]:
    images = ", ".join(count(data.splits[name], f"{name} image") for name in datasets.SPLITS if name in data.splits)
    yield f"\n## Data\n\n{_what(data)[0].upper()}{_what(data)[1:]}: {images}."
    if about := data.about:
        yield f"Its licence: {line(about.licence)}. Its home: <{line(about.homepage)}>."
        yield f"To cite: {line(about.citation).rstrip('.')}."
    else:
        yield "Its licence is not known to this pipeline: whoever brought the data knows it."
    if data.made_splits:
        yield f"The {listed(data.made_splits)} split was set apart from the training images by seed and class."
    yield f"Validation of the data: {line(data.validation)}."


def _training(made: Manifest, weights: int) -> Iterator[str]:
    yield f"\n## Training\n\n{weights:,} weights, learned with `tf.GradientTape`.\n"
    yield from _table(
        ("parameter", "value"), [(name, f"`{made.parameters[name]}`") for name in SHOWN if name in made.parameters]
    )
    yield f"\nWith {', '.join(f'{name} {version}' for name, version in sorted(made.versions.items()))}."


def _metrics(card: Card) -> Iterator[str]:
    figures = card.figures
    low, high = figures.accuracy_interval
    yield f"""
## Metrics

Accuracy {percent(figures.accuracy)} on {figures.images:,} test images, none of which it was trained on
(95 % interval {percent(low)} to {percent(high)}); cross entropy {figures.loss:.4f}.
"""
    yield from _table(
        ("class", "images", "recall", "95 % interval", "precision", "F1"),
        [
            (
                line(each.name).replace("|", "\\|"),
                f"{each.images:,}",
                percent(each.recall) if each.images else "not tested",
                " to ".join(map(percent, wilson(round(each.recall * each.images), each.images))) if each.images else "",
                percent(each.precision),
                f"{each.f1:.4f}",
            )
            for each in figures.classes
        ],
    )
    confidence = math.fsum(each.count * each.confidence for each in figures.calibration) / figures.images
    yield f"""
## Calibration

Expected calibration error {figures.calibration_error:.4f}, with 15 bins. Its mean confidence is
{percent(confidence)}, its accuracy {percent(figures.accuracy)}.
"""


def _gradients(card: Card) -> Iterator[str]:
    yield "## Gradient health\n"
    if card.gradient_tables is None:
        yield "Not looked at here: the record of the gradients was not given."
        return
    said = diagnosis(card.gradient_tables)
    yield f"Of {len(said.rules)} rules about the gradients of all steps the verdict is: {line(said.verdict)}."
    for each in said.findings:
        yield f"- {line(each.severity)}, {line(each.rule)}: {line(each.sentence)}"


def _limits(card: Card, data: Description) -> Iterator[str]:
    figures = card.figures
    tested = [each for each in figures.classes if each.images]
    worst = min(tested, key=lambda each: each.recall)
    yield "\n## Limits\n"
    yield f"- The worst class is {line(worst.name)}: {percent(worst.recall)} of its test images are right."
    if untested := [line(each.name) for each in figures.classes if not each.images]:
        yield f"- Of {listed(untested)} there was no test image."
    if known := figures.known_label_errors.known:
        yield f"- {count(known, 'label')} of the test set are known to be wrong, and count as they are."
    else:
        yield "- Wrong labels in the test set count as they are; the report of evaluate shows the most doubtful ones."
    for split, doubted in figures.labels_to_look_at.items():
        yield f"- Of {doubted.images:,} {split} labels the model contradicts {doubted.contradicted:,}."
    for number, severity in ((data.errors, "error"), (data.warnings, "warning")):
        if number:
            yield f"- Validation of the data found {count(number, severity)}."
    yield (
        "- Tested on images of the same source as it was trained on. Not tested: images of other sources, noise, "
        "distortion, attacks, drift over time, and whether it treats groups of people alike."
    )


def _provenance(card: Card, made: Manifest) -> Iterator[str]:
    yield "\n## Provenance\n"
    given = (("dataset", card.dataset), ("trained_model", card.model), ("metrics", card.metrics))
    rows = [(name, f"`{artifact.digest(path)}`") for name, path in given]
    if card.gradient_tables:
        rows.append(("gradient_tables", f"`{artifact.digest(card.gradient_tables)}`"))
    rows += [(f"{name} that trained_model was made from", f"`{digest}`") for name, digest in made.inputs.items()]
    yield from _table(("artifact", "sha256 of its manifest"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
