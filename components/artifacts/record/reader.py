"""Read the gradient record that `train` writes, without TensorFlow. Its layout is said in writer.py."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from components.artifacts.record import document as documents
from components.artifacts.record.columns import BINS, GLOBAL_NORM, role_of
from components.artifacts.record.document import SaidOfVariable
from components.contract.errors import BadInput

Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Variable:
    """A variable that was learned."""

    name: str
    shape: tuple[int, ...]
    activation: str  # that what its layer gives goes through; empty where there is none
    connected: bool  # whether the loss depends on it at all
    role: str  # kernel, bias, scale, embedding or other
    normalised: bool = False  # what its layer gives is normalised next, which takes a bias out again
    zero_initialised: bool = False  # whether it was all zeros before the first step

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))

    @property
    def is_kernel(self) -> bool:
        """Whether it multiplies what comes in; the others are biases, scales, embeddings and the like."""
        return self.role == "kernel"


@dataclass(frozen=True)
class Record:
    """What was recorded. n steps with C columns, m of them with statistics, V variables."""

    folder: Path
    level: str
    steps: Steps  # [n], counted from 1
    values: Floats  # [n, C]
    columns: list[str]  # scalars such as loss and learning_rate; and the norms: global_norm and one for each variable
    stats_steps: Steps  # [m]
    stats: Floats  # [m, V, statistics]
    statistics: list[str]
    variables: list[Variable]
    settings: dict[str, Any]  # steps_per_epoch, images_per_step, classes, clip_norm, frozen, perhaps augment
    epochs: list[dict[str, Any]]  # NaN for what came out as no number

    def column(self, name: str) -> Floats:
        """Return the values of one column, float32 [n]."""
        return self.values[:, self.columns.index(name)]

    @property
    def norms(self) -> Floats:
        """The norm of each variable's gradient at each step, float32 [n, V]; [n, 0] where none was kept."""
        return self.values[:, len(self.scalars) :]

    @property
    def scalars(self) -> list[str]:
        """The columns that are of a step as a whole: all but the norms of single variables."""
        return self.columns[: self.columns.index(GLOBAL_NORM) + 1] if GLOBAL_NORM in self.columns else self.columns

    def applied_norm(self) -> Floats:
        """Return the global norm after clipping, float32 [n]."""
        norm, largest = self.column(GLOBAL_NORM), self.settings["clip_norm"]
        return np.minimum(norm, np.float32(largest)) if largest else norm

    def stat(self, name: str) -> Floats:
        """Return one statistic of every variable, float32 [m, V]."""
        return self.stats[:, :, self.statistics.index(name)]

    def epoch_of(self, steps: Steps) -> Steps:
        """Return the epoch, from 1, of each step."""
        return (steps - 1) // int(self.settings["steps_per_epoch"]) + 1

    def histograms(self) -> Iterator[tuple[Steps, npt.NDArray[np.int32]]]:
        """Yield steps, int64 [k], and their histograms, int32 [k, V, bins], a block of the run at a time."""
        for path in sorted((self.folder / "hist").glob("*.safetensors")):
            yield _rows(path, np.int32, (len(self.variables), BINS))

    def sheet(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
        """Return some images of the first step, uint8 [n, height, width] or [n, height, width, 3], twice.

        As they are, and as they were learned from; None where images were not augmented. Raises `BadInput` for others.
        """
        path = self.folder / "sheet.safetensors"
        if not path.is_file():
            return None
        given, augmented = _tensors(path, "given", "augmented")
        fits = given.dtype == augmented.dtype == np.uint8 and given.shape == augmented.shape
        if not fits or given.ndim not in (3, 4) or not given.size or given.shape[3:] not in ((), (3,)):
            raise BadInput(f"{path}: images of {given.shape} and of {augmented.shape}, expected the same images twice")
        return given, augmented

    def snapshots(self) -> list[Path]:
        """Return the files with whole gradients, in the order of their steps."""
        return sorted((self.folder / "snapshots").glob("*.safetensors"))


def read(folder: Path) -> Record:
    """Read the record in `folder`; raise `BadInput` if it is of another schema or its parts do not agree."""
    document = documents.read(folder)
    variables = [_variable(each) for each in document.variables]
    columns, statistics = document.columns, document.statistics
    steps, values = _blocks(folder / "steps", (len(columns),))
    if not len(steps) or not (np.diff(steps) == 1).all():
        raise BadInput(f"{folder / 'steps'}: the steps do not follow one another; make the record again")
    stats_steps, stats = _blocks(folder / "stats", (len(variables), len(statistics)))
    return Record(
        folder=folder,
        level=document.level,
        steps=steps,
        values=values,
        columns=columns,
        stats_steps=stats_steps,
        stats=stats,
        statistics=statistics,
        variables=variables,
        settings=document.settings.model_dump(exclude_unset=True),
        epochs=[
            {name: math.nan if value is None else value for name, value in epoch.items()} for epoch in document.epochs
        ],
    )


def _variable(said: SaidOfVariable) -> Variable:
    """Return what the record says of a variable; one that was made before roles were kept goes by the names."""
    role = said.role or role_of(said.name) or "other"
    return Variable(**said.model_dump() | {"shape": tuple(said.shape), "role": role})


def _tensors(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    """Return tensors of a file, by their names; raise `BadInput` if it is damaged, or has others."""
    try:
        found = load_file(path)
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise BadInput(f"{path} is damaged: {str(error).splitlines()[0]}; make the record again") from None
    if found.keys() != {*names}:
        raise BadInput(f"{path} has the tensors {', '.join(sorted(found)) or 'none'}, expected {', '.join(names)}")
    return [found[name] for name in names]


def _rows(path: Path, kind: type[np.generic], shape: tuple[int, ...]) -> tuple[Steps, npt.NDArray[Any]]:
    """Return the steps and the rows in a file, which are of that type and shape; else raise `BadInput`."""
    steps, rows = _tensors(path, "step", "values")
    if (steps.dtype, steps.ndim, rows.dtype, rows.shape) != (
        np.dtype(np.int64),
        1,
        np.dtype(kind),
        (steps.size, *shape),
    ):
        raise BadInput(
            f"{path}: {rows.dtype} rows of shape {rows.shape} do not agree with record.json, which says {shape}"
        )
    if (steps < 1).any() or (np.diff(steps) < 1).any():
        raise BadInput(f"{path}: the steps do not follow one another; make the record again")
    return steps, rows


def _blocks(folder: Path, shape: tuple[int, ...]) -> tuple[Steps, Floats]:
    """Return the steps and the rows of all files in `folder`, each row of the given shape."""
    steps, rows = [np.empty(0, np.int64)], [np.empty((0, *shape), np.float32)]
    for path in sorted(folder.glob("*.safetensors")):
        part = _rows(path, np.float32, shape)
        steps.append(part[0])
        rows.append(part[1])
    return np.concatenate(steps), np.concatenate(rows)
