"""Read the gradient record that `train` writes, without TensorFlow. Its layout is said in writer.py."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from components.artifacts.record import document as documents
from components.artifacts.record.columns import BINS, GLOBAL_NORM, role_of
from components.artifacts.record.document import SaidOfVariable
from components.artifacts.record.table import Table
from components.contract.errors import BadInput

Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int64]

HELD = 2**25  # bytes of rows, at most, that are read at a time


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
    """What was recorded. n steps with C columns, m of them with statistics, V variables.

    In memory are the steps; everything else is read when it is asked for.
    """

    folder: Path
    level: str
    steps: Steps  # [n], counted from 1
    values: Table  # float32 [n, C]
    columns: list[str]  # scalars such as loss and learning_rate; and the norms: global_norm and one for each variable
    stats_steps: Steps  # [m]
    stats: Table  # float32 [m, V × statistics], variable by variable
    statistics: list[str]
    variables: list[Variable]
    settings: dict[str, Any]  # steps_per_epoch, images_per_step, classes, clip_norm, frozen, perhaps augment
    epochs: list[dict[str, Any]]  # NaN for what came out as no number

    def column(self, name: str) -> Floats:
        """Return the values of one column, float32 [n]."""
        index, scalars = self.columns.index(name), len(self.scalars)
        return self.course.column(index) if index < scalars else self.norms.column(index - scalars)

    @cached_property
    def norms(self) -> Table:
        """The norm of each variable's gradient at each step, float32 [n, V]; [n, 0] where none was kept."""
        return self.values.part(slice(len(self.scalars), None))

    @cached_property
    def course(self) -> Table:
        """The scalars of each step, float32 [n, S]: whoever asks for no norms need not read them."""
        return self.values.part(slice(len(self.scalars)))

    @property
    def scalars(self) -> list[str]:
        """The columns that are of a step as a whole: all but the norms of single variables."""
        return self.columns[: self.columns.index(GLOBAL_NORM) + 1] if GLOBAL_NORM in self.columns else self.columns

    @cached_property
    def unmoved(self) -> npt.NDArray[np.bool_]:
        """Whether the gradient of a variable is nothing at every step, bool [V]; False where no norms were kept."""
        zero = np.full(len(self.variables), bool(self.norms.width))
        for rows in self.norms.blocks() if self.norms.width else ():
            zero &= (rows == 0).all(axis=0)
        return zero

    def applied(self, norm: Floats) -> Floats:
        """Return what clipping leaves of global norms, float32 [n]."""
        largest = self.settings["clip_norm"]
        return np.minimum(norm, np.float32(largest)) if largest else norm

    def stat(self, name: str) -> Table:
        """Return one statistic of every variable, float32 [m, V]."""
        return self._stats[name]

    @cached_property
    def _stats(self) -> dict[str, Table]:
        apart = len(self.statistics)
        return {name: self.stats.part(slice(index, None, apart)) for index, name in enumerate(self.statistics)}

    def epoch_of(self, steps: Steps) -> Steps:
        """Return the epoch, from 1, of each step."""
        return (steps - 1) // int(self.settings["steps_per_epoch"]) + 1

    def histograms(self) -> Iterator[tuple[Steps, npt.NDArray[np.int32]]]:
        """Yield steps, int64 [k], and their histograms, int32 [k, V, bins], some of the run at a time."""
        for path in sorted((self.folder / "hist").glob("*.safetensors")):
            yield from _rows(path, "I32", (len(self.variables), BINS))

    @cached_property
    def histogram_count(self) -> int:
        """How many steps have histograms."""
        return sum(_count(path) for path in (self.folder / "hist").glob("*.safetensors"))

    def histogram_sums(self, most: int, chosen: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Yield the first step and the sum of the histograms of at most so many equal parts of the run.

        Sums are int64 [chosen, bins], of the variables that are `chosen`. Histograms add up: that is what fixed bins
        are for, so however long the run was, only a sum is held.
        """
        size = max(1, -(-self.histogram_count // most))
        first, total, seen = 0, np.zeros((len(chosen), BINS), np.int64), 0
        for steps, counts in self.histograms():
            for step, of_step in zip(steps.tolist(), counts[:, chosen], strict=True):
                if seen % size == 0:
                    if seen:
                        yield first, total
                    first, total = step, np.zeros_like(total)
                total += of_step
                seen += 1
        if seen:
            yield first, total

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
    steps, values = _table(folder / "steps", (len(columns),))
    if not len(steps) or not (np.diff(steps) == 1).all():
        raise BadInput(f"{folder / 'steps'}: the steps do not follow one another; make the record again")
    stats_steps, stats = _table(folder / "stats", (len(variables), len(statistics)))
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
    with _damaged(path):
        found = load_file(path)
    _expect(path, found.keys(), *names)
    return [found[name] for name in names]


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise BadInput(f"{path} is damaged: {str(error).splitlines()[0]}; make the record again") from None


def _expect(path: Path, found: Iterable[str], *names: str) -> None:
    if {*found} != {*names}:
        raise BadInput(f"{path} has the tensors {', '.join(sorted(found)) or 'none'}, expected {', '.join(names)}")


def _rows(path: Path, kind: str, shape: tuple[int, ...]) -> Iterator[tuple[Steps, npt.NDArray[Any]]]:
    """Yield the steps and the rows in a file, each of that type (`F32`, `I32`) and shape, at most HELD bytes at a time.

    Raises `BadInput` for others.
    """
    size = max(1, HELD // max(1, 4 * math.prod(shape)))
    with _damaged(path), safe_open(path, "numpy") as file:
        _expect(path, file.keys(), "step", "values")
        steps, values = file.get_tensor("step"), file.get_slice("values")
        found = values.get_dtype(), values.get_shape()
        if (steps.dtype, steps.ndim, *found) != (np.dtype(np.int64), 1, kind, [steps.size, *shape]):
            raise BadInput(
                f"{path}: {found[0]} rows of shape {found[1]} do not agree with record.json, which says {shape}"
            )
        if (steps < 1).any() or (np.diff(steps) < 1).any():
            raise BadInput(f"{path}: the steps do not follow one another; make the record again")
        for begin in range(0, steps.size, size):
            end = min(begin + size, steps.size)
            yield steps[begin:end], values[begin:end]


def _count(path: Path) -> int:
    """Return how many steps a file has, by its header."""
    with _damaged(path), safe_open(path, "numpy") as file:
        return int(np.prod(file.get_slice("step").get_shape()))


def _table(folder: Path, shape: tuple[int, ...]) -> tuple[Steps, Table]:
    """Return the steps of all files in `folder`, and the table of their rows, which are each of the given shape."""
    paths = sorted(folder.glob("*.safetensors"))
    steps = [part for path in paths for part, _ in _rows(path, "F32", shape)]

    def blocks() -> Iterator[Floats]:
        for path in paths:
            for _, rows in _rows(path, "F32", shape):
                yield rows.reshape(len(rows), -1)

    whole = np.concatenate([np.empty(0, np.int64), *steps])
    return whole, Table(blocks, len(whole), math.prod(shape))
