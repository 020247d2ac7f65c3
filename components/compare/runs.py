"""What is read of each run that is compared; whatever cannot be read is a sentence, and the rest is compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.artifacts import answers
from components.artifacts import dataset as datasets
from components.artifacts.record import reader
from components.artifacts.record.reader import Record
from components.compare import chain, shelf
from components.compare.find import Located
from components.compare.shelf import Found
from components.contract import outside
from components.contract.errors import BadInput

T = TypeVar("T")
LETTERS = "ABCDEFGH"
AGAIN = "evaluate it again"


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class OfClass(_Said):
    """What evaluate says of a class."""

    name: str
    images: int = Field(ge=0)
    recall: float = Field(ge=0, le=1)


class Figures(_Said):
    """What is compared of what evaluate says, in its metrics.json."""

    images: int = Field(ge=1)
    mistakes: int = Field(ge=0)
    accuracy: float = Field(ge=0, le=1)
    accuracy_interval: tuple[float, float]
    loss: float
    calibration_error: float
    roc_auc: float
    classes: list[OfClass]


class Finding(_Said):
    """What export's rules found."""

    rule: str
    severity: str
    sentence: str


class Diagnosis(_Said):
    """What is compared of export's diagnosis.json."""

    verdict: str
    findings: list[Finding]


class Course(_Said):
    """What is compared of train's metrics.json: a number, or None, by name for each epoch."""

    epochs: list[dict[str, float | None]]


@dataclass
class HeldOut:
    """The images that a run was judged on: uint8 [n, height, width] or in colour; labels, int64 [n]."""

    name: str
    images: datasets.Images
    labels: npt.NDArray[np.int64]
    classes: list[str]


@dataclass
class Run:
    """A run, with all of it that is there."""

    letter: str
    name: str
    made: dict[str, Found]
    notes: list[str] = field(default_factory=list)
    figures: Figures | None = None
    diagnosis: Diagnosis | None = None
    course: Course | None = None
    record: Record | None = None
    test_set: HeldOut | None = None
    logits: npt.NDArray[np.float32] | None = None  # [n, classes], of the test set's images

    @property
    def model(self) -> str:
        """The digest of its model; empty where there is none."""
        return self.made[chain.MODEL].digest if chain.MODEL in self.made else ""

    @property
    def parameters(self) -> dict[str, Any]:
        """What its steps were given that results depend on."""
        found = sorted(self.made.values(), key=lambda each: chain.KINDS.index(each.kind), reverse=True)
        return {name: value for each in found for name, value in each.manifest.parameters.items()}

    @property
    def versions(self) -> dict[str, str]:
        """What the packages were that results depend on."""
        return {name: value for each in self.made.values() for name, value in each.manifest.versions.items()}

    @property
    def answers(self) -> npt.NDArray[np.int64] | None:
        """The class that it gives each image of the test set; None where they are not there."""
        return None if self.logits is None else self.logits.argmax(axis=1)


def read(located: Located, letter: str, scratch: Path) -> Run:
    """Read a run; `scratch` is for what is downloaded."""
    run = Run(letter, located.name, dict(located.made), list(located.notes))
    run.figures = _try(run, lambda: _document(run, chain.JUDGED, "metrics.json", Figures, scratch))
    run.diagnosis = _try(run, lambda: _document(run, chain.TABLES, "diagnosis.json", Diagnosis, scratch))
    run.course = _try(run, lambda: _document(run, chain.TRAINED, "metrics.json", Course, scratch))
    run.record = _try(run, lambda: _record(run, scratch))
    run.test_set = _try(run, lambda: _test_set(run, scratch))
    run.logits = _try(run, lambda: _logits(run, scratch))
    return run


def _try(run: Run, function: Callable[[], T]) -> T | None:
    """Return what is read, or note why it is not."""
    try:
        return function()
    except BadInput as error:
        run.notes.append(f"{str(error).splitlines()[0]}.")
        return None


def _document(run: Run, kind: str, name: str, model: type[T], scratch: Path) -> T | None:
    if kind not in run.made:
        return None
    folder = _taken(run.made[kind], scratch, [name])
    try:
        return model.model_validate(outside.document(outside.content(folder / name), name))  # type: ignore[attr-defined,no-any-return]
    except (FileNotFoundError, ValidationError):
        step = kind.partition("/")[0]
        raise BadInput(f"{run.made[kind].place}/{name} is not what {step} writes; run that step again") from None


def _record(run: Run, scratch: Path) -> Record | None:
    if chain.GRADIENTS not in run.made:
        return None
    return reader.read(
        shelf.take(run.made[chain.GRADIENTS], scratch, lambda name: name == "record.json" or name.startswith("steps/"))
    )


def _test_set(run: Run, scratch: Path) -> HeldOut | None:
    if chain.DATASET not in run.made:
        return None
    folder = shelf.take(run.made[chain.DATASET], scratch, lambda name: datasets.has(name, "test"))
    classes = datasets.class_names(folder)
    images, labels, _ = datasets.read(folder, "test", classes=len(classes))
    return HeldOut(datasets.test_set(folder), images, labels.astype(np.int64), classes)


def _logits(run: Run, scratch: Path) -> npt.NDArray[np.float32] | None:
    if chain.JUDGED not in run.made or run.test_set is None:
        return None
    found = run.made[chain.JUDGED]
    if answers.NAME not in found.manifest.files:
        raise BadInput(f"{found.place} has no {answers.NAME}, as an earlier version left none; {AGAIN}")
    folder = _taken(found, scratch, [answers.NAME])
    return answers.read(folder, len(run.test_set.labels), len(run.test_set.classes))


def _taken(found: Found, scratch: Path, names: Iterable[str]) -> Path:
    chosen = set(names)
    return shelf.take(found, scratch, lambda name: name in chosen)
