"""What evaluate and export found, as far as the card tells it: read within bounds, and refused in a sentence."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from components.artifacts import answers
from components.contract import artifact, outside
from components.contract.errors import BadInput

T = TypeVar("T", bound=BaseModel)


class Class(BaseModel):
    """How good the model is at one class."""

    name: str
    images: int = Field(ge=0)
    recall: float
    precision: float
    f1: float


class Bin(BaseModel):
    """Answers of about the same confidence."""

    count: int = Field(ge=0)
    confidence: float


class Doubted(BaseModel):
    """Labels of a split that the model contradicts."""

    images: int
    contradicted: int


class Known(BaseModel):
    """Labels of the test set that are known to be wrong."""

    known: int = 0


class Figures(BaseModel):
    """What metrics.json of evaluate says."""

    images: int = Field(ge=1)
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    calibration_error: float
    classes: list[Class] = Field(min_length=2)
    calibration: list[Bin]
    known_label_errors: Known = Known()
    labels_to_look_at: dict[str, Doubted] = {}


class Finding(BaseModel):
    """One thing that a rule found."""

    rule: str
    severity: str
    sentence: str


class Diagnosis(BaseModel):
    """What diagnosis.json of export says."""

    verdict: str
    findings: list[Finding]
    rules: list[object]


def figures(metrics: Path, dataset: Path, model: Path) -> tuple[Figures, npt.NDArray[np.float32]]:
    """Return what evaluate found of this very model, and its logits, float32 [n, classes]; else raise `BadInput`."""
    inputs = artifact.read(metrics).inputs
    for name, folder in (("trained_model", model), ("dataset", dataset)):
        if inputs.get(name) != artifact.digest(folder):
            raise BadInput(f"{metrics} is not about {folder}, but about another {name}; evaluate this one first")
    found = read(Figures, metrics / "metrics.json")
    return found, answers.read(metrics, found.images, len(found.classes))


def diagnosis(gradient_tables: Path) -> Diagnosis:
    """Return what export found in the gradients; raise `BadInput` for what it has not written."""
    return read(Diagnosis, gradient_tables / "diagnosis.json")


def read(kind: type[T], path: Path) -> T:
    """Return a file of JSON as a model of it; raise `BadInput` for another one."""
    try:
        return kind.model_validate(outside.document(outside.content(path), str(path)))
    except FileNotFoundError:
        raise BadInput(f"there is no {path}; give what the steps before have made") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise BadInput(f"{path}: {where}: {first['msg']}; give what the steps before have made") from None
